"""The page as files: report.html, and beside it topics/ and figures/, in which nothing of an older run stays."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mechlib.report.content.record_book import RecordBook
from mechlib.report.outputs.results import save
from mechlib.report.pages.page import pages

# What a report writes beside the page for readers: (files, what they are).
BESIDE = (
    ("results.csv", "every verdict as a table"),
    ("results.json", "the same with all that it rests on"),
    ("results.schema.json", "what each of its fields says"),
    ("records.jsonl", "the judged claims, from which commands read"),
    ("paper.pdf", "the record as a paper"),
    ("references.bib", "what the paper cites"),
    ("citation.bib", "how to cite the record"),
    ("numbers.tex", "the paper's numbers as commands for LaTeX"),
    ("tables/*.tex", "a table a topic that compiles as it is"),
    ("ro-crate-metadata.json", "what lies here, for archives"),
    ("run.html", "what broke in this run"),
)

Download = tuple[str, list[tuple[str, str]]]  # what they are, and (link, name) of each


def write_page(
    book: RecordBook,
    out_dir: Path,
    partial: bool = False,
    meta: Mapping[str, Any] | None = None,
    changes: Sequence[str] = (),
) -> None:
    """Writes report.html, topics/*.js and figures/*.svg to `out_dir`. Links what lies there by then."""
    root = Path(os.path.relpath(book.root, out_dir)).as_posix()
    made = pages(book, partial, meta, changes, root, downloads(out_dir))
    _fill(out_dir / "topics", made.topics, "*.js")
    _fill(out_dir / "figures", made.figures, "*.svg")
    save(out_dir / "report.html", made.html)


def downloads(folder: Path) -> list[Download]:
    """What can be taken along of what lies in the report's `folder`."""
    found = []
    for pattern, said in BESIDE:
        files = sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file())
        found.append((said, [(name, name) for name in files]))
    return [(said, links) for said, links in found if links]


def _fill(folder: Path, files: Mapping[str, str], pattern: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stale in set(folder.glob(pattern)) - {folder / name for name in files}:
        stale.unlink()
    for name, text in files.items():
        save(folder / name, text)
