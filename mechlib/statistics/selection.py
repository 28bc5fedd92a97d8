"""Choosing heads and circuits by looking at a measurement: on discovery prompts, and only there."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mechlib.measurement import Measurement, reaches
from mechlib.parts.circuits import Circuit
from mechlib.parts.graphs import is_part
from mechlib.parts.heads import DoubleDipping, Head, Selection, heads
from mechlib.statistics.intervals.ordering import by_label_and_unit
from mechlib.statistics.intervals.sample import means_of_runs


def strongest(measured: Measurement, n: int = 1, but_not: Iterable[Head] | None = None) -> Selection:
    """The `n` heads with the highest mean, best first.

    but_not  heads that are passed over

    Raises DoubleDipping unless all prompts are for discovery, ValueError where fewer than `n` heads were measured.
    """
    ranked = _ranked(measured, but_not)
    if not 1 <= n <= len(ranked):
        raise ValueError(f"{n} heads asked for, {len(ranked)} to choose from")
    return Selection(tuple(head for head, _ in ranked[:n]), _chosen_on(measured))


def above(measured: Measurement, threshold: float, but_not: Iterable[Head] | None = None) -> Selection:
    """The heads whose mean is at least `threshold`, best first; it may be none of them.

    An empty selection raises EmptySelection where it is used. Raises DoubleDipping as `strongest` does.
    """
    ranked = _ranked(measured, but_not)
    chosen = tuple(head for head, value in ranked if reaches(value, threshold))
    return Selection(chosen, _chosen_on(measured))


def strongest_circuit(scores: Measurement, k: int, signed: bool = False) -> Circuit:
    """The `k` nodes or edges whose mean score is largest in size (`signed`: largest), best first.

    Edges that lie on no path may be among them: see `Circuit.connected`. Raises DoubleDipping unless all prompts are
    for discovery, ValueError where there are not `k` nodes or edges.
    """
    means = _part_means(scores)
    if not isinstance(k, int) or not 1 <= k <= len(means):
        raise ValueError(f"{k!r} nodes or edges asked for, {len(means)} to choose from")
    ranked = sorted(means, key=lambda name: -(means[name] if signed else abs(means[name])))
    return Circuit(tuple(ranked[:k]), _chosen_on(scores))


def circuit_above(scores: Measurement, threshold: float = 0.0) -> Circuit:
    """The nodes or edges whose mean score exceeds `threshold`, best first: what a pruning left. It may be none of them.

    Raises DoubleDipping as `strongest_circuit` does.
    """
    means = _part_means(scores)
    ranked = sorted(means, key=lambda name: -means[name])
    return Circuit(tuple(name for name in ranked if means[name] > threshold), _chosen_on(scores))


def _part_means(scores: Measurement) -> dict[str, float]:
    columns = [name for name in scores.columns if is_part(name)]
    if not columns:
        raise ValueError(f"no column is a node or an edge: there are {', '.join(scores.columns[:4])}")
    order = by_label_and_unit(("",) * len(scores), scores.sorted_by)
    return dict(zip(columns, scores[columns].values[order].mean(axis=0).tolist(), strict=True))


def _ranked(measured: Measurement, but_not: Iterable[Head] | None) -> list[tuple[Head, float]]:
    columns = measured.head_columns
    if not columns:
        raise ValueError(f"no column is a head: there are {', '.join(measured.columns[:4])}")
    order = by_label_and_unit(("",) * len(measured), measured.sorted_by)
    values = means_of_runs(measured[columns].values[order], np.array([0]), (len(measured),))[0]
    passed_over = set(but_not or ())
    candidates = [
        (head, float(value))
        for head, value in zip((next(iter(heads(column))) for column in columns), values, strict=True)
        if head not in passed_over
    ]
    return sorted(candidates, key=lambda pair: (-pair[1], pair[0]))


def _chosen_on(measured: Measurement) -> frozenset[str]:
    if not measured.prompts:
        raise DoubleDipping(
            "nothing says on which prompts this was measured: choose from what an evidence function returns"
        )
    for prompts in measured.prompts:
        if prompts.split != "discovery":
            raise DoubleDipping(
                f"chosen on {prompts!r}, but {prompts.split} prompts are for judging them: "
                f"choose on {prompts.name}(split='discovery')"
            )
    return frozenset().union(*(prompts.members for prompts in measured.prompts))
