"""Verdicts: what the comparison of an interval with a number said, and who hears of it.

A Verdict is a record, filled by the estimate that was compared (mechlib.statistics.deciding); nothing is computed here.
It is true or it raises; it is never false. So `not`, `or`, `any` and `if` cannot turn a refutation into a pass.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from numbers import Real
from types import CodeType
from typing import Any, Literal, Protocol

import msgspec

from mechlib.parts.blinding import refuse_double_dipping, seal
from mechlib.verdicts.controls import Control

# What a comparison can say, and what a claim can end with besides.
Word = Literal["SUPPORTED", "REFUTED", "INCONCLUSIVE"]
Outcome = Literal["SUPPORTED", "REFUTED", "INCONCLUSIVE", "VOID", "GATED", "NOT RUN", "ERROR"]
Sign = Literal[">=", ">", "<=", "<"]
Bound = tuple[Sign, float]
Kind = Literal["one", "every", "some"]


class _Failed(AssertionError):
    def __init__(self, verdict: Verdict) -> None:
        super().__init__("; ".join(said for said in (str(verdict), verdict.voided) if said))
        self.verdict = verdict


class Refuted(_Failed):
    """The interval lies wholly on the other side of the bound."""


class Inconclusive(_Failed):
    """The interval straddles the bound, or what stands beside it cannot be told from it."""


class Void(_Failed):
    """The claim holds of its control as well: of a part that it is not about."""


class Gated(Exception):
    """The model cannot do what the claim presupposes, or it is undecided whether it can."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"the gate stays closed, {verdict.word.lower()}: {verdict}")
        self.verdict = verdict


class Estimated(Protocol):
    """The number with an interval that a verdict is about."""

    @property
    def name(self) -> str:
        """The column that was estimated; "" where there is one only."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain data without NaN."""


class Subject(Protocol):
    """What can be compared: one Estimate, or several under `every` or `some`."""

    def held_against(self, bounds: tuple[Bound, ...]) -> Verdict:
        """The verdict on these bounds."""

    def of_units_at_hand(self) -> Subject:
        """The same about the units at hand only, for a gate: itself, unless it generalises over clusters of answers."""
        ...


@dataclass(frozen=True, eq=False)
class Verdict:
    """The comparison of an interval with one bound, or with the two ends of a margin.

    word         SUPPORTED where the interval lies wholly on the claimed side, REFUTED where wholly on the other,
                 else INCONCLUSIVE. An end of the interval that is closer to a bound than two Monte-Carlo standard
                 errors is not told apart from it.
    estimate     what was compared; under `every` and `some` the member that decides
    numbers      the comparison in numbers: "0.473 [0.446, 0.500] n=200 >= 0.60"; `remarks` must stand beside them
    detectable   the smallest distance from the bound that such a sample decides in 80 % of cases
    n_to_decide  the sample that would decide an INCONCLUSIVE comparison with power 80 %; None beyond a hundredfold
    p_supported, p_refuted  the levels at which the interval's end reaches the bound, as evidence for and against
    members      the verdicts on all members, where there are several
    controls     what `control=` and `beside=` came to

    Source: docs/STATISTICS.md, R12 and R14.
    """

    word: Word
    estimate: Estimated
    bounds: tuple[Bound, ...]
    numbers: str
    remarks: tuple[str, ...]
    detectable: float
    n_to_decide: int | None
    p_supported: float
    p_refuted: float
    members: tuple[Verdict, ...] = ()
    kind: Kind = "one"
    subject: Subject | None = field(default=None, repr=False)
    controls: tuple[Control, ...] = ()

    def __bool__(self) -> bool:
        judged = the_running_claim.get()
        if judged is not None:
            asking = sys._getframe(1)
            judged.asked_in = (asking.f_code, asking.f_lineno)
        decides = self if judged is None else judged.deciding(self)
        if decides is None or (decides.word == "SUPPORTED" and not decides.controls):
            return True
        if wrong := [control.message for control in decides.controls if control.word == "error"]:
            raise ValueError(wrong[0])
        if decides.word == "SUPPORTED" and not decides.voided:
            return True
        raise {"SUPPORTED": Void, "REFUTED": Refuted, "INCONCLUSIVE": Inconclusive}[decides.word](decides)

    @property
    def voided(self) -> str:
        """What a control says against it in one line; "" where none does."""
        held = [control.message for control in self.controls if control.word == "void" and self.word == "SUPPORTED"]
        return f"but of its control too, {held[0]}: it does not need what it names" if held else ""

    @property
    def bound(self) -> str:
        """The bound as text: ">= 0.60", or "within -0.05 and 0.05"."""
        if len(self.bounds) == 1:
            return f"{self.bounds[0][0]} {bound_text(self.bounds[0][1])}"
        return f"within {' and '.join(bound_text(bound) for _, bound in sorted(self.bounds, key=lambda leg: leg[1]))}"

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
            "p_supported": self.p_supported,
            "p_refuted": self.p_refuted,
            "controls": [msgspec.structs.asdict(control) for control in self.controls],
        }


seal(Verdict, "a verdict", "word", "numbers", "remarks", "detectable", "n_to_decide", "p_supported", "p_refuted")


def bound_text(bound: float) -> str:
    """A bound as it is written in every output: two decimals where they are enough."""
    return f"{bound:.2f}" if round(bound, 2) == bound else f"{bound:.6g}"


