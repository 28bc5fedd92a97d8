"""What is written when a run ends: pages for readers, results for machines, REPORT.md for the forge.

All of it is built from the same records, and from the evidence that they name. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mechlib.report.outputs.results import as_csv, as_latex, difference, read_results, save, write_results
from mechlib.report.outputs.terminal import verdict_table
from mechlib.verdicts.record import Record

__all__ = ["difference", "read_results", "verdict_table", "write", "write_results"]


def write(
    records: Sequence[Record],
    root: Path,
    out_dir: Path,
    partial: bool = False,
    meta: dict[str, Any] | None = None,
    evidence_dir: Path | None = None,
) -> None:
    """Writes appendix.html, results.json, results.csv and table.tex to `out_dir`, and REPORT.md with its figures.

    A `partial` run leaves REPORT.md and the committed figures alone. `meta` holds what is true of this run
    only (date, device, command): it goes on the page and never into a committed file. What changed since the
    results that still lie in `out_dir` is said on the page. report.html beside it is the plugin's.
    """
    from mechlib.report.content.evidence_files import Shelf
    from mechlib.report.outputs.appendix import appendix

    shelf = Shelf(evidence_dir or root / "artifacts" / "evidence")
    former = read_results(out_dir / "results.json")
    changes = difference(former, records, whole=not partial) if former is not None else []
    save(out_dir / "appendix.html", appendix(records, root, shelf, partial, meta or {}, changes))
    write_results(records, out_dir / "results.json")
    save(out_dir / "results.csv", as_csv(records))
    save(out_dir / "table.tex", as_latex(records))
    if not partial:
        from mechlib.report.outputs.figure_files import write_figures
        from mechlib.report.outputs.markdown import report_md

        write_figures(records, root, shelf)
        save(root / "REPORT.md", report_md(records, root, shelf))
