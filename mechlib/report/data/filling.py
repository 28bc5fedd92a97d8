"""results.json of a record book: each verdict with all that stands beside it, and the hashes of what it rests on."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any, cast

from mechlib.report.content.record_book import RecordBook
from mechlib.report.data.entries import SCHEMA, ClaimResult, ControlResult, DitheredResult, Results
from mechlib.verdicts.record import Record
from mechlib.verdicts.verdict import Word

_SHA256 = re.compile(rb'"sha256": ?"([0-9a-f]{64})"}\s*$')


def results(book: RecordBook) -> Results:
    """results.json as data."""
    judged = [(record, row.variant) for row in book.rows for record in row.records]
    return Results(SCHEMA, tuple(_result(record, case, book) for record, case in judged))


_OF_RECORD = (
    "id", "topic", "function", "sentence", "model", "verdict", "twin", "source", "ok", "expected", "why", "message",
    "file", "line", "registration", "registration_why", "tried", "reported", "registered",
)  # fmt: skip
_OF_COMPARISON = ("bound", "kind", "p_supported", "p_refuted", "n_to_decide")
_OF_ESTIMATE = ("low", "high", "n", "clusters", "method", "unit", "across", "se")


def _result(record: Record, case: str, book: RecordBook) -> ClaimResult:
    compared, corrected = record.comparison, book.corrected.get(record.id, {})
    estimate = compared.estimate if compared else None
    plain: dict[str, Any] = {
        name: getattr(source, name, None)
        for source, names in ((record, _OF_RECORD), (compared, _OF_COMPARISON), (estimate, _OF_ESTIMATE))
        for name in names
    }
    return ClaimResult(
        **plain,
        estimate=estimate.value if estimate else None,
        quantity=estimate.of if estimate else None,
        bounds=compared.bounds if compared else (),
        remarks=compared.remarks if compared else (),
        holm=cast("Word | None", corrected.get("Holm")),
        benjamini_hochberg=cast("Word | None", corrected.get("BH")),
        case=case,
        flags=tuple(record.flags),
        named=tuple(record.named),
        history=tuple(record.history),
        evidence=tuple(record.evidence),
        control=_control(record),
        controlled_by=record.controlled.by,
        variance=dict(estimate.variance) if estimate else {},
        replication=book.published.word_on(record) if book.published else None,
        dithered=_dithered(record),
        split="confirmation" if record.prompts else "",
        prompts=tuple(record.prompts),
        weights={model.name: model.weights for model in record.models if model.weights},
        evidence_sha256=tuple(_sealed_with(book.evidence.folder / path) for path in record.evidence),
    )


@functools.lru_cache(maxsize=20_000)
def _sealed_with(path: Path) -> str:
    """The hash in the first line of an evidence file; "" where there is none to be read."""
    try:
        with path.open("rb") as file:
            found = _SHA256.search(file.readline())
    except OSError:
        return ""
    return found[1].decode() if found else ""


def _dithered(record: Record) -> DitheredResult | None:
    found = record.dithered
    if found is None:
        return None
    estimate = found.comparison.estimate if found.comparison else None
    numbers = (estimate.value, estimate.low, estimate.high) if estimate else (None, None, None)
    return DitheredResult(found.model, found.word, *numbers)


def _control(record: Record) -> ControlResult | None:
    found = record.controlled
    if not (found.by or found.kind):
        return None
    return ControlResult(found.kind, found.sets, found.on_the_side, found.word)
