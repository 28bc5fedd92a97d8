"""What figures draw: numbers, labels and intervals, before any ink. Shared by `mechlib.figures.plots` and the pages.

What is drawn is a Measurement, or for a `matrix` or a `curve` one Measurement for each cell, under (row, column).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from mechlib.figures.concentration import concentration
from mechlib.figures.points import (
    Ends,
    Point,
    column_points,
    column_spans,
    once,
    point_of,
    strata_means,
    stratum_points,
)
from mechlib.figures.show import Cells
from mechlib.measurement import Measurement
from mechlib.parts.graphs import INPUT, LOGITS, Edge, layer_of

DEPTH = re.compile(r"(?:(?P<line>.+), )?(?:embeddings|after layer (?P<layer>\d+))")


def head_grid(measurement: Measurement) -> np.ndarray:
    """Means over units, layers x heads; NaN where a head was not measured. ValueError without head columns."""
    names = measurement.head_columns
    if not names:
        raise ValueError(
            f"no column is a head ({', '.join(measurement.columns[:4])}): columns named layer.head make a head map"
        )
    places = [tuple(int(part) for part in name.split(".")) for name in names]
    grid = np.full((1 + max(layer for layer, _ in places), 1 + max(head for _, head in places)), np.nan)
    means = measurement.values.mean(axis=0)
    for name, (layer, head) in zip(names, places, strict=True):
        grid[layer, head] = means[measurement.columns.index(name)]
    return grid


@once
def heads_and_mlps(measurement: Measurement) -> tuple[np.ndarray, np.ndarray | None]:
    """`head_grid`, and means of the columns "mlp 0", "mlp 1", ... by layer, None where there are none.

    Both have a row for every layer of either, NaN where nothing was measured.
    """
    grid = head_grid(measurement)
    found = {int(name[4:]): name for name in measurement.mlp_columns if name[4:].isdecimal()}
    if not found:
        return grid, None
    mlps = np.full(max(len(grid), 1 + max(found)), np.nan)
    for layer, name in found.items():
        mlps[layer] = measurement[name].array.mean()
    return np.concatenate([grid, np.full((len(mlps) - len(grid), grid.shape[1]), np.nan)]), mlps


@dataclass(frozen=True)
class Grid:
    """Rows, columns and cells of a matrix; a cell that was not measured is missing."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], Point]


def grid_of(drawn: Measurement | Cells) -> Grid:
    """Cells of a matrix: a Measurement's values as they are (units down, columns across), or of one Measurement a
    cell its mean or share with an interval. ValueError where a cell has several columns."""
    if isinstance(drawn, Measurement):
        values = {
            (unit, column): Point("", 1, float(drawn.values[row, place]))
            for row, unit in enumerate(drawn.units)
            for place, column in enumerate(drawn.columns)
        }
        return Grid(drawn.units, drawn.columns, values)
    for (row, column), cell in drawn.items():
        if len(cell.columns) != 1:
            raise ValueError(f"the cell {row}, {column} has {len(cell.columns)} columns: choose one")
    cells = {key: point_of(cell) for key, cell in drawn.items()}
    return Grid(tuple(dict.fromkeys(r for r, _ in drawn)), tuple(dict.fromkeys(c for _, c in drawn)), cells)


@dataclass(frozen=True)
class SizePoint(Point):
    """A point of a curve: `label` is the size as written, `x` its place on a log axis, in powers of ten."""

    x: float = 0.0


@dataclass(frozen=True)
class Series:
    """One line of a figure of curves, from the smallest size on."""

    label: str
    points: tuple[SizePoint, ...]


def curves_of(drawn: Measurement | Cells) -> list[Series]:
    """The lines of a `curve`: one of a Measurement whose columns are sizes, or one a row of cells under (row, size).

    A size of 0, which has no logarithm, stands half a power of ten before the smallest. ValueError for a column that is
    no size, for a cell of several columns, and where there is neither.
    """
    cells = {("", name): drawn[name] for name in drawn.columns} if isinstance(drawn, Measurement) else drawn
    points = grid_of(cells).cells
    if not points:
        raise ValueError("a curve of no sizes: there is nothing to draw")
    sizes = {size: _size(size) for _, size in points}
    smallest = min((size for size in sizes.values() if size > 0), default=1.0)
    return [
        Series(row, tuple(
            SizePoint(size, point.n, point.value, point.interval, x=math.log10(number or smallest / math.sqrt(10)))
            for size, number in sorted(sizes.items(), key=lambda item: item[1])
            if (point := points.get((row, size)))
        ))
        for row in dict.fromkeys(row for row, _ in points)
    ]  # fmt: skip


