"""The paper's appendix as one page: every claim with its numbers, controls, figures and provenance."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from markupsafe import Markup

from mechlib.checkpoints.hub import HUB
from mechlib.figures.svg.intervals import axis
from mechlib.report.content import (
    across_trainings as trainings,
)
from mechlib.report.content import (
    claim_figures as figures,
)
from mechlib.report.content import (
    claim_views as views,
)
from mechlib.report.content import (
    titles as names,
)
from mechlib.report.content.claim_rows import (
    ClaimRow,
    by_topic,
    claim_rows,
    counted,
    glances,
    headline,
    models_of,
    record_anchor,
    slug,
    titles,
)
from mechlib.report.content.evidence_files import Shelf
from mechlib.report.outputs.html import environment, stylesheet
from mechlib.statistics import multiplicity
from mechlib.verdicts.record import ModelRead, Record

FAILED = ("REFUTED", "INCONCLUSIVE", "VOID", "ERROR")


def appendix(
    records: Sequence[Record],
    root: Path,
    shelf: Shelf,
    partial: bool = False,
    meta: dict[str, Any] | None = None,
    changes: Sequence[str] = (),
) -> str:
    """The page as HTML: self-contained, a pure function of records, evidence and `meta`."""
    corrected = adjusted(records)
    topics = [
        {
            "name": topic,
            "anchor": slug(f"topic-{topic}"),
            "about": names.about(root, rows[0].first.file),
            "counts": [(word, n) for word, n in counted([r for row in rows for r in row.records]) if n],
            "claims": list(_claims(rows, shelf, corrected)),
        }
        for topic, rows in by_topic(records).items()
    ]
    judged = [(row, record) for row in claim_rows(records) for record in row.records]
    return environment().get_template("appendix.html").render(
        css=Markup(stylesheet()),
        title="Appendix: the record of every claim",
        headline=headline(records),
        counts=counted(records),
        topics=topics,
        recipes=trainings.recipes(records),
        titles=titles(records, root),
        glances=glances(records),
        failed=failures(claim_rows(records)),
        unasked=unasked(judged),
        cards=model_rows(records, root),
        scores=score_rows(records, root),
        partial=partial,
        meta=sorted((str(key).replace("_", " "), _plain(value)) for key, value in (meta or {}).items()),
        changes=list(changes),
        problems=sorted(shelf.problems.items()),
    )  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """One claim and word of FAILED: the records that came out so, and the reasons of their marks by model."""

    row: ClaimRow
    word: str
    records: tuple[Record, ...]

    @property
    def reasons(self) -> list[tuple[str, str]]:
        """(models, reason), each reason once; no models where it is that of all."""
        found: dict[str, list[str]] = {}
        for record in self.records:
            if record.expected and record.why:
                found.setdefault(record.why, []).append(record.model)
        return [("" if len(m) == len(self.records) else ", ".join(m), why) for why, m in found.items()]


def failures(rows: Sequence[ClaimRow]) -> list[Failure]:
    """What did not come out as claimed, word by word in the order of FAILED, one entry a claim."""
    return [
        Failure(row, word, tuple(record for record in row.records if record.verdict == word))
        for word in FAILED
        for row in rows
        if row.counts[word]
    ]


def unasked(judged: Sequence[tuple[ClaimRow, Record]]) -> list[tuple[list[Record], list[tuple[ClaimRow, Record]]]]:
    """What was gated or not run: (one record for each model and reason, the claims that they have in common)."""
    groups: dict[tuple[str, str, str], list[tuple[ClaimRow, Record]]] = {}
    for word in ("GATED", "NOT RUN"):
        for row, record in judged:
            if record.verdict == word:
                groups.setdefault((word, record.model, record.message), []).append((row, record))
    together: dict[tuple[str, ...], tuple[list[Record], list[tuple[ClaimRow, Record]]]] = {}
    for (word, *_), members in groups.items():
        records, _ = together.setdefault((word, *(row.anchor for row, _ in members)), ([], members))
        records.append(members[0][1])
    return list(together.values())


def _claims(rows: Sequence[ClaimRow], shelf: Shelf, corrected: dict[str, dict[str, str]]) -> Any:
    drawn: dict[str, str] = {}
    for row in rows:
        scale = views.scale_of(row)
        asked = figures.shown_figures(row.records, shelf)
        drawn.update((question, row.anchor) for question in figures.asked_to_show(row.records, shelf))
        maps, links = figures.head_figures(row, shelf, drawn)
        yield {
            "row": row,
            "forest": views.forest_panel(row),
            "bounds": views.bounds_of(row.records),
            "scale": scale,
            "axis": axis(scale),
            "of": _of(row),
            "claimed": next((views.claimed(r.comparison) for r in row.records if r.comparison), ""),
            "lines": [_line(record, corrected) for record in row.records],
            "notes": list(notes(row)),
            "figures": [*asked, *maps, *figures.null_figures(row, shelf)],
            "links": links,
            "corrected": any(record.id in corrected for record in row.records),
            "distributions": views.distributions(row),
            "strips": views.strips(row),
            "further": [record for record in row.records if record.gates or record.others],
            "members": views.members(row),
            "filed": [(record, filed) for record in row.records for filed in shelf.of(record)],
            "versions": sorted({filed.versions for record in row.records for filed in shelf.of(record)} - {""}),
            "unreadable": sorted({path for r in row.records for path in r.evidence if path in shelf.problems}),
        }


def _line(record: Record, corrected: dict[str, dict[str, str]]) -> dict[str, Any]:
    words = corrected.get(record.id, {})
    own = record.comparison.word if record.comparison else None
    differing = [f"{name}: {word}" for name, word in words.items() if word != own]
    return {
        "record": record,
        "anchor": record_anchor(record),
        "marks": [*views.mark_of(record), *views.twin_marks(record)],
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
        found += [("flag", flag) for flag in record.flags]
        found += [("changed", line) for line in dict.fromkeys(record.history)]
        if found:
            said.setdefault(tuple(found), []).append(record.model)
    yield from ((", ".join(models), list(found)) for found, models in said.items())
    reasons = dict.fromkeys(record.twin_reason for record in row.records if record.twin == "opted out")
    if reasons:
        yield "", [("no twins", reason) for reason in reasons]


def adjusted(records: Sequence[Record]) -> dict[str, dict[str, str]]:
    """Verdicts by claim id as Holm, and Benjamini and Hochberg, leave them: {"Holm": word, "BH": word}.

    The family is all comparisons judged on one model (docs/STATISTICS.md, R12).
    """
    words: dict[str, dict[str, str]] = {}
    for model in models_of(records):
        family = [(record.id, record.comparison) for record in records if record.model == model and record.comparison]
        left = multiplicity.adjusted([msgspec.structs.asdict(comparison) for _, comparison in family])
        for (name, _), row in zip(family, left, strict=True):
            words[name] = {"Holm": row["holm"], "BH": row["bh"]}
    return words


def model_rows(records: Sequence[Record], root: Path) -> list[dict[str, Any]]:
    """One row a model: size, weights, how it was run. None where nothing is known."""
    rows = []
    for name in models_of(records):
        if not name:
            continue
        read = next((m for r in records if r.model == name for m in r.models if m.name == name), ModelRead(name))
        card = card_of(root, name)
        size = card.get("parameters") or (HUB[name].shape.parameters if name in HUB else None)
        weights = read.weights or card.get("sha256") or ""
        rows.append(
            {
                "name": name,
                "parameters": size,
                "weights": weights,
                "dtype": read.dtype,
                "processing": read.processing,
                "bos": read.bos,
            }
        )
    return rows


def score_rows(
    records: Sequence[Record], root: Path
) -> tuple[list[str], list[tuple[str, list[dict[str, Any] | None]]]]:
    """Held-out figures from the models' cards: names of the models, and (figure, one score a model)."""
    cards = {name: card_of(root, name) for name in models_of(records) if name}
    scores = {name: card.get("scores", {}).get("confirmation", {}) for name, card in cards.items()}
    names = [name for name, found in scores.items() if found]
    figures_ = dict.fromkeys(figure for name in names for figure in scores[name])
    return names, [(figure, [scores[name].get(figure) for name in names]) for figure in figures_]


def card_of(root: Path, name: str) -> dict[str, Any]:
    """A mini's card; {} where there is none."""
    if not name.startswith("mini-"):
        return {}
    try:
        card = json.loads((root / "fixtures" / name / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {entry}" for key, entry in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
