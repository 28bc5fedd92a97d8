"""The control run of one claim: its parts exchanged one at a time, all sets in one pass, filed in one piece (R31)."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mechlib.checkpoints.checkpoint import MINIS, parent
from mechlib.checkpoints.resolve import checkpoint
from mechlib.evidence.lookup import OLDER, NoEvidence
from mechlib.evidence.sealed import DamagedEvidence
from mechlib.evidence.stamp import pool_of, unsettled
from mechlib.evidence.store import Store
from mechlib.judging.claim import Claim
from mechlib.judging.controls.asking import Asked, NothingExchanged, asked
from mechlib.judging.controls.exchanges import Matched, first_sets, graph_of, matched
from mechlib.judging.controls.files import ControlFile, ControlRow, load
from mechlib.judging.controls.measuring import NotTheSame, checked_anew, measured
from mechlib.judging.controls.named import held_against_all, parts_of
from mechlib.judging.controls.outcome import (
    ONE_IN_TWENTY,
    margin,
    on_the_side,
    representative,
    smallest,
    word_of,
)
from mechlib.judging.controls.question import ControlQuestion, control_question, skipped_by
from mechlib.parts.graphs import Graph
from mechlib.report.content.replications import stands_in
from mechlib.verdicts.controls import Control
from mechlib.verdicts.presence import claims_presence
from mechlib.verdicts.verdict import Verdict

if TYPE_CHECKING:
    from mechlib.judging.judge import Attempt

# Units of evidence that is a null itself, and columns that hold the mean of one, or what is beyond it: of one part, or
# of each of several, "beyond direction, mlp 0".
NULLS = {"set of heads", "random circuit", "circuit with exchanged heads"}
NULL_COLUMNS = {"random", "other", "beyond direction", "beyond heads"}


def is_controlled(claim: Claim, word: str, model: str) -> bool:
    """Whether a claim that ended with this word on this model is asked again of other parts.

    A SUPPORTED one is, for they may hold it as well. Of REFUTED ones those are that ask a published sentence of a model
    that was not made for this record: what other parts of it come to tells a contradiction from an instrument that
    finds nothing there (mechlib.report.content.replications).
    """
    if model != parent(model):
        return False
    return word == "SUPPORTED" or (word == "REFUTED" and claim.reported is not None and not stands_in(model))


def run_controls(claim: Claim, arguments: dict[str, Any], first: Attempt, place: Store) -> tuple[Control, ...]:
    """The controls of a claim of presence that `is_controlled`, one for each part that it names; () of any other.

    What is filed is judged. What is not is measured, unless `place` is frozen, and filed.
    """
    verdict, model = first.asserted, str(arguments.get("model", ""))
    if verdict is None or not is_controlled(claim, first.word, model) or not claims_presence(verdict.bounds):
        return ()
    if not model:
        return (Control("no part", message="asked of several models at once: see the claim on each of them"),)
    graph = graph_of(model, place.models)
    if graph is None:
        return (Control("no part", word="no set", message=f"{model} says nowhere how many layers and heads it has"),)
    found = asked(claim, arguments)
    if _holds_a_null(found):
        return (Control("its own null", word="by kind", message="the estimate holds the null of random sets"),)
    parts = parts_of(found.notes, graph, found.sources)
    if not parts:
        return (Control("no part", message="no part named"),)
    skipped = skipped_by(found)
    small = model in MINIS or model.startswith("planted-")
    ways = [
        matched(part, [other for other in parts if other != part], graph, first_sets(part, small), skipped)
        for part in parts
    ]
    askable = tuple(one for one in ways if smallest(len(one.exchanges)) <= ONE_IN_TWENTY)
    compared = _against_every_other(claim, verdict, found, graph)
    controls = [
        _every_other(one) if compared.issuperset(one.part.names) else _no_set(one) for one in ways if one not in askable
    ]
    if askable:
        controls += _judged(control_question(claim, arguments, askable, parts, graph, found, place), verdict, place)
    return tuple(controls)


def _holds_a_null(found: Asked) -> bool:
    units = {use.measurement.unit for use in found.read if use.path in found.sources}
    taken = {name.split(", ")[0] for source, _, names in found.notes.taken if source in found.sources for name in names}
    return bool(units & NULLS or taken & NULL_COLUMNS)


def _against_every_other(claim: Claim, verdict: Verdict, found: Asked, graph: Graph) -> frozenset[str]:
    """What the assert compares, where it is one part with every other of its kind; nothing is left to exchange then."""
    calls = [node.func for node in ast.walk(claim.comparison) if isinstance(node, ast.Call)]
    sources = verdict.estimate.to_dict()["sources"]
    if verdict.kind != "every" or len(sources) != 1 or "difference" not in map(ast.unparse, calls):
        return frozenset()
    return held_against_all(found.notes, sources[0], [member.estimate.name for member in verdict.members], graph)


def _every_other(one: Matched) -> Control:
    said = "the estimate holds it against every other of its kind"
    return Control("every other of its kind", str(one.part), word="by kind", message=said)


def _no_set(one: Matched) -> Control:
    few = len(one.exchanges)
    said = f"no set exists: {few} others of its kind, and 19 is the least that could tell" if few else "no other exists"
    return Control(one.kind, str(one.part), few, word="no set", message=said)


def _judged(question: ControlQuestion, verdict: Verdict, place: Store) -> list[Control]:
    """The controls by what is filed, or measured now."""
    new, anew = False, 0
    try:
        if question.path.is_file() and not (place.mode == "replace" and place.again(question.key)):
            file = load(question.path)
            if file.said["key"] != question.key:
                raise DamagedEvidence(f"{place.shown(question.path)} answers another question: delete it")
            if place.mode == "fresh" and place.again(question.key, controls=True):
                file, anew = checked_anew(question, file, place)
        elif place.mode == "frozen" or not place.controls:
            cure = f"`pytest --controls -k {question.claim.name}` measures it"
            return [_unmeasured(one, "not measured", f"nothing is filed: {cure}") for one in question.parts]
        else:
            file, new = measured(question, verdict.bounds, place), True
    except NoEvidence as error:
        return [_unmeasured(one, "not measured", str(error)) for one in question.parts]
    except Exception as error:  # an instrument that refuses one of the sets, say: nothing is known then
        own = isinstance(error, (NothingExchanged, NotTheSame, DamagedEvidence))
        said = str(error) if own else f"{type(error).__name__}: {error}"
        return [_unmeasured(one, "error" if own else "not measured", said) for one in question.parts]
    name = question.path.relative_to(place.folder).as_posix()
    flags = (OLDER,) if any(_older(file, question, place)) else ()
    return [
        _control(one, file, number, verdict, evidence=name, measured=new, reproduced=anew, flags=flags)
        for number, one in enumerate(question.parts)
    ]


def _older(file: ControlFile, question: ControlQuestion, place: Store) -> Iterator[str]:
    """The functions whose instruments changed since, but for changes that are known to have moved no number."""
    pool, filed = pool_of([checkpoint(question.model)]), file.said["stamps"]
    yield from (
        name
        for name, stamp in question.stamps.items()
        if unsettled(place.folder, pool, str(filed.get(name, "")), stamp)
    )
    yield from filed.keys() - question.stamps.keys()


def _unmeasured(one: Matched, word: Any, message: str) -> Control:
    return Control(one.kind, str(one.part), word=word, message=message)


def _control(one: Matched, file: ControlFile, number: int, verdict: Verdict, **said: Any) -> Control:
    """k of m rows on the claimed side. A set that came to no estimate for want of units is none of the m."""
    rows = [row for row in file.of(number) if not row.why.startswith("no estimate")]
    held = [row for row in rows if row.value is not None and on_the_side(row.value, verdict.bounds)]
    values = tuple(row.value for row in rows if row.value is not None)
    near = _in_layer(rows, one, held)
    own = margin(representative(verdict)[0], verdict.bounds)
    return Control(
        one.kind,
        str(one.part),
        sets=len(rows),
        on_the_side=len(held),
        in_layer=near,
        word=word_of(len(held), len(rows), near),
        values=values,
        rank=1 + sum(margin(value, verdict.bounds) >= own for value in values),
        message=_line(one, len(held), len(rows), near),
        **said,
    )


def _in_layer(rows: Sequence[ControlRow], one: Matched, held: Sequence[ControlRow]) -> tuple[int, int] | None:
    names = {name for name, _ in one.exchanges[: one.in_layer]}
    there = [row for row in rows if row.other in names]
    return (sum(row in held for row in there), len(there)) if there else None


def _line(one: Matched, held: int, sets: int, near: tuple[int, int] | None) -> str:
    said = f"{held} of {sets} in the place of {one.part} are as claimed ({one.kind})"
    return said if near is None else f"{said}, {near[0]} of {near[1]} of its layer"
