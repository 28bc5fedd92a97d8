"""What is written when a run ends: pages for readers, results for machines, REPORT.md for the forge.

All of it is read from one record book. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mechlib.report.content.record_book import RecordBook
from mechlib.report.features.page import write_pages
from mechlib.report.outputs.figure_files import write_figures
from mechlib.report.outputs.markdown import report_md
from mechlib.report.outputs.results import as_csv, as_latex, difference, read_results, save, write_results
from mechlib.report.pages.files import write_page


def write(book: RecordBook, out_dir: Path, partial: bool = False, meta: Mapping[str, Any] | None = None) -> None:
    """Writes report.html with what lies beside it, results.json, results.csv, table.tex and the pages of features to
    `out_dir`, and REPORT.md with its figures.

    A `partial` run leaves REPORT.md and the committed figures alone. `meta` holds what is true of this run
    only (date, device, command): it goes on the page and never into a committed file. What changed since the
    results that still lie in `out_dir` is said on the page, which is written last and
    links what lies beside it. run.html there is the plugin's.
    """
    former = read_results(out_dir / "results.json")
    changes = difference(former, book, whole=not partial) if former is not None else []
    write_results(book, out_dir / "results.json")
    save(out_dir / "results.csv", as_csv(book))
    save(out_dir / "table.tex", as_latex(book))
    write_pages(book.root, out_dir)
    if not partial:
        write_figures(book)
        save(book.root / "REPORT.md", report_md(book))
    write_page(book, out_dir, partial, meta, changes)
