"""Records in the order in which they are read: topics, claims, models; and the names that links go by."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mechlib.report.content.titles import variant_label
from mechlib.verdicts.record import Record
from mechlib.verdicts.verdict import Outcome


@dataclass(frozen=True)
class ClaimRow:
    """One claim: a function with its literal arguments but the model, and its records by model."""

    topic: str
    function: str
    variant: str
    records: tuple[Record, ...]

    @classmethod
    def alone(cls, record: Record) -> ClaimRow:
        """The claim on one model."""
        return cls(record.topic, record.function, variant(record), (record,))

    @property
    def first(self) -> Record:
        """The record that speaks for all: sentence, source, code, file."""
        return self.records[0]

    @property
    def name(self) -> str:
        """The proposition as in the function's name, with the variant in brackets."""
        return self.function.removeprefix("test_") + (f"[{self.variant}]" if self.variant else "")

    @cached_property
    def variant_label(self) -> str:
        """The variant for readers: "how zero"; empty where there is none."""
        return variant_label(self.variant, self.first.code)

    @cached_property
    def anchor(self) -> str:
        """The link that stays: topic and function, for as long as the claim is called so."""
        return slug(f"{self.topic}.{self.name}")

    @cached_property
    def by_model(self) -> dict[str, Record]:
        """The records by model."""
        return {record.model: record for record in self.records}

    @cached_property
    def counts(self) -> Counter[Outcome]:
        """How many models came out with each word."""
        return Counter(record.verdict for record in self.records)


def claim_rows(records: Sequence[Record]) -> list[ClaimRow]:
    """Records grouped by claim, in the order of the files and of the lines in them, models in natural order."""
    groups: dict[tuple[str, int, str, tuple[Any, ...], str], list[Record]] = {}
    for record in records:
        kind = variant(record)
        key = (record.topic, record.place or record.line, record.function, natural(kind), kind)
        groups.setdefault(key, []).append(record)
    rows = []
    for (topic, _, function, _, kind), members in sorted(groups.items(), key=lambda entry: entry[0][:4]):
        ordered = sorted(members, key=lambda record: (natural(record.model), record.id))
        rows.append(ClaimRow(topic, function, kind, tuple(ordered)))
    return rows


def by_topic(rows: Sequence[ClaimRow]) -> dict[str, list[ClaimRow]]:
    """Claims by topic, topics in alphabetical order."""
    topics: dict[str, list[ClaimRow]] = {}
    for row in rows:
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
    return slug(f"{record.topic}.{record.function.removeprefix('test_')}{''.join(record.id.partition('[')[1:])}")
