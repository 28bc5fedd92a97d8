"""What opens below a row: message, controls, history, single units, evidence; and of its claim code and figures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from mechlib.figures.svg.sheet import sheet
from mechlib.figures.svg.sparkline import sparkline
from mechlib.report.content.claim_figures import Figure, head_maps, null_figures, questions_shown
from mechlib.report.content.claim_rows import ClaimRow, record_anchor
from mechlib.report.content.claim_views import distribution_table, member_table, strip_table
from mechlib.report.content.history import Point
from mechlib.report.content.record_book import RecordBook
from mechlib.report.outputs.html import environment
from mechlib.report.pages.claims import Claim
from mechlib.verdicts.record import Record

WIDE = 940  # pixels of a sheet of figures
LONGEST = 100  # characters of a file's name
# Kinds of figure that say something without their claim, best first: the page shows the first of each claim.
WORTH_A_LOOK = ("circuit_graph", "by_depth", "depth_and_concentration", "matrix", "curve")


@dataclass(frozen=True)
class Drawn:
    """A figure in a file of its own: its caption, the file below figures/, why there is none, whose it is.

    `read` is what stands for it where it is not seen: what each panel shows, and the caption.
    """

    caption: str
    read: str
    file: str
    problem: str
    anchor: str = ""
    sentence: str = ""
    plot: str = ""


@dataclass
class Gallery:
    """The figures of all claims: files by name, and what each shows."""

    files: dict[str, str] = field(default_factory=dict)
    drawn: list[Drawn] = field(default_factory=list)

    def add(self, claim: Claim, row: ClaimRow, figure: Figure, plot: str = "") -> Drawn:
        """Draws a figure, all models on one sheet."""
        name = ""
        if figure.panels:
            name = _name(row, sum(one.anchor == row.anchor for one in self.drawn))
            self.files[name] = _sheet(figure)
        read = "; ".join([*(title for title, *_ in figure.panels), figure.caption])
        made = Drawn(figure.caption, read, name, figure.problem, row.anchor, claim.first.sentence or row.name, plot)
        self.drawn.append(made)
        return made

    def worth_a_look(self, most: int = 12) -> list[Drawn]:
        """The first figure of each kind of each claim, kinds in turn, at most so many."""
        kinds = {kind: [one for one in self.drawn if one.plot == kind and one.file] for kind in WORTH_A_LOOK}
        chosen: list[Drawn] = []
        for place in range(most):
            chosen += [found[place] for found in kinds.values() if len(found) > place]
        return chosen[:most]


def topic_details(book: RecordBook, claims: Sequence[Claim], gallery: Gallery, root: str) -> dict[str, Any]:
    """{"rows": HTML by the row's link, "claims": HTML by the claim's link} of one topic."""
    rows: dict[str, str] = {}
    about: dict[str, str] = {}
    drawn: dict[str, str] = {}
    for claim in claims:
        about[claim.anchor] = _about(book, claim, gallery, drawn, root)
        for record in claim.records:
            rows[record_anchor(record)] = _opened(book, record, root)
    return {"rows": rows, "claims": about}


def _opened(book: RecordBook, record: Record, root: str) -> str:
    alone = ClaimRow.alone(record)
    corrected = book.corrected.get(record.id, {})
    own = record.comparison.word if record.comparison else None
    return environment().get_template("record/opened.html").render(
        record=record,
        root=root,
        anchor=record_anchor(record),
        corrected=[f"{name}: {word}" for name, word in corrected.items() if word != own],
        distributions=distribution_table(alone),
        strips=strip_table(alone),
        sources=list(book.evidence.of(record)),
        unreadable=sorted(path for path in record.evidence if path in book.evidence.problems),
        past=book.past[record.id],
        moved=_moved(book.past[record.id]),
    )  # fmt: skip


def _moved(past: list[Point]) -> Markup:
    """The numbers of the past as a sparkline."""
    points = [
        (one.value, (one.low, one.high), one.verdict.lower().replace(" ", "-"), f"{one.date} {one.verdict}")
        for one in past
    ]
    return sparkline(points, f"its number in {len(past)} commits")


def _about(book: RecordBook, claim: Claim, gallery: Gallery, drawn: dict[str, str], root: str) -> str:
    figures, links = [], list[tuple[str, str]]()
    for case in claim.cases:
        row = case.row
        plots = [shown.plot for shown in row.first.shown]
        asked = [(figure, plots[place] if place < len(plots) else "") for place, figure in enumerate(book.figures(row))]
        drawn.update((question, row.anchor) for question in questions_shown(row.records, book.evidence))
        maps, more = head_maps(row, book.evidence, drawn)
        links += more
        found = [*asked, *((figure, "") for figure in (*maps, *null_figures(row, book.evidence)))]
        figures += [gallery.add(claim, row, figure, plot) for figure, plot in found]
    return environment().get_template("record/about.html").render(
        claim=claim,
        root=root,
        figures=figures,
        links=links,
        members=[(case.row, table) for case in claim.cases if (table := member_table(case.row)) is not None],
        compared=next((r.comparison for r in claim.records if r.comparison), None),
    )  # fmt: skip


def _name(row: ClaimRow, place: int) -> str:
    name = f"{row.anchor.removeprefix('-')}--{place + 1}.svg"
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST - 18]}--{digest}--{place + 1}.svg"


def _sheet(figure: Figure) -> str:
    panels = []
    for model, panel, twins in figure.panels:
        panels += [(model, panel), *((kind, small) for kind, small in twins)]
    return sheet([*panels, *([("", figure.bar)] if figure.bar else [])], width=WIDE, axis=figure.axis)
