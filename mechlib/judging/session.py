"""The record of one run: kept by the process that the user started, flushed as verdicts come in."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mechlib.evidence.sealed import refuse_unwritable
from mechlib.judging.judge import keys
from mechlib.verdicts.record import Record
from mechlib.verdicts.register import ANSWERS, REGISTER, DamagedRegister, Judgement, Register, tried
from mechlib.verdicts.registration import Identity

if TYPE_CHECKING:
    from mechlib.report.content.evidence_files import EvidenceFiles
    from mechlib.report.content.record_book import RecordBook

RECORD = "mechlib_record"
CLAIMED = "mechlib_claimed"  # what the claim says, as mechlib.judging.registration.claimed has it
UNREGISTERED = "NOT REGISTERED"
NOTHING_JUDGED = 5  # pytest's own status for "no tests ran"


def record_of(report: pytest.TestReport) -> Record | None:
    """The record that travelled with a test report, from whichever process judged it."""
    return next((Record.from_json(str(value)) for name, value in report.user_properties if name == RECORD), None)


# Options that leave something out, or shift a number: their report is not that of the record.
_SELECTING = ("keyword", "markexpr", "model", "lf", "ff", "deselect", "ignore", "ignore_glob", "seed")


def is_partial(config: pytest.Config) -> bool:
    """Whether this run judges a selection of the claims only."""
    whole = {str(config.rootpath / "claims"), "claims", "claims/"}
    by_path = config.args_source == pytest.Config.ArgsSource.ARGS and not set(config.args) <= whole
    return by_path or any(config.getoption(name, None) for name in _SELECTING)


def report_folder(config: pytest.Config) -> Path:
    """Where the report of this run goes: a selection never overwrites the report of the whole record."""
    folder = config.rootpath / "artifacts" / "report"
    return folder / "partial" if is_partial(config) else folder


class Run:
    """Hooks that collect the records of one run, and write what was asked for when it ends."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        writable = not (config.getoption("frozen") or config.getoption("model"))
        try:
            self.register = Register(config.rootpath / REGISTER, writable)
        except DamagedRegister as error:
            raise pytest.UsageError(str(error)) from None
        self.records: list[Record] = []
        self.asked = 0
        self.interrupted = False
        self.started = time.time()
        self.path = self._records_path()
        page = self.folder / "report.html" if config.getoption("report") else None
        for option, path in (("report", page), ("records", self.path), ("results", self._results_path())):
            if path is not None:
                _refuse_unwritable(path, option)
        if self.path is not None:
            self.path.write_text("")

    def _records_path(self) -> Path | None:
        if self.config.getoption("records"):
            return Path(self.config.getoption("records"))
        return report_folder(self.config) / "records.jsonl" if self.config.getoption("report") else None

    def _results_path(self) -> Path | None:
        return Path(self.config.getoption("results")) if self.config.getoption("results") else None

    # How much was asked for: a run that ends early is no report of the whole record.

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Counts the claims that were asked for."""
        self._ask(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Counts the claims that workers were asked for."""
        self._ask(ids)

    def _ask(self, ids: Iterable[str]) -> None:
        self.asked = max(self.asked, sum(name.startswith("claims/") for name in ids))

    @property
    def partial(self) -> bool:
        """Whether this is less than the whole record: a selection, or a run that ended early."""
        return is_partial(self.config) or len(self.records) < self.asked

    @property
    def folder(self) -> Path:
        """Where the report goes, as far as is known by now."""
        folder = self.config.rootpath / "artifacts" / "report"
        return folder / "partial" if self.partial else folder

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Remembers that the user stopped the run."""
        self.interrupted = type(excinfo.value) is KeyboardInterrupt  # pytest's own ways to stop are derived from it

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Says how to go on after an interruption."""
        terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
        if self.interrupted and terminal is not None:
            terminal.write_line(self._how_to_go_on())

    def _how_to_go_on(self) -> str:
        seen = f"interrupted: {len(self.records)} of {self.asked} verdicts reached"
        if self.config.getoption("frozen"):
            return f"{seen}; run the same command again"
        if self.config.getoption("fresh") or self.config.getoption("replace"):
            return f"{seen}; all evidence is whole; the same command begins again with the first claim"
        return f"{seen}; what was measured is filed; run the same command to go on"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keeps a record as it comes in, and holds it against the register."""
        record = record_of(report) if report.when == "call" else None
        if record is None:
            return
        said = next(str(value) for name, value in report.user_properties if name == CLAIMED)
        self._register(record, Identity(**json.loads(said)))
        self.records.append(record)
        if record.history:  # for whoever reads the report behind us
            report.user_properties = [(RECORD, record.to_json()), (CLAIMED, said)]
            if report.failed:
                report.longrepr = "\n".join([str(report.longrepr), *dict.fromkeys(record.history)])
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(record.to_json() + "\n")

    def _register(self, record: Record, today: Identity) -> None:
        """Holds the judgement against the register, where it is one: what was judged before, what was registered."""
        if self.config.getoption("model"):
            return
        self._judged(record, today.question)
        line = self.register.line_of(record.id, today)
        record.registered = line.named if line is not None else ""
        record.tried = tried(self.register.draws(record.id, tuple(record.prompts)))
        record.history += self.register.since_registered(record.id, today)

    def _judged(self, record: Record, question: str) -> None:
        if record.comparison is None or record.verdict not in ANSWERS:
            closed = "GATED" if record.verdict == "GATED" else ""  # an error, or missing weights, change no answer
            record.history = self.register.history(record.id, closed)
            return
        if self.config.getoption("seed"):  # another resampling: what it says stands nowhere
            record.history = self.register.history(record.id)
            return
        asked, prompts = (record.id, record.comparison.bound, question, keys(record.evidence)), tuple(record.prompts)
        entry = Judgement(*asked, record.verdict, prompts=prompts)
        record.history, known = self.register.add(entry)
        if not known and (self.config.getoption("frozen") or self.register.unwritten):
            record.flags = [*record.flags, UNREGISTERED]

    @property
    def judged(self) -> int:
        """How many claims got an answer of their own."""
        return sum(record.verdict in ANSWERS for record in self.records)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Ends with status 5 where no claim was judged, with 1 where --frozen finds a judgement that is not filed."""
        self._move_page()
        audit = self.config.getoption("model")  # which has its own status
        if self.records and not self.judged and not audit and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = NOTHING_JUDGED
        unfiled = any(UNREGISTERED in record.flags for record in self.records)
        if unfiled and self.config.getoption("frozen") and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Prints the table of verdicts, and writes what was asked for."""
        if not self.records:
            return
        from mechlib.judging.registration.words import told
        from mechlib.report.outputs.results import read_results
        from mechlib.report.outputs.terminal import cautions, fitted, onward, verdict_table

        audit = bool(self.config.getoption("model"))
        if not audit:
            terminalreporter.section("verdicts", sep="-")
            former = read_results(self.config.rootpath / "artifacts" / "report" / "results.json")
            terminalreporter.write_line(verdict_table(self.book, former, partial=self.partial))
        shifted, fresh = (self.config.getoption(name) for name in ("seed", "fresh"))
        sample = self.config.getoption("sample") or 1
        said = cautions(self.records, fresh, shifted, self.register.unwritten, audit, sample)
        further = onward(self.records) if not (audit or self.config.getoption("report")) else ()
        for line in (*said, *told(self.records), *further, *self._write()):
            for part in fitted(line):
                terminalreporter.write_line(part)

    @cached_property
    def evidence(self) -> EvidenceFiles:
        """The evidence files as the report reads them."""
        from mechlib.report.content.evidence_files import EvidenceFiles

        own = "local" if self.config.getoption("model") else "evidence"
        return EvidenceFiles(self.config.rootpath / "artifacts" / own)

    @cached_property
    def book(self) -> RecordBook:
        """What all outputs read: asked for when the run has ended, and made once."""
        from mechlib.judging.registration.words import registrations
        from mechlib.report.content.record_book import RecordBook

        audit = bool(self.config.getoption("model"))
        if not audit:
            registrations(self.config.rootpath, self.records, self.register)
        return RecordBook(self.records, self.config.rootpath, self.evidence, audit)

    def page(self) -> Any:
        """The hooks that make pytest-html's page, run.html."""
        from mechlib.report.outputs.pytest_html import Page

        folder, partial = report_folder(self.config), is_partial(self.config)
        self._page = Page(self.records, record_of, folder, partial, lambda: self.book, self._meta)
        return self._page

    def _move_page(self) -> None:
        """A run that ended early leaves the page of the whole record alone."""
        page = getattr(self, "_page", None)
        if page is not None and page.partial != self.partial:
            page.partial, page.folder = self.partial, self.folder
            page.folder.mkdir(parents=True, exist_ok=True)
            for plugin in self.config.pluginmanager.get_plugins():
                if type(plugin).__module__.startswith("pytest_html"):
                    plugin._report_path = page.folder / "run.html"

    def _write(self) -> list[str]:
        lines: list[str] = []
        if self.config.getoption("report"):
            from mechlib.report.outputs.writing import write

            folder = self.folder
            lines += write(self.book, folder, self.partial, self._meta())
            lines.append(f"report: {_shortest(folder / 'report.html')}, what broke in this run: run.html beside it")
        results = self._results_path()
        if results is not None:
            from mechlib.report.outputs.results import write_results

            write_results(self.book, results)
            lines.append(f"results: {results}")
        return lines

    def _meta(self) -> dict[str, Any]:
        """What is true of this run and not of the record: never written into a committed file."""
        mode = next((name for name in ("frozen", "fresh", "replace") if self.config.getoption(name)), "measure")
        return {
            "started": time.strftime("%Y-%m-%d %H:%M", time.localtime(self.started)),
            "seconds": round(time.time() - self.started, 1),
            "python": sys.version.split()[0],
            "device": self.config.getoption("device") or "cpu",
            "mode": mode,
            "seed": self.config.getoption("seed"),
            "command": " ".join(["pytest", *map(str, self.config.invocation_params.args)]),
        }


def _refuse_unwritable(path: Path, option: str) -> None:
    """Before an hour of measuring rather than behind it."""
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        refuse_unwritable(path.parent)
    except OSError as error:
        cure = "make it writable" if option == "report" else f"name a file in a folder that can, as --{option} PATH"
        raise pytest.UsageError(f"{path} cannot be written to ({error.strerror or error}): {cure}") from None


def _shortest(path: Path) -> str:
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)
