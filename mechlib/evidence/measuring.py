"""Measuring: run the body of an evidence function, compare with what was filed where that is asked for, and file it.

Whether a second measurement reproduces the first: machines differ in the last digits, and a conclusion does not hang
on them. The tolerance is per value, and a share of the rows for answers of yes and no, which flip where a value lies at
its threshold.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mechlib import checkpoints
from mechlib.checkpoints.checkpoint import filing, twin_of
from mechlib.evidence import files, sealed
from mechlib.evidence.code_hash import EvidenceRefused
from mechlib.evidence.lookup import Body, EvidenceUse, NoEvidence, Plan, load, plan, read
from mechlib.evidence.question import Question
from mechlib.evidence.run_log import last_time, log
from mechlib.evidence.sealed import DamagedEvidence
from mechlib.evidence.stamp import file_stamp, pool_of, witness
from mechlib.evidence.store import Store
from mechlib.measurement import Measurement
from mechlib.parts.blinding import in_plain_sight

NOTHING_CHANGED = "NothingChanged"  # of mechlib.lab.hooks, which evidence does not import
ABSOLUTE, RELATIVE, FLIPPED = 1e-4, 1e-3, 0.01


class NotReproduced(AssertionError):
    """Measured again, the evidence came out otherwise."""


def answer(body: Body, question: Question, place: Store) -> EvidenceUse:
    """The answer to a question. Raises NoEvidence, DamagedEvidence, NotReproduced, IncompleteModel."""
    place = place.asked_for(question)
    found = plan(question, place)
    if not found.measure:
        return read(found, body, place)
    with place.lock(question):
        if found.path.is_file() and not place.again(question.key):
            return read(replace(found, filed=True), body, place)  # measured by the process that we waited for
        return _measure(body, found, place)


_measuring: list[str] = []


@contextmanager
def measuring_now(question: Question, place: Store) -> Iterator[None]:
    """Inside, models are loaded from where their weights were hashed, and compute in float32."""
    before = os.environ.get("MECHLIB_ROOT")
    os.environ["MECHLIB_ROOT"] = str(place.models)
    _measuring.append(question.name)
    try:
        with filing():
            yield
    finally:
        _measuring.pop()
        os.environ.pop("MECHLIB_ROOT", None)
        if before is not None:
            os.environ["MECHLIB_ROOT"] = before


def _measure(body: Body, found: Plan, place: Store) -> EvidenceUse:
    question, path = found.question, found.path
    if _measuring:
        raise EvidenceRefused(f"{_measuring[-1]} asks for other evidence, {question.name}: ask in the claim instead")
    comparing = place.mode == "fresh" and path.is_file()
    if not comparing:  # which need not file
        with _filing(question, place, path, "was not measured"):
            sealed.refuse_unwritable(path.parent)
    place.announce()
    change = f"--{place.mode}" if path.is_file() else found.change
    place.say(f"measuring {question.name}: {change or 'no evidence is filed'}{last_time(place, question)}")
    stamp = body.stamp  # before measuring, in which time an instrument may be edited
    started = time.perf_counter()
    with measuring_now(question, place), in_plain_sight():
        measured = _answered(body, question)
    seconds = time.perf_counter() - started
    if not isinstance(measured, (Measurement, files.Refusal)):
        kind = type(measured).__name__
        raise TypeError(f"{question.name} returned a {kind}: return a Measurement, one value a unit and never a mean")
    old = _old(path, found)
    verb = "filed"
    if comparing:
        measured = _reproduced(question, place, path, measured)
        change, old, verb = "", None, "reproduced"
        pool, before = pool_of(question.checkpoints.values()), files.first_line(path).get("stamp", "")
        witness(place.folder, pool, path.relative_to(place.folder).as_posix(), before, stamp)
    with _filing(question, place, path, "was measured and is lost"):
        said = provenance(question, file_stamp(place.folder, stamp))
        if isinstance(measured, files.Refusal):
            data = files.encode_refusal(said, measured)
        else:
            data = files.encode(said, measured, question.sets.values())
        if not path.is_file() or path.read_bytes() != data:
            sealed.write(path, data)
        for obsolete in found.superseded:
            obsolete.unlink(missing_ok=True)
    place.settle(question.key)
    log(place, question, seconds, path)
    place.say(f"{verb} {place.shown(path)} after {seconds:.1f} s")
    use = read(replace(found, filed=True), body, place)
    return replace(use, measured=True, reproduced=comparing, seconds=seconds, change=change, replaced=old)


def _answered(body: Body, question: Question) -> Any:
    """What the body returns; of a twin also what an instrument refuses, for that is an answer: it cannot be asked."""
    try:
        return body.call(**question.arguments)
    except Exception as error:
        if twin_of(question.model) is None or not _is_refusal(error):
            raise
        return files.Refusal(str(error), type(error).__name__)


def _is_refusal(error: Exception) -> bool:
    """Whether an instrument said so itself, in a line of its own; a model that is not there whole is none of these."""
    of_models = type(error).__module__.startswith(checkpoints.__name__)
    kind = (isinstance(error, ValueError) and not of_models) or type(error).__name__ == NOTHING_CHANGED
    return kind and raised_by_mechlib(error)


def raised_by_mechlib(error: Exception) -> bool:
    """Whether a `raise` of this package ended in the error, and not what broke inside or outside of it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return Path(last.filename).is_relative_to(Path(__file__).parents[1]) and (last.line or "").startswith("raise ")


