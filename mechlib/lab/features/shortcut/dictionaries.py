"""Dictionaries: what an activation is taken apart into, and the activation with some of its parts held at a level.

A sparse autoencoder is one, and so are single coordinates ("neurons") and directions: what is compared with features is
taken out in the same way. What a dictionary does not reconstruct, its error, stays in the activation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.features.shortcut.biographies import Biographies

CHUNK = 2048  # tokens that are taken apart at once: 40 MB of 5,000 features
LINEAR = 1e-3  # of the largest change: what decoding and the decoder's rows may differ by


@runtime_checkable
class Dictionary(Protocol):
    """Anything that takes an activation apart, as SAELens' `SAE` does.

    encode  activations, [tokens width], to features, [tokens features]
    decode  features to what they reconstruct, linear in them
    W_dec   what each feature adds where it is 1: [features width]
    """

    @property
    def W_dec(self) -> Tensor:
        """The decoder."""
        ...

    def encode(self, x: Tensor, /) -> Tensor:
        """How much of each feature there is."""
        ...

    def decode(self, feature_acts: Tensor, /) -> Tensor:
        """The activation that features make."""
        ...


@dataclass(frozen=True, eq=False)
class Directions:
    """Orthonormal directions as features: how far an activation reaches along each."""

    W_dec: Float[Tensor, "features width"]

    @classmethod
    def spanning(cls, vectors: Float[Tensor, "features width"]) -> Directions:
        """Those that span the same as these vectors, the first along the first. ValueError where one adds nothing."""
        q, r = torch.linalg.qr(vectors.T.double())
        sizes = vectors.double().norm(dim=1)
        if vectors.shape[0] > vectors.shape[1] or not bool((r.diagonal().abs() > 1e-9 * sizes.clamp(min=1e-30)).all()):
            raise ValueError(f"{len(vectors)} directions of which one is zero or made of the others: leave it out")
        return cls((q * r.diagonal().sign()).T.float())

    @classmethod
    def coordinates(cls, width: int) -> Directions:
        """Each number of the activation by itself: its neurons."""
        return cls(torch.eye(width))

    def encode(self, x: Tensor, /) -> Tensor:
        """How far an activation reaches along each direction."""
        return x @ self.W_dec.T

    def decode(self, feature_acts: Tensor, /) -> Tensor:
        """The sum of the directions, each as often as its feature says."""
        return feature_acts @ self.W_dec


def encoded(dictionary: Dictionary, read: Biographies) -> Iterator[tuple[slice, Float[Tensor, "tokens features"]]]:
    """The features of all tokens, some tokens at a time. ValueError for another width, and for NaN or infinity."""
    width = dictionary.W_dec.shape[1]
    if width != read.width:
        raise ValueError(
            f"the dictionary is for activations {width} wide, and these are {read.width}: take one of this model "
            "and place"
        )
    for start in range(0, len(read.tokens), CHUNK):
        part = slice(start, min(start + CHUNK, len(read.tokens)))
        with torch.no_grad():
            features = dictionary.encode(read.tokens[part])
        if not bool(features.isfinite().all()):
            raise ValueError("the dictionary computes NaN or infinity of finite activations: its weights are damaged")
        yield part, features


def pooled_features(dictionary: Dictionary, read: Biographies) -> Float[Tensor, "texts features"]:
    """The mean of each feature over each text's tokens."""
    total = torch.zeros(len(read.prompts), len(dictionary.W_dec))
    for part, features in encoded(dictionary, read):
        total.index_add_(0, read.text[part], features.float())
    return total / torch.bincount(read.text, minlength=len(read.prompts)).unsqueeze(1)


def pooled_without(
    dictionary: Dictionary, read: Biographies, sets: Sequence[Sequence[int]], level: Float[Tensor, " features"]
) -> list[Float[Tensor, "texts width"]]:
    """For each set of features, the mean activation of each text with these features at their level in every token.

    A token x becomes x + (level - features(x)) @ W_dec, of the set's features alone: all else stays, the error too.
    Raises ValueError as `encoded` does, and for a dictionary whose decoding is not linear in its features.
    """
    require_linear(dictionary, read.tokens[:8])
    decoder, pooled = dictionary.W_dec.detach().float(), read.pooled()
    means = pooled_features(dictionary, read)  # the decoder is linear, so what is taken out may be averaged first
    return [pooled + (level[list(which)] - means[:, list(which)]) @ decoder[list(which)] for which in sets]


def require_linear(dictionary: Dictionary, x: Float[Tensor, "tokens width"]) -> None:
    """ValueError where a feature adds another thing than its row of `W_dec`, as where activations are normed first."""
    with torch.no_grad():
        features = dictionary.encode(x)
        whole = dictionary.decode(features)
        dictionary.encode(x)  # some keep the scale of what they encoded for one decoding
        off = whole - dictionary.decode(torch.zeros_like(features)) - features @ dictionary.W_dec
    if not float(off.abs().max()) <= LINEAR * float(whole.abs().max().clamp(min=1e-6)):
        raise ValueError(
            "the dictionary decodes features otherwise than by its W_dec: fold its norm into its weights first"
        )
