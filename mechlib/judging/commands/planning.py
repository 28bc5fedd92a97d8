"""Planning: what claims would measure, found without measuring it. Reads only, and loads no torch.

Each claim is called as in judging, but an evidence function that has no answer filed is noted and not run. What comes
back can be handed on, and nothing can be computed from it: there the claim stops, and is called again without its gates
and figures. What it would ask of heads that are yet to be chosen is not known. How long a measurement takes and how
large it is nobody knows before it ran: both are those of the same function on other models or arguments.
"""

from __future__ import annotations

import ast
import contextlib
import copy
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FunctionType
from typing import Any, Literal, cast

import pytest

from mechlib.checkpoints.checkpoint import IncompleteModel, NotPublished, twin_of, twins
from mechlib.evidence import EvidenceUse, NoEvidence, Store, using
from mechlib.evidence.decorator import answered_by
from mechlib.evidence.lookup import Body, plan, read
from mechlib.evidence.question import Question, prompts_in
from mechlib.evidence.run_log import LOG
from mechlib.figures.show import show
from mechlib.judging.claim import Claim
from mechlib.judging.collection import CLAIM, id_of, topic_of
from mechlib.judging.commands.forecasting import Runs, added
from mechlib.judging.controls.exchanges import FEW, MOST, RANDOM_CIRCUITS
from mechlib.judging.controls.run import run_controls
from mechlib.judging.controls.twins import choosing_on_the_model, dithered_of
from mechlib.judging.judge import attempt
from mechlib.judging.options import STORE
from mechlib.judging.registration.seeds import seeds_of
from mechlib.measurement import Measurement
from mechlib.report.content.replications import stands_in
from mechlib.verdicts.register import REGISTER, Register
from mechlib.verdicts.verdict import Gated, Inconclusive, Refuted, judging, requires

State = Literal["filed", "missing", "changed", "not here"]
_QUIETLY = ("-p", "no:cacheprovider", "-p", "no:terminal", "--frozen")


class NotPlanned(RuntimeError):
    """Nothing was selected, or a claim file cannot be read; without a message where pytest has said why."""


