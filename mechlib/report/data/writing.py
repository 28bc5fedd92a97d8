"""Everything that a report writes for machines and for papers, in one folder."""

from __future__ import annotations

from pathlib import Path

from mechlib.report.content.record_book import RecordBook
from mechlib.report.data.citation import bibtex, citation
from mechlib.report.data.crate import CRATE, crate
from mechlib.report.data.entries import pretty, schema
from mechlib.report.data.latex import write_tables
from mechlib.report.data.saving import save


def write_data(book: RecordBook, folder: Path) -> None:
    """Writes the tables for LaTeX, the schema of results.json, and citation.bib where CITATION.cff says how to cite."""
    write_tables(book, folder / "tables")
    save(folder / "results.schema.json", schema())
    cited = citation(book.root)
    if cited is not None:
        save(folder / "citation.bib", bibtex(cited))


def write_crate(book: RecordBook, folder: Path) -> None:
    """Writes the metadata of what lies in the folder by now."""
    save(folder / CRATE, pretty(crate(folder, citation(book.root), book.headline)))
