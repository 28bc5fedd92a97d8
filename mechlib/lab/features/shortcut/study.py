"""The study: how often each biography's profession is told, with gender in the classifier's activations and without.

A classifier of two professions is fitted on biographies in which gender tells them apart, and asked about others in
which it does not. It is never fitted again: what is taken out is taken out of the activations that it is asked about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechlib.lab.features.dictionaries import Dictionary, spanning
from mechlib.lab.features.shortcut.biographies import (
    Biographies,
    read_biographies,
    require_apart,
    require_groups,
    require_two_of_each,
)
from mechlib.lab.features.shortcut.choosing import (
    By,
    apart,
    carriers,
    difference_of_genders,
    gender_scores,
    random_sets,
    written,
)
from mechlib.lab.features.shortcut.classifier import Classifier, fitted
from mechlib.lab.features.shortcut.removal import pooled_features, pooled_without
from mechlib.lab.models.loading import Model
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet

Level = Literal["mean", "zero"]
NONE: Mapping[str, Dictionary] = {}

NOTHING, ORACLE, PENALTY = "nothing removed", "oracle", "stronger penalty"
PROJECTION, PROFESSION, DIRECTION = "mean projection", "projection of the profession", "random direction"
NEURONS, FEATURES, RANDOM = "neurons", "features", "random features"
STRONGER = 100.0  # than scikit-learn's default penalty


@dataclass(frozen=True)
class Removed:
    """What is taken out, and how it is chosen.

    k      how many features, of the dictionary and of the neurons
    by     what features are chosen by, as in `gender_scores`
    to     what their activation becomes: its "mean" over the biographies that the classifier was fitted on, half of
           which are about women, so that its threshold stays where it is; or "zero"
    draws  how many random sets of features, and how many random directions
    """

    k: int
    by: By = "difference"
    to: Level = "mean"
    draws: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.to not in get_args(Level):
            raise ValueError(f"features are not taken to {self.to!r}: choose {' or '.join(get_args(Level))}")


@dataclass(frozen=True, eq=False)
class Read:
    """The biographies that a classifier and an oracle are fitted on, that are tested, and that gender is learned from.

    They are of the same place of the same model.
    """

    biased: Biographies
    balanced: Biographies
    test: Biographies
    discovery: Biographies

    def require(self, plain: Classifier, oracle: Classifier) -> None:
        """ValueError where these sets leave open what was asked, as `professions_right` says."""
        if plain.professions != oracle.professions:
            raise ValueError(
                f"the classifier knows {' and '.join(plain.professions)}, the oracle "
                f"{' and '.join(oracle.professions)}: fit both on one pair"
            )
        require_groups(self.test, plain.professions)
        require_two_of_each(self.test, "test biographies")
        require_two_of_each(self.discovery, "discovery biographies")
        require_apart(self.biased, self.test, "training and test")
        require_apart(self.balanced, self.test, "the oracle's training and test")
        require_apart(self.discovery, self.test, "discovery and test")


def professions_right(
    model: Model,
    layer: int,
    biased: PromptSet,
    balanced: PromptSet,
    test: PromptSet,
    discovery: PromptSet,
    k: int,
    dictionary: Dictionary | None = None,
    others: Mapping[str, Dictionary] = NONE,
    by: By = "difference",
    to: Level = "mean",
    draws: int = 20,
    seed: int = 0,
) -> Measurement:
    """Whether each test biography's profession is told from the residual stream behind a layer: 1 where it is, else 0.

    biased      what the classifier is fitted on: gender tells the two professions apart
    balanced    what the oracle is fitted on
    test        a balanced draw of the same professions with other names
    discovery   whom gender is learned from: a balanced draw of the discovery split, names other than those tested
    k           how many features, or neurons, are taken out; of the mean projection it is one direction
    dictionary  what takes the activation apart, as a sparse autoencoder of this place; None leaves its columns out
    others      what stands beside it, as its frozen twins, by the names of their columns
    by, to      how features are chosen, and what becomes of them, as in `gender_scores` and `Removed`

    Columns, all of the classifier fitted on `biased`, but for the oracle:

    "nothing removed"        as it is
    "oracle"                 fitted on `balanced`, nothing removed: what could be told
    "stronger penalty"       fitted on `biased` with a hundred times the penalty, nothing removed
    "mean projection"        the direction between the means of women's and men's texts held at its mean
    "projection of the profession"  the direction between the means of the two professions in `balanced` so held: what
                             it is to take out what is asked for
    "random direction 1" ...  random directions so held, each by itself
    "neurons"                the `k` coordinates that carry most of gender, chosen as features are
    "features"               the `k` features that carry most of gender
    "random features 1" ...  as many others of the same dictionary that write as much
    and one for each of `others`, the `k` of its features that carry most of gender, or as many as carry any

    Strata are the four groups of gender and profession, clusters the names. The accuracy of the worst group is at least
    x where that of every group is: `every(mean(right[column].stratum(group)) for group in groups) >= x`. It rises by x
    or more where every group does better, by x, than one that is named beforehand did.

    Raises ValueError, in one line, where there are not two professions, where a group has no biography, where a gender
    has fewer than two names, where a name that is tested was learned from, where `discovery` is of another split, for a
    dictionary of another width, for a dead one, and where its features are fewer than `k`.

    Source: Marks et al. 2024, arXiv:2403.19647, section 4 (SHIFT).
    """
    if discovery.split != "discovery":
        raise ValueError(f"gender is learned from {discovery!r}: take split='discovery'")
    removed = Removed(k, by, to, draws, seed)
    read = Read(*(read_biographies(model, prompts, layer) for prompts in (biased, balanced, test, discovery)))
    columns = right_by_removal(read, removed, dictionary, others)
    return Measurement(
        values=torch.stack(list(columns.values()), dim=1).double().numpy(),
        units=tuple(row.fingerprint for row in test),
        order=tuple(row.sort_key for row in test),
        unit=test.unit,
        columns=tuple(columns),
        clusters=tuple(row.cluster for row in test),
        strata=tuple(row.label("group") for row in test),
        yes_no=True,
        of="profession told from the mean activation",
    )


def by_name_and_group(measured: Measurement) -> Measurement:
    """The mean over the texts of each name in each group, one row for both: clusters are names, strata groups.

    Raises ValueError for a measurement without either.
    """
    if not (measured.clusters and measured.strata):
        raise ValueError(f"these {measured.unit} data have no names and groups: measure prompts of `people`")
    both = list(zip(measured.clusters, measured.strata, strict=True))
    rows = sorted(set(both))
    values = np.array([measured.values[[own == row for own in both]].mean(axis=0) for row in rows])
    return Measurement(
        values=values,
        units=tuple(f"{name} as {group}" for name, group in rows),
        unit="name in a group",
        columns=measured.columns,
        clusters=tuple(name for name, _ in rows),
        strata=tuple(group for _, group in rows),
        of=measured.of,
    )


def right_by_removal(
    read: Read, removed: Removed, dictionary: Dictionary | None = None, others: Mapping[str, Dictionary] = NONE
) -> dict[str, Bool[Tensor, " texts"]]:
    """The columns of `professions_right`, for biographies that were read. Raises what it raises."""
    plain, oracle = fitted(read.biased), fitted(read.balanced)
    read.require(plain, oracle)
    pooled = read.test.pooled()
    told = {NOTHING: plain, ORACLE: oracle, PENALTY: fitted(read.biased, STRONGER)}
    found = {name: classifier.right(pooled, read.test) for name, classifier in told.items()}
    of_gender = difference_of_genders(read.discovery.pooled(), read.discovery)
    of_profession = apart(read.balanced.pooled(), read.balanced.where("profession", plain.professions[1]))
    drawn = torch.randn(removed.draws, len(of_gender), generator=torch.Generator().manual_seed(removed.seed))
    single = {PROJECTION: of_gender, PROFESSION: of_profession}
    single |= {f"{DIRECTION} {number}": one for number, one in enumerate(drawn, 1)}
    for name, direction in single.items():
        found |= _without(spanning(direction[None]), (name,), plain, read, Removed(1, "difference", removed.to))
    found |= _without(spanning(torch.eye(read.test.width)), (NEURONS,), plain, read, removed)
    if dictionary is not None:
        names = (FEATURES, *(f"{RANDOM} {number}" for number in range(1, removed.draws + 1)))
        found |= _without(dictionary, names, plain, read, removed)
    for name, other in others.items():
        found |= _without(other, (name,), plain, read, removed, at_most=True)
    return found


def _without(
    dictionary: Dictionary, names: Sequence[str], plain: Classifier, read: Read, removed: Removed, at_most: bool = False
) -> dict[str, Bool[Tensor, " texts"]]:
    """The first column without the features that carry gender, the others each without a random set."""
    scores = gender_scores(dictionary, read.discovery, removed.by, plain)
    sets = [chosen := carriers(scores, removed.k, at_most)]
    if names[1:]:
        sets += random_sets(written(dictionary, read.discovery), chosen, len(names) - 1, removed.seed)
    without = pooled_without(dictionary, read.test, sets, _level(dictionary, read.biased, removed.to))
    return {name: plain.right(pooled, read.test) for name, pooled in zip(names, without, strict=True)}


def _level(dictionary: Dictionary, biased: Biographies, to: Level) -> Float[Tensor, " features"]:
    if to == "zero":
        return torch.zeros(dictionary.features)
    return pooled_features(dictionary, biased).mean(0)
