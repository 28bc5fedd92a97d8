"""What an author names beside an estimate: controls that must fail the claim, or an effect that shows that it can fail.

    assert ratio(restored(model, chosen, P), control=restored(model, others, P)) >= 0.4
    assert -0.05 <= mean(lost(model, "mlp 0", P), beside=lost(model, "mlp 1", P)) <= 0.05

A claim of presence that holds of its control too is VOID. A claim of absence whose instrument does not exceed the bound
on what stands beside it was not shown to see, and is INCONCLUSIVE (docs/STATISTICS.md, R31 and R32).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from mechlib.measurement import Measurement
from mechlib.statistics.deciding import Named, is_full, not_told_apart
from mechlib.statistics.estimate import Estimate
from mechlib.statistics.families import Family

Others: TypeAlias = Measurement | tuple[Measurement, ...] | None


def named(
    made: Estimate | Family,
    measured: Measurement,
    estimated: Callable[[Measurement], Estimate | Family],
    control: Others = None,
    beside: Others = None,
    whole: Measurement | float | None = None,
) -> Estimate | Family:
    """The estimate with what was named beside it, each `estimated` as it was itself.

    control  measurements by the same evidence function, of parts that the claim must not hold of
    beside   the same, of what the instrument is known to see on the same prompts, or on a planted model's
    whole    what all of the effect comes to, measured or as a number

    Raises TypeError for what is no measurement, ValueError where another evidence function measured it, where a family
    has a control of other size, and where what stands beside an absence was measured on other prompts.
    """
    if control is None and beside is None and whole is None:
        return made
    members = _members(made)
    controls = [_members(estimated(one)) for one in _checked(measured, control, "control")]
    for other in controls:
        if len(other) != len(members):
            raise ValueError(f"a control of {len(other)} columns for an estimate of {len(members)}: give one for each")
    seen = _checked(measured, beside, "beside")
    for one in seen:
        _check_prompts(measured, one)
    besides = tuple(estimate for one in seen for estimate in _members(estimated(one)))
    all_of_it = _number(whole)
    standing = [Named(tuple(other[j] for other in controls), besides, all_of_it) for j in range(len(members))]
    return _with(made, standing)


def saturated(
    made: Estimate | Family, sides: tuple[np.ndarray, np.ndarray], whole: Measurement | float | None
) -> Estimate | Family:
    """A difference that knows where both its sides (means by column) lie above 95 % of the whole."""
    all_of_it = _number(whole)
    if all_of_it is None:
        return made
    members = _members(made)
    first, second = (np.broadcast_to(side, len(members)).tolist() for side in sides)
    standing = []
    for member, a, b in zip(members, first, second, strict=True):
        why = not_told_apart("the two sides", a, b) if is_full(a, b, whole=all_of_it) else ""
        standing.append(replace(member.named or Named(), saturated=why))
    return _with(made, standing)


def _number(whole: Measurement | float | None) -> float | None:
    """The whole as a number, other than zero."""
    if whole is None:
        return None
    number = float(np.mean(whole.array)) if isinstance(whole, Measurement) else float(whole)
    if not np.isfinite(number) or number == 0:
        raise ValueError(f"whole={number}: there is nothing to lie near it; give what all of the effect comes to")
    return number


def _members(made: Estimate | Family) -> tuple[Estimate, ...]:
    return made.estimates if isinstance(made, Family) else (made,)


def _with(made: Estimate | Family, standing: Sequence[Named]) -> Estimate | Family:
    members = tuple(replace(one, named=beside) for one, beside in zip(_members(made), standing, strict=True))
    return replace(made, estimates=members) if isinstance(made, Family) else members[0]


def _checked(measured: Measurement, others: Others, keyword: str) -> tuple[Measurement, ...]:
    """What a keyword was given, as a tuple."""
    if others is None:
        return ()
    given: tuple[object, ...] = others if isinstance(others, tuple) else (others,)
    if not given:
        raise ValueError(f"{keyword}=() names nothing: give one measurement, or several in a tuple")
    found = []
    for one in given:
        if not isinstance(one, Measurement):
            raise TypeError(f"{keyword}= takes a measurement, or a tuple of them, not {type(one).__name__}")
        if (ours := _asked(measured)) != (theirs := _asked(one)):
            raise ValueError(
                f"{keyword}= was measured by {theirs or 'no evidence function'}, the claim by "
                f"{ours or 'none'}: name the same evidence function with other arguments"
            )
        found.append(one)
    return tuple(found)


def _asked(measured: Measurement) -> str:
    """The evidence function behind a measurement, "topic/function"; "" for one in memory."""
    return measured.source.partition("--")[0]


def _check_prompts(measured: Measurement, other: Measurement) -> None:
    planted = other.source.partition("--")[2].startswith("planted-")
    if not planted and set(measured.units) != set(other.units):
        raise ValueError(
            f"beside= was measured on other {measured.unit} data than the claim: what the instrument sees is asked on "
            "the same ones, or on a planted model"
        )
