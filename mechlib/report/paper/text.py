"""docs/paper.md filled in from a record: the Markdown of REPORT.md, what it cites, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mechlib.report.content.record_book import RecordBook
from mechlib.report.paper.citing import Citing, Place
from mechlib.report.paper.counting import Number
from mechlib.report.paper.filling import filled_in
from mechlib.report.paper.looking_up import MARKS
from mechlib.report.paper.references import FILE as BIB
from mechlib.report.paper.references import References

TEXT = Path("docs/paper.md")
LARGEST = 60_000  # bytes of REPORT.md, which a forge shows at once


@dataclass(frozen=True)
class Paper:
    """A text with all its numbers: Markdown, what it cites, and what is wrong with it, one line each."""

    markdown: str
    problems: tuple[str, ...] = ()
    numbers: tuple[Number, ...] = ()
    bib: str = ""


def paper(book: RecordBook, place: Place, text: Path | None = None) -> Paper | None:
    """The paper of a record; None where it has no text. `place` says where the claim of an anchor is told."""
    path = text or book.root / TEXT
    if not path.is_file():
        return None
    name = path.relative_to(book.root).as_posix() if path.is_relative_to(book.root) else path.name
    try:
        source = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return Paper("", (f"{name} is no text in UTF-8",))
    citing = Citing(book, References.read(book.root / BIB), place)
    filled, wrong = filled_in(source, citing.functions, book.models)
    problems = [f"{name}:{line}: {said}" for line, said in wrong]
    problems += [*citing.references.problems, *sorted(citing.references.uncited())]
    markdown = "\n".join([filled.strip(), *_legend(citing), *_references(citing.references)]) + "\n"
    if (size := len(markdown.encode())) > LARGEST:
        problems.append(f"{name}: REPORT.md would have {size:,} bytes, of {LARGEST:,}: shorten it")
    return Paper(markdown, tuple(dict.fromkeys(problems)), tuple(citing.cited), citing.references.bib())


def _legend(citing: Citing) -> list[str]:
    """What the marks behind numbers mean, of those that occur."""
    meant: dict[str, list[str]] = {}
    for sign, why in MARKS.values():
        if sign in citing.marked:
            meant.setdefault(sign, []).append(why)
    said = [f"{sign} {', or '.join(whys)}" for sign, whys in meant.items()]
    return ["", f"*Behind a number:* {'; '.join(said)}."] if said else []


def _references(references: References) -> list[str]:
    return ["", "## References", "", *references.listed()] if references.cited else []
