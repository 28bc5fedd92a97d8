"""What a page shows of a record: texts and drawings, ready for a template. Nothing here knows which page."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from mechlib.figures.data import clipped
from mechlib.figures.points import in_order
from mechlib.figures.svg.elements import Scale, number, scale_for
from mechlib.figures.svg.intervals import Mark, axis, box_plot, interval_panel, strip_plot
from mechlib.report.content.claim_rows import ClaimRow
from mechlib.report.content.model_cards import called
from mechlib.report.content.summary import SIGNS
from mechlib.statistics.deciding import NEAR
from mechlib.statistics.estimate import Estimate
from mechlib.verdicts.controls import Control
from mechlib.verdicts.record import Comparison, EstimateEntry, Record

PLOT = 280
WITH_NOISE = "after noise of a quantisation step"
_WITH_NOISE = {
    "SUPPORTED": "holds", "REFUTED": "does not hold", "INCONCLUSIVE": "left open", "GATED": "its gate is closed",
    "silent": "cannot be asked",
}  # fmt: skip
_NOT_SHOWN = ("distribution", "whole")  # of an estimate's fields those that its text does not need


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
    plain = {name: getattr(estimate, name) for name in estimate.__struct_fields__ if name not in _NOT_SHOWN}
    text, _, counted = Estimate(**plain).shown(*(bound for _, bound in bounds)).partition(" n=")
    value, _, interval = text.partition(" [")
    return Numbers(value.replace("-", "−"), f"[{interval}".replace("-", "−"), counted)


def model_name(record: Record) -> str:
    """The model of a record, for readers, with how it is quantised."""
    return called(record.model)


def bounds_of(records: Iterable[Record]) -> list[tuple[str, float]]:
    """The bounds of a claim, from the first record that was compared."""
    for record in records:
        if record.comparison:
            return list(record.comparison.bounds)
    return []


def claimed_bound(comparison: Comparison | None) -> str:
    """What was claimed of the number, for reading: "≥ 0.40", "every ≤ 0.05", "within −0.05 and 0.05"."""
    if not comparison:
        return ""
    bound = comparison.bound.replace(">=", "≥").replace("<=", "≤").replace("-", "−")
    return bound if comparison.kind == "one" else f"{comparison.kind} {bound}"


def own_marks(record: Record) -> list[Mark]:
    """The model's mark; nothing where no number was reached."""
    if record.comparison is None:
        return []
    estimate = record.comparison.estimate
    members = tuple(member.estimate.value for member in record.comparison.members)
    title = f"{model_name(record)}: {record.comparison.numbers}, {record.verdict}"
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
        for mark in own_marks(record):
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
        (f"{clipped(r.model or model_name(r), 13)} {SIGNS[r.verdict]}", [*own_marks(r), *twin_marks(r)])
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


def dithered_text(record: Record) -> str:
    """What a sentence came to with noise of its quantised model's rounding: "0.61 [0.55, 0.67], holds"; "" where it was
    not asked."""
    found = record.dithered
    if found is None:
        return ""
    shown = numbers(found.comparison)
    said = _WITH_NOISE.get(found.word, found.word)
    return f"{shown.value} {shown.interval}, {said}" if found.comparison else said


def far_beside(record: Record) -> float | None:
    """How many bounds away the nearest effect is that a supported absence names beside it; None where within NEAR.

    Of several effects that lie beyond the bound the nearest may have an interval that does not: as many as were not
    seen are left out, nearest first.
    """
    named = [control for control in record.controls if control.kind == "beside=" and control.word == "passed"]
    if record.verdict != "SUPPORTED" or not named or record.comparison is None:
        return None
    bounds = [(sign, bound) for sign, bound in record.comparison.bounds if bound]
    away = [
        max((abs(value / bound) for sign, bound in bounds if (value > bound) == (sign[0] == "<")), default=0.0)
        for value in named[0].values
    ]
    beyond = sorted(size for size in away if size > 1)
    nearest = beyond[max(0, len(beyond) - named[0].on_the_side) :]
    return nearest[0] if nearest and nearest[0] > NEAR else None


