"""The page as files: report.html, and beside it topics/ and figures/, in which nothing of an older run stays."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mechlib.report.content.record_book import RecordBook
from mechlib.report.outputs.results import save
from mechlib.report.pages.page import pages

DOWNLOADS = {
    "results.csv": "results.csv",
    "results.json": "results.json",
    "paper.pdf": "the paper as PDF",
    "references.bib": "references.bib",
    "numbers.tex": "numbers.tex",
}


def write_page(
    book: RecordBook,
    out_dir: Path,
    partial: bool = False,
    meta: Mapping[str, Any] | None = None,
    changes: Sequence[str] = (),
) -> None:
    """Writes report.html, topics/*.js and figures/*.svg to `out_dir`. Links downloads that are there by then."""
    root = Path(os.path.relpath(book.root, out_dir)).as_posix()
    there = [(name, said) for name, said in DOWNLOADS.items() if (out_dir / name).is_file()]
    made = pages(book, partial, meta, changes, root, there)
    _fill(out_dir / "topics", made.topics, "*.js")
    _fill(out_dir / "figures", made.figures, "*.svg")
    save(out_dir / "report.html", made.html)


def _fill(folder: Path, files: Mapping[str, str], pattern: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stale in set(folder.glob(pattern)) - {folder / name for name in files}:
        stale.unlink()
    for name, text in files.items():
        save(folder / name, text)
