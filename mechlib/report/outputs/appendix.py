"""The paper's appendix as one page: every claim with its numbers, controls, figures and provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from mechlib.figures.svg.intervals import axis
from mechlib.report.content.calibration import calibration
from mechlib.report.content.claim_figures import head_maps, null_figures, questions_shown
from mechlib.report.content.claim_rows import ClaimRow, record_anchor, slug
from mechlib.report.content.claim_views import (
    bounds_of,
    claimed_bound,
    distribution_table,
    member_table,
    own_marks,
    scale_of,
    strip_table,
    told_controls,
    twin_marks,
)
from mechlib.report.content.model_cards import held_out_scores
from mechlib.report.content.record_book import RecordBook
from mechlib.report.content.summary import verdict_counts
from mechlib.report.features.page import links
from mechlib.report.outputs.html import environment, stylesheet
from mechlib.verdicts.controlled import UNCONTROLLED
from mechlib.verdicts.record import Record


def appendix(
    book: RecordBook, partial: bool = False, meta: Mapping[str, Any] | None = None, changes: Sequence[str] = ()
) -> str:
    """The page as HTML: self-contained, a pure function of records, evidence and `meta`."""
    topics = [
        {
            "name": topic,
            "anchor": slug(f"topic-{topic}"),
            "introduction": book.introductions[topic],
            "counts": [(word, n) for word, n in verdict_counts([r for row in rows for r in row.records]) if n],
            "claims": list(_claims(book, rows)),
        }
        for topic, rows in book.topics.items()
    ]
    return environment().get_template("appendix.html").render(
        css=Markup(stylesheet()),
        title="Appendix: the record of every claim",
        headline=book.headline,
        counts=book.counts,
        controls=book.controls,
        topics=topics,
        recipes=book.recipes,
        titles=book.titles,
        glances=book.glances,
        failed=book.failures,
        published=book.published,
        unasked=book.unasked,
        cards=book.cards,
        features=links(book.root),
        scores=held_out_scores(book.cards),
        calibration=calibration(book.root),
        partial=partial,
        meta=sorted((str(key).replace("_", " "), _plain(value)) for key, value in (meta or {}).items()),
        changes=list(changes),
        problems=sorted(book.evidence.problems.items()),
    )  # fmt: skip


def _claims(book: RecordBook, rows: Sequence[ClaimRow]) -> Iterator[dict[str, Any]]:
    evidence, drawn = book.evidence, dict[str, str]()
    for row in rows:
        scale = scale_of(row)
        asked = book.figures(row)
        drawn.update((question, row.anchor) for question in questions_shown(row.records, evidence))
        maps, links = head_maps(row, evidence, drawn)
        filed = [(record, one) for record in row.records for one in evidence.of(record)]
        yield {
            "row": row,
            "forest": book.forest(row),
            "bounds": bounds_of(row.records),
            "scale": scale,
            "axis": axis(scale),
            "of": _of(row),
            "claimed": next((claimed_bound(r.comparison) for r in row.records if r.comparison), ""),
            "lines": [_line(record, book.corrected.get(record.id, {})) for record in row.records],
            "notes": list(notes(row)),
            "figures": [*asked, *maps, *null_figures(row, evidence)],
            "links": links,
            "corrected": any(record.id in book.corrected for record in row.records),
            "distributions": distribution_table(row),
            "strips": strip_table(row),
            "further": [record for record in row.records if record.gates or record.others],
            "members": member_table(row),
            "filed": filed,
            "versions": sorted({one.versions for _, one in filed} - {""}),
            "unreadable": sorted({path for r in row.records for path in r.evidence if path in evidence.problems}),
        }


def _line(record: Record, corrected: Mapping[str, str]) -> dict[str, Any]:
    own = record.comparison.word if record.comparison else None
    differing = [f"{name}: {word}" for name, word in corrected.items() if word != own]
    return {
        "record": record,
        "anchor": record_anchor(record),
        "marks": [*own_marks(record), *twin_marks(record)],
        "corrected": ", ".join(differing),
    }


def _of(row: ClaimRow) -> str:
    """What the axis shows: the quantity and its method, from the first comparison that there is."""
    for record in row.records:
        if record.comparison is not None:
            estimate = record.comparison.estimate
            what = estimate.of or "value"
            return f"{what}, generalised over {estimate.across}; interval: {estimate.method}"
    return ""


def notes(row: ClaimRow) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """(models, [(kind, text)]) of what must stand in sight beside a claim: marks, cautions, changes of the question."""
    said: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for record in row.records:
        found = []
        if record.expected:
            kind = "as marked" if record.verdict == record.expected else "not as marked"
            found.append((kind, f"{record.expected}: {record.why}"))
        elif not record.ok:
            found.append(("not accounted for", f"came out {record.verdict} without being marked so"))
        if record.verdict in ("GATED", "NOT RUN", "ERROR", "VOID"):
            found.append((record.verdict, record.message))
        elif record.comparison and record.comparison.remarks:
            found.append(("", "; ".join(record.comparison.remarks)))
        if record.uncontrolled:
            found.append((UNCONTROLLED, record.controlled.why))
        found += [("control", control.message) for control in told_controls(record)]
        found += [("flag", flag) for flag in record.flags if flag != UNCONTROLLED]
        if record.registration not in ("", "CLAIM FIRST", "ORDER UNKNOWN"):
            found.append((record.registration, record.registration_why))
        if record.tried:
            found.append(("other draws", record.tried))
        found += [("named", line) for line in record.named]
        found += [("changed", line) for line in dict.fromkeys(record.history)]
        if found:
            said.setdefault(tuple(found), []).append(record.model)
    yield from ((", ".join(models), list(found)) for found, models in said.items())


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {entry}" for key, entry in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
