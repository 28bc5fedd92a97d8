"""Deciding: the verdict that an interval, or several, give on a bound, with all that a report says of it.

Estimates call this where they are compared; what comes out is a plain record (mechlib.verdicts.verdict).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from msgspec import structs

from mechlib.measurement import ROUNDING
from mechlib.statistics.intervals.tails import POWER, binomial_tail, clopper_pearson
from mechlib.verdicts.controls import Control, ControlWord
from mechlib.verdicts.presence import claims_presence
from mechlib.verdicts.verdict import Bound, Kind, Sign, Subject, Verdict, Word, bound_text

if TYPE_CHECKING:
    from mechlib.statistics.estimate import Estimate

_HOLDS: dict[Sign, Callable[[float, float], bool]] = {
    ">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt
}  # fmt: skip
_MIRROR: dict[Sign, Sign] = {">=": "<=", ">": "<", "<=": ">=", "<": ">"}
_BEYOND = 100  # times as many: no plan
SATURATED = 0.95  # of the whole, above which two effects are not told apart
NEAR = 3  # bounds, up to which an effect beside an absence shows that the instrument sees one of the bound's size
CHANCE = 0.05


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
    """The word for one interval: inside all bounds, outside one of them, or neither; never inside on a skewed end."""
    if _inside(estimate, bounds):
        return "INCONCLUSIVE" if estimate.endangered(bounds) else "SUPPORTED"
    low, high = _guarded(estimate)
    if any(not _holds(sign, high if sign[0] == ">" else low, bound) for sign, bound in bounds):
        return "REFUTED"
    return "INCONCLUSIVE"


def _guarded(estimate: Estimate) -> tuple[float, float]:
    """The interval's ends, as much further out as resampling may be wrong."""
    guard = 2 * estimate.monte_carlo
    return estimate.low - guard, estimate.high + guard


def _inside(estimate: Estimate, bounds: tuple[Bound, ...]) -> bool:
    low, high = _guarded(estimate)
    return all(_holds(sign, low if sign[0] == ">" else high, bound) for sign, bound in bounds)


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
    if (
        not members and estimate.endangered(bounds) and _inside(estimate, bounds)
    ):  # what is in doubt there is skewness, which has its own plan
        return None
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
    if claimed and estimate.endangered(bounds):
        return 1.0
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
    skewed = estimate.endangered(bounds) if word == "INCONCLUSIVE" and _inside(estimate, bounds) else ""
    if skewed:
        found.append(skewed)
    elif word == "INCONCLUSIVE":
        noun = estimate.sampled
        plan = f"more than {_BEYOND}x as many {noun}" if needed is None else f"{needed:,} fresh {noun}"
        found.append(f"detects a difference of {detectable:.2g}; {plan} would decide it")
    return (*found, *estimate.notes)


# --- what is named beside an estimate ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Named:
    """What stands beside one estimate.

    controls   the same estimate of each control, `besides` of what the instrument is to see
    whole      all that there is to restore or to lose, in the estimate's unit; None where it is not known
    saturated  why the two sides of a difference cannot be told apart; "" where they can
    """

    controls: tuple[Estimate, ...] = ()
    besides: tuple[Estimate, ...] = ()
    whole: float | None = None
    saturated: str = ""


def is_full(*values: float, whole: float) -> bool:
    """Whether all values lie above 95 % of the whole."""
    return all(value / whole > SATURATED for value in values)


def not_told_apart(who: str, first: float, second: float) -> str:
    """Why two effects that are nearly the whole decide nothing."""
    return f"saturated: {who}, {first:.3g} and {second:.3g}, lie above {SATURATED:.0%} of the whole alike"


def held(verdict: Verdict, members: Sequence[Estimate], kind: Kind = "one") -> Verdict:
    """The verdict with its controls, and with another word where what stands beside it asks for one.

    A control beside an absence, and the reverse, is kept as an error: half a chain, which is judged on its way, may be
    of the other kind than the whole.
    """
    standing = [member.named for member in members if member.named is not None]
    if len(standing) < len(members):
        return verdict
    if claims_presence(verdict.bounds):
        verdict = _against_controls(verdict, members, standing, kind)
        why, stray = f"{verdict.bound} says that something is there: give it a control=, not a beside=", "beside="
    else:
        verdict = _beside(verdict, standing[0].besides)
        why, stray = f"{verdict.bound} holds where nothing happens: give it a beside=, not a control=", "control="
    if standing[0].besides if stray == "beside=" else standing[0].controls:
        verdict = replace(verdict, controls=(*verdict.controls, Control(kind=stray, word="error", message=why)))
    full = [beside.saturated for beside in standing if beside.saturated]
    decisive = len(full) == len(members) if kind == "some" else bool(full)
    return _undecided(verdict, full[0]) if decisive else verdict


