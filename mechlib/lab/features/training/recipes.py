"""Recipes: which sparse autoencoder is trained and how, whatever it is trained on."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Kind = Literal["standard", "topk", "jumprelu", "batchtopk", "matryoshka", "gated", "matching-pursuit"]
Frozen = Literal["", "decoder", "encoder", "soft"]

BY_K: tuple[Kind, ...] = ("topk", "jumprelu", "batchtopk", "matryoshka", "matching-pursuit")  # the others by `l1`
TIED: tuple[Kind, ...] = ("matching-pursuit",)  # no encoder of their own
WARM_UP, DECAY = 0.05, 0.2  # shares of the steps, at the beginning and at the end
WINDOW = 0.1  # of the steps: a feature that was not active for so long is dead while training, as SAELens counts
LONGEST = 1000  # steps of that window, at most


@dataclass(frozen=True)
class Recipe:
    """How a sparse autoencoder is trained.

    kind      "standard" (L1; Bricken et al. 2023), "topk" (Gao et al. 2024, arXiv:2406.04093), "jumprelu"
              (Rajamanoharan et al. 2024, arXiv:2407.14435; its L0 is driven to `k`), "batchtopk" (Bussmann et al. 2024,
              arXiv:2412.06410), "matryoshka" (Bussmann et al. 2025, arXiv:2503.17547), "gated" (Rajamanoharan et al.
              2024, arXiv:2404.16014), "matching-pursuit" (Costa et al. 2025, arXiv:2506.03093)
    features  how many features the dictionary has
    k         active features a row, of the kinds that choose so many: on average over a batch in batchtopk and
              matryoshka, at most in matching-pursuit, aimed at in jumprelu
    l1        the weight of the sparsity term in standard and gated, of inputs scaled to a mean norm of sqrt(width)
    seed      of the initial weights and of the order of rows
    samples   rows that training sees, those seen again counted again
    frozen    "" trains all; "decoder" and "encoder" keep that matrix as it was drawn; "soft" keeps each decoder
              direction within `cosine` of its start (Korznikov et al. 2026, arXiv:2602.14111)
    cosine    the least cosine of a softly frozen direction with its start
    exact     of topk on a CPU: gradients of active features alone, which are all that there are (`exact_topk`). False
              has SAELens compute the others too

    Rows are scaled to a mean norm of sqrt(width), which the weights take up when training ends. The rate warms up over
    the first twentieth of the steps and decays to zero over the last fifth.

    Raises ValueError for a kind or a number that cannot be trained.
    """

    kind: Kind
    features: int
    k: int = 16
    l1: float = 1.0
    seed: int = 0
    samples: int = 1_000_000
    batch: int = 1024
    rate: float = 1e-3
    frozen: Frozen = ""
    cosine: float = 0.8
    exact: bool = True

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"no kind {self.kind!r} of sparse autoencoder: choose one of {', '.join(get_args(Kind))}")
        if self.frozen not in get_args(Frozen):
            raise ValueError(f"nothing {self.frozen!r} to freeze: choose decoder, encoder or soft, or leave it out")
        if self.frozen == "encoder" and self.kind in TIED:
            raise ValueError(f"{self.kind} has no encoder of its own to freeze: freeze the decoder")
        for name in ("features", "samples", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give at least 1")
        if self.kind in BY_K and not 1 <= self.k <= self.features:
            raise ValueError(f"k is {self.k} of {self.features} features: give 1 to {self.features}")
        if not 0 < self.rate < math.inf or not 0 <= self.l1 < math.inf:
            raise ValueError(f"a rate of {self.rate} and an l1 of {self.l1}: give a positive rate, and l1 of 0 or more")
        if self.samples < self.batch:
            raise ValueError(f"{self.samples} rows in batches of {self.batch}: train for at least one batch")
        if not 0 < self.cosine < 1:
            raise ValueError(f"a cosine of {self.cosine} to the start: give one between 0 and 1")

    @property
    def steps(self) -> int:
        """How many batches training sees."""
        return self.samples // self.batch

    @property
    def window(self) -> int:
        """After so many steps without being active a feature is dead while training."""
        return min(LONGEST, max(1, math.ceil(WINDOW * self.steps)))

    def said(self) -> dict[str, Any]:
        """The recipe as it stands on a card."""
        return asdict(self)


def features_of(text: str, width: int) -> int:
    """How many features "8x" or "4608" mean at this width. Raises ValueError for what is neither."""
    number = text.strip().removesuffix("x")
    try:
        found = round(float(number) * width) if text.strip().endswith("x") else int(number)
    except ValueError:
        found = 0
    if found < 1:
        raise ValueError(f"{text!r} is no number of features: give one, as 4608, or a multiple of the width, as 8x")
    return found
