"""Differences: paired where both were measured on the same units, else between two samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mechlib.measurement import Measurement, subtracted
from mechlib.statistics.assembly import aligned, assembled, columns_of_difference, with_sources
from mechlib.statistics.beside import Others, named, saturated
from mechlib.statistics.estimate import Estimate, plural
from mechlib.statistics.families import Family
from mechlib.statistics.intervals.crossed import Crossed, beside
from mechlib.statistics.intervals.factors import scope
from mechlib.statistics.intervals.interval import Interval, interval
from mechlib.statistics.intervals.sample import Sample, sample
from mechlib.statistics.intervals.shares import interval_of_paired_shares, interval_of_unpaired_shares
from mechlib.statistics.intervals.tails import LEVEL


def difference(
    first: Measurement,
    second: Measurement,
    across: str | None = None,
    *,
    control: Others = None,
    beside: Others = None,
    whole: Measurement | float | None = None,
) -> Estimate | Family:
    """First less second: paired where both were measured on the same units, between two samples where they share none.

    Either may have a single column while the other has several; that makes a Family. Other arguments as in `mean`: a
    control, or what stands beside, takes the place of the first. Where both sides lie above 95 % of the `whole` they
    are not told apart, and a comparison is INCONCLUSIVE.

    Raises ValueError where only some units are shared, TooFew as `mean` does.
    """
    made = named(
        _difference(first, second, across),
        first,
        lambda other: _difference(other, second, across),
        control,
        beside,
        whole,
    )
    return saturated(made, (first.values.mean(axis=0), second.values.mean(axis=0)), whole)


def _difference(first: Measurement, second: Measurement, across: str | None) -> Estimate | Family:
    shared = set(first.units) & set(second.units)
    if not shared:
        return with_sources(_unpaired(first, second, across), first, second)
    if len(shared) < max(len(first), len(second)):
        raise ValueError(
            f"{len(shared)} of {len(first)} and {len(second)} units are the same: measure both on the same "
            f"{plural(first.unit)} (paired), or on none in common"
        )
    second = aligned(second, first)
    columns = columns_of_difference(first, second)
    values, notes = subtracted(first.values, second.values), (*first.notes, *second.notes)
    paired = replace(first, values=values, columns=columns, yes_no=False, notes=tuple(dict.fromkeys(notes)))
    drawn = sample(paired, across, factors=True)
    both = first.yes_no and second.yes_no
    found = _of_paired_shares(paired, drawn, columns) if both else interval(drawn, columns)
    return with_sources(assembled(paired, drawn, found, paired.values, columns), first, second)


def _of_paired_shares(paired: Measurement, drawn: Sample, columns: tuple[str, ...]) -> Interval:
    """Differences of yes/no values on the same units: never without width, though no unit or cluster disagrees."""
    units = drawn
    if drawn.drawn == "clusters":
        units = replace(drawn, rows=paired.values, sizes=(len(paired),), drawn="units")
    up, down = units.combined(units.rows == 1), units.combined(units.rows == -1)
    level = LEVEL / len(columns)
    ends = [interval_of_paired_shares(*shares, units.trials, level) for shares in zip(up, down, strict=True)]
    found = _interval_of_shares(up - down, ends, "paired shares")
    if drawn.drawn != "clusters":
        return found if drawn.crossed is None else _wider(found, interval(drawn, columns))
    between = interval(drawn, columns)
    low, high, se = (
        np.where(between.constant, own, other)
        for own, other in ((found.low, between.low), (found.high, between.high), (found.se, between.se))
    )
    method = "paired shares, no cluster differs" if between.constant.all() else between.method
    return replace(between, low=low, high=high, se=se, constant=found.constant, method=method)


def _wider(independent: Interval, shared: Interval) -> Interval:
    """The wider of two intervals of one number, end by end: units that share something tell no more than others."""
    return replace(
        shared,
        low=np.minimum(independent.low, shared.low),
        high=np.maximum(independent.high, shared.high),
        se=np.maximum(independent.se, shared.se),
        constant=independent.constant,
        method=f"{independent.method}, or {shared.method}: the wider",
    )


def _interval_of_shares(value: np.ndarray, ends: list[tuple[float, float, float]], method: str) -> Interval:
    low, high, se = (np.array(part) for part in zip(*ends, strict=True))
    return Interval(value, low, high, se, np.zeros(len(se)), np.zeros(len(se), dtype=bool), None, method)


def _unpaired(first: Measurement, second: Measurement, across: str | None) -> Estimate | Family:
    columns = columns_of_difference(first, second)
    if first.unit != second.unit or bool(first.clusters) != bool(second.clusters):
        raise ValueError(f"a difference between {plural(first.unit)} and {plural(second.unit)}: compare like with like")
    a, b = sample(first, across, factors=True), sample(second, across, factors=True)
    both = None
    known = [scope(measured, across) for measured in (first, second)]
    if (a.crossed or b.crossed) and known[0].across != known[1].across:
        raise ValueError(
            f"a difference between means across {known[0].across} and across {known[1].across}: compare like with like"
        )
    if a.crossed and b.crossed:
        joint = beside(a.crossed.design, first, b.crossed.design, second, across)
        both = Crossed(joint, _above(a.crossed.rows, b.crossed.rows, len(columns)), None)
    shared = set(first.clusters) & set(second.clusters)
    if a.drawn == "units" and first.yes_no and second.yes_no:
        ends = [
            interval_of_unpaired_shares(*_pair_of_columns(a, b, column), LEVEL / len(columns))
            for column in range(len(columns))
        ]
        found = _interval_of_shares(a.rows.mean(axis=0) - b.rows.mean(axis=0), ends, "unpaired shares")
        drawn = replace(_stacked(a, b, len(columns)), crossed=both)
        return assembled(
            first, drawn, found if both is None else _wider(found, interval(drawn, columns)), None, columns
        )
    if a.drawn == "clusters" and shared:
        if set(first.clusters) != set(second.clusters):
            raise ValueError("some clusters are shared, some are not: compare the same ones, or different ones")
        drawn = replace(a, rows=a.rows - b.rows, n=a.n + b.n)  # other prompts of the same templates: paired by template
    else:
        drawn = _stacked(a, b, len(columns))
    drawn = replace(drawn, crossed=both)
    return assembled(first, drawn, interval(drawn, columns), None, columns)


def _stacked(a: Sample, b: Sample, columns: int) -> Sample:
    """Both samples, the second with negative shares."""
    return replace(
        a,
        rows=_above(a.rows, b.rows, columns),
        sizes=a.sizes + b.sizes,
        shares=a.shares + tuple(-share for share in b.shares),
        n=a.n + b.n,
        clusters=None if a.clusters is None or b.clusters is None else a.clusters + b.clusters,
    )


def _above(first: np.ndarray, second: np.ndarray, columns: int) -> np.ndarray:
    """Rows of one sample above those of another, either of which may have one column for all."""
    width = np.ones((1, columns))
    return np.concatenate([first * width, second * width])


def _pair_of_columns(a: Sample, b: Sample, column: int) -> tuple[np.ndarray, np.ndarray]:
    first, second = (drawn.rows[:, column if drawn.rows.shape[1] > 1 else 0] for drawn in (a, b))
    return first, second
