"""Which features carry gender, told by discovery names alone, and random ones that write as much."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Literal, get_args

from jaxtyping import Bool, Float
from torch import Tensor

from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.features.shortcut.biographies import Biographies
from mechlib.lab.features.shortcut.classifier import Classifier
from mechlib.lab.features.shortcut.removal import pooled_features

By = Literal["difference", "attribution"]

NEAREST = 10  # of the features that write as much, among which a random one is drawn
TOUCHED = 1e-6  # of the most that a feature writes: below, it is not active


def difference_of_genders(values: Float[Tensor, "texts columns"], read: Biographies) -> Float[Tensor, " columns"]:
    """The mean over women's texts less the mean over men's."""
    return apart(values, read.where("gender", "woman"))


def apart(values: Float[Tensor, "texts columns"], which: Bool[Tensor, " texts"]) -> Float[Tensor, " columns"]:
    """The mean over these texts less the mean over the others."""
    return values[which].mean(0) - values[~which].mean(0)


def gender_scores(
    dictionary: Dictionary, discovery: Biographies, by: By = "difference", classifier: Classifier | None = None
) -> Float[Tensor, " features"]:
    """How much of gender each feature carries in these biographies.

    "difference"   the length of what the feature writes more of in women's texts than in men's, or less
    "attribution"  how much of the difference of log-odds between women and men goes through it, in nats: negative where
                   it makes that difference smaller. Exact, for mean activations are linear in features and log-odds in
                   mean activations

    Raises ValueError for another word, and for attribution without a classifier.
    Source: Marks et al. 2024, arXiv:2403.19647, section 4, for attribution to the classifier.
    """
    if by not in get_args(By):
        raise ValueError(f"features are not chosen by {by!r}: choose {' or '.join(get_args(By))}")
    more = difference_of_genders(pooled_features(dictionary, discovery), discovery)
    if by == "difference":
        return more.abs() * dictionary.directions.norm(dim=1)
    if classifier is None:
        raise ValueError("attribution is to a classifier's log-odds: give the classifier")
    through = more.double() * (dictionary.directions.double() @ classifier.weights)
    whole = difference_of_genders(discovery.pooled().double(), discovery) @ classifier.weights
    return (through * whole.sign()).float()


def carriers(scores: Float[Tensor, " features"], k: int, at_most: bool = False) -> tuple[int, ...]:
    """The `k` features of the largest scores, largest first. ValueError where fewer than `k` have any, or none has
    where it is `at_most` so many."""
    able = int((scores > 0).sum())
    k = min(k, able) if at_most and able else k
    if not (isinstance(k, int) and 1 <= k <= able):
        cure = f"ask for 1 to {able}" if able else "the dictionary is dead, or of another place"
        raise ValueError(f"{k} features were asked for, {able} of {len(scores)} differ between women and men: {cure}")
    return tuple(scores.topk(k).indices.tolist())


def written(dictionary: Dictionary, discovery: Biographies) -> Float[Tensor, " features"]:
    """How much each feature writes: its size averaged over biographies, times its decoder row's length."""
    return pooled_features(dictionary, discovery).abs().mean(0) * dictionary.directions.norm(dim=1)


def random_sets(
    sizes: Float[Tensor, " features"], chosen: Sequence[int], draws: int, seed: int = 0
) -> list[tuple[int, ...]]:
    """So many random sets of as many features as were chosen, others, each of which writes about as much.

    sizes  how much each feature writes, as `written` says

    For each chosen feature in turn one is drawn of the ten not yet taken that come nearest to it in size, and of those
    alone that are active at all. Raises ValueError where too few are.
    """
    alive = [n for n in range(len(sizes)) if n not in set(chosen) and sizes[n] > TOUCHED * sizes.max()]
    if len(alive) < len(chosen):
        raise ValueError(
            f"{len(chosen)} features were chosen, and {len(alive)} others are active: there is no random set of as many"
        )
    found = []
    for number in range(draws):
        stream, free = Random(f"random features:{seed}:{number}"), list(alive)
        drawn = []
        for feature in chosen:
            free.sort(key=(sizes - sizes[feature]).abs().tolist().__getitem__)
            drawn.append(free.pop(int(stream.random() * min(NEAREST, len(free)))))
        found.append(tuple(drawn))
    return found
