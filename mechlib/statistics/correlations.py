"""Correlations: statistics without a standard error, so BCa; across clusters a jackknife."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from mechlib.measurement import ROUNDING, Measurement
from mechlib.statistics.assembly import aligned, identity, sources_of
from mechlib.statistics.estimate import Estimate, plural
from mechlib.statistics.intervals.crossed import Crossed, Design, design
from mechlib.statistics.intervals.factors import FEWEST as FEWEST_CLUSTERS
from mechlib.statistics.intervals.factors import scope
from mechlib.statistics.intervals.ordering import by_label_and_unit
from mechlib.statistics.intervals.resampling import TooFew, bca_of, left_out
from mechlib.statistics.intervals.sample import Sample, sample
from mechlib.statistics.intervals.tails import LEVEL, Z, t_quantile

FEWEST = 20  # units, for an interval of a correlation


def correlation(
    first: Measurement,
    second: Measurement,
    method: Literal["pearson", "spearman"] = "pearson",
    across: str | None = None,
) -> Estimate:
    """Correlation over units, of two measurements with one column each on the same units; `across` as in `mean`.

    Independent units: BCa. Where units share clusters: Fisher's z with a jackknife over clusters, t on their number
    less one; with fixed clusters BCa on draws within them. Where they share more: Fisher's z, with the error term of
    R29 for the mean of what each unit adds to it (pseudo-values of the jackknife over units).

    Raises ValueError where one does not vary, by more than rounding, TooFew below twenty units or five clusters, and
    where one cluster carries all that varies.
    """
    if method not in ("pearson", "spearman"):
        raise ValueError(f"no correlation {method!r}: pearson or spearman")
    drawn, groups, x, y = paired(first, second, across)
    shared = drawn.crossed.design if drawn.crossed else None
    statistic = _Pearson(x, y) if method == "pearson" else _Spearman(x, y)
    df: float | None
    noise, df, how = 0.0, None, "BCa" if drawn.drawn == "units" else "stratified BCa"
    notes = (*first.said_of(first.columns[0]), *second.said_of(second.columns[0]))
    value = float(statistic(np.ones((1, len(x))))[0])
    if abs(value) > 1 - ROUNDING and not (drawn.drawn == "clusters" and groups.max() + 1 < FEWEST_CLUSTERS):
        value = low = high = float(np.sign(value))  # in every resample as well, and without any cluster
        se, how = 0.0, "constant"
        notes += (f"one is a function of the other on all {len(x)} {plural(first.unit)}",)
    elif shared is not None:
        low, high, se = _by_units(value, statistic, shared)
        if drawn.drawn == "clusters":  # never narrower than across these alone
            low, high, se = _wider((low, high, se), _jackknifed(value, statistic, groups, drawn))
        df, how = shared.df, "jackknife over units, all that is shared"
    elif drawn.drawn == "clusters":
        low, high, se = _jackknifed(value, statistic, groups, drawn)
        df, how = groups.max(), "jackknife over clusters"
    else:
        value, low, high, noise = bca_of(statistic, drawn.sizes)
        se = (high - low) / (2 * Z)
    said = identity(first, drawn, "value") | {"of": f"{method} correlation", "sources": sources_of(first, second)}
    return Estimate(value=value, low=low, high=high, se=se, df=df, monte_carlo=noise, method=how, notes=notes, **said)


def paired(
    first: Measurement, second: Measurement, across: str | None
) -> tuple[Sample, np.ndarray, np.ndarray, np.ndarray]:
    """How units were drawn, the number of each one's cluster (zeros where independent), and both its values.

    Units are in an order of their own, by cluster and name. Raises ValueError where one measurement does not vary,
    TooFew below twenty units.
    """
    second = aligned(second, first)
    for measured in (first, second):
        if np.ptp(measured.array) <= ROUNDING * np.abs(measured.array).max():
            raise ValueError(
                f"{measured.of or 'one of two measurements'} is {measured.array[0]:g} everywhere: nothing correlates"
            )
    if len(first) < FEWEST:
        raise TooFew(
            f"n={len(first)} {plural(first.unit)} are too few for an interval of a correlation: at least {FEWEST}"
        )
    drawn = sample(first, across)
    if scope(first, across).crossed:
        drawn = replace(drawn, crossed=Crossed(design(first, across, equal=True), first.values, None))
    labels = first.clusters if drawn.drawn != "units" else ("",) * len(first)
    order = by_label_and_unit(labels, first.sorted_by)
    groups = np.unique(np.array(labels)[order], return_inverse=True)[1]
    return drawn, groups, first.array[order], second.array[order]


class _Pearson:
    """Pearson's correlation as a function of counts (resamples x rows)."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        x, y = ((part - part.mean()) / part.std() for part in (x, y))
        self.columns = np.stack([x, y, x * x, y * y, x * y], axis=1)

    def __call__(self, drawn: np.ndarray) -> np.ndarray:
        x, y, xx, yy, xy = (drawn @ self.columns / drawn.sum(axis=1, keepdims=True)).T
        found: np.ndarray = (xy - x * y) / np.sqrt(_varying(xx - x * x, xx) * _varying(yy - y * y, yy))
        return found


