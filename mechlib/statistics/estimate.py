"""Estimates: a number with its interval, and what may be asked of it.

`estimate >= 0.4` is a Verdict (mechlib.statistics.deciding). Everything else that looks like a comparison is refused
with the line that was probably meant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, NoReturn

from mechlib.measurement import ROUNDING
from mechlib.parts.blinding import seal
from mechlib.statistics.deciding import Named, decided, held
from mechlib.statistics.intervals.skewness import Skewness, endangered
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
from mechlib.verdicts.verdict import Bound, Sign, Subject, Verdict, compare


def comparison(sign: Sign) -> Callable[[Subject, object], Verdict]:
    """The method behind one of the operators: a verdict, noted where a claim is being judged."""

    def compared(self: Subject, bound: object) -> Verdict:
        return compare(self, sign, bound)

    return compared


_NOT_FILED = ("skewness", "at_hand", "named")  # what decides at the comparison, which is filed


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
    named         what an author named beside it (mechlib.statistics.beside); no part of its plain data
    distribution  of the units; `strip` has (label, n, mean) for each stratum or cluster
    sources       evidence files, relative to artifacts/evidence
    levels        where units share more than clusters: ("names", 20), ("these centuries", 4), ...; first what limits it
    variance      the share of the units' variance that goes with each factor alone, by its name
    skewness      of what the mean is taken over; what it endangers is refused where the estimate is compared
    at_hand       of a share across clusters, the same on these clusters: what a gate asks about

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
    named: Named | None = None
    levels: tuple[tuple[str, int], ...] = ()
    variance: tuple[tuple[str, float], ...] = ()
    skewness: tuple[Skewness, ...] = field(default=(), repr=False)
    at_hand: Estimate | None = field(default=None, repr=False)

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

    __ge__, __gt__ = comparison(">="), comparison(">")
    __le__, __lt__ = comparison("<="), comparison("<")

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError(f"an estimate is never equal to a number: did you mean {margin(other)}?")

    def __ne__(self, other: object) -> NoReturn:
        raise TypeError("an interval cannot show that two numbers differ at all: did you mean estimate >= margin?")

    __hash__ = object.__hash__

    def __bool__(self) -> NoReturn:
        raise TypeError("an estimate is neither true nor false: did you mean estimate >= 0.4?")

    def __float__(self) -> NoReturn:
        raise TypeError("an estimate is more than its number: compare it as it is, or read estimate.value")

    def _not_calculated(self, other: object = None) -> NoReturn:
        raise TypeError(
            "estimates are not calculated with, for their intervals would not follow: did you mean difference(a, b), "
            "ratio(a, b), or another bound?"
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _not_calculated
    __neg__ = __abs__ = _not_calculated

    def held_against(self, bounds: tuple[Bound, ...]) -> Verdict:
        """The verdict of this interval on these bounds."""
        return held(decided(self, bounds, subject=self), (self,))

    def endangered(self, bounds: tuple[Bound, ...]) -> str:
        """Why skewness puts in doubt that the interval lies on this side of the bounds; "" where it does not."""
        return endangered(self.skewness, self.value, (self.low, self.high), bounds)

    def of_units_at_hand(self) -> Estimate:
        """What a gate asks about: the prompts at hand, and not all clusters that they could have come from."""
        return self if self.at_hand is None else self.at_hand

    @property
    def sample(self) -> int:
        """How many independent things there are: clusters where they were drawn, else units."""
        return self.n if self.clusters is None or self._fixed else self.clusters

    @property
    def sampled(self) -> str:
        """What a larger sample would have more of: templates, prompts, trainings."""
        if self.clusters is None or self._fixed:
            return plural(self.unit)
        return self.levels[0][0] if self.levels else self.across

    @property
    def _fixed(self) -> bool:
        """Whether all that units share is held as it is."""
        return self.across.startswith("these ")

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
        if math.isclose(self.value, bound, rel_tol=ROUNDING):
            gap = 0.0
        reach = self.value - self.low if above else self.high - self.value
        if gap <= 0:
            return float(gap < 0 or reach > 0)
        if self.trials is not None and not self.simultaneous and (bound <= 0 or bound >= 1 or self.at_hand is None):
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
            here = None if self.at_hand is None else self.at_hand.widened(times)
            return replace(self, low=low, high=high, simultaneous=True, at_hand=here)
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
        if self.levels:
            drawn = [f"{n} {name}" for name, n in self.levels if not name.startswith("these ")]
            held = [f"{n} {name[6:]}" for name, n in self.levels if name.startswith("these ")]
            counted += f" in {listed(drawn)}" * bool(drawn) + f" on these {listed(held)}" * bool(held)
        elif self.clusters is not None:
            fixed = self.across.startswith("these ")
            noun = self.across.removeprefix("these ")
            counted += f" on these {self.clusters} {noun}" if fixed else f" in {self.clusters} {noun}"
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}] {counted}"

    def __str__(self) -> str:
        return self.shown()

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain data without NaN."""
        plain = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in _NOT_FILED}
        plain["whole"] = self.named.whole if self.named else None
        plain["distribution"] = asdict(self.distribution) if self.distribution else None
        plain["strip"] = [list(row) for row in self.strip]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


seal(Estimate, "an estimate", "value", "low", "high", "se", "distribution", "strip")


def margin(other: object) -> str:
    """What was probably meant by an equality: "a margin, as in 0.35 <= estimate <= 0.45"."""
    number = other if isinstance(other, (int, float)) else 0
    return f"a margin, as in {number - 0.05:g} <= estimate <= {number + 0.05:g}"


def listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def plural(noun: str) -> str:
    """ "prompt" -> "prompts", "set of heads" -> "sets of heads", "entry" -> "entries"; before "with" too."""
    head, of, rest = re.fullmatch(r"(.*?)( of | with |$)(.*)", noun).groups()  # type: ignore[union-attr]
    if head.endswith("y") and head[-2:-1] not in tuple("aeiou"):
        head = head[:-1] + "ie"
    elif head.endswith(("s", "x", "ch", "sh")):
        head += "e"
    return f"{head}s{of}{rest}"
