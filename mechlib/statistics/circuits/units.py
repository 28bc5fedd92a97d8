"""Estimates in another unit, or without their sign: the same interval, read on another scale."""

from __future__ import annotations

from dataclasses import replace

from mechlib.statistics.estimate import Distribution, Estimate
from mechlib.statistics.intervals.skewness import Skewness


def times(estimate: Estimate, factor: float, name: str = "", of: str = "") -> Estimate:
    """The estimate in a unit of 1 / `factor`; `name` and `of` as they are where none is given.

    A negative factor mirrors the interval. Not for shares, whose interval is known by their trials.
    """
    ends = sorted((factor * estimate.low, factor * estimate.high))
    found = estimate.distribution
    if found is not None:
        numbers = (found.minimum, found.lower_quartile, found.median, found.upper_quartile, found.maximum)
        least, lower, middle, upper, most = sorted(factor * number for number in numbers)
        found = Distribution(least, lower, middle, upper, most, found.wrong_sign)
    return replace(
        estimate,
        value=factor * estimate.value,
        low=ends[0],
        high=ends[1],
        se=abs(factor) * estimate.se,
        monte_carlo=abs(factor) * estimate.monte_carlo,
        distribution=found,
        strip=tuple((label, n, factor * number) for label, n, number in estimate.strip),
        skewness=estimate.skewness if factor > 0 else _mirrored(estimate.skewness),
        trials=None,
        name=name or estimate.name,
        of=of or estimate.of,
    )


def size(estimate: Estimate) -> Estimate:
    """The estimate without its sign: its upper limit is inside a margin exactly if the whole interval is (R13).

    Where the interval holds zero its lower limit is zero.
    """
    turned = times(estimate, -1) if estimate.value < 0 else estimate
    either = (*turned.skewness, *_mirrored(turned.skewness))  # the upper limit is that of both ends
    return replace(turned, low=max(0.0, turned.low), high=max(turned.high, -turned.low), skewness=either)


def _mirrored(found: tuple[Skewness, ...]) -> tuple[Skewness, ...]:
    return tuple(replace(one, value=-one.value) for one in found)
