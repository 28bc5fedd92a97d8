"""The tables of the paper, each a caption and lines of Markdown, from the record book."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from mechlib.report.content.claim_views import claimed_bound, numbers
from mechlib.report.content.model_cards import called
from mechlib.report.content.published_sentences import LOOKS, Sentence
from mechlib.report.content.record_book import RecordBook
from mechlib.report.content.replications import Cell
from mechlib.report.content.summary import SIGNS
from mechlib.report.outputs.escaping import escaped
from mechlib.report.paper.looking_up import MARKS, NBSP, CannotCite, Lookup, marks, together
from mechlib.verdicts.record import WORDS

Place = Callable[[str], str]
Note = Callable[[str], None]
Made = tuple[str, list[str]]


def row(cells: list[str]) -> str:
    """One line of a table."""
    return "| " + " | ".join(cells) + " |"


def table(heads: list[str], rows: list[list[str]], numeric: int = 0) -> list[str]:
    """A table whose last `numeric` columns stand to the right."""
    rule = ["---"] * (len(heads) - numeric) + ["---:"] * numeric
    return [row(heads), "| " + " | ".join(rule) + " |", *map(row, rows)]


def published(book: RecordBook, place: Place, note: Note) -> Made:
    """Primary published sentences against models: the paper's number, ours, the outcome."""
    found = book.published
    primary = [one for one in found.sentences if one.reported.primary] if found else []
    if found is None or not primary:
        raise CannotCite("no published sentence is primary: there is no table of them")
    lookup = Lookup(book)
    rows = []
    for one in primary:
        where = re.sub(r",? arXiv:[\d.]+", "", one.reported.where)  # which stands with the claim
        paper = escaped(f"{where}: {one.reported.number}" if one.reported.number else where)
        cells = [_cell(one.cells.get(model), lookup, place, note) for model in found.models]
        bound = next((claimed_bound(cell.answered.comparison) for cell in one.cells.values() if cell.answered), "")
        rows.append([_sentence(one, place), paper, escaped(bound), *cells])
    used = dict.fromkeys(cell.word for one in primary for cell in one.cells.values())
    legend = ", ".join(f"{sign} {word}" for word, (sign, _) in LOOKS.items() if word in used)
    caption = (
        "Primary published sentences, asked of pretrained models, quantised, with bound, estimate, interval and, where "
        f"it is not replicated, the verdict of the claim. {escaped(legend)}."
    )
    return caption, table(["sentence", "paper", "bound", *map(escaped, found.models)], rows)


def _sentence(one: Sentence, place: Place) -> str:
    return f"[{escaped(one.text)}]({place(one.rows[0].anchor)})" if one.rows else escaped(one.text)


def _cell(found: Cell | None, lookup: Lookup, place: Place, note: Note) -> str:
    if found is None:
        return "not asked"
    said = LOOKS[found.word][0]
    if found.answered is None:
        why = f" {found.records[0].verdict}" if found.records and found.word == "UNDECIDED" else f" {found.word}"
        return escaped(said + why)
    shown, signs = numbers(found.answered.comparison), marks(found.answered)
    note(signs)
    text = f"{escaped(shown.value)}<br>{escaped(together(shown.interval))}"  # an interval below its value: narrow
    verdict = "" if found.word == "REPLICATED" else f"<br>{found.answered.verdict}"
    return f"{escaped(said)}{NBSP}[{text}]({place(lookup.anchor(found.answered))}){signs}{verdict}"


def verdicts(book: RecordBook, place: Place, note: Note) -> Made:
    """How the verdicts of each topic came out."""
    words = [word for word, n in book.counts if n]
    rows = []
    for topic, members in book.topics.items():
        counts = sum((member.counts for member in members), Counter[str]())
        name = f"[{escaped(book.titles[topic])}]({place(topic).partition('#')[0]})"
        claims = len({member.function for member in members})
        rows.append([name, str(claims), *(str(counts[word]) for word in words), f"{counts.total():,}"])
    totals = Counter(record.verdict for record in book.records)
    claims = len({(record.topic, record.function) for record in book.records})
    rows.append(["**all**", *(f"**{n:,}**" for n in (claims, *(totals[word] for word in words), totals.total()))])
    heads = ["topic", "claims", *(f"{SIGNS[word]} {word}" for word in WORDS if word in words), "verdicts"]
    return "Verdicts by topic; a claim in one case on one model has one.", table(heads, rows, len(heads) - 1)


def controls(book: RecordBook, place: Place, note: Note) -> Made:
    """By what the supported verdicts are controlled."""
    rows = [[escaped(by), str(n)] for by, n in book.controls if n and by != "void"]
    return "What the supported verdicts are controlled by.", table(["controlled", "verdicts"], rows, 1)


def order(book: RecordBook, place: Place, note: Note) -> Made:
    """What the order of commits says of the verdicts: a row for each word, with its mark."""
    counts, supported = Counter[str](), Counter[str]()
    for record in book.records:
        counts[record.registration] += 1
        supported[record.registration] += record.verdict == "SUPPORTED"
    rows = []
    for word, n in counts.most_common():
        sign, _ = MARKS.get(word, ("", ""))
        note(sign)
        said = escaped(word or "nothing measured: GATED or NOT RUN")
        rows.append([f"{said}{sign}", f"{n:,}", f"{supported[word]:,}"])
    return "Verdicts by what the order of commits says of them.", table(["order", "verdicts", "SUPPORTED"], rows, 2)


def models(book: RecordBook, place: Place, note: Note) -> Made:
    """The models that were run, their sizes and verdicts; a row for what is of none, one for those not run."""
    counts = Counter(record.model for record in book.records)
    run = {record.model for record in book.records if record.verdict != "NOT RUN"}
    rows = [
        [escaped(called(card.name)), f"{card.parameters:,}" if card.parameters else "–", f"{counts[card.name]:,}"]
        for card in book.cards
        if card.name in run
    ]
    absent = [card.name for card in book.cards if card.name not in run]
    if counts[""]:
        rows.append(["of no one model: planted ones, made for their claim", "–", f"{counts['']:,}"])
    if absent:
        said = f"NOT RUN, their weights are not here: {', '.join(absent)}"
        rows.append([escaped(said), "–", f"{sum(counts[name] for name in absent):,}"])
    return "Models, with their parameters, embeddings included.", table(["model", "parameters", "verdicts"], rows, 2)


TABLES: dict[str, Callable[[RecordBook, Place, Note], Made]] = {
    "published": published,
    "verdicts": verdicts,
    "controls": controls,
    "models": models,
    "order": order,
}
