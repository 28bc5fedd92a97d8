"""A topic's first claims as a small forest plot: intervals of different units, each as it lies to its own bound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mechlib.figures.data import clipped
from mechlib.figures.svg.against_bounds import against_bounds
from mechlib.figures.svg.intervals import Mark
from mechlib.report.pages.claims import Claim
from mechlib.verdicts.record import Record

MOST = 8  # claims a topic: which they are hangs on no outcome


@dataclass(frozen=True)
class Forest:
    """The plot of one topic.

    shown, of  how many claims it has, and how many there are
    said       what the plot shows, for whoever does not see it
    """

    drawn: Markup
    shown: int
    of: int
    said: str


def forest(claims: Sequence[Claim]) -> Forest | None:
    """The first claims of a topic that reached a number, primary published sentences before all others; None without
    any."""
    numbered = [claim for claim in claims if claim.numbered]
    chosen = sorted(numbered, key=lambda claim: not _primary(claim))[:MOST]
    rows = [(claim, [mark for record in claim.records if (mark := to_bound(record))]) for claim in chosen]
    if not chosen:
        return None
    drawn = against_bounds(
        [(f"#claim={claim.anchor}", clipped(claim.first.sentence or claim.function, 160), m) for claim, m in rows]
    )
    return Forest(drawn, len(chosen), len(claims), _said([mark for _, marks in rows for mark in marks]))


def to_bound(record: Record) -> Mark | None:
    """The interval in arms from the nearest bound, above zero on the claimed side; None without a number.

    An arm is the half of the interval that faces the bound: the whole interval is on one side from 1 on. An exact
    number has none, and lies infinitely many away, or on its bound.
    """
    compared = record.comparison
    if compared is None or not compared.bounds:
        return None
    estimate = compared.estimate
    found = []
    for sign, bound in compared.bounds:
        ends = (estimate.value, *sorted((estimate.low, estimate.high), reverse=sign[0] == "<"))
        away = [(end - bound if sign[0] == ">" else bound - end) for end in ends]
        arm = away[0] - away[1] if away[0] > 0 else away[2] - away[0]
        found.append([end / arm if arm > 0 else math.copysign(math.inf, end) if end else 0.0 for end in away])
    value, low, high = min(found)
    return Mark(value, low, high, record.verdict)


def _primary(claim: Claim) -> bool:
    return claim.first.reported is not None and claim.first.reported.primary


def _said(marks: Sequence[Mark]) -> str:
    low, high = (sum(test(mark) for mark in marks) for test in (_below, _above))
    return f"{len(marks)} intervals: {high} on the claimed side, {low} on the other, {len(marks) - high - low} across"


def _above(mark: Mark) -> bool:
    return mark.low is not None and mark.low > 0


def _below(mark: Mark) -> bool:
    return mark.high is not None and mark.high < 0
