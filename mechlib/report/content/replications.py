"""Outcomes of the replication audit: what became of a published sentence that was asked of one model.

A supported claim is a replication where something controls it. A refuted one contradicts the paper only where the same
code is known to find what it looks for: on a model in which the sentence holds, and elsewhere in the model at hand.
What was measured before it was registered is neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from mechlib.checkpoints.resolve import kind_of
from mechlib.verdicts.controlled import UNCONTROLLED
from mechlib.verdicts.controls import ControlWord
from mechlib.verdicts.record import Record
from mechlib.verdicts.reported import Replication

Stage = Literal["not run", "gated", "refused", "void", "open", "refuted", "uncontrolled", "supported"]
# How far a claim came on a model, from the first that ends it; each claim ends in one of them.
STAGES: tuple[Stage, ...] = get_args(Stage)
STAGE_NAMES: dict[Stage, str] = {
    "not run": "not run",
    "gated": "gated: the model was not shown to do the task",
    "refused": "refused by an instrument",
    "void": "void: a twin or other parts hold it too",
    "open": "left open by its interval",
    "refuted": "refuted",
    "uncontrolled": "supported, uncontrolled",
    "supported": "supported and controlled",
}
_ENDS: dict[str, Stage] = {
    "NOT RUN": "not run", "GATED": "gated", "ERROR": "refused", "VOID": "void", "INCONCLUSIVE": "open",
    "REFUTED": "refuted", "SUPPORTED": "supported",
}  # fmt: skip
EXPLORATORY = "EXPLORATORY"  # by the order of commits (mechlib.judging.registration.words)
_CAUTIONS = (EXPLORATORY, "AMENDED", "REGISTERED, PROMPTS SEEN")
_UNKNOWN: tuple[ControlWord, ...] = ("not measured", "error", "no set")


@dataclass(frozen=True)
class Cell:
    """One sentence on one model: an outcome and why, how far it came, and the records behind it.

    A sentence that several claims ask has the outcome in which all of them end, else UNDECIDED.
    """

    word: Replication
    why: str
    stage: Stage | None = None
    records: tuple[Record, ...] = ()

    @property
    def answered(self) -> Record | None:
        """The record whose numbers speak for the cell: the first that reached any."""
        return next((record for record in self.records if record.comparison), None)

    @property
    def cautions(self) -> list[str]:
        """What the order of commits says against it, and whether something of it changed after evidence was seen."""
        said = [one.registration.lower() for one in self.records if one.registration in _CAUTIONS]
        return list(dict.fromkeys([*said, *("changed" for one in self.records if one.history)]))


def stage(record: Record) -> Stage:
    """Where a claim ended."""
    return "uncontrolled" if record.uncontrolled else _ENDS[record.verdict]


def outcome(record: Record, holm: str, same_code: Sequence[Record]) -> tuple[Replication, str]:
    """The outcome of one claim on one model, and why it is no other.

    holm       the word that Holm's correction over the model's table leaves; "" where nothing was compared
    same_code  the records of the same function on every model, the small and the planted ones among them
    """
    if record.verdict == "NOT RUN":
        return "NOT RUN", record.message
    if record.verdict not in ("SUPPORTED", "REFUTED"):
        return "UNDECIDED", {
            "GATED": f"gated: {record.message}",
            "ERROR": f"refused: {record.message}",
            "VOID": "void: it holds on a twin or of other parts as well",
            "INCONCLUSIVE": "the interval straddles the bound",
        }[record.verdict]
    if not record.registered or record.registration == EXPLORATORY:
        why = record.registration_why if record.registration == EXPLORATORY else "no line of the register says it"
        return "UNDECIDED", f"{record.verdict}, but {EXPLORATORY}: {why}"
    if record.uncontrolled:
        return "UNDECIDED", f"{UNCONTROLLED}: {record.controlled.why}"
    if holm != record.verdict:
        return "UNDECIDED", f"{record.verdict} alone, not after Holm's correction over the table"
    if record.verdict == "SUPPORTED":
        return "REPLICATED", ""
    if not (supporting := _supported_where_it_stands(same_code)):
        return "UNDECIDED", "refuted, but on no small or planted model does the same code support it"
    elsewhere = _exceeded_elsewhere(record, same_code)
    if record.reported is not None and record.reported.exists:
        return _of_some_part(record, supporting, elsewhere)
    if not elsewhere:
        return "UNDECIDED", f"refuted, but {_nothing_seen(record)}"
    return "CONTRADICTED", f"the same code supports it on {supporting}; {elsewhere} the bound here"


def _of_some_part(record: Record, supporting: str, elsewhere: str) -> tuple[Replication, str]:
    """The outcome of "some part does it", refuted of the chosen one: true where another part does."""
    if elsewhere:
        return "UNDECIDED", f"refuted of the chosen part, but {elsewhere} the bound here: the choice missed it"
    if any(control.word in _UNKNOWN for control in record.controls):
        return "UNDECIDED", f"refuted of the chosen part, but {_nothing_seen(record)}"
    if not any(control.sets and control.evidence for control in record.controls):  # `control=` may be another word's
        return "UNDECIDED", "refuted of the chosen part, and no other part was asked in its place"
    return "CONTRADICTED", f"the same code supports it on {supporting}; here {_nothing_seen(record)}"


def cell(records: Sequence[Record], holm: Mapping[str, str], same_code: Mapping[str, Sequence[Record]]) -> Cell:
    """What several claims of one sentence came to on one model; `same_code` by the function's topic and name."""
    ended = [outcome(one, holm.get(one.id, ""), same_code[code_of(one)]) for one in records]
    worst = min((stage(record) for record in records), key=STAGES.index)
    words = dict.fromkeys(word for word, _ in ended)
    whys = "; ".join(dict.fromkeys(why for _, why in ended if why))
    if len(words) == 1:
        return Cell(next(iter(words)), whys, worst, tuple(records))
    apart = f"its claims came out apart ({', '.join(words)})"
    return Cell("UNDECIDED", f"{apart}: {whys}" if whys else apart, worst, tuple(records))


