"""Evidence that is measured and not filed: what a control run reads of parts that no claim names.

What is filed is read; all else is measured and kept in memory while the run lasts, for claims ask alike. What becomes
of it is filed a claim in one piece (mechlib.judging.controls.files).
"""

from __future__ import annotations

import time
from collections import OrderedDict

from mechlib import checkpoints
from mechlib.evidence import files
from mechlib.evidence.lookup import Body, EvidenceUse, NoEvidence, Plan, attached, read
from mechlib.evidence.measuring import measuring_now
from mechlib.evidence.question import Question, prompts_in
from mechlib.evidence.store import Store
from mechlib.measurement import Measurement
from mechlib.parts.blinding import in_plain_sight
from mechlib.parts.exchange import exchanging

KEPT = 500  # measurements in memory, of some hundred kilobytes at most
_kept: OrderedDict[str, Measurement] = OrderedDict()


def unfiled(body: Body, question: Question, place: Store) -> EvidenceUse:
    """The answer to a question, from its file or measured now. Raises NoEvidence where neither can be."""
    place = place.asked_for(question)
    path = question.path(place.folder)
    if question.known and path.is_file():
        return read(Plan(question, path, measure=False, filed=True), body, place)
    started = time.perf_counter()
    measured = _kept.get(question.key) or _measured(body, question, place)
    _kept[question.key] = measured
    _kept.move_to_end(question.key)
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    source = path.relative_to(place.folder).as_posix()
    return EvidenceUse(
        question.function,
        question.model,
        source,
        question.key,
        attached(measured, prompts=prompts_in(question.arguments), source=source),
        measured=True,
        seconds=time.perf_counter() - started,
    )


def _measured(body: Body, question: Question, place: Store) -> Measurement:
    if place.mode == "frozen" or not question.known or not all(map(checkpoints.is_here, question.checkpoints.values())):
        raise NoEvidence(f"no evidence for {question.name} with other parts: run `{question.again}`", not_run=True)
    with measuring_now(question, place), exchanging(None), in_plain_sight():
        measured = body.call(**question.arguments)
    # Rounded as what is filed, so that the same part gives the same number.
    return files.decode(files.encode({}, measured, question.sets.values()), question.name, given=question.sets)[1]
