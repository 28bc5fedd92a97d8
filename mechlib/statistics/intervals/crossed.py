"""Crossed factors: the error of a mean whose units share templates, names, operands, in any pattern (R29).

With S_uv = 1 where two units share a level of any random factor, weights w and residuals e, the variance is
V = e'(S o ww')e / (1 - k), k = w'Sw, and never below that of one factor alone, of units whose levels are all the same,
or of independent units, each computed in this way. The interval is t on the least of the factors' degrees of freedom.

Residuals are taken about the mean, or, where a factor is held fixed, about what its levels explain. Then the share of
their variance that is left in e, which is 1 - k for units in equal numbers, is computed from traces.

Source: docs/STATISTICS.md, R29; Cameron, Gelbach and Miller 2011 for several factors, Aronow, Samii and Assenova 2015
for dyads, Satterthwaite 1946 and Bell and McCaffrey 2002 for the degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mechlib.measurement import Measurement
from mechlib.statistics.intervals.factors import FEWEST, Factor, Scope, scope
from mechlib.statistics.intervals.ordering import by_label_and_unit
from mechlib.statistics.intervals.resampling import TooFew

DENSEST = 0.85  # share of pairs of units that have a level in common, beyond which their spread cannot be seen
FEWEST_UNITS = 20  # as for any mean


@dataclass(frozen=True, eq=False)
class Kind:
    """One way in which units depend, and 1 - k of it.

    levels  Z where each unit has one level, so that S = ZZ' (units x levels); else `shared` is S; neither: independent
    """

    kept: float
    levels: np.ndarray | None = None
    shared: np.ndarray | None = None

    def variance(self, weighted: np.ndarray) -> np.ndarray:
        """V of every column, of residuals times their weights (units x columns)."""
        if self.shared is not None:
            quadratic: np.ndarray = np.einsum("uc,uc->c", self.shared @ weighted, weighted)
        else:
            summed = weighted if self.levels is None else self.levels.T @ weighted
            quadratic = np.square(summed).sum(axis=0)
        return quadratic / self.kept


@dataclass(frozen=True, eq=False)
class Design:
    """What units share, without their values: all that an error term needs to know. Units by cluster and name.

    weights  of each unit in the estimate (of a second sample, that is taken away, negative)
    sides    the number of the sample that each unit is of
    basis    orthonormal columns (units x r), in units of the weights' roots: what residuals are taken about
    kinds    ways in which units depend: all together, each factor's, each pair's, none
    df       the least degrees of freedom, those of the factor `limiting`
    levels   how many levels each factor has, "names" and "these centuries"; the limiting one first
    incidences  of each random factor, 1 where a unit has a level, else 0 (units x levels)
    """

    scope: Scope
    weights: np.ndarray
    sides: np.ndarray
    basis: np.ndarray
    kinds: tuple[Kind, ...]
    df: float
    limiting: str
    levels: tuple[tuple[str, int], ...]
    incidences: dict[str, np.ndarray]

    @property
    def k(self) -> float:
        """The share of pairs of units that have a level in common, by weight: what 1 - k corrects for."""
        return 1 - self.kinds[0].kept

    def residuals(self, values: np.ndarray) -> np.ndarray:
        """Values (units x columns) less what the mean, and factors held fixed, explain of them."""
        root = np.sqrt(np.abs(self.weights))[:, None]
        explained: np.ndarray = self.basis @ (self.basis.T @ (values * root)) / root
        return values - explained

    def variance(self, values: np.ndarray) -> np.ndarray:
        """The variance of the weighted mean of every column (units x columns)."""
        weighted = self.residuals(values) * self.weights[:, None]
        found: np.ndarray = np.max([kind.variance(weighted) for kind in self.kinds], axis=0)
        return found

    def scores(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """What the levels of each random factor score (levels x columns): the mean residual of the units that have one.

        Units of a sample that is taken away count with the other sign. Skewed scores are refused (R30).
        """
        weighted = self.residuals(values) * self.weights[:, None]
        size = np.abs(self.weights)
        return {name: (levels.T @ weighted) / (size @ levels)[:, None] for name, levels in self.incidences.items()}


@dataclass(frozen=True, eq=False)
class Crossed:
    """The units of a sample, as their design orders them: values (units x columns), and a ratio's denominators."""

    design: Design
    rows: np.ndarray
    base: np.ndarray | None

    def residuals(self, value: np.ndarray, below: float) -> np.ndarray:
        """What the estimate is a mean of, up to a constant; of a ratio linearised (Cochran 1977, section 6)."""
        return self.rows / below if self.base is None else (self.rows - value * self.base[:, None]) / below