class _Spearman:
    """Spearman's correlation as a function of counts: ranks are taken anew in every resample."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.places = [np.unique(part, return_inverse=True)[1] for part in (x, y)]
        self.orders = [np.argsort(place, kind="stable") for place in self.places]
        self.starts = [
            np.flatnonzero(np.diff(place[order], prepend=-1))
            for place, order in zip(self.places, self.orders, strict=True)
        ]

    def __call__(self, drawn: np.ndarray) -> np.ndarray:
        ranks = []
        for place, order, start in zip(self.places, self.orders, self.starts, strict=True):
            tied = np.add.reduceat(drawn[:, order], start, axis=1)
            ranks.append((np.cumsum(tied, axis=1) - tied / 2)[:, place])  # mid-ranks, half a rank aside
        n = drawn.sum(axis=1)
        x, y = (rank - ((drawn * rank).sum(axis=1) / n)[:, None] for rank in ranks)
        wide = [
            _varying((drawn * one * one).sum(axis=1), (drawn * rank * rank).sum(axis=1))
            for one, rank in zip((x, y), ranks, strict=True)
        ]
        spread = np.sqrt(wide[0] * wide[1])
        found: np.ndarray = (drawn * x * y).sum(axis=1) / spread
        return found


def _varying(variance: np.ndarray, square: np.ndarray) -> np.ndarray:
    """The variance of each resample, NaN where it is only the rounding of squares: that correlates anyhow."""
    found: np.ndarray = np.where(variance > ROUNDING * square, variance, np.nan)
    return found


def pseudo_values(whole: np.ndarray, without: np.ndarray) -> np.ndarray:
    """What each unit adds to a statistic, from leaving out one after the other: their mean varies as it does."""
    return (len(without) - 1) * (whole - without)[:, None]


def _by_units(value: float, statistic: _Pearson | _Spearman, shared: Design) -> tuple[float, float, float]:
    """Ends and standard error with the error term of all that units share, on Fisher's z scale."""
    without = left_out(statistic, len(shared.weights))
    if not np.isfinite(without).all():
        raise TooFew("without one unit nothing varies: it alone carries the correlation; measure more")
    inside = 1 - ROUNDING  # of a perfect correlation Fisher's z is infinite
    scaled = np.arctanh(np.clip(without, -inside, inside))
    error = float(np.sqrt(shared.variance(pseudo_values(scaled.mean(), scaled))[0]))
    centre, reach = np.arctanh(np.clip(value, -inside, inside)), t_quantile(1 - LEVEL / 2, shared.df) * error
    return float(np.tanh(centre - reach)), float(np.tanh(centre + reach)), error * (1 - value**2)


def _wider(one: tuple[float, float, float], other: tuple[float, float, float]) -> tuple[float, float, float]:
    """The wider of two intervals of one number, end by end, with the larger standard error."""
    return min(one[0], other[0]), max(one[1], other[1]), max(one[2], other[2])


def _jackknifed(
    value: float, statistic: _Pearson | _Spearman, groups: np.ndarray, drawn: Sample
) -> tuple[float, float, float]:
    """Ends and standard error from leaving out one cluster at a time, on Fisher's z scale."""
    count = int(groups.max()) + 1
    if count < FEWEST_CLUSTERS:
        raise TooFew(f"{count} {drawn.across} are too few to generalise over them: at least {FEWEST_CLUSTERS}")
    inside = 1 - ROUNDING  # of a perfect correlation Fisher's z is infinite
    left = left_out(statistic, len(groups), groups)
    if not np.isfinite(left).all():
        raise TooFew(
            f"without one of the {drawn.across} nothing varies: it alone carries the correlation; measure more"
        )
    without = np.arctanh(np.clip(left, -inside, inside))
    error = float(np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum()))
    centre, reach = np.arctanh(np.clip(value, -inside, inside)), t_quantile(1 - LEVEL / 2, count - 1) * error
    return float(np.tanh(centre - reach)), float(np.tanh(centre + reach)), error * (1 - value**2)
