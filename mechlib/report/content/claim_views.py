"""What a page shows of a record: texts and drawings, ready for a template. Nothing here knows which page."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from mechlib.figures.data import clipped, in_order
from mechlib.figures.svg.elements import Scale, number, scale_for
from mechlib.figures.svg.intervals import Mark, axis, box_plot, interval_panel, strip_plot
from mechlib.report.content.claim_rows import SIGNS, ClaimRow
from mechlib.statistics.estimate import Estimate
from mechlib.verdicts.record import Comparison, EstimateEntry, Record

PLOT = 280


@dataclass(frozen=True)
class Numbers:
    """A comparison's numbers as text: "0.473", "[0.446, 0.500]", "200 in 16 templates"; empty where there are none."""

    value: str = ""
    interval: str = ""
    n: str = ""


def numbers(comparison: Comparison | None) -> Numbers:
    """The numbers of a comparison, with as many digits as its own text has."""
    return Numbers() if comparison is None else numbers_of(comparison.estimate, comparison.bounds)


def numbers_of(estimate: EstimateEntry, bounds: Sequence[tuple[str, float]]) -> Numbers:
    """The numbers of an estimate that was held against bounds."""
    if estimate.method == "exact":
        return Numbers(number(estimate.value), "exact", "")
    plain = {name: getattr(estimate, name) for name in estimate.__struct_fields__ if name != "distribution"}
    text, _, counted = Estimate(**plain).shown(*(bound for _, bound in bounds)).partition(" n=")
    value, _, interval = text.partition(" [")
    return Numbers(value.replace("-", "−"), f"[{interval}".replace("-", "−"), counted)


def bounds_of(records: Iterable[Record]) -> list[tuple[str, float]]:
    """The bounds of a claim, from the first record that was compared."""
    for record in records:
        if record.comparison:
            return list(record.comparison.bounds)
    return []


def claimed(comparison: Comparison | None) -> str:
    """What was claimed of the number, for reading: "≥ 0.40", "every ≤ 0.05", "within −0.05 and 0.05"."""
    if not comparison:
        return ""
    bound = comparison.bound.replace(">=", "≥").replace("<=", "≤").replace("-", "−")
    return bound if comparison.kind == "one" else f"{comparison.kind} {bound}"


def mark_of(record: Record) -> list[Mark]:
    """The model's mark; nothing where no number was reached."""
    if record.comparison is None:
        return []
    estimate = record.comparison.estimate
    members = tuple(member.estimate.value for member in record.comparison.members)
    title = f"{record.model or 'no one model'}: {record.comparison.numbers}, {record.verdict}"
    return [Mark(estimate.value, estimate.low, estimate.high, record.verdict, title=title, members=members)]


def twin_marks(record: Record) -> list[Mark]:
    """The marks of the twins that reached a number."""
    marks = []
    for twin in record.twins:
        if twin.comparison is not None:
            estimate, kind = twin.comparison.estimate, twin.model.partition("@")[2] or "untrained"
            title = f"{twin.model}: {twin.comparison.numbers}, {twin.word}"
            marks.append(Mark(estimate.value, estimate.low, estimate.high, twin.word, kind, title))
    return marks


def scale_of(row: ClaimRow, width: int = PLOT) -> Scale:
    """One axis for a claim: all intervals and bounds, members and twins as far as they are not much farther out."""
    near: list[float | None] = [bound for _, bound in bounds_of(row.records)]
    far: list[float] = []
    for record in row.records:
        for mark in mark_of(record):
            near += [mark.value, mark.low, mark.high]
            far += mark.members
        far += [mark.value for mark in twin_marks(record) if mark.value is not None]
    known = [value for value in near if value is not None]
    if known:
        room = 1.5 * (max(known) - min(known) or abs(known[0]) or 1.0)
        near += [value for value in far if min(known) - room <= value <= max(known) + room]
    return scale_for(near, width)