def design(measured: Measurement, across: str | None = None, equal: bool = False) -> Design:
    """The design of a measurement's units, by cluster and name; the same object for the same units.

    equal  whether every unit counts the same (in correlations); otherwise every cluster does

    Raises TooFew, naming the factor, where fewer than 5 degrees of freedom are left, where k is above .85, and below
    20 units; ValueError as `scope` does.
    """
    found = scope(measured, across)
    return _design(found, found.clusters or ("",) * len(measured), measured.sorted_by, equal)


@lru_cache(maxsize=48)
def _design(found: Scope, labels: tuple[str, ...], names: tuple[str, ...], equal: bool) -> Design:
    order = by_label_and_unit(labels, names).tolist()
    ordered = [labels[row] for row in order]
    sizes = {label: ordered.count(label) for label in set(ordered)}
    each = {label: 1 / len(ordered) if equal else 1 / len(sizes) / size for label, size in sizes.items()}
    weights = np.array([each[label] for label in ordered])
    random, fixed = (tuple(_Incidence.of(factor, order) for factor in part) for part in (found.random, found.fixed))
    return _made(found, weights, np.zeros(len(order), dtype=int), random, fixed)


def beside(first: Design, one: Measurement, second: Design, other: Measurement, across: str | None) -> Design:
    """The design of a difference between two samples that have no unit in common but share the same factors."""
    order = (*_order(one, across), *(len(one) + row for row in _order(other, across)))
    return _joint(first, second, order)


@lru_cache(maxsize=48)
def _joint(first: Design, second: Design, order: tuple[int, ...]) -> Design:
    parts = []
    for kind in ("random", "fixed"):
        a, b = (getattr(found.scope, kind) for found in (first, second))
        joint = [Factor(x.name, x.levels + y.levels) for x, y in zip(a, b, strict=True)]
        parts.append(tuple(_Incidence.of(factor, order) for factor in joint))
    weights = np.concatenate([first.weights, -second.weights])
    return _made(first.scope, weights, np.repeat((0, 1), (len(first.weights), len(second.weights))), *parts)


def _order(measured: Measurement, across: str | None) -> list[int]:
    labels = scope(measured, across).clusters or ("",) * len(measured)
    return by_label_and_unit(labels, measured.sorted_by).tolist()


@dataclass(frozen=True, eq=False)
class _Incidence:
    """A factor's levels as zeros and ones (units x levels), and those of units that have all of them in common."""

    name: str
    levels: np.ndarray
    together: np.ndarray | None  # None where each unit has one level

    @classmethod
    def of(cls, factor: Factor, order: Sequence[int]) -> _Incidence:
        together = None if factor.single else factor.together().incidence(order)
        return cls(factor.name, factor.incidence(order), together)

    @property
    def shared(self) -> np.ndarray:
        """1 where two units have a level in common, else 0."""
        return np.minimum(self.levels @ self.levels.T, 1.0)


def _made(
    found: Scope, weights: np.ndarray, sides: np.ndarray, random: Sequence[_Incidence], fixed: Sequence[_Incidence]
) -> Design:
    if len(weights) < FEWEST_UNITS:
        raise TooFew(f"n={len(weights)} are too few for an interval: measure at least {FEWEST_UNITS}")
    basis = _basis(weights, sides, fixed)
    union = np.eye(len(weights))
    for factor in random:
        union = np.maximum(union, factor.shared)
    plain = not fixed and not sides.any()
    kinds = tuple(
        Kind(_kept(shared, weights, basis, plain), levels, None if levels is not None else shared)
        for shared, levels in _patterns(union, random)
    )
    kinds += (Kind(_kept(np.eye(len(weights)), weights, basis, plain)),)
    spread = _spread(union, weights, basis)
    freedom = {factor.name: _freedom(spread, _by_side(factor.levels, sides)) for factor in random}
    limiting = min(freedom, key=freedom.__getitem__, default="")
    df = freedom[limiting] if random else _freedom(spread, np.eye(len(weights)))
    counts = [(factor.name, factor.levels.shape[1]) for factor in random]
    levels = sorted(counts, key=lambda entry: entry[0] != limiting)
    levels += [(f"these {factor.name}", factor.levels.shape[1]) for factor in fixed]
    own = {factor.name: factor.levels for factor in random}
    made = Design(found, weights, sides, basis, kinds, df, limiting, tuple(levels), own)
    _refuse_dense(made, random)
    return made


