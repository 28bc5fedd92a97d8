"""Rows of activations, [row width]: looked over once, and given in a seeded order. What lies on disk is mapped."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

CHUNK = 8192  # rows that are looked over at once


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known of rows of activations once all of them were looked at.

    count     how many there are
    mean      the mean row, float64: [width]
    variance  the mean squared distance of a row from the mean
    norm      the mean norm of a row
    sha256    of the rows as they are stored, shape and type included
    """

    count: int
    mean: np.ndarray
    variance: float
    norm: float
    sha256: str

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return len(self.mean)

    @property
    def scale(self) -> float:
        """The factor that gives rows a mean norm of sqrt(width)."""
        return float(np.sqrt(self.width) / self.norm)


def survey(rows: np.ndarray) -> Survey:
    """Looks at all rows, [row width], a few thousand at a time.

    Raises ValueError for another shape, where there are fewer than two, where one is NaN or infinite (naming the first)
    and where all are the same.
    """
    if rows.ndim != 2 or len(rows) < 2 or not rows.shape[1]:
        raise ValueError(f"activations of shape {rows.shape}: want at least two rows, [row width]")
    digest = hashlib.sha256(f"{rows.dtype.str} {rows.shape}".encode())
    total, squares = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    norms, shift = 0.0, np.asarray(rows[0], dtype=np.float64)
    for start in range(0, len(rows), CHUNK):
        stored = np.ascontiguousarray(rows[start : start + CHUNK])
        digest.update(stored.data)
        part = stored.astype(np.float64)
        bad = np.flatnonzero(~np.isfinite(part).all(1))
        if len(bad):
            raise ValueError(
                f"row {start + bad[0]} of {len(rows)} activations has NaN or infinity: nothing is trained on it; cache "
                "them again, and look where it arises"
            )
        norms += np.linalg.norm(part, axis=1).sum()
        part -= shift  # so that nothing is lost where the mean is large beside the spread
        total += part.sum(0)
        squares += np.square(part).sum(0)
    mean = total / len(rows)
    variance = float((squares / len(rows) - np.square(mean)).sum())
    if not variance > 0:
        raise ValueError(f"all {len(rows)} rows of activations are the same: there is nothing to learn from them")
    return Survey(len(rows), mean + shift, variance, norms / len(rows), digest.hexdigest())


def usual(rows: np.ndarray, times: float) -> tuple[np.ndarray, float]:
    """The rows whose norm is no more than so many times the median, and that limit: without massive activations.

    A handful of tokens, most often the first of a text, have norms a hundred times the usual one, nearly all of the
    variance, and say nothing of them. Where none is left out the rows are those that were given; else they are copied
    into memory. Raises ValueError for a limit below the median, which half of the rows lie beyond.
    Source: Sun et al. 2024, "Massive Activations in Large Language Models", arXiv:2402.17762.
    """
    if not times >= 1:
        raise ValueError(f"a limit of {times:g} times the median norm leaves out half of the rows: give 1 or more")
    norms = np.concatenate([part.norm(dim=1).numpy() for part in chunks(rows)])
    limit = float(times * np.median(norms))
    return (rows if (norms <= limit).all() else np.ascontiguousarray(rows[norms <= limit])), limit


def shuffled(rows: np.ndarray, batch: int, seed: int, begin: int = 0) -> Iterator[Float[Tensor, "batch width"]]:
    """Batches of rows in float32, without end: each pass through all rows in an order of its own.

    The order follows from `seed` alone, so that a stream that begins with batch `begin` goes on as one that began at 0.
    """
    place = begin * batch
    passes: dict[int, np.ndarray] = {}
    while True:
        wanted = []
        numbers = range(place // len(rows), (place + batch - 1) // len(rows) + 1)
        for number in numbers:
            if number not in passes:
                passes[number] = np.random.default_rng([seed, number]).permutation(len(rows))
            first = number * len(rows)
            wanted.append(passes[number][max(0, place - first) : place + batch - first])
        passes = {numbers[-1]: passes[numbers[-1]]}
        chosen = np.sort(np.concatenate(wanted))  # a file on disk is read from its beginning to its end
        yield torch.from_numpy(np.asarray(rows[chosen], dtype=np.float32))
        place += batch


def chunks(rows: np.ndarray, device: str = "cpu") -> Iterator[Float[Tensor, "chunk width"]]:
    """All rows in float32, in their order, a few thousand at a time."""
    for start in range(0, len(rows), CHUNK):
        yield torch.from_numpy(np.asarray(rows[start : start + CHUNK], dtype=np.float32)).to(device)
