"""report.html as text: a summary that fits a screen, then topics; rows in the page, details in files beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from mechlib.figures.svg.verdict_map import STEP, columns, verdict_map
from mechlib.report.content.calibration import calibration
from mechlib.report.content.claim_rows import slug
from mechlib.report.content.model_cards import called, held_out_scores
from mechlib.report.content.record_book import RecordBook
from mechlib.report.content.summary import verdict_counts
from mechlib.report.features.page import links
from mechlib.report.outputs.html import TEMPLATES, environment, stylesheet
from mechlib.report.pages.claims import HISTORIES, NO_CONTROL, Claim, claims_of
from mechlib.report.pages.details import Gallery, topic_details
from mechlib.verdicts.controlled import CONTROLLED_BY

TITLE = "The record: every claim, its interval and its bound"


@dataclass
class Pages:
    """The page and what lies beside it, by name: details of a topic as scripts, figures as SVG."""

    html: str
    topics: dict[str, str] = field(default_factory=dict)
    figures: dict[str, str] = field(default_factory=dict)


def pages(
    book: RecordBook,
    partial: bool = False,
    meta: Mapping[str, Any] | None = None,
    changes: Sequence[str] = (),
    root: str = "../..",
    downloads: Sequence[tuple[str, str]] = (),
) -> Pages:
    """The page and its files: a pure function of records, evidence and `meta`.

    root       the way from the page's folder to the record's
    downloads  (file, what it says) of what lies beside the page
    """
    topics = {topic: claims_of(rows) for topic, rows in book.topics.items()}
    gallery, files, sections = Gallery(), dict[str, str](), []
    for topic, claims in topics.items():
        made = topic_details(book, claims, gallery, root)
        files[f"{slug(topic)}.js"] = script_of(slug(topic), made)
        sections.append(_section(book, topic, claims))
    html = (
        environment()
        .get_template("record/page.html")
        .render(
            **_summary(book),
            css=Markup(stylesheet() + _own("record.css")),
            script=Markup(_own("opened.js") + _own("record.js")),
            sections=sections,
            map=_map(book, topics),
            starts=" ".join(f"{x:g}" for x in columns([len(rows) for rows in book.topics.values()])),
            step=STEP,
            filters=_filters(book, topics),
            gallery=gallery.worth_a_look(),
            partial=partial,
            meta=sorted((str(key).replace("_", " "), _plain(value)) for key, value in (meta or {}).items()),
            changes=list(changes),
            downloads=list(downloads),
            problems=sorted(book.evidence.problems.items()),
        )
    )
    return Pages(html, files, gallery.files)


def _summary(book: RecordBook) -> dict[str, Any]:
    """What is said of the record as a whole."""
    sentences = book.published.counts.values() if book.published else ()
    return {
        "title": TITLE,
        "headline": book.headline,
        "counts": book.counts,
        "total": len(book.records),
        "controls": book.controls,
        "recipes": book.recipes,
        "titles": book.titles,
        "published": book.published,
        "replicated": {word for by in sentences for word in by},
        "cards": book.cards,
        "scores": held_out_scores(book.cards),
        "features": links(book.root),
        "calibration": calibration(book.root),
    }


def _own(name: str) -> str:
    return (TEMPLATES / "record" / name).read_text(encoding="utf-8")


def script_of(topic: str, made: Mapping[str, Any]) -> str:
    """A topic's details as a script that a page reads from a folder, too: one assignment."""
    text = json.dumps(made, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    for sign in "\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f"(window.record = window.record || {{}})[{json.dumps(topic)}] = {text};\n"


def _section(book: RecordBook, topic: str, claims: Sequence[Claim]) -> dict[str, Any]:
    records = [record for claim in claims for record in claim.records]
    return {
        "name": topic,
        "slug": slug(topic),
        "anchor": slug(f"topic-{topic}"),
        "introduction": book.introductions[topic],
        "counts": [(word, n) for word, n in verdict_counts(records) if n],
        "total": len(records),
        "claims": claims,
    }


def _filters(book: RecordBook, topics: Mapping[str, Sequence[Claim]]) -> dict[str, list[tuple[str, str, int]]]:
    """For each filter (word in the address, what it says, how many rows) of what occurs."""
    rows = [row for claims in topics.values() for claim in claims for case in claim.cases for row in case.rows]
    by = [*(word for word in CONTROLLED_BY if word), NO_CONTROL]
    offered = {
        "model": [(model, called(model), sum(r.record.model == model for r in rows)) for model in book.models],
        "control": [(word, word, sum(r.control == word for r in rows)) for word in by],
        "history": [(word, said, sum(word in r.histories for r in rows)) for word, said in HISTORIES.items()],
    }
    return {name: [entry for entry in entries if entry[2]] for name, entries in offered.items()}


def _map(book: RecordBook, topics: Mapping[str, Sequence[Claim]]) -> Markup:
    """Claims over models, those that did nothing but NOT RUN left out."""
    judged = {record.model for record in book.records if record.verdict != "NOT RUN"}
    drawn = [
        (book.titles[topic], [{r.model: r.verdict for r in case.row.records} for c in claims for case in c.cases])
        for topic, claims in topics.items()
    ]
    models = [(model, model or "planted, or none") for model in book.models if model in judged]
    return verdict_map(
        drawn, models, "claims across, models down: every verdict of the record; the rows below say each"
    )


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {entry}" for key, entry in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
