"""Twins: a claim asked again of the same network untrained, and with its weights in random order (R17).

They decide claims of presence. An absence is as true of a network that does nothing: there their values are shown, and
what the claim names `beside=` decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mechlib.checkpoints.checkpoint import twins
from mechlib.checkpoints.resolve import plan_of
from mechlib.evidence import EvidenceUse
from mechlib.verdicts.presence import claims_presence
from mechlib.verdicts.record import Comparison, Record, TwinOutcome

if TYPE_CHECKING:
    from mechlib.judging.judge import Attempt

Asking = Callable[[dict[str, Any]], "Attempt"]  # the claim with these arguments, its gates open


def judge_twins(record: Record, arguments: dict[str, Any], ask: Asking) -> tuple[list[EvidenceUse], str]:
    """Adds the twins' outcomes to the record, lets them decide, and returns what they read, and the trace of an ERROR.

    A claim of planted models needs none: their weights were written down. One that reads a single model under another
    name than `model` is an ERROR, for it cannot be asked again.
    """
    names = [model.name for model in record.models]
    if names and all(plan_of(name.partition("@")[0]) for name in names):
        record.twin = "by kind"
    elif record.model:
        return _ask_both(record, arguments, ask)
    elif len(names) == 1:
        record.verdict = "ERROR"
        record.message = (
            f"{record.function} reads evidence of {names[0]} but takes no `model`, so that it has no twins: "
            "name the parameter `model`"
        )
    return [], ""


def _ask_both(record: Record, arguments: dict[str, Any], ask: Asking) -> tuple[list[EvidenceUse], str]:
    read: list[EvidenceUse] = []
    trace = ""
    for twin in twins(record.model):
        outcome = ask({**arguments, "model": twin})
        if outcome.why == "refused":  # what an instrument cannot ask of such a network: wrong answers only, say
            outcome.word, outcome.trace = "silent", ""
        read += outcome.read
        if record.verdict != "SUPPORTED" and (outcome.word == "NOT RUN" or outcome.why == "unfiled"):
            continue  # it would decide nothing
        trace = trace or outcome.trace
        comparison = None if outcome.asserted is None else Comparison.of(outcome.asserted.to_dict())
        record.twins.append(TwinOutcome(twin, outcome.word, outcome.message, comparison))
    _decide(record)
    return read, trace


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
