"""The figures of `mechlib.figures.plots` as inline SVG for the pages: the same names, a Measurement in, Markup out.

`small` ones stand for twins: no numbers, no labels. `ends` are those of the axis, or of the colour, shared by the
panels of one row (`mechlib.figures.data.extent`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from markupsafe import Markup

from mechlib.figures.data import clipped, extent, grid_of, heads_and_mlps, histogram, magnitude, short
from mechlib.figures.points import (
    Ends,
    Point,
    column_points,
    column_spans,
    columns_left_out,
    strata_means,
    stratum_points,
)
from mechlib.figures.show import Cells
from mechlib.figures.svg.circuit_charts import circuit_graph as circuit_graph
from mechlib.figures.svg.circuit_charts import curve as curve
from mechlib.figures.svg.circuit_charts import edge_bar as edge_bar
from mechlib.figures.svg.depth_charts import by_depth as by_depth
from mechlib.figures.svg.depth_charts import depth_and_concentration as depth_and_concentration
from mechlib.figures.svg.elements import (
    Scale,
    digits,
    dot,
    drawing,
    number,
    path,
    rect,
    scale_for,
    text,
)
from mechlib.figures.svg.intervals import axis_parts
from mechlib.measurement import Measurement

WIDTH, LINE, LETTER = 210, 14, 6


def heads_by_layer(measurement: Measurement, ends: Ends | None = None, small: bool = False) -> Markup:
    """Head map: layers as rows, heads as columns, and MLPs beside them where there are columns "mlp 0", ....

    Numbers where they reach a tenth of the limit, all on hover.
    """
    grid, mlps = heads_and_mlps(measurement)
    limit = magnitude(ends or extent("heads_by_layer", [measurement]))
    layers, heads = grid.shape
    wide, tall, edge = (9, 8, 0) if small else (23, 17, 15)
    cells = [(f"{layer}.{head}", wide * head, tall * layer, value) for (layer, head), value in np.ndenumerate(grid)]
    beside = wide * heads + (2 if small else 5)
    cells += [] if mlps is None else [(f"mlp {n}", beside, tall * n, value) for n, value in enumerate(mlps)]
    parts = [part for name, x, y, value in cells for part in _cell(name, edge + x, y, value, limit, (wide, tall))]
    if not small:
        parts += [text(edge - 8, tall * layer + 12, str(layer), "l") for layer in range(layers)]
        parts += [text(edge + wide * head + wide / 2, tall * layers + 11, str(head), "l") for head in range(heads)]
    parts.append(path("x", f"M{edge} 0h{wide * heads}v{tall * layers}h-{wide * heads}z"))
    if mlps is not None:
        parts.append(path("x", f"M{edge + beside} 0h{wide}v{tall * layers}h-{wide}z"))
        parts += [] if small else [text(edge + beside + wide / 2, tall * layers + 11, "mlp", "l")]
    best, *_, most = max((cell for cell in cells if not math.isnan(cell[-1])), key=lambda cell: abs(cell[-1]))
    label = f"head map of {layers} layers with {heads} heads; largest at {best}: {number(most)}"
    right = wide * heads if mlps is None else beside + wide
    return drawing(edge + right + 1, tall * layers + (1 if small else 14), parts, "heat", label)


def _cell(name: str, x: int, y: int, value: float, limit: float, size: tuple[int, int]) -> list[str]:
    """One cell of a head map: small ones without a number."""
    (wide, tall), share = size, min(1.0, abs(value) / limit)
    small = wide < 20
    if math.isnan(value):
        return [rect("none", x, y, wide, tall)]
    if small and share < 0.005:
        return []
    drawn = [rect("n" if value < 0 else "p", x, y, wide, tall, share, "" if small else f"{name}: {number(value)}")]
    if share >= 0.1 and not small:
        drawn.append(text(x + wide / 2, y + 12, short(float(value)), "on" if share > 0.55 else ""))
    return drawn


def attention_pattern(measurement: Measurement, ends: Ends | None = None, small: bool = False) -> Markup:
    """Attention of one head on one prompt: queries as rows, keys as columns; weights under .01 are left out."""
    values = measurement.values
    size = 6 if small else 11 if max(values.shape) <= 20 else 8
    letter = LETTER if size > 8 else 4.7
    left = 0 if small else _room(measurement.units, 14, letter)
    top = 0 if small else _room(measurement.columns, 14, letter)
    parts = []
    for (query, key), value in np.ndenumerate(values):
        share = min(1.0, abs(float(value)) / magnitude(ends or (0.0, 1.0)))
        if share >= 0.01:
            title = f"{measurement.units[query]} → {measurement.columns[key]}: {value:.2f}"
            shown = title if share >= 0.1 and not small else ""
            parts.append(rect("p", left + size * key, top + size * query, size, size, share, shown))
    if not small:
        for place, unit in enumerate(measurement.units):
            parts.append(text(left - 4, top + size * place + size - 2, clipped(unit, 14), "r"))
        for place, column in enumerate(measurement.columns):
            turned = f"translate({left + size * place + size - 2} {top - 4})rotate(-90)"
            parts.append(f'<g transform="{turned}">{text(0, 0, clipped(column, 14), "u")}</g>')
    height, width = size * values.shape[0], size * values.shape[1]
    parts.append(path("x", f"M{left} {top}h{width}v{height}h-{width}z"))
    label = f"attention of {len(measurement)} queries to {len(measurement.columns)} keys"
    return drawing(left + width + 1, top + height + 1, parts, "heat" if size > 8 else "heat dense", label)


def by_stratum(measurement: Measurement, ends: Ends | None = None, small: bool = False) -> Markup:
    """Mean of the first column in each stratum, one labelled row each."""
    rows = [(label, n, float(means[0])) for label, n, means in strata_means(measurement)]
    scale = _data_scale(ends or extent("by_stratum", [measurement]))
    left = 0 if small else _room([label for label, *_ in rows], 30)
    parts = []
    for place, (label, n, value) in enumerate(rows):
        y = LINE * place + 8
        parts.append(dot(left + scale(value), y, 3, title=f"{label}: {number(value)} (n={n})"))
        if not small:
            parts.append(text(left - 4, y + 3, clipped(label, 30), "r"))
    return _framed(scale, parts, left, LINE * len(rows) + 2, "means by stratum")


def distribution(
    measurement: Measurement,
    ends: Ends | None = None,
    small: bool = False,
    mark: float | None = None,
    percentile: float | None = None,
) -> Markup:
    """Histogram of the first column over units, zero marked; `mark` is a further number to hold against it.

    `percentile` is the 95th of a null, a dashed line.
    """
    counts, edges = histogram(measurement.values[:, 0])
    reach = [*(ends or extent("distribution", [measurement])), *([] if mark is None else [mark])]
    scale, height, top = _data_scale((min(reach), max(reach))), 34 if small else 64, int(counts.max())
    parts = []
    for count, start, end in zip(counts, edges, edges[1:], strict=False):
        tall = height * int(count) / top
        title = f"{number(start)} to {number(end)}: {count}"
        parts.append(rect("h", scale(start), height - tall, scale(end) - scale(start), tall, title=title))
    parts.append(path("z", f"M{digits(scale(0))} 0V{height}"))
    if percentile is not None:
        parts.append(path("b", f"M{digits(scale(percentile))} 0V{height}", f"95th percentile: {number(percentile)}"))
    if mark is not None:
        parts.append(path("s", f"M{digits(scale(mark))} 4V{height}", f"the selection: {number(mark)}"))
        parts.append(path("f", f"M{digits(scale(mark))} {height}l-4-7h8z"))
    return _framed(scale, parts, 0, height, f"histogram of {len(measurement)} {measurement.unit}s")


def by_column(measurement: Measurement, ends: Ends | None = None, small: bool = False) -> Markup:
    """Mean (dot) and quartiles (line) over units for each column, in order; of shares the 95 % interval."""
    lines = column_spans(measurement)
    means = measurement.values.mean(axis=0)
    scale = _data_scale(ends or extent("by_column", [measurement]))
    left = 0 if small else _room(measurement.columns, 24)
    parts = [path("z", f"M{digits(left + scale(0))} 0V{LINE * len(means) + 2}")]
    for place, column in enumerate(measurement.columns):
        y = LINE * place + 8
        if line := lines[place]:
            parts.append(path("i", f"M{digits(left + scale(line[0]))} {y}H{digits(left + scale(line[1]))}"))
        parts.append(dot(left + scale(means[place]), y, 3, title=f"{column}: {number(means[place])}"))
        if not small:
            parts.append(text(left - 4, y + 3, clipped(column, 24), "r"))
    return _framed(scale, parts, left, LINE * len(means) + 2, "means and quartiles by column")


def rates_by_stratum(measurement: Measurement, ends: Ends | None = None, small: bool = False) -> Markup:
    """Share or mean of the first column in each stratum, with its 95 % interval and n."""
    points = stratum_points(measurement)
    labels = [f"{clipped(point.label, 26)} (n={point.n})" for point in points]
    return _rates(points, labels, ends or extent("rates_by_stratum", [measurement]), small, "rates by stratum")


def rates_by_column(measurement: Measurement, ends: Ends | None = None, small: bool = False) -> Markup:
    """Share or mean of each column from the highest on: its own interval thick, the simultaneous one thin."""
    points = column_points(measurement)
    labels = [clipped(point.label, 34) for point in points]
    ends = ends or extent("rates_by_column", [measurement])
    return _rates(points, labels, ends, small, "rates by column", columns_left_out(measurement))


def _rates(
    points: Sequence[Point], labels: Sequence[str], ends: Ends, small: bool, label: str, rest: str = ""
) -> Markup:
    scale = _data_scale(ends)
    left = 0 if small else _room(labels, 40)
    parts = [path("z", f"M{digits(left + scale(0))} 0V{LINE * len(points) + 2}")]
    for place, (point, name) in enumerate(zip(points, labels, strict=True)):
        y = LINE * place + 8
        for kind, line in (("w", point.outer), ("i", point.interval)):
            if line is not None:
                parts.append(path(kind, f"M{digits(left + scale(line[0]))} {y}H{digits(left + scale(line[1]))}"))
        parts.append(dot(left + scale(point.value), y, 3, title=f"{point.label}: {_said(point)} (n={point.n})"))
        if not small:
            parts.append(text(left - 4, y + 3, name, "r"))
    if rest and not small:
        parts.append(text(left + scale.width, LINE * len(points) + 30, rest, "r"))
    return _framed(scale, parts, left, LINE * len(points) + 2, label, 12 if rest and not small else 0)


def _said(point: Point) -> str:
    """A value with its interval, for reading."""
    if point.interval is None:
        return number(point.value)
    return f"{number(point.value)} [{number(point.interval[0])}, {number(point.interval[1])}]"


def matrix(drawn: Measurement | Cells, ends: Ends | None = None, small: bool = False) -> Markup:
    """A grid with a number in each cell, and its interval below where a cell is a measurement of its own."""
    grid = grid_of(drawn)
    limit = magnitude(ends or extent("matrix", [drawn]))
    with_intervals = any(cell.interval for cell in grid.cells.values())
    wide, tall = (9, 8) if small else (64, 30) if with_intervals else (42, 18)
    turned = max(LETTER * len(clipped(column, 40)) for column in grid.columns) > wide
    left = 0 if small else _room(grid.rows, 40)
    top = 0 if small else _room(grid.columns, 40) if turned else 14
    parts = []
    for (row, column), cell in grid.cells.items():
        x, y = left + wide * grid.columns.index(column), top + tall * grid.rows.index(row)
        share = min(1.0, abs(cell.value) / limit)
        parts.append(rect("n" if cell.value < 0 else "p", x, y, wide, tall, share, f"{row}, {column}: {_said(cell)}"))
        if not small:
            kind = "on" if share > 0.55 else ""
            parts.append(text(x + wide / 2, y + 12.5, _in_cell(cell.value), kind))
            if cell.interval:
                low, high = (short(end).replace("-", "−") for end in cell.interval)
                parts.append(text(x + wide / 2, y + 24, f"[{low}, {high}]", kind))
    if not small:
        parts += [text(left - 4, top + tall * (n + 0.5) + 3, clipped(row, 40), "r") for n, row in enumerate(grid.rows)]
        parts += _heads(grid.columns, left, top, wide, turned)
    width, height = wide * len(grid.columns), tall * len(grid.rows)
    parts.append(path("x", f"M{left} {top}h{width}v{height}h-{width}z"))
    label = f"grid of {len(grid.rows)} rows and {len(grid.columns)} columns"
    return drawing(left + width + 1, top + height + 1, parts, "heat", label)


def _in_cell(value: float) -> str:
    """A number as `number` writes it, next to nothing as 0.000: cells have no room for powers of ten."""
    return number(value) if abs(value) >= 5e-4 else "0.000"


def _heads(columns: Sequence[str], left: int, top: int, wide: int, turned: bool) -> list[str]:
    """Labels above the columns of a grid, upright where they do not fit across."""
    middles = [left + wide * (place + 0.5) for place in range(len(columns))]
    if not turned:
        return [text(x, top - 4, column, "l") for x, column in zip(middles, columns, strict=True)]
    return [
        f'<g transform="translate({digits(x + 3)} {top - 4})rotate(-90)">{text(0, 0, clipped(column, 40), "u")}</g>'
        for x, column in zip(middles, columns, strict=True)
    ]


def colour_bar(limit: float, both_signs: bool) -> Markup:
    """What the colours of a head map stand for: zero is the page, the limit is full colour."""
    steps = [step / 8 for step in range(-8 if both_signs else 0, 9)]
    parts = [rect("n" if s < 0 else "p", 10 * i, 0, 10, 8, abs(s)) for i, s in enumerate(steps)]
    width = 10 * len(steps)
    parts += [text(0, 19, number(-limit if both_signs else 0.0), "s0"), text(width, 19, number(limit), "r")]
    if both_signs:
        parts.append(text(width / 2, 19, "0", "l"))
    parts.append(path("x", f"M0 0h{width}v8h-{width}z"))
    return drawing(width + 1, 22, parts, "heat")


def _room(labels: Iterable[str], most: int, letter: float = LETTER) -> int:
    """Pixels that the labels need beside a drawing."""
    return 8 + int(letter * max(len(clipped(label, most)) for label in labels))


def _data_scale(ends: Ends) -> Scale:
    return scale_for(ends, WIDTH)


def _framed(scale: Scale, parts: Sequence[str], left: int, height: int, label: str, below: int = 0) -> Markup:
    """The drawing over its axis; `left` pixels of labels stand before it."""
    return drawing(left + scale.width, height + 17 + below, [*parts, *axis_parts(scale, left, height)], "data", label)
