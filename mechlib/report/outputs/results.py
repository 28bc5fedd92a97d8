"""Verdicts for machines, results.json and results.csv; `python -m mechlib.report.outputs.results` prints the schema."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from mechlib.report.content.record_book import RecordBook
from mechlib.report.data.entries import SCHEMA as SCHEMA
from mechlib.report.data.entries import ClaimResult as ClaimResult
from mechlib.report.data.entries import ControlResult, DitheredResult, pretty
from mechlib.report.data.entries import Results as Results
from mechlib.report.data.entries import schema as schema
from mechlib.report.data.filling import results as results
from mechlib.report.data.former import FormerResults as FormerResults
from mechlib.report.data.former import difference as difference
from mechlib.report.data.former import read_results as read_results
from mechlib.report.data.latex import as_latex as as_latex
from mechlib.report.data.latex import tex as tex
from mechlib.report.data.saving import save as save
from mechlib.verdicts.reported import Reported


def write_results(book: RecordBook, path: Path) -> None:
    """Writes results.json."""
    save(path, pretty(results(book)))


_IN_CSV = tuple(name for name in ClaimResult.__struct_fields__ if name != "bounds")


def as_csv(book: RecordBook) -> str:
    """The entries of results.json as CSV: empty where there is no number, lists joined by "; "."""
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(_IN_CSV)
    for entry in results(book).claims:
        writer.writerow([_for_a_sheet(getattr(entry, name)) for name in _IN_CSV])
    return page.getvalue()


def _for_a_sheet(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula is quoted."""
    if isinstance(value, dict):
        value = tuple(f"{name} {one}" if isinstance(one, str) else f"{name} {one:g}" for name, one in value.items())
    value = "; ".join(value) if isinstance(value, tuple) else value
    if isinstance(value, ControlResult):
        value = f"{value.kind}: {value.on_the_side} of {value.sets}, {value.word}"
    if isinstance(value, DitheredResult):
        shown = "" if value.estimate is None else f"{value.estimate:g} [{value.low:g}, {value.high:g}] "
        value = f"{shown}{value.word}"
    if isinstance(value, Reported):
        value = f"{value.number or 'no number'} ({value.where})"
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


if __name__ == "__main__":
    print(schema(), end="")
