"""From rows to intervals: the branches of docs/STATISTICS.md, R8.

A `Sample` says how its rows were drawn; `interval` and `interval_of_share` choose the method from that and
from what the data show, and refuse where no method is honest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mechlib.estimate import plural
from mechlib.measurement import Measurement
from mechlib.statistics.resampling import TooFew, critical_values
from mechlib.statistics.rows import by_label_and_unit
from mechlib.tails import LEVEL, NORMAL, clopper_pearson, t_quantile, wilson

FEWEST = 5  # clusters that can stand for all clusters
FEWEST_UNITS = 20  # for a mean: below, the data cannot show that they are skewed (lognormal: 7 % wrong at n = 10)
MANY_CLUSTERS = 30  # from here on they are resampled; below, t
FEW_HITS = 12  # of either kind: below, a share's interval is exact

Drawn = Literal["units", "clusters", "these"]


@dataclass(frozen=True)
class Sample:
    """Rows in an order of their own (by cluster and unit), and how they were drawn.

    rows      units, or cluster means where clusters were drawn, x columns
    base      denominators of a ratio, one a row; None for means
    sizes     consecutive rows a stratum; one stratum unless `drawn` is "these" or two samples are compared
    shares    what each stratum's mean counts for in the estimate: every cluster the same
    n         units behind the rows; `clusters` their clusters, None where independent
    across    what the estimate generalises over
    """

    rows: np.ndarray
    base: np.ndarray | None
    sizes: tuple[int, ...]
    shares: tuple[float, ...]
    drawn: Drawn
    n: int
    clusters: int | None
    across: str

    @property
    def trials(self) -> float:
        """Units, or what they are worth where strata of unequal size count the same."""
        if len(set(self.sizes)) == 1:
            return float(self.n)
        return 1 / sum(share**2 / size for share, size in zip(self.shares, self.sizes, strict=True))

    @property
    def starts(self) -> np.ndarray:
        return np.cumsum((0, *self.sizes[:-1]))

    def combined(self, values: np.ndarray) -> np.ndarray:
        """Stratum means of values (rows x columns), added with their shares."""
        means = np.add.reduceat(values, self.starts, axis=0) / np.array(self.sizes)[:, None]
        combined: np.ndarray = np.array(self.shares) @ means
        return combined

    def within(self, values: np.ndarray) -> np.ndarray:
        """Values (rows x columns) less the mean of their stratum."""
        means = np.add.reduceat(values, self.starts, axis=0) / np.array(self.sizes)[:, None]
        centred: np.ndarray = values - np.repeat(means, self.sizes, axis=0)
        return centred


def sample(measured: Measurement, across: str | None, base: Measurement | None = None) -> Sample:
    """The rows of a measurement as R8 (docs/STATISTICS.md) sees them; `base` has the denominators of the same units.

    across  None for the widest: clusters where there are any, else units. "templates" (or "names", ...) for
            clusters drawn at random, "these templates" for clusters held fixed.
    """
    drawn, noun = _across(measured, across)
    labels = measured.clusters if drawn != "units" else ("",) * len(measured)
    order = by_label_and_unit(labels, measured.units)
    rows = measured.values[order]
    below = None if base is None else base.array[order]
    sizes = _runs([labels[row] for row in order])
    clusters = None if drawn == "units" else len(sizes)
    shares = (1 / len(sizes),) * len(sizes)
    if drawn == "clusters":
        starts = np.cumsum((0, *sizes[:-1]))
        counted = np.array(sizes)
        rows = np.add.reduceat(rows, starts, axis=0) / counted[:, None]
        below = None if below is None else np.add.reduceat(below, starts) / counted
        sizes, shares = (len(sizes),), (1.0,)
    return Sample(rows, below, sizes, shares, drawn, len(measured), clusters, noun)


def _across(measured: Measurement, across: str | None) -> tuple[Drawn, str]:
    units = plural(measured.unit)
    if not measured.clusters:
        if across not in (None, units):
            raise ValueError(
                f"across={across!r}, but these {units} are independent: there is nothing else to generalise over"
            )
        return "units", units
    if across == units and len(set(measured.clusters)) < len(measured):
        raise ValueError(
            f"{len(measured)} {units} share {len(set(measured.clusters))} clusters, so they are not independent: "
            f"across='templates' (or what the clusters are), or across='these templates'"
        )
    noun = across or "templates"
    return ("these" if noun.startswith("these ") else "clusters"), noun


def _runs(labels: Sequence[str]) -> tuple[int, ...]:
    sizes: list[int] = []
    for label, before in zip(labels, [None, *labels], strict=False):
        if label == before:
            sizes[-1] += 1
        else:
            sizes.append(1)
    return tuple(sizes)


@dataclass(frozen=True)
class Interval:
    """Numbers of several columns, arrays of one number a column; `constant` where nothing varied."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    se: np.ndarray
    monte_carlo: np.ndarray
    constant: np.ndarray
    df: float | None
    method: str


