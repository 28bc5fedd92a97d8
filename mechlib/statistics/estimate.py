"""Estimates: a number with its interval, and what may be asked of it.

`estimate >= 0.4` is a Verdict (`mechlib.verdicts.verdict`, whose names are importable from here). Everything else that
looks like a comparison is refused with the line that was probably meant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, NoReturn

from mechlib.statistics.intervals.tails import (
    LEVEL,
    Z,
    binomial_tail,
    clopper_pearson,
    normal_tail,
    t_quantile,
    t_tail,
    wilson,
)
from mechlib.verdicts.comparing import Judging, judging
from mechlib.verdicts.verdict import (
    Bound,
    Gated,
    Inconclusive,
    Outcome,
    Refuted,
    Sign,
    Subject,
    Verdict,
    Word,
    compare,
    requires,
    word_of,
)

__all__ = [
    "Distribution", "Estimate", "Family", "Gated", "Group", "Inconclusive", "Judging", "Outcome", "Refuted",
    "Verdict", "Word", "every", "judging", "requires", "some",
]  # fmt: skip


def _comparison(sign: Sign) -> Callable[[Subject, object], Verdict]:
    def compared(self: Subject, bound: object) -> Verdict:
        return compare(self, sign, bound)

    return compared


@dataclass(frozen=True)
class Distribution:
    """How the units lie around their mean: `wrong_sign` is the share of the other sign (docs/STATISTICS.md, R4)."""

    minimum: float
    lower_quartile: float
    median: float
    upper_quartile: float
    maximum: float
    wrong_sign: float


@dataclass(frozen=True, eq=False)
class Estimate:
    """A number, its 95 % interval, and what both generalise over.

    across        "prompts", "templates", "these templates", "trainings", "this checkpoint", ...
    clusters      how many templates (names, ...) the units fall into; None where units are independent
    se            standard error; `df` its degrees of freedom, None for a normal
    monte_carlo   Monte-Carlo standard error of the interval's ends; 0 where nothing was resampled
    simultaneous  whether the interval holds together with those of a family
    trials        for shares: the (effective) number of independent trials behind the interval
    distribution  of the units; `strip` has (label, n, mean) for each stratum or cluster
    sources       evidence files, relative to artifacts/evidence

    Raises ValueError where a number is not finite: such an estimate means nothing and is no JSON.
    """

    value: float
    low: float
    high: float
    n: int
    unit: str
    across: str
    method: str
    se: float
    clusters: int | None = None
    name: str = ""
    of: str = ""
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    monte_carlo: float = 0.0
    simultaneous: bool = False
    distribution: Distribution | None = None
    strip: tuple[tuple[str, int, float], ...] = ()
    df: float | None = None
    trials: float | None = None

    __array_ufunc__ = None  # a numpy scalar on the left leaves the comparison to us

    def __post_init__(self) -> None:
        for name in ("value", "low", "high", "se", "monte_carlo"):
            number = float(getattr(self, name))
            if not math.isfinite(number):
                raise ValueError(f"{self.name or 'an estimate'} has {name} {number}: nothing can be judged by it")
            object.__setattr__(self, name, number)
        for name, kind in (("n", int), ("clusters", int), ("df", float), ("trials", float)):
            if getattr(self, name) is not None:  # numpy's numbers are no JSON
                object.__setattr__(self, name, kind(getattr(self, name)))
        if self.low > self.high:
            raise ValueError(f"the interval [{self.low}, {self.high}] is upside down")

    __ge__, __gt__ = _comparison(">="), _comparison(">")
    __le__, __lt__ = _comparison("<="), _comparison("<")

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError(f"an estimate is never equal to a number: did you mean {_margin(other)}?")

    def __ne__(self, other: object) -> NoReturn:
        raise TypeError("an interval cannot show that two numbers differ at all: did you mean estimate >= margin?")

    __hash__ = object.__hash__

    def __bool__(self) -> NoReturn:
        raise TypeError("an estimate is neither true nor false: did you mean estimate >= 0.4?")

    def __float__(self) -> NoReturn:
        raise TypeError("an estimate is more than its number: compare it as it is, or read estimate.value")

    def held_against(self, bounds: tuple[Bound, ...]) -> Verdict:
        """The verdict of this interval on these bounds."""
        return Verdict(word_of(self, bounds), self, bounds, subject=self)

    @property
    def sample(self) -> int:
        """How many independent things there are: clusters where they were drawn, else units."""
        return self.n if self.clusters is None or self.across.startswith("these ") else self.clusters

    @property
    def sampled(self) -> str:
        """What a larger sample would have more of: templates, prompts, trainings."""
        return plural(self.unit) if self.clusters is None or self.across.startswith("these ") else self.across

    @property
    def critical(self) -> float:
        """Half the interval in standard errors where it belongs to a family, 1.96 otherwise."""
        return max(Z, (self.high - self.low) / (2 * self.se)) if self.simultaneous and self.se > 0 else Z

    def level(self, bound: float, above: bool) -> float:
        """The two-sided level at which the lower end (`above`) or the upper end of the interval reaches `bound`.

        From t on (value - bound) / SE, stretched so that it is exactly .05 where the end itself lies; for shares
        from the score test or the exact tail. Source: docs/STATISTICS.md, R12.
        """
        gap = self.value - bound if above else bound - self.value
        reach = self.value - self.low if above else self.high - self.value
        if gap <= 0:
            return float(gap < 0 or reach > 0)
        if self.trials is not None and not self.simultaneous:
            return self._level_of_share(bound, above)
        if reach <= 0:
            return 0.0
        return min(1.0, 2 * t_tail(gap / reach * t_quantile(1 - LEVEL / 2, self.df), self.df))

    def _level_of_share(self, bound: float, above: bool) -> float:
        trials = self.trials or 0.0
        if not 0 < bound < 1:
            return 0.0
        if self.method == "Wilson":
            return min(1.0, 2 * normal_tail(abs(self.value - bound) / math.sqrt(bound * (1 - bound) / trials)))
        hits = self.value * trials
        tail = binomial_tail(hits, trials, bound) if above else binomial_tail(trials - hits, trials, 1 - bound)
        return min(1.0, 2 * tail)

    def widened(self, times: int) -> Estimate:
        """The same estimate with the interval that holds together with `times` - 1 others (Bonferroni)."""
        if times == 1:
            return self
        level = LEVEL / times
        if self.trials is not None:
            low, high = (wilson if self.method == "Wilson" else clopper_pearson)(self.value, self.trials, level)
            return replace(self, low=low, high=high, simultaneous=True)
        factor = t_quantile(1 - level / 2, self.df) / t_quantile(1 - LEVEL / 2, self.df)
        return replace(
            self,
            low=self.value - factor * (self.value - self.low),
            high=self.value + factor * (self.high - self.value),
            monte_carlo=factor * self.monte_carlo,
            simultaneous=True,
        )

    def shown(self, *bounds: float) -> str:
        """The numbers as text: "0.473 [0.446, 0.500] n=200". Digits are added until no end looks like a bound."""
        if self.method == "exact":
            return f"{self.value:.4g} exactly"
        digits = 3 if self.high <= self.low else min(6, max(3, 1 - math.floor(math.log10(self.high - self.low) - 0.3)))
        ends = [end for end in (self.low, self.high) if end not in bounds]
        while digits < 6 and any(f"{end:.{digits}f}" == f"{bound:.{digits}f}" for end in ends for bound in bounds):
            digits += 1
        counted = f"n={self.n}"
        if self.clusters is not None:
            fixed = self.across.startswith("these ")
            noun = self.across.removeprefix("these ")
            counted += f" on these {self.clusters} {noun}" if fixed else f" in {self.clusters} {noun}"
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}] {counted}"

    def __str__(self) -> str:
        return self.shown()

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain data without NaN."""
        plain = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        plain["distribution"] = asdict(self.distribution) if self.distribution else None
        plain["strip"] = [list(row) for row in self.strip]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


