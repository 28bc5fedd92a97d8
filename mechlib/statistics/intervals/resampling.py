"""The bootstrap: 10,000 resamples of the rows, drawn once per process for every number of rows.

A resample is a vector of counts, how often each row was drawn; a resampled mean is their product with the
values, so that all columns and all resamples are one matrix product. Counts are kept as bytes (4 MB for 400
rows) and turned into float64 block by block, within the processor's cache.

The same number of rows always meets the same counts: an interval is a pure function of its rows, whatever
else was estimated before (docs/STATISTICS.md, R9).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from mechlib.statistics.intervals.tails import LEVEL, NORMAL

RESAMPLES = 10_000
SEED = 20_240_229
_KEPT = 256 * 2**20  # bytes of counts
_BLOCK = 500  # resamples that are drawn and multiplied at a time: half a megabyte to two

_offset = 0
_counts: OrderedDict[tuple[int, int, int], np.ndarray] = OrderedDict()
_known: OrderedDict[bytes, tuple[np.ndarray, ...]] = OrderedDict()


class TooFew(ValueError):
    """There are too few units, or too few for values that are spread like these, to give an honest interval."""


def set_seed_offset(offset: int) -> None:
    """Shifts the seed of all resampling in this process: shows how far Monte-Carlo error moves a number (`--seed`)."""
    global _offset
    _offset = int(offset)


def generator(*key: int) -> np.random.Generator:
    """Random numbers that are the same wherever the key is: how many rows, the stream, what for."""
    return np.random.default_rng([SEED, _offset % 2**32, *key])


def counts(n: int, stream: int = 0) -> np.ndarray:
    """How often each of `n` rows was drawn: uint8, RESAMPLES x n. Streams are independent draws for the same n."""
    key = (n, stream, _offset)
    if key not in _counts:
        _counts[key] = np.concatenate(list(_draw(n, stream)))
    _counts.move_to_end(key)
    while len(_counts) > 1 and sum(drawn.nbytes for drawn in _counts.values()) > _KEPT:
        _counts.popitem(last=False)
    return _counts[key]


def _draw(n: int, stream: int) -> list[np.ndarray]:
    """Multinomial counts by counting drawn rows, which is many times as fast as drawing counts."""
    rng = generator(n, stream)
    several = 100  # resamples at a time: their counts stay in the cache
    shift = np.arange(several)[:, None] * n
    small = np.uint16 if n < 2**16 else np.int64
    drawn = []
    for _ in range(RESAMPLES // several):
        rows = (rng.integers(0, n, size=(several, n), dtype=small) + shift).ravel()
        drawn.append(np.bincount(rows, minlength=several * n).reshape(several, n).astype(np.uint8))
    return drawn


def weighted_sums(columns: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Sums of each column over each resample: columns x resamples, from values (rows x columns) and counts."""
    sums = np.empty((columns.shape[1], len(drawn)))
    block = np.empty((_BLOCK, len(columns)))
    across = np.ascontiguousarray(columns.T)
    for start in range(0, len(drawn), _BLOCK):
        rows = drawn[start : start + _BLOCK]
        np.copyto(block[: len(rows)], rows)
        np.matmul(across, block[: len(rows)].T, out=sums[:, start : start + len(rows)])
    return sums


def critical_values(
    residuals: np.ndarray, base: np.ndarray | None, sizes: Sequence[int], shares: Sequence[float]
) -> tuple[np.ndarray, ...]:
    """Quantiles .025 and .975 of the studentised bootstrap, and their Monte-Carlo standard errors: four numbers.

    residuals  rows x columns: values minus their estimate (times `base` for a ratio), in units of the mean base
    base       a ratio's denominators in units of their mean; None for a mean
    sizes      how many consecutive rows belong to each stratum; rows are drawn within strata
    shares     what each stratum's mean counts for in the estimate

    With several columns the quantiles are those of the smallest and of the largest among them: max-t, so that
    the intervals hold simultaneously. An infinite quantile means that resamples without any variation are common.

    Source: Efron and Tibshirani 1993, chapter 12; Romano and Wolf 2005 for max-t.
    """
    key = hashlib.blake2b(repr((_offset, tuple(sizes), tuple(shares), residuals.shape)).encode())
    key.update(residuals.tobytes() + (b"" if base is None else base.tobytes()))
    name = key.digest()
    if name not in _known:
        t = _studentised(residuals, base, sizes, shares)
        low, low_error = order_statistic(t.min(axis=0), LEVEL / 2)
        high, high_error = order_statistic(t.max(axis=0), 1 - LEVEL / 2)
        _known[name] = tuple(np.array(number) for number in (low, high, low_error, high_error))
        if len(_known) > 1024:
            _known.popitem(last=False)
    return _known[name]


