"""Every column of the study is what its definition gives, computed here from activations token by token."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.features.shortcut.biographies import Biographies
from mechlib.lab.features.shortcut.choosing import random_sets
from mechlib.lab.features.shortcut.classifier import Classifier, fitted
from mechlib.lab.features.shortcut.removal import pooled_features
from mechlib.lab.features.shortcut.study import (
    DIRECTION,
    FEATURES,
    NEURONS,
    NOTHING,
    ORACLE,
    PROFESSION,
    PROJECTION,
    RANDOM,
    Read,
    Removed,
    by_name_and_group,
    right_by_removal,
)
from mechlib.measurement import Measurement
from mechlib.prompts.people import people
from tests.lab.features.shortcut.planted import PAIR, WIDTH, activations, read, rectified, signed

DRAWS, K = 3, 2
DIRECTIONS = torch.randn(24, WIDTH, generator=torch.Generator().manual_seed(5))  # of every length, none along gender


@pytest.fixture(scope="module")
def planted() -> Read:
    """Sets that differ in what is chosen, held and compared by: a column that takes another set's is another column."""
    sets = read(20)
    return replace(
        sets,
        biased=moved(sets.biased, 0.4, 1.0),
        balanced=moved(sets.balanced, -0.6, 1.5),
        discovery=moved(sets.discovery, 0.3, 0.6),
    )


def moved(one: Biographies, by: float, times: float) -> Biographies:
    """The same texts with activations moved and stretched along the coordinates, each by as much as its number."""
    stretch = torch.linspace(1.0, times, WIDTH)
    return replace(one, tokens=one.tokens * stretch + by * torch.linspace(-1, 1, WIDTH))


def relu(one: Biographies) -> Tensor:
    """The mean over each text's tokens of what is active, text by text."""
    active = torch.relu(one.tokens @ DIRECTIONS.T)
    return torch.stack([active[one.text == number].mean(0) for number in range(len(one.prompts))])


def of_women(values: Tensor, one: Biographies) -> Tensor:
    women = torch.tensor([row.label("gender") == "woman" for row in one.prompts])
    return values[women].mean(0) - values[~women].mean(0)


def scores(values: Tensor, directions: Tensor, planted: Read, by: str, plain: Classifier) -> Tensor:
    more = of_women(values, planted.discovery)
    if by == "difference":
        return more.abs() * directions.norm(dim=1)
    whole = of_women(planted.discovery.pooled(), planted.discovery) @ plain.weights.float()
    return more * (directions @ plain.weights.float()) * whole.sign()


def held(pooled: Tensor, axis: Tensor, level: float) -> Tensor:
    axis = axis / axis.norm()
    return pooled - torch.outer(pooled @ axis - level, axis)


def by_hand(planted: Read, removed: Removed) -> tuple[dict[str, Tensor], list[tuple[int, ...]]]:
    """The columns, and the sets of features that were chosen: those of gender first."""
    plain, pooled, biased = fitted(planted.biased), planted.test.pooled(), planted.biased.pooled()
    mean = removed.to == "mean"
    of_profession = torch.tensor([row.label("profession") == PAIR[0] for row in planted.balanced.prompts])
    balanced = planted.balanced.pooled()
    axes = {
        PROJECTION: of_women(planted.discovery.pooled(), planted.discovery),
        PROFESSION: balanced[of_profession].mean(0) - balanced[~of_profession].mean(0),
    }
    drawn = torch.randn(removed.draws, WIDTH, generator=torch.Generator().manual_seed(removed.seed))
    axes |= {f"{DIRECTION} {number}": axis for number, axis in enumerate(drawn, 1)}
    changed = {
        name: held(pooled, axis, float((biased @ (axis / axis.norm())).mean()) if mean else 0.0)
        for name, axis in axes.items()
    }
    of_neurons = scores(planted.discovery.pooled(), torch.eye(WIDTH), planted, removed.by, plain)
    chosen = of_neurons.topk(removed.k).indices
    changed[NEURONS] = pooled.index_copy(1, chosen, (biased.mean(0)[chosen] * mean).expand(len(pooled), -1))
    active = relu(planted.discovery)
    best = tuple(scores(active, DIRECTIONS, planted, removed.by, plain).topk(removed.k).indices.tolist())
    sizes = active.mean(0) * DIRECTIONS.norm(dim=1)
    sets = [best, *random_sets(sizes, best, removed.draws, removed.seed)]
    tested, level = relu(planted.test), relu(planted.biased).mean(0) * mean
    for name, which in zip([FEATURES, *(f"{RANDOM} {n}" for n in range(1, removed.draws + 1))], sets, strict=True):
        own = list(which)
        changed[name] = pooled + (level[own] - tested[:, own]) @ DIRECTIONS[own]
    found = {name: plain.right(values, planted.test) for name, values in changed.items()}
    found |= {NOTHING: plain.right(pooled, planted.test), ORACLE: fitted(planted.balanced).right(pooled, planted.test)}
    return found, sets