@dataclass(frozen=True, eq=False)
class Family:
    """Estimates of several columns made together: their intervals hold simultaneously. Iterates over Estimates."""

    estimates: tuple[Estimate, ...]
    of: str = ""

    __array_ufunc__ = None

    def _refuse(self, other: object = None) -> NoReturn:
        raise TypeError("several estimates at once: did you mean every(estimates) >= b, or some(estimates) >= b?")

    __ge__ = __gt__ = __le__ = __lt__ = __eq__ = __ne__ = __bool__ = _refuse
    __hash__ = object.__hash__

    def __iter__(self) -> Iterator[Estimate]:
        return iter(self.estimates)

    def __len__(self) -> int:
        return len(self.estimates)

    def __getitem__(self, name: object) -> Estimate:
        """One member by its column's name, or by a Head; its interval stays the simultaneous one."""
        for estimate in self.estimates:
            if estimate.name == str(name):
                return estimate
        raise KeyError(f"no {name} here: there are {', '.join(estimate.name for estimate in self.estimates)}")


@dataclass(frozen=True, eq=False)
class Group:
    """All (`every`) or at least one (`some`) of several estimates, ready to be compared once."""

    estimates: tuple[Estimate, ...]
    kind: Literal["every", "some"] = field(default="every")

    __array_ufunc__ = None

    __ge__, __gt__ = _comparison(">="), _comparison(">")
    __le__, __lt__ = _comparison("<="), _comparison("<")

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError(f"estimates are never equal to a number: did you mean {_margin(other)}?")

    __ne__ = __eq__
    __hash__ = object.__hash__

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self.kind} of what? did you mean {self.kind}(estimates) >= 0.4?")

    def held_against(self, bounds: tuple[Bound, ...]) -> Verdict:
        """One word for all members: the worst of them under `every`, the best under `some`."""
        members = tuple(estimate.held_against(bounds) for estimate in self.estimates)
        words = {member.word for member in members}
        order: tuple[Word, ...] = ("REFUTED", "INCONCLUSIVE", "SUPPORTED")
        if self.kind == "some":
            order = order[::-1]
        word = next(word for word in order if word in words)
        worst_first = sorted((m for m in members if m.word == word), key=lambda member: _slack(member.estimate, bounds))
        deciding = worst_first[0 if self.kind == "every" else -1]
        return Verdict(word, deciding.estimate, bounds, members, self.kind, subject=self)


