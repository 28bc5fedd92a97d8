"""Sharing: whether another seed finds the same features, of the dictionary or of the model that it takes apart.

Features of two dictionaries of one activation are matched by the cosine of their directions; those of two models, whose
directions have nothing to do with each other, by how their activations go together over the same tokens.
Source: Bricken et al. 2023, "Towards Monosemanticity", on universality.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from mechlib.lab.features.comparing.baselines import activations_on
from mechlib.lab.features.comparing.metrics import words_of
from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet

ALIKE = 0.7  # the cosine, or the correlation, from which on two features are called the same
LEAST = 10  # tokens on which a feature is active, to be matched by how it goes with others
Permuted = Literal["", "tokens", "same word"]
Side: TypeAlias = tuple[Model, Dictionary]


def seeds_shared(model: Model, dictionaries: Sequence[Dictionary], prompts: PromptSet) -> Measurement:
    """How many features two dictionaries of one activation share, a row for each pair.

    "share"   of the live features of the first, those whose match in the second has a cosine of .7 or more. Live is
              what is active on these texts; matches are one to one, chosen so that cosines add up to the most
    "cosine"  the mean cosine of the matches
    "random"  the share with as many random directions in place of the second's

    Raises ValueError for fewer than two dictionaries, and for those of different activations.
    """
    if len(dictionaries) < 2:
        raise ValueError(f"{len(dictionaries)} dictionary: features are shared by two")
    if len({one.hook for one in dictionaries}) > 1:
        raise ValueError(f"dictionaries of {', '.join(one.hook for one in dictionaries)}: take those of one activation")
    rows = torch.from_numpy(activations_on(model, prompts, dictionaries[0].hook))
    with torch.no_grad():
        live = [one.directions[(one.active(rows) != 0).any(0)].double().numpy() for one in dictionaries]
    found, names = [], []
    for a, b in combinations(range(len(dictionaries)), 2):
        own = matched(_unit(live[a]) @ _unit(live[b]).T)[1]
        drawn = np.random.default_rng([a, b]).standard_normal(live[b].shape)
        by_chance = matched(_unit(live[a]) @ _unit(drawn).T)[1]
        n = len(live[a])
        found.append(((own >= ALIKE).sum() / n, own.sum() / n, (by_chance >= ALIKE).sum() / n))
        names.append(f"{a} and {b}")
    return Measurement(
        np.array(found),
        tuple(names),
        "pair of seeds",
        ("share", "cosine", "random"),
        of="share of live features, and their cosine",
    )


def matched(alike: Float[np.ndarray, "first second"]) -> tuple[Int[np.ndarray, " first"], Float[np.ndarray, " first"]]:
    """Each row's partner among the columns, one to one so that all add up to the most, and how alike the two are.

    Rows that find none, where there are fewer columns, have partner -1 and 0.
    """
    partner, value = np.full(len(alike), -1), np.zeros(len(alike))
    rows, columns = linear_sum_assignment(alike, maximize=True)
    partner[rows], value[rows] = columns, alike[rows, columns]
    return partner, value


def activity_shared(
    model: Model,
    dictionary: Dictionary,
    other_model: Model,
    other_dictionary: Dictionary,
    prompts: PromptSet,
    chosen_on: PromptSet,
    permuted: Permuted = "",
    seed: int = 0,
) -> Measurement:
    """How far features of one model are active where their matches in another model are, a row a text.

    Matches are chosen on other texts: one to one, so that correlations over tokens add up to the most, and kept from a
    correlation of .7 on. Features that are active on fewer than ten tokens there have none.

    "active"    features of the one that are active on a token, a mean over the text's tokens
    "matched"   of these, those that have a match
    "together"  of these, those whose match is active on the same token

    permuted  "tokens" exchanges the other's tokens for random ones, in choosing and in judging; "same word" exchanges
              them among the places where the same word stands, so that what the word alone says stays

    Raises ValueError where the two cut the texts otherwise, where texts that choose are judged, and for another way to
    permute.
    """
    if permuted not in ("", "tokens", "same word"):
        raise ValueError(f"no way {permuted!r} to permute: choose tokens or same word, or leave it out")
    if prompts.members & chosen_on.members:
        raise ValueError("matches would be judged on texts that chose them: choose on the discovery split")
    draws = np.random.default_rng(seed)
    sides = (model, dictionary), (other_model, other_dictionary)
    before, then = (_active_in_both(sides, texts, permuted, draws) for texts in (chosen_on, prompts))
    partner = _partners(before.own, before.others)
    has = partner >= 0
    own = then.own != 0
    together = np.zeros_like(own)
    together[:, has] = own[:, has] & (then.others[:, partner[has]] != 0)
    counted = np.stack([own.sum(1), own[:, has].sum(1), together.sum(1)], axis=1)
    starts = np.cumsum([0, *then.lengths[:-1]])
    values = np.add.reduceat(counted, starts, axis=0) / np.array(then.lengths)[:, None]
    return Measurement(
        values,
        tuple(row.fingerprint for row in prompts),
        prompts.unit,
        ("active", "matched", "together"),
        order=tuple(row.sort_key for row in prompts),
        of="features active on a token",
    )


@dataclass(frozen=True, eq=False)
class _Both:
    """How active features of two models are on the same tokens, and how many tokens each text has."""

    own: Float[np.ndarray, "tokens features"]
    others: Float[np.ndarray, "tokens others"]
    lengths: tuple[int, ...]


def _active_in_both(sides: tuple[Side, Side], prompts: PromptSet, permuted: str, draws: np.random.Generator) -> _Both:
    texts, theirs = (words_of(model, prompts) for model, _ in sides)
    if not all(map(np.array_equal, texts, theirs)):
        names = " and ".join(checkpoint_of(model).name for model, _ in sides)
        raise ValueError(f"{names} cut these texts otherwise: features are matched over the same tokens")
    own, others = (_active_on(side, prompts) for side in sides)
    if permuted:
        words = np.concatenate(texts)
        others = others[_permutation(words if permuted == "same word" else np.zeros_like(words), draws)]
    return _Both(own, others, tuple(map(len, texts)))


@torch.no_grad()
def _active_on(side: Side, prompts: PromptSet) -> Float[np.ndarray, "tokens features"]:
    model, dictionary = side
    rows = activations_on(model, prompts, dictionary.hook)
    active: np.ndarray = dictionary.active(torch.from_numpy(rows)).numpy()
    return active


def _permutation(groups: Int[np.ndarray, " tokens"], draws: np.random.Generator) -> Int[np.ndarray, " tokens"]:
    """Places exchanged at random among those of one group."""
    order = np.argsort(groups, kind="stable")
    shuffled = np.lexsort((draws.random(len(groups)), groups))
    made = np.empty_like(order)
    made[order] = shuffled
    return made


def _partners(
    own: Float[np.ndarray, "tokens features"], others: Float[np.ndarray, "tokens others"]
) -> Int[np.ndarray, " features"]:
    """Each feature's match in the other model by the correlation of activations; -1 where it has none."""
    rows, columns = (np.flatnonzero((side != 0).sum(axis=0) >= LEAST) for side in (own, others))
    partner = np.full(own.shape[1], -1)
    if len(rows) and len(columns):
        alike = _standard(own[:, rows]).T @ _standard(others[:, columns])
        found, value = matched(alike)
        kept = value >= ALIKE
        partner[rows[kept]] = columns[found[kept]]
    return partner


def _standard(active: Float[np.ndarray, "tokens features"]) -> Float[np.ndarray, "tokens features"]:
    """Columns about their means with length 1: their products are correlations."""
    return _unit((active - active.mean(axis=0)).T.astype(np.float64)).T


def _unit(rows: Float[np.ndarray, "rows width"]) -> Float[np.ndarray, "rows width"]:
    made: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    return made
