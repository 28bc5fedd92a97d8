"""Intervals against bounds as inline SVG: rows and panels of a forest plot, their axis, box plots and strips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mechlib.figures.svg.elements import (
    MARGIN,
    Scale,
    digits,
    dot,
    drawing,
    number,
    path,
    rect,
    text,
    tick_text,
    title_of,
)

ROW = 18  # pixels
REPORTED = "REPORTED"  # a mark that is a paper's number, and no interval


@dataclass(frozen=True)
class Mark:
    """One interval to draw. `word` picks the shape; those of twins ("untrained", "permuted") are hollow.

    `members` are the values of a family of which this is the deciding one: faint ticks.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    word: str = "SUPPORTED"
    twin: str = ""
    title: str = ""
    members: tuple[float, ...] = ()


def bound_parts(scale: Scale, bounds: Sequence[tuple[str, float]], height: int = ROW) -> list[str]:
    """The claimed side and the bounds, which rows of one claim have in common."""
    return [_claimed(scale, bounds, height), *(path("b", f"M{digits(scale(b))} 0V{height}") for _, b in bounds)]


def mark_parts(scale: Scale, marks: Sequence[Mark], height: int = ROW) -> list[str]:
    """The intervals of a row, the model's over its twins'."""
    return [_mark(scale, mark, height / 2) for mark in sorted(marks, key=lambda mark: not mark.twin)]


def interval_panel(
    scale: Scale, rows: Sequence[tuple[str, Sequence[Mark]]], bounds: Sequence[tuple[str, float]]
) -> Markup:
    """A small forest plot: labelled rows on one axis."""
    left, height, parts = 104, 15, []
    for place, (label, marks) in enumerate(rows):
        inside = "".join([*bound_parts(scale, bounds, height), *mark_parts(scale, marks, height)])
        parts.append(f'<g transform="translate({left} {height * place})">{inside}</g>')
        parts.append(text(left - 4, height * place + 11, label, "r"))
    known = bool(bounds)
    parts += axis_parts(scale, left, height * len(rows)) if known else []
    return drawing(left + scale.width, height * len(rows) + 17 * known, parts, "row")


def axis(scale: Scale) -> Markup:
    """Ticks and numbers under rows of the same scale."""
    return drawing(scale.width, 17, axis_parts(scale), "axis")


def axis_parts(scale: Scale, left: float = 0, top: int = 0) -> list[str]:
    """The axis as parts of a larger drawing, its line at `top`."""
    parts = [path("x", f"M{digits(left + MARGIN)} {top}.5h{scale.width - 2 * MARGIN}")]
    for tick in scale.ticks:
        x = left + scale(tick)
        parts += [path("x", f"M{digits(x)} {top}v4"), text(x, top + 14, tick_text(tick))]
    return parts


def claimed_side(bounds: Sequence[tuple[str, float]]) -> tuple[float, float]:
    """The numbers between which the claim is true; infinite where it is open."""
    low = max((bound for sign, bound in bounds if sign[0] == ">"), default=-math.inf)
    high = min((bound for sign, bound in bounds if sign[0] == "<"), default=math.inf)
    return low, high


def _claimed(scale: Scale, bounds: Sequence[tuple[str, float]], height: int) -> str:
    low, high = claimed_side(bounds)
    if not bounds or low >= high:
        return ""
    left = 0.0 if low == -math.inf else scale(low)
    right = float(scale.width) if high == math.inf else scale(high)
    return rect("claimed", left, 0, right - left, height)


def _mark(scale: Scale, mark: Mark, y: float) -> str:
    if mark.value is None or not math.isfinite(mark.value):
        return ""
    kind = "t" if mark.twin else mark.word.lower().replace(" ", "-")
    if not scale.low <= mark.value <= scale.high:  # an arrow at the edge, not a mark at a wrong place
        left = mark.value < scale.low
        shape = path("f", f"M{digits(1 if left else scale.width - 1)} {digits(y)}l{'6-3v6' if left else '-6-3v6'}z")
        return f'<g class="m {kind}">{title_of(mark.title)}{shape}</g>'
    low = scale(scale.low if mark.low is None else mark.low)
    high = scale(scale.high if mark.high is None else mark.high)
    members = "".join(f"M{digits(scale(value))} {digits(y - 3)}v6" for value in mark.members)
    ticks = path("e", members) if members else ""
    line = path("i", f"M{digits(low)} {digits(y)}H{digits(high)}")
    return f'<g class="m {kind}">{title_of(mark.title)}{ticks}{line}{_shape(mark, scale(mark.value), y)}</g>'


def _shape(mark: Mark, x: float, y: float) -> str:
    """A disc where the claim holds, a cross where it is refuted, a circle where it is open, a struck one where void."""
    if mark.twin == "permuted":
        return path("o", f"M{digits(x)} {digits(y - 3.6)}l3.6 3.6-3.6 3.6-3.6-3.6z")
    if mark.twin:
        return dot(x, y, 2.8, "o")
    if mark.word == REPORTED:
        return path("f", f"M{digits(x)} {digits(y + 4)}l-4.5-8h9z")
    if mark.word == "REFUTED":
        return path("s", f"M{digits(x - 3.5)} {digits(y - 3.5)}l7 7m0-7l-7 7")
    if mark.word == "SUPPORTED":
        return dot(x, y, 4)
    struck = path("s", f"M{digits(x - 4)} {digits(y + 4)}l8-8") if mark.word == "VOID" else ""
    return dot(x, y, 4, "o") + struck


def box_plot(scale: Scale, five: Sequence[float | None], mean: float | None, height: int = ROW) -> Markup:
    """Minimum, quartiles, median and maximum of single units, the mean as a dot; nothing where one is missing."""
    known = [scale(number) for number in five if number is not None]
    if len(known) != 5:
        return Markup("")
    low, lower, median, upper, high = known
    middle, half = height // 2, 5
    parts = [path("z", f"M{digits(scale(0))} 0V{height}")] if scale.low < 0 < scale.high else []
    parts += [
        path("w", f"M{digits(low)} {middle}H{digits(lower)}M{digits(upper)} {middle}H{digits(high)}"),
        rect("q", lower, middle - half, upper - lower, 2 * half),
        path("d", f"M{digits(median)} {middle - half}v{2 * half}"),
    ]
    if mean is not None:
        parts.append(dot(scale(mean), middle, 2.4))
    return drawing(scale.width, height, parts, "row")


def strip_plot(scale: Scale, strip: Sequence[tuple[str, int, float]], mean: float | None, height: int = ROW) -> Markup:
    """One tick a template (or length, or order), label and number on hover, the mean of all as a dot."""
    parts = [
        path("k", f"M{digits(scale(value))} 3V{height - 3}", f"{label}: {number(value)} (n={n})")
        for label, n, value in strip
    ]
    if mean is not None:
        parts.append(dot(scale(mean), height // 2, 2.4))
    return drawing(scale.width, height, parts, "row")