def code_of(record: Record) -> str:
    """The function behind a record, whatever its model and its case."""
    return f"{record.topic}.{record.function}"


def stands_in(model: str) -> bool:
    """Whether a model was made for this record: small or planted, so that what holds in it is known or can be."""
    return not model or kind_of(model) in ("mini", "planted")


def holds(record: Record) -> bool:
    """Whether a claim is supported and controlled."""
    return stage(record) == "supported"


def _supported_where_it_stands(same_code: Sequence[Record]) -> str:
    held = (record.model or "planted models" for record in same_code if stands_in(record.model) and holds(record))
    return next(held, "")


def _exceeded_elsewhere(record: Record, same_code: Sequence[Record]) -> str:
    """What of this model lies on the claimed side for the same code: a part beside it, another in the place of its own,
    a member, another case."""
    for control in record.controls:
        if control.on_the_side and control.evidence:
            exceed = "exceeds" if control.on_the_side == 1 else "exceed"
            return f"{control.on_the_side} of {control.sets} others in the place of {control.part} {exceed}"
        if control.on_the_side and control.word != "error":
            return f"{control.part or f'its {control.kind}'} exceeds"
    members = record.comparison.members if record.comparison else ()
    for member in members:
        if member.word == "SUPPORTED":
            return f"{member.name or 'another member'} exceeds"
    for other in same_code:
        if other.model == record.model and other.id != record.id and holds(other):
            return f"{other.id.partition('[')[2].removesuffix(']')} exceeds"
    return ""


def _nothing_seen(record: Record) -> str:
    """Why nothing is known to exceed the bound elsewhere in the model: it was not asked, or nothing does."""
    unknown = next((control for control in record.controls if control.word in _UNKNOWN), None)
    if unknown is not None:
        return f"what other parts of this model come to is not known: {unknown.message}"
    sets = sum(control.sets for control in record.controls if control.evidence)
    counted = f"none of {sets} others in its place exceeds" if sets else "nothing in this model exceeds"
    return f"{counted} the bound for the same code"
