"""Figures of circuits for notebooks: the graph of their edges, and what circuits of each size keep.

The pages draw the same names with `mechlib.figures.svg.circuit_charts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mechlib.figures.data import clipped, curves_of, extent, magnitude, short
from mechlib.figures.layouts import Line, bends, layout, runs, size_ticks
from mechlib.figures.points import Ends
from mechlib.figures.show import Cells
from mechlib.figures.style import INK, MUTED, NEGATIVE, POSITIVE, labels_of, panel, plain, value_label
from mechlib.measurement import Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours of the lines of one panel, told apart by their dashes as well.
LINES = (
    (POSITIVE, ()), (NEGATIVE, (5, 2)), ("#17693d", (2, 1.5)), ("#6a3d9a", (7, 2, 1.5, 2)), (MUTED, (1, 2)),
    ("#7a5600", (9, 3)),
)  # fmt: skip
SMALLEST = 230.0  # pixels: a graph of two nodes is not blown up to a panel's size


def circuit_graph(measurement: Measurement, axes: Axes | None = None, ends: Ends | None = None) -> Figure:
    """Columns named as edges ("input->0.1.v", "0.3->mlp 1") as a graph: nodes by layer, from the input to the logits.

    Width is the mean over units, full at the farthest of `ends` and a hairline at least; an edge with a negative mean
    is dashed and has a colour of its own. A line enters a head at the letter of what it reads there: query, key or
    value. Nodes without an edge are left out, and all but the strongest 60 edges, which are counted below.
    """
    drawn = layout(measurement)
    limit = magnitude(ends or extent("circuit_graph", [measurement]))
    wide, tall = max(drawn.width, SMALLEST), max(drawn.height + 14, SMALLEST)
    figure, axes = panel(axes, (wide / 72 + 0.1, tall / 72 + 0.1))
    axes.set(xlim=(0, wide), ylim=(tall, 0), aspect="equal")
    axes.set_axis_off()
    for line in drawn.lines:
        _stroke(axes, line, limit)
    for box in drawn.boxes:
        _box(axes, box.x, box.y, box.wide, box.tall)
        up = 3.5 if box.ports else 0.0
        axes.text(box.x, box.y - up, box.name, ha="center", va="center_baseline", fontsize=6.2, color=INK)
        for port, x in box.ports.items():
            axes.text(x, box.y + 6, port, ha="center", va="center_baseline", fontsize=4.8, color=MUTED)
    widest = f"widest: {short(limit)}" + ("; dashed: negative" if any(line.effect < 0 for line in drawn.lines) else "")
    below = "; ".join(part for part in (widest, drawn.rest) if part)
    axes.text(0, drawn.height + 9, below, va="center", fontsize=5.5, color=MUTED)
    return figure


def _stroke(axes: Axes, line: Line, limit: float) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    points = [line.way[0], *(point for piece in bends(line.way) for point in piece)]
    curve = Path(points, [Path.MOVETO, *[Path.CURVE4] * (len(points) - 1)])
    negative, width = line.effect < 0, line.width(limit)
    dashes = (0, (max(2.0, 3 / width), max(1.0, 2 / width))) if negative else "solid"
    colour = NEGATIVE if negative else POSITIVE
    patch = PathPatch(curve, fill=False, edgecolor=colour, linewidth=width, linestyle=dashes, alpha=0.85)
    patch.set(capstyle="butt", gid=line.name)
    axes.add_patch(patch)


def _box(axes: Axes, x: float, y: float, wide: float, tall: float) -> None:
    from matplotlib.patches import Rectangle

    corner = (x - wide / 2, y - tall / 2)
    axes.add_patch(Rectangle(corner, wide, tall, facecolor="white", edgecolor=MUTED, linewidth=0.5, zorder=2))


def curve(drawn: Measurement | Cells, axes: Axes | None = None, ends: Ends | None = None) -> Figure:
    """What is kept at each size: the mean over units, with its 95 % interval as a band, over sizes on a log scale.

    Columns are the sizes ("1", "2", "5", ...). Given {(line, size): measurement, ...}, there is a line for each name,
    say of a method. Thin lines stand at 0 and 1. Intervals are of each size alone, and there is no band at sizes whose
    mean has none (fewer than 20 units, or nothing varied).
    """
    series = curves_of(drawn)
    low, high = ends or extent("curve", [drawn])
    figure, axes = panel(axes, (3.3 if len(series) > 1 else 2.8, 2.0))
    for level in (0, 1):
        axes.axhline(level, color=MUTED, linewidth=0.6)
    for place, one in enumerate(series):
        colour, dashes = LINES[place % len(LINES)]
        xs, values = [point.x for point in one.points], [point.value for point in one.points]
        label = plain(clipped(one.label, 24))
        axes.plot(xs, values, "o-", color=colour, linewidth=1.2, markersize=2.4, dashes=dashes, label=label)
        for run in runs(one.points):
            places, lows, highs = zip(*run, strict=True)
            if len(run) == 1:
                axes.vlines(places, lows, highs, color=colour, linewidth=1.0)
            axes.fill_between(places, lows, highs, color=colour, alpha=0.16, linewidth=0)
    ticks = size_ticks(series, letter=0.03)
    axes.set_xticks(list(ticks), labels_of(list(ticks.values()), 8))
    air = 0.04 * (high - low)
    axes.set(ylim=(low - air, high + air), xlabel="size (log scale)", ylabel=_values(drawn))
    if len(series) > 1:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=6, handlelength=3.5)
    return figure


def _values(drawn: Measurement | Cells) -> str:
    said = {value_label(m) for m in ([drawn] if isinstance(drawn, Measurement) else drawn.values())}
    return said.pop() if len(said) == 1 else "value"