def _patterns(union: np.ndarray, random: Sequence[_Incidence]) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """S of all factors, of each, and of units that have all levels of one in common; Z beside it where S = ZZ'."""
    found: list[tuple[np.ndarray, np.ndarray | None]] = [(union, None)] if len(random) != 1 else []
    for factor in random:
        if factor.together is None:
            found.append((factor.shared, factor.levels))
        else:
            found += [(factor.shared, None), (factor.together @ factor.together.T, factor.together)]
    return found


def _basis(weights: np.ndarray, sides: np.ndarray, fixed: Sequence[_Incidence]) -> np.ndarray:
    """Orthonormal columns that the mean of each side, and the levels of fixed factors in it, span."""
    columns = np.concatenate([np.ones((len(weights), 1)), *(factor.levels for factor in fixed)], axis=1)
    weighted = _by_side(columns, sides) * np.sqrt(np.abs(weights))[:, None]
    left, size, _ = np.linalg.svd(weighted, full_matrices=False)
    basis: np.ndarray = left[:, size > 1e-10 * size[0]]
    return basis


def _by_side(columns: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Columns (units x levels), apart for each sample: a level may do otherwise in another one."""
    if not sides.any():
        return columns
    return np.concatenate([columns * (sides == side)[:, None] for side in (0, 1)], axis=1)


def _spread(shared: np.ndarray, weights: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """A = M'(S o ww')M, with M what takes residuals: V is y'Ay of the values y, up to 1 - k."""
    root = np.sqrt(np.abs(weights))
    signed = np.sign(weights) * root
    inner = shared * signed[:, None] * signed
    inner = inner - basis @ (basis.T @ inner)
    inner = inner - (inner @ basis) @ basis.T
    spread: np.ndarray = inner * root[:, None] * root
    return spread


def _kept(shared: np.ndarray, weights: np.ndarray, basis: np.ndarray, plain: bool) -> float:
    """1 - k, k = w'Sw; where residuals are about more than one mean, the share of independent units' variance in e."""
    if plain:
        return float(1 - weights @ shared @ weights)
    return float(np.trace(_spread(shared, weights, basis)) / np.square(weights).sum())


def _freedom(spread: np.ndarray, levels: np.ndarray) -> float:
    """Satterthwaite's degrees of freedom of y'Ay where all that varies are the levels of one factor."""
    inner = levels.T @ spread @ levels
    square = np.square(inner).sum()
    return float(np.trace(inner) ** 2 / square) if square > 0 else 0.0


def _refuse_dense(made: Design, random: Sequence[_Incidence]) -> None:
    """TooFew where the spread of what is shared cannot be seen, naming the factor."""
    if made.k > DENSEST:
        alone = {factor.name: float(made.weights @ factor.shared @ made.weights) for factor in random}
        name = max(alone, key=alone.__getitem__)
        raise TooFew(
            f"{made.scope.across}: too many units share too much for its spread to be seen (k = {made.k:.2f}, at most "
            f"{DENSEST}): measure more {name} with fewer in common, or across='these {name}'"
        )
    if made.df < FEWEST:
        counts = dict(made.levels)
        what = f"{counts[made.limiting]} {made.limiting}" if made.limiting else "what is left beside what is held fixed"
        cure = f", or across='these {made.limiting}'" if made.limiting else ""
        raise TooFew(
            f"{what} have {made.df:.1f} degrees of freedom, too few to generalise over them: at least {FEWEST}{cure}"
        )
