"""Looking a question up: what is filed for it, and what is to be done, decided once and carried out elsewhere.

    | evidence | weights here      | measure               | frozen  |
    |----------|-------------------|-----------------------|---------|
    | filed    | either            | read                  | read    |
    | none     | yes               | measure, file         | error   |
    | none     | no, one to fetch  | NOT RUN               | NOT RUN |
    | none     | no, a mini        | "mini-0 is incomplete"| error   |

`fresh` measures again and compares, a sample where one is asked for; `replace` measures again and files.
An answer to a question that was edited since (another key, the same readable text) is no answer; measuring takes its
file's place.
"""

from __future__ import annotations

import copy
import functools
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any

from mechlib import checkpoints
from mechlib.evidence import files, prompt_files, sealed
from mechlib.evidence.code_hash import Source, meaning, picks
from mechlib.evidence.question import Question, prompts_in, topic_of
from mechlib.evidence.sealed import DamagedEvidence
from mechlib.evidence.stamp import Stamp, instruments, name_of, pool_of, unsettled
from mechlib.evidence.store import Store
from mechlib.measurement import Measurement

OLDER = "OLDER INSTRUMENTS"
UNCHECKED = "WEIGHTS NOT CHECKED"
UNFILED = "PROMPTS NOT FILED"


class NoEvidence(RuntimeError):
    """Nothing is filed and nothing may be measured. `not_run` where all that is missing is the weights of a model
    that can be fetched."""

    def __init__(self, message: str, not_run: bool = False) -> None:
        super().__init__(message)
        self.not_run = not_run


@dataclass(frozen=True)
class EvidenceUse:
    """One use of evidence.

    function, model  what was asked, of what; `path` the file, relative to the store's folder
    measured   whether the body ran; `seconds` how long that, or reading, took; `reproduced` that it came out as filed
    flags      words of caution; `older` names the instruments that differ from those it was measured with
    change     what made a filed answer obsolete; "" where nothing was replaced
    replaced   the measurement that this one took the place of, where it could still be read
    provenance the first line of the file
    refused    what an instrument said of a twin that it cannot measure; "" where there are values
    picks      what in the function finds the largest of several, each with the reason why it chooses no part
    """

    function: str
    model: str
    path: str
    key: str
    measurement: Measurement = field(repr=False)
    measured: bool = False
    reproduced: bool = False
    seconds: float = 0.0
    flags: tuple[str, ...] = ()
    older: tuple[str, ...] = ()
    change: str = ""
    replaced: Measurement | None = field(default=None, repr=False)
    provenance: dict[str, Any] = field(default_factory=dict, repr=False)
    picks: tuple[tuple[str, str], ...] = ()
    refused: str = ""


@dataclass(frozen=True)
class Body:
    """The function below `@evidence`, and its source as it was when it was made."""

    call: FunctionType
    source: Source

    @functools.cached_property
    def topic(self) -> str:
        """Under which topic this is filed."""
        return topic_of(self.source.file)

    @functools.cached_property
    def meaning(self) -> str:
        """The hash of what the function does."""
        return meaning(self.call, self.source)

    @functools.cached_property
    def picks(self) -> tuple[tuple[str, str], ...]:
        """What in it finds the largest of several, each with the reason why it chooses no part."""
        return picks(self.call, self.source)

    @functools.cached_property
    def stamp(self) -> Stamp:
        """The instruments of today."""
        return instruments(self.call, self.source)

    @functools.cached_property
    def stamped(self) -> str:
        """The name of that stamp."""
        return name_of(self.stamp)


@dataclass(frozen=True)
class Plan:
    """What is to be done about a question: read `path`, or measure and file it there.

    filed       whether `path` is there
    assumed     the question is asked of a mini whose files are missing, and what is filed says which they were
    superseded  files that answer an earlier version of this question: the same to read, another key
    """

    question: Question
    path: Path
    measure: bool
    filed: bool
    assumed: bool = False
    superseded: tuple[Path, ...] = ()

    @property
    def change(self) -> str:
        """What changed since an earlier version was answered: "the function changed"; "" without one."""
        if not self.superseded:
            return ""
        return f"{self.question.difference(files.first_line(self.superseded[0]))} changed"


