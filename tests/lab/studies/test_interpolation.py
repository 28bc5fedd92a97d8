"""Interpolations of trained pairs, against loops over all of them and scikit-learn's regression."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from mechlib.lab.behaviour import answers_correctly
from mechlib.lab.models.loading import load
from mechlib.lab.studies.interpolation import (
    nearest_sums,
    neighbours_sums,
    read_out_sums,
    sums_by_interpolation,
    trained_pairs,
)
from mechlib.prompts import world
from mechlib.prompts.addition import addition, trained
from mechlib.prompts.promptset import Prompt, PromptSet

PROMPTS = addition(60, split="discovery")
PAIRS = [(int(prompt.label("a")), int(prompt.label("b"))) for prompt in PROMPTS]
SHOWN = {frozenset(pair) for pair in world.PAIRS if not world.pair_is_held_out(*pair)}


def test_the_trained_pairs_are_those_of_training_and_none_is_asked_for():
    found = {frozenset(pair) for pair in trained_pairs().tolist()}
    assert len(trained_pairs()) == len(found) == 4040
    assert found == {frozenset((int(row.label("a")), int(row.label("b")))) for row in trained()}
    assert not found & {frozenset(pair) for pair in PAIRS}


def test_the_nearest_pair_is_found_by_looking_at_all():
    either = [pair for shown in SHOWN for pair in {tuple(shown), tuple(shown)[::-1]}]
    ordered = [pair if len(pair) == 2 else pair * 2 for pair in either]
    for (a, b), said in zip(PAIRS, nearest_sums(PAIRS), strict=True):
        off = {(x, y): (x - a) ** 2 + (y - b) ** 2 for x, y in ordered}
        least = min(off.values())
        assert said == min(sum(other) for other, far in off.items() if far == least)


def test_neighbours_differ_by_one_in_one_operand():
    for (a, b), said in zip(PAIRS, neighbours_sums(PAIRS), strict=True):
        near = [(x, y) for x in range(100) for y in range(100) if abs(x - a) + abs(y - b) == 1]
        sums = [x + y for x, y in near if frozenset((x, y)) in SHOWN]
        assert said == round(sum(sums) / len(sums))


def test_without_a_trained_neighbour_there_is_no_answer(monkeypatch):
    monkeypatch.setattr(world, "pair_is_held_out", lambda a, b: True)
    assert np.isnan(neighbours_sums([(3, 4)])).all()


def test_the_read_out_is_the_regression_of_scikit_learn():
    embedding = np.random.default_rng(0).normal(size=(100, 12))
    made = trained_pairs()
    fitted = LinearRegression().fit(embedding[made].mean(axis=1), made.sum(axis=1))
    wanted = np.round(fitted.predict(embedding[np.array(PAIRS)].mean(axis=1)))
    np.testing.assert_array_equal(read_out_sums(embedding, PAIRS), wanted)
    assert (wanted != [a + b for a, b in PAIRS]).any(), "twelve dimensions do not hold a hundred numbers"


def test_where_every_number_has_a_dimension_of_its_own_the_read_out_adds_whatever_the_numbers_look_like():
    embedding = np.random.default_rng(1).normal(size=(100, 128))
    np.testing.assert_array_equal(read_out_sums(embedding, PAIRS), [a + b for a, b in PAIRS])


def test_the_columns_are_right_answers_row_by_row():
    model = load("mini-pilot")
    found = sums_by_interpolation(model, PROMPTS)
    assert found.columns == ("network", "nearest", "neighbours", "read-out") and found.yes_no
    assert found.units == tuple(row.fingerprint for row in PROMPTS)
    true = np.array([a + b for a, b in PAIRS])
    np.testing.assert_array_equal(found["network"].array, answers_correctly(model, PROMPTS).array)
    np.testing.assert_array_equal(found["nearest"].array, nearest_sums(PAIRS) == true)
    np.testing.assert_array_equal(found["neighbours"].array, neighbours_sums(PAIRS) == true)
    embedding = model.W_E.detach().double().numpy()
    rows = [model.tokenizer.convert_tokens_to_ids(str(number)) for number in range(100)]
    np.testing.assert_array_equal(found["read-out"].array, read_out_sums(embedding[rows], PAIRS) == true)


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (Prompt("What is 3 + 4 ? Answer :", "7"), "has no labels a and b"),
        (Prompt("What is 3 + 4 ? Answer :", "8", labels=(("a", "3"), ("b", "4"))), "asks for 8: wanted is a sum"),
        (Prompt("What is 3 + 100 ? Answer :", "103", labels=(("a", "3"), ("b", "100"))), "operands from 0 to 99"),
    ],
)
def test_other_questions_are_refused(row, line):
    with pytest.raises(ValueError, match=line):
        sums_by_interpolation(load("mini-pilot"), PromptSet("sums", "discovery", (row,)))
