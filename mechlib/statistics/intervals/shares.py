"""Intervals of shares: exact, score, and of clustered yes and no."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mechlib.measurement import Measurement
from mechlib.statistics.intervals.interval import check_enough
from mechlib.statistics.intervals.ordering import by_label_and_unit
from mechlib.statistics.intervals.sample import Sample
from mechlib.statistics.intervals.tails import LEVEL, NORMAL, Z, beta_cdf, clopper_pearson, t_quantile, wilson

FEW_HITS = 12  # of either kind: below, a share's interval is exact
CORRELATION = 0.2  # of answers in one cluster, at least: near 0 or 1 a smaller one cannot be told from it


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


def interval_of_share(drawn: Sample, column: int, level: float, sizes: Sequence[int] = ()) -> Share:
    """The interval of a share of yes/no values. Raises TooFew below five clusters.

    sizes  units in each cluster, in any order; where they are not given, all have as many

    Independent: Wilson from 50 on where there are twelve of either kind, else Clopper-Pearson. Where a kind is rare
    Wilson's interval covers as little as 84 %; so chosen, at least 93 % whatever the share (a test enumerates it).
    Across clusters: `_across_clusters`. On these: as independent, for drawing within fixed clusters varies less.
    Source: docs/STATISTICS.md, R8 and R30.
    """
    p = float(drawn.combined(drawn.rows)[column])
    if drawn.drawn == "clusters":
        check_enough(drawn)
        means = drawn.rows[:, column]
        return _across_clusters(p, means, tuple(sizes) or (drawn.n / len(means),) * len(means), level, drawn.across)
    trials = drawn.trials
    common = trials >= 50 and min(p, 1 - p) * trials >= FEW_HITS - 1e-9
    low, high = (wilson if common else clopper_pearson)(p, trials, level)
    return Share(p, low, high, _se_of_share(p, trials), trials, None, "Wilson" if common else "Clopper-Pearson")


def worth(share: Share, trials: float, level: float) -> Share:
    """The same share where what its units have in common besides leaves them worth only so many trials (R29)."""
    if trials >= share.trials:
        return share
    low, high = clopper_pearson(share.value, trials, level)
    return replace(
        share,
        low=min(low, share.low),
        high=max(high, share.high),
        trials=trials,
        se=_se_of_share(share.value, trials),
        method="Clopper-Pearson, all that is shared",
    )


def on_these_clusters(measured: Measurement, across: str) -> Sample:
    """The units of a measurement in clusters that are held fixed."""
    order = by_label_and_unit(measured.clusters, measured.sorted_by)
    counted = Counter(measured.clusters)
    sizes = tuple(counted[label] for label in sorted(counted))
    shares = (1 / len(sizes),) * len(sizes)
    return Sample(measured.values[order], None, sizes, shares, "these", len(measured), len(sizes), f"these {across}")


def _across_clusters(p: float, means: np.ndarray, sizes: Sequence[float], level: float, across: str) -> Share:
    """Clopper-Pearson at the effective n, with limits that never fall when a no becomes a yes.

    The effective n is Korn and Graubard's, from the spread between clusters, and at most what is left of n where
    units of a cluster correlate by .2: clusters that agree on a share near 0 or 1 show no spread whatever the
    correlation is. One more yes can widen the spread and so lower the limit: 16 templates of which one is behind
    the others. So the lower limit is the lowest of all outcomes that have a yes wherever this one has. The lowest of
    those with as many more yes are the ones with the largest spread, where the best clusters are filled up first.

    Source: docs/STATISTICS.md, R30; Korn and Graubard 1998.
    """
    least = len(means) ** 2 / sum((1 - CORRELATION) / size + CORRELATION for size in sizes)
    df, n, step = len(means) - 1, sum(sizes), 1 / max(sizes)
    low = _lower_limit(means, n, least, step, level)
    high = 1 - _lower_limit(1 - means, n, least, step, level)
    own = float(_effective(p, means[None], n, least)[0])
    trials = min(_trials_of(low, p, own, level), _trials_of(1 - high, 1 - p, own, level))
    alone = clopper_pearson(p, len(means), level)
    notes: tuple[str, ...] = (f"[{alone[0]:.3f}, {alone[1]:.3f}] if the {len(means)} {across} were one trial each",)
    if np.ptp(means) == 0:
        notes = ("no variation seen between clusters", *notes)
    return Share(p, min(low, p), max(high, p), _se_of_share(p, trials), trials, df, "Korn-Graubard", notes)


def _effective(p: float | np.ndarray, means: np.ndarray, n: float, least: float) -> np.ndarray:
    """The effective n of outcomes (outcomes x clusters)."""
    clusters = means.shape[1]
    variance = means.var(axis=1, ddof=1) / clusters
    smaller = (t_quantile(1 - LEVEL / 2, n - 1) / t_quantile(1 - LEVEL / 2, clusters - 1)) ** 2
    agree = variance <= 1e-24
    spread = np.where(agree, n, np.minimum(n, p * (1 - p) / np.where(agree, 1.0, variance)) * smaller)
    return np.minimum(spread, least)


def _lower_limit(means: np.ndarray, n: float, least: float, step: float, level: float) -> float:
    """The lowest limit of these cluster means and of all that are nowhere smaller."""
    best_first = np.sort(means)[::-1]
    room = 1 - best_first
    more = np.append(np.arange(0.0, room.sum() - step / 2, step), room.sum())  # yes that are added, in clusters
    filled = best_first + np.clip(more[:, None] - (np.cumsum(room) - room), 0, room)
    shares = filled.mean(axis=1)
    trials = _effective(shares, filled, n, least)
    fewer = trials < np.minimum.accumulate(np.append(np.inf, trials[:-1]))  # else the limit is no lower
    shares, trials = shares[fewer], trials[fewer]
    guess = shares - Z * np.sqrt(shares * (1 - shares) / trials)  # the likeliest first: of the others a tail is enough
    lowest = 1.0
    for place in np.argsort(guess).tolist():
        share, number = float(shares[place]), float(trials[place])
        if share <= 0:
            return 0.0
        if beta_cdf(lowest, share * number, number * (1 - share) + 1) > level / 2:
            lowest = clopper_pearson(share, number, level)[0]
    return lowest


def _trials_of(low: float, p: float, trials: float, level: float) -> float:
    """The effective n at which the lower limit of `p` is `low`: at most `trials`."""
    if low <= 0 or beta_cdf(low * (1 + 1e-9), p * trials, trials * (1 - p) + 1) >= level / 2:
        return trials
    fewest, most = 0.0, trials
    for _ in range(40):
        middle = (fewest + most) / 2
        if beta_cdf(low, p * middle, middle * (1 - p) + 1) > level / 2:  # its limit is lower still
            fewest = middle
        else:
            most = middle
    return fewest


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
