"""`mechlib compare`: two records, or two models of this one: what moved, by how much, what only one has."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mechlib.judging.commands.reading.judged import NothingSelected, judged, selects
from mechlib.judging.commands.saying import printed, wrapped
from mechlib.judging.commands.suggestions import nearest
from mechlib.judging.commands.verify import NotJudged
from mechlib.verdicts.register import DamagedRegister

RESULTS = Path("artifacts") / "report" / "results.json"
MOST = 20  # lines of one kind


class NotCompared(ValueError):
    """Two things that have nothing in common, or are not there."""


def add_command(commands: Any, root: Callable[[], Path]) -> None:
    """The subparser of `mechlib compare`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "compare", help="two records, or two models of this one: which verdicts moved, and by how much numbers differ"
    )
    for name in ("first", "second"):
        parser.add_argument(name, metavar="RECORD_OR_MODEL", help="a results.json, a folder of a record, or a model")
    parser.add_argument("-k", dest="keyword", metavar="EXPRESSION", help="as `pytest -k` selects claims")
    parser.add_argument("--all", action="store_true", help=f"every line, where there are more than {MOST} of a kind")
    parser.set_defaults(run=lambda options: run(options, root()))


def run(options: argparse.Namespace, root: Path) -> int:
    """Prints what two have in common and what not; the exit status: 2 where they could not be compared."""
    refusals = (NotCompared, NothingSelected, NotJudged, DamagedRegister, FileNotFoundError, ValueError)
    return printed(_compared(options, root), refusals)


def _compared(options: argparse.Namespace, root: Path) -> Iterator[str]:
    from mechlib.report.data.comparison import compared

    names = options.first, options.second
    paths = [Path(name) for name in names]
    there = [path.exists() for path in paths]
    if all(there):
        sides = [_record(path, options.keyword) for path in paths]
    elif any(there):
        record, model = names if there[0] else names[::-1]
        raise NotCompared(
            f"{record} is a record and {model} is none that is there: name two records, or two models of this one"
        )
    else:
        sides = _models(root, names, options.keyword)
    found = compared(*sides)
    if not found.pairs:
        raise NotCompared(f"{names[0]} and {names[1]} have no claim in common: there is nothing to compare")
    width = shutil.get_terminal_size((80, 24)).columns
    yield from told(found, names, width, None if options.all else MOST)


def _record(path: Path, keyword: str | None) -> Any:
    """A record by its folder, or by a results.json, beside which its evidence may lie."""
    from mechlib.report.content.evidence_files import EvidenceFiles
    from mechlib.report.data.comparison import Side, by_id
    from mechlib.report.data.frames import entries

    results = path / RESULTS if path.is_dir() else path
    evidence = results.parents[1] / "evidence" if len(results.parents) > 1 else Path("evidence")
    kept = [entry for entry in entries(results) if selects(keyword, entry["id"])]
    return Side(str(path), by_id(kept), EvidenceFiles(evidence) if evidence.is_dir() else None)


def _models(root: Path, names: Sequence[str], keyword: str | None) -> list[Any]:
    """Two models of the record at `root`."""
    from mechlib.report.content.record_book import RecordBook
    from mechlib.report.data.comparison import Side, of_model
    from mechlib.report.data.filling import results

    book = RecordBook(judged(root, keyword), root)
    for name in names:
        if name not in book.models:
            near = nearest(name, [model for model in book.models if model])
            cure = (
                f"did you mean {near[0]}?" if near else "name two models of this record, or two records that are there"
            )
            raise NotCompared(f"there is no record and no model {name} here: {cure}")
    entries = msgspec.to_builtins(results(book).claims)
    return [Side(name, of_model(entries, name), book.evidence) for name in names]


# --- in lines -----------------------------------------------------------------------------------------------------


def told(found: Any, names: Sequence[str], width: int, most: int | None = MOST) -> Iterator[str]:
    """Two side by side: verdicts that moved, numbers that differ, what only one has."""
    from mechlib.report.content.summary import claims_of, plural

    moved = [pair for pair in found.pairs if pair.moved]
    apart = [pair for pair in found.pairs if pair.apart and not pair.moved]
    alike = len(found.pairs) - len(moved) - len(apart)
    claims = plural(claims_of(pair.key for pair in found.pairs), "claim")
    said = (
        f"{names[0]} and {names[1]}: {claims} in common, {plural(len(found.pairs), 'verdict')} of each: {len(moved)} "
        f"moved, {len(apart)} are the same word with other numbers, {alike} are not told apart. Differences are the "
        "second less the first, with 95 % intervals, each for itself: of many equal pairs one in twenty is told apart."
    )
    yield from wrapped(said, width)
    yield from _titled("moved:", [_line(pair) for pair in moved], width, most)
    yield from _titled("the same word, other numbers:", [_line(pair) for pair in apart], width, most)
    for name, only in zip(names, (found.only_first, found.only_second), strict=True):
        yield from _titled(f"only in {name}:", list(only), width, most)


def _line(pair: Any) -> str:
    words = [pair.first["verdict"], pair.second["verdict"]]
    said = f"{pair.key}: " + (" -> ".join(words) if pair.moved else words[0])
    if pair.value is None:
        return said
    said += f", {_short(pair.first['estimate'])} -> {_short(pair.second['estimate'])}, difference {_short(pair.value)}"
    if pair.low is not None:
        said += f" [{_short(pair.low)}, {_short(pair.high)}]"
    return f"{said}, {pair.how}"


def _short(number: float) -> str:
    return f"{number:.3g}"


def _titled(title: str, lines: Sequence[str], width: int, most: int | None) -> Iterator[str]:
    if not lines:
        return
    yield ""
    yield from wrapped(f"{title[:-1]} ({len(lines)}):", width)
    for line in lines[:most]:
        yield from wrapped(line, width, "  ", rest=4)
    if most is not None and len(lines) > most:
        yield f"  and {len(lines) - most} more: --all"
