"""Claims as the page lists them: a sentence once, below it a row a model, and what each row is found by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from markupsafe import Markup

from mechlib.figures.svg.elements import Scale
from mechlib.figures.svg.intervals import ROW, axis, bound_parts, mark_parts
from mechlib.report.content.claim_rows import ClaimRow, record_anchor, slug
from mechlib.report.content.claim_views import (
    bounds_of,
    claimed_bound,
    model_name,
    numbers,
    own_marks,
    scale_of,
    twin_marks,
)
from mechlib.report.content.summary import change
from mechlib.report.pages.units import unit_of
from mechlib.verdicts.controlled import UNCONTROLLED
from mechlib.verdicts.record import Record

WIDTH = 230  # pixels of a row's drawing
# What the filter of histories offers, in this order: the word in the address, and what it says.
HISTORIES = {
    "registered": "registered before its evidence",
    "prompts-seen": "registered, prompts seen",
    "exploratory": "exploratory",
    "claim-first": "bound before evidence, before the register",
    "other-order": "another order of commits",
    "amended": "amended",
    "changed": "changed after evidence",
    "older": "older instruments",
    "draws": "other draws of prompts",
}
_REGISTRATIONS = {
    "REGISTERED": "registered",
    "REGISTERED, PROMPTS SEEN": "prompts-seen",
    "EXPLORATORY": "exploratory",
    "CLAIM FIRST": "claim-first",
    "AMENDED": "amended",
    "": "",
}
NO_CONTROL = "none needed"  # of a claim that is not supported


@dataclass(frozen=True)
class Row:
    """One claim on one model, as a row of the page."""

    record: Record
    scale: Scale
    anchor: str
    ground: str  # the link to what its claim draws once below all rows of these bounds

    @property
    def model(self) -> str:
        """The model for readers."""
        return model_name(self.record)

    @property
    def drawn(self) -> Markup:
        """The interval against the bound, the twins' hollow marks beside it; nothing without a number."""
        marks = [*own_marks(self.record), *twin_marks(self.record)]
        bare = [replace(mark, title="") for mark in marks]  # what opens says it all
        parts = [f'<use href="#{self.ground}"/>', *mark_parts(self.scale, bare)]
        inside = "".join(parts)
        return Markup(f'<svg viewBox="0 0 {WIDTH} {ROW}" aria-hidden="true">{inside}</svg>') if bare else Markup("")

    @property
    def unit(self) -> str:
        """What the number counts."""
        return unit_of(self.record)

    @property
    def control(self) -> str:
        """What the filter of controls finds it by."""
        return self.record.controlled.by or NO_CONTROL

    @property
    def changed(self) -> list[str]:
        """What changed after evidence was seen: "bound", "question", "evidence", "text", "word"."""
        return list(dict.fromkeys(change(line) for line in self.record.history))

    @property
    def histories(self) -> list[str]:
        """The words of HISTORIES that are true of it."""
        record = self.record
        found = [_REGISTRATIONS.get(record.registration, "other-order")]
        found += ["changed"] * bool(record.history) + ["draws"] * bool(record.tried)
        found += ["older"] * ("OLDER INSTRUMENTS" in record.flags)
        return [word for word in found if word]

    @property
    def cautions(self) -> list[str]:
        """Flags in sight, but UNCONTROLLED, which has a column."""
        return [flag for flag in self.record.flags if flag != UNCONTROLLED]

    @property
    def nearness(self) -> str:
        """How many half-intervals the number lies from the nearest bound, by which close calls are found; ""."""
        compared = self.record.comparison
        if compared is None or not compared.bounds:
            return ""
        estimate = compared.estimate
        half = (estimate.high - estimate.low) / 2
        away = min(abs(estimate.value - bound) for _, bound in compared.bounds)
        return f"{min(away / half, 9e9):.3g}" if half > 0 else "1e9"


@dataclass(frozen=True)
class Case:
    """A claim with one set of arguments: the rows of its models."""

    row: ClaimRow
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Claim:
    """One claim function: its sentence, its cases, and the axis that all of them share."""

    topic: str
    function: str
    cases: tuple[Case, ...]
    grounds: Mapping[str, Markup]  # the claimed side and the bounds, by the link of the rows that stand on it

    @property
    def first(self) -> Record:
        """The record that speaks for all: sentence, source, code, file."""
        return self.cases[0].row.first

    @property
    def anchor(self) -> str:
        """The link to the claim: topic and function."""
        return slug(f"{self.topic}.{self.function.removeprefix('test_')}")

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """The records of all cases."""
        return tuple(row.record for case in self.cases for row in case.rows)

    @property
    def cased(self) -> bool:
        """Whether the cases have lines of their own."""
        return len(self.cases) > 1 or bool(self.cases[0].row.variant)

    @property
    def axis(self) -> Markup:
        """The axis below the rows; nothing where none reached a number."""
        return axis(self.cases[0].rows[0].scale) if bounds_of(self.records) else Markup("")

    @property
    def claimed(self) -> str:
        """The bounds of the cases, each once: "≥ 0.40"."""
        return " or ".join(dict.fromkeys(claimed_bound(r.comparison) for r in self.records if r.comparison))

    @property
    def quantity(self) -> str:
        """What the axis shows, from the first comparison that there is."""
        return next((r.comparison.estimate.of for r in self.records if r.comparison), "")

    @property
    def numbered(self) -> bool:
        """Whether any row reached a number."""
        return any(numbers(record.comparison).value for record in self.records)


def claims_of(rows: Sequence[ClaimRow]) -> list[Claim]:
    """The claim functions of one topic in the order of their first rows."""
    grouped: dict[str, list[ClaimRow]] = {}
    for row in rows:
        grouped.setdefault(row.function, []).append(row)
    return [_claim(place, function, members) for place, (function, members) in enumerate(grouped.items())]


def _claim(place: int, function: str, members: Sequence[ClaimRow]) -> Claim:
    records = tuple(record for row in members for record in row.records)
    scale = scale_of(ClaimRow(members[0].topic, function, "", records), WIDTH)
    bounds = list(dict.fromkeys(tuple(bounds_of([record])) for record in records))
    links = {one: f"g-{slug(members[0].topic)}-{place}-{rank}" for rank, one in enumerate(bounds)}
    cases = tuple(
        Case(row, tuple(Row(r, scale, record_anchor(r), links[tuple(bounds_of([r]))]) for r in row.records))
        for row in members
    )
    grounds = {link: Markup("".join(bound_parts(scale, one))) for one, link in links.items() if one}
    return Claim(members[0].topic, function, cases, grounds)
