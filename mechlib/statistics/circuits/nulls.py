"""Null distributions: random sets of components, permutations, sign flips (docs/STATISTICS.md, R11 and R16)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mechlib.measurement import ROUNDING, Measurement
from mechlib.parts.blinding import Blinded, unblinded
from mechlib.parts.random_sets import ALL_THERE_ARE
from mechlib.statistics.assembly import sources_of
from mechlib.statistics.estimate import Estimate, plural
from mechlib.statistics.intervals.resampling import RESAMPLES, SEED, TooFew
from mechlib.statistics.intervals.tails import LEVEL, Z, binomial_tail
from mechlib.statistics.means import mean, ratio

PERCENTILE = 0.95
DRAWN = 200  # sets that a null has where so many exist


def permutation_p(observed: float, null: Sequence[float] | np.ndarray) -> float:
    """(b + 1) / (m + 1), with b of m null values at least as large as what was observed, up to rounding.

    Raises ValueError for a null that is empty, of several columns, or not finite, and for an observation that is not.
    """
    if isinstance(observed, Blinded) or isinstance(null, Blinded):
        return Blinded(permutation_p(unblinded(observed), unblinded(null)))
    values = _sample(null, "a null")
    if not np.isfinite(observed):
        raise ValueError(f"{observed} was observed: no share of a null lies beyond it; find out where it arises")
    return float(
        (np.sum((values >= observed) | np.isclose(values, observed, rtol=ROUNDING, atol=0)) + 1) / (len(values) + 1)
    )


def sign_flip_p(differences: Sequence[float] | np.ndarray) -> float:
    """Two-sided p that paired differences are symmetric about zero: all sign flips up to 12 pairs, else 10,000.

    Sums count as equal where rounding is all that tells them apart, so that the unit does not matter: .1 + .2 - .3 is
    as much zero as 1 + 2 - 3.

    Raises ValueError for no differences, for several columns of them, and for one that is not finite.
    Source: Fisher 1935; Phipson and Smyth 2010 for the count of the observed signs.
    """
    values = np.sort(_sample(differences, "a sample of differences"))
    n, largest = len(values), float(np.abs(values).max())
    values = values / (largest or 1.0)  # before they are added up: neither sum nor tolerance overflows
    least = abs(math.fsum(values)) - ROUNDING * float(np.abs(values).sum())
    if n <= 12:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float((np.abs(signs @ values) >= least).mean())  # the observed signs are among them
    signs = 1.0 - 2.0 * np.random.default_rng([SEED, n]).integers(0, 2, size=(RESAMPLES, n))
    return permutation_p(least, np.abs(signs @ values))


def _sample(given: Sequence[float] | np.ndarray, what: str) -> np.ndarray:
    """The numbers as a vector of float64. ValueError for what has no p."""
    values = np.asarray(given, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(
            f"{what} has {values.ndim} dimensions, {values.shape}: give one column, for which there is one p"
        )
    if not len(values):
        raise ValueError(f"{what} is empty: nothing has a p-value; measure some")
    if not np.isfinite(values).all():
        bad = int(np.argmin(np.isfinite(values)))
        raise ValueError(
            f"{what} has {values[bad]} at place {bad}: wanted are finite numbers; find out where it arises"
        )
    return values


def above_null(
    effect: Measurement, null: Measurement, across: str | None = None, exhaustive: bool | None = None
) -> Estimate:
    """By how much the mean effect of a selection exceeds the 95th percentile of the null.

    effect      the selection's effect on each unit, one column; two columns (numerator, denominator) for a share
    null        one row for each random set: its mean effect on the same prompts, with the same columns
    across      as in `mean`
    exhaustive  whether the null holds every matched set; by default what it says itself (`of` ends with "all there
                are", as `random_sets` writes), and where it says nothing it was drawn, however few sets it has

    The interval joins the selection's over prompts with that of the percentile over sets, from order statistics and
    without an assumption on the null's shape; a null of all sets has no error of its own. The notes give the
    permutation p and the smallest p that so many sets can attain.

    Raises TooFew where a drawn null has too few sets to bound its percentile, ValueError on other columns.
    Source: docs/STATISTICS.md, R16; Zou and Donner 2008 for joining two intervals.
    """
    columns = len(effect.columns)
    if columns != len(null.columns) or columns not in (1, 2):
        raise ValueError(
            f"an effect of {columns} and a null of {len(null.columns)} columns: one each, or two for a share"
        )
    own = mean(effect, across) if columns == 1 else ratio(effect, across=across)
    assert isinstance(own, Estimate)
    values = np.sort(null.values[:, 0] if columns == 1 else null.values[:, 0] / null.values[:, 1])
    everything = null.of.removesuffix(")").endswith(ALL_THERE_ARE) if exhaustive is None else exhaustive
    return replace(exceeding(own, values, PERCENTILE, everything, null.unit), sources=sources_of(effect, null))


def exceeding(own: Estimate, null: np.ndarray, share: float, exhaustive: bool, unit: str) -> Estimate:
    """By how much an estimate exceeds the value that a `share` of the null's values do not exceed.

    null        one value for each random set, sorted; `unit` is what a set is called
    exhaustive  whether these are all sets there are, so that their percentile has no error

    Raises TooFew where a drawn null has too few sets to bound its percentile.
    """
    lowest, percentile, highest = _percentile(null, share, exhaustive)
    value, rank = own.value - percentile, f"{100 * share:g}th percentile"
    p = permutation_p(own.value, null)
    sets = f"{len(null)} {plural(unit)}{f', {ALL_THERE_ARE}' if exhaustive else ' drawn'}"
    note = (
        f"{own.value:.3g} against a {rank} of {percentile:.3g} and a mean of {null.mean():.3g} over {sets}; "
        f"p = {p:.2g}, at best {1 / (len(null) + 1):.2g}"
    )
    return replace(
        own,
        value=value,
        low=value - float(np.hypot(own.value - own.low, highest - percentile)),
        high=value + float(np.hypot(own.high - own.value, percentile - lowest)),
        se=float(np.hypot(own.se, (highest - lowest) / (2 * Z))),
        method=f"{own.method} above the null's {rank}",
        notes=(*own.notes, note),
    )


def percentile_of(null: Sequence[float] | np.ndarray, share: float = PERCENTILE) -> float:
    """The percentile of a null, the 95th by default: the smallest value that such a share of its sets do not exceed."""
    ordered = np.sort(_sample(null, "a null"))
    return float(ordered[int(np.ceil(share * len(ordered) - 1e-9)) - 1])


def _percentile(ordered: np.ndarray, share: float, exhaustive: bool) -> tuple[float, float, float]:
    """Lower end, value and upper end of a percentile."""
    m = len(ordered)
    percentile = percentile_of(ordered, share)
    if exhaustive:
        return percentile, percentile, percentile
    ranks = range(1, m + 1)
    # the r-th smallest lies above the percentile unless at least r of m sets are below it
    upper = [rank for rank in ranks if binomial_tail(rank, m, share) <= LEVEL / 2]
    lower = [rank for rank in ranks if 1 - binomial_tail(rank, m, share) <= LEVEL / 2]
    if not upper or not lower:
        raise TooFew(
            f"{m} random sets do not bound their own {100 * share:g}th percentile: draw {DRAWN}, or say "
            "exhaustive=True if there are no others"
        )
    return float(ordered[lower[-1] - 1]), percentile, float(ordered[upper[0] - 1])
