"""Superposition made on purpose: more features than dimensions, known, and how many of them a dictionary finds.

High explained variance goes with poor recovery: only where the truth is known is it seen whether directions are right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.features.training.frozen import start_of
from mechlib.lab.features.training.recipes import Frozen, Kind, Recipe
from mechlib.lab.features.training.training import fitted
from mechlib.measurement import Measurement

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


# --- every kind on the same worlds -------------------------------------------------------------------------------


def planted_recovered(
    kind: Kind,
    worlds: Iterable[int],
    frozen: Frozen = "",
    features: int = 48,
    width: int = 24,
    active: int = 3,
    learnt: int = 64,
    steps: int = 500,
) -> Measurement:
    """What one kind of autoencoder finds of planted features, a row for each world, which has features of its own.

    "share"      of the planted features, those that a direction of its own comes near to with a cosine beyond .9
    "cosine"     the mean cosine of a planted feature with the direction that it is matched with
    "explained"  the share of the variance of other rows of the same world that the autoencoder explains
    "random"     the share that its decoder has found before training: the same with the decoder frozen as it was drawn

    worlds  seeds, of the features and of the autoencoder alike
    frozen  what training leaves as it was drawn: "soft" keeps directions near their start
    active  how many features a row has on average, and how many the autoencoder keeps where it keeps so many
    learnt  how many features the autoencoder has; `steps` batches of 256 rows train it

    Raises ValueError for what is no superposition, and for a kind that cannot be trained.
    """
    seeds, found = tuple(worlds), []
    for seed in seeds:
        world = superposed(features, width, 12_000, active, seed)
        rows, held_out = world.rows[:6000], torch.from_numpy(world.rows[6000:])
        recipe = Recipe(kind, learnt, active, seed=seed, samples=256 * steps, batch=256, rate=5e-3, frozen=frozen)
        dictionary = fitted(rows, recipe)
        own, start = (features_recovered(one, world) for one in (dictionary.directions, start_of(recipe, width)))
        found.append((own.share, own.cosine, explained(dictionary, held_out), start.share))
    columns = ("share", "cosine", "explained", "random")
    return Measurement(
        np.array(found),
        tuple(f"world {seed}" for seed in seeds),
        "world",
        columns,
        of="a share, of which the whole is 1",
    )


@torch.no_grad()
def explained(dictionary: Dictionary, rows: Float[Tensor, "row width"]) -> float:
    """The share of the variance of rows that a dictionary explains."""
    error = (dictionary.decode(dictionary.active(rows)) - rows).square().sum()
    return 1 - float(error / (rows - rows.mean(0)).square().sum())
