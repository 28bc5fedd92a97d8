"""What the units of an estimate vary by: the share of their variance that goes with each thing they share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from mechlib.measurement import Measurement
from mechlib.statistics.intervals.factors import Factor
from mechlib.statistics.intervals.ordering import by_label_and_unit

Shares = tuple[tuple[str, float], ...]


def shares_of_variance(measured: Measurement, factors: Sequence[Factor], values: np.ndarray) -> list[Shares]:
    """For every column (units x columns) the share of variance that goes with each factor alone, by its name.

    It is the adjusted R2 of a regression on the factor's levels (a unit with two names counts for both), so about 0
    where levels make no difference, however many there are; and beside it, as "names together", that on all levels of
    a unit as one, where at least two units on average have the same. Factors overlap in most designs: shares need not
    add up to one, and say nothing of which of two factors it is that matters.

    Source: docs/STATISTICS.md, R29; Ezekiel 1930 for the adjustment.
    """
    names = measured.sorted_by
    order = by_label_and_unit(("",) * len(names), names)
    centred = values[order] - values[order].mean(axis=0)
    total = np.square(centred).sum(axis=0)
    found: list[dict[str, float]] = [{} for _ in total]
    for factor in _with_pairs(factors, len(names)):
        basis = _basis(factor, names)
        left = len(names) - 1 - basis.shape[1]
        if left < 1:
            continue
        explained = np.square(basis.T @ centred).sum(axis=0)
        for shares, part, whole in zip(found, explained.tolist(), total.tolist(), strict=True):
            if whole > 0:
                shares[factor.name] = round(min(1.0, max(0.0, 1 - (1 - part / whole) * (len(names) - 1) / left)), 4)
    return [tuple(shares.items()) for shares in found]


def _with_pairs(factors: Sequence[Factor], n: int) -> list[Factor]:
    """Factors, each followed by its levels together where units have several and enough units have the same."""
    found = []
    for factor in factors:
        found.append(factor)
        if not factor.single and 2 * (both := factor.together()).count <= n:
            found.append(both)
    return found


@lru_cache(maxsize=128)
def _basis(factor: Factor, names: tuple[str, ...]) -> np.ndarray:
    """Orthonormal columns (units, by name, x rank) that span the factor's levels beside the mean."""
    levels = factor.incidence(by_label_and_unit(("",) * len(names), names).tolist())
    left, size, _ = np.linalg.svd(levels - levels.mean(axis=0), full_matrices=False)
    basis: np.ndarray = left[:, size > 1e-10 * max(size[0], 1.0)]
    return basis
