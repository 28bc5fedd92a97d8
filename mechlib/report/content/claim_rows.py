"""Records in the order in which they are read: topics, claims, models; counts, words and the terminal's table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mechlib.report.content import titles as names
from mechlib.verdicts.record import WORDS, Record
from mechlib.verdicts.verdict import Outcome

# A sign for each word, so that colour never carries it alone.
SIGNS = dict(zip(WORDS, ("✓", "✗", "?", "∅", "‖", "–", "!"), strict=True))
MEANINGS = {
    "SUPPORTED": "the whole interval lies on the claimed side of the bound, and the claim holds on no twin",
    "REFUTED": "the whole interval lies on the other side",
    "INCONCLUSIVE": "the interval straddles the bound",
    "VOID": "the claim holds on an untrained or permuted twin as well: it does not need what was learned",
    "GATED": "the model was not shown to do the task, so nothing is claimed about how it does it",
    "NOT RUN": "nothing is filed, and the weights are not on this machine",
    "ERROR": "the claim could not be judged",
}


@dataclass(frozen=True)
class ClaimRow:
    """One claim: a function with its literal arguments but the model, and its records by model."""

    topic: str
    function: str
    variant: str
    records: tuple[Record, ...]

    @property
    def first(self) -> Record:
        return self.records[0]

    @property
    def name(self) -> str:
        """The proposition as in the function's name, with the variant in brackets."""
        return self.function.removeprefix("test_") + (f"[{self.variant}]" if self.variant else "")

    @property
    def told(self) -> str:
        """The variant for readers: "how zero"; empty where there is none."""
        return names.told(self.variant, self.first.code)

    @property
    def anchor(self) -> str:
        """The link that stays: topic and function, for as long as the claim is called so."""
        return slug(f"{self.topic}.{self.name}")

    @cached_property
    def by_model(self) -> dict[str, Record]:
        return {record.model: record for record in self.records}

    @property
    def counts(self) -> Counter[str]:
        return Counter(record.verdict for record in self.records)


@dataclass(frozen=True)
class Glance:
    """The verdicts of a topic as a table: claims down, models across; `unrun` models did nothing but NOT RUN."""

    topic: str
    rows: tuple[ClaimRow, ...]
    models: tuple[str, ...]
    unrun: tuple[str, ...]

    @property
    def counts(self) -> list[tuple[Outcome, int]]:
        """(word, how many) of the words that occur."""
        return [(word, n) for word, n in counted([r for row in self.rows for r in row.records]) if n]

    def left_out(self, row: ClaimRow) -> str:
        """What the table says of the models without a column: their names, or how many there are."""
        names_ = [model for model in self.unrun if model in row.by_model]
        return ", ".join(names_) if len(names_) < 3 else f"{len(names_)} models"


def glances(records: Sequence[Record]) -> list[Glance]:
    """One table a topic, in the order of the topics."""
    made = []
    for topic, rows in by_topic(records).items():
        inside = [record for row in rows for record in row.records]
        judged = {record.model for record in inside if record.verdict != "NOT RUN"}
        models = models_of(inside)
        made.append(
            Glance(
                topic, tuple(rows), tuple(m for m in models if m in judged), tuple(m for m in models if m not in judged)
            )
        )
    return made


def claim_rows(records: Sequence[Record]) -> list[ClaimRow]:
    """Records grouped by claim, in the order of the files and of the lines in them, models in natural order."""
    groups: dict[tuple[str, int, str, tuple[Any, ...], str], list[Record]] = {}
    for record in records:
        kind = variant(record)
        groups.setdefault((record.topic, record.place or record.line, record.function, natural(kind), kind), []).append(
            record
        )
    rows = []
    for (topic, _, function, _, kind), members in sorted(groups.items(), key=lambda entry: entry[0][:4]):
        ordered = sorted(members, key=lambda record: (natural(record.model), record.id))
        rows.append(ClaimRow(topic, function, kind, tuple(ordered)))
    return rows


def by_topic(records: Sequence[Record]) -> dict[str, list[ClaimRow]]:
    """Claims by topic, topics in alphabetical order."""
    topics: dict[str, list[ClaimRow]] = {}
    for row in claim_rows(records):
        topics.setdefault(row.topic, []).append(row)
    return topics


def models_of(records: Sequence[Record]) -> list[str]:
    """Every model that is claimed about, in natural order; "" stands for claims without one and comes last."""
    return sorted({record.model for record in records}, key=lambda model: (not model, natural(model)))


def variant(record: Record) -> str:
    """The literal arguments of a claim besides its model, from pytest's id: "zero" of "[mini-0-zero]"."""
    found = re.search(r"\[(.*)\]$", record.id)
    if not found:
        return ""
    inside = found.group(1)
    model = re.sub(r"[^A-Za-z0-9_.-]+", "-", record.model).strip("-")  # as ids have a folder's name
    if model and model in inside:
        inside = inside.replace(model, "", 1).replace("--", "-")
    return inside.strip("-")


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A sorting key in which mini-10 follows mini-9, and minis stand before models of the Hub."""
    parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"(\d+)", text) if p)
    return ((0 if text.startswith("mini-") else 1, 0, ""), *parts)


def slug(text: str) -> str:
    """Letters, digits, dots, underscores and hyphens only: safe as an id and behind a #."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-")


def record_anchor(record: Record) -> str:
    """The link to one claim on one model: the same on all pages."""
    return slug(f"{record.topic}.{record.id.rsplit('::', 1)[-1].removeprefix('test_')}")


def counted(records: Sequence[Record]) -> list[tuple[Outcome, int]]:
    """(word, how many) in the order of WORDS, zeros included: what failed is as visible as what held."""
    counts = Counter(record.verdict for record in records)
    return [(word, counts[word]) for word in WORDS]


def titles(records: Sequence[Record], root: Path) -> dict[str, str]:
    """What each topic is called, from its claim file."""
    return {topic: names.title(root, topic, rows[0].first.file) for topic, rows in by_topic(records).items()}


def plural(n: int, noun: str) -> str:
    """ "1 claim", "2 claims"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def headline(records: Sequence[Record]) -> str:
    """The honest count in two or three sentences, the same in every output."""
    rows, models = claim_rows(records), [model for model in models_of(records) if model]
    words = ", ".join(f"{n} {word}" for word, n in counted(records) if n) or "nothing judged"
    text = (
        f"{plural(len(rows), 'claim')} on {plural(len(models), 'model')}, {plural(len(records), 'verdict')}: {words}."
    )
    supported = [record for record in records if record.verdict == "SUPPORTED"]
    twins = Counter(record.twin for record in supported)
    if supported:
        parts = [("controlled by both twins", twins["controlled"]), ("with twins that stayed silent", twins["silent"])]
        parts += [("opted out of twins, each with a reason", twins["opted out"]), ("without twins", twins["none"])]
        text += " Of the supported ones " + ", ".join(f"{n} {what}" for what, n in parts if n) + "."
    marked = sum(1 for record in records if record.expected and record.verdict == record.expected)
    wrong = sum(1 for record in records if not record.ok)
    if marked:
        text += f" {marked} came out otherwise than claimed and {'is' if marked == 1 else 'are'} kept, marked."
    if wrong:
        text += f" {wrong} came out otherwise than claimed or marked: not accounted for."
    return text
