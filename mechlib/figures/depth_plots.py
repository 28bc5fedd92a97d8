"""Figures of depth for notebooks: what is read after each layer; where an effect lies, and how few heads hold it.

The pages draw the same names with `mechlib.figures.svg.depth_charts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mechlib.figures.circuit_plots import LINES
from mechlib.figures.concentration import concentration
from mechlib.figures.data import by_depths, clipped, extent
from mechlib.figures.layouts import runs
from mechlib.figures.points import Ends
from mechlib.figures.style import MUTED, POSITIVE, panel, plain, value_label
from mechlib.measurement import Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_HEADS = 1000  # where the axis of ranks ends, for all models with fewer heads


def depth_and_concentration(measurement: Measurement, axes: Axes | None = None, ends: Ends | None = None) -> Figure:
    """Shares of an effect by relative depth, and below them what the strongest heads hold, by their number.

    An effect is a head's absolute mean over units, where it is told from zero. Bars are layers, from the first (0) to
    the last (1), hollow ones on top of them MLPs (columns "mlp 0", ...); the dashed line is the heads' mean depth. The
    curve is of heads alone, its dotted line their effective number, 1 / sum of squared shares
    (`mechlib.figures.concentration`).
    """
    found = concentration(measurement)
    _, highest = ends or extent("depth_and_concentration", [measurement])
    figure, axes = panel(axes, (2.9, 2.9))
    axes.set_axis_off()
    above, below = axes.inset_axes((0.14, 0.56, 0.86, 0.42)), axes.inset_axes((0.14, 0.14, 0.86, 0.28))
    wide = 0.8 / len(found.depths)
    above.bar(found.depths, found.heads, wide, color=POSITIVE, alpha=0.6, linewidth=0)
    above.bar(found.depths, found.mlps, wide, bottom=found.heads, facecolor="none", edgecolor=MUTED, linewidth=0.6)
    if found.for_half:
        above.axvline(found.mean_depth, color=MUTED, linewidth=0.8, dashes=(3, 2))
        below.axvline(found.effective, color=MUTED, linewidth=0.8, dashes=(1, 1.5))
    above.set(xlim=(-0.06, 1.06), ylim=(0, 1.05 * (highest or 1.0)), xlabel="relative depth")
    ranks = range(1, 1 + len(found.ranked))
    below.plot(ranks, found.cumulated, color=POSITIVE, linewidth=1.2, marker="o", markersize=1.8)
    below.set(xscale="log", xlim=(0.9, max(MOST_HEADS, len(ranks))), ylim=(0, 1.05), xlabel="strongest heads")
    below.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    below.minorticks_off()
    for inset in (above, below):
        inset.tick_params(labelsize=6)
        inset.xaxis.label.set_fontsize(6.5)
    axes.text(0, 0, "\n".join(found.said), transform=axes.transAxes, fontsize=6, color=MUTED, va="top")
    return figure


def by_depth(measurement: Measurement, axes: Axes | None = None, ends: Ends | None = None) -> Figure:
    """Columns named as depths ("embeddings", "after layer 0", ...) as a line: the mean or share over units at each
    depth, with its 95 % interval as a band; other columns, as baselines, as level dashed lines.

    Columns "LINE, DEPTH" make several lines. Intervals are of each depth alone. There is no band where a depth has
    none (fewer than 20 units, or nothing varied).
    """
    series, levels = by_depths(measurement)
    low, high = ends or extent("by_depth", [measurement])
    figure, axes = panel(axes, (3.3, 2.0))
    for place, one in enumerate(series):
        colour, dashes = LINES[place % len(LINES)]
        xs, values = [point.x for point in one.points], [point.value for point in one.points]
        label = plain(clipped(one.label, 24))
        axes.plot(xs, values, "o-", color=colour, linewidth=1.2, markersize=2.4, dashes=dashes, label=label or None)
        for run in runs(one.points):
            places, lows, highs = zip(*run, strict=True)
            axes.fill_between(places, lows, highs, color=colour, alpha=0.16, linewidth=0)
    for place, level in enumerate(levels):
        label = plain(clipped(level.label, 24))
        axes.axhline(level.value, color=MUTED, linewidth=0.8, dashes=(2 + 2 * place, 2), label=label)
    ticks = {point.x: point.label for one in series for point in one.points}
    axes.set_xticks(list(ticks), list(ticks.values()))
    air = 0.04 * (high - low or 1.0)
    axes.set(ylim=(low - air, high + air), xlabel="after layer", ylabel=value_label(measurement))
    if len(series) > 1 or levels:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=6, handlelength=3.5)
    return figure