def forest_panel(row: ClaimRow) -> Markup:
    """The claim on every model, small."""
    scale = scale_of(row, 206)
    rows = [
        (f"{clipped(r.model or 'no one model', 13)} {SIGNS[r.verdict]}", [*mark_of(r), *twin_marks(r)])
        for r in row.records
    ]
    return interval_panel(scale, rows, bounds_of(row.records))


def twin_texts(record: Record) -> list[tuple[str, str, str]]:
    """(sign of the mark, kind, what came out) for each twin: ("○", "untrained", "0.031 ✗")."""
    texts = []
    for twin in record.twins:
        kind = twin.model.partition("@")[2]
        if twin.word not in SIGNS:  # silent: the claim's own word says so
            continue
        outcome = f"{numbers(twin.comparison).value} {SIGNS[twin.word]}".strip()
        texts.append(("◇" if kind == "permuted" else "○", kind, outcome))
    return texts


def distributions(row: ClaimRow) -> list[dict[str, Any]]:
    """Quartiles, share of the wrong sign and box of each model, on one scale; empty where nothing is known."""
    known = [(r, c.estimate) for r in row.records if (c := r.comparison) is not None and c.estimate.distribution]
    ends = [end for _, e in known if e.distribution for end in (e.distribution.minimum, e.distribution.maximum)]
    if not known:
        return []
    scale = scale_for(ends, PLOT)
    lines = []
    for record, estimate in known:
        spread = estimate.distribution
        assert spread is not None
        five = (spread.minimum, spread.lower_quartile, spread.median, spread.upper_quartile, spread.maximum)
        lines.append(
            {"record": record, "five": five, "wrong": spread.wrong_sign, "box": box_plot(scale, five, estimate.value)}
        )
    return [*lines, {"axis": axis(scale)}]


def strips(row: ClaimRow) -> dict[str, Any] | None:
    """Means by template (or length, or order): a strip for each model and the table behind it; None without strata."""
    known = [(r, c.estimate) for r in row.records if (c := r.comparison) is not None and len(c.estimate.strip) > 1]
    if not known:
        return None
    scale = scale_for([value for _, e in known for *_, value in e.strip], PLOT)
    labels = in_order(label for _, e in known for label, *_ in e.strip)
    return {
        "models": [record.model or "no one model" for record, _ in known],
        "drawn": [(r.model or "no one model", strip_plot(scale, e.strip, e.value)) for r, e in known],
        "axis": axis(scale),
        "table": [
            (label, [{name: (n, value) for name, n, value in e.strip}.get(label) for _, e in known]) for label in labels
        ],
    }


def members(row: ClaimRow) -> dict[str, Any] | None:
    """Families of a claim as a table: members as rows, models as columns; None where every number stands alone."""
    known = [(r, r.comparison) for r in row.records if r.comparison is not None and r.comparison.members]
    if not known:
        return None
    table: dict[str, list[tuple[Numbers, str] | None]] = {}
    for place, (_, comparison) in enumerate(known):
        for rank, member in enumerate(comparison.members):
            shown = numbers_of(member.estimate, comparison.bounds)
            table.setdefault(member.name or f"{rank + 1}", [None] * len(known))[place] = (shown, member.word)
    return {"models": [record.model or "no one model" for record, _ in known], "table": list(table.items())}


def prose(text: str) -> Markup:
    """Text of a docstring as HTML: escaped, with `code` and *emphasis* as they are meant."""
    safe = str(escape(text))
    safe = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", safe)
    parts = re.split(r"(<code>.*?</code>)", safe)
    parts[::2] = [
        re.sub(r"(?<![\w*])\*([^\s*](?:[^*\n]*[^\s*])?)\*(?![\w*])", r"<em>\1</em>", part) for part in parts[::2]
    ]
    return Markup("".join(parts))


def percent(share: float | None) -> str:
    """A share as a percentage without decimals; an en dash where there is none."""
    return "–" if share is None or not math.isfinite(share) else f"{100 * share:.0f} %"