def every(estimates: Family | Iterable[Estimate]) -> Group:
    """`every(estimates) >= b`: REFUTED if any interval is wholly on the wrong side, else INCONCLUSIVE if any straddles.

    A Family has simultaneous intervals already; the intervals of any other estimates are widened (Bonferroni).
    Raises ValueError where there is none, TypeError for anything but estimates.
    """
    return Group(_together(estimates, "every"), "every")


def some(estimates: Family | Iterable[Estimate]) -> Group:
    """`some(estimates) >= b`: SUPPORTED if one interval is wholly inside, REFUTED if all are wholly outside.

    Intervals are simultaneous, as in `every`; so are the errors.
    """
    return Group(_together(estimates, "some"), "some")


def _together(estimates: Family | Iterable[Estimate], word: str) -> tuple[Estimate, ...]:
    if isinstance(estimates, Estimate):
        raise TypeError(f"{word} of one estimate: compare it as it is, or give all columns to one mean(...)")
    members = tuple(estimates)
    for member in members:
        if not isinstance(member, Estimate):
            meant = f"{word}(estimates) >= 0.4" if isinstance(member, Verdict) else "mean(...) of it"
            raise TypeError(f"{word} takes estimates, not {type(member).__name__}: did you mean {meant}?")
    if not members:
        raise ValueError(f"{word} of no estimates says nothing: the selection is empty")
    if isinstance(estimates, Family):
        return members
    return tuple(member.widened(len(members)) for member in members)


def _slack(estimate: Estimate, bounds: tuple[Bound, ...]) -> float:
    """How far inside the bounds the value lies; negative outside."""
    return min((estimate.value - bound) * (1 if sign[0] == ">" else -1) for sign, bound in bounds)


def _margin(other: object) -> str:
    number = other if isinstance(other, (int, float)) else 0
    return f"a margin, as in {number - 0.05:g} <= estimate <= {number + 0.05:g}"


def plural(noun: str) -> str:
    """ "prompt" -> "prompts", "set of heads" -> "sets of heads", "entry" -> "entries"."""
    head, of, rest = noun.partition(" of ")
    if head.endswith("y") and head[-2:-1] not in tuple("aeiou"):
        head = head[:-1] + "ie"
    elif head.endswith(("s", "x", "ch", "sh")):
        head += "e"
    return f"{head}s{of}{rest}"