def plan(question: Question, place: Store) -> Plan:
    """What to do about a question here and now. Raises NoEvidence, IncompleteModel, ValueError for a namesake."""
    place.refuse_namesakes(question)
    if not question.known:
        return _without_weights(question, place)
    path = question.path(place.folder)
    filed = path.is_file()
    of_twin = any(model.twin is not None for model in question.checkpoints.values())
    if filed and not (place.again(question.key, of_twin) and not _absent(question)):
        return Plan(question, path, measure=False, filed=True)
    superseded = _superseded(question, place.folder)
    found = Plan(question, path, measure=True, filed=filed, superseded=superseded)
    if not filed:
        _refuse_to_measure(found, place)
    return found


def _without_weights(question: Question, place: Store) -> Plan:
    """What is filed for a mini whose files are missing: an answer, and a word of caution."""
    for path in _same_name(question, place.folder) if place.mode in ("measure", "frozen") else ():
        assumed = question.assuming(files.first_line(path))
        if assumed.known and assumed.path(place.folder) == path:
            return Plan(assumed, path, measure=False, filed=True, assumed=True)
    for model in question.checkpoints.values():
        checkpoints.require_here(model)
    raise AssertionError("hashes are unknown only where a file is missing")


def _absent(question: Question) -> list[checkpoints.Checkpoint]:
    return [model for model in question.checkpoints.values() if not checkpoints.is_here(model)]


def _same_name(question: Question, folder: Path) -> list[Path]:
    """Files of the same function on the same model."""
    return sorted((folder / question.topic).glob(f"{question.stem}*{sealed.ENDING}"))


def _superseded(question: Question, folder: Path) -> tuple[Path, ...]:
    return tuple(
        path
        for path in _same_name(question, folder)
        if (first := files.first_line(path)).get("question") == question.text
        and first.get("key") != question.key
        and first.get("schema") == sealed.SCHEMA  # one from before the re-keying is left for its owner to look at
    )


def _refuse_to_measure(found: Plan, place: Store) -> None:
    question = found.question
    for model in _absent(question):
        if model.kind in ("hub", "packaged"):
            cure = f"run `mechlib fetch {model.parent}`, then `{question.again}`"
            raise NoEvidence(f"no evidence for {question.name}: {cure}", not_run=True)
        checkpoints.require_here(model)
    if place.mode == "frozen":
        since = f" since {found.change}" if found.change else ""
        raise NoEvidence(f"no evidence for {question.name}{since}: run `{question.again}`")


# --- reading ------------------------------------------------------------------------------------------------------


def read(found: Plan, body: Body, place: Store) -> EvidenceUse:
    """The filed answer. Raises DamagedEvidence where it is none, or answers another question."""
    started = time.perf_counter()
    question, path = found.question, found.path
    first, measurement = load(place, path, question)
    if first["key"] != question.key:
        raise DamagedEvidence(f"{place.shown(path)} is named for another question than it answers: delete it")
    differing = _older(place.folder, first, body, question)
    flags = [UNCHECKED] if found.assumed else []
    flags += [OLDER] if differing else []
    named = question.sets.get(first.get(prompt_files.PROMPTS, ""))
    place.file_members(question.sets.values())
    flags += [UNFILED] if named is not None and not place.file_prompts(named) else []
    source, sets = path.relative_to(place.folder).as_posix(), prompts_in(question.arguments)
    factors = measurement.factors or prompt_files.factors_of(measurement.units, sets)
    return EvidenceUse(
        question.function,
        question.model,
        source,
        question.key,
        attached(measurement, prompts=sets, factors=factors, source=source),
        flags=tuple(flags),
        older=differing,
        provenance=first,
        picks=body.picks,
        refused=first.get(files.REFUSED, ""),
        seconds=time.perf_counter() - started,
    )


def load(place: Store, path: Path, question: Question) -> tuple[dict[str, Any], Measurement]:
    """A file's first line and measurement, with clusters and labels as the question's prompts have them today."""
    try:
        return files.load(path, question.sets)
    except DamagedEvidence as error:
        raise type(error)(str(error).replace(path.name, place.shown(path), 1)) from None


def attached(measurement: Measurement, **known: Any) -> Measurement:
    """A copy that knows its prompts and its source."""
    complete = copy.copy(measurement)  # not dataclasses.replace, which would check all values again
    for name, value in known.items():
        object.__setattr__(complete, name, value)
    return complete


def _older(folder: Path, first: dict[str, Any], body: Body, question: Question) -> tuple[str, ...]:
    """What differs today from how a file was measured: instruments, other than those whose change moved no number, or
    labels that an instrument may have read."""
    labels = ("labels of the prompts",) if first.get("labels", "") != question.labels else ()
    pool = pool_of(question.checkpoints.values())
    return (*unsettled(folder, pool, first["stamp"], body.stamp), *labels)
