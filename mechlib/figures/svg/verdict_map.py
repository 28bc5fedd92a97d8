"""The whole record as one drawing: claims across, models down, a cell a verdict that colour and shape tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from mechlib.figures.svg.elements import digits, drawing, path, text

STEP, ROW, GAP, LEFT, TOP = 3, 11, 6, 128, 16  # pixels
# Where in its line each word stands, and how tall: (from the top, height) of ROW - 3 pixels.
SHAPES: Mapping[str, tuple[float, float]] = {
    "SUPPORTED": (0, 8), "REFUTED": (4.5, 3.5), "INCONCLUSIVE": (2.8, 2.4), "VOID": (0, 3.5), "GATED": (6.8, 1.2),
    "NOT RUN": (6.8, 1.2), "ERROR": (0, 8),
}  # fmt: skip


def verdict_map(
    topics: Sequence[tuple[str, Sequence[Mapping[str, str]]]], models: Sequence[tuple[str, str]], label: str
) -> Markup:
    """One column a claim, one line a model.

    topics  (title, for each claim its word by model)
    models  (name in the claims' mappings, what it is called)
    label   what a screen reader says of it
    """
    parts = [text(LEFT - 6, TOP + ROW * line + 8, called, "r") for line, (_, called) in enumerate(models)]
    cells: dict[str, list[str]] = {word: [] for word in SHAPES}
    left = float(LEFT)
    for title, claims in topics:
        width = STEP * len(claims)
        parts.append(text(left, TOP - 5, shortened(title, width), "u"))
        parts.append(path("ground", f"M{digits(left)} {TOP - 1}h{width}v{ROW * len(models)}h-{width}z"))
        for column, claim in enumerate(claims):
            for line, (model, _) in enumerate(models):
                if model in claim:
                    above, tall = SHAPES[claim[model]]
                    x, y = left + STEP * column + 0.3, TOP + ROW * line + 1 + above
                    cells[claim[model]].append(f"M{digits(x)} {digits(y)}h2.4v{digits(tall)}h-2.4z")
        left += width + GAP
    for word, drawn in cells.items():
        if drawn:
            parts.append(f'<g class="{word.lower().replace(" ", "-")}">{path("f", "".join(drawn))}</g>')
    return drawing(left, TOP + ROW * len(models) + 4, parts, "map", label)


def columns(sizes: Sequence[int]) -> list[float]:
    """Where each topic's columns begin, in pixels of the drawing, for whoever finds a cell by its place."""
    starts, left = [], float(LEFT)
    for size in sizes:
        starts.append(left)
        left += STEP * size + GAP
    return starts


def shortened(title: str, width: float) -> str:
    """As much of a title as stands above its columns; nothing where that is less than three letters."""
    room = int(width / 5.4)
    return title if len(title) <= room else f"{title[: room - 1].rstrip()}…" if room > 3 else ""