@pytest.mark.parametrize("by", ["difference", "attribution"])
@pytest.mark.parametrize("to", ["mean", "zero"])
def test_each_column_is_its_definition(planted, by, to):
    removed = Removed(K, by, to, DRAWS, seed=7)
    found = right_by_removal(planted, removed, rectified(DIRECTIONS))
    wanted, _ = by_hand(planted, removed)
    assert set(wanted) == {name for name in found if name != "stronger penalty"}
    for name, right in wanted.items():
        assert int((found[name] != right).sum()) <= 1, name  # one that lies on the threshold, of 1,920


def test_neither_choice_nor_level_nor_seed_is_without_effect(planted):
    """So that the columns above could have been others."""
    first, sets = by_hand(planted, Removed(K, draws=DRAWS, seed=7))
    for changed in ({"by": "attribution"}, {"to": "zero"}, {"seed": 8}):
        found, others = by_hand(planted, replace(Removed(K, draws=DRAWS, seed=7), **changed))
        assert any(int((found[name] != first[name]).sum()) > 5 for name in first), changed
        assert (sets == others) == ("to" in changed)


def test_what_stands_beside_may_carry_gender_in_fewer_features_than_are_asked_for(planted):
    """And what is asked about itself may not: then it is no answer for `k` features."""
    few = rectified(torch.cat([signed().directions[:1], torch.zeros(1, WIDTH)]))
    found = right_by_removal(planted, Removed(K, draws=0), None, {"few": few})
    alone = right_by_removal(planted, Removed(1, draws=0), few)
    assert bool((found["few"] == alone[FEATURES]).all()) and bool((found["few"] != found[NOTHING]).any())
    with pytest.raises(ValueError, match="2 features were asked for, 1 of 2 differ between women and men"):
        right_by_removal(planted, Removed(K, draws=0), few)


@pytest.mark.parametrize("spoilt", [float("nan"), float("inf"), -float("inf")])
def test_a_feature_that_is_no_number_is_refused_whichever_it_is(spoilt):
    one = activations(people(96, "discovery", PAIR), 0)
    broken = Dictionary("planted", lambda x: torch.full((len(x), WIDTH), spoilt), torch.eye(WIDTH), torch.zeros(WIDTH))
    with pytest.raises(ValueError, match="planted computes NaN or infinity of finite activations"):
        pooled_features(broken, one)


def test_features_below_zero_are_averaged_with_their_sign():
    one = activations(people(96, "discovery", PAIR), 0)
    whole = signed().directions
    below = Dictionary("below", lambda x: -torch.relu(x @ whole.T), whole, torch.zeros(WIDTH))
    assert float(pooled_features(below, one).max()) <= 0
    assert torch.allclose(pooled_features(below, one), -pooled_features(signed(), one))


def test_tested_biographies_of_one_woman_are_refused_though_every_group_is_there(planted):
    rows = planted.test.prompts.rows
    women = [row for row in rows if row.label("gender") == "woman"]
    both = {row.cluster for row in women if row.label("profession") == PAIR[0]}
    name = next(row.cluster for row in women if row.label("profession") == PAIR[1] and row.cluster in both)
    keep = torch.tensor([row.label("gender") == "man" or row.cluster == name for row in rows])
    place = torch.cumsum(keep, 0) - 1
    own = keep[planted.test.text]
    prompts = replace(planted.test.prompts, rows=tuple(row for row, kept in zip(rows, keep, strict=True) if kept))
    one = Biographies(prompts, planted.test.tokens[own], place[planted.test.text[own]])
    assert len(set(one.label("group"))) == 4
    with pytest.raises(ValueError, match=rf"^test biographies have one name \({name}\) of a woman: take two or more"):
        right_by_removal(replace(planted, test=one), Removed(K), signed())


# One row a name in a group


def measured(**more) -> Measurement:
    labels = {
        "clusters": ("Zoe", "Zoe", "Zoe", "Ann", "Ann", "Zoe"),
        "strata": ("w, cook", "w, cook", "w, doctor", "w, cook", "w, cook", "w, cook"),
    }
    values = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    columns = ("nothing removed", "features")
    return Measurement(values, tuple("abcdef"), "biography", columns, of="told", **{**labels, **more})


def test_names_in_groups_are_means_over_their_texts_in_order_each_a_row():
    found = by_name_and_group(measured())
    assert found.units == ("Ann as w, cook", "Zoe as w, cook", "Zoe as w, doctor")
    assert found.clusters == ("Ann", "Zoe", "Zoe") and found.strata == ("w, cook", "w, cook", "w, doctor")
    assert np.allclose(found.values, [[1.0, 0.5], [2 / 3, 1 / 3], [0.0, 1.0]])
    assert found.columns == ("nothing removed", "features") and found.of == "told" and not found.yes_no
    assert found.unit == "name in a group"


@pytest.mark.parametrize("lacking", [{"clusters": ()}, {"strata": ()}, {"clusters": (), "strata": ()}])
def test_what_lacks_names_or_groups_has_no_such_rows(lacking):
    with pytest.raises(ValueError, match="these biography data have no names and groups: measure prompts of `people`"):
        by_name_and_group(measured(**lacking))
