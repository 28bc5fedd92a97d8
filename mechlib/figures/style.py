"""What the plots of `mechlib.figures` share in notebooks: colours, a style, labels, panels.

Matplotlib is imported when something is drawn: judging does without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mechlib.figures.data import clipped
from mechlib.measurement import Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A generic, bundled font drawn as paths, and a fixed salt: the same bytes wherever the same matplotlib draws.
STYLE = {
    "svg.hashsalt": "mechlib",
    "svg.fonttype": "path",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "axes.linewidth": 0.6,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
INK, MUTED, POSITIVE, NEGATIVE = "#1b1d21", "#6a707a", "#1f5fa8", "#b3540f"


def plain(text: str) -> str:
    """Text in one line, of letters that the bundled font has."""
    return "".join(letter if ord(letter) < 0x2E80 else "□" for letter in " ".join(text.split()))


def labels_of(names: Sequence[str], longest: int = 14) -> list[str]:
    """Names short enough for an axis."""
    return [plain(clipped(name, longest)) for name in names]


def value_label(measurement: Measurement) -> str:
    """The label of an axis: what a value is."""
    return plain(clipped(measurement.of, 60)) or "value"


def colour_cells(axes: Axes, values: np.ndarray, limit: float, both_signs: bool) -> None:
    """Values as colours with their bar: zero is white, the limit full colour."""
    from matplotlib.colors import LinearSegmentedColormap

    stops = [NEGATIVE, "white", POSITIVE] if both_signs else ["white", POSITIVE]
    scale = LinearSegmentedColormap.from_list("mechlib", stops).with_extremes(bad="#eeeeee")
    image = axes.imshow(values, cmap=scale, vmin=-limit if both_signs else 0, vmax=limit, aspect="auto")
    axes.figure.colorbar(image, ax=axes, fraction=0.05, pad=0.03).outline.set_linewidth(0.4)
    axes.tick_params(length=0)


def panel(axes: Axes | None, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """The panel to draw into: the one given, or the only one of a new figure, of this size in inches."""
    if axes is not None:
        figure: Any = axes.figure
        return figure, axes
    need_matplotlib()
    from matplotlib import rc_context

    with rc_context(STYLE):
        figure = empty_figure(size)
        return figure, figure.add_subplot()


def empty_figure(size: tuple[float, float]) -> Figure:
    """A figure without panels, of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


def need_matplotlib() -> None:
    """Raises ImportError with the cure where matplotlib is missing; keeps its font search out of logs."""
    import logging
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise ImportError("a figure in a notebook is drawn by matplotlib: run `pip install -e '.[notebook]'`")
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
