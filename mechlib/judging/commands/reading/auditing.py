"""`mechlib audit`: the reviewer's checklist, each item answered by a count, and what fails first."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mechlib.judging.commands.reading.judged import NothingSelected, judged
from mechlib.judging.commands.saying import printed, wrapped
from mechlib.judging.commands.verify import NotJudged
from mechlib.verdicts.register import ANSWERS, DamagedRegister

_NAMES = 15  # signs for the name of an item, where the terminal is wide enough for two columns


def add_command(commands: Any, root: Callable[[], Path]) -> None:
    """The subparser of `mechlib audit`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "audit", help="the reviewer's checklist, counted over the record: causal, held out, seeds, controls, ..."
    )
    parser.add_argument("-k", dest="keyword", metavar="EXPRESSION", help="as `pytest -k` selects claims")
    parser.add_argument("--all", action="store_true", help="name every verdict that lacks something, not the first")
    parser.set_defaults(run=lambda options: run(options, root()))


def run(options: argparse.Namespace, root: Path) -> int:
    """Prints the checklist of the record at `root`; the exit status."""
    return printed(_audited(options, root), (NothingSelected, NotJudged, DamagedRegister))


def _audited(options: argparse.Namespace, root: Path) -> Iterator[str]:
    from mechlib.report.content.record_book import RecordBook
    from mechlib.report.content.summary import claims_of, plural
    from mechlib.report.data.checklist import checklist

    book = RecordBook(judged(root, options.keyword), root)
    width = shutil.get_terminal_size((80, 24)).columns
    answered = [record.id for record in book.records if record.verdict in ANSWERS]
    claims = claims_of(record.id for record in book.records)
    yield from wrapped(
        f"{claims_of(answered):,} of {plural(claims, 'claim')} and {len(answered):,} of "
        f"{len(book.records):,} verdicts have an answer; the others were gated, not run or in error",
        width,
    )
    yield ""
    yield from told(checklist(book), width, None if options.all else 1)


def told(answers: Sequence[Any], width: int, most: int | None = 1) -> Iterator[str]:
    """The checklist in lines of at most `width`: a count for each item, the first that lack it, how to mend that."""
    from mechlib.report.data.checklist import first_to_fail

    indent = _NAMES if width >= 60 else 2
    for answer in answers:
        said = f"{answer.held:,} of {answer.of:,} {answer.of_what} {answer.said}"
        if indent == _NAMES:
            yield from wrapped(said, width, f"{answer.item:<{indent}}", indent)
        else:
            yield answer.item
            yield from wrapped(said, width, " " * indent, indent)
        for record in answer.lacking[:most]:
            yield from wrapped(f"not so: {record.id} ({record.file}:{record.line})", width, " " * indent, indent + 4)
        rest = len(answer.lacking) - len(answer.lacking[:most])
        if rest:
            yield from wrapped(f"and {rest:,} more: {answer.cure}", width, " " * indent, indent + 4)
    worst = first_to_fail(answers)
    yield ""
    said = "nothing is lacking" if worst is None else f"what fails first: {worst.item}, {worst.share:.0%}: {worst.cure}"
    yield from wrapped(said, width)
