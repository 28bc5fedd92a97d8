"""k of m exchanged parts on the claimed side: what that says of the part that was claimed (docs/STATISTICS.md, R31)."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from mechlib.verdicts.controls import ControlWord
from mechlib.verdicts.verdict import Bound, Sign, Verdict

ONE_IN_TWENTY = 0.05


def word_of(held: int, sets: int, in_layer: tuple[int, int] | None = None) -> ControlWord:
    """What `held` of `sets` exchanged parts on the claimed side say.

    in_layer  the same among disjoint sets of the part's own layer, of which more than half make the claim void

    Raises ValueError where more are held than there are.
    """
    if not 0 <= held <= sets:
        raise ValueError(f"{held} of {sets} sets are on the claimed side: give at most as many as were asked")
    if in_layer is not None and 2 * in_layer[0] > in_layer[1]:
        return "void"
    if sets and at_least(held, sets) <= ONE_IN_TWENTY:
        return "void"
    if (held + 1) / (sets + 1) <= ONE_IN_TWENTY:
        return "passed"
    return "no set" if smallest(sets) > ONE_IN_TWENTY else "weak"


def at_least(held: int, sets: int, share: float = ONE_IN_TWENTY) -> float:
    """The binomial probability that `held` or more of `sets` are on a side where a share of them lies by chance."""
    return math.fsum(math.comb(sets, k) * share**k * (1 - share) ** (sets - k) for k in range(held, sets + 1))


def smallest(sets: int) -> float:
    """The smallest p that so many sets can give: with 18 and fewer no part can be told from them."""
    return 1 / (sets + 1)


# --- which side ---------------------------------------------------------------------------------------------------

_HOLDS: dict[Sign, Callable[[float, float], bool]] = {
    ">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt
}  # fmt: skip
_ROUNDING = 1e-12


def on_the_side(value: float, bounds: Sequence[Bound]) -> bool:
    """Whether a number lies on the claimed side of all bounds; where only rounding tells it from one, it is on it."""
    return all(
        _HOLDS[sign](bound if math.isclose(value, bound, rel_tol=_ROUNDING) else value, bound) for sign, bound in bounds
    )


def representative(verdict: Verdict) -> tuple[float, int, tuple[tuple[str, int, float], ...]]:
    """The point estimate that says on which side the whole comparison lies, with its n and its means by level.

    Under `every` the member that is furthest from being as claimed, under `some` the one that is nearest.
    """
    estimates = [member.estimate.to_dict() for member in verdict.members] or [verdict.estimate.to_dict()]
    sort: Callable[..., Any] = min if verdict.kind != "some" else max
    chosen = sort(estimates, key=lambda estimate: margin(estimate["value"], verdict.bounds))
    return float(chosen["value"]), int(chosen["n"]), tuple(tuple(level) for level in chosen["strip"])


def margin(value: float, bounds: Sequence[Bound]) -> float:
    """How far a number is on the claimed side of the nearest bound; negative beyond it."""
    return min((value - bound) * (1 if sign[0] == ">" else -1) for sign, bound in bounds)
