"""Means and shares with their intervals: of each stratum, of each column, of a measurement's only column."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from mechlib.measurement import Measurement
from mechlib.statistics import TooFew, mean, proportion
from mechlib.statistics.estimate import Estimate
from mechlib.statistics.families import Family

Ends = tuple[float, float]
Drawn = TypeVar("Drawn")
MOST_COLUMNS = 20


@dataclass(frozen=True)
class Point:
    """A mean or a share with its 95 % interval, None where there are too few units for one, or nothing varied.

    `outer` is the interval that holds together with those of all other columns.
    """

    label: str
    n: int
    value: float
    interval: Ends | None = None
    outer: Ends | None = None

    @property
    def reach(self) -> tuple[float, ...]:
        """All numbers that are drawn: an axis holds them."""
        return (self.value, *(self.interval or ()), *(self.outer or ()))


def once(compute: Callable[[Measurement], Drawn]) -> Callable[[Measurement], Drawn]:
    """The same numbers are drawn, and asked for where a shared axis ends, several times: they are computed once."""
    known: WeakKeyDictionary[Measurement, Drawn] = WeakKeyDictionary()

    @functools.wraps(compute)
    def computed(measurement: Measurement) -> Drawn:
        if measurement not in known:
            known[measurement] = compute(measurement)
        return known[measurement]

    return computed


@once
def strata_means(measurement: Measurement) -> list[tuple[str, int, np.ndarray]]:
    """(label, n, means by column) for each stratum, else for each cluster."""
    return [(label, len(part), part.values.mean(axis=0)) for label, part in _by_stratum(measurement)]


def _by_stratum(measurement: Measurement) -> list[tuple[str, Measurement]]:
    labels = measurement.strata or measurement.clusters
    if not labels:
        raise ValueError(f"no strata and no clusters: there is nothing to split this {measurement.unit} data by")
    if not measurement.strata:  # inside one cluster units are independent
        measurement = replace(measurement, strata=labels, clusters=())
    return [(label, measurement.stratum(label)) for label in in_order(labels)]


def in_order(labels: Iterable[str]) -> list[str]:
    """Each label once: by their numbers where all have one ("length 8" before "length 12"), else as they appear."""
    distinct = list(dict.fromkeys(labels))
    numbers = [[int(digits) for digits in re.findall(r"\d+", label)] for label in distinct]
    return sorted(distinct, key=dict(zip(distinct, numbers, strict=True)).__getitem__) if all(numbers) else distinct


@once
def stratum_points(measurement: Measurement) -> list[Point]:
    """The first column in each stratum (else cluster): share or mean with the interval of that stratum alone."""
    first = measurement[measurement.columns[:1]]
    return [replace(point_of(part), label=label) for label, part in _by_stratum(first)]


@once
def column_points(measurement: Measurement) -> list[Point]:
    """The columns farthest from their median, at most 20, from the highest to the lowest.

    Where many are alike (heads that restore nothing, heads without which all goes on) the others are shown. `outer` is
    simultaneous over all columns of the measurement, those left out too.
    """
    names = measurement.columns
    together: dict[str, Ends | None] = {}
    if len(names) > 1:
        with suppress(TooFew):
            family = (proportion if measurement.yes_no else mean)(measurement)
            assert isinstance(family, Family)
            together = {estimate.name: _ends_of(estimate) for estimate in family}
    found = [replace(point_of(measurement[name]), label=name, outer=together.get(name)) for name in names]
    middle = float(np.median([point.value for point in found]))
    shown = sorted(found, key=lambda point: -abs(point.value - middle))[:MOST_COLUMNS]
    return sorted(shown, key=lambda point: -point.value)


@once
def columns_left_out(measurement: Measurement) -> str:
    """What `column_points` left out: "17 more, 0.00 to 0.01"; empty where nothing was."""
    shown = {point.label for point in column_points(measurement)}
    values = [float(measurement[name].values.mean()) for name in measurement.columns if name not in shown]
    return f"{len(values)} more, {min(values):.2f} to {max(values):.2f}" if values else ""


@once
def column_spans(measurement: Measurement) -> list[Ends | None]:
    """The line of each column of `by_column`: quartiles over units, or of shares (whose quartiles are 0 and 1) the
    95 % interval."""
    if measurement.yes_no:
        return [point_of(measurement[name]).interval for name in measurement.columns]
    low, high = np.quantile(measurement.values, (0.25, 0.75), axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]


@once
def point_of(measurement: Measurement) -> Point:
    """The mean, or the share, of the only column with its interval, without a label."""
    try:
        estimate = (proportion if measurement.yes_no else mean)(measurement)
    except TooFew:
        return Point("", len(measurement), float(measurement.values.mean()))
    assert isinstance(estimate, Estimate)
    return Point("", len(measurement), estimate.value, _ends_of(estimate))


def _ends_of(estimate: Estimate) -> Ends | None:
    return None if estimate.method == "constant" else (estimate.low, estimate.high)
