"""Histograms of many features at once, over values that come in parts and whose largest is not known before."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

BINS = 32


class Histograms:
    """How often each feature was how active: equal bins from 0 to a power of two that is more than the largest.

    Where a larger value comes, the power doubles and neighbouring bins are joined, so that counts are those of all
    values sorted at once: bins are joined whole.

    counts     in each bin: int64, [features bins]
    exponents  bins end at 2 ** exponent; `unset` for a feature without a value
    """

    unset = -1000

    def __init__(self, features: int, bins: int = BINS) -> None:
        self.counts: Int[Tensor, "features bins"] = torch.zeros(features, bins, dtype=torch.long)
        self.exponents = torch.full((features,), self.unset, dtype=torch.long)

    def add(self, features: Int[Tensor, " values"], values: Float[Tensor, " values"]) -> None:
        """Counts values, each above zero, of the features that they belong to."""
        if not len(values):
            return
        exponents = torch.frexp(values).exponent.long()  # the least power of two that is more than the value
        needed = self.exponents.clone().scatter_reduce_(0, features, exponents, "amax")
        self._widen(needed)
        bins = self.counts.shape[1]
        within = torch.ldexp(values.double(), -self.exponents[features])
        places = features * bins + (within * bins).long()
        self.counts += torch.bincount(places, minlength=self.counts.numel()).view_as(self.counts)

    def _widen(self, needed: Int[Tensor, " features"]) -> None:
        fresh = self.exponents == self.unset
        self.exponents = torch.where(fresh, needed, self.exponents)
        while (late := self.exponents < needed).any():
            joined = self.counts[late].unflatten(1, (-1, 2)).sum(-1)
            self.counts[late] = torch.cat([joined, torch.zeros_like(joined)], dim=1)
            self.exponents[late] += 1

    def of(self, feature: int) -> tuple[float, list[int]]:
        """The width of a bin, and the counts up to the last that holds something; (0, []) where nothing was counted."""
        if self.exponents[feature] == self.unset:
            return 0.0, []
        counts = self.counts[feature]
        last = int(counts.nonzero()[-1])
        return 2.0 ** int(self.exponents[feature]) / len(counts), counts[: last + 1].tolist()