def by_depths(measurement: Measurement) -> tuple[list[Series], list[Point]]:
    """The line of a `by_depth`, through the columns "embeddings", "after layer 0", ... in their order, and the levels
    beside it: all other columns. Where columns are "LINE, DEPTH" there is a line for each. ValueError without depths.
    """
    lines: dict[str, list[tuple[int, str]]] = {}
    for name in measurement.columns:
        if found := DEPTH.fullmatch(name):
            place = 0 if found["layer"] is None else 1 + int(found["layer"])
            lines.setdefault(found["line"] or "", []).append((place, name))
    if not lines:
        some = ", ".join(measurement.columns[:4])
        raise ValueError(f"no column is a depth ({some}): columns named 'embeddings', 'after layer 0' make a line")
    drawn = {name for line in lines.values() for _, name in line}
    series = []
    for line, places in lines.items():
        points = []
        for place, name in sorted(places):
            point = point_of(measurement[name])
            points.append(SizePoint(str(place - 1) if place else "emb", point.n, point.value, point.interval, x=place))
        series.append(Series(line, tuple(points)))
    return series, [replace(point_of(measurement[n]), label=n) for n in measurement.columns if n not in drawn]


def _size(name: str) -> float:
    with suppress(ValueError):
        if 0 <= (size := float(name)) < math.inf:
            return size
    raise ValueError(f"{name!r} is no size: the columns of a curve are numbers, as in '1', '2', '5'")


def extent(plot: str, measurements: Iterable[Measurement | Cells]) -> Ends:
    """Where the axis (or the colour) of a figure ends if it is to hold all of these measurements."""
    reached = np.concatenate([np.ravel(_reach(plot, measurement)) for measurement in measurements])
    return float(np.nanmin(reached)), float(np.nanmax(reached))


def _reach(plot: str, drawn: Measurement | Cells) -> np.ndarray:
    if plot == "matrix":
        return np.array([cell.value for cell in grid_of(drawn).cells.values()])
    if plot == "curve":
        reached = [end for one in curves_of(drawn) for point in one.points for end in point.reach]
        return np.array([*reached, 0.0, 1.0])
    if not isinstance(drawn, Measurement):
        raise ValueError("draws one measurement: several, one a cell, make a matrix or a curve")
    if plot == "by_depth":
        series, levels = by_depths(drawn)
        read = [end for one in series for point in one.points for end in point.reach]
        return np.array([*read, *(level.value for level in levels), 0.0, *([1.0] if drawn.yes_no else [])])
    if plot == "circuit_graph":
        return np.array(list(effects(drawn).values()))
    if plot == "heads_by_layer":
        grid, mlps = heads_and_mlps(drawn)
        return grid if mlps is None else np.concatenate([grid.ravel(), mlps])
    if plot == "depth_and_concentration":
        return np.array([0.0, *concentration(drawn).layers])
    if plot == "attention_pattern":
        return np.array([0.0, 1.0])
    if plot == "by_stratum":
        return np.array([means[0] for *_, means in strata_means(drawn)])
    if plot == "by_column":
        ends = [end for span in column_spans(drawn) if span for end in span]
        return np.concatenate([ends, drawn.values.mean(axis=0), [0.0, 1.0] if drawn.yes_no else [0.0]])
    if plot in ("rates_by_stratum", "rates_by_column"):
        points = stratum_points(drawn) if plot == "rates_by_stratum" else column_points(drawn)
        whole = [0.0, 1.0] if drawn.yes_no else [0.0]
        return np.array([end for point in points for end in point.reach] + whole)
    return np.append(histogram(drawn.values[:, 0])[1], 0.0)


def effects(measurement: Measurement) -> dict[str, float]:
    """Mean over units of each column that is named as an edge. ValueError without one, and for an edge written wrongly
    or leading to no later node."""
    means = measurement.values.mean(axis=0)
    found = {name: float(value) for name, value in zip(measurement.columns, means, strict=True) if "->" in name}
    if not found:
        some = ", ".join(measurement.columns[:4]) or "there are none"
        raise ValueError(f"no column is an edge ({some}): columns named source->target make a circuit graph")
    for edge in map(Edge.parse, found):
        if rank(edge.source) >= rank(edge.target):
            raise ValueError(f"'{edge}' leads to no later node: an edge goes from the input towards the logits")
    return found


def rank(node: str) -> tuple[float, bool]:
    """Rows from the input up: an MLP is above the heads of its layer."""
    if node in (INPUT, LOGITS):
        return (-1.0 if node == INPUT else math.inf), False
    return float(layer_of(node)), node.startswith("mlp")


def magnitude(ends: Ends) -> float:
    """How far the numbers reach from zero, or 1 where all is zero: full colour, or the widest line."""
    return max(abs(ends[0]), abs(ends[1])) or 1.0


def histogram(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts and edges with about the square root of n bins, at most 30; one bin for constant data."""
    if float(np.ptp(values)) == 0.0:
        return np.array([len(values)]), np.array([values[0] - 0.5, values[0] + 0.5])
    counts, edges = np.histogram(values, bins=min(30, max(5, math.isqrt(len(values)))))
    return counts, edges


def short(value: float) -> str:
    """A number for a cell of 24 pixels: ".43", "-.05", "1.0", "12"."""
    if abs(value) >= 9.95:
        return f"{value:.0f}"
    text = f"{value:.1f}" if abs(value) >= 0.995 else f"{value:.2f}".replace("0.", ".", 1)
    return "0" if text in (".00", "-.00") else text


def clipped(text: str, n: int) -> str:
    """At most n characters, the rest as an ellipsis."""
    return text if len(text) <= n else text[: n - 1] + "…"
