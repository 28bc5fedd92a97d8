"""Figures of circuits as inline SVG for the pages: the names and numbers of `mechlib.figures.circuit_plots`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from markupsafe import Markup

from mechlib.figures.data import Series, SizePoint, clipped, curves_of, extent, magnitude
from mechlib.figures.layouts import Box, Line, Place, bends, layout, runs, size_ticks, spread
from mechlib.figures.points import Ends
from mechlib.figures.show import Cells
from mechlib.figures.svg.elements import (
    MARGIN,
    Scale,
    digits,
    dot,
    drawing,
    number,
    path,
    rect,
    scale_for,
    text,
    tick_text,
)
from mechlib.measurement import Measurement

WIDE, HIGH, LETTER, LINES, KEY = 210, 136, 5.4, 6, 24


def circuit_graph(measurement: Measurement, ends: Ends | None = None, small: bool = False) -> Markup:
    """Columns named as edges as a graph: nodes by layer, width by the mean effect, negative ones dashed.

    The strongest 60 edges, each with its number on hover; what is not drawn is counted below.
    """
    drawn = layout(measurement)
    limit = magnitude(ends or extent("circuit_graph", [measurement]))
    parts = [_stroke(line, limit) for line in drawn.lines]
    parts += [part for box in drawn.boxes for part in _box(box, small)]
    below = 14 if drawn.rest and not small else 0
    if below:
        parts.append(text(1, drawn.height + 12, drawn.rest, "s0"))
    nodes = len(drawn.boxes) - 2
    label = f"circuit graph of {len(drawn.lines)} edges between the input, {nodes} heads and MLPs, and the logits"
    label += "".join(f"; {line.name}: {number(line.effect)}" for line in drawn.lines[:3])
    return drawing(drawn.width, drawn.height + below, parts, "circuit", label)


def _stroke(line: Line, limit: float) -> str:
    (x, y), *_ = line.way
    if len(line.way) == 2:
        way = f"L{_at(line.way[1])}"
    else:
        way = "".join(f"C{' '.join(map(_at, piece))}" for piece in bends(line.way))
    kind, width = "n" if line.effect < 0 else "p", line.width(limit)
    title = f"{line.name}: {number(line.effect)}" if line.name else ""
    shape = path(kind, f"M{_at((x, y))}{way}", title)
    return shape.replace(" d=", f' stroke-width="{digits(width)}"{_dashes(line, width)} d=', 1)


def _at(point: tuple[float, float]) -> str:
    return f"{digits(point[0])} {digits(point[1])}"


def _dashes(line: Line, width: float) -> str:
    """Negative effects are dashed, thick ones in longer dashes."""
    return f' stroke-dasharray="{digits(3 + width)} {digits(2 + width / 2)}"' if line.effect < 0 else ""


def _box(box: Box, small: bool) -> list[str]:
    parts = [rect("node", box.x - box.wide / 2, box.y - box.tall / 2, box.wide, box.tall)]
    if not small:
        parts.append(text(box.x, box.y + (-0.5 if box.ports else 3), box.name))
        parts += [text(x, box.y + 8.5, port, "port") for port, x in box.ports.items()]
    return parts


def edge_bar(limit: float, both_signs: bool) -> Markup:
    """What the widths of a circuit graph stand for."""
    values = [limit, limit / 4, *([-limit] if both_signs else [])]
    parts = []
    for place, value in enumerate(values):
        line = Line("", value, ((0.0, 13.0 * place + 6), (26.0, 13.0 * place + 6)))
        parts += [_stroke(line, limit), text(31, 13 * place + 9, number(value), "s0")]
    return drawing(80, 13 * len(values), parts, "circuit")


def curve(drawn: Measurement | Cells, ends: Ends | None = None, small: bool = False) -> Markup:
    """What is kept at each size, on a log axis: means as a line, their 95 % intervals as a band, lines at 0 and 1.

    One line a name where cells are given, with the name at its end.
    """
    series = curves_of(drawn)
    height = HIGH // 3 if small else HIGH
    upright = scale_for(ends or extent("curve", [drawn]), height)
    across = scale_for([point.x for one in series for point in one.points], WIDE)
    named = [] if small or len(series) == 1 else [clipped(one.label, 24) for one in series]
    left = 0 if small else 4 + int(LETTER * max(len(tick_text(tick)) for tick in upright.ticks))
    ys = spread([height - upright(one.points[-1].value) for one in series], 11)
    parts = [path("z", f"M{left + MARGIN} {digits(height - upright(level))}h{WIDE - 2 * MARGIN}") for level in (0, 1)]
    for place, one in enumerate(series):
        shapes = line_of(one, lambda x, value: (left + across(x), height - upright(value)))
        if named:
            shapes.append(path("line", f"M{left + WIDE - 3} {digits(ys[place])}h{KEY - 4}"))
            shapes.append(text(left + WIDE - 3 + KEY, ys[place] + 3, named[place]))
        parts.append(f'<g class="c{place % LINES}">{"".join(shapes)}</g>')
    parts += [] if small else _axes(size_ticks(series, 6.6 / (WIDE - 2 * MARGIN)), upright, across, left)
    right = KEY + int(LETTER * max(map(len, named))) if named else 0
    told = "; ".join(f"{one.label or 'curve'} from {said(one.points[0])} to {said(one.points[-1])}" for one in series)
    return drawing(left + WIDE + right, height + (0 if small else 27), parts, "data curve", told)


def line_of(one: Series, at: Callable[[float, float], Place], kind: str = "size") -> list[str]:
    """Bands, the line through the means, and a dot a size, or what `kind` says, with its numbers on hover."""
    parts = []
    for run in runs(one.points):
        there, back = [at(x, low) for x, low, _ in run], [at(x, high) for x, _, high in reversed(run)]
        if len(run) == 1:
            parts.append(path("i", f"M{_at(there[0])}V{digits(back[0][1])}"))
        else:
            parts.append(path("band", f"M{'L'.join(map(_at, there + back))}z"))
    parts.append(path("line", f"M{'L'.join(_at(at(point.x, point.value)) for point in one.points)}"))
    named = f"{one.label}, " if one.label else ""
    return parts + [dot(*at(point.x, point.value), 2.2, title=f"{named}{kind} {said(point)}") for point in one.points]


def said(point: SizePoint) -> str:
    """A size and what it keeps, for reading."""
    ends = f" [{number(point.interval[0])}, {number(point.interval[1])}]" if point.interval else ""
    return f"{point.label}: {number(point.value)}{ends}"


def _axes(sizes: Mapping[float, str], upright: Scale, across: Scale, left: int) -> list[str]:
    """Values to the left, sizes below."""
    height = upright.width
    parts = [path("x", f"M{left + MARGIN - 3}.5 {MARGIN}v{height - 2 * MARGIN + 3}h{WIDE - 2 * MARGIN + 3}")]
    for value in upright.ticks:
        y = height - upright(value)
        parts += [path("x", f"M{left + MARGIN - 3} {digits(y)}h-3"), text(left + 2, y + 3, tick_text(value), "r")]
    for x, size in sizes.items():
        place = left + across(x)
        parts += [path("x", f"M{digits(place)} {height - MARGIN + 3}v3"), text(place, height + 7, clipped(size, 8))]
    return [*parts, text(left + WIDE / 2, height + 21, "size, log scale")]