def interval(drawn: Sample, columns: Sequence[str]) -> Interval:
    """Intervals of means, or of ratios where the sample has a base; simultaneous where there are several columns.

    Raises TooFew, naming the column.
    """
    check_enough(drawn)
    below = 1.0 if drawn.base is None else float(drawn.combined(drawn.base[:, None])[0])
    value = drawn.combined(drawn.rows) / below
    residuals = drawn.rows / below if drawn.base is None else (drawn.rows - value * drawn.base[:, None]) / below
    about = drawn.within(residuals)  # what lies between fixed strata is no error of the estimate
    sizes = np.array(drawn.sizes)[:, None]
    parts = np.array(drawn.shares)[:, None] ** 2 * np.add.reduceat(about**2, drawn.starts, axis=0) / (sizes - 1) / sizes
    se = np.sqrt(parts.sum(axis=0))
    live = se > 1e-12 * np.abs(drawn.rows / below).max(axis=0)
    df = _degrees(drawn, parts)
    low, high, error = value.copy(), value.copy(), np.zeros(len(value))
    method = "constant"
    if live.any():
        names = [name for name, alive in zip(columns, live, strict=True) if alive]
        moved = residuals if drawn.base is not None else about
        method, bottom, top, noise = _reach(drawn, moved[:, live], about[:, live], below, names, df)
        low[live], high[live], error[live] = (value - top * se)[live], (value - bottom * se)[live], (noise * se)[live]
    return Interval(value, low, high, se, error, ~live, df, method)


def _reach(
    drawn: Sample, moved: np.ndarray, about: np.ndarray, below: float, names: Sequence[str], df: float
) -> tuple[str, float, float, float]:
    """The method, how many standard errors the interval reaches down and up, and the Monte-Carlo error of that."""
    if drawn.drawn == "clusters" and min(drawn.sizes) < MANY_CLUSTERS:
        reach = t_quantile(1 - LEVEL / 2 / len(names), df)
        return "t across clusters", -reach, reach, 0.0
    _check_skewness(about, names, drawn)
    base = None if drawn.base is None else drawn.base / below
    bottom, top, *errors = (float(number) for number in critical_values(moved, base, drawn.sizes, drawn.shares))
    if not np.isfinite((bottom, top, *errors)).all():
        raise TooFew(
            f"resamples of these {drawn.n} {drawn.across} often show no variation at all in {', '.join(names[:3])}: "
            "a few of them carry it; measure more, or take a proportion"
        )
    word = {"units": "bootstrap-t", "clusters": "cluster bootstrap-t", "these": "stratified bootstrap-t"}[drawn.drawn]
    return word, bottom, top, max(errors)


def _degrees(drawn: Sample, parts: np.ndarray) -> float:
    """Degrees of freedom: rows less strata, or Welch's between two samples whose spreads differ (the smallest)."""
    if drawn.drawn != "clusters" or len(drawn.sizes) == 1:
        return float(len(drawn.rows) - len(drawn.sizes))
    total = parts.sum(axis=0)
    spread = (parts**2 / (np.array(drawn.sizes)[:, None] - 1)).sum(axis=0)
    return float(np.min(total[spread > 0] ** 2 / spread[spread > 0], initial=len(drawn.rows) - len(drawn.sizes)))


def check_enough(drawn: Sample) -> None:
    """Raises TooFew where there are too few rows for any interval, naming how many would do."""
    if drawn.drawn == "clusters" and min(drawn.sizes) < FEWEST:
        raise TooFew(
            f"{min(drawn.sizes)} {drawn.across} are too few to generalise over them: at least {FEWEST}, "
            f"or across='these {drawn.across}'"
        )
    if drawn.drawn == "these" and min(drawn.sizes) < 2:
        raise TooFew(
            f"one of {drawn.across} has a single unit: its spread cannot be seen; measure at least two in each"
        )
    units = min(drawn.sizes) if drawn.drawn == "units" else drawn.n
    if drawn.drawn != "clusters" and units < FEWEST_UNITS:
        raise TooFew(f"n={units} {drawn.across} are too few for an interval: measure at least {FEWEST_UNITS}")


