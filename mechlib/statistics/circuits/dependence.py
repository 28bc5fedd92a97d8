"""Distance correlation: whether two numbers depend on each other at all, not only in a line."""

from __future__ import annotations

import numpy as np

from mechlib.measurement import Measurement
from mechlib.statistics.assembly import identity, sources_of
from mechlib.statistics.correlations import paired, pseudo_values
from mechlib.statistics.estimate import Estimate
from mechlib.statistics.intervals.crossed import Crossed
from mechlib.statistics.intervals.factors import FEWEST
from mechlib.statistics.intervals.resampling import TooFew, left_out
from mechlib.statistics.intervals.sample import Sample
from mechlib.statistics.intervals.tails import LEVEL, Z, t_quantile


def distance_correlation(
    first: Measurement, second: Measurement, across: str | None = None, family: int = 1
) -> Estimate:
    """Distance correlation over units of two measurements with one column each: 0 independent, 1 on a line.

    across  as in `mean`
    family  how many estimates it is made together with, itself included: the interval holds with theirs (Bonferroni)

    The value is the root of the bias-corrected square, 0 where that is negative. The usual estimate is biased upward
    (0.09 for 400 independent prompts) and varies like a root; the interval is a jackknife on its scale, t on the
    rows less the strata. Its lower end has the bias taken out. Its upper end keeps it, and so errs to the safe side
    where independence is claimed. Simulated with a distance correlation of exactly 0.2, of 50 to 400 normal,
    lognormal, folded or heteroscedastic values: the upper end lies below 0.2 in 0 to 3 % of samples, and would in up to
    11 % were the bias taken out. Of independent samples of 400 it lies below in 95 %, of 200 in 65 %, of 100 in 10 %.

    Raises ValueError where one does not vary, TooFew below twenty units or five clusters.
    Source: Székely, Rizzo and Bakirov 2007; Székely and Rizzo 2014 for the correction.
    """
    drawn, groups, x, y = paired(first, second, across)
    if drawn.drawn == "clusters" and groups.max() + 1 < FEWEST:
        raise TooFew(f"{groups.max() + 1} {drawn.across} are too few to generalise over them: at least {FEWEST}")
    statistic = _Squared(x, y)
    corrected, biased = (float(number[0]) for number in statistic(np.ones((1, len(x)))))
    error, df = _jackknifed(statistic, groups, drawn) if drawn.crossed is None else _by_units(statistic, drawn.crossed)
    reach = t_quantile(1 - LEVEL / family / 2, df) * error
    root = np.sqrt(max(0.0, biased))
    value = np.sqrt(max(0.0, corrected))
    low = min(value, np.sqrt(max(0.0, max(0.0, root - reach) ** 2 - (biased - corrected))))
    high = min(1.0, max(value, root + reach))
    said = identity(first, drawn, "value") | {"of": "distance correlation", "sources": sources_of(first, second)}
    how = "jackknife over clusters" if drawn.drawn == "clusters" and drawn.crossed is None else "jackknife"
    return Estimate(
        value=value, low=low, high=high, se=(high - low) / (2 * Z), df=df, method=how, simultaneous=family > 1, **said
    )


class _Squared:
    """The squared distance correlation of the rows that are kept: bias-corrected, and as first defined.

    Takes zeros and ones (subsets x rows) and gives two arrays of one number a subset. All sums over pairs of kept
    rows are matrix products, n^3 operations for leaving out each of n rows.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        x, y = ((part - part.mean()) / part.std() for part in (x, y))
        self.a, self.b = (np.abs(part[:, None] - part) for part in (x, y))

    def __call__(self, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        m = kept.sum(axis=1)
        rows = [kept @ distances for distances in (self.a, self.b)]
        totals = [(kept * row).sum(axis=1) for row in rows]
        corrected: list[np.ndarray] = []
        biased: list[np.ndarray] = []
        for i, j in ((0, 1), (0, 0), (1, 1)):
            product = (self.a, self.b)[i] * (self.a, self.b)[j]
            pairs = ((kept @ product) * kept).sum(axis=1)
            triples, quadruples = (kept * rows[i] * rows[j]).sum(axis=1), totals[i] * totals[j]
            corrected.append((pairs + quadruples / ((m - 1) * (m - 2)) - 2 * triples / (m - 2)) / (m * (m - 3)))
            biased.append(pairs / m**2 + quadruples / m**4 - 2 * triples / m**3)
        return _normalised(*corrected), _normalised(*biased)


def _normalised(both: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """0 where one of the two does not vary, as the distance correlation is defined there."""
    below = np.sqrt(np.maximum(0.0, first * second))
    quotient: np.ndarray = np.divide(both, below, out=np.zeros_like(both), where=below > 0)
    return quotient


def _by_units(statistic: _Squared, units: Crossed) -> tuple[float, float]:
    """The same where units share more than clusters: the error term of all of it (R29)."""
    n = len(units.rows)
    without = left_out(lambda kept: np.sqrt(np.maximum(0.0, statistic(kept)[1])), n)
    return float(np.sqrt(units.design.variance(pseudo_values(without.mean(), without))[0])), units.design.df


def _jackknifed(statistic: _Squared, groups: np.ndarray, drawn: Sample) -> tuple[float, float]:
    """Standard error of the root of the biased square, from leaving out rows or clusters; degrees of freedom."""
    n = len(groups)
    parts = groups if drawn.drawn == "clusters" else np.arange(n)
    strata = groups if drawn.drawn == "these" else np.zeros(parts.max() + 1, dtype=int)
    without = left_out(lambda kept: np.sqrt(np.maximum(0.0, statistic(kept)[1])), n, parts)
    sizes = np.bincount(strata)
    means = np.bincount(strata, without) / sizes
    squares = np.bincount(strata, (without - means[strata]) ** 2)
    return float(np.sqrt(((sizes - 1) / sizes * squares).sum())), float(len(without) - len(sizes))
