"""An earlier results.json, and what a run says otherwise."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from mechlib.figures.svg.elements import number
from mechlib.report.content.record_book import RecordBook
from mechlib.report.data.entries import SCHEMA
from mechlib.verdicts.record import Record


class FormerClaim(Struct, frozen=True):
    """What an earlier run says of a claim, in schema 1 and later."""

    id: str
    verdict: str
    twin: str | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    bound: str | None = None


class FormerResults(Struct, frozen=True):
    """An earlier results.json."""

    schema: int
    claims: tuple[FormerClaim, ...]


def read_results(path: Path) -> FormerResults | None:
    """An earlier results.json; None where there is none that can be read."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=FormerResults)
    except (OSError, msgspec.DecodeError):
        return None
    return found if 1 <= found.schema <= SCHEMA else None


def difference(former: FormerResults, book: RecordBook, whole: bool = True) -> list[str]:
    """What a run says otherwise than an earlier results.json: one line a claim whose verdict, bound or number moved.

    Claims that only one of the two judged are listed unless the run is a selection (`whole` false).
    """
    old = {entry.id: entry for entry in former.claims}
    new = {record.id: _former(record) for row in book.rows for record in row.records}
    lines = []
    for name, entry in new.items():
        before = old.get(name)
        if before is None:
            lines += [f"new: {_short(name)} is {entry.verdict}"] if whole else []
        elif changes := _changes(before, entry):
            lines.append(f"{_short(name)}: {'; '.join(changes)}")
    gone = [f"gone: {_short(name)} was {entry.verdict}" for name, entry in old.items() if name not in new]
    return lines + gone if whole else lines


def _former(record: Record) -> FormerClaim:
    if record.comparison is None:
        return FormerClaim(record.id, record.verdict, record.twin)
    estimate = record.comparison.estimate
    numbers = estimate.value, estimate.low, estimate.high
    return FormerClaim(record.id, record.verdict, record.twin, *numbers, record.comparison.bound)


def _changes(before: FormerClaim, after: FormerClaim) -> list[str]:
    changes = []
    for name, said in (("verdict", "verdict"), ("twin", "twins"), ("bound", "bound")):
        if getattr(before, name) != getattr(after, name):
            changes.append(f"{said} {getattr(before, name)} -> {getattr(after, name)}")
    was, now = (f"{number(one.estimate)} [{number(one.low)}, {number(one.high)}]" for one in (before, after))
    if was != now:  # as shown: another number of threads moves the sixteenth digit
        changes.append(f"{was} -> {now}")
    return changes


def _short(name: str) -> str:
    """The claim without its topic: "the_sum_is_what_comes_next[mini-0]"."""
    claim, bracket, case = name.partition("[")
    return claim.rsplit("::", 1)[-1].rsplit(".", 1)[-1].removeprefix("test_") + bracket + case