def _undecided(verdict: Verdict, why: str) -> Verdict:
    """INCONCLUSIVE, for a reason that no larger sample mends; what was not SUPPORTED stays what it was."""
    if verdict.word != "SUPPORTED":
        return verdict
    return replace(verdict, word="INCONCLUSIVE", remarks=(why, *verdict.remarks), n_to_decide=None, p_supported=1.0)


def _against_controls(verdict: Verdict, members: Sequence[Estimate], standing: Sequence[Named], kind: Kind) -> Verdict:
    count = len(standing[0].controls)
    if not count:
        return verdict
    together = any if kind == "some" else all
    held_by = [together(_is_claimed(one.controls[i], verdict.bounds) for one in standing) for i in range(count)]
    full = [
        all(
            beside.whole is not None and is_full(member.value, beside.controls[i].value, whole=beside.whole)
            for member, beside in zip(members, standing, strict=True)
        )
        for i in range(count)
    ]
    control = _control("control=", standing[0].controls, held_by, word_of_named(sum(held_by), count), verdict.bounds)
    if word_of_named(sum(full), count) == "void":
        other = standing[0].controls[full.index(True)]
        control = structs.replace(control, word="weak")
        verdict = _undecided(verdict, not_told_apart("claim and control", members[0].value, other.value))
    return replace(verdict, controls=(*verdict.controls, control))


def word_of_named(held_by: int, count: int) -> ControlWord:
    """R31's rule; few controls that an author names are judged by whether one of them holds."""
    if held_by and binomial_tail(held_by, count, CHANCE) <= CHANCE * (1 + 1e-9):
        return "void"
    return "passed" if not held_by or (held_by + 1) / (count + 1) <= CHANCE else "weak"


def _is_claimed(estimate: Estimate, bounds: Iterable[Bound]) -> bool:
    """Whether the point estimate lies on the claimed side: of a control not its interval, which would reward noise."""
    return all(_holds(sign, estimate.value, bound) for sign, bound in bounds)


def _control(
    kind: str, others: Sequence[Estimate], on: Sequence[bool], word: ControlWord, bounds: Sequence[Bound]
) -> Control:
    numbers = tuple(bound for _, bound in bounds)
    what = "controls are as claimed" if kind == "control=" else "exceed the bound"
    shown = others[0].shown(*numbers) if len(others) == 1 else f"{sum(on)} of {len(others)} {what}"
    values = tuple(other.value for other in others)
    return Control(kind=kind, sets=len(others), on_the_side=sum(on), word=word, values=values, message=shown)


def _beside(verdict: Verdict, others: Sequence[Estimate]) -> Verdict:
    if not others:
        return verdict
    seen = [word_of(other, verdict.bounds) == "REFUTED" for other in others]
    word: ControlWord = "passed" if any(seen) else "weak"
    verdict = replace(verdict, controls=(*verdict.controls, _control("beside=", others, seen, word, verdict.bounds)))
    numbers = tuple(bound for _, bound in verdict.bounds)
    if not any(seen):
        shown = others[0].shown(*numbers)
        return _undecided(verdict, f"not shown to see: what stands beside it, {shown}, does not exceed the bound")
    least = min(
        (_bounds_away(other, verdict.bounds), other.value) for other, sees in zip(others, seen, strict=True) if sees
    )
    far = f", {least[0]:.0f} bounds away, where one to {NEAR} show more" if least[0] > NEAR else ""
    return replace(verdict, remarks=(*verdict.remarks, f"the instrument sees {least[1]:.3g} beside it{far}"))


def _bounds_away(estimate: Estimate, bounds: Iterable[Bound]) -> float:
    """How many times the bound that it exceeds an effect is; 0 where that bound is zero."""
    beyond = [bound for sign, bound in bounds if not _holds(sign, estimate.value, bound)]
    return max((abs(estimate.value / bound) for bound in beyond if bound), default=0.0)