def _check_skewness(about: np.ndarray, columns: Sequence[str], drawn: Sample) -> None:
    n = len(about)
    if n >= 200:
        return
    skewness = np.mean(about**3, axis=0) / np.mean(about**2, axis=0) ** 1.5
    worst = int(np.abs(skewness).argmax())
    if abs(skewness[worst]) > (1 if n < 50 else 2):
        raise TooFew(
            f"{n} {drawn.across} with skewness {skewness[worst]:.1f} (column {columns[worst]}) are too few for "
            f"an interval of a mean: measure at least {200 if abs(skewness[worst]) > 2 else 50}, or take a proportion"
        )


@dataclass(frozen=True)
class Share:
    """A proportion with its interval; `trials` is the effective number of independent ones."""

    value: float
    low: float
    high: float
    se: float
    trials: float
    df: float | None
    method: str
    notes: tuple[str, ...] = ()


def interval_of_share(drawn: Sample, column: int, level: float) -> Share:
    """The interval of a share of yes/no values. Raises TooFew below five clusters.

    Independent: Wilson from 50 on where there are twelve of either kind, else Clopper-Pearson. Where a kind is rare
    Wilson's interval covers as little as 84 %; so chosen, at least 93 % whatever the share (a test enumerates it).
    Across clusters: Korn-Graubard. On these clusters: as independent, for drawing within fixed clusters varies less.
    Source: docs/STATISTICS.md, R8; Korn and Graubard 1998.
    """
    p = float(drawn.combined(drawn.rows)[column])
    if drawn.drawn == "clusters":
        check_enough(drawn)
        return _korn_graubard(p, drawn.rows[:, column], drawn.n, level)
    trials = drawn.trials
    common = trials >= 50 and min(p, 1 - p) * trials >= FEW_HITS - 1e-9
    low, high = (wilson if common else clopper_pearson)(p, trials, level)
    return Share(p, low, high, _se_of_share(p, trials), trials, None, "Wilson" if common else "Clopper-Pearson")


def _korn_graubard(p: float, means: np.ndarray, n: int, level: float) -> Share:
    df = len(means) - 1
    variance = float(means.var(ddof=1)) / len(means)
    trials = float(n)
    notes: tuple[str, ...] = ("no variation seen between clusters",)
    if variance > 1e-24:
        notes = ()
        smaller = (t_quantile(1 - LEVEL / 2, n - 1) / t_quantile(1 - LEVEL / 2, df)) ** 2
        trials = min(n, p * (1 - p) / variance) * smaller
    low, high = clopper_pearson(p, trials, level)
    return Share(p, low, high, _se_of_share(p, trials), trials, df, "Korn-Graubard", notes)


def _se_of_share(p: float, trials: float) -> float:
    """The standard error after two more of either kind, so that it is never zero (Agresti and Coull 1998)."""
    centre = (p * trials + 2) / (trials + 4)
    return float(np.sqrt(centre * (1 - centre) / (trials + 4)))


def interval_of_paired_shares(up: float, down: float, trials: float, level: float) -> tuple[float, float, float]:
    """Ends and standard error of a difference of two shares seen on the same units.

    up, down  share of units where only the first, or only the second, is a yes

    Source: Bonett and Price 2012: one more of either kind, so that it is never without width.
    """
    more, less = (up * trials + 1) / (trials + 2), (down * trials + 1) / (trials + 2)
    se = float(np.sqrt((more + less - (more - less) ** 2) / (trials + 2)))
    reach = NORMAL.inv_cdf(1 - level / 2) * se
    return max(-1.0, min(up - down, more - less - reach)), min(1.0, max(up - down, more - less + reach)), se


def interval_of_unpaired_shares(first: np.ndarray, second: np.ndarray, level: float) -> tuple[float, float, float]:
    """Ends and standard error of a difference of two shares of different units. Source: Newcombe 1998, method 10."""
    a, b = float(first.mean()), float(second.mean())
    (a_low, a_high), (b_low, b_high) = wilson(a, len(first), level), wilson(b, len(second), level)
    low = a - b - float(np.hypot(a - a_low, b_high - b))
    high = a - b + float(np.hypot(a_high - a, b - b_low))
    return low, high, float(np.hypot(_se_of_share(a, len(first)), _se_of_share(b, len(second))))
