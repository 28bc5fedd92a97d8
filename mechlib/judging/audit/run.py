"""The run of an audit: how long it will take, how far it is, the table at its end, and its exit status."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from tqdm import tqdm

from mechlib.judging.audit.asking import ANSWERS, AUDITED, BESIDE, beside
from mechlib.judging.audit.forecast import forecast
from mechlib.judging.session import NOTHING_JUDGED, record_of
from mechlib.report.outputs.audit_table import NOT_ASKED, AuditRow, audit_table
from mechlib.verdicts.register import Judgement

BAR = pytest.StashKey[bool]()  # whether a bar stands in the place of dots


class Audit:
    """Hooks of an audit in the process that the user started."""

    def __init__(self, config: pytest.Config, latest: Mapping[str, Judgement]) -> None:
        self.config = config
        self.latest = latest
        self.short = config.stash[AUDITED]
        self.rows: list[AuditRow] = []
        self.not_asked: dict[str, Counter[str]] = {short: Counter() for short in self.short.values()}
        self.broken = 0
        self._bar: tqdm[Any] | None = None
        self._told = False

    # Before: how much, and how long.

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Says what is to be measured, where this process has the claims."""
        self._tell(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Says it where workers have them."""
        self._tell(ids)

    def _tell(self, nodes: Iterable[str]) -> None:
        ids = list(nodes)
        terminal: Any = self.config.pluginmanager.get_plugin("terminalreporter")
        silent = self.config.getoption("frozen") or self.config.getoption("collectonly")
        if self._told or not ids or terminal is None or silent:
            return
        self._told = True
        told = forecast(self.config.rootpath, ids, self.short, self.latest)
        if self.config.getoption("verbose") >= 0:
            for line in told.lines:
                terminal.write_line(line)
        if self.config.getoption("verbose") == 0 and terminal.isatty:
            terminal.showfspath = terminal._show_progress_info = False  # a bar instead of dots
            file, total = terminal._tw._file, told.missing or len(ids)
            self._bar = tqdm(total=total, unit=told.unit, file=file, leave=False, dynamic_ncols=True)
            self.config.stash[BAR] = True

    # Meanwhile.

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keeps what came in, and moves the bar."""
        if report.when != "call":
            self.broken += report.failed
            return
        said = dict(report.user_properties)
        record = record_of(report)
        short = record.model if record else self._short_of(report.nodeid)
        if record is not None:
            own = json.loads(str(said[BESIDE]))
            self.rows.append(AuditRow(record, tuple(own), beside(record.id, short, own, self.latest)))
        elif NOT_ASKED in said:
            self.not_asked[short][str(said[NOT_ASKED])] += 1
        self.broken += report.failed
        self._move(record.measured if record else 0)

    def _short_of(self, node: str) -> str:
        """The model in a node id; of several, the one with the longest name that its case holds."""
        case = node.partition("[")[2]
        found = sorted((short for short in self.not_asked if short in case), key=len)
        return found[-1] if found else next(iter(self.not_asked))

    def _move(self, measured: int) -> None:
        if self._bar is not None:
            self._bar.update(measured if self._bar.unit == " measurements" else 1)

    # Behind.

    @property
    def answers(self) -> int:
        """How many claims got an answer, be it that the model does not do the task."""
        return sum(row.record.verdict in ANSWERS for row in self.rows)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Status 0 unless something broke; 5 where nothing could be asked."""
        if self._bar is not None:
            self._bar.close()
        if not self.broken and not self.answers and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = NOTHING_JUDGED

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Prints the table."""
        if not self.rows and not any(self.not_asked.values()):
            return
        terminalreporter.section("audit", sep="-")
        terminalreporter.write_line(audit_table(self.rows, self.not_asked))
        if not self.broken and not self.answers:
            names = " or ".join(self.not_asked)
            terminalreporter.write_line(f"nothing of what was selected could be asked of {names}")