@dataclass(frozen=True)
class Asked:
    """One question that a claim asks, and whether it is answered.

    state  "filed"; "missing"; "changed", an earlier version of it is filed; "not here", the weights are not
    why    what changed, or what to fetch
    topic  of the claim that asked it first
    """

    question: Question
    state: State
    why: str = ""
    topic: str = ""

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
                is filed. `unjudged` claims are not, and may need some
    topics      how many claims each topic has, `sets_of` how many sets, and `seconds_of` what these may take
    """

    asked: dict[str, Asked] = field(default_factory=dict)
    claims: int = 0
    measuring: int = 0
    open_ended: int = 0
    further: int = 0
    controls: int = 0
    unjudged: int = 0
    topics: Counter[str] = field(default_factory=Counter)
    sets_of: Counter[str] = field(default_factory=Counter)
    seconds_of: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def sets(self) -> int:
        """How many sets parts would be exchanged for."""
        return self.sets_of.total()

    def of(self, *states: State) -> list[Asked]:
        """The questions in these states, each once, in the order in which they are asked."""
        return [asked for asked in self.asked.values() if asked.state in states]


class _Pending:
    """In the place of a Measurement that is not filed: whatever is computed from it stops the claim."""

    def _stop(self, *_: object) -> Any:
        raise NoEvidence("not measured yet")

    __getattr__ = __getitem__ = __len__ = __iter__ = __bool__ = _stop


class Planner:
    """A plugin of pytest that asks every selected claim in place of running it.

    runs    the log of runs, for what control runs may take
    models  of which claims are asked; all where none is given
    """

    def __init__(self, register: Register, runs: Runs, models: Sequence[str] = ()) -> None:
        self.plan, self.runs, self.models, self.seen = Plan(), runs, models, 0
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
            arguments = dict(item.callspec.params) if hasattr(item, "callspec") else {}
            self.seen += CLAIM in item.stash
            if CLAIM in item.stash and (not self.models or arguments.get("model") in self.models):
                name = f"{topic_of(item)}.{item.stash[CLAIM].name}"
                with seeds_of(id_of(item), item.config.rootpath):
                    self._ask(name, item.stash[CLAIM], arguments, item.config.stash[STORE])
        return True

    def _ask(self, name: str, claim: Claim, arguments: dict[str, Any], store: Store) -> None:
        asked: list[Asked] = []
        ended = _call(claim, arguments, store, asked, gates_open=False)
        own = len({one.name for one in asked})
        if ended != "gated" and "model" in arguments:
            made = dithered_of(str(arguments["model"]), claim.reported) if store.controls else ""
            made = "" if made and ended == "done" and _left_open(claim, arguments, store) else made
            for twin in twins(str(arguments["model"])):
                again = _call(claim, {**arguments, "model": twin}, store, asked, gates_open=True)
                ended = "open" if "open" in (ended, again) else ended
            if made:
                again = _call(claim, {**arguments, "model": made}, store, asked, gates_open=False)
                ended = "open" if again == "open" else ended
        topic = name.partition(".")[0]
        for one in asked:
            self.plan.asked.setdefault(one.name, replace(one, topic=topic))
        self.plan.claims += 1
        self.plan.topics[topic] += 1
        self.plan.measuring += any(one.state in ("missing", "changed") for one in asked)
        if ended == "done" and store.controls:
            self._controls(topic, claim, arguments, store, asked)
        elif ended != "gated" and store.controls:
            self.plan.unjudged += 1
        if ended == "open":
            self.plan.open_ended += 1
            self.plan.further += max(0, self.elsewhere.get(name, 0) - own)

    def _controls(
        self, topic: str, claim: Claim, arguments: dict[str, Any], store: Store, asked: Sequence[Asked]
    ) -> None:
        """Counts the sets of a control run that judging would measure. The store is frozen: none is measured.

        Each costs what the claim's own evidence cost on confirmation prompts.
        """
        with using(store):
            found = run_controls(claim, arguments, attempt(claim, arguments), store)
        missing = [control for control in found if control.word == "not measured"]
        self.plan.controls += len(missing)
        small = stands_in(str(arguments.get("model", "")))
        sets = sum(MOST if small and control.kind != RANDOM_CIRCUITS else FEW for control in missing)
        self.plan.sets_of[topic] += sets
        own = [one.question for one in asked if not twin_of(one.question.model)]
        confirmed = [one for one in own if any(p.split != "discovery" for p in prompts_in(one.arguments))]
        low, high = added(self.runs.forecast(question, store.root) for question in confirmed)
        self.plan.seconds_of[topic] += sets * (low + high) / 2


def _left_open(claim: Claim, arguments: dict[str, Any], store: Store) -> bool:
    """Whether a claim whose evidence is all filed is neither supported nor refuted by it. The store is frozen."""
    with using(store):
        return attempt(claim, arguments).word not in ("SUPPORTED", "REFUTED")


def _call(claim: Claim, arguments: dict[str, Any], store: Store, asked: list[Asked], gates_open: bool) -> str:
    """Notes what a claim asks; "open" where it stopped at what is not measured, "gated" at a gate, else "done".

    A gate that is not measured may open, so the claim is then called without those that stopped it, one more each time.
    """
    ended = _once(claim, claim.function, arguments, store, asked, gates_open)
    aside = [number for number, line in enumerate(claim.tree.body) if _stands_aside(line)]
    for many in range(1, len(aside) + 1):
        if ended != "open":
            break
        if _once(claim, _without(claim, set(aside[:many])), arguments, store, asked, gates_open=True) != "open":
            break
    return ended


def _stands_aside(line: ast.stmt) -> bool:
    """Whether a statement is a gate or a figure, from which nothing comes back."""
    called = line.value.func if isinstance(line, ast.Expr) and isinstance(line.value, ast.Call) else None
    return isinstance(called, ast.Name) and called.id in (requires.__name__, show.__name__)


def _without(claim: Claim, numbers: set[int]) -> FunctionType:
    """The claim's function without some of its statements."""
    tree = copy.deepcopy(claim.tree)
    tree.decorator_list, tree.body = [], [line for number, line in enumerate(tree.body) if number not in numbers]
    made: dict[str, Any] = {}
    code = compile(ast.Module([tree], []), claim.function.__code__.co_filename, "exec")
    exec(code, claim.function.__globals__, made)
    return cast(FunctionType, made[claim.name])


def _once(
    claim: Claim,
    function: FunctionType,
    arguments: dict[str, Any],
    store: Store,
    asked: list[Asked],
    gates_open: bool,
) -> str:
    """One call of a claim, or of what is left of it."""
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

    with using(store), judging(claim.chained, gates_open), answered_by(choosing_on_the_model(note)):
        try:
            function(**arguments)
        except Gated:
            return "gated"
        except (Refuted, Inconclusive, NotPublished):
            return "done"
        except Exception:  # of a claim on filed evidence alone: `pytest` says what is wrong with it
            return "open" if any(one.state != "filed" for one in asked[before:]) else "done"
    return "done"


def planned(root: Path, arguments: Iterable[str], models: Sequence[str] = ()) -> Plan:
    """What the claims selected by these arguments of pytest would measure, of `models` alone where some are given.

    Raises NotPlanned.
    """
    planner = Planner(Register(root / REGISTER, writable=False), Runs(root / "artifacts" / LOG), models)
    here = Path.cwd() if Path.cwd().is_relative_to(root) else root  # below the root, paths are relative as for pytest
    with contextlib.chdir(here):
        status = pytest.main([*_QUIETLY, *arguments], plugins=[planner])
    if planner.problems:
        raise NotPlanned("; ".join(planner.problems))
    if not planner.plan.claims:
        if planner.seen:
            cure = f"`mechlib plan --model={models[0]}` puts it under claims that name others"
            raise NotPlanned(f"no claim of this selection names {' or '.join(models)}: {cure}")
        said = status == pytest.ExitCode.USAGE_ERROR  # by pytest itself
        raise NotPlanned("" if said else "nothing was selected: `pytest --collect-only -q` lists the claims")
    return planner.plan
