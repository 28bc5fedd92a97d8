"""Factors: what the units of a measurement share, and over which of it an estimate generalises."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mechlib.measurement import Measurement
from mechlib.statistics.estimate import listed, plural

FEWEST = 5  # levels that can stand for all levels
Named = tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]  # as a measurement has them


@dataclass(frozen=True)
class Factor:
    """Something that units share: its name in the plural, and the levels of each unit (two names, three operands)."""

    name: str
    levels: tuple[tuple[str, ...], ...]

    @property
    def count(self) -> int:
        """How many levels there are."""
        return len({level for own in self.levels for level in own})

    @property
    def single(self) -> bool:
        """Whether every unit has one level."""
        return all(len(own) == 1 for own in self.levels)

    @property
    def shared(self) -> bool:
        """Whether units differ in it, and some have a level in common."""
        uses = Counter(level for own in self.levels for level in own)
        return len(uses) > 1 and max(uses.values()) > 1

    def incidence(self, order: Sequence[int]) -> np.ndarray:
        """1 where a unit has a level, else 0: units, in this order, x levels."""
        place = {level: column for column, level in enumerate(sorted({level for own in self.levels for level in own}))}
        found = np.zeros((len(order), len(place)))
        for row, unit in enumerate(order):
            found[row, [place[level] for level in self.levels[unit]]] = 1
        return found

    def together(self) -> Factor:
        """All levels of a unit as one: which units have the same pair of names."""
        return Factor(f"{self.name} together", tuple((" & ".join(sorted(own)),) for own in self.levels))


@dataclass(frozen=True)
class Scope:
    """What an estimate generalises over.

    random, fixed  factors whose levels stand for all such, and those that are held as they are
    clusters       one label a unit, each of which counts the same in the estimate; empty where each unit does
    noun           what a cluster is, in the plural; what a unit is where there are none
    """

    random: tuple[Factor, ...]
    fixed: tuple[Factor, ...]
    clusters: tuple[str, ...]
    noun: str

    @property
    def crossed(self) -> bool:
        """Whether there is more to allow for than clusters, all drawn or all fixed (R29, else R8)."""
        if not self.random:
            return any(factor.name != self.noun for factor in self.fixed)
        return bool(self.fixed) or len(self.random) > 1 or not self.clusters

    @property
    def cluster_fixed(self) -> bool:
        """Whether clusters are held fixed."""
        return any(factor.name == self.noun for factor in self.fixed)

    @property
    def across(self) -> str:
        """In words: "templates and names", "nouns on these centuries"."""
        drawn, held = ([factor.name for factor in factors] for factors in (self.random, self.fixed))
        if not drawn:
            return listed([f"these {name}" for name in held])
        return listed(drawn) + (f" on these {listed(held)}" if held else "")


def scope(measured: Measurement, across: str | None) -> Scope:
    """What units share, and which of it `across` holds fixed ("these names"); all else is drawn.

    A factor beside the clusters that has fewer than five levels, and that `across` does not name, is held fixed, for so
    few stand for no others.

    Raises ValueError for an `across` that names nothing that units share.
    """
    return _scope(plural(measured.unit), len(measured), measured.clusters, measured.factors, across)


@lru_cache(maxsize=512)
def _scope(units: str, n: int, clusters: tuple[str, ...], named: Named, across: str | None) -> Scope:
    said = _said(across)
    factors, labels, noun = _factors(clusters, named, said)
    if units in said and 0 < len(set(clusters)) < n:
        raise ValueError(
            f"{n} {units} share {len(set(clusters))} clusters, so they are not independent: "
            f"across='templates' (or what the clusters are), or across='these templates'"
        )
    names = [factor.name for factor in factors]
    if set(said) - {*names, units}:
        raise ValueError(
            f"across={across!r}, but these {units} share {listed(names)}: name these, or 'these {names[0]}'"
            if names
            else f"across={across!r}, but these {units} are independent: there is nothing else to generalise over"
        )
    fixed = [factor for factor in factors if said.get(factor.name, factor.name != noun and factor.count < FEWEST)]
    return Scope(tuple(factor for factor in factors if factor not in fixed), tuple(fixed), labels, noun or units)


def _said(across: str | None) -> dict[str, bool]:
    """The nouns of `across`, each with whether it is held fixed."""
    parts = re.split(r", | and | on ", across) if across else []
    return {part.removeprefix("these "): part.startswith("these ") for part in parts}


def _factors(
    clusters: tuple[str, ...], given: Named, said: Iterable[str]
) -> tuple[tuple[Factor, ...], tuple[str, ...], str]:
    """What units share, clusters first; the label of each unit's cluster, and what clusters are called.

    Units without clusters whose one factor has one level each are clustered by it.
    """
    named = [Factor(plural(name), levels) for name, levels in given]
    own = tuple((label,) for label in clusters)
    others = [factor for factor in named if factor.levels != own and factor.shared]
    if not clusters:
        if len(others) != 1 or not others[0].single:
            return tuple(others), (), ""
        return tuple(others), tuple(levels[0] for levels in others[0].levels), others[0].name
    known = next((factor.name for factor in named if factor.levels == own), "")
    free = [name for name in said if name not in {factor.name for factor in named}]
    noun = known or (free[0] if free else "templates")
    return (Factor(noun, own), *others), clusters, noun
