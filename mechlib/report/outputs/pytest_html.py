"""pytest-html's page made small: run.html says what broke in this run, and leads to report.html for all else.

pytest-html keeps its rows as JSON in an attribute and builds the table when the page is opened, so that a record of
1,600 verdicts takes megabytes there. Here it has a row for what is not as it should be: a verdict that is neither as
claimed nor as marked, an error, a file that could not be collected. It escapes nothing that hooks return: all that is
given is escaped Markup. The column `col-testId` is hidden: its text becomes the row's id, and so the link to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup, escape

from mechlib.report.content.claim_rows import record_anchor, slug
from mechlib.report.content.claim_views import prose
from mechlib.report.content.record_book import RecordBook
from mechlib.report.outputs.audit_table import NOT_ASKED
from mechlib.report.outputs.html import environment
from mechlib.verdicts.record import Record

_Hook = pytest.hookimpl(optionalhook=True)  # nothing happens where pytest-html is switched off

TITLE = "What broke in this run"
COLUMNS = (("verdict", "Verdict"), ("claim", "Claim"), ("model", "Model"), ("said", "What came out"))


class Page:
    """pytest-html's hooks.

    records    the run's list of records, growing while it runs
    record_of  the record of a test report, or None
    folder     where the page will lie, `partial` whether it is a selection's
    book       the record book, asked for at the end of the run
    meta       what to say of this run, asked for at its end
    """

    def __init__(
        self,
        records: list[Record],
        record_of: Callable[[Any], Record | None],
        folder: Path,
        partial: bool,
        book: Callable[[], RecordBook],
        meta: Callable[[], dict[str, Any]],
    ) -> None:
        self.records, self.record_of = records, record_of
        self.folder, self.partial, self.book, self.meta = folder, partial, book, meta

    @_Hook
    def pytest_html_report_title(self, report: Any) -> None:
        """Sets the title; rows start closed; no table of the environment."""
        report.title = TITLE
        report.set_data("renderCollapsed", ["all"])
        report.set_data("environment", {})

    @_Hook
    def pytest_html_results_table_header(self, cells: list[str]) -> None:
        """Puts our columns in the place of pytest-html's."""
        cells[:] = header(cells)

    @_Hook
    def pytest_html_results_table_row(self, report: Any, cells: list[str]) -> None:
        """Puts what came out in the place of an outcome's row; none where nothing broke."""
        record = self._found(report)
        if _adds_nothing(report) or (record.ok if record is not None else not _broke(report)):
            cells.clear()  # pytest-html asks for a row of every phase
        else:
            cells[:] = row(cells, record, report.nodeid)

    @_Hook
    def pytest_html_results_summary(self, prefix: list[str]) -> None:
        """Puts the counts and the way to the record above the rows, when the run has ended."""
        prefix[:] = [summary(self.book(), self.partial, self.meta())]

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


def _broke(report: Any) -> bool:
    """Whether a test without a record is worth a row: it failed, or said something when it was taken down."""
    return not report.passed or getattr(report, "when", "") == "teardown"


def header(cells: Sequence[str]) -> list[str]:
    """The cells of the table's head: pytest-html's result, the row's id (hidden by style), and ours."""
    ours = [f'<th scope="col" class="col-{name}">{heading}</th>' for name, heading in COLUMNS]
    return [cells[0], '<th class="sortable" data-column-type="testId">testId</th>', *ours]


def row(cells: Sequence[str], record: Record | None, name: str = "") -> list[str]:
    """The cells of one claim, in a line each; of a test without a record its `name` and the word ERROR."""
    parts = environment().get_template("parts.html").module
    word = parts.word(record.verdict if record else "ERROR")  # type: ignore[attr-defined]
    anchor = record_anchor(record) if record else slug(name)
    claim = escape(name)
    if record is not None:  # an anchor has letters, digits, dots, hyphens and underscores only
        way = Markup(f' <a href="report.html#claim={anchor}">in the record</a>')
        claim = prose(record.sentence or record.function) + way
    shown = (word, claim, escape(record.model if record else ""), prose(record.message if record else ""))
    ours = [
        f'<td class="col-{column}">{" ".join(str(said).split())}</td>'
        for (column, _), said in zip(COLUMNS, shown, strict=True)
    ]
    return [cells[0], f'<td class="col-testId">{anchor}</td>', *ours]


def summary(book: RecordBook, partial: bool = False, meta: dict[str, Any] | None = None) -> str:
    """What stands above the table: the counts and where everything else is; and the page's style."""
    broken = sum(not record.ok for record in book.records)
    return environment().get_template("run.html").render(
        headline=book.headline,
        counts=book.counts,
        broken=broken,
        partial=partial,
        meta=sorted((str(key), str(value)) for key, value in (meta or {}).items()),
    )  # fmt: skip
