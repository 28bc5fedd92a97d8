"""Features that were chosen remember the prompts that chose them."""

import numpy as np
import pytest

from mechlib.measurement import Measurement
from mechlib.parts.chosen import DoubleDipping, chosen_on
from mechlib.parts.features import alike, drawn, feature_of, leading
from mechlib.parts.heads import EmptySelection
from mechlib.prompts.promptset import Prompt, PromptSet

NAMES = ("a: 1 > 0", "a: 2 > 0", "b: 3 > 0", "b: 4 > 0.5", "error", "total")


def measured(split="discovery"):
    prompts = PromptSet("x", split, (Prompt("one two", answer="three"),))
    return Measurement(np.array([[0.2, 0.9, 0.0, 0.6, 5.0, 7.0]]), ("all",), columns=NAMES, prompts=(prompts,))


def test_the_leading_columns_are_those_with_the_highest_means_and_remember():
    found = leading(measured(), 2)
    assert found == ("a: 2 > 0", "b: 4 > 0.5")
    assert chosen_on(*found) == measured().prompts[0].members
    assert leading(measured(), among="b") == ("b: 4 > 0.5",)


def test_those_alike_are_nearest_and_none_is_zero():
    assert alike(measured(), "a: 2 > 0", 2) == ("b: 4 > 0.5", "a: 1 > 0")
    with pytest.raises(EmptySelection, match="2 columns to choose from, and 3 are wanted"):
        alike(measured(), "a: 2 > 0", 3)


def test_those_drawn_are_not_zero_and_not_the_ones_left_out():
    for seed in range(5):
        assert set(drawn(measured(), 2, seed, ("a: 2 > 0",))) == {"a: 1 > 0", "b: 4 > 0.5"}
    assert len({drawn(measured(), 1, seed) for seed in range(20)}) == 3


def test_a_feature_of_a_detector_remembers_too():
    pool, number = feature_of(leading(measured())[0])
    assert (pool, number) == ("a", "2")
    assert chosen_on(pool) == chosen_on(number) == measured().prompts[0].members
    with pytest.raises(ValueError, match="is no detector"):
        feature_of("17")


@pytest.mark.parametrize("choose", [leading, drawn, lambda one, n: alike(one, "a: 2 > 0", n)])
def test_nothing_is_chosen_on_prompts_that_judge(choose):
    with pytest.raises(DoubleDipping, match="choose on discovery"):
        choose(measured("confirmation"), 1)
    with pytest.raises(DoubleDipping, match="nothing says on which prompts"):
        choose(Measurement(np.ones((1, 2)), ("all",), columns=("a: 2 > 0", "b")), 1)
    with pytest.raises(ValueError, match="0 columns asked for"):
        choose(measured(), 0)
