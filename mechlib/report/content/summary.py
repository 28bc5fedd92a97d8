"""The record in short: words and their signs, counts, the headline, verdicts at a glance, what did not come out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mechlib.report.content.claim_rows import ClaimRow, models_of
from mechlib.verdicts.controlled import CONTROLLED_BY, By
from mechlib.verdicts.record import WORDS, Record
from mechlib.verdicts.verdict import Outcome
from mechlib.verdicts.words import WORDINGS

SIGNS: dict[str, str] = {word: wording.sign for word, wording in WORDINGS.items()}
MEANINGS: dict[str, str] = {word: wording.meaning for word, wording in WORDINGS.items()}
FAILED: tuple[Outcome, ...] = ("REFUTED", "INCONCLUSIVE", "VOID", "ERROR")


def verdict_counts(records: Sequence[Record]) -> list[tuple[Outcome, int]]:
    """(word, how many) in the order of WORDS, zeros included: what failed is as visible as what held."""
    counts = Counter(record.verdict for record in records)
    return [(word, counts[word]) for word in WORDS]


# How each word of CONTROLLED_BY reads behind a number.
BY: dict[By, str] = {
    "twins": "controlled by both twins",
    "matched parts": "by matched parts",
    "control=": "by a control that the claim names",
    "beside=": "by what the instrument of an absence sees",
    "its own null": "by the null that they hold",
    "planted": "of planted models",
    "void": "void",
    "UNCONTROLLED": "UNCONTROLLED",
}


def control_counts(records: Sequence[Record]) -> list[tuple[By, int]]:
    """(by what, how many) in the order of CONTROLLED_BY, zeros included, of what is supported or void."""
    counts = Counter(record.controlled.by for record in records)
    return [(by, counts[by]) for by in CONTROLLED_BY]


def plural(n: int, noun: str) -> str:
    """ "1 claim", "2 claims"."""
    return f"{n} {noun}" if n == 1 else f"{n:,} {noun}s"


def claims_of(ids: Iterable[str]) -> int:
    """How many claims these verdicts are on, by the ids of the verdicts ("topic.function[case]").

    A claim is a function, whatever cases and models it is asked of; a verdict is what it came to with one of them on
    one of these. Every output counts claims by this.
    """
    return len({one.partition("[")[0] for one in ids})


def headline(rows: Sequence[ClaimRow]) -> str:
    """The honest count in two or three sentences, the same in every output."""
    records = [record for row in rows for record in row.records]
    models = [model for model in models_of(records) if model]
    words = ", ".join(f"{n:,} {word}" for word, n in verdict_counts(records) if n) or "nothing judged"
    claims = plural(claims_of(record.id for record in records), "claim")
    asked = f" on {plural(len(models), 'model')}" if models else ""
    text = f"{claims}{asked}, {plural(len(records), 'verdict')}: {words}."
    text += _controlled(records)
    text += _changed(records)
    marked = sum(1 for record in records if record.expected and record.verdict == record.expected)
    wrong = sum(1 for record in records if not record.ok)
    if marked:
        text += f" {marked:,} came out otherwise than claimed and {'is' if marked == 1 else 'are'} kept, marked."
    if wrong:
        text += f" {wrong:,} came out otherwise than claimed or marked: not accounted for."
    return text


def _controlled(records: Sequence[Record]) -> str:
    """By what how many supported verdicts are controlled, and how many by nothing; "" where none is supported."""
    counts = {by: n for by, n in control_counts(records) if n and by != "void"}
    bare = counts.pop("UNCONTROLLED", 0)
    parts = ", ".join(f"{n:,} {BY[by].removeprefix('controlled ')}" for by, n in counts.items())
    said = f"{sum(counts.values()):,} are controlled ({parts})" if counts else "none is controlled"
    return f" Of the supported ones {said}, {bare} {BY['UNCONTROLLED']}." if counts or bare else ""


# What a line of a history says was changed, by how it begins (mechlib.verdicts.register); else the word alone.
BEGINNINGS = {
    "bound ": "bound",
    "the compared expression": "question",
    "measured anew": "evidence",
    "amended": "evidence",
    "not as registered": "text",
    "registered again": "text",
}


def change(line: str) -> str:
    """What a line of a history says was changed: the bound, the question, the evidence, the text, or the word."""
    return next((what for begins, what in BEGINNINGS.items() if line.startswith(begins)), "word")


def _changed(records: Sequence[Record]) -> str:
    """How many verdicts have a history, and of what; "" where none has."""
    changed = [record for record in records if record.history]
    if not changed:
        return ""
    kinds = Counter(what for record in changed for what in set(map(change, record.history)))
    order = dict.fromkeys([*BEGINNINGS.values(), "word"])
    said = ", ".join(f"the {what} of {kinds[what]:,}" for what in order if kinds[what])
    return f" {len(changed):,} changed after evidence was seen ({said}), as is said beside each."


# --- at a glance --------------------------------------------------------------------------------------------------


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
        return [(word, n) for word, n in verdict_counts([r for row in self.rows for r in row.records]) if n]

    def left_out(self, row: ClaimRow) -> str:
        """What the table says of the models without a column: their names, or how many there are."""
        names = [model for model in self.unrun if model in row.by_model]
        return ", ".join(names) if len(names) < 3 else f"{len(names)} models"


def glance(topic: str, rows: Sequence[ClaimRow]) -> Glance:
    """The table of one topic."""
    inside = [record for row in rows for record in row.records]
    judged = {record.model for record in inside if record.verdict != "NOT RUN"}
    models = models_of(inside)
    shown, unrun = (tuple(m for m in models if (m in judged) == wanted) for wanted in (True, False))
    return Glance(topic, tuple(rows), shown, unrun)


# --- what did not come out as claimed -----------------------------------------------------------------------------


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


Unasked = tuple[list[Record], list[tuple[ClaimRow, Record]]]


def unasked(rows: Sequence[ClaimRow]) -> list[Unasked]:
    """What was gated or not run: (one record for each model and reason, the claims that they have in common)."""
    groups: dict[tuple[str, str, str], list[tuple[ClaimRow, Record]]] = {}
    for word in ("GATED", "NOT RUN"):
        for row in rows:
            for record in row.records:
                if record.verdict == word:
                    groups.setdefault((word, record.model, record.message), []).append((row, record))
    together: dict[tuple[str, ...], Unasked] = {}
    for (word, *_), members in groups.items():
        records, _ = together.setdefault((word, *(row.anchor for row, _ in members)), ([], members))
        records.append(members[0][1])
    return list(together.values())
