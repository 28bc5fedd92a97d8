"""What is written when a run ends: pages for readers, results for machines, the paper and the record for the forge.

All of it is read from one record book. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mechlib.report.content.record_book import RecordBook
from mechlib.report.data.writing import write_crate, write_data
from mechlib.report.features.page import write_pages
from mechlib.report.outputs.figure_files import write_figures
from mechlib.report.outputs.results import as_csv, difference, read_results, save, write_results
from mechlib.report.pages.files import write_page
from mechlib.report.paper.committed import Committed, write_paper


def write(book: RecordBook, out_dir: Path, partial: bool = False, meta: Mapping[str, Any] | None = None) -> list[str]:
    """Writes report.html with what lies beside it, results.json, results.csv, the pages of features, what
    mechlib.report.data makes and the paper to `out_dir`, and REPORT.md, artifacts/record and the committed figures.
    Returns lines to say.

    A `partial` run leaves the paper and what is committed alone. `meta` holds what is true of this run
    only (date, device, command): it goes on the page and never into a committed file. What changed since the
    results that still lie in `out_dir` is said on the page. run.html is the plugin's.
    """
    former = read_results(out_dir / "results.json")
    changes = difference(former, book, whole=not partial) if former is not None else []
    write_results(book, out_dir / "results.json")
    save(out_dir / "results.csv", as_csv(book))
    write_pages(book.root, out_dir)
    said = [] if partial else _write_committed(book, out_dir)
    write_data(book, out_dir)
    write_crate(book, out_dir)  # which the page links, as all that lies there by now
    write_page(book, out_dir, partial, meta, changes)
    write_crate(book, out_dir)  # and which lists the page
    return said


def _write_committed(book: RecordBook, out_dir: Path) -> list[str]:
    """What stands in git, and the paper that is made of it; lines to say."""
    write_figures(book)
    committed = Committed(book)
    problems = committed.write()
    stays = [f"REPORT.md stays as it was, {len(problems)} to mend in its text"] if problems else []
    return [*problems, *stays, *write_paper(committed, out_dir)]
