"""Superposition made on purpose: more features than dimensions, known, and how many of them a dictionary finds.

High explained variance goes with poor recovery: only where the truth is known is it seen whether directions are right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

FOUND = 0.9  # the cosine from which on a planted feature counts as found


@dataclass(frozen=True, eq=False)
class Planted:
    """Rows that are sums of a few planted features.

    directions  unit vectors: [features width]
    active      how much of each is in a row, mostly zero, never negative: [row features]
    rows        their sums: [row width]
    """

    directions: Float[np.ndarray, "features width"]
    active: Float[np.ndarray, "row features"]
    rows: Float[np.ndarray, "row width"]


@dataclass(frozen=True)
class Recovered:
    """How near a dictionary comes to planted features.

    cosine  the mean cosine of a planted feature with the direction that it is matched with
    share   the share of planted features whose match is beyond FOUND
    """

    cosine: float
    share: float


def superposed(features: int, width: int, rows: int, active: float, seed: int = 0) -> Planted:
    """Sums of planted features: each is in a row with chance active / features, with a coefficient of .5 to 1.5.

    active  how many features a row has on average. Raises ValueError unless there are more features than dimensions.
    """
    if not 0 < active <= features or width >= features:
        raise ValueError(
            f"{features} features, {active:g} of them in a row, in {width} dimensions: superposition has more features "
            "than dimensions"
        )
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((features, width))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    amounts = rng.uniform(0.5, 1.5, (rows, features)) * (rng.random((rows, features)) < active / features)
    return Planted(directions, amounts, (amounts @ directions).astype(np.float32))


def features_recovered(directions: Float[Tensor, "learnt width"], planted: Planted) -> Recovered:
    """How near these directions come to the planted features, matched one to one so that cosines add up to the most.

    Signs count: a feature's opposite is another one. Raises ValueError for fewer directions than planted features, of
    which some could not be matched, and for another width.
    """
    found = directions.detach().cpu().double().numpy()
    wanted = planted.directions
    if len(found) < len(wanted) or found.shape[1] != wanted.shape[1]:
        raise ValueError(
            f"{found.shape[0]} directions of width {found.shape[1]} for {len(wanted)} planted features of width "
            f"{wanted.shape[1]}: want as many or more, of the same width"
        )
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    cosines = wanted @ (found / np.maximum(lengths, 1e-30)).T
    own = cosines[linear_sum_assignment(cosines, maximize=True)]
    return Recovered(float(own.mean()), float((own > FOUND).mean()))
