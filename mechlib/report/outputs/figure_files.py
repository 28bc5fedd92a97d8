"""The committed figures of REPORT.md: drawings by themselves, as wide as a forge shows them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from markupsafe import Markup

from mechlib.figures.svg.sheet import sheet
from mechlib.report.content.claim_figures import Figure
from mechlib.report.content.claim_rows import ClaimRow, slug
from mechlib.report.content.claim_views import bounds_of
from mechlib.report.content.record_book import RecordBook
from mechlib.report.outputs.results import save

FORGE = 940  # pixels that a forge gives a figure
LONGEST = 100  # characters of a figure's file name
FOLDER = Path("artifacts/figures")


def forest_name(topic: str) -> str:
    """The file name of a topic's forest plot."""
    return f"{slug(topic)}--forest.svg"


def named_figures(book: RecordBook, row: ClaimRow) -> Iterator[tuple[str, Figure]]:
    """(file name, figure) of each figure that a claim asked for and that can be drawn."""
    for place, figure in enumerate(book.figures(row)):
        if figure.panels:
            yield figure_name(row, place), figure


def figure_name(row: ClaimRow, place: int) -> str:
    """A readable file name that stays below what archives and Windows take."""
    name = f"{row.anchor.removeprefix('-')}--{place + 1}.svg"
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST - 18]}--{digest}--{place + 1}.svg"


def write_figures(book: RecordBook) -> list[Path]:
    """Writes the committed figures; removes SVGs of the folder that no claim shows any more. Returns the paths."""
    folder = book.root / FOLDER
    pages: dict[str, str] = {}
    for topic, rows in book.topics.items():
        if panels := forest_panels(book, rows):
            pages[forest_name(topic)] = sheet(panels)
        for row in rows:
            pages.update((name, _page(figure)) for name, figure in named_figures(book, row))
    folder.mkdir(parents=True, exist_ok=True)
    for stale in set(folder.glob("*.svg")) - {folder / name for name in pages}:
        stale.unlink()
    for name, page in pages.items():
        save(folder / name, page)
    return [folder / name for name in pages]


def forest_panels(book: RecordBook, rows: Sequence[ClaimRow]) -> list[tuple[str, Markup]]:
    """A forest panel for each claim that reached a number on any model."""
    panels = []
    for row in rows:
        if bounds_of(row.records):
            case = f" ({row.variant_label})" if row.variant else ""
            panels.append(((row.first.sentence or row.name) + case, book.forest(row)))
    return panels


def _page(figure: Figure) -> str:
    bar = [("", figure.bar)] if figure.bar else []
    return sheet([*((model, panel) for model, panel, _ in figure.panels), *bar], width=FORGE, axis=figure.axis)
