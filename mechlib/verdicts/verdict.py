"""Verdicts: what the comparison of an interval with a number says, and who hears of it.

A Verdict is true or it raises; it is never false. So `not`, `or`, `any` and `if` cannot turn a refutation
into a pass.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mechlib.statistics.intervals.tails import POWER, clopper_pearson
from mechlib.verdicts.comparing import current

if TYPE_CHECKING:
    from mechlib.statistics.estimate import Estimate

# What a comparison can say, and what a claim can end with besides.
Word = Literal["SUPPORTED", "REFUTED", "INCONCLUSIVE"]
Outcome = Literal["SUPPORTED", "REFUTED", "INCONCLUSIVE", "VOID", "GATED", "NOT RUN", "ERROR"]
Sign = Literal[">=", ">", "<=", "<"]
Bound = tuple[Sign, float]
Kind = Literal["one", "every", "some"]

_HOLDS: dict[Sign, Callable[[float, float], bool]] = {
    ">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt
}  # fmt: skip
_MIRROR: dict[Sign, Sign] = {">=": "<=", ">": "<", "<=": ">=", "<": ">"}
_BEYOND = 100  # times as many: no plan


class Refuted(AssertionError):
    """The interval lies wholly on the other side of the bound."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(str(verdict))
        self.verdict = verdict


class Inconclusive(AssertionError):
    """The interval straddles the bound."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(str(verdict))
        self.verdict = verdict


class Gated(Exception):
    """The model cannot do what the claim presupposes, or it is undecided whether it can."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"the gate stays closed, {verdict.word.lower()}: {verdict}")
        self.verdict = verdict


class Subject(Protocol):
    """What can be compared: one Estimate, or several under `every` or `some`."""

    def held_against(self, bounds: tuple[Bound, ...]) -> Verdict: ...


@dataclass(frozen=True, eq=False)
class Verdict:
    """The comparison of an interval with one bound, or with the two ends of a margin.

    word      SUPPORTED where the interval lies wholly on the claimed side, REFUTED where wholly on the other,
              else INCONCLUSIVE. An end of the interval that is closer to a bound than two Monte-Carlo standard
              errors is not told apart from it.
    estimate  what was compared; under `every` and `some` the member that decides
    members   the verdicts on all members, where there are several
    """

    word: Word
    estimate: Estimate
    bounds: tuple[Bound, ...]
    members: tuple[Verdict, ...] = ()
    kind: Kind = "one"
    subject: Subject | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        judged = current.get()
        decides = self if judged is None else judged.deciding(self)
        if decides is None or decides.word == "SUPPORTED":
            return True
        raise (Refuted if decides.word == "REFUTED" else Inconclusive)(decides)

    @property
    def bound(self) -> str:
        """The bound as text: ">= 0.60", or "within -0.05 and 0.05"."""
        if len(self.bounds) == 1:
            return f"{self.bounds[0][0]} {_bound(self.bounds[0][1])}"
        return f"within {' and '.join(_bound(bound) for _, bound in sorted(self.bounds, key=lambda leg: leg[1]))}"

    @property
    def detectable(self) -> float:
        """The smallest distance from the bound that such a sample decides in 80 % of cases.

        Source: docs/STATISTICS.md, R14.
        """
        return (self.estimate.critical + POWER) * self.estimate.se

    @property
    def n_to_decide(self) -> int | None:
        """The sample that would decide an INCONCLUSIVE comparison with power 80 %; None beyond a hundredfold.

        Source: docs/STATISTICS.md, R14.
        """
        open_ones = [member for member in self.members if member.word == "INCONCLUSIVE"]
        if open_ones:
            needed = [member.n_to_decide for member in open_ones]
            known = [n for n in needed if n is not None]
            if self.kind == "some":
                return min(known, default=None)
            return max(known) if len(known) == len(needed) else None
        distance = min(abs(self.estimate.value - bound) for _, bound in self.bounds)
        have = self.estimate.sample
        if self.detectable >= distance * math.sqrt(_BEYOND):
            return None
        return max(have + 1, math.ceil(have * (self.detectable / distance) ** 2))

    def level(self, claimed: bool) -> float:
        """p: the level at which the interval's end reaches the bound (docs/STATISTICS.md, R12).

        With `claimed` the evidence for the claim: the end on the other side of the bound's direction must stay
        inside, for all legs and (`every`) all members. Without it the evidence against, where one leg suffices.
        """
        if self.members:
            levels = [member.level(claimed) for member in self.members]
            return max(levels) if (self.kind == "every") == claimed else min(levels)
        legs = [self.estimate.level(bound, above=(sign[0] == ">") == claimed) for sign, bound in self.bounds]
        return max(legs) if claimed else min(legs)

    @property
    def numbers(self) -> str:
        """The comparison in numbers: "0.473 [0.446, 0.500] n=200 >= 0.60"."""
        shown = self.estimate.shown(*(bound for _, bound in self.bounds))
        if len(self.bounds) == 1:
            return f"{shown} {self.bounds[0][0]} {_bound(self.bounds[0][1])}"
        (lower, low), (upper, high) = sorted(self.bounds, key=lambda leg: leg[1])
        if lower[0] == "<":  # both ends are the same number: the order of the legs is open
            lower, upper = upper, lower
        return f"{_bound(low)} {_MIRROR[lower]} {shown} {upper} {_bound(high)}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What must stand beside the numbers."""
        found = []
        if self.members:
            who = self.estimate.name or "one"
            found.append(f"{who} decides among {self.kind} of {len(self.members)}, simultaneous")
        if self.estimate.across == "trainings" and self.estimate.strip:
            values = [value for _, _, value in self.estimate.strip]
            held = sum(all(_HOLDS[sign](value, bound) for sign, bound in self.bounds) for value in values)
            count = len(values)
            least = clopper_pearson(held / count, count)[0]
            found.append(f"in {held} of {count} trainings (at least {math.floor(100 * least + 0.5)} %)")
        if self.word == "INCONCLUSIVE":
            found.append(self._what_would_decide())
        return (*found, *self.estimate.notes)

    def _what_would_decide(self) -> str:
        needed = self.n_to_decide
        noun = self.estimate.sampled
        plan = f"more than {_BEYOND}x as many {noun}" if needed is None else f"{needed:,} fresh {noun}"
        return f"detects a difference of {self.detectable:.2g}; {plan} would decide it"

    def __str__(self) -> str:
        return "; ".join((self.numbers, *self.remarks))

    def to_dict(self) -> dict[str, Any]:
        """Everything that a report prints, as plain data without NaN. `estimate` is the deciding member's."""
        return {
            "word": self.word,
            "text": str(self),
            "numbers": self.numbers,
            "remarks": list(self.remarks),
            "kind": self.kind,
            "bound": self.bound,
            "bounds": [[sign, bound] for sign, bound in self.bounds],
            "estimate": self.estimate.to_dict(),
            "members": [
                {"name": member.estimate.name, "word": member.word, "estimate": member.estimate.to_dict()}
                for member in self.members
            ],
            "detectable": self.detectable,
            "n_to_decide": self.n_to_decide if self.word == "INCONCLUSIVE" else None,
            "p_supported": self.level(claimed=True),
            "p_refuted": self.level(claimed=False),
        }


