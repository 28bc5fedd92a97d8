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

from mechlib.report.content.claim_figures import asked_figures, judged_maps
from mechlib.report.content.claim_rows import ClaimRow, record_anchor, slug, variant
from mechlib.report.content.claim_views import (
    bounds_of,
    distribution_table,
    numbers,
    own_marks,
    scale_of,
    strip_table,
    twin_marks,
)
from mechlib.report.content.evidence_files import EvidenceFiles
from mechlib.report.content.record_book import RecordBook
from mechlib.report.features.page import links
from mechlib.report.outputs.audit_table import NOT_ASKED
from mechlib.report.outputs.html import TEMPLATES, environment, stylesheet
from mechlib.report.outputs.results import difference, read_results
from mechlib.verdicts.record import WORDS, Record

_Hook = pytest.hookimpl(optionalhook=True)  # nothing happens where pytest-html is switched off

_QUOTED = re.compile(r'(\s[a-z-]+)="([A-Za-z0-9_.#-]+)"(?=[\s>])')
MOST_FIGURES = 2  # in the part that opens
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
    ("control", "Controlled by", True),
    ("flags", "Notes", False),
)


class Page:
    """pytest-html's hooks.

    records    the run's list of records, growing while it runs
    record_of  the record of a test report, or None
    evidence   the evidence files; `folder` is the page's own, in which the last results are found
    book       the record book, asked for at the end of the run
    meta       what to say of this run, asked for at its end
    """

    def __init__(
        self,
        records: list[Record],
        record_of: Callable[[Any], Record | None],
        evidence: EvidenceFiles,
        folder: Path,
        partial: bool,
        book: Callable[[], RecordBook],
        meta: Callable[[], dict[str, Any]],
    ) -> None:
        self.records, self.record_of, self.evidence = records, record_of, evidence
        self.folder, self.partial, self.book, self.meta = folder, partial, book, meta

    @_Hook
    def pytest_html_report_title(self, report: Any) -> None:
        """Sets what holds for the whole page."""
        prepare(report)

    @_Hook
    def pytest_html_results_table_header(self, cells: list[str]) -> None:
        """Puts our columns in the place of pytest-html's."""
        cells[:] = header(cells)

    @_Hook
    def pytest_html_results_table_row(self, report: Any, cells: list[str]) -> None:
        """Puts a verdict's row in the place of an outcome's."""
        if _adds_nothing(report):
            cells.clear()  # pytest-html asks for a row of every phase, and keeps that of the call
        else:
            cells[:] = row(cells, self._found(report), report.nodeid)

    @_Hook
    def pytest_html_results_table_html(self, report: Any, data: list[str]) -> None:
        """Puts what opens in the place of the log."""
        record = self._found(report)
        if record is not None:
            data[:] = [details(record, self.evidence)]

    @_Hook
    def pytest_html_results_summary(self, prefix: list[str]) -> None:
        """Puts counts and tables above the rows, when the run has ended."""
        book, former = self.book(), read_results(self.folder / "results.json")
        changes = difference(former, book, whole=not self.partial) if former is not None else []
        prefix[:] = [summary(book, self.partial, self.meta(), changes)]

    def _found(self, report: Any) -> Record | None:
        """The run's own record, which knows the history of its bound, rather than the one that travelled."""
        travelled = self.record_of(report) if hasattr(report, "user_properties") else None
        if travelled is None:
            return None
        return next((record for record in reversed(self.records) if record.id == travelled.id), travelled)


def _adds_nothing(report: Any) -> bool:
    """Whether this is a phase before or behind a test of which there is nothing to say, or an audit did not ask it."""
    if NOT_ASKED in dict(getattr(report, "user_properties", ())):
        return True
    phase = getattr(report, "when", "")
    said = phase == "teardown" and any("teardown" in header for header, _ in report.sections)
    return phase in ("setup", "teardown") and report.passed and not said


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
        word = environment().get_template("parts.html").module.word("ERROR")  # type: ignore[attr-defined]
        filled = [f'<td class="col-verdict">{word}</td>', f'<td class="col-claim">{escape(name)}</td>']
        return [cells[0], f'<td class="col-testId">{slug(name)}</td>', '<td class="col-order"></td>', *filled, *empty]
    shown, alone = numbers(record.comparison), ClaimRow.alone(record)
    estimate = record.comparison.estimate if record.comparison else None
    text = environment().get_template("row.html").render(
        record=record,
        shown=shown,
        order=WORDS.index(record.verdict),
        sorted_by="" if estimate is None else f"{estimate.value + 1e9:020.9f}",
        variant_label=alone.variant_label,
        scale=scale_of(alone, 160),
        # without titles: rows take no hover
        marks=[replace(mark, title="") for mark in (*own_marks(record), *twin_marks(record))],
        bounds=bounds_of([record]),
    )  # fmt: skip
    ours = [f"<td{cell.rstrip()}" for cell in lean(one_line(text)).split("<td")[1:]]
    hidden = [f'<td class="col-testId">{record_anchor(record)}</td>', f'<td class="col-order">{_order(record)}</td>']
    return [cells[0], *hidden, *ours]


def _order(record: Record) -> str:
    """Text that sorts as claims are read: numbers in it have the same length. Workers finish in any order."""
    shipped = record.model.startswith("mini-")
    key = f"{record.topic}.{record.place or record.line:07}.{variant(record)}.{'a' if shipped else 'z'}.{record.model}"
    return re.sub(r"\d+", lambda found: found.group().zfill(6), slug(key))


def details(record: Record, evidence: EvidenceFiles) -> str:
    """The part that opens: message, numbers of single units, figures, controls, code, and the way to the appendix.

    In one line, for the page's script takes lines that begin with an E for errors.
    """
    alone = ClaimRow.alone(record)
    figures = asked_figures([record], evidence, twins=False, most=MOST_FIGURES) or judged_maps(alone, evidence)
    text = environment().get_template("details.html").render(
        record=record,
        figures=figures[:MOST_FIGURES],
        distributions=distribution_table(alone),
        strips=strip_table(alone),
        anchor=record_anchor(record),
        claim=alone.anchor,
        sources=list(evidence.of(record)),
    )  # fmt: skip
    return lean(one_line(text))


def summary(
    book: RecordBook, partial: bool = False, meta: dict[str, Any] | None = None, changes: Sequence[str] = ()
) -> str:
    """What stands above the table: counts, verdicts by claim and model, what changed; and the page's style."""
    return environment().get_template("summary.html").render(
        css=css(),
        script=Markup((TEMPLATES / "report.js").read_text(encoding="utf-8")),
        headline=book.headline,
        counts=book.counts,
        controls=book.controls,
        recipes=book.recipes,
        rows=book.rows,
        published=book.published,
        titles=book.titles,
        glances=book.glances,
        features=links(book.root),
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
    # A function in place of a template, for Python 3.11 expands one in half a microsecond, 200,000 times.
    return _QUOTED.sub(lambda found: f"{found[1]}={found[2]}", text.replace('"/>', '" />'))
