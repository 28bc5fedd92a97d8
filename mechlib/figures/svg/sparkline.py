"""A sparkline: how a number with its interval moved from commit to commit, in the height of a line of text."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from mechlib.figures.svg.elements import MARGIN, dot, drawing, path, scale_for

HEIGHT, STEP = 26, 18

Ends = tuple[float | None, float | None]


def sparkline(points: Sequence[tuple[float | None, Ends, str, str]], label: str) -> Markup:
    """One dot a point, (value, (low, high), class of its colour, title), the oldest to the left, with its interval.

    A point without a number leaves its place empty; "" where no two have one, for nothing could move.
    """
    numbers = [number for value, ends, _, _ in points for number in (value, *ends)]
    if sum(value is not None for value, *_ in points) < 2:
        return Markup("")
    scale, parts = scale_for(numbers, HEIGHT), []
    for place, (value, ends, kind, title) in enumerate(points):
        if value is None:
            continue
        x = MARGIN + STEP * place
        low, high = (HEIGHT - scale(value if end is None else end) for end in ends)
        parts += [f'<g class="{kind}">', path("w", f"M{x} {low:.1f}V{high:.1f}")]
        parts += [dot(x, HEIGHT - scale(value), 2.5, title=title), "</g>"]
    return drawing(2 * MARGIN + STEP * (len(points) - 1), HEIGHT, parts, "spark", label)
