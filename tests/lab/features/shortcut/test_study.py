"""Where gender stands in a known direction, taking it out repairs a classifier, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.features.shortcut.study import (
    DIRECTION,
    FEATURES,
    NEURONS,
    NOTHING,
    ORACLE,
    PENALTY,
    PROFESSION,
    PROJECTION,
    RANDOM,
    Removed,
    right_by_removal,
)
from mechlib.prompts.people import people
from tests.helpers.tiny import REFUSED
from tests.lab.features.shortcut.planted import PAIR, activations, read, rectified, relabelled, signed, worst

SEEDS = (0, 10)


@pytest.fixture(scope="module", params=SEEDS)
def planted(request):
    return read(request.param)


def accuracies(found, test):
    return {name: worst(right, test) for name, right in found.items()}


def random_ones(found):
    return [found[name] for name in found if name.startswith(RANDOM)]


@pytest.mark.parametrize("by", ["difference", "attribution"])
def test_without_the_features_of_gender_the_worst_group_is_told_as_well_as_by_the_oracle(planted, by):
    """And the gate is met: nothing removed it is told in .6 or less, by the oracle in .8 or more."""
    found = accuracies(right_by_removal(planted, Removed(2, by), signed()), planted.test)
    assert found[NOTHING] <= 0.6 and found[ORACLE] >= 0.8
    assert abs(found[FEATURES] - found[ORACLE]) <= 0.02
    assert abs(found[PROJECTION] - found[ORACLE]) <= 0.02
    assert len(random_ones(found)) == 20 and max(random_ones(found)) <= found[NOTHING] + 0.02


def test_without_the_direction_of_the_profession_nothing_is_told_and_without_a_random_one_as_much_as_before(planted):
    found = right_by_removal(planted, Removed(2, draws=12))
    by_gender = planted.test.where("gender", "woman") == planted.test.where("profession", PAIR[0])
    assert float((found[PROFESSION] == by_gender).float().mean()) > 0.9  # gender alone is left to it
    before = float(found[NOTHING].float().mean())
    after = [float(found[name].float().mean()) for name in found if name.startswith(DIRECTION)]
    assert len(after) == 12 and abs(sum(after) / 12 - before) < 0.05


def test_a_stronger_penalty_is_scikit_learns(planted):
    found = right_by_removal(planted, Removed(2))
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=10_000))
    theirs.fit(planted.biased.pooled().numpy(), planted.biased.label("profession"))
    told = theirs.predict(planted.test.pooled().numpy()) == np.array(planted.test.label("profession"))
    assert (found[PENALTY].numpy() == told).mean() > 0.999


def shuffled(read, label, seed):
    return relabelled(read, label, Random(seed).sample(range(len(read.prompts)), len(read.prompts)))


def test_classifiers_of_shuffled_professions_know_nothing_on_average_whatever_is_removed(planted):
    """One alone may lean to either side: of what is left to it, it goes by one direction."""
    told = []
    for seed in range(24):
        of_shuffled = replace(planted, biased=shuffled(planted.biased, "profession", seed))
        found = right_by_removal(of_shuffled, Removed(2, draws=0), signed())
        told.append([float(found[name].float().mean()) for name in (NOTHING, PROJECTION, NEURONS, FEATURES)])
    assert (torch.tensor(told).mean(0) - 0.5).abs().max() < 0.15


def test_features_of_shuffled_genders_repair_next_to_nothing(planted):
    kept = right_by_removal(planted, Removed(2), signed())
    before, after = worst(kept[NOTHING], planted.test), worst(kept[FEATURES], planted.test)
    gains = []
    for seed in range(12):
        other = replace(planted, discovery=shuffled(planted.discovery, "gender", seed))
        found = right_by_removal(other, Removed(2, draws=0), signed())
        assert bool((found[NOTHING] == kept[NOTHING]).all()) and bool((found[ORACLE] == kept[ORACLE]).all())
        gains.append(worst(found[FEATURES], planted.test) - before)
    assert sum(gains) / len(gains) < 0.25 * (after - before)


def test_what_is_removed_at_zero_moves_the_threshold_where_the_mean_is_not_zero(planted):
    """So it is no test of what features say: activations here have a mean of their own."""
    at_mean, at_zero = (right_by_removal(planted, Removed(2, to=to), signed()) for to in ("mean", "zero"))
    assert worst(at_zero[FEATURES], planted.test) < worst(at_mean[FEATURES], planted.test) - 0.1


def test_without_a_dictionary_there_are_the_comparisons_alone_and_the_same(planted):
    whole = right_by_removal(planted, Removed(2, draws=3), signed())
    without = right_by_removal(planted, Removed(2, draws=3))
    directions = [f"{DIRECTION} {number}" for number in range(1, 4)]
    assert list(without) == [NOTHING, ORACLE, PENALTY, PROJECTION, PROFESSION, *directions, NEURONS]
    assert list(whole) == [*without, FEATURES, *(f"{RANDOM} {number}" for number in (1, 2, 3))]
    assert all(bool((whole[name] == without[name]).all()) for name in without)


def test_what_stands_beside_is_chosen_and_taken_out_as_the_features_are(planted):
    other = rectified(-torch.eye(8))
    found = right_by_removal(planted, Removed(2, draws=2), signed(), {"frozen": other, "same": signed()})
    assert list(found)[-2:] == ["frozen", "same"]
    assert bool((found["same"] == found[FEATURES]).all()) and bool((found["frozen"] != found[FEATURES]).any())
    assert bool((found["frozen"] == right_by_removal(planted, Removed(2, draws=0), other)[FEATURES]).all())


def test_random_features_follow_the_seed_and_nothing_else_does(planted):
    one, again, other = (right_by_removal(planted, Removed(3, seed=seed), signed()) for seed in (0, 0, 1))
    assert all(bool((one[name] == again[name]).all()) for name in one)
    drawn = {name for name in one if name.startswith((RANDOM, DIRECTION))}
    assert all(bool((one[name] == other[name]).all()) for name in one if name not in drawn)
    for kind in (RANDOM, DIRECTION):
        assert any(bool((one[name] != other[name]).any()) for name in one if name.startswith(kind))


# What is refused


def some(read, keep):
    """The biographies of these rows alone."""
    rows = [number for number, row in enumerate(read.prompts) if keep(row)]
    place = {number: new for new, number in enumerate(rows)}
    own = torch.tensor([int(text) in place for text in read.text])
    kept = replace(read.prompts, rows=tuple(read.prompts.rows[number] for number in rows))
    text = torch.tensor([place[int(one)] for one in read.text[own]])
    return replace(read, prompts=kept, tokens=read.tokens[own], text=text)


def group(name):
    return lambda row: row.label("group") != name


def of_women(row):
    return row.label("gender") == "woman"


def one_woman(row):
    return row.label("gender") == "man" or row.cluster == "Anna"


SMALL = {
    "biased": activations(people(96, "discovery", PAIR, "biased", "first"), 0),
    "balanced": activations(people(96, "discovery", PAIR, half="first"), 1),
    "test": activations(people(96, "discovery", PAIR, half="second"), 2),
    "discovery": activations(people(96, "discovery", half="first"), 3),
}
OTHER = activations(people(96, "discovery", ("farmer", "teacher"), half="first"), 4)
THREE = activations(people(96, "discovery", half="second"), 5)
NAMELESS = replace(SMALL["test"], prompts=replace(SMALL["test"].prompts, rows=tuple(
    replace(row, labels=()) for row in SMALL["test"].prompts
)))  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"biased": some(SMALL["biased"], of_women)}, r"is of 1 professions \(doctor\): a classifier is fitted on two"),
     ({"biased": activations(people(96, "discovery", half="first"), 6)}, "is of 6 professions"),
     ({"balanced": OTHER}, "the classifier knows cook and doctor, the oracle farmer and teacher: fit both on one pair"),
     ({"test": THREE}, "farmer is tested|carpenter is tested"),
     ({"test": some(SMALL["test"], group("woman, cook"))}, "no biography of a woman, cook is tested: take a balanced"),
     ({"test": some(SMALL["test"], of_women)}, "no biography of a man, cook is tested"),
     ({"test": some(SMALL["test"], one_woman)}, "no biography of a woman, cook is tested|have one name"),
     ({"discovery": some(SMALL["discovery"], of_women)}, "discovery biographies have no name of a man: take two"),
     ({"test": SMALL["balanced"]}, "training and test are both about Alice, Daniel, Emma, ...: take names of another"),
     ({"discovery": activations(people(96, "discovery"), 7)}, "discovery and test are both about"),
     ({"balanced": activations(people(96, "discovery", PAIR), 8)}, "the oracle's training and test are both about"),
     ({"test": NAMELESS}, "no label '.*': this prompt has none; take prompts of `people`")],
)  # fmt: skip
def test_sets_that_leave_open_what_was_asked_are_refused_in_one_line(changed, said):
    with pytest.raises(ValueError, match=said) as raised:
        right_by_removal(replace(read(), **{**SMALL, **changed}), Removed(2), signed())
    assert "\n" not in str(raised.value)


def test_one_name_of_a_gender_is_no_gender():
    name = next(row.cluster for row in SMALL["discovery"].prompts if row.label("gender") == "woman")
    one = some(SMALL["discovery"], lambda row: row.label("gender") == "man" or row.cluster == name)
    with pytest.raises(
        ValueError, match=rf"discovery biographies have one name \({name}\) of a woman: take two or more"
    ):
        right_by_removal(replace(read(), **SMALL | {"discovery": one}), Removed(2))


def test_small_sets_that_are_whole_are_not_refused():
    assert NOTHING in right_by_removal(replace(read(), **SMALL), Removed(2), signed())


def spoilt(how: str) -> Dictionary:
    """A dictionary that is not what it says."""
    if how == "narrow":
        return rectified(torch.eye(5))
    active = {"dead": torch.zeros_like, "nan": lambda x: torch.full_like(x, torch.nan)}.get(how, torch.relu)
    whole = signed().directions
    return Dictionary("planted", lambda x: active(x @ whole.T), whole, torch.zeros(whole.shape[1]))


@pytest.mark.parametrize(
    ("how", "k", "said"),
    [("dead", 2, "2 features were asked for, 0 of 16 differ between women and men: the dictionary is dead, or of"),
     ("nan", 2, "planted computes NaN or infinity of finite activations: its weights are damaged"),
     ("narrow", 2, "planted is for activations 5 wide, and these are 8: take a dictionary of this activation"),
     ("", 0, "0 features were asked for, 8 of 8 differ between women and men: ask for 1 to 8"),
     ("", 9, "9 features were asked for, 8 of 8 differ"), ("", 1.5, "1.5 features were asked for")],
)  # fmt: skip
def test_dictionaries_that_cannot_be_used_are_refused_in_one_line(how, k, said):
    small = replace(read(), **SMALL)
    with pytest.raises(ValueError) as raised:
        right_by_removal(small, Removed(k), spoilt(how))
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_words_that_are_none_of_the_choices_are_refused():
    with pytest.raises(REFUSED, match=r"features are not taken to 'median': choose mean or zero|'median'"):
        Removed(2, to="median")
    with pytest.raises(REFUSED, match=r"features are not chosen by 'size': choose difference or attribution|'size'"):
        right_by_removal(replace(read(), **SMALL), Removed(2, by="size"))
