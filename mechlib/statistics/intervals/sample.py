"""Samples: the units of a measurement as an interval sees them, independent, or falling into clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mechlib.measurement import Measurement
from mechlib.statistics.intervals.crossed import Crossed, design
from mechlib.statistics.intervals.factors import Factor, Scope, scope
from mechlib.statistics.intervals.ordering import by_label_and_unit

Drawn = Literal["units", "clusters", "these"]


@dataclass(frozen=True)
class Sample:
    """Rows in an order of their own (by cluster and unit), and how they were drawn.

    rows      units, or cluster means where clusters were drawn, x columns
    base      denominators of a ratio, one a row; None for means
    sizes     consecutive rows a stratum; one stratum unless `drawn` is "these" or two samples are compared
    shares    what each stratum's mean counts for in the estimate: every cluster the same
    n         units behind the rows; `clusters` their clusters, None where independent
    across    what the estimate generalises over
    factors   all that units share
    crossed   the units themselves with all of that, where it is more than clusters
    """

    rows: np.ndarray
    base: np.ndarray | None
    sizes: tuple[int, ...]
    shares: tuple[float, ...]
    drawn: Drawn
    n: int
    clusters: int | None
    across: str
    factors: tuple[Factor, ...] = ()
    crossed: Crossed | None = None

    @property
    def trials(self) -> float:
        """Units, or what they are worth where strata of unequal size count the same."""
        if len(set(self.sizes)) == 1:
            return float(self.n)
        return 1 / sum(share**2 / size for share, size in zip(self.shares, self.sizes, strict=True))

    @property
    def starts(self) -> np.ndarray:
        """The first row of each cluster."""
        return np.cumsum((0, *self.sizes[:-1]))

    def combined(self, values: np.ndarray) -> np.ndarray:
        """Stratum means of values (rows x columns), added with their shares; of equal values exactly that value."""
        means, shares = means_of_runs(values, self.starts, self.sizes), np.array(self.shares)
        low = high = np.zeros(values.shape[1])  # shares of a sample add up to one: what they weigh lies between these
        for sign in (1, -1):  # those of a second sample, which is taken from the first, to minus one
            side = sign * means[sign * shares > 0]
            if len(side):
                low, high = low + side.min(axis=0), high + side.max(axis=0)
        within: np.ndarray = np.clip(shares @ means, low, high)
        return within

    def within(self, values: np.ndarray) -> np.ndarray:
        """Values (rows x columns) less the mean of their stratum."""
        means = means_of_runs(values, self.starts, self.sizes)
        centred: np.ndarray = values - np.repeat(means, self.sizes, axis=0)
        return centred


def sample(measured: Measurement, across: str | None, base: Measurement | None = None, factors: bool = False) -> Sample:
    """The rows of a measurement as R8 (docs/STATISTICS.md) sees them; `base` has the denominators of the same units.

    across   None for the widest: clusters where there are any, else units. "templates" (or "names", ...) for
             clusters drawn at random, "these templates" for clusters held fixed.
    factors  whether the sample is to know what units share besides, as R29 asks of means, ratios and differences
    """
    found = scope(measured, across)
    drawn, noun = _drawn(found)
    labels = found.clusters or ("",) * len(measured)
    order = by_label_and_unit(labels, measured.sorted_by)
    rows = measured.values[order]
    below = None if base is None else base.array[order]
    crossed = Crossed(design(measured, across), rows, below) if factors and found.crossed else None
    sizes = _runs([labels[row] for row in order])
    clusters = None if drawn == "units" else len(sizes)
    shares = (1 / len(sizes),) * len(sizes)
    if drawn == "clusters":
        starts = np.cumsum((0, *sizes[:-1]))
        rows = means_of_runs(rows, starts, sizes)
        below = None if below is None else means_of_runs(below[:, None], starts, sizes)[:, 0]
        sizes, shares = (len(sizes),), (1.0,)
    return Sample(
        rows, below, sizes, shares, drawn, len(measured), clusters, noun, (*found.random, *found.fixed), crossed
    )


def means_of_runs(values: np.ndarray, starts: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """The mean of each run of consecutive rows (rows x columns): never outside of the run's values.

    A sum of equal values rounds, and so would the mean: twenty times .1 over twenty is not .1.
    """
    means = np.add.reduceat(values, starts, axis=0) / np.array(sizes)[:, None]
    lowest, highest = np.minimum.reduceat(values, starts, axis=0), np.maximum.reduceat(values, starts, axis=0)
    within: np.ndarray = np.clip(means, lowest, highest)
    return within


def _drawn(found: Scope) -> tuple[Drawn, str]:
    if not found.clusters:
        return "units", found.noun
    return ("these", f"these {found.noun}") if found.cluster_fixed else ("clusters", found.noun)


def _runs(labels: Sequence[str]) -> tuple[int, ...]:
    sizes: list[int] = []
    for label, before in zip(labels, [None, *labels], strict=False):
        if label == before:
            sizes[-1] += 1
        else:
            sizes.append(1)
    return tuple(sizes)
