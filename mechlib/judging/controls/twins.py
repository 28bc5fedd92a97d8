"""Twins: a claim asked again of the same network untrained, and with its weights in random order (R17).

They decide claims of presence. An absence is as true of a network that does nothing: there their values are shown, and
what the claim names `beside=` decides.

A primary published sentence is also asked of its quantised model with noise of the file's rounding (R36). That decides
nothing: it is shown whether the number hangs on the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mechlib.checkpoints.checkpoint import DITHERED, parent, twin_of, twins
from mechlib.checkpoints.packaged.table import PACKAGED
from mechlib.checkpoints.resolve import plan_of
from mechlib.evidence import EvidenceUse, NoEvidence
from mechlib.evidence.decorator import Answer, answered_by, is_for_choosing
from mechlib.evidence.lookup import Body
from mechlib.evidence.measuring import answer
from mechlib.evidence.question import Question, ask
from mechlib.evidence.store import Store
from mechlib.verdicts.presence import claims_presence
from mechlib.verdicts.record import NOT_MEASURED, Comparison, Record, TwinOutcome
from mechlib.verdicts.reported import Reported

if TYPE_CHECKING:
    from mechlib.judging.judge import Attempt

Asking = Callable[[dict[str, Any]], "Attempt"]  # the claim with these arguments, its gates open


def judge_twins(record: Record, arguments: dict[str, Any], asking: Asking) -> tuple[list[EvidenceUse], str]:
    """Adds the twins' outcomes to the record, lets them decide, and returns what they read, and the trace of an ERROR.

    A claim of planted models needs none: their weights were written down. One that reads a single model under another
    name than `model` is an ERROR, for it cannot be asked again.
    """
    names = [model.name for model in record.models]
    if names and all(plan_of(name.partition("@")[0]) for name in names):
        record.twin = "by kind"
    elif record.model:
        return _ask_both(record, arguments, asking)
    elif len(names) == 1:
        record.verdict = "ERROR"
        record.message = (
            f"{record.function} reads evidence of {names[0]} but takes no `model`, so that it has no twins: "
            "name the parameter `model`"
        )
    return [], ""


def _ask_both(record: Record, arguments: dict[str, Any], asking: Asking) -> tuple[list[EvidenceUse], str]:
    read: list[EvidenceUse] = []
    trace = ""
    for twin in twins(record.model):
        outcome = asking({**arguments, "model": twin})
        read += outcome.read
        told = _told(twin, outcome)
        if record.verdict != "SUPPORTED" and (outcome.word == "NOT RUN" or outcome.why == "unfiled"):
            continue  # it would decide nothing
        trace = trace or outcome.trace
        record.twins.append(told)
    _decide(record)
    return read, trace


def _told(model: str, outcome: Attempt) -> TwinOutcome:
    if outcome.why == "refused":  # what an instrument cannot ask of such a network: wrong answers only, say
        outcome.word, outcome.trace = "silent", ""
    comparison = None if outcome.asserted is None else Comparison.of(outcome.asserted.to_dict())
    return TwinOutcome(model, outcome.word, outcome.message, comparison)


def _decide(record: Record) -> None:
    words = [twin.word for twin in record.twins]
    if not words:
        return
    failed = [twin for twin in record.twins if twin.word == "ERROR"]
    failed += [twin for twin in record.twins if twin.word == "NOT RUN"]
    if failed:
        record.verdict = "ERROR" if failed[0].word == "ERROR" else "NOT RUN"
        record.message = f"on the twin {failed[0].model}: {failed[0].reason}"
    elif record.comparison is not None and not claims_presence(record.comparison.bounds):
        record.twin = "shown"
    elif "SUPPORTED" in words:
        record.twin = "void"
        if record.verdict == "SUPPORTED":
            record.verdict = "VOID"
            held = next(twin for twin in record.twins if twin.word == "SUPPORTED")
            also = f"but also {held.reason} on {held.model}"
            record.message = f"{record.message}; {also}: the claim does not need what was learned"
    else:
        record.twin = "silent" if "silent" in words else "controlled"


# --- with noise of the file's rounding ------------------------------------------------------------------------------


def dithered_of(model: str, reported: Reported | None) -> str:
    """The name of the dithered model that a claim on `model` is asked of as well; "" where it is asked of none."""
    return f"{model}@{DITHERED}" if reported and reported.primary and model in PACKAGED else ""


def judge_dithered(record: Record, arguments: dict[str, Any], asking: Asking) -> tuple[list[EvidenceUse], str]:
    """Adds what a primary published sentence comes to on its dithered model; what was read, and the trace of an ERROR.

    Its verdict stays, unless asking fails. Nothing is asked of a sentence that ended otherwise than SUPPORTED or
    REFUTED. What is not filed is measured under --controls alone, for it costs what the claim did.
    """
    model = dithered_of(record.model, record.reported)
    if not model or record.verdict not in ("SUPPORTED", "REFUTED"):
        return [], ""
    unfiled: list[NoEvidence] = []
    with answered_by(choosing_on_the_model(_filed_or_under_controls(unfiled))):
        outcome = asking({**arguments, "model": model})
    found = _told(model, outcome)
    if unfiled:
        cure = f"nothing is filed: `pytest --controls -k {record.function}` measures it"
        reason = str(unfiled[0]) if unfiled[0].not_run else cure
        record.dithered = TwinOutcome(model, NOT_MEASURED, reason)
        return outcome.read, ""
    record.dithered = found
    if found.word == "ERROR":
        record.verdict, record.message = "ERROR", f"on {model}: {found.reason}"
    return outcome.read, outcome.trace


def choosing_on_the_model(other: Answer) -> Answer:
    """Answers as `other` does, and of a dithered model with what its parent says on discovery prompts alone.

    Parts that are chosen there stay what they are, for the sentence is about these.
    """

    def kept(body: Body, question: Question, place: Store) -> EvidenceUse:
        if twin_of(question.model) == DITHERED and is_for_choosing(question):
            arguments = {**question.arguments, "model": parent(question.model)}
            question = ask(body.topic, question.function, body.meaning, arguments, place.models, place.known)
        return other(body, question, place)

    return kept


def _filed_or_under_controls(unfiled: list[NoEvidence]) -> Answer:
    """Answers with what is filed; measures under --controls alone, and keeps why it did not."""

    def answered(body: Body, question: Question, place: Store) -> EvidenceUse:
        try:
            if not place.controls and not question.path(place.folder).is_file():
                raise NoEvidence(f"nothing is filed for {question.name}: `pytest --controls` measures it")
            return answer(body, question, place)
        except NoEvidence as error:
            unfiled.append(error)
            raise

    return answered
