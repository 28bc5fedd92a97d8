"""Claims with different units on one axis: each interval as it lies to its own bound, a row a claim.

Zero is the bound, the claimed side lies to the right. The unit is the arm of the interval that faces the bound, so that
an interval that does not touch zero lies on one side with all of it. The axis is compressed (asinh), or close calls
would share a pixel with numbers a hundred arms away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from mechlib.figures.svg.elements import MARGIN, Scale, digits, drawing, path, rect, text, tick_text
from mechlib.figures.svg.intervals import Mark

FARTHEST = 30  # arms; what lies beyond is drawn as an arrow at the edge
TICKS = (-10, -1, 1, 10)
WIDTH, ROW, SIZE = 160, 9, 2.3  # pixels; half the height of a mark


def against_bounds(rows: Sequence[tuple[str, str, Sequence[Mark]]]) -> Markup:
    """(link, what is said on hover, intervals in arms from their bounds) a row; words of marks pick colours, shapes."""
    scale = Scale(-math.asinh(FARTHEST), math.asinh(FARTHEST), WIDTH)
    height, zero = ROW * len(rows), digits(scale(0))
    parts = [rect("claimed", scale(0), 0, WIDTH - scale(0), height), path("b", f"M{zero} 0V{height}")]
    for place, (link, said, marks) in enumerate(rows):
        y = ROW * (place + 0.5)
        inside = "".join(_mark(scale, mark, y) for mark in marks)
        ground = rect("hit", 0, ROW * place, WIDTH, ROW)
        parts.append(f'<a href="{escape(link)}" tabindex="-1"><title>{escape(said)}</title>{ground}{inside}</a>')
    parts += [path("x", f"M{MARGIN} {height}.5h{WIDTH - 2 * MARGIN}"), text(scale(0), height + 12, "bound")]
    for tick in TICKS:
        x = scale(math.asinh(tick))
        parts += [path("x", f"M{digits(x)} {height}v3"), text(x, height + 12, tick_text(tick) if abs(tick) > 1 else "")]
    return drawing(WIDTH, height + 15, parts, "near")


def _mark(scale: Scale, mark: Mark, y: float) -> str:
    if mark.value is None:
        return ""
    kind = mark.word.lower().replace(" ", "-")
    if abs(mark.value) > FARTHEST:
        left = mark.value < 0
        shape = path("f", f"M{1 if left else WIDTH - 1} {digits(y)}l{'5-2.5v5' if left else '-5-2.5v5'}z")
        return f'<g class="{kind}">{shape}</g>'
    x, low, high = (scale(math.asinh(end)) for end in (mark.value, mark.low or 0.0, mark.high or 0.0))
    line = path("i", f"M{digits(low)} {digits(y)}H{digits(high)}")
    return f'<g class="{kind}">{line}{path(*_shape(mark.word, x, y))}</g>'


def _shape(word: str, x: float, y: float) -> tuple[str, str]:
    """(class, path): a disc where the claim holds, a cross where it is refuted, else a circle, struck where void."""
    if word == "REFUTED":
        left, top, whole = digits(x - SIZE), digits(y - SIZE), digits(2 * SIZE)
        return "s", f"M{left} {top}l{whole} {whole}m0-{whole}l-{whole} {whole}"
    disc = f"M{digits(x - SIZE)} {digits(y)}a{SIZE} {SIZE} 0 1 0 {2 * SIZE} 0a{SIZE} {SIZE} 0 1 0-{2 * SIZE} 0z"
    if word == "SUPPORTED":
        return "f", disc
    struck = f"M{digits(x - SIZE)} {digits(y + SIZE)}l{2 * SIZE}-{2 * SIZE}" if word == "VOID" else ""
    return "o", disc + struck
