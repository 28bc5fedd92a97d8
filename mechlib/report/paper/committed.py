"""What stands in git of a record, as it should be: REPORT.md and artifacts/record, from evidence and text alone.

And what goes to artifacts/report of the paper: the PDF, macros of its numbers, its references.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from mechlib.report.content.record_book import RecordBook
from mechlib.report.outputs.markdown import RECORD, Pages
from mechlib.report.outputs.published_md import published_md
from mechlib.report.outputs.record_index import PUBLISHED, index_md
from mechlib.report.outputs.results import save
from mechlib.report.paper.macros import numbers_tex
from mechlib.report.paper.printing import NotPrinted, pdf
from mechlib.report.paper.text import Paper, paper

REPORT = Path("REPORT.md")
PDF = "paper.pdf"
CURE = "run `pytest --report`, read it, commit it"


class Committed:
    """The files of one record book. Without a text of its own REPORT.md is the index of the record."""

    def __init__(self, book: RecordBook, text: Path | None = None) -> None:
        self.book, self.text = book, text
        self.pages = Pages(book)

    @cached_property
    def paper(self) -> Paper | None:
        """The paper with all its numbers; None where there is no docs/paper.md."""
        return paper(self.book, self.pages.place, self.text)

    @property
    def report(self) -> str:
        """REPORT.md."""
        made = self.paper
        return made.markdown if made else index_md(self.book, self.pages, f"{RECORD.as_posix()}/")

    @cached_property
    def record(self) -> dict[Path, str]:
        """The pages of artifacts/record, by their path from the root."""
        texts = {"README.md": index_md(self.book, self.pages), **self.pages.texts}
        if self.book.published is not None:
            texts[PUBLISHED] = published_md(self.book.published, self.pages)
        return {RECORD / name: text for name, text in texts.items()}

    @property
    def paths(self) -> list[Path]:
        """All files, from the root."""
        return [REPORT, *self.record]

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the text, a line each: REPORT.md cannot be written until it is mended."""
        return self.paper.problems if self.paper else ()

    def write(self) -> list[str]:
        """Writes all of them; REPORT.md stays as it is where the text is wrong. Returns what is wrong."""
        root = self.book.root
        for stale in _filed(root) - set(self.record):
            (root / stale).unlink()
        for path, text in self.record.items():
            save(root / path, text)
        if not self.problems:
            save(root / REPORT, self.report)
        return list(self.problems)

    def differing(self) -> Iterator[str]:
        """A line for each file that is not what evidence and text say, and for what is wrong with the text."""
        root, problems = self.book.root, self.problems
        yield from problems
        wanted = {**({} if problems else {REPORT: self.report}), **self.record}
        for path, text in wanted.items():
            try:
                filed = (root / path).read_text(encoding="utf-8")
            except FileNotFoundError:
                yield f"{path.as_posix()} is missing: {CURE}"
                continue
            if filed != text:
                lines = zip(filed.split("\n"), text.split("\n"), strict=False)
                first = next((number for number, (is_, should) in enumerate(lines, start=1) if is_ != should), None)
                where = f"from line {first} on" if first else "at its end"
                yield f"{path.as_posix()} is not what the evidence says, {where}: {CURE}"
        yield from (f"{path.as_posix()} is of no topic: delete it" for path in sorted(_filed(root) - set(wanted)))


def report_md(book: RecordBook) -> str:
    """REPORT.md as text: a pure function of records, evidence and docs/paper.md."""
    return Committed(book).report


def _filed(root: Path) -> set[Path]:
    return {path.relative_to(root) for path in (root / RECORD).glob("*.md")}


def write_paper(made: Committed, out_dir: Path) -> list[str]:
    """Writes paper.pdf, numbers.tex and references.bib to `out_dir`, nothing without a text. Returns a line of what was
    made, or of what cannot be."""
    if made.paper is None or made.problems:
        return []
    save(out_dir / "numbers.tex", numbers_tex(made.paper.numbers))
    save(out_dir / "references.bib", made.paper.bib)
    try:
        (out_dir / PDF).write_bytes(pdf(made.paper.markdown, made.book.root))
    except NotPrinted as error:
        (out_dir / PDF).unlink(missing_ok=True)  # an older one would say what the record no longer says
        return [str(error)]
    return [f"paper: {REPORT.as_posix()}, and {PDF} with numbers.tex and references.bib beside the report"]
