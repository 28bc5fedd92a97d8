"""Skewness: which end of an interval it puts in the wrong place, so that no word may rest on that end.

The mean of skewed values is skewed itself, and its interval ends too early on the long side. A right tail makes
"at most" look true too often, a left tail "at least"; the other side errs less than it says. So support is refused only
where the end that it rests on is in danger: g1 > sqrt(n) / 5, which has no step at any n, and the bound is less than
four times as far from the mean as that end. The word is INCONCLUSIVE then: the data cannot tell.

Source: docs/STATISTICS.md, R30; Cochran 1977, section 2.15 (n > 25 g1^2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mechlib.verdicts.verdict import Bound

PER_SQUARE = 25  # n that a squared skewness of one takes
FAR = 4  # times as far as the end: out of a tail's reach (of lognormal worlds at n = 12, 5.6 % are wrong, not 5.5)
FEWEST_LEVELS = 12  # levels drawn at random, below which their skewness cannot be seen


@dataclass(frozen=True)
class Skewness:
    """g1 of `n` numbers behind a mean: of its units, or of the means of a factor's levels, which are `drawn`."""

    value: float
    n: int
    of: str
    drawn: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", float(self.value))

    def endangers(self, above: bool) -> bool:
        """Whether it puts in doubt that the mean lies `above` a bound, or else below one."""
        too_few = self.drawn and self.n < FEWEST_LEVELS
        return too_few or (-self.value if above else self.value) > math.sqrt(self.n / PER_SQUARE)

    def refusal(self, above: bool) -> str:
        """Why it is refused, and what would do."""
        if self.drawn and self.n < FEWEST_LEVELS:
            return (
                f"{self.n} {self.of} do not show whether they are skewed: at least {FEWEST_LEVELS} to generalise over "
                f"them, or across='these {self.of}'"
            )
        wanted = math.ceil(PER_SQUARE * self.value**2) + 1
        side = "above" if above else "below"
        return (
            f"{self.n} {self.of} with skewness {self.value:.1f} are too few to say that the mean lies {side} a bound: "
            f"measure at least {wanted:,}, or take a proportion"
        )


def skewness_of(scores: np.ndarray, of: str, drawn: bool = False) -> tuple[Skewness, ...]:
    """The skewness of every column (rows x columns); 0 where nothing varies."""
    about = scores - scores.mean(axis=0)
    square = np.mean(about**2, axis=0)
    flat = square <= 1e-24 * np.maximum(1e-300, np.abs(scores).max(axis=0)) ** 2
    found = np.where(flat, 0.0, np.mean(about**3, axis=0) / np.where(flat, 1.0, square) ** 1.5)
    return tuple(Skewness(value, len(scores), of, drawn) for value in found.tolist())


def endangered(found: Sequence[Skewness], value: float, ends: tuple[float, float], bounds: Sequence[Bound]) -> str:
    """Why an end of the interval that a bound is held against is in danger; "" where none is, or the bound is far."""
    for sign, bound in bounds:
        above = sign[0] == ">"
        reach, gap = abs(value - ends[0 if above else 1]), abs(value - bound)
        for one in found:
            if one.endangers(above) and gap < FAR * reach:
                return one.refusal(above)
    return ""
