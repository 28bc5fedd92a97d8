"""Planning: what claims would measure, found without measuring it. Reads only, and loads no torch.

Each claim is called as in judging, but an evidence function that has no answer filed is noted and not run. What comes
back can be handed on, and nothing can be computed from it: there the claim stops, and what it would ask behind that
(another part of a gate's claim, heads that are yet to be chosen) is not known. How long a measurement takes and how
large it is nobody knows before it ran: both are those of the same function on other models or arguments.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal, cast

import pytest

from mechlib.checkpoints.checkpoint import IncompleteModel, NotPublished, twins
from mechlib.evidence import EvidenceUse, NoEvidence, Store, using
from mechlib.evidence.decorator import answered_by
from mechlib.evidence.lookup import Body, plan, read
from mechlib.evidence.question import Question, prompts_in
from mechlib.judging.claim import Claim
from mechlib.judging.collection import CLAIM, id_of, topic_of
from mechlib.judging.controls.exchanges import FEW, MOST, RANDOM_CIRCUITS
from mechlib.judging.controls.run import run_controls
from mechlib.judging.judge import attempt
from mechlib.judging.options import STORE
from mechlib.judging.registration.seeds import seeds_of
from mechlib.measurement import Measurement
from mechlib.verdicts.register import REGISTER, Register
from mechlib.verdicts.verdict import Gated, Inconclusive, Refuted, judging

State = Literal["filed", "missing", "changed", "not here"]
_QUIETLY = ("-p", "no:cacheprovider", "-p", "no:terminal", "--frozen")
_FETCH = re.compile(r"`(mechlib fetch [^`]+)`")


class NotPlanned(RuntimeError):
    """Nothing was selected, or a claim file cannot be read; without a message where pytest has said why."""


@dataclass(frozen=True)
class Asked:
    """One question that a claim asks, and whether it is answered.

    state  "filed"; "missing"; "changed", an earlier version of it is filed; "not here", the weights are not
    why    what changed, or what to fetch
    """

    question: Question
    state: State
    why: str = ""

    @property
    def name(self) -> str:
        """The same for two claims that ask the same."""
        return f"{self.question.topic}.{self.question.text}"


@dataclass
class Plan:
    """What a selection of claims would measure, gates taken for open where they are not measured.

    open_ended  how many claims may ask for more once what is missing is there; `further`, how many evidence files more
                of the model itself those have that the register knows of the same claims
    controls    parts that control runs would exchange, and `sets`, for how many sets at first; of claims whose evidence
                is filed
    """

    asked: dict[str, Asked] = field(default_factory=dict)
    claims: int = 0
    measuring: int = 0
    open_ended: int = 0
    further: int = 0
    controls: int = 0
    sets: int = 0

    def of(self, *states: State) -> list[Asked]:
        """The questions in these states, each once, in the order in which they are asked."""
        return [asked for asked in self.asked.values() if asked.state in states]


class _Pending:
    """In the place of a Measurement that is not filed: whatever is computed from it stops the claim."""

    def _stop(self, *_: object) -> Any:
        raise NoEvidence("not measured yet")

    __getattr__ = __getitem__ = __len__ = __iter__ = __bool__ = _stop


class Planner:
    """A plugin of pytest that asks every selected claim in place of running it."""

    def __init__(self, register: Register) -> None:
        self.plan = Plan()
        self.elsewhere: dict[str, int] = {}
        for id_, judgement in register.latest.items():
            name = id_.partition("[")[0]
            self.elsewhere[name] = max(self.elsewhere.get(name, 0), len(judgement.evidence))
        self.problems: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keeps why a claim file cannot be read."""
        if report.failed:
            self.problems.append(f"{report.nodeid}: {str(report.longrepr).splitlines()[-1]}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Asks the claims, once all are collected."""
        for item in session.items if not self.problems else ():
            if CLAIM in item.stash:
                arguments = dict(item.callspec.params) if hasattr(item, "callspec") else {}
                name = f"{topic_of(item)}.{item.stash[CLAIM].name}"
                with seeds_of(id_of(item), item.config.rootpath):
                    self._ask(name, item.stash[CLAIM], arguments, item.config.stash[STORE])
        return True

    def _ask(self, name: str, claim: Claim, arguments: dict[str, Any], store: Store) -> None:
        asked: list[Asked] = []
        ended = _call(claim, arguments, store, asked, gates_open=False)
        own = len({one.name for one in asked})
        if ended != "gated" and "model" in arguments:
            for twin in twins(str(arguments["model"])):
                again = _call(claim, {**arguments, "model": twin}, store, asked, gates_open=True)
                ended = "open" if "open" in (ended, again) else ended
        self.plan.asked |= {one.name: one for one in asked}
        self.plan.claims += 1
        self.plan.measuring += any(one.state in ("missing", "changed") for one in asked)
        if ended == "done" and store.controls:
            self._controls(claim, arguments, store)
        if ended == "open":
            self.plan.open_ended += 1
            self.plan.further += max(0, self.elsewhere.get(name, 0) - own)

    def _controls(self, claim: Claim, arguments: dict[str, Any], store: Store) -> None:
        """Counts the sets of a control run that judging would measure. The store is frozen: none is measured."""
        with using(store):
            found = run_controls(claim, arguments, attempt(claim, arguments), store)
        missing = [control for control in found if control.word == "not measured"]
        self.plan.controls += len(missing)
        self.plan.sets += sum(FEW if control.kind == RANDOM_CIRCUITS else MOST for control in missing)


def _call(claim: Claim, arguments: dict[str, Any], store: Store, asked: list[Asked], gates_open: bool) -> str:
    """Notes what one call asks; "open" where it stopped at what is not measured, "gated" at a gate, else "done"."""
    place = Store(store.root, "measure", evidence_dir=store.evidence_dir)  # asked what it would do, and never to do it
    before = len(asked)

    def note(body: Body, question: Question, reading: Store) -> EvidenceUse:
        try:
            found = plan(question, place)
        except (NoEvidence, IncompleteModel) as error:
            asked.append(Asked(question, "not here", str(error)))
        else:
            if not found.measure:
                asked.append(Asked(question, "filed"))
                return read(found, body, reading)
            asked.append(Asked(question, "changed" if found.change else "missing", found.change))
        return EvidenceUse(question.function, question.model, "", "", cast(Measurement, _Pending()))

    with using(store), judging(claim.chained, gates_open), answered_by(note):
        try:
            claim.function(**arguments)
        except Gated:
            return "gated"
        except (Refuted, Inconclusive, NotPublished):
            return "done"
        except Exception:  # of a claim on filed evidence alone: `pytest` says what is wrong with it
            return "open" if any(one.state != "filed" for one in asked[before:]) else "done"
    return "done"


def planned(root: Path, arguments: Iterable[str]) -> Plan:
    """What the claims selected by these arguments of pytest would measure. Raises NotPlanned."""
    planner = Planner(Register(root / REGISTER, writable=False))
    here = Path.cwd() if Path.cwd().is_relative_to(root) else root  # below the root, paths are relative as for pytest
    with contextlib.chdir(here):
        status = pytest.main([*_QUIETLY, *arguments], plugins=[planner])
    if planner.problems:
        raise NotPlanned("; ".join(planner.problems))
    if not planner.plan.claims:
        said = status == pytest.ExitCode.USAGE_ERROR  # by pytest itself
        raise NotPlanned("" if said else "nothing was selected: `pytest --collect-only -q` lists the claims")
    return planner.plan


# --- in words -----------------------------------------------------------------------------------------------------


def told(found: Plan, root: Path, folder: Path) -> Iterator[str]:
    """The plan in lines: counts, each measurement, sums, what cannot be measured here."""
    filed, missing = len(found.of("filed")), found.of("missing", "changed")
    yield (
        f"{_of(found.claims, 'claim')}: {found.measuring} would measure; {_of(filed, 'evidence file')} "
        f"{'is' if filed == 1 else 'are'} filed, {len(missing)} would be measured"
    )
    rows = [_row(asked, folder, root / "artifacts" / "runs.jsonl") for asked in missing]
    if rows:
        room = max(40, shutil.get_terminal_size((120, 24)).columns - 45)
        yield from _table([("to be measured", "rows", "seconds", "kB", "why"), *(_cells(row, room) for row in rows)])
        yield _sum(rows)
        yield "seconds and kB: the median of the same function's, as logged and filed; forward passes are not known"
    if found.controls:
        exchanged = f"{_of(found.controls, 'part')} exchanged for up to {found.sets} sets"
        yield f"control runs: {exchanged}, each of which costs the claim's evidence again"
    if found.open_ended:
        elsewhere = f": up to {_of(found.further, 'file')} of the model, as elsewhere" if found.further else ""
        yield f"{_of(found.open_ended, 'claim')} may ask for more, once what is missing is there{elsewhere}"
    for why, models in _absent(found.of("not here")).items():
        yield f"not here: {', '.join(models)}: {why}"


@dataclass(frozen=True)
class _Expected:
    name: str
    rows: int | None
    seconds: float | None
    size: float | None
    why: str


def _row(asked: Asked, folder: Path, log: Path) -> _Expected:
    question = asked.question
    alike = list((folder / question.topic).glob(f"{question.function}--*.jsonl"))
    given = sum(len(prompts) for prompts in prompts_in(question.arguments))
    lines = [file.read_bytes().count(b"\n") - 1 for file in alike]
    rows = given or (round(median(lines)) if lines else None)
    size = median(file.stat().st_size for file in alike) / 1000 if alike else None
    took = _seconds(log, question)
    why = f"{asked.why} changed".replace("changed changed", "changed") if asked.why else "nothing is filed"
    return _Expected(f"{question.topic}.{question.text}", rows, median(took) if took else None, size, why)


def _seconds(log: Path, question: Question) -> list[float]:
    """How long the same function took before, on any model, as far as this machine's log of runs knows."""
    found = []
    with contextlib.suppress(OSError):
        for line in log.read_text(encoding="utf-8").split("\n"):
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                entry = json.loads(line)
                same = entry["question"].partition("(")[0] == question.function
                if same and Path(entry["file"]).parent.name == question.topic:
                    found.append(float(entry["seconds"]))
    return found


def _cells(row: _Expected, room: int) -> tuple[str, ...]:
    unknown = "unknown"
    return (
        row.name if len(row.name) <= room else f"{row.name[: room - 1]}…",
        unknown if row.rows is None else str(row.rows),
        unknown if row.seconds is None else f"{row.seconds:.1f}",
        unknown if row.size is None else f"{row.size:.0f}",
        row.why,
    )


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for name, *numbers, why in rows:
        cells = (number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True))
        yield f"  {name:<{widths[0]}}  {'  '.join(cells)}  {why}"


def _sum(rows: list[_Expected]) -> str:
    said = []
    for name, unit in (("rows", "rows"), ("seconds", "seconds"), ("size", "kB")):
        known = [value for row in rows if (value := getattr(row, name)) is not None]
        rest = len(rows) - len(known)
        counted = f"{sum(known):.0f} {unit}" if known else f"{unit} unknown"
        said.append(f"{counted} and {rest} unknown" if known and rest else counted)
    return f"together: {', '.join(said)}"


def _absent(asked: Iterable[Asked]) -> dict[str, list[str]]:
    """What to do about models whose files are not here, and which they are."""
    found: dict[str, list[str]] = {}
    for one in asked:
        fetch = _FETCH.search(one.why)
        models = found.setdefault(f"`{fetch[1]}` brings it" if fetch else one.why, [])
        if one.question.model not in models:
            models.append(one.question.model)
    return found


def _of(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