def control_text(record: Record) -> str:
    """The column "controlled by": "twins", "matched parts: 0 of 39", "beside= is 18 bounds away", "UNCONTROLLED: no
    set"; "" for none needed."""
    found, far = record.controlled, far_beside(record)
    if far is not None:
        return f"beside= is {far:.0f} bounds away"
    counted = f"{found.on_the_side} of {found.sets}" if found.sets and found.kind != "twins" else ""
    if record.verdict == "REFUTED" and any(control.evidence for control in record.controls):
        return f"{found.kind}: {counted} as claimed"  # whose word would say that a supported claim was void
    word = found.word if found.word not in ("passed", "by kind", "none", found.by) else ""
    said = ", ".join(part for part in (word if found.by != "void" else "", counted) if part)
    return f"{found.by or found.kind}: {said}" if said else found.by


def told_controls(record: Record) -> list[Control]:
    """The controls whose numbers are said beside the claim: those of a supported one, and all that were asked of a
    refuted published sentence."""
    asked = record.verdict == "REFUTED" and record.reported is not None
    return [one for one in record.controls if one.word in ("passed", "weak") or (asked and one.evidence)]


@dataclass(frozen=True)
class DistributionLine:
    """How the units of one model lie: five numbers, share of the wrong sign, the box plot, what they vary by."""

    record: Record
    five: tuple[float, ...]
    wrong: float
    box: Markup
    varied: str


@dataclass(frozen=True)
class DistributionTable:
    """A line for each model with a distribution, on one scale."""

    lines: list[DistributionLine]
    axis: Markup


def distribution_table(row: ClaimRow) -> DistributionTable | None:
    """Quartiles, share of the wrong sign and box of each model; None where nothing is known."""
    known = [
        (record, record.comparison.estimate.value, spread)
        for record in row.records
        if record.comparison and (spread := record.comparison.estimate.distribution)
    ]
    if not known:
        return None
    scale = scale_for([end for _, _, spread in known for end in (spread.minimum, spread.maximum)], PLOT)
    lines = []
    for record, value, spread in known:
        five = (spread.minimum, spread.lower_quartile, spread.median, spread.upper_quartile, spread.maximum)
        lines.append(DistributionLine(record, five, spread.wrong_sign, box_plot(scale, five, value), varied_by(record)))
    return DistributionTable(lines, axis(scale))


def varied_by(record: Record) -> str:
    """The share of the units' variance that goes with each thing they share: "names 81 %, templates 3 %"."""
    shares = record.comparison.estimate.variance if record.comparison else ()
    return ", ".join(f"{name} {percent(share)}" for name, share in sorted(shares, key=lambda entry: -entry[1]))


@dataclass(frozen=True)
class StripTable:
    """Means by template (or length, or order): a strip for each model, and by stratum (n, mean) of each."""

    models: list[str]
    strips: list[tuple[str, Markup]]
    axis: Markup
    table: list[tuple[str, list[tuple[int, float] | None]]]


def strip_table(row: ClaimRow) -> StripTable | None:
    """The strips of a claim; None without strata."""
    known = [(r, c.estimate) for r in row.records if (c := r.comparison) is not None and len(c.estimate.strip) > 1]
    if not known:
        return None
    scale = scale_for([value for _, e in known for *_, value in e.strip], PLOT)
    means = [{label: (n, value) for label, n, value in estimate.strip} for _, estimate in known]
    models = [model_name(record) for record, _ in known]
    strips = [strip_plot(scale, estimate.strip, estimate.value) for _, estimate in known]
    labels = in_order(label for found in means for label in found)
    table = [(label, [found.get(label) for found in means]) for label in labels]
    return StripTable(models, list(zip(models, strips, strict=True)), axis(scale), table)


@dataclass(frozen=True)
class MemberTable:
    """Families of a claim: members as rows, models as columns, in each cell numbers and word."""

    models: list[str]
    table: list[tuple[str, list[tuple[Numbers, str] | None]]]


def member_table(row: ClaimRow) -> MemberTable | None:
    """The members of a claim's families; None where every number stands alone."""
    known = [(r, r.comparison) for r in row.records if r.comparison is not None and r.comparison.members]
    if not known:
        return None
    table: dict[str, list[tuple[Numbers, str] | None]] = {}
    for place, (_, comparison) in enumerate(known):
        for rank, member in enumerate(comparison.members):
            shown = numbers_of(member.estimate, comparison.bounds)
            table.setdefault(member.name or f"{rank + 1}", [None] * len(known))[place] = (shown, member.word)
    return MemberTable([model_name(record) for record, _ in known], list(table.items()))


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
