"""Statistics: measurements to estimates.

`mean`, `proportion`, `ratio`, `difference`, `correlation`, `across_seeds` and `exact` each return an Estimate,
or a Family where a measurement has several columns. Rows are put into an order of their own first, so
that an estimate is a function of what was measured on which unit and of nothing else.
"""

from mechlib.statistics.circuits.dependence import distance_correlation
from mechlib.statistics.circuits.faithfulness import cmd, cpr, faithfulness, gap, share_kept
from mechlib.statistics.circuits.hypotheses import (
    equivalence,
    independence,
    minimality,
    partial_necessity,
    sufficiency,
)
from mechlib.statistics.circuits.nulls import above_null, permutation_p, sign_flip_p
from mechlib.statistics.circuits.recovery import precision, recall
from mechlib.statistics.circuits.stability import agreement_of_halves, overlap
from mechlib.statistics.correlations import correlation
from mechlib.statistics.differences import difference
from mechlib.statistics.intervals.resampling import TooFew, set_seed_offset
from mechlib.statistics.means import RatioRefused, mean, proportion, ratio
from mechlib.statistics.selection import above, circuit_above, strongest, strongest_circuit
from mechlib.statistics.trainings import across_seeds, exact

__all__ = [
    "RatioRefused", "TooFew", "above", "above_null", "across_seeds", "agreement_of_halves", "circuit_above", "cmd",
    "correlation", "cpr", "difference", "distance_correlation", "equivalence", "exact", "faithfulness", "gap",
    "independence", "mean", "minimality", "overlap", "partial_necessity", "permutation_p", "precision", "proportion",
    "ratio", "recall", "set_seed_offset", "share_kept", "sign_flip_p", "strongest", "strongest_circuit", "sufficiency",
]  # fmt: skip