def word_of(estimate: Estimate, bounds: tuple[Bound, ...]) -> Word:
    """The word for one interval: inside all bounds, outside one of them, or neither."""
    guard = 2 * estimate.monte_carlo
    low, high = estimate.low - guard, estimate.high + guard
    if all(_HOLDS[sign](low if sign[0] == ">" else high, bound) for sign, bound in bounds):
        return "SUPPORTED"
    if any(not _HOLDS[sign](high if sign[0] == ">" else low, bound) for sign, bound in bounds):
        return "REFUTED"
    return "INCONCLUSIVE"


def requires(gate: Verdict) -> None:
    """Lets a claim go on only if the comparison is SUPPORTED; otherwise the claim ends GATED.

    `requires(proportion(correct(model, prompts)) >= 0.9)`. Raises Gated, and TypeError for anything but a comparison.
    """
    if not isinstance(gate, Verdict):
        raise TypeError(
            f"requires takes a comparison, not {type(gate).__name__}: did you mean requires(estimate >= 0.9)?"
        )
    judged = current.get()
    if judged is not None:
        judged.gates.append(gate)
    if gate.word != "SUPPORTED" and not (judged is not None and judged.gates_open):
        raise Gated(gate)


def compare(subject: Subject, sign: Sign, bound: object) -> Verdict:
    """The verdict of `subject sign bound`, entered where claims are being judged.

    Raises TypeError where the bound is no number, ValueError where it is not finite.
    """
    if isinstance(bound, bool) or not isinstance(bound, Real):
        raise TypeError(_did_you_mean(subject, sign, bound))
    number = float(bound)
    if not math.isfinite(number):
        raise ValueError(f"a bound of {number} decides nothing: compare with a finite number")
    judged = current.get()
    if judged is not None:
        return judged.enter(subject, (sign, number))
    return subject.held_against(((sign, number),))


def _did_you_mean(subject: Subject, sign: Sign, other: object) -> str:
    if hasattr(other, "held_against"):
        return (
            "two estimates compared: their intervals do not say whether they differ; "
            f"did you mean difference(a, b) {sign} 0, paired by unit?"
        )
    if isinstance(other, Verdict):
        return "an estimate compared with a verdict: did you mean two claims?"
    return f"an estimate compared with {other!r}: did you mean a number, as in estimate {sign} 0.4?"


def _bound(bound: float) -> str:
    return f"{bound:.2f}" if round(bound, 2) == bound else f"{bound:.6g}"