def _studentised(
    residuals: np.ndarray, base: np.ndarray | None, sizes: Sequence[int], shares: Sequence[float]
) -> np.ndarray:
    """t* of every resample, columns x resamples: (estimate* - estimate) / standard error*."""
    k = residuals.shape[1]
    scale = np.sqrt(np.mean(residuals**2, axis=0))
    rows = residuals / np.where(scale > 0, scale, 1)
    columns = (
        [rows, rows**2] if base is None else [rows, rows**2, rows * base[:, None], base[:, None], base[:, None] ** 2]
    )
    stacked = np.concatenate(columns, axis=1)
    mean, variance, cross, square, level = (np.zeros((width, 1)) for width in (k, k, k, 1, 1))
    start = 0
    for stream, (size, share) in enumerate(zip(sizes, shares, strict=True)):
        means = weighted_sums(stacked[start : start + size] / size, counts(size, stream))
        factor = share**2 / (size - 1)
        if base is not None:
            level = level + share * means[3 * k]
            cross = cross + factor * (means[2 * k : 3 * k] - means[:k] * means[3 * k])
            square = square + factor * (means[3 * k + 1] - means[3 * k] ** 2)
        first, second = means[:k], means[k : 2 * k]
        second -= first**2
        second *= factor
        first *= share
        mean, variance = (first, second) if start == 0 else (mean + first, variance + second)
        start += size
    if base is not None:  # residuals of the resample are taken about the resample's own ratio
        shift = mean / level
        variance = variance + shift * (shift * square - 2 * cross)
        mean = mean * np.sign(level)
    return _divided(
        mean, variance, floor=1e-12 * sum(share**2 / size for size, share in zip(sizes, shares, strict=True))
    )


def _divided(mean: np.ndarray, variance: np.ndarray, floor: float) -> np.ndarray:
    """Mean over standard error; infinite where a resample that moved shows no variation."""
    if variance.min() > floor:
        quotient: np.ndarray = mean / np.sqrt(variance, out=variance)
        return quotient
    flat = variance <= floor
    t: np.ndarray = mean / np.sqrt(np.where(flat, 1.0, variance))
    t[flat] = np.where(np.abs(mean[flat]) > 1e-9, np.sign(mean[flat]) * np.inf, 0.0)
    return t


def order_statistic(values: np.ndarray, share: float) -> tuple[float, float]:
    """The quantile of resampled values below which `share` of them lie, and its Monte-Carlo standard error.

    The error is half the distance between the values one binomial standard deviation of ranks away on either side.
    """
    n = len(values)
    rank = round(share * n) - 1 if share < 0.5 else n - round((1 - share) * n)
    reach = max(1, round(np.sqrt(n * share * (1 - share))))
    ranks = [max(0, rank - reach), rank, min(n - 1, rank + reach)]
    below, at, above = np.partition(values, ranks)[ranks]
    if not np.isfinite(at):
        return float(at), np.inf
    return float(at), float((above - below) / 2)


