"""A figure for notebooks that compares models of other sizes: where an effect lies, and how few heads hold it.

The pages draw the same name with `mechlib.figures.svg.depth_charts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mechlib.figures.concentration import concentration
from mechlib.figures.data import extent
from mechlib.figures.points import Ends
from mechlib.figures.style import MUTED, POSITIVE, panel
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
