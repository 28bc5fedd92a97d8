"""Figures beside a claim: asked for by `show`, kept in the record as names, drawn from the evidence files.

What a claim shows may be more than columns of a file: strata by a label, a difference, an interaction. The record
then carries what differs from the file, and the page draws exactly what the claim had in hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET

from mechlib.measurement import Measurement
from mechlib.verdicts.record import Changed, Numbered, ShownFigure, ShownPart

Cells = Mapping[tuple[str, str], Measurement]
MOST = 10_000  # numbers that a record carries for one figure
_TEXTS = ("unit", "of", "yes_no")
_LABELS = ("units", "strata", "clusters", "order")


@dataclass(frozen=True)
class Shown:
    """A figure that a claim asked for: a function of `mechlib.figures.plots`, and the measurement, or cells, that it
    draws."""

    plot: str
    drawn: Measurement | Cells
    caption: str


_shown: ContextVar[list[Shown] | None] = ContextVar("shown", default=None)


def show(plot: Callable[..., Any], measurement: Measurement | Cells, caption: str = "") -> None:
    """Puts a figure beside the claim in the report: a function of `mechlib.figures.plots` and what it draws.

        show(heads_by_layer, scores(model, prompts), "Induction scores")
        show(rates_by_stratum, right(model, prompts).by("carry"), "Accuracy with and without a carry")
        show(matrix, {("addition heads", "ioi"): lost(model, found, ioi()), ...}, "Accuracy lost")
        show(circuit_graph, effects(model, prompts), "The circuit")
        show(curve, {("EAP", "10"): kept(model, "EAP", 10), ...}, "Share kept by circuits of each size")

    What is shown comes from evidence: as filed, or computed from it in the claim (up to 10,000 numbers; more must
    be filed). Nothing is drawn now; the report draws from the evidence file. Outside a claim nothing happens.

    Raises ValueError for what is no function or no measurement, and for cells that are not named (row, column).
    """
    shown = _shown.get()
    if shown is not None:
        _refuse_undrawable(plot, measurement)
        shown.append(
            Shown(plot.__name__, dict(measurement) if isinstance(measurement, Mapping) else measurement, caption)
        )


def _refuse_undrawable(plot: object, measurement: object) -> None:
    name = getattr(plot, "__name__", "") if callable(plot) else ""
    if not name:
        raise ValueError(f"show is to draw with {plot!r}: give it a function of mechlib.figures.plots")
    cells = measurement if isinstance(measurement, Mapping) else {("", ""): measurement}
    for key, cell in cells.items():
        if not isinstance(key, tuple) or len(key) != 2:
            raise ValueError(f"show({name}, ...) has a cell named {key!r}: name each by its row and its column")
        if not isinstance(cell, Measurement):
            raise ValueError(
                f"show({name}, ...) is to draw a value of type {type(cell).__name__}: give it a measurement, "
                "as @evidence returns it"
            )


@contextmanager
def collecting_figures() -> Iterator[list[Shown]]:
    """The figures that are asked for inside."""
    figures: list[Shown] = []
    token = _shown.set(figures)
    try:
        yield figures
    finally:
        _shown.reset(token)


def entry(shown: Shown, filed: Mapping[str, Measurement]) -> ShownFigure:
    """What the record keeps of a figure; `filed` has the measurements that were read, by evidence path.

    Raises ValueError for a measurement that comes from no evidence, or differs from it in too many numbers.
    """
    if isinstance(shown.drawn, Measurement):
        part = _part(shown.drawn, filed)
        return ShownFigure(shown.plot, shown.caption, part.evidence, part.columns, part.changed)
    cells = tuple(
        msgspec.structs.replace(_part(measurement, filed), row=row, column=column)
        for (row, column), measurement in shown.drawn.items()
    )
    if not cells:
        raise ValueError(f"show({shown.plot}, ...) of no cells: there is nothing to draw")
    return ShownFigure(shown.plot, shown.caption, cells=cells)


def restored(figure: ShownFigure, filed: Mapping[str, Measurement]) -> Measurement | Cells:
    """What the claim had in hand, from an entry of its record and the evidence files by path.

    Raises KeyError where a file no longer has a column.
    """
    if figure.cells is UNSET:
        (part,) = figure.parts
        return _restored(part, filed[part.evidence])
    return {(str(part.row), str(part.column)): _restored(part, filed[part.evidence]) for part in figure.cells}


def _part(measurement: Measurement, filed: Mapping[str, Measurement]) -> ShownPart:
    if measurement.source not in filed:
        raise ValueError("show draws evidence, and this measurement was read from none: return it from @evidence")
    columns = None if measurement.columns == ("value",) else measurement.columns
    like = _chosen(filed[measurement.source], columns)
    changed: dict[str, Any] = {
        name: getattr(measurement, name) for name in _TEXTS if getattr(measurement, name) != getattr(like, name)
    }
    changed |= {
        name: _numbered(getattr(measurement, name))
        for name in _LABELS
        if getattr(measurement, name) != getattr(like, name)
    }
    if measurement.columns != like.columns or not np.array_equal(measurement.values, like.values):
        if measurement.values.size > MOST:
            raise ValueError(
                f"show is given {measurement.values.size} numbers that were computed in the claim, and a record "
                f"carries {MOST} at most: return them from @evidence"
            )
        rows = measurement.values.tolist()
        changed["values"] = tuple(tuple(float(f"{value:.6g}") for value in row) for row in rows)
    return ShownPart(measurement.source, columns, Changed(**changed) if changed else UNSET)


def _chosen(measurement: Measurement, columns: Sequence[str] | None) -> Measurement:
    """These columns, or the whole where it has others."""
    return measurement[list(columns)] if columns and set(columns) <= set(measurement.columns) else measurement


def _restored(part: ShownPart, filed: Measurement) -> Measurement:
    names = (*_TEXTS, *_LABELS, "values")
    changed = {} if part.changed is UNSET else {name: getattr(part.changed, name) for name in names}
    changed = {name: value for name, value in changed.items() if value is not UNSET}
    if "values" not in changed:
        filed = filed if part.columns is None else filed[list(part.columns)]
    else:
        filed = _chosen(filed, part.columns)
        changed["columns"] = ("value",) if part.columns is None else part.columns
        changed["values"] = np.array(changed["values"])
    labels = {name: _unnumbered(changed[name]) for name in _LABELS if name in changed}
    return replace(filed, **(changed | labels))


def _numbered(labels: tuple[str, ...]) -> Numbered:
    """Labels as distinct ones and the number of each: short where many are the same."""
    names = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return tuple(names), tuple(names[label] for label in labels)


def _unnumbered(kept: Numbered) -> tuple[str, ...]:
    names, numbers = kept
    return tuple(names[number] for number in numbers)
