"""Measuring a control file: every set of every part in one pass, or two of them anew, to compare."""

from __future__ import annotations

import time
from collections.abc import Sequence

from mechlib.checkpoints.checkpoint import MINIS
from mechlib.checkpoints.resolve import checkpoint
from mechlib.evidence.measuring import ABSOLUTE, RELATIVE
from mechlib.evidence.sealed import write
from mechlib.evidence.stamp import pool_of, witness
from mechlib.evidence.store import Store
from mechlib.judging.controls.asking import row
from mechlib.judging.controls.exchanges import Matched
from mechlib.judging.controls.files import ControlFile, ControlRow, encode, superseded
from mechlib.judging.controls.outcome import on_the_side, word_of
from mechlib.judging.controls.question import ControlQuestion
from mechlib.verdicts.verdict import Bound

ANEW = 2  # sets that --fresh measures again; of circuits, each of which costs a run of the whole graph, one


class NotTheSame(AssertionError):
    """Measured again, a set came out otherwise than it is filed."""


def measured(question: ControlQuestion, bounds: Sequence[Bound], place: Store) -> ControlFile:
    """Every set of every part, filed. On a model that ships a part that 39 sets leave open is asked of 200."""
    sets = sum(len(one.exchanges) for one in question.parts)
    place.announce()
    place.say(
        f"measuring controls of {question.said['claim']}({question.model}): {sets} sets in the place of its parts"
    )
    started, rows = time.perf_counter(), list[ControlRow]()
    for number, one in enumerate(question.parts):
        own = _rows(question, number, one, 0)
        if question.model in MINIS and _is_open(own, bounds):
            own += _rows(question, number, question.more(one), len(own))
        rows += own
    file = ControlFile(question.said, tuple(rows))
    data = encode(file)
    write(question.path, data)
    for obsolete in superseded(question.path, question.said):
        obsolete.unlink(missing_ok=True)
    place.settle(question.key)
    place.say(f"filed {place.shown(question.path)} after {time.perf_counter() - started:.1f} s")
    return file


def _rows(question: ControlQuestion, number: int, one: Matched, begin: int) -> list[ControlRow]:
    return [
        row(question.claim, question.arguments, number, one.part, name, exchange)
        for name, exchange in one.exchanges[begin:]
    ]


def _is_open(rows: Sequence[ControlRow], bounds: Sequence[Bound]) -> bool:
    held = sum(row.value is not None and on_the_side(row.value, bounds) for row in rows)
    return word_of(held, len(rows)) == "weak"


def checked_anew(question: ControlQuestion, file: ControlFile, place: Store) -> tuple[ControlFile, int]:
    """The filed values under today's stamps, where two sets, picked by the claim's key, come out as filed; of circuits
    one.

    Raises NotTheSame where one does not.
    """
    start = int(question.key[:8], 16)
    anew = 1 if any(one.part.kind == "circuit" for one in question.parts) else min(ANEW, len(file.rows))
    for step in range(anew):
        old = file.rows[(start + step * (1 + len(file.rows) // 2)) % len(file.rows)]
        one = question.parts[old.part]
        exchanges = dict(one.exchanges) if old.other in dict(one.exchanges) else dict(question.more(one).exchanges)
        new = row(question.claim, question.arguments, old.part, one.part, old.other, exchanges[old.other])
        if not _alike(old.value, new.value):
            raise NotTheSame(
                f"{question.said['claim']}({question.model}) with {old.other} in the place of {one.part} was "
                f"{old.value}, and is {new.value}: `pytest -k {question.claim.name} --replace` files the new values"
            )
    name, pool = question.path.relative_to(place.folder).as_posix(), pool_of([checkpoint(question.model)])
    for function, stamp in question.stamps.items():
        witness(place.folder, pool, name, str(file.said["stamps"].get(function, "")), stamp)
    today = ControlFile({**file.said, "stamps": question.said["stamps"]}, file.rows)
    if today.said != file.said:
        write(question.path, encode(today))
    place.settle(question.key)
    return today, anew


def _alike(old: float | None, new: float | None) -> bool:
    if old is None or new is None:
        return old is new
    return abs(old - new) <= ABSOLUTE + RELATIVE * abs(old)
