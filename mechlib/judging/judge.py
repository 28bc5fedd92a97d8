"""Judging one claim: run it on the model, run it on the twins, and say in one word what came out."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import CodeType
from typing import Any, cast

import pytest

from mechlib.checkpoints.checkpoint import NotPublished, UnknownModel
from mechlib.checkpoints.resolve import kind_of
from mechlib.evidence import EvidenceUse, NoEvidence, uses, using
from mechlib.evidence.decorator import current
from mechlib.evidence.measuring import raised_by_mechlib
from mechlib.figures.show import Shown, collecting_figures, entry
from mechlib.judging.choices import named
from mechlib.judging.claim import Claim
from mechlib.judging.controls.deciding import decide
from mechlib.judging.controls.run import run_controls
from mechlib.judging.controls.twins import judge_dithered, judge_twins
from mechlib.parts.blinding import blinded
from mechlib.parts.heads import DoubleDipping, EmptySelection
from mechlib.statistics import RatioRefused, TooFew
from mechlib.verdicts.controls import Control
from mechlib.verdicts.record import Comparison, ModelRead, Record
from mechlib.verdicts.verdict import Gated, Inconclusive, Outcome, Refuted, Verdict, Void, judging


class NotAsked(Exception):
    """An audited model cannot be asked this: an instrument refused, in one line, what the claim gives it."""


class BrokenModel(Exception):
    """An audited model cannot be loaded, so that no claim can be asked of it."""


# What a network without the learned structure may run into, without that being a fault of the claim.
_SILENT = (RatioRefused, TooFew, EmptySelection)
_FETCHED = ("hub", "packaged")  # kinds of models whose twins cost too much to be measured where they decide nothing
_NO_VERDICT = "no verdict"  # an assert that failed on something else than an estimate


@dataclass
class Attempt:
    """One call of a claim function: the word it ended with, and everything that it compared and read."""

    word: str
    message: str = ""
    asserted: Verdict | None = None
    gates: list[Verdict] = field(default_factory=list)
    others: list[Verdict] = field(default_factory=list)
    read: list[EvidenceUse] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    trace: str = ""
    # Of an ERROR: "refused" by an instrument in a line of its own, "broken" where no model was loaded, "unfiled" where
    # what it reads is not filed and may not be measured.
    why: str = ""


def attempt(claim: Claim, arguments: dict[str, Any], gates_open: bool = False) -> Attempt:
    """Calls the claim once. Everything but Ctrl-C ends in a word; an unforeseen exception in "ERROR"."""
    with judging(claim.chained, gates_open) as judged, uses() as read, collecting_figures() as shown, blinded():
        word, message, trace = _call(claim, arguments)
    asserted = judged.asserted
    why = word if word in ("refused", "broken", "unfiled") else ""
    word = "ERROR" if why else word
    if word in ("SUPPORTED", _NO_VERDICT) and asserted is not None and asserted.word != "SUPPORTED":
        word, message = "ERROR", f"{asserted}: this was {asserted.word}, and something caught it on its way"
    elif word == _NO_VERDICT or (word == "SUPPORTED" and not _asked_by(claim, judged.asked_in)):
        word, message = "ERROR", claim.judged_nothing
    elif word == "SUPPORTED":
        message = str(asserted)
    others = [verdict for verdict in judged.verdicts if verdict is not asserted and verdict not in judged.gates]
    return Attempt(word, message, asserted, list(judged.gates), others, list(read), list(shown), trace, why)


def _call(claim: Claim, arguments: dict[str, Any]) -> tuple[str, str, str]:
    try:
        claim.function(**arguments)
    except Refuted as error:
        return "REFUTED", str(error), ""
    except Void as error:
        return "VOID", str(error), ""
    except Inconclusive as error:
        return "INCONCLUSIVE", str(error), ""
    except Gated as error:
        return "GATED", str(error), ""
    except _SILENT as error:
        return "silent", str(error), ""
    except NoEvidence as error:
        return ("NOT RUN" if error.not_run else "unfiled"), str(error), ""
    except NotPublished as error:
        return "NOT RUN", str(error), ""
    except (pytest.skip.Exception, pytest.fail.Exception, pytest.xfail.Exception) as error:
        return "ERROR", f"something it calls ended the claim with pytest's own {type(error).__name__}: {error}", ""
    except Exception as error:
        if _of_no_estimate(error):
            return _NO_VERDICT, "", ""
        line, trace = _told(error)
        kind = _kind(error, trace)
        return (kind, str(error), "") if kind == "broken" else (kind, line, trace)
    return "SUPPORTED", "", ""


def _kind(error: Exception, trace: str) -> str:
    """ "broken" for a model that cannot be loaded, "refused" for an input that mechlib refuses, else "ERROR"."""
    if type(error).__module__ == UnknownModel.__module__:  # all of what it defines says that a model is not there whole
        return "broken"
    refused = isinstance(error, ValueError) and not isinstance(error, DoubleDipping) and not trace
    return "refused" if refused else "ERROR"


def _of_no_estimate(error: Exception) -> bool:
    """Whether the claim's own assert failed, or could not be decided, on what is no estimate: a float, an array.

    A claim holds one assert and no other way to fail in its own frame by these; a verdict's are mechlib's own.
    """
    outer = error.__traceback__
    in_the_claim = outer is not None and outer.tb_next is not None and outer.tb_next.tb_next is None
    undecided = "truth value of an array" in str(error) or "not supported between instances of" in str(error)
    return in_the_claim and (type(error) is AssertionError or undecided)


def _asked_by(claim: Claim, asked_in: tuple[CodeType, int] | None) -> bool:
    """Whether it was the claim's assert that asked for a verdict's truth, and nothing above it."""
    return asked_in is not None and asked_in[0] is claim.function.__code__ and asked_in[1] >= claim.tree.body[-1].lineno


def _told(error: Exception) -> tuple[str, str]:
    """The line of an error, and its traceback: none for what mechlib refuses itself, in a line with the cure."""
    line = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if raised_by_mechlib(error) and type(error) is not AssertionError:
        return line, ""
    frames = error.__traceback__.tb_next if error.__traceback__ else None  # without the call above
    return f"{type(error).__name__}: {line}", "".join(traceback.format_exception(type(error), error, frames))


def judge(claim: Claim, arguments: dict[str, Any], identity: dict[str, Any], audit: bool = False) -> tuple[Record, str]:
    """The record of a claim on one model with its twins, and the traceback of an ERROR ("" otherwise).

    Twins are called where the model answered: a closed gate, missing weights or an error says nothing that a twin could
    confirm. Of a model that is fetched they are measured where they decide, of a claim that it supports; of another
    they are shown if they are filed.

    In an audit a refused ratio or an empty selection closes the claim as a gate does: there is nothing in this model
    to claim it of. Raises NotAsked and BrokenModel in audits only.
    """
    start = time.perf_counter()
    first = attempt(claim, arguments)
    if audit and first.why in ("refused", "broken"):
        raise (NotAsked if first.why == "refused" else BrokenModel)(first.message)
    if first.word == "silent":
        # A refused ratio or an empty selection is informative on twins only.
        first.word = "GATED" if audit else "ERROR"
    record = _record(claim, first, arguments, identity)
    trace = first.trace
    read_by_twins: list[EvidenceUse] = []
    if first.word in ("SUPPORTED", "REFUTED", "INCONCLUSIVE", "VOID"):
        with _measuring(claim, first.word == "SUPPORTED" or kind_of(record.model) not in _FETCHED):
            read_by_twins, twin_trace = judge_twins(
                record, arguments, lambda twin: attempt(claim, twin, gates_open=True)
            )
        decide(record, _controls(claim, arguments, first, record, audit))
        if not audit:
            read, dithered_trace = judge_dithered(record, arguments, lambda made: attempt(claim, made))
            read_by_twins += read
            twin_trace = twin_trace or dithered_trace
        trace = trace or twin_trace
    _add_what_was_read(record, first.read, read_by_twins)
    record.ok = _is_fine(record)
    record.seconds = round(time.perf_counter() - start, 3)
    return record, trace


@contextmanager
def _measuring(claim: Claim, missing: bool) -> Iterator[None]:
    """Inside, what is not filed is measured only if it is wanted; what is filed is read, or measured again, as ever."""
    place = current(claim.function.__code__.co_filename)
    if missing or place.mode != "measure":
        yield
    else:
        with using(replace(place, mode="frozen")):
            yield


def _controls(
    claim: Claim, arguments: dict[str, Any], first: Attempt, record: Record, audit: bool
) -> tuple[Control, ...]:
    """What the claim names beside its estimate, else what the house exchanges its parts for (R31).

    In an audit no other parts are measured: twenty questions for each would make hours of minutes, and a sentence that
    it refutes is none of the record's.
    """
    named = first.asserted.controls if first.asserted is not None else ()
    asked = record.verdict == "SUPPORTED" or (record.verdict == "REFUTED" and not audit)
    if named or not asked or record.twin == "by kind":
        return named
    place = current(claim.function.__code__.co_filename)
    return run_controls(claim, arguments, first, replace(place, mode="frozen") if audit else place)


def _add_what_was_read(record: Record, own: list[EvidenceUse], by_twins: list[EvidenceUse]) -> None:
    """Files, what was measured of them in this run, and the cautions that go with them."""
    record.twin_evidence = _paths(by_twins)
    record.control_evidence = sorted({control.evidence for control in record.controls if control.evidence})
    of_controls = {flag for control in record.controls for flag in control.flags}
    record.flags = sorted({*record.flags, *_flags(by_twins), *of_controls})
    anew = {control.evidence for control in record.controls if control.reproduced}
    measured = anew | {control.evidence for control in record.controls if control.measured}
    record.measured = sum(reading.measured for reading in [*own, *by_twins]) + len(measured)
    record.reproduced = sum(reading.reproduced for reading in [*own, *by_twins]) + len(anew)


def _record(claim: Claim, first: Attempt, arguments: dict[str, Any], identity: dict[str, Any]) -> Record:
    """What is known before any twin was asked."""
    model = str(arguments.get("model", ""))
    record = Record(
        sentence=claim.sentence,
        source=claim.source,
        details=claim.details,
        code=claim.code,
        model=model,
        reported=claim.reported,
        verdict=cast(Outcome, first.word),  # "silent" was told apart by the caller
        message=first.message,
        comparison=_plain(first.asserted),
        gates=[Comparison.of(verdict.to_dict()) for verdict in first.gates],
        others=[Comparison.of(verdict.to_dict()) for verdict in first.others],
        evidence=_paths(first.read),
        models=_models(first.read),
        flags=_flags(first.read),
        **identity,
    )
    record.named = [*named.words(claim.function, claim.tree, arguments, claim.source), *named.picks(first.read)]
    record.expected, record.why = claim.mark(model, record.id.partition("[")[2].removesuffix("]"))
    filed = {reading.path: reading.measurement for reading in first.read}
    try:
        record.shown = [entry(shown, filed) for shown in first.shown]
    except ValueError as error:
        if first.word not in ("ERROR", "NOT RUN"):
            first.word = record.verdict = "ERROR"
            record.message = str(error)
    return record


def _is_fine(record: Record) -> bool:
    """Whether the exit status may be 0: as claimed, as marked, gated, or not run."""
    if record.verdict in ("NOT RUN",):
        return True
    if record.expected:
        return record.verdict == record.expected
    return record.verdict in ("SUPPORTED", "GATED")


def _plain(verdict: Verdict | None) -> Comparison | None:
    # A verdict is true or raises: its truth is never asked in passing.
    return None if verdict is None else Comparison.of(verdict.to_dict())


def _paths(read: Iterable[EvidenceUse]) -> list[str]:
    return list(dict.fromkeys(reading.path for reading in read))


def _flags(read: Iterable[EvidenceUse]) -> list[str]:
    return sorted({flag for reading in read for flag in reading.flags})


def _models(read: Iterable[EvidenceUse]) -> list[ModelRead]:
    found = {}
    for reading in read:
        if reading.model:
            kept = {name: reading.provenance.get(name) for name in ModelRead.__struct_fields__ if name != "name"}
            found[reading.model] = ModelRead(reading.model, **kept)
    return list(found.values())


def keys(read: Iterable[str]) -> tuple[str, ...]:
    """The eight digits of each evidence file's name, by which the register of bounds knows it."""
    return tuple(sorted({path.rsplit("--", 1)[-1].removesuffix(".jsonl") for path in read}))