def requires(gate: Verdict) -> None:
    """Lets a claim go on only if the comparison is SUPPORTED; otherwise the claim ends GATED.

    A share is asked of the prompts at hand, whatever it generalises over.

    `requires(proportion(correct(model, prompts)) >= 0.9)`. Raises Gated, and TypeError for anything but a comparison.
    """
    if not isinstance(gate, Verdict):
        raise TypeError(
            f"requires takes a comparison, not {type(gate).__name__}: did you mean requires(estimate >= 0.9)?"
        )
    judged = the_running_claim.get()
    gate = _of_units_at_hand(gate, judged)
    if judged is not None:
        judged.gates.append(gate)
    if gate.word != "SUPPORTED" and not (judged is not None and judged.gates_open):
        raise Gated(gate)


def _of_units_at_hand(gate: Verdict, judged: JudgementInProgress | None) -> Verdict:
    """The gate about the prompts at hand: whether a model can do them, not whether it could do others (R30)."""
    here = gate.subject if gate.subject is None else gate.subject.of_units_at_hand()
    if here is None or here is gate.subject:
        return gate
    asked = here.held_against(gate.bounds)
    if judged is not None and gate in judged.verdicts:
        judged.verdicts[judged.verdicts.index(gate)] = asked
    return asked


def compare(subject: Subject, sign: Sign, bound: object) -> Verdict:
    """The verdict of `subject sign bound`, entered where claims are being judged.

    Raises TypeError where the bound is no number, ValueError where it is not finite.
    """
    if isinstance(bound, bool) or not isinstance(bound, Real):
        raise TypeError(_did_you_mean(subject, sign, bound))
    number = float(bound)
    if not math.isfinite(number):
        raise ValueError(f"a bound of {number} decides nothing: compare with a finite number")
    judged = the_running_claim.get()
    if judged is not None:
        return judged.note(subject, (sign, number))
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


# --- who hears of it ----------------------------------------------------------------------------------------------


@dataclass(eq=False)
class JudgementInProgress:
    """What was compared while a claim ran.

    verdicts  all comparisons, in order, passing or not; a chain counts once
    gates     those that were given to `requires`
    asserted  the last one whose truth was asked for: the claim's assert
    asked_in  the code and the line that asked for it
    """

    chained: bool = False
    gates_open: bool = False
    verdicts: list[Verdict] = field(default_factory=list)
    gates: list[Verdict] = field(default_factory=list)
    asserted: Verdict | None = None
    asked_in: tuple[CodeType, int] | None = None
    _waiting: Verdict | None = field(default=None, repr=False)
    _chains: dict[Verdict, Verdict] = field(default_factory=dict, repr=False)

    def deciding(self, verdict: Verdict) -> Verdict | None:
        """The verdict that decides when the truth of this one is asked for; None if a second half is still to come.

        Python asks for the truth of `low <= estimate` before it compares `estimate <= high`; pytest's rewritten
        asserts make both comparisons first. Either way there is one verdict over the margin, in place of the halves.
        """
        if not self.chained or verdict in self._chains or verdict not in self.verdicts or len(verdict.bounds) == 2:
            return self._decides(self._chains.get(verdict, verdict))
        if self._waiting is not None and self._waiting is not verdict:
            raise TypeError(f"half a chain: {self._waiting.numbers} was never compared with a second number")
        here = self.verdicts.index(verdict)
        for following in self.verdicts[here + 1 : here + 2]:
            if following.subject is verdict.subject:
                self.verdicts.remove(following)
                self._chains[following] = self._chain(verdict, following.bounds[0])
                return self._decides(self._chains[following])
        self._waiting = verdict
        return None

    def _decides(self, verdict: Verdict) -> Verdict:
        if self.asserted is not None and self.asserted is not verdict:
            raise TypeError(
                f"{self.asserted.numbers} was asked for its truth, and now {verdict.numbers}: a claim asks once, "
                "in its assert; for a condition use requires(...)"
            )
        self.asserted = verdict
        closed = next((gate for gate in self.gates if gate.word != "SUPPORTED"), None)
        if closed is not None and not self.gates_open:
            raise TypeError(f"the gate {closed.numbers} stayed closed, and something caught it on its way")
        refuse_double_dipping(
            source for one in (verdict, *verdict.members) for source in one.estimate.to_dict().get("sources", ())
        )
        return verdict

    def note(self, subject: Subject, bound: Bound) -> Verdict:
        """Records a comparison; the second half of a chain takes the place of the first, which waits for it."""
        if self._waiting is not None and self._waiting.subject is subject:
            return self._chain(self._waiting, bound)
        verdict = subject.held_against((bound,))
        self.verdicts.append(verdict)
        return verdict

    def _chain(self, first: Verdict, second: Bound) -> Verdict:
        assert first.subject is not None
        _check_margin(first.bounds[0], second)
        whole = first.subject.held_against((first.bounds[0], second))
        self.verdicts[self.verdicts.index(first)] = self._chains[first] = whole
        self._waiting = None
        return whole


the_running_claim: ContextVar[JudgementInProgress | None] = ContextVar("the_running_claim", default=None)


@contextmanager
def judging(chained: bool = False, gates_open: bool = False) -> Iterator[JudgementInProgress]:
    """Collects every comparison made inside.

    chained     the claim's assert is `low <= estimate <= high`: there is one verdict, over the margin. Where this is
                not set each half decides by itself.
    gates_open  `requires` records, but lets everything pass: for twins.
    """
    collected = JudgementInProgress(chained, gates_open)
    token = the_running_claim.set(collected)
    try:
        yield collected
    finally:
        the_running_claim.reset(token)


def _check_margin(first: Bound, second: Bound) -> None:
    if first[0][0] == second[0][0]:
        raise TypeError(f"{first[0]} {first[1]} and {second[0]} {second[1]} bound one side: a margin has two")
    floor, ceiling = (first, second) if first[0][0] == ">" else (second, first)
    if floor[1] > ceiling[1]:
        raise ValueError(f"no number lies between {floor[1]} and {ceiling[1]}: turn the margin round")
