"""What kind of claim a bound makes: of presence, which twins can make void, or of absence, which they cannot."""

from __future__ import annotations

from collections.abc import Iterable

from mechlib.verdicts.verdict import Bound


def claims_presence(bounds: Iterable[Bound]) -> bool:
    """Whether a network that does nothing would fail the claim: zero, its value, is not on the claimed side.

    `>= 0.4`, `> 0`, `<= -3`, and a margin that leaves zero out say that something is there. `<= 0.05`, `< 0.1`, `>= 0`
    and a margin around zero say that something is not, or not more: as true of a network that does nothing. `every`
    and `some` bound each member alike, so that the same holds of them.

    Zero is what nothing gives for means, ratios, proportions, differences, correlations and counts of what was found.
    It is not for a p-value, of which nothing gives any: claim a share of draws that are exceeded, from below.

    Source: docs/STATISTICS.md, R17 and R32.
    """
    return not all(_zero_is_on_the_side(sign, bound) for sign, bound in bounds)


def _zero_is_on_the_side(sign: str, bound: float) -> bool:
    return {">=": bound <= 0, ">": bound < 0, "<=": bound >= 0, "<": bound > 0}[sign]
