"""pytest-html's page made fit to read: what its hooks put into title, table, rows and summary.

pytest-html keeps the rows as JSON, and a script of its own builds the table when the page is opened. It escapes
nothing that hooks return, has its own words for outcomes (Passed, Failed), and knows neither dark mode nor narrow
screens nor the keyboard. So all that is given here is escaped Markup, the verdict's word has a column of its own,
and a style sheet and a short script in the summary do the rest. The table of verdicts in the summary is plain
HTML: the page says what it has to say where scripts do not run.

Three hidden columns are there for that script alone: `col-result` (by pytest's outcome it keeps or drops rows),
`col-testId` (which becomes the row's id, and so the link to it) and `col-order` (by which rows are sorted at first).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup, escape

from mechlib.report.content import claim_figures as figures
from mechlib.report.content import claim_views as views
from mechlib.report.content.across_trainings import recipes
from mechlib.report.content.claim_rows import (
    ClaimRow,
    claim_rows,
    counted,
    glances,
    headline,
    record_anchor,
    slug,
    titles,
    variant,
)
from mechlib.report.content.evidence_files import Shelf
from mechlib.report.outputs.html import TEMPLATES, environment, stylesheet
from mechlib.report.outputs.results import difference, read_results
from mechlib.verdicts.record import WORDS, Record

_Hook = pytest.hookimpl(optionalhook=True)  # nothing happens where pytest-html is switched off

TITLE = "The record: every claim, its interval and its bound"
COLUMNS = (  # what the cell's class ends with, the heading, whether the column sorts
    ("verdict", "Verdict", True),
    ("claim", "Claim", True),
    ("model", "Model", True),
    ("plot", "Against the bound", False),
    ("estimate", "Estimate", True),
    ("interval", "95 % interval", False),
    ("bound", "Bound", False),
    ("n", "n", False),
    ("twins", "Twins", True),
    ("flags", "Notes", False),
)


class Page:
    """pytest-html's hooks.

    records    the run's list of records, growing while it runs
    record_of  the record of a test report, or None
    shelf      where the evidence lies; `folder` is the page's own, in which the last results are found
    meta       what to say of this run, asked for at its end
    root       where the claim files lie, whose docstrings name the topics
    """

    def __init__(
        self,
        records: list[Record],
        record_of: Callable[[Any], Record | None],
        shelf: Shelf,
        folder: Path,
        partial: bool,
        meta: Callable[[], dict[str, Any]],
        root: Path = Path(),
    ) -> None:
        self.records, self.record_of, self.shelf = records, record_of, shelf
        self.folder, self.partial, self.meta, self.root = folder, partial, meta, root

    @_Hook
    def pytest_html_report_title(self, report: Any) -> None:
        prepare(report)

    @_Hook
    def pytest_html_results_table_header(self, cells: list[str]) -> None:
        cells[:] = header(cells)

    @_Hook
    def pytest_html_results_table_row(self, report: Any, cells: list[str]) -> None:
        cells[:] = row(cells, self._found(report), report.nodeid)

    @_Hook
    def pytest_html_results_table_html(self, report: Any, data: list[str]) -> None:
        record = self._found(report)
        if record is not None:
            data[:] = [details(record, self.shelf)]

    @_Hook
    def pytest_html_results_summary(self, prefix: list[str]) -> None:
        former = read_results(self.folder / "results.json")
        changes = difference(former, self.records, whole=not self.partial) if former is not None else []
        prefix[:] = [summary(self.records, self.partial, self.meta(), changes, self.root)]

    def _found(self, report: Any) -> Record | None:
        """The run's own record, which knows the history of its bound, rather than the one that travelled."""
        travelled = self.record_of(report) if hasattr(report, "user_properties") else None
        if travelled is None:
            return None
        return next((record for record in reversed(self.records) if record.id == travelled.id), travelled)


def prepare(report: Any) -> None:
    """Sets the title; rows start closed and in the order of the claim files; no table of the environment."""
    report.title = TITLE
    report.set_data("renderCollapsed", ["all"])
    report.set_data("initialSort", "order")
    report.set_data("environment", {})


def header(cells: Sequence[str]) -> list[str]:
    """The cells of the table's head: pytest-html's result (hidden), the row's id (hidden), and ours."""
    ours = []
    for name, heading, sorts in COLUMNS:
        sortable = f' class="sortable col-{name}" data-column-type="{name}"' if sorts else f' class="col-{name}"'
        ours.append(f'<th scope="col"{sortable}>{heading}</th>')
    hidden = [f'<th class="sortable" data-column-type="{name}">{name}</th>' for name in ("testId", "order")]
    return [cells[0], *hidden, *ours]


