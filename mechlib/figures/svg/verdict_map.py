"""The whole record as one drawing: claims across, models down, a cell a verdict that colour and shape tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from mechlib.figures.svg.elements import digits, drawing, path, text

STEP, ROW, GAP, LEFT, TOP = 3, 11, 6, 128, 16  # pixels
LETTER = 6.2  # pixels that a letter of a title takes at most, on average
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
    starts = columns([(title, len(claims)) for title, claims in topics])
    for left, (title, claims) in zip(starts, topics, strict=False):
        width = STEP * len(claims)
        parts.append(text(left, TOP - 5, title, "u"))
        parts.append(path("ground", f"M{digits(left)} {TOP - 1}h{width}v{ROW * len(models)}h-{width}z"))
        for column, claim in enumerate(claims):
            for line, (model, _) in enumerate(models):
                if model in claim:
                    above, tall = SHAPES[claim[model]]
                    x, y = left + STEP * column + 0.3, TOP + ROW * line + 1 + above
                    cells[claim[model]].append(f"M{digits(x)} {digits(y)}h2.4v{digits(tall)}h-2.4z")
    for word, drawn in cells.items():
        if drawn:
            parts.append(f'<g class="{word.lower().replace(" ", "-")}">{path("f", "".join(drawn))}</g>')
    return drawing(starts[-1], TOP + ROW * len(models) + 4, parts, "map", label)


def columns(topics: Sequence[tuple[str, int]]) -> list[float]:
    """Where each topic's columns begin, in pixels of the drawing, for whoever finds a cell by its place; last, its end.

    topics  (title, how many columns); one of few columns is as wide as its title
    """
    starts = [float(LEFT)]
    for title, size in topics:
        starts.append(starts[-1] + max(STEP * size, LETTER * len(title)) + GAP)
    return starts
