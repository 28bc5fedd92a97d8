"""A verdict by its id, as a text relies on it: what is gone, renamed or otherwise now is said in one line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from mechlib.report.content.calibration import calibration
from mechlib.report.content.claim_rows import claim_rows
from mechlib.report.content.claim_views import Numbers, numbers
from mechlib.report.content.record_book import RecordBook
from mechlib.verdicts.controlled import UNCONTROLLED
from mechlib.verdicts.record import WORDS, Record

# What stands right behind a number that must not be cited as if nothing were to be said of it.
MARKS: dict[str, tuple[str, str]] = {
    UNCONTROLLED: ("†", "UNCONTROLLED: supported, and nothing that could have failed stands beside it"),
    "EXPLORATORY": ("‡", "EXPLORATORY: measured before it was registered"),
    "EVIDENCE FIRST": ("‡", "measured before it was committed"),
    "TOGETHER": ("‡", "committed with its evidence"),
    "REGISTERED, PROMPTS SEEN": (
        "§",
        "PROMPTS SEEN: registered before its own evidence, after another claim had shown some of its prompts",
    ),
    "AMENDED": ("¶", "AMENDED: registered, and its measurement was mended since"),
}


NBSP = "\u00a0"


class CannotCite(ValueError):
    """What a text asks of the record and does not get; the message is one line."""


class Lookup:
    """The records of a book by id, and where each is told in full."""

    def __init__(self, book: RecordBook) -> None:
        self.records = {record.id: record for record in book.records}
        self._anchors = {record.id: row.anchor for row in claim_rows(book.records) for record in row.records}

    def anchor(self, record: Record) -> str:
        """The link to a record's claim on the pages of artifacts/record."""
        return self._anchors[record.id]

    def record(self, claim: str, word: str) -> Record:
        """The record of `claim`, a whole id, whose verdict is `word`. Raises CannotCite."""
        known_word(word)
        found = self.records.get(claim)
        if found is None:
            raise CannotCite(f"{claim} is no claim of the record{self._near(claim, list(self.records))}")
        if found.verdict != word:
            raise CannotCite(f"{claim} is {found.verdict} now, and the text relies on {word}: {found.message}")
        return found

    def numbers(self, claim: str, word: str) -> tuple[Record, Numbers]:
        """The record, and its numbers as the report writes them. Raises CannotCite where there is none."""
        found = self.record(claim, word)
        if found.comparison is None:
            raise CannotCite(f"{claim} is {word} and has no number: {found.message or 'nothing was compared'}")
        return found, numbers(found.comparison)

    def of(self, function: str, models: str = "*") -> list[Record]:
        """All records of one claim, `topic.test_name`, on models that a pattern names, or several with blanks between.

        `topic.test_name[*-first]` takes those cases alone; * stands for any text. Raises CannotCite where none is so.
        """
        cases = "[" in function
        pattern = re.compile(".*".join(map(re.escape, function.split("*"))))
        found = [
            record
            for record in self.records.values()
            if (pattern.fullmatch(record.id) if cases else f"{record.topic}.{record.function}" == function)
        ]
        if not found:
            names = dict.fromkeys(f"{record.topic}.{record.function}" for record in self.records.values())
            near = self._near(function.partition("[")[0], list(names))
            raise CannotCite(f"{function} is no claim of the record{near}")
        chosen = [r for r in found if any(fnmatchcase(r.model, one) for one in models.split())]
        if not chosen:
            asked = ", ".join(dict.fromkeys(record.model for record in found))
            raise CannotCite(f"{function} is asked of no model {models}: of {asked}")
        return chosen

    @staticmethod
    def _near(name: str, names: Sequence[str]) -> str:
        near = get_close_matches(name, names, n=2, cutoff=0.6)
        return f": is it {' or '.join(near)}?" if near else ""


def together(numbers: str) -> str:
    """Numbers that no line's end comes between."""
    return numbers.replace(" ", NBSP)


def known_word(word: str) -> None:
    """Raises CannotCite unless a claim can end with the word."""
    if word not in WORDS:
        raise CannotCite(f"{word!r} is no verdict: {', '.join(WORDS)}")


def marks(record: Record) -> str:
    """The signs that belong behind a record's number; "" for most."""
    said = [UNCONTROLLED] * record.uncontrolled + [record.registration]
    return "".join(MARKS[word][0] for word in said if word in MARKS)


def simulated(root: Path, what: str, name: str) -> str:
    """A number of artifacts/calibration.json, as `Citing.calibration` names it. Raises CannotCite."""
    filed = calibration(root)
    if filed is None or filed.problem:
        raise CannotCite(filed.problem if filed else "artifacts/calibration.json is missing: run `make calibrate`")
    if filed.stale:
        raise CannotCite("the statistics are others now than those that were simulated: run `make calibrate`")
    if what in ("worlds", "cells", "outside"):
        n = {"worlds": filed.worlds, "cells": len(filed.cells), "outside": filed.outside}[what]
        return f"{n:,}"
    if what == "below":
        covered = [float(cell["coverage"].split()[0]) for cell in filed.cells if cell["coverage"] != "–"]
        return str(sum(percent < float(name) for percent in covered))
    keys = {"coverage": "coverage", "false at least": "at_least", "false at most": "at_most"}
    rows, key = (filed.power, what) if what == "supported" else (filed.cells, keys.get(what, ""))
    if not key:
        raise CannotCite(
            f"{what!r} is nothing that is simulated: worlds, cells, outside, below, supported, {', '.join(keys)}"
        )
    found = [row for row in rows if name in (row["name"], f"{row['branch']}: {row['name']}")]
    if len(found) != 1:
        have = [f"{row['branch']}: {row['name']}" for row in found or rows]
        many = f"{len(found)} cells are called" if found else "nothing was simulated of"
        raise CannotCite(f"{many} {name!r}; there are {'; '.join(have)}")
    return found[0][key]
