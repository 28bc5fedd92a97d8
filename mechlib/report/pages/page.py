"""report.html as text: a summary that fits a screen, then topics; rows in the page, details in files beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from mechlib.figures.svg.verdict_map import STEP, columns, verdict_map
from mechlib.report.content.calibration import calibration
from mechlib.report.content.claim_rows import record_anchor, slug
from mechlib.report.content.model_cards import called, held_out_scores
from mechlib.report.content.record_book import RecordBook
from mechlib.report.content.summary import verdict_counts
from mechlib.report.data.checklist import checklist, first_to_fail
from mechlib.report.features.page import links
from mechlib.report.outputs.html import TEMPLATES, environment, stylesheet
from mechlib.report.pages.claims import HISTORIES, NO_CONTROL, Claim, claims_of
from mechlib.report.pages.details import Gallery, topic_details
from mechlib.report.pages.forest import MOST, forest
from mechlib.report.pages.often_wrong import false_support
from mechlib.report.pages.reading import definitions
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
    downloads: Sequence[tuple[str, Sequence[tuple[str, str]]]] = (),
) -> Pages:
    """The page and its files: a pure function of records, evidence and `meta`.

    root       the way from the page's folder to the record's
    downloads  what lies beside the page: (what it is, (link, name) of each file)
    """
    topics = {topic: claims_of(rows) for topic, rows in book.topics.items()}
    gallery, files, sections, run = Gallery(), dict[str, str](), [], run_of(book)
    for topic, claims in topics.items():
        made = topic_details(book, claims, gallery, root)
        files[f"{slug(topic)}.js"] = script_of(f"{slug(topic)}@{run}", made)
        sections.append(_section(book, topic, claims))
    html = (
        environment()
        .get_template("record/page.html")
        .render(
            **_summary(book),
            css=Markup(stylesheet() + _own("record.css")),
            script=Markup(_own("opened.js") + _own("record.js")),
            run=run,
            sections=sections,
            map=_map(book, topics),
            starts=_starts(book),
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
    answers = checklist(book)
    return {
        "title": TITLE,
        "headline": book.headline,
        "counts": book.counts,
        "total": len(book.records),
        "controls": book.controls,
        "recipes": book.recipes,
        "titles": book.titles,
        "published": book.published,
        "nobody_asks": _nobody_asks(book),
        "replicated": {word for by in sentences for word in by},
        "cards": book.cards,
        "scores": held_out_scores(book.cards),
        "features": links(book.root),
        "calibration": calibration(book.root),
        "wrong": false_support(book.root),
        "answers": answers,
        "link_to": record_anchor,
        "worst": first_to_fail(answers),
        "definitions": definitions(),
        "forest_most": MOST,
    }


def _nobody_asks(book: RecordBook) -> dict[str, int]:
    """How many published sentences no claim asks of each model; {} where some claim asks all of each."""
    if book.published is None:
        return {}
    many = len(book.published.sentences)
    left = {model: many - sum(words.values()) for model, words in book.published.counts.items()}
    return left if any(left.values()) else {}


def run_of(book: RecordBook) -> str:
    """Twelve digits for the records of a run, by which a page knows the details that belong to it."""
    digest = hashlib.sha256()
    for record in book.records:
        digest.update(record.to_json().encode())
    return digest.hexdigest()[:12]


def _own(name: str) -> str:
    return (TEMPLATES / "record" / name).read_text(encoding="utf-8")


def script_of(name: str, made: Mapping[str, Any]) -> str:
    """A topic's details, named "topic@run", as a script that a page reads from a folder, too: one assignment."""
    text = json.dumps(made, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    for sign in "\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f"(window.record = window.record || {{}})[{json.dumps(name)}] = {text};\n"


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
        "forest": forest(claims),
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


def _starts(book: RecordBook) -> str:
    """Where the columns of each topic begin in that drawing."""
    sizes = [(book.titles[topic], len(rows)) for topic, rows in book.topics.items()]
    return " ".join(f"{x:g}" for x in columns(sizes)[:-1])


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {entry}" for key, entry in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
