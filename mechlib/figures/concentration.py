"""How an effect is spread over the heads of a model: at which depth it lies, and how few heads hold how much of it.

It compares models of other sizes, by relative depth and by shares. The numbers describe, and decide nothing. The
absolute mean of noise is above zero, and hundreds of idle heads would make any effect look spread: so a mean counts as
none where its interval, simultaneous over the columns, holds zero. What is too weak to be seen is missing, then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np

from mechlib.figures.points import once
from mechlib.measurement import Measurement


@dataclass(frozen=True)
class Concentration:
    """Shares of the effect: of each head's and MLP's absolute mean over units, beyond noise, as parts of their sum.

    heads   by layer, what its heads hold together; `mlps` the same of its MLP, zeros where none was measured
    ranked  each head's share of what all heads hold, from the strongest on: sums to 1, or to 0 without any effect
    """

    heads: tuple[float, ...]
    mlps: tuple[float, ...]
    ranked: tuple[float, ...]

    @property
    def layers(self) -> tuple[float, ...]:
        """By layer, what its heads and its MLP hold together."""
        return tuple(head + mlp for head, mlp in zip(self.heads, self.mlps, strict=True))

    @property
    def depths(self) -> tuple[float, ...]:
        """The relative depth of each layer: 0 the first, 1 the last."""
        return tuple(layer / max(1, len(self.heads) - 1) for layer in range(len(self.heads)))

    @property
    def mean_depth(self) -> float:
        """The mean relative depth of the heads, each with the weight of its share; nan without any effect."""
        total = sum(self.heads)
        return sum(d * share for d, share in zip(self.depths, self.heads, strict=True)) / total if total else math.nan

    @cached_property
    def cumulated(self) -> tuple[float, ...]:
        """What the strongest head holds, the two strongest, ... of what all heads hold."""
        return tuple(float(share) for share in np.cumsum(self.ranked))

    @property
    def effective(self) -> float:
        """How many heads of equal share would be as concentrated: 1 / sum of squared shares; 0 without any effect.

        Source: Laakso and Taagepera 1979; Hill 1973, of order two.
        """
        squares = sum(share**2 for share in self.ranked)
        return 1 / squares if squares else 0.0

    @property
    def gini(self) -> float:
        """0 where all heads hold the same, (n - 1) / n where one of n holds all. Source: Gini 1912."""
        n = len(self.ranked)
        return float(sum((n + 1 - 2 * rank) * share for rank, share in enumerate(self.ranked, start=1)) / n)

    @property
    def for_half(self) -> int:
        """The fewest heads that hold half of what all heads hold; 0 without any effect."""
        return next((n for n, share in enumerate(self.cumulated, start=1) if share >= 0.5 - 1e-12), 0)

    @property
    def said(self) -> tuple[str, str]:
        """Two lines for below a drawing."""
        n, mlps = len(self.ranked), sum(self.mlps)
        if not self.for_half:
            return f"none of {n} heads has an effect", f"MLPs {100 * mlps:.0f} %" if mlps else ""
        beside = f"; MLPs {100 * mlps:.0f} %" if mlps else ""
        return (
            f"{self.effective:.1f} effective of {sum(map(bool, self.ranked))} seen in {n} heads",
            f"half in {self.for_half}; Gini {self.gini:.2f}; depth {self.mean_depth:.2f}{beside}",
        )


@once
def concentration(measurement: Measurement) -> Concentration:
    """The shares of all heads ("layer.head") and MLPs ("mlp 0"), other columns left out. ValueError without heads."""
    names = measurement.head_columns
    if not names:
        some = ", ".join(measurement.columns[:4])
        raise ValueError(f"no column is a head ({some}): columns named layer.head have a depth")
    means = dict(zip(measurement.columns, _beyond_noise(measurement.values), strict=True))
    mlps = {int(name[4:]): float(means[name]) for name in measurement.mlp_columns if name[4:].isdecimal()}
    of_heads = [(int(name.split(".")[0]), float(means[name])) for name in names]
    layers = 1 + max([layer for layer, _ in of_heads] + list(mlps))
    all_heads = math.fsum(effect for _, effect in of_heads)
    total = all_heads + math.fsum(mlps.values())
    by_layer = np.zeros(layers)
    for layer, effect in of_heads:
        by_layer[layer] += effect
    return Concentration(
        tuple(float(effect) / (total or 1.0) for effect in by_layer),
        tuple(mlps.get(layer, 0.0) / (total or 1.0) for layer in range(layers)),
        tuple(sorted((effect / (all_heads or 1.0) for _, effect in of_heads), reverse=True)),
    )


def _beyond_noise(values: np.ndarray) -> np.ndarray:
    """Absolute means by column, 0 where a normal interval after Bonferroni holds it; units count as independent."""
    n, columns = values.shape
    means: np.ndarray = np.abs(values.mean(axis=0))
    if n < 2:
        return means
    critical = NormalDist().inv_cdf(1 - 0.025 / columns)
    return np.where(means > critical * values.std(axis=0, ddof=1) / math.sqrt(n), means, 0.0)
