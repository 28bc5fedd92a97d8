"""The records that a command reads: those of the last report where nothing changed since, else judged now."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from _pytest.mark.expression import Expression

from mechlib.judging.commands.suggestions import for_keyword
from mechlib.judging.commands.verify import judge_frozen, read_records
from mechlib.judging.registration.words import registrations
from mechlib.verdicts.record import Record
from mechlib.verdicts.register import REGISTER

RECORDS = Path("artifacts") / "report" / "records.jsonl"


class NothingSelected(ValueError):
    """No claim is asked for."""


def judged(root: Path, keyword: str | None = None) -> list[Record]:
    """The records at `root` that `-k` selects, with the words that git's order gives them.

    Raises NotJudged where claims cannot be judged, NothingSelected for a keyword that fits none or is none.
    """
    records = read_records(root / RECORDS) if _is_newest(root) else _now(root)
    found = selected(records, keyword, root)
    registrations(root, found)
    return found


def selected(records: Sequence[Record], keyword: str | None, root: Path) -> list[Record]:
    """The records whose id fits a `-k` as pytest reads it. Raises NothingSelected."""
    found = [record for record in records if selects(keyword, record.id)]
    if keyword and not found:
        raise NothingSelected(for_keyword(keyword, root))
    return found


def selects(keyword: str | None, claim: str) -> bool:
    """Whether a `-k` selects a claim by its id; None selects all. Raises NothingSelected for what is no expression."""

    def named(word: str, /, **_: object) -> bool:
        return word.lower() in claim.lower()

    try:
        return not keyword or Expression.compile(keyword).evaluate(named)
    except SyntaxError as error:
        raise NothingSelected(f"-k {keyword!r} is no expression: {error}") from None


def _is_newest(root: Path) -> bool:
    """Whether the last report is younger than all claims and the register."""
    path = root / RECORDS
    if not path.is_file():
        return False
    read = [root / REGISTER, *(root / "claims").rglob("*.py")]
    return path.stat().st_mtime >= max((one.stat().st_mtime for one in read if one.is_file()), default=0.0)


def _now(root: Path) -> list[Record]:
    print("judging all claims on filed evidence first, a minute or two; `--report` keeps it", file=sys.stderr)
    return judge_frozen(root)
