"""Assembly: an Estimate from an interval and the measurement that it came from.

Here the numbers get what a reader needs beside them: name, distribution, strip, sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np

from mechlib.measurement import Measurement
from mechlib.statistics.estimate import Distribution, Estimate, plural
from mechlib.statistics.families import Family
from mechlib.statistics.intervals.interval import Interval
from mechlib.statistics.intervals.ordering import by_label_and_unit
from mechlib.statistics.intervals.sample import Sample
from mechlib.statistics.intervals.variance import shares_of_variance

Strip = tuple[tuple[str, int, float], ...]


def assembled(
    measured: Measurement,
    drawn: Sample,
    found: Interval,
    values: np.ndarray | None,
    columns: Sequence[str],
    residuals: np.ndarray | None = None,
) -> Estimate | Family:
    """One Estimate a column. `values` (units x columns) feed distribution and strip; None where unpaired.

    residuals  what the estimate is a mean of where that is not the values: those of a ratio
    """
    made = []
    empty: list[Any] = [None] * len(columns)
    distributions = empty if values is None else distributions_of(values, found.value.tolist())
    strips = empty if values is None else strips_of(measured, values)
    varying = values if residuals is None else residuals
    shares = empty if varying is None else shares_of_variance(measured, drawn.factors, varying)
    for j, name in enumerate(columns):
        alone = bool(found.constant[j])
        note = f"no variation seen in {drawn.n} {plural(measured.unit)}: the interval speaks of no others"
        made.append(
            Estimate(
                value=found.value[j],
                low=found.low[j],
                high=found.high[j],
                se=0.0 if alone else found.se[j],
                df=found.df,
                monte_carlo=found.monte_carlo[j],
                method="constant" if alone else found.method,
                notes=(*((note,) if alone else ()), *measured.said_of(name)),
                simultaneous=len(columns) > 1,
                distribution=distributions[j],
                strip=strips[j] or (),
                variance=shares[j] or (),
                skewness=() if alone or not found.skewness else found.skewness[j],
                **identity(measured, drawn, name),
            )
        )
    return made[0] if len(made) == 1 else Family(tuple(made), measured.of)


def identity(measured: Measurement, drawn: Sample, column: str) -> dict[str, Any]:
    """What an estimate says of the units behind it."""
    shared = drawn.crossed.design if drawn.crossed else None
    return {
        "n": drawn.n,
        "unit": measured.unit,
        "across": shared.scope.across if shared else drawn.across,
        "clusters": shared.levels[0][1] if shared else drawn.clusters,
        "levels": shared.levels if shared else (),
        "name": "" if column == "value" else column,
        "of": measured.of,
        "sources": sources_of(measured),
    }


def with_sources(made: Estimate | Family, *measured: Measurement) -> Estimate | Family:
    """The same with the evidence files of all measurements that went into it."""
    sources = sources_of(*measured)
    if isinstance(made, Family):
        return Family(tuple(replace(estimate, sources=sources) for estimate in made), made.of)
    return replace(made, sources=sources)


def sources_of(*measured: Measurement) -> tuple[str, ...]:
    """The evidence files of measurements, each once."""
    return tuple(dict.fromkeys(entry.source for entry in measured if entry.source))


def distributions_of(values: np.ndarray, centres: Sequence[float]) -> list[Distribution]:
    """How the units of every column (units x columns) lie around its estimate."""
    quartiles = np.quantile(values, (0, 0.25, 0.5, 0.75, 1), axis=0).T.tolist()
    wrong = np.mean(values * np.sign(centres) < 0, axis=0).tolist()
    return [
        Distribution(low, lower, middle, upper, high, share)
        for (low, lower, middle, upper, high), share in zip(quartiles, wrong, strict=True)
    ]


def strips_of(measured: Measurement, values: np.ndarray) -> list[Strip]:
    """For every column (units x columns) label, number of units and mean of each stratum, or else of each cluster."""
    labels = measured.strata or measured.clusters
    if not labels:
        return [()] * values.shape[1]
    order = by_label_and_unit(labels, measured.sorted_by, numbers_first=True).tolist()
    names, starts, counts = [], [], []
    for label, rows in groupby(range(len(order)), key=lambda place: labels[order[place]]):
        members = list(rows)
        names.append(label)
        starts.append(members[0])
        counts.append(len(members))
    means = np.add.reduceat(values[order], starts, axis=0) / np.array(counts)[:, None]
    return [tuple(zip(names, counts, column, strict=True)) for column in means.T.tolist()]


def aligned(measured: Measurement, like: Measurement) -> Measurement:
    """The rows of `measured` in the order of `like`; ValueError unless units and their clusters are the same."""
    if measured.units == like.units:
        order = np.arange(len(like))
    elif len(measured) == len(like) and set(measured.units) == set(like.units):
        place = {unit: row for row, unit in enumerate(measured.units)}
        order = np.array([place[unit] for unit in like.units])
    else:
        raise ValueError(
            f"{len(like)} and {len(measured)} {plural(like.unit)} that are not the same: measure both on one set"
        )
    clusters = tuple(measured.clusters[row] for row in order) if measured.clusters else ()
    if clusters != like.clusters:
        raise ValueError("the same units are in other clusters: two measurements of one prompt set agree on them")
    strata = tuple(measured.strata[row] for row in order) if measured.strata else ()
    return replace(
        measured,
        values=measured.values[order],
        units=like.units,
        clusters=clusters,
        strata=strata,
        order=like.order,
        factors=like.factors,
    )


def columns_of_difference(first: Measurement, second: Measurement) -> tuple[str, ...]:
    """The columns of a difference; ValueError where those of the two do not fit."""
    if len(first.columns) == len(second.columns) == 1:
        return first.columns if first.columns == second.columns else ("value",)
    if 1 in (len(first.columns), len(second.columns)):
        return max(first.columns, second.columns, key=len)
    if first.columns != second.columns:
        raise ValueError(
            f"columns {', '.join(first.columns[:3])} less {', '.join(second.columns[:3])}: choose the same ones"
        )
    return first.columns
