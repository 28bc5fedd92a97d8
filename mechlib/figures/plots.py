"""One function a figure for notebooks: a Measurement in, a matplotlib Figure out.

The names are what a claim shows with: `show(heads_by_layer, scores(model, prompts))`. Nothing is drawn then. The pages
and the committed figures of REPORT.md are SVG, drawn without matplotlib by the functions of the same names in
`mechlib.figures.svg.charts` (a committed figure is a `mechlib.figures.svg.sheet` of them). Called in a notebook,
`heads_by_layer(scores(model, prompts))` draws the same numbers; matplotlib, of the extra `notebook`, is imported then.

Every figure takes `axes`, to be drawn into a panel of a larger one, and `ends`, where its axis (or its colour)
begins and ends, so that panels can share a scale: `mechlib.figures.data.extent` gives the one that holds several.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mechlib.figures.circuit_plots import circuit_graph as circuit_graph
from mechlib.figures.circuit_plots import curve as curve
from mechlib.figures.data import clipped, extent, grid_of, heads_and_mlps, histogram, magnitude, short
from mechlib.figures.depth_plots import by_depth as by_depth
from mechlib.figures.depth_plots import depth_and_concentration as depth_and_concentration
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
from mechlib.figures.style import (
    INK,
    MUTED,
    POSITIVE,
    STYLE,
    colour_cells,
    empty_figure,
    labels_of,
    need_matplotlib,
    panel,
    plain,
    value_label,
)
from mechlib.measurement import Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Plot = Callable[..., "Figure"]

FIGURES = (
    "heads_by_layer", "attention_pattern", "by_stratum", "distribution", "by_column", "rates_by_stratum",
    "rates_by_column", "matrix", "circuit_graph", "curve", "depth_and_concentration",
    "by_depth",
)  # fmt: skip


def heads_by_layer(measurement: Measurement, axes: Axes | None = None, ends: Ends | None = None) -> Figure:
    """Head map: layers as rows, heads as columns, the mean over units as colour; MLPs beside them, where columns are.

    Zero is white. Effects of both signs get two colours; values of one sign (attention) get one.
    """
    grid, mlps = heads_and_mlps(measurement)
    labels = [str(head) for head in range(grid.shape[1])]
    if mlps is not None:
        grid, labels = np.column_stack([grid, mlps]), [*labels, "mlp"]
    figure, axes = panel(axes, (0.45 + 0.28 * grid.shape[1], 0.55 + 0.28 * grid.shape[0]))
    limit = magnitude(ends or extent("heads_by_layer", [measurement]))
    colour_cells(axes, grid, limit, both_signs=bool(np.nanmin(grid) < 0))
    for (layer, head), value in np.ndenumerate(grid):
        if abs(value) >= 0.1 * limit:
            colour = "white" if abs(value) > 0.6 * limit else INK
            axes.text(head, layer, short(value), ha="center", va="center", fontsize=5.5, color=colour)
    if mlps is not None:
        axes.axvline(grid.shape[1] - 1.5, color="white", linewidth=3)
    axes.set(xlabel="head", ylabel="layer", yticks=range(grid.shape[0]))
    axes.set_xticks(range(grid.shape[1]), labels)
    return figure


def attention_pattern(measurement: Measurement, axes: Axes | None = None, ends: Ends | None = None) -> Figure:
    """Attention of one head on one prompt: queries as rows (units), keys as columns, weights in [0, 1]."""
    values = measurement.values
    figure, axes = panel(axes, (0.8 + 0.13 * values.shape[1], 0.8 + 0.13 * values.shape[0]))
    colour_cells(axes, values, magnitude(ends or (0.0, 1.0)), both_signs=bool(values.min() < 0))
    axes.set_xticks(range(values.shape[1]), labels_of(measurement.columns), rotation=90, fontsize=5)
    axes.set_yticks(range(values.shape[0]), labels_of(measurement.units), fontsize=5)
    axes.set(xlabel="key", ylabel="query")
    return figure


def by_stratum(measurement: Measurement, axes: Axes | None = None, ends: Ends | None = None) -> Figure:
    """Mean of the first column in each stratum (or cluster): a strip, one dot a label."""
    rows = strata_means(measurement)
    figure, axes = panel(axes, (3.4, 0.5 + 0.17 * len(rows)))
    axes.plot([float(means[0]) for _, _, means in rows], range(len(rows)), "o", markersize=3.2, color=POSITIVE)
    axes.axvline(float(measurement.values[:, 0].mean()), color=MUTED, linewidth=0.6, dashes=(2, 2))
    axes.set_yticks(range(len(rows)), [f"{plain(clipped(label, 40))}  (n={n})" for label, n, _ in rows], fontsize=6)
    axes.invert_yaxis()
    if ends:
        axes.set_xlim(*ends)
    axes.set_xlabel(value_label(measurement))
    return figure


def distribution(measurement: Measurement, axes: Axes | None = None, ends: Ends | None = None) -> Figure:
    """Histogram of the first column over units, zero marked."""
    counts, edges = histogram(measurement.values[:, 0])
    figure, axes = panel(axes, (3.2, 1.6))
    axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=POSITIVE, alpha=0.55, linewidth=0)
    axes.axvline(0, color=MUTED, linewidth=0.6)
    if ends:
        axes.set_xlim(*ends)
    axes.set(xlabel=value_label(measurement), ylabel=f"{measurement.unit}s")
    return figure


def by_column(measurement: Measurement, axes: Axes | None = None, ends: Ends | None = None) -> Figure:
    """Mean (dot) and quartiles (line) over units for each column, in order: layers, positions, doses, sizes.

    Of shares, whose quartiles are 0 and 1, the line is the 95 % interval.
    """
    lines = [(place, *span) for place, span in enumerate(column_spans(measurement)) if span]
    figure, axes = panel(axes, (0.8 + 0.24 * len(measurement.columns), 1.8))
    places = range(len(measurement.columns))
    axes.vlines(*zip(*lines, strict=True), color=POSITIVE, linewidth=1.0)
    axes.plot(places, measurement.values.mean(axis=0), "o", markersize=3.2, color=POSITIVE)
    axes.axhline(0, color=MUTED, linewidth=0.6)
    labels = labels_of(measurement.columns, 24)
    axes.set_xticks(places, labels, rotation=90 if max(map(len, labels)) > 3 else 0)
    if ends:
        axes.set_ylim(*ends)
    axes.set_ylabel(value_label(measurement))
    return figure


def rates_by_stratum(measurement: Measurement, axes: Axes | None = None, ends: Ends | None = None) -> Figure:
    """Share, or mean, of the first column in each stratum (or cluster) with its own 95 % interval, n beside the label.

    A dot alone where a mean has fewer than 20 units, or where nothing varied.
    """
    points = stratum_points(measurement)
    figure = _rates(points, [f"{point.label}  (n={point.n})" for point in points], measurement, axes, ends)
    (figure.axes[0] if axes is None else axes).axvline(
        float(measurement.values[:, 0].mean()), color=MUTED, linewidth=0.6, dashes=(2, 2)
    )
    return figure


def rates_by_column(measurement: Measurement, axes: Axes | None = None, ends: Ends | None = None) -> Figure:
    """Share, or mean, of each column from the highest to the lowest, at most the 20 farthest from their median.

    The thick line is the 95 % interval of the column alone, the thin one holds together with those of all columns.
    """
    points = column_points(measurement)
    figure = _rates(points, [point.label for point in points], measurement, axes, ends)
    axes = figure.axes[0] if axes is None else axes
    if rest := columns_left_out(measurement):
        axes.set_xlabel(f"{axes.get_xlabel()}\n({rest})")
    return figure


def _rates(
    points: Sequence[Point], labels: Sequence[str], measurement: Measurement, axes: Axes | None, ends: Ends | None
) -> Figure:
    figure, axes = panel(axes, (3.4, 0.5 + 0.17 * len(points)))
    for place, point in enumerate(points):
        for line, width in ((point.outer, 0.6), (point.interval, 1.6)):
            if line is not None:
                axes.hlines(place, *line, color=POSITIVE, linewidth=width)
    axes.plot([point.value for point in points], range(len(points)), "o", markersize=3.2, color=POSITIVE)
    axes.axvline(0, color=MUTED, linewidth=0.6)
    axes.set_yticks(range(len(points)), labels_of(labels, 40), fontsize=6)
    axes.invert_yaxis()
    if ends:
        axes.set_xlim(*ends)
    axes.set_xlabel(value_label(measurement))
    return figure


def matrix(drawn: Measurement | Cells, axes: Axes | None = None, ends: Ends | None = None) -> Figure:
    """A grid with a number in each cell: the values as they are, units down and columns across.

    Given {(row, column): measurement, ...}, a cell is the mean or share of a measurement's only column, with its 95 %
    interval below: heads that were ablated down, tasks across (docs/STATISTICS.md, R20).
    """
    grid = grid_of(drawn)
    values = np.full((len(grid.rows), len(grid.columns)), np.nan)
    for (row, column), cell in grid.cells.items():
        values[grid.rows.index(row), grid.columns.index(column)] = cell.value
    figure, axes = panel(axes, (1.4 + 0.75 * values.shape[1], 0.7 + 0.36 * values.shape[0]))
    limit = magnitude(ends or extent("matrix", [drawn]))
    colour_cells(axes, values, limit, both_signs=bool(np.nanmin(values) < 0))
    for (row, column), cell in grid.cells.items():
        y, x = grid.rows.index(row), grid.columns.index(column)
        below = f"\n[{short(cell.interval[0])}, {short(cell.interval[1])}]" if cell.interval else ""
        colour = "white" if abs(cell.value) > 0.6 * limit else INK
        axes.text(x, y, short(cell.value) + below, ha="center", va="center", fontsize=5.5, color=colour)
    longest = max(map(len, grid.columns))
    axes.set_xticks(range(len(grid.columns)), labels_of(grid.columns, 40), rotation=90 if longest > 10 else 0)
    axes.set_yticks(range(len(grid.rows)), labels_of(grid.rows, 40))
    return figure


def small_multiples(plot: Plot, measurements: Mapping[str, Measurement], title: str = "", columns: int = 5) -> Figure:
    """The same figure for several models on one scale, one panel each."""
    need_matplotlib()
    from matplotlib import rc_context

    with rc_context(STYLE):
        ends = extent(plot.__name__, measurements.values())
        probe = plot(next(iter(measurements.values())), ends=ends)
        width, height = probe.get_size_inches()
        columns = max(1, min(columns, len(measurements), int(11 / width) or 1))
        rows = math.ceil(len(measurements) / columns)
        figure = empty_figure((width * columns, height * rows + (0.3 if title else 0)))
        for place, (name, measurement) in enumerate(measurements.items()):
            axes = figure.add_subplot(rows, columns, place + 1)
            plot(measurement, axes=axes, ends=ends)
            axes.set_title(plain(name))
            if place % columns:
                axes.set_ylabel("")
        if title:
            figure.suptitle("\n".join(textwrap.wrap(plain(clipped(title, 300)), 120)), x=0.01, ha="left", fontsize=8.5)
    return figure


def svg_bytes(figure: Figure) -> bytes:
    """The figure as SVG without dates or random ids: the same bytes for the same figure and matplotlib."""
    need_matplotlib()
    from matplotlib import rc_context

    page = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(page, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    return page.getvalue()
