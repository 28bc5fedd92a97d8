"""What is read by depth; where an effect lies and how few heads hold it: as inline SVG, by the names of
`mechlib.figures.depth_plots`."""

from __future__ import annotations

import math

from markupsafe import Markup

from mechlib.figures.concentration import Concentration, concentration
from mechlib.figures.data import by_depths, clipped, extent
from mechlib.figures.depth_plots import MOST_HEADS
from mechlib.figures.layouts import spread
from mechlib.figures.points import Ends
from mechlib.figures.svg.circuit_charts import KEY, LETTER, LINES, line_of, said
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
from mechlib.figures.svg.intervals import axis_parts
from mechlib.measurement import Measurement

WIDE, HIGH, LEFT, TALL = 210, 60, 26, 136
BETWEEN, BELOW = 34, 58  # the axis under the bars; the axis under the curve and two lines


def depth_and_concentration(measurement: Measurement, ends: Ends | None = None, small: bool = False) -> Markup:
    """Bars: the share of each layer by relative depth, MLPs hollow on top, the heads' mean depth dashed.

    Below: what the strongest heads hold together, by their number on a log axis, up to a thousand in all models alike;
    the effective number of heads dashed.
    """
    found = concentration(measurement)
    highest = (ends or extent("depth_and_concentration", [measurement]))[1] or 1.0
    left, high = (0, HIGH // 2) if small else (LEFT, HIGH)
    parts = _bars(found, highest, left, high)
    if small:
        return drawing(WIDE, high + 1, [*parts, path("x", f"M{MARGIN} {high}.5H{WIDE - MARGIN}")], "data curve")
    parts += [text(left + 2, 9, number(highest), "r"), text(left + 2, high + 3, "0", "r")]
    parts += [*axis_parts(Scale(0, 1, WIDE), left, high), text(left + WIDE / 2, high + 26, "relative depth")]
    top = high + BETWEEN
    parts += _curve(found, left, top)
    parts += [text(0, top + HIGH + 40 + 13 * place, line, "s0") for place, line in enumerate(found.said)]
    told = f"share of the effect by depth, and in the strongest heads: {'; '.join(filter(None, found.said))}"
    return drawing(left + WIDE, top + HIGH + BELOW, parts, "data curve", told)


def _bars(found: Concentration, highest: float, left: int, high: int) -> list[str]:
    scale = Scale(0, 1, WIDE)
    wide = 0.8 * (WIDE - 2 * MARGIN) / len(found.depths)
    parts = []
    for layer, (depth, head, mlp) in enumerate(zip(found.depths, found.heads, found.mlps, strict=True)):
        x, tall, taller = left + scale(depth) - wide / 2, high * head / highest, high * mlp / highest
        if tall >= 0.05:  # of a pixel
            title = f"heads of layer {layer}, depth {depth:.2f}: {number(head)}"
            parts.append(rect("h", x, high - tall, wide, tall, title=title))
        if taller >= 0.05:
            parts.append(rect("q", x, high - tall - taller, wide, taller, title=f"mlp {layer}: {number(mlp)}"))
    if found.for_half:
        title = f"mean depth of the heads: {number(found.mean_depth)}"
        parts.append(path("b", f"M{digits(left + scale(found.mean_depth))} 0V{high}", title))
    return parts


def _curve(found: Concentration, left: int, top: int) -> list[str]:
    most = max(MOST_HEADS, len(found.ranked))
    across, upright = Scale(0, math.log10(most), WIDE), Scale(0, 1, HIGH)

    def at(rank: float, share: float) -> tuple[float, float]:
        return left + across(math.log10(rank)), top + HIGH + MARGIN - upright(share)

    points = [at(rank, share) for rank, share in enumerate(found.cumulated, start=1)]
    line = path("line", f"M{'L'.join(f'{digits(x)} {digits(y)}' for x, y in points)}")
    parts = [f'<g class="c0">{line}{"".join(_dots(found, points))}</g>']
    base = top + HIGH
    parts.append(path("x", f"M{left + MARGIN - 3}.5 {top + 2}V{base}.5H{left + WIDE - MARGIN}"))
    for share in (0, 0.5, 1):
        parts.append(text(left + 2, at(1, share)[1] + 3, tick_text(share), "r"))
    for rank in [10**power for power in range(1 + int(math.log10(most)))]:
        x = at(rank, 0)[0]
        parts += [path("x", f"M{digits(x)} {base}v4"), text(x, base + 14, tick_text(rank))]
    parts.append(text(left + WIDE / 2, base + 26, "strongest heads, log scale"))
    if found.effective >= 1:
        x = at(found.effective, 0)[0]
        parts.append(
            path("b", f"M{digits(x)} {top + 2}V{base}", f"effective number of heads: {number(found.effective)}")
        )
    return parts


def _dots(found: Concentration, points: list[tuple[float, float]]) -> list[str]:
    """One a head as far as they can be told apart, with what they hold on hover."""
    return [
        dot(x, y, 1.8, title=f"{rank} strongest: {number(found.cumulated[rank - 1])}")
        for rank, (x, y) in enumerate(points, start=1)
        if rank <= 10 or rank in (20, 50, 100, 200, 500, len(points))
    ]


def by_depth(measurement: Measurement, ends: Ends | None = None, small: bool = False) -> Markup:
    """Means or shares by depth as a line, their 95 % intervals as a band; other columns as level dashed lines, named at
    their ends; "emb" is the embeddings, numbers are layers."""
    series, levels = by_depths(measurement)
    height = TALL // 3 if small else TALL
    upright = scale_for(ends or extent("by_depth", [measurement]), height)
    across = Scale(0, max(point.x for one in series for point in one.points) or 1, WIDE)
    left = 0 if small else 4 + int(LETTER * max(len(tick_text(tick)) for tick in upright.ticks))
    named = [] if small else [*(one.label for one in series if len(series) > 1), *(one.label for one in levels)]
    wanted = [*(one.points[-1].value for one in series if len(series) > 1), *(one.value for one in levels)]
    ys = iter(spread([height - upright(value) for value in wanted], 11))
    parts = []
    for place, one in enumerate(series):
        shapes = line_of(one, lambda x, value: (left + across(x), height - upright(value)), "depth")
        if named and len(series) > 1:
            shapes += _named(one.label, left, next(ys))
        parts.append(f'<g class="c{place % LINES}">{"".join(shapes)}</g>')
    for level in levels:
        y = digits(height - upright(level.value))
        shapes = [path("line", f"M{left + MARGIN} {y}h{WIDE - 2 * MARGIN}", f"{level.label}: {number(level.value)}")]
        shapes += _named(level.label, left, next(ys)) if named else []
        parts.append(f'<g class="c4">{"".join(shapes)}</g>')
    parts += [] if small else _depth_axes({p.x: p.label for one in series for p in one.points}, upright, across, left)
    right = KEY + int(LETTER * max(len(clipped(name, 24)) for name in named)) if named else 0
    lines = [f"{one.label or 'line'} from {said(one.points[0])} to {said(one.points[-1])}" for one in series]
    told = "; ".join([*lines, *(f"{one.label} {number(one.value)}" for one in levels)])
    return drawing(left + WIDE + right, height + (0 if small else 27), parts, "data curve", told)


def _named(label: str, left: int, y: float) -> list[str]:
    at = left + WIDE - 3
    return [path("line", f"M{at} {digits(y)}h{KEY - 4}"), text(at + KEY, y + 3, clipped(label, 24))]


def _depth_axes(places: dict[float, str], upright: Scale, across: Scale, left: int) -> list[str]:
    height = upright.width
    parts = [path("x", f"M{left + MARGIN - 3}.5 {MARGIN}v{height - 2 * MARGIN + 3}h{WIDE - 2 * MARGIN + 3}")]
    for value in upright.ticks:
        y = height - upright(value)
        parts += [path("x", f"M{left + MARGIN - 3} {digits(y)}h-3"), text(left + 2, y + 3, tick_text(value), "r")]
    shown = dict(sorted(places.items())[:: 1 + len(places) // 14])
    for x, label in shown.items():
        place = left + across(x)
        parts += [path("x", f"M{digits(place)} {height - MARGIN + 3}v3"), text(place, height + 7, label)]
    return [*parts, text(left + WIDE / 2, height + 21, "after layer")]
