"""Probes, against the fit written out by hand; what is planted is found, and what is not there is not."""

import random

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

from mechlib.lab.batching import batches
from mechlib.lab.models.loading import load
from mechlib.lab.probes.linear import (
    INNER,
    STRENGTHS,
    _shuffled,
    judged,
    labelled,
    other_labels,
    probe,
    probe_bags,
    selectivity,
)
from mechlib.lab.probes.streams import bags, streams
from mechlib.lab.probes.targets import groups_of
from mechlib.prompts import addition
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import REFUSED, directory
from tests.lab.probes.planted import KNOWN, network, said

PROMPTS = said(90, "confirmation")


@pytest.fixture(scope="module")
def planted():
    return network()


def by_hand(x: np.ndarray, y: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Right, and log loss, out of fold: every step written out, none of it shared with the instrument."""
    right, loss = np.empty(len(y)), np.empty(len(y))

    def fit(rows, strength):
        scale = StandardScaler().fit(x[rows])
        return scale, LogisticRegression(C=strength, max_iter=5000).fit(scale.transform(x[rows]), y[rows])

    for train, test in StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(x, y, groups):
        losses = {}
        for strength in STRENGTHS:
            inner = StratifiedGroupKFold(INNER, shuffle=True, random_state=seed)
            parts = []
            for fitted, held in inner.split(x[train], y[train], groups[train]):
                scale, made = fit(train[fitted], strength)
                chances = made.predict_proba(scale.transform(x[train[held]]))
                parts.append(log_loss(y[train[held]], chances, labels=made.classes_))
            losses[strength] = np.mean(parts)
        scale, made = fit(train, min(losses, key=losses.__getitem__))
        right[test] = made.predict(scale.transform(x[test])) == y[test]
        chances = made.predict_proba(scale.transform(x[test]))
        loss[test] = [-np.log(chances[row, list(made.classes_).index(y[one])]) for row, one in enumerate(test)]
    return right, loss


@pytest.mark.parametrize("seed", [0, 3])
def test_right_and_log_loss_are_those_of_a_fit_by_hand(planted, seed):
    grouped = PromptSet("said", "confirmation", PROMPTS.rows[:60])
    read = streams(planted, batches(planted, grouped), "end")["after layer 0"]
    y = np.array([one.label("half") for one in grouped])
    right, loss = by_hand(read, y, np.array(groups_of(grouped, "prompt")), 3, seed)
    measured = probe(planted, grouped, "half", folds=3, layers="after layer 0", seed=seed)
    np.testing.assert_array_equal(measured.array, right)
    assert measured.yes_no
    measured = probe(planted, grouped, "half", what="log loss", folds=3, layers="after layer 0", seed=seed)
    np.testing.assert_allclose(measured.array, loss, atol=1e-6)
    assert not measured.yes_no


def test_the_fit_is_the_minimum_of_the_penalised_loss(planted):
    read = streams(planted, batches(planted, PROMPTS), "end")["after layer 0"]
    y = np.array([one.label("half") == "1" for one in PROMPTS])
    x = (read - read.mean(0)) / np.where(read.std(0) > 0, read.std(0), 1)
    strength = 0.1

    def loss(weights):
        margin = (x @ weights[:-1] + weights[-1]) * np.where(y, 1, -1)
        return strength * np.logaddexp(0, -margin).sum() + 0.5 * weights[:-1] @ weights[:-1]

    found = minimize(loss, np.zeros(x.shape[1] + 1), tol=1e-10).x
    fit = LogisticRegression(C=strength, max_iter=5000, tol=1e-8).fit(StandardScaler().fit_transform(read), y)
    np.testing.assert_allclose(fit.coef_[0], found[:-1], atol=1e-4)


def test_what_is_planted_is_read_where_it_lies_and_nowhere_else(planted):
    at_end = probe(planted, PROMPTS, "value")
    assert at_end.columns == ("embeddings", "after layer 0", "after layer 1")
    assert at_end["after layer 0"].array.mean() == at_end["after layer 1"].array.mean() == 1
    assert at_end["embeddings"].array.mean() < 0.5, "the last word is the same in all texts"
    assert probe(planted, PROMPTS, "value", "{value}", layers="embeddings").array.mean() == 1
    assert set(KNOWN) == set(at_end.columns)


def test_what_is_in_no_text_is_read_from_none(planted):
    found = probe(planted, said(200, "confirmation"), "half")
    assert (abs(found.values.mean(0) - 0.5) < 0.12).all()


def test_a_group_is_never_in_training_and_test(planted):
    task = labelled(PROMPTS, "half", "value", 3, 0)
    groups = np.array(groups_of(PROMPTS, "value"))
    for train, test, inner in task.folds:
        assert not set(groups[train]) & set(groups[test])
        assert all(not set(groups[train[one]]) & set(groups[train[other]]) for one, other in inner)
    assert sorted(np.concatenate([test for _, test, _ in task.folds])) == list(range(len(PROMPTS)))


def test_memory_of_groups_does_not_help(tmp_path):
    """A class that half of all words have at random is read of words that were trained on, and of no others."""
    model, found = load(str(directory(tmp_path / "random", "gpt2"))), []
    texts = said(300, "confirmation")
    words = sorted({one.clean.split()[0] for one in texts})
    for draw in range(2):
        half = random.Random(draw).sample(words, len(words) // 2)
        rows = []
        for one in texts:
            word = one.clean.split()[0]
            rows.append(Prompt(one.clean, "w1", labels=(("word", word), ("kind", "in" if word in half else "out"))))
        prompts = PromptSet("memory", "confirmation", tuple(rows))
        measured = (probe(model, prompts, "kind", 1, by, layers="embeddings") for by in ("word", "prompt"))
        found.append([one.array.mean() for one in measured])
    across, within = np.mean(found, axis=0)
    assert within > 0.9 and across < 0.6, found


def test_shuffled_labels_are_read_no_better_than_chance(planted):
    shuffled = probe(planted, PROMPTS, "value", labels="shuffled", layers="after layer 0")
    assert shuffled.array.mean() < 0.5
    assert "shuffled labels" in shuffled.of


def test_shuffling_keeps_groups_of_one_class_whole():
    groups = tuple("aabbccddee")
    found = _shuffled(np.array(list("xxyyxxyyxx")), groups, 0)
    assert sorted(found) == sorted("xxyyxxyyxx")
    assert all(found[2 * n] == found[2 * n + 1] for n in range(5))
    mixed = _shuffled(np.array(list("xyyyxxyyxx")), groups, 0)
    assert any(mixed[2 * n] != mixed[2 * n + 1] for n in range(5))


def test_the_control_task_is_named_where_the_word_itself_is_read_and_selectivity_is_the_difference(planted):
    """Values lie in a plane, of three corners: any labels of theirs are as easy as their own."""
    arguments = {"at": "{value}", "layers": "embeddings"}
    control = probe(planted, PROMPTS, "value", labels="control", **arguments)
    assert control.array.mean() > 0.95
    assert selectivity(planted, PROMPTS, "value", **arguments).array.mean() == pytest.approx(
        1 - control.array.mean(), abs=1e-12
    )
    by_label = probe(planted, PROMPTS, "value", labels="control", word="value", **arguments)
    np.testing.assert_array_equal(by_label.array, control.array)


def test_a_control_task_of_one_word_is_refused(planted):
    with pytest.raises(ValueError, match=r"one word type: all prompts have the token '3' at 'end'; name another, as w"):
        probe(planted, PROMPTS, "value", labels="control")


def test_bags_are_fitted_on_the_same_folds_as_the_stream(planted):
    found = probe_bags(planted, PROMPTS, "value")
    assert found.columns == ("bag of embeddings", "bag of tokens", "majority")
    assert found["bag of tokens"].array.mean() == found["bag of embeddings"].array.mean() == 1
    task = labelled(PROMPTS, "value", "prompt", 5, 0)
    wanted = judged(bags(planted, batches(planted, PROMPTS))["tokens"], task, "right")
    np.testing.assert_array_equal(found["bag of tokens"].array, wanted)
    y = np.array([one.label("value") for one in PROMPTS])
    for train, test, _ in task.folds:
        classes, counts = np.unique(y[train], return_counts=True)
        np.testing.assert_array_equal(found["majority"].array[test], y[test] == classes[counts.argmax()])


def test_a_bag_of_tokens_has_carries_and_not_the_order_of_operands():
    """Whether the digits' sum is large is linear in them, and what comes first is not in a bag."""
    prompts, model = addition(200), load("mini-pilot@untrained")
    assert probe_bags(model, prompts, "order of operands", group=("a", "b")).values.mean(0).max() < 0.6
    carries = probe_bags(model, prompts, "carry", group=("a", "b"))
    assert carries["bag of tokens"].array.mean() > 0.7 > 0.65 > carries["majority"].array.mean()


def test_a_probe_of_all_depths_is_a_measurement_with_the_prompts_names(planted):
    found = probe(planted, PROMPTS, "half", folds=3, unit="text")
    assert found.units == tuple(one.fingerprint for one in PROMPTS) and found.unit == "text"
    assert found.of == "half: probe names the class, out of fold"


@pytest.mark.parametrize(
    ("changes", "said_"),
    [
        ({"target": "length"}, "'length' has one class, '5'"),
        ({"target": "value", "group": "value"}, "3 groups for 5 folds"),
        ({"target": "value", "group": "value", "folds": 3}, "'w1' of 'value' is in one group alone, 'w1'"),
        ({"target": "half", "layers": "after layer 9"}, "no depth 'after layer 9'"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(planted, changes, said_):
    rows = tuple(
        Prompt(one.clean, one.answer, labels=(*one.labels, ("length", "5"))) for one in said(60, "confirmation")
    )
    with pytest.raises(ValueError, match=said_) as raised:
        probe(planted, PromptSet("said", "confirmation", rows), **changes)
    assert "\n" not in str(raised.value)


def kinds(*given: str) -> PromptSet:
    rows = zip(PROMPTS, given, strict=True)
    return PromptSet("kinds", "confirmation", tuple(Prompt(one.clean, "w1", labels=(("kind", k),)) for one, k in rows))


def test_labels_that_one_fold_holds_whole_are_refused(planted):
    prompts, raised = kinds("rare", "rare", *"xy" * 44), []
    task, made = labelled(prompts, "kind", "prompt", 3, 0), batches(planted, prompts)
    for seed in range(20):
        try:
            other_labels(task, prompts, made, "prompt", "end", "", "shuffled", seed)
        except ValueError as error:
            raised.append(str(error))
    assert 0 < len(raised) < 20
    assert all("'rare' of 'shuffled' is never trained on in one of the folds" in line for line in raised)


def test_a_class_too_rare_to_choose_a_penalty_by_is_refused():
    with pytest.raises(ValueError, match="a second class of 'kind' is never trained on in one of the folds"):
        labelled(kinds("rare", "rare", *"x" * 88), "kind", "prompt", 3, 0)
    assert labelled(kinds(*["rare"] * 6, *"x" * 84), "kind", "prompt", 3, 0)


@pytest.mark.parametrize("changes", [{"what": "wrong"}, {"labels": "none"}])
def test_another_word_is_refused(planted, changes):
    with pytest.raises(REFUSED):
        probe(planted, PROMPTS, "value", **changes)


def test_damaged_weights_are_refused_with_the_prompt(tmp_path):
    model = load(str(directory(tmp_path / "damaged", "gpt2")))
    with torch.no_grad():
        model.blocks[0].mlp.original_component.c_proj.bias[0] = float("inf")
    with pytest.raises(ValueError, match="computes NaN or infinity for prompt"):
        probe(model, PROMPTS, "value")
