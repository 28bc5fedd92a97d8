"""What goes to artifacts/report of the paper: the PDF, macros of its numbers, its references."""

from __future__ import annotations

from pathlib import Path

from mechlib.report.outputs.results import save
from mechlib.report.paper.committed import REPORT, Committed
from mechlib.report.paper.macros import numbers_tex
from mechlib.report.paper.printing import NotPrinted, pdf

PDF = "paper.pdf"


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
