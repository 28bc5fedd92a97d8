"""A drawing of its own: panels under titles, on one sheet, as an SVG file with its style inside.

The same bytes on every machine: no date, no random ids, no font of the machine, numbers rounded. Forges show such
files as pictures, in which nothing can be loaded and nothing runs; light and dark follow the reader's system.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from mechlib.figures.data import clipped
from mechlib.figures.svg.elements import digits, text

STYLES = Path(__file__).parent  # colours.css, drawings.css, circuits.css: those of the pages as well
EDGE, GAP, LINE, LETTER = 14, 26, 14, 6.2


def sheet(panels: Sequence[tuple[str, Markup]], width: int = 700, axis: str = "") -> str:
    """(title, drawing) beside and below each other, as wide as `width` pixels at most (wider if one drawing is).

    `axis` is what the values of all panels are, said once below them.
    """
    sizes = [_size(drawing) for _, drawing in panels]
    width = max(width, *(int(wide) + 2 * EDGE for wide, _ in sizes)) if sizes else width
    parts: list[str] = []
    x, y, tallest, rightmost = float(EDGE), float(EDGE), 0.0, 0.0
    for (title, drawing), (wide, tall) in zip(panels, sizes, strict=True):
        if x > EDGE and x + wide > width - EDGE:
            x, y, tallest = float(EDGE), y + tallest + GAP, 0.0
        lines = textwrap.wrap(clipped(" ".join(title.split()), 160), max(16, int(wide / LETTER)))
        parts += [text(x, y + 10 + LINE * place, line, "title") for place, line in enumerate(lines)]
        below = y + LINE * len(lines) + 4
        parts.append(str(drawing).replace("<svg ", f'<svg x="{digits(x)}" y="{digits(below)}" ', 1))
        x, tallest = x + wide + GAP, max(tallest, below + tall - y)
        rightmost = max(rightmost, x - GAP)
    whole, end = max(rightmost, 200.0) + EDGE, y + tallest
    said = textwrap.wrap(" ".join(axis.split()), max(16, int((whole - 2 * EDGE) / LETTER)))
    parts += [text(EDGE, end + LINE * (place + 1), line, "axis") for place, line in enumerate(said)]
    return _page(whole, end + LINE * len(said) + EDGE, parts)


def _size(drawing: str) -> tuple[float, float]:
    """Width and height of a drawing, from its first element."""
    found = re.search(r'<svg [^>]*?width="([\d.]+)" height="([\d.]+)"', drawing)
    return (float(found.group(1)), float(found.group(2))) if found else (0.0, 0.0)


def _page(width: float, height: float, parts: Sequence[str]) -> str:
    circuits = any(re.search(r'<svg [^>]*?class="(?:circuit|data curve)"', part) for part in parts)
    names = ("colours.css", "drawings.css", *(("circuits.css",) if circuits else ()))
    style = "".join((STYLES / name).read_text(encoding="utf-8") for name in names)
    style += "svg { color: var(--ink); }\nsvg text.title { text-anchor: start; font-size: 11px; fill: var(--ink); }\n"
    style += "svg text.axis { text-anchor: start; }\n"
    size = f'width="{digits(width)}" height="{digits(height)}" viewBox="0 0 {digits(width)} {digits(height)}"'
    ground = f'<rect width="{digits(width)}" height="{digits(height)}" style="fill: var(--paper)"/>'
    body = "\n".join([f"<style>\n{style}</style>", ground, *parts])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{body}\n</svg>\n'
