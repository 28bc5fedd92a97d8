"""The committed figures of REPORT.md: drawings by themselves, as wide as a forge shows them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from markupsafe import Markup

from mechlib.figures.svg.sheet import sheet
from mechlib.report.content import claim_views as views
from mechlib.report.content.claim_figures import Figure, shown_figures
from mechlib.report.content.claim_rows import ClaimRow, by_topic, slug
from mechlib.report.content.evidence_files import Shelf
from mechlib.report.outputs.results import save
from mechlib.verdicts.record import Record

FORGE = 940  # pixels that a forge gives a figure
LONGEST = 100  # characters of a figure's file name
FOLDER = Path("artifacts/figures")


def forest_name(topic: str) -> str:
    """The file name of a topic's forest plot."""
    return f"{slug(topic)}--forest.svg"


def claim_figures(row: ClaimRow, shelf: Shelf) -> Iterator[tuple[str, Figure]]:
    """(file name, figure) of each figure that a claim asked for and that can be drawn."""
    for place, figure in enumerate(shown_figures(row.records, shelf)):
        if figure.panels:
            yield figure_name(row, place), figure


def figure_name(row: ClaimRow, place: int) -> str:
    """A readable file name that stays below what archives and Windows take."""
    name = f"{row.anchor.removeprefix('-')}--{place + 1}.svg"
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST - 18]}--{digest}--{place + 1}.svg"


def write_figures(records: Sequence[Record], root: Path, shelf: Shelf) -> list[Path]:
    """Draws the committed figures; removes SVGs of the folder that no claim shows any more. Returns the paths."""
    folder = root / FOLDER
    drawn: dict[str, str] = {}
    for topic, rows in by_topic(records).items():
        if forest_panels(rows):
            drawn[forest_name(topic)] = sheet(forest_panels(rows))
        for row in rows:
            drawn.update((name, _drawn(figure)) for name, figure in claim_figures(row, shelf))
    folder.mkdir(parents=True, exist_ok=True)
    for stale in set(folder.glob("*.svg")) - {folder / name for name in drawn}:
        stale.unlink()
    for name, page in drawn.items():
        save(folder / name, page)
    return [folder / name for name in drawn]


def forest_panels(rows: Sequence[ClaimRow]) -> list[tuple[str, Markup]]:
    """A forest panel for each claim that reached a number on any model."""
    compared = [row for row in rows if views.bounds_of(row.records)]
    variants = [f" ({row.told})" if row.variant else "" for row in compared]
    return [
        ((row.first.sentence or row.name) + kind, views.forest_panel(row))
        for row, kind in zip(compared, variants, strict=True)
    ]


def _drawn(figure: Figure) -> str:
    bar = [("", figure.bar)] if figure.bar else []
    return sheet([*((model, panel) for model, panel, _ in figure.panels), *bar], width=FORGE)
