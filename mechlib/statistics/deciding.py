"""Deciding: the verdict that an interval, or several, give on a bound, with all that a report says of it.

Estimates call this where they are compared; what comes out is a plain record (mechlib.verdicts.verdict).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING

from mechlib.measurement import ROUNDING
from mechlib.statistics.intervals.tails import POWER, clopper_pearson
from mechlib.verdicts.verdict import Bound, Kind, Sign, Subject, Verdict, Word, bound_text

if TYPE_CHECKING:
    from mechlib.statistics.estimate import Estimate

_HOLDS: dict[Sign, Callable[[float, float], bool]] = {
    ">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt
}  # fmt: skip
_MIRROR: dict[Sign, Sign] = {">=": "<=", ">": "<", "<=": ">=", "<": ">"}
_BEYOND = 100  # times as many: no plan


def decided(
    estimate: Estimate,
    bounds: tuple[Bound, ...],
    subject: Subject,
    members: tuple[Verdict, ...] = (),
    kind: Kind = "one",
    word: Word | None = None,
) -> Verdict:
    """The verdict of an estimate on bounds; of several `members` under `every` or `some` with their common `word`."""
    said = word or word_of(estimate, bounds)
    detectable = (estimate.critical + POWER) * estimate.se
    needed = _n_to_decide(estimate, bounds, members, kind, detectable)
    return Verdict(
        word=said,
        estimate=estimate,
        bounds=bounds,
        numbers=_numbers(estimate, bounds),
        remarks=_remarks(said, estimate, bounds, members, kind, detectable, needed),
        detectable=detectable,
        n_to_decide=needed,
        p_supported=_level(estimate, bounds, members, kind, claimed=True),
        p_refuted=_level(estimate, bounds, members, kind, claimed=False),
        members=members,
        kind=kind,
        subject=subject,
    )


def word_of(estimate: Estimate, bounds: tuple[Bound, ...]) -> Word:
    """The word for one interval: inside all bounds, outside one of them, or neither."""
    guard = 2 * estimate.monte_carlo
    low, high = estimate.low - guard, estimate.high + guard
    if all(_holds(sign, low if sign[0] == ">" else high, bound) for sign, bound in bounds):
        return "SUPPORTED"
    if any(not _holds(sign, high if sign[0] == ">" else low, bound) for sign, bound in bounds):
        return "REFUTED"
    return "INCONCLUSIVE"


def _holds(sign: Sign, number: float, bound: float) -> bool:
    """Whether a number lies on the claimed side; where only rounding tells it from the bound, it is the bound."""
    return _HOLDS[sign](bound if math.isclose(number, bound, rel_tol=ROUNDING) else number, bound)


def _n_to_decide(
    estimate: Estimate, bounds: tuple[Bound, ...], members: tuple[Verdict, ...], kind: Kind, detectable: float
) -> int | None:
    """Source: docs/STATISTICS.md, R14."""
    open_ones = [member for member in members if member.word == "INCONCLUSIVE"]
    if open_ones:
        needed = [member.n_to_decide for member in open_ones]
        known = [n for n in needed if n is not None]
        if kind == "some":
            return min(known, default=None)
        return max(known) if len(known) == len(needed) else None
    distance = min(abs(estimate.value - bound) for _, bound in bounds)
    have = estimate.sample
    if detectable >= distance * math.sqrt(_BEYOND):
        return None
    return max(have + 1, math.ceil(have * (detectable / distance) ** 2))


def _level(
    estimate: Estimate, bounds: tuple[Bound, ...], members: tuple[Verdict, ...], kind: Kind, claimed: bool
) -> float:
    """p: the level at which the interval's end reaches the bound (docs/STATISTICS.md, R12).

    With `claimed` the evidence for the claim: the end on the other side of the bound's direction must stay
    inside, for all legs and (`every`) all members. Without it the evidence against, where one leg suffices.
    """
    if members:
        levels = [member.p_supported if claimed else member.p_refuted for member in members]
        return max(levels) if (kind == "every") == claimed else min(levels)
    legs = [estimate.level(bound, above=(sign[0] == ">") == claimed) for sign, bound in bounds]
    return max(legs) if claimed else min(legs)


def _numbers(estimate: Estimate, bounds: tuple[Bound, ...]) -> str:
    shown = estimate.shown(*(bound for _, bound in bounds))
    if len(bounds) == 1:
        return f"{shown} {bounds[0][0]} {bound_text(bounds[0][1])}"
    (lower, low), (upper, high) = sorted(bounds, key=lambda leg: leg[1])
    if lower[0] == "<":  # both ends are the same number: the order of the legs is open
        lower, upper = upper, lower
    return f"{bound_text(low)} {_MIRROR[lower]} {shown} {upper} {bound_text(high)}"


def _remarks(
    word: Word,
    estimate: Estimate,
    bounds: tuple[Bound, ...],
    members: tuple[Verdict, ...],
    kind: Kind,
    detectable: float,
    needed: int | None,
) -> tuple[str, ...]:
    """What must stand beside the numbers."""
    found = []
    if members:
        who = estimate.name or "one"
        found.append(f"{who} decides among {kind} of {len(members)}, simultaneous")
    if estimate.across == "trainings" and estimate.strip:
        values = [value for _, _, value in estimate.strip]
        held = sum(all(_holds(sign, value, bound) for sign, bound in bounds) for value in values)
        count = len(values)
        least = clopper_pearson(held / count, count)[0]
        found.append(f"in {held} of {count} trainings (at least {math.floor(100 * least + 0.5)} %)")
    if word == "INCONCLUSIVE":
        noun = estimate.sampled
        plan = f"more than {_BEYOND}x as many {noun}" if needed is None else f"{needed:,} fresh {noun}"
        found.append(f"detects a difference of {detectable:.2g}; {plan} would decide it")
    return (*found, *estimate.notes)
