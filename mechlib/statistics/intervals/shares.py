"""Intervals of shares: exact, score, and of clustered yes and no."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mechlib.statistics.intervals.interval import check_enough
from mechlib.statistics.intervals.sample import Sample
from mechlib.statistics.intervals.tails import LEVEL, NORMAL, clopper_pearson, t_quantile, wilson

FEW_HITS = 12  # of either kind: below, a share's interval is exact


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
