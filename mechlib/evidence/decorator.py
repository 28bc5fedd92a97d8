"""Evidence: what was measured is filed under what was asked, and is read back without measuring.

    @evidence
    def restored(model: str, heads: Heads, prompts: PromptSet) -> Measurement: ...

Calling such a function looks for a file under the key of the question (mechlib.evidence.question) and reads it
(mechlib.evidence.lookup). Only where there is none does the body run, and its result is filed
(mechlib.evidence.measuring, mechlib.evidence.files). How it was measured, the stamp of the instruments
(mechlib.evidence.stamp), is kept beside it: where that differs today, the verdict stands and is flagged.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FunctionType
from typing import Any, ParamSpec

from mechlib.evidence import files
from mechlib.evidence.code_hash import EVIDENCE, EvidenceRefused, check, source_of
from mechlib.evidence.files import InstrumentRefused
from mechlib.evidence.lookup import Body, EvidenceUse
from mechlib.evidence.measuring import answer
from mechlib.evidence.question import Question, accepted, ask, prompts_in, refuse_double_dipping
from mechlib.evidence.scratch import scratch_store
from mechlib.evidence.store import Store
from mechlib.measurement import Measurement
from mechlib.parts.exchange import Exchange, note_arguments, the_exchange
from mechlib.parts.exchange import NoCounterpart as NoCounterpart
from mechlib.parts.graphs import Edge
from mechlib.parts.picks import refuse_picking

P = ParamSpec("P")


def evidence(function: Callable[P, Measurement]) -> Callable[P, Measurement]:
    """Makes a function of plain arguments into evidence: measured once, filed, read ever after.

    Parameters named `model` (or `..._model`) take names of models. Other arguments are None, bool, int, finite
    float, str, Head, Heads, Selection (received as plain Heads), Circuit (without its history), PromptSet, and
    tuples of these. The function returns a Measurement, one value or one small vector for each unit; it comes back
    with `.prompts` and `.source`, its values rounded to six significant digits whether it was measured now or read.

    An instrument that refuses a twin has answered: what it says is filed, and raised as InstrumentRefused ever after.

    Raises EvidenceRefused, naming the cure, for a function whose meaning its source does not show.
    """
    if not isinstance(function, FunctionType):
        raise EvidenceRefused(f"@evidence takes a plain function, not {function!r}: put it directly above `def`")
    source = source_of(function)
    check(function, source)
    signature = inspect.signature(function)
    for parameter in signature.parameters.values():
        if parameter.default is not parameter.empty:
            accepted(parameter.default, f"the default of {parameter.name} in {function.__name__}")
    body = Body(function, source)

    @functools.wraps(function)
    def filed(*args: P.args, **kwargs: P.kwargs) -> Measurement:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        refuse_double_dipping(function.__name__, bound.arguments)
        arguments = {name: accepted(value, f"{name} of {function.__name__}") for name, value in bound.arguments.items()}
        refuse_picking(function.__name__, body.picks, prompts_in(arguments))
        place = current(source.file)
        question = ask(body.topic, function.__name__, body.meaning, arguments, place.models, place.known)
        exchange = None if is_for_choosing(question) else the_exchange()
        if exchange is None or question.key in exchange.skipped:
            return _read(body, question, place)
        arguments = {name: exchange.argument(value, name) for name, value in arguments.items()}
        question = ask(body.topic, function.__name__, body.meaning, arguments, place.models, place.known)
        return exchanged(_read(body, question, place), exchange)

    setattr(filed, EVIDENCE, body)
    return filed


def _read(body: Body, question: Question, place: Store) -> Measurement:
    reading = _answers[-1](body, question, place)
    for collected in _collectors:
        collected.append(reading)
    if reading.refused:
        raise InstrumentRefused(reading.refused)
    if not is_for_choosing(question):
        note_arguments(reading.path, question.arguments)
    return reading.measurement


def is_for_choosing(question: Question) -> bool:
    """Whether it is on discovery prompts alone: what is chosen by it was chosen, whatever is exchanged later."""
    return bool(question.sets) and all(prompts.split == "discovery" for prompts in question.sets.values())


Answer = Callable[[Body, Question, Store], EvidenceUse]
_answers: list[Answer] = [answer]
_stores: list[Store] = []
_collectors: list[list[EvidenceUse]] = []


@contextmanager
def using(chosen: Store) -> Iterator[Store]:
    """Reads and files evidence in this store inside."""
    _stores.append(chosen)
    try:
        yield chosen
    finally:
        _stores.remove(chosen)


@contextmanager
def answered_by(other: Answer) -> Iterator[None]:
    """Asks `other` inside, in place of reading what is filed and measuring what is not."""
    _answers.append(other)
    try:
        yield
    finally:
        _answers.pop()


@contextmanager
def uses() -> Iterator[list[EvidenceUse]]:
    """Every use of evidence inside, in order, those in nested `uses` too."""
    collected: list[EvidenceUse] = []
    _collectors.append(collected)
    try:
        yield collected
    finally:
        # By identity, for two empty lists are equal.
        del _collectors[next(number for number, entry in enumerate(_collectors) if entry is collected)]


@contextmanager
def exploring(folder: str | Path | None = None) -> Iterator[Store]:
    """Measures inside without filing into the record, also where a store is in use; what is filed there is read.

    What is measured goes to `folder`, without one to artifacts/scratch of the repository around the working directory,
    and where there is none to the user's cache. Outside pytest this holds without asking for it.
    """
    with using(scratch_store(Path.cwd(), Path(folder).expanduser().resolve() if folder else None)) as store:
        yield store


def current(file: str | Path) -> Store:
    """The store in use; outside `using`, in a notebook or a script, the scratch of the repository around the file."""
    return _stores[-1] if _stores else _scratch_around(Path(file))


@functools.cache
def _scratch_around(file: Path) -> Store:
    return scratch_store(file)


def read(path: Path) -> Measurement:
    """The measurement in an evidence file, checked by its own hash. Its prompts are not filed, only their digests.

    Raises DamagedEvidence, FileNotFoundError.
    """
    return files.load(path)[1]


def provenance(path: Path) -> dict[str, Any]:
    """The first line of an evidence file, checked by its own hash. Raises DamagedEvidence, FileNotFoundError."""
    return files.load(path)[0]


# --- with parts exchanged: edges go by both of their ends ------------------------------------------------------------


def exchanged(measured: Measurement, exchange: Exchange) -> Measurement:
    """The same columns, those that bear an exchanged name, or an edge from or to it, with the other part's values.

    Raises NoCounterpart where the edge that would stand in an edge's place is not among the columns.
    """
    edges = {column: edge(column, exchange.names) for column in measured.columns if "->" in column}
    moved = {column: other for column, other in edges.items() if other != column}
    for column, other in moved.items():
        if other not in measured.columns:
            raise NoCounterpart(f"there is no {other} to stand in the place of {column}")
    exchange.used.update(moved)
    return measured.exchanged(replace(exchange, names={**exchange.names, **moved}) if moved else exchange)


def edge(name: str, names: Mapping[str, str]) -> str:
    """The edge with its ends exchanged: of {"0.2": "0.1"} "0.2->1.4.k" becomes "0.1->1.4.k"."""
    source, target, port = Edge.parse(name)
    return str(Edge(names.get(source, source), names.get(target, target), port))
