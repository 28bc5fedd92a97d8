"""From rows to intervals: the branches of docs/STATISTICS.md, R8.

A `Sample` says how its rows were drawn; `interval` and `interval_of_share` choose the method from that and
from what the data show, and refuse where no method is honest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mechlib.statistics.intervals.crossed import Crossed
from mechlib.statistics.intervals.factors import FEWEST
from mechlib.statistics.intervals.resampling import TooFew, critical_values
from mechlib.statistics.intervals.sample import Sample
from mechlib.statistics.intervals.skewness import Skewness, skewness_of
from mechlib.statistics.intervals.tails import LEVEL, t_quantile

FEWEST_UNITS = 20  # for a mean: below, the data cannot show that they are skewed (lognormal: 7 % wrong at n = 10)
MANY_CLUSTERS = 30  # from here on they are resampled; below, t
FEW_HITS = 12  # of either kind: below, a share's interval is exact


@dataclass(frozen=True)
class Interval:
    """Numbers of several columns, arrays of one number a column; `constant` where nothing varied.

    skewness  of each column, of all that its mean is taken over; () where the interval allows for it
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    se: np.ndarray
    monte_carlo: np.ndarray
    constant: np.ndarray
    df: float | None
    method: str
    skewness: tuple[tuple[Skewness, ...], ...] = ()


def interval(drawn: Sample, columns: Sequence[str]) -> Interval:
    """Intervals of means, or of ratios where the sample has a base; simultaneous where there are several columns.

    Raises TooFew, naming the column.
    """
    check_enough(drawn)
    below = 1.0 if drawn.base is None else float(drawn.combined(drawn.base[:, None])[0])
    value = drawn.combined(drawn.rows) / below
    if drawn.crossed is not None:
        return _interval_of_crossed(value, below, drawn.crossed)
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
    return Interval(value, low, high, se, error, ~live, df, method, _skewness(drawn, about))


def _interval_of_crossed(value: np.ndarray, below: float, units: Crossed) -> Interval:
    """t on the degrees of freedom of whatever is shared, Bonferroni's where there are several columns (R29)."""
    se = np.sqrt(units.design.variance(units.residuals(value, below)))
    live = se > 1e-12 * np.abs(units.rows / below).max(axis=0)
    reach = np.where(live, t_quantile(1 - LEVEL / 2 / max(1, live.sum()), units.design.df) * se, 0.0)
    found = (value, value - reach, value + reach, se, np.zeros(len(se)), ~live, units.design.df)
    return Interval(*found, "t, all that is shared", _skewness_of_crossed(units, units.residuals(value, below)))


def _skewness_of_crossed(units: Crossed, residuals: np.ndarray) -> tuple[tuple[Skewness, ...], ...]:
    """Of each column: of its units, and of what each random factor's levels score (R30)."""
    signs = np.sign(units.design.weights)[:, None]
    found = [skewness_of(units.design.residuals(residuals) * signs, "units")]
    for name, scores in units.design.scores(residuals).items():
        found.append(skewness_of(scores, name, drawn=True))
    return tuple(zip(*found, strict=True))


def _reach(
    drawn: Sample, moved: np.ndarray, about: np.ndarray, below: float, names: Sequence[str], df: float
) -> tuple[str, float, float, float]:
    """The method, how many standard errors the interval reaches down and up, and the Monte-Carlo error of that."""
    if drawn.drawn == "clusters" and min(drawn.sizes) < MANY_CLUSTERS:
        reach = t_quantile(1 - LEVEL / 2 / len(names), df)
        return "t across clusters", -reach, reach, 0.0
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


def _skewness(drawn: Sample, about: np.ndarray) -> tuple[tuple[Skewness, ...], ...]:
    """Of each column: rows of a sample that is taken away count with the other sign."""
    signs = np.repeat(np.sign(drawn.shares), drawn.sizes)[:, None]
    return tuple((one,) for one in skewness_of(about * signs, drawn.across, drawn.drawn == "clusters"))