def bca(resampled: np.ndarray, observed: np.ndarray, left_out: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bias-corrected and accelerated ends of 95 % intervals, with their Monte-Carlo standard errors.

    resampled  columns x resamples
    observed   one value a column
    left_out   columns x rows: the statistic without that row

    Source: Efron 1987; the conventions are those of scipy.stats.bootstrap.
    """
    if not np.isfinite(resampled.sum()):
        raise TooFew("the statistic is undefined in some resamples, where nothing varies: measure more")
    lows, highs, errors = (np.empty(len(observed)) for _ in range(3))
    pulls = left_out.mean(axis=1, keepdims=True) - left_out
    accelerations = (pulls**3).sum(axis=1) / (6 * (pulls**2).sum(axis=1) ** 1.5)
    for j, values in enumerate(resampled):
        below = np.count_nonzero(values < observed[j]) + np.count_nonzero(values <= observed[j])
        if not 0 < below < 2 * len(values):
            raise TooFew("all resamples lie on one side of what was observed: no interval can be corrected for that")
        bias, acceleration = NORMAL.inv_cdf(below / (2 * len(values))), accelerations[j]
        z = [bias + NORMAL.inv_cdf(level) for level in (LEVEL / 2, 1 - LEVEL / 2)]
        corrected = [NORMAL.cdf(bias + end / (1 - acceleration * end)) for end in z]
        (lows[j], highs[j]), errors[j] = _quantiles(values, corrected)
    return lows, highs, errors


def _quantiles(values: np.ndarray, shares: Sequence[float]) -> tuple[list[float], float]:
    """Interpolated quantiles, as numpy's, and the largest of their Monte-Carlo standard errors."""
    last, centre = len(values) - 1, values.mean()
    spread = np.sqrt(max(0.0, values @ values / len(values) - centre**2))
    found, errors = [], []
    for share in shares:
        place, reach = share * last, max(1.0, np.sqrt(last * share * (1 - share)))
        around = (place - reach, np.floor(place), np.ceil(place), place + reach)
        ranks = [min(last, max(0, round(float(rank)))) for rank in around]
        # a tail is sorted in a quarter of the time that all values take, and holds most ends
        low = share < 0.5
        tail = np.compress(values < centre - spread if low else values > centre + spread, values)
        first = 0 if low else len(values) - len(tail)
        if ranks[0] < first or ranks[-1] >= first + len(tail):
            tail, first = values, 0
        before, below, above, after = np.sort(tail)[[rank - first for rank in ranks]]
        found.append(float(below + (place - ranks[1]) * (above - below)))
        errors.append(float(after - before) / 2)
    return found, max(errors)


def bca_of_means(values: np.ndarray, drawn: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """BCa intervals of the mean of every column: ends and their Monte-Carlo standard errors.

    values  rows x columns
    drawn   counts of each row in each resample, resamples x rows; the process's own where None

    The jackknife of a mean is closed. Raises TooFew where a column is constant.
    """
    if (np.ptp(values, axis=0) == 0).any():
        raise TooFew("a constant column has no bootstrap distribution")
    n = len(values)
    centred = values - values.mean(axis=0)
    moved = weighted_sums(centred / n, counts(n) if drawn is None else drawn)
    low, high, error = bca(moved, np.zeros(len(moved)), -centred.T / (n - 1))
    return low + values.mean(axis=0), high + values.mean(axis=0), error


def bca_of(statistic: Callable[[np.ndarray], np.ndarray], sizes: Sequence[int]) -> tuple[float, float, float, float]:
    """BCa interval of any statistic that is a function of counts: its value, both ends, the Monte-Carlo standard error.

    statistic  takes counts (resamples x rows, float64), gives one number each
    sizes      how many consecutive rows belong to each stratum
    """
    n = sum(sizes)
    observed = statistic(np.ones((1, n)))
    streams = [counts(size, stream) for stream, size in enumerate(sizes)]
    resampled = [
        statistic(np.concatenate([drawn[start : start + _BLOCK] for drawn in streams], axis=1).astype(np.float64))
        for start in range(0, RESAMPLES, _BLOCK)
    ]
    low, high, error = bca(np.concatenate(resampled)[None], observed, left_out(statistic, n)[None])
    return float(observed[0]), float(low[0]), float(high[0]), float(error[0])


def left_out(statistic: Callable[[np.ndarray], np.ndarray], n: int, groups: np.ndarray | None = None) -> np.ndarray:
    """The jackknife: the statistic without each row, or without each group of rows (one group number a row)."""
    groups = np.arange(n) if groups is None else groups
    return statistic((np.arange(groups.max() + 1)[:, None] != groups[None]).astype(np.float64))