@contextmanager
def _filing(question: Question, place: Store, path: Path, so: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NoEvidence(
            f"{place.shown(path.parent)} cannot be written to ({error.strerror or error}): "
            f"{question.name} {so}; make it writable; `pytest --frozen` judges what is filed"
        ) from None


def provenance(question: Question, stamp: str) -> dict[str, Any]:
    """What the first line of a file says of a question, and of how it was measured."""
    said = {"question": question.text, "topic": question.topic, "function": question.function, "model": question.model}
    labels = {"labels": question.labels} if question.labels else {}
    return {**said, "key": question.key, **question.parts, "stamp": stamp, **labels}


def _old(path: Path, found: Plan) -> Measurement | None:
    for candidate in (path, *found.superseded):
        try:
            return files.load(candidate, found.question.sets)[1]
        except (OSError, DamagedEvidence):
            continue
    return None


def _reproduced(
    question: Question, place: Store, path: Path, new: Measurement | files.Refusal
) -> Measurement | files.Refusal:
    """The filed values under today's description, so that no judged number moves; NotReproduced where they differ."""
    first, old = load(place, path, question)
    refusal = files.refusal_in(first)
    if refusal is not None or isinstance(new, files.Refusal):
        return _refused_again(question, refusal, new)
    new = files.decode(files.encode({}, new, question.sets.values()), path.name, given=question.sets)[1]
    if sorted(new.columns) == sorted(old.columns):  # of a ranking two that rounding tells apart may change places
        places = [new.columns.index(name) for name in old.columns]
        new = replace(new, columns=old.columns, values=new.values[:, places])
    found = difference(old, new)
    if found:
        raise NotReproduced(
            f"{question.name} is not reproduced: {found}; `{question.again} --replace` files the new values"
        )
    return replace(new, values=old.values)


def _refused_again(question: Question, old: files.Refusal | None, new: Measurement | files.Refusal) -> files.Refusal:
    """The filed refusal: numbers in what it says may differ in the last digit."""
    was, now = (
        f"refused ({one.raised}: {one.said})" if isinstance(one, files.Refusal) else "measured" for one in (old, new)
    )
    if old is None or not isinstance(new, files.Refusal) or old.raised != new.raised:
        raise NotReproduced(
            f"{question.name} is not reproduced: it was {was}, and is {now}; `{question.again} --replace` files that"
        )
    return old


def difference(old: Measurement, new: Measurement) -> str:
    """How a second measurement differs beyond the tolerance, worst values first; "" where it does not."""
    for name in ("units", "order", "columns", "clusters", "strata", "yes_no"):
        if getattr(old, name) != getattr(new, name):
            return f"its {name} are others than those filed"
    excess = np.abs(new.values - old.values) - (ABSOLUTE + RELATIVE * np.abs(old.values))
    bad = (excess > 0).any(axis=1)
    if not bad.any() or (old.yes_no and bad.mean() <= FLIPPED):
        return ""
    worst = np.argsort(-excess, axis=None)[: min(5, int((excess > 0).sum()))]
    shown = []
    for row, column in zip(*np.unravel_index(worst, excess.shape), strict=True):
        where = f"{old.units[row]} {old.columns[column]}" if len(old.columns) > 1 else old.units[row]
        shown.append(f"{where}: {old.values[row, column]:.6g} -> {new.values[row, column]:.6g}")
    limit = f"at most {FLIPPED:.0%} may flip" if old.yes_no else f"beyond {ABSOLUTE:g} + {RELATIVE:g} |old|"
    return f"{int(bad.sum())} of {len(old)} {old.unit}s differ ({limit}), worst {'; '.join(shown)}"
