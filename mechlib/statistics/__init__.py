"""Statistics: measurements to estimates.

`mean`, `proportion`, `ratio`, `difference`, `correlation`, `across_seeds` and `exact` each return an Estimate,
or a Family where a measurement has several columns. Rows are put into an order of their own first, so
that an estimate is a function of what was measured on which unit and of nothing else.
"""

from mechlib.statistics.correlations import correlation
from mechlib.statistics.differences import difference
from mechlib.statistics.means import RatioRefused, mean, proportion, ratio
from mechlib.statistics.nulls import above_null, permutation_p, sign_flip_p
from mechlib.statistics.resampling import TooFew, set_seed_offset
from mechlib.statistics.selecting import above, circuit_above, strongest, strongest_circuit
from mechlib.statistics.trainings import across_seeds, exact

__all__ = [
    "RatioRefused", "TooFew", "above", "above_null", "across_seeds", "circuit_above", "correlation", "difference",
    "exact", "mean", "permutation_p", "proportion", "ratio", "set_seed_offset", "sign_flip_p", "strongest",
    "strongest_circuit",
]  # fmt: skip
