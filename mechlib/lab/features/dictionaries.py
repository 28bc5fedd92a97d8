"""Dictionaries: directions of an activation with an encoder, sparse autoencoders and what they are compared with alike.

The baselines say how much of a sparse autoencoder's number comes with keeping so many numbers of so many: principal
components and single neurons keep the k largest coefficients, random directions have the same encoder as TopK.
Source: docs/STATISTICS.md, R18.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.lab.features.rows import chunks

Encode = Callable[[Tensor], Tensor]


class DeadDictionary(ValueError):
    """A dictionary of which no feature is ever active: it reconstructs one and the same point."""


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Directions of an activation, and how much of each there is in it.

    name        for columns and errors
    encode      activations, [... width], to how active each feature is, [... features]
    directions  what a feature adds to the activation where it is active by 1: [features width]
    offset      the activation where none is active: [width]
    hook        the activation's hook name; "" where it is not on record
    mean        the mean row that it was made from, [width]; None where it is not on record
    card        what is on record of how it was made
    limit       the norm beyond which an activation is none of those that it was made from (massive activations): no
                feature is active there, and what replaces activations by reconstructions leaves it as it is

    The reconstruction is linear in the features: `active @ directions + offset`.
    """

    name: str
    encode: Encode
    directions: Float[Tensor, "features width"]
    offset: Float[Tensor, " width"]
    hook: str = ""
    mean: Float[Tensor, " width"] | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    limit: float = math.inf

    @property
    def features(self) -> int:
        """How many features there are."""
        return len(self.directions)

    @property
    def width(self) -> int:
        """How many numbers an activation has."""
        return self.directions.shape[1]

    def active(self, activations: Float[Tensor, "... width"]) -> Float[Tensor, "... features"]:
        """How active each feature is. ValueError for activations of another width."""
        if activations.shape[-1] != self.width:
            raise ValueError(
                f"{self.name} is for activations {self.width} wide, and these are {activations.shape[-1]}: take a "
                "dictionary of this activation"
            )
        found = self.encode(activations)
        return found if self.limit == math.inf else found * self.usual(activations).unsqueeze(-1)

    def usual(self, activations: Float[Tensor, "... width"]) -> Bool[Tensor, ...]:
        """Whether an activation is of a size that the dictionary is for."""
        return activations.norm(dim=-1) <= self.limit

    def decode(self, active: Float[Tensor, "... features"]) -> Float[Tensor, "... width"]:
        """The reconstruction of an activation from its features."""
        return active @ self.directions + self.offset

    def require(self, feature: int) -> int:
        """The feature's number; ValueError for one that there is not."""
        if not 0 <= feature < self.features:
            raise ValueError(f"{self.name} has no feature {feature}: it has 0 to {self.features - 1}")
        return feature


@torch.no_grad()
def active_counts(dictionary: Dictionary, rows: np.ndarray) -> Int[Tensor, " features"]:
    """On how many rows, [row width], each feature is active: a census. Dead is what is active on none.

    Raises DeadDictionary where every feature is.
    """
    device = str(dictionary.directions.device)
    counts = torch.stack([(dictionary.active(part) != 0).sum(0) for part in chunks(rows, device)]).sum(0)
    if not counts.any():
        raise DeadDictionary(
            f"no feature of {dictionary.name} is active on any of {len(rows)} rows: every one died; train with a lower "
            "l1 or rate, or a larger k"
        )
    return counts


# --- baselines ----------------------------------------------------------------------------------------------------


def spanning(vectors: Float[Tensor, "features width"], name: str = "directions") -> Dictionary:
    """Orthonormal directions that span the same as these vectors, the first along the first; about zero, all of them
    kept. ValueError where a vector is zero or made of the others."""
    q, r = torch.linalg.qr(vectors.T.double())
    sizes = vectors.double().norm(dim=1)
    if vectors.shape[0] > vectors.shape[1] or not bool((r.diagonal().abs() > 1e-9 * sizes.clamp(min=1e-30)).all()):
        raise ValueError(f"{len(vectors)} {name} of which one is zero or made of the others: leave it out")
    directions = (q * r.diagonal().sign()).T.float()
    return Dictionary(name, lambda x: x @ directions.T, directions, torch.zeros(vectors.shape[1]))


def principal_components(rows: np.ndarray, k: int, hook: str = "") -> Dictionary:
    """The principal components of these rows, of which an activation keeps the k largest coefficients, signs as they
    are."""
    mean, covariance = _moments(rows)
    directions = torch.from_numpy(np.linalg.eigh(covariance)[1].T[::-1].copy()).float()
    return _linear(f"{k} principal components", directions, mean, _check(k, len(mean)), hook)


def neurons(rows: np.ndarray, k: int, hook: str = "") -> Dictionary:
    """The coordinates of the activation itself, about their means over these rows, of which it keeps the k largest."""
    mean, _ = _moments(rows)
    return _linear(f"{k} neurons", torch.eye(len(mean)), mean, _check(k, len(mean)), hook)


def random_dictionary(rows: np.ndarray, features: int, k: int, seed: int = 0, hook: str = "") -> Dictionary:
    """Random unit directions with the encoder of TopK: the k largest products with the activation about its mean, cut
    at zero.

    All are multiplied by one number, with which they reconstruct these rows best: products with directions that overlap
    add up to too much.
    """
    mean, _ = _moments(rows)
    _check(k, features)
    drawn = torch.randn(features, len(mean), generator=torch.Generator().manual_seed(seed))
    directions = drawn / drawn.norm(dim=1, keepdim=True)
    offset = torch.from_numpy(mean).float()

    def encode(x: Tensor) -> Tensor:
        return _largest((x - offset) @ directions.T, k, signed=False)

    above = below = 0.0
    for part in chunks(rows):
        made = encode(part) @ directions
        above += float(((part - offset) * made).sum())
        below += float(made.square().sum())
    gain = above / below if below else 1.0
    return Dictionary(f"{features} random directions", encode, gain * directions, offset, hook, offset)


def _linear(name: str, directions: Tensor, mean: np.ndarray, k: int, hook: str) -> Dictionary:
    offset = torch.from_numpy(mean).float()

    def encode(x: Tensor) -> Tensor:
        return _largest((x - offset) @ directions.T, k, signed=True)

    return Dictionary(name, encode, directions, offset, hook, offset)


def _largest(x: Float[Tensor, "... n"], k: int, signed: bool) -> Float[Tensor, "... n"]:
    """The k largest entries of each row, all others zero: the largest by size, or, unsigned, the largest positive."""
    which = (x.abs() if signed else x).topk(k, dim=-1).indices
    kept = x.gather(-1, which)
    return torch.zeros_like(x).scatter_(-1, which, kept if signed else kept.relu())


def _moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shift = np.asarray(rows[0], dtype=np.float64)
    total, products = np.zeros(len(shift)), np.zeros((len(shift), len(shift)))
    for part in chunks(rows):
        centred = part.numpy().astype(np.float64) - shift
        total += centred.sum(0)
        products += centred.T @ centred
    mean = total / len(rows)
    return mean + shift, products / len(rows) - np.outer(mean, mean)


def _check(k: int, n: int) -> int:
    if not 1 <= k <= n:
        raise ValueError(f"{k} of {n} coefficients: keep 1 to {n}")
    return k
