"""The grid of R21 in one call: a circuit under every replacement, direction, metric and corruption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np

from mechlib.lab.batching import in_order
from mechlib.lab.circuits.bases import Replacement
from mechlib.lab.circuits.scorer import CircuitMetric, CircuitScorer, Direction, kind_of
from mechlib.lab.models.loading import Model
from mechlib.measurement import CIRCUIT, EMPTY, MODEL, Measurement, grid_column
from mechlib.parts.circuits import Circuit
from mechlib.prompts.promptset import PromptSet

REPLACEMENTS: tuple[Replacement, ...] = get_args(Replacement)
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
METRICS: tuple[CircuitMetric, ...] = get_args(CircuitMetric)


def grid(
    model: Model,
    prompts: Mapping[str, PromptSet],
    circuit: Circuit,
    reference: PromptSet | None = None,
    replacements: Sequence[Replacement] = REPLACEMENTS,
    directions: Sequence[Direction] = DIRECTIONS,
    metrics: Sequence[CircuitMetric] = METRICS,
    seed: int = 0,
) -> Measurement:
    """F of the model, of the empty circuit and of the circuit in every cell; `mechlib.statistics.circuits.grid.cells`
    takes them out.

    prompts       by the name of their corruption, which makes a difference where something of the corrupted prompt
                  stands outside; with means, resamples and zeros, cells of the same clean texts are copies of each
                  other: {"other name": ioi(...), "three names": ioi(..., corruption=...)}
    replacements  of everything outside the circuit; by default all four

    One row a cluster (template), its mean, where all prompts have clusters, so that intervals are across them; else one
    row a prompt, under the fingerprint that it has in the first set. Other arguments and errors as in `circuit_scores`;
    ValueError also where one set has clusters and another has none, where the sets do not have the same clusters or,
    without clusters, the same clean texts in the same order.
    """
    if not (replacements and directions and metrics):
        raise ValueError("a grid without cells: give at least one of replacements, of directions and of metrics")
    names, groups = _units_and_rows(prompts)
    columns: dict[str, np.ndarray] = {}
    kind = kind_of([circuit])
    for corruption, own in prompts.items():
        for replacement in replacements:
            either = CircuitScorer(model, own, replacement, reference, directions[0], seed)
            for direction in directions:
                scorer = either if direction == either.direction else either.towards(direction)
                found = scorer.all_values([scorer.mask((), kind), scorer.mask(circuit, kind)], metrics)
                for metric in metrics:
                    values = in_order(scorer.batches, found[metric])
                    for place, part in enumerate((MODEL, EMPTY, CIRCUIT)):
                        rows = [values[members, place].mean() for members in groups[corruption]]
                        columns[grid_column(replacement, direction, metric, corruption, part)] = np.array(rows)
    return Measurement(
        values=np.stack(list(columns.values()), axis=1),
        units=names,
        unit="template" if _clustered(prompts) else "prompt",
        columns=tuple(columns),
        clusters=names if _clustered(prompts) else (),
        order=() if _clustered(prompts) else tuple(row.sort_key for row in next(iter(prompts.values()))),
        of="metric of model, empty circuit and circuit",
    )


def _clustered(prompts: Mapping[str, PromptSet]) -> bool:
    return all(row.cluster for own in prompts.values() for row in own)


def _units_and_rows(prompts: Mapping[str, PromptSet]) -> tuple[tuple[str, ...], dict[str, list[list[int]]]]:
    """The units, and by corruption which prompts each of them has."""
    if not isinstance(prompts, Mapping):
        raise ValueError(f"{prompts!r} is one set: give the sets by the name of their corruption, {{'other': ...}}")
    if not prompts:
        raise ValueError("a grid without prompts: give at least one corruption, by name")
    first = next(iter(prompts))
    for name, own in prompts.items():
        if bool(own.rows[0].cluster) != bool(prompts[first].rows[0].cluster):
            raise ValueError(
                f"of {name!r} and {first!r} one has clusters and the other has none: name the clusters of both, or of "
                "none"
            )
    if not _clustered(prompts):
        for name, own in prompts.items():
            if [row.clean for row in own] != [row.clean for row in prompts[first]]:
                raise ValueError(
                    f"the clean texts of {name!r} are not those of {first!r}: without clusters, corruptions are "
                    "compared prompt by prompt"
                )
        units = tuple(row.fingerprint for row in prompts[first])
        return units, {name: [[row] for row in range(len(own))] for name, own in prompts.items()}
    clusters = {name: tuple(sorted({row.cluster for row in own})) for name, own in prompts.items()}
    for name, known in clusters.items():
        if known != clusters[first]:
            raise ValueError(f"{name!r} and {first!r} do not have the same clusters: take the same templates for both")
    return clusters[first], {
        name: [[row for row, prompt in enumerate(own) if prompt.cluster == cluster] for cluster in clusters[first]]
        for name, own in prompts.items()
    }