def row(cells: Sequence[str], record: Record | None, name: str = "") -> list[str]:
    """The cells of one claim; of a test without a record (collection failed, say) its `name` and the word ERROR."""
    if record is None:
        empty = [f'<td class="col-{column}"></td>' for column, *_ in COLUMNS[2:]]
        word = (
            environment()
            .from_string("{% import 'parts.html' as parts with context %}{{ parts.word('ERROR') }}")
            .render()
        )
        filled = [f'<td class="col-verdict">{word}</td>', f'<td class="col-claim">{escape(name)}</td>']
        return [cells[0], f'<td class="col-testId">{slug(name)}</td>', '<td class="col-order"></td>', *filled, *empty]
    shown, alone = views.numbers(record.comparison), _alone(record)
    estimate = record.comparison.estimate if record.comparison else None
    text = environment().get_template("row.html").render(
        record=record,
        shown=shown,
        order=WORDS.index(record.verdict),
        sorted_by="" if estimate is None else f"{estimate.value + 1e9:020.9f}",
        told=alone.told,
        scale=views.scale_of(alone, 160),
        # without titles: rows take no hover
        marks=[replace(mark, title="") for mark in (*views.mark_of(record), *views.twin_marks(record))],
        bounds=views.bounds_of([record]),
    )  # fmt: skip
    ours = [f"<td{cell.rstrip()}" for cell in lean(one_line(text)).split("<td")[1:]]
    hidden = [f'<td class="col-testId">{record_anchor(record)}</td>', f'<td class="col-order">{_order(record)}</td>']
    return [cells[0], *hidden, *ours]


def _order(record: Record) -> str:
    """Text that sorts as claims are read: numbers in it have the same length. Workers finish in any order."""
    shipped = record.model.startswith("mini-")
    key = f"{record.topic}.{record.place or record.line:07}.{variant(record)}.{'a' if shipped else 'z'}.{record.model}"
    return re.sub(r"\d+", lambda found: found.group().zfill(6), slug(key))


def details(record: Record, shelf: Shelf) -> str:
    """The part that opens: message, numbers of single units, figures, controls, code, and the way to the appendix.

    In one line, for the page's script takes lines that begin with an E for errors.
    """
    alone = _alone(record)
    asked = figures.shown_figures([record], shelf)
    if not asked:
        asked = figures.judged_maps(alone, shelf)
    text = environment().get_template("details.html").render(
        record=record,
        figures=[figures.without_twins(figure) for figure in asked[:2]],
        distributions=views.distributions(alone),
        strips=views.strips(alone),
        anchor=record_anchor(record),
        claim=alone.anchor,
        sources=list(shelf.of(record)),
    )  # fmt: skip
    return lean(one_line(text))


def summary(
    records: Sequence[Record],
    partial: bool = False,
    meta: dict[str, Any] | None = None,
    changes: Sequence[str] = (),
    root: Path = Path(),
) -> str:
    """What stands above the table: counts, verdicts by claim and model, what changed; and the page's style."""
    return environment().get_template("summary.html").render(
        css=css(),
        script=Markup((TEMPLATES / "report.js").read_text(encoding="utf-8")),
        headline=headline(records),
        counts=counted(records),
        recipes=recipes(records),
        rows=claim_rows(records),
        titles=titles(records, root),
        glances=glances(records),
        partial=partial,
        meta=sorted((str(key), str(value)) for key, value in (meta or {}).items()),
        changes=list(changes),
    )  # fmt: skip


def css() -> Markup:
    """The appendix's style sheet, with what makes pytest-html's own elements look like it."""
    return Markup(stylesheet() + (TEMPLATES / "report.css").read_text(encoding="utf-8"))


def one_line(text: str) -> str:
    """HTML without line breaks; those inside <pre> become character references."""
    parts = text.split("<pre>")
    for place in range(1, len(parts)):
        inside, end, rest = parts[place].partition("</pre>")
        parts[place] = inside.replace("\n", "&#10;") + end + rest.replace("\n", " ")
    return "<pre>".join([parts[0].replace("\n", " "), *parts[1:]])


def lean(text: str) -> str:
    """HTML without quotes that it can do without: pytest-html keeps rows in an attribute, where each costs six bytes.

    Only attributes are touched: in text, Markup has no quotes.
    """
    return re.sub(r'(\s[a-z-]+)="([A-Za-z0-9_.#-]+)"(?=[\s>])', r"\1=\2", text.replace('"/>', '" />'))


def _alone(record: Record) -> ClaimRow:
    return ClaimRow(record.topic, record.function, variant(record), (record,))
