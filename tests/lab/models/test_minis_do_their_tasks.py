"""The five trainings do what they were trained for, on prompts that they never met: the gate before all claims on them.

Whether a network does its task says that its training worked, and nothing about its inside; so it is no claim. The
bounds are the goals that training was given before it began. An untrained twin reaches none of them.
"""

import pytest

from mechlib.lab.behaviour import answers_correctly, repeat_loss
from mechlib.lab.models.loading import load
from mechlib.lab.studies.generation import numbers_generated
from mechlib.lab.studies.greater_than import year_scores
from mechlib.prompts import world
from mechlib.prompts.addition import addition, subtraction
from mechlib.prompts.greater_than import greater_than
from mechlib.prompts.induction import induction, repeats
from mechlib.prompts.ioi import ioi

MINIS = tuple(f"mini-{seed}" for seed in range(5))


def sums(name: str) -> float:
    """Share of sums of pairs that were never trained that are the most likely next word, in the worst of three
    wordings; the goal named the plain one."""
    asked = [addition(60, wording=wording) for wording in world.ADDITION_WORDINGS]
    return min(float(answers_correctly(load(name), prompts).values.mean()) for prompts in asked)


def sums_written(name: str) -> float:
    """Share of such pairs of which the sum is the first number, where the network is left to write four words."""
    return float(numbers_generated(load(name), addition(40))["right"].values.mean())


def differences(name: str) -> float:
    """Share of differences that are, where subtrahend and difference are a pair that was never trained."""
    return float(answers_correctly(load(name), subtraction(60)).values.mean())


def indirect_objects(name: str) -> float:
    """Share of sentences after which the indirect object is the most likely next word; the goal was 98 % of 1,000."""
    return float(answers_correctly(load(name), ioi(160)).values.mean())


def words_that_followed(name: str) -> float:
    """Share of sequences `A B ... A` after which B is."""
    return float(answers_correctly(load(name), induction(200)).values.mean())


def nats_saved(name: str) -> float:
    """What a word of a sequence costs less the second time that the sequence is said, from its second word on."""
    losses = repeat_loss(load(name), repeats(100))
    return float(losses.less("first half", "repeat").values.mean())


def later_years(name: str) -> float:
    """Share of sentences after which a year above the start is the most likely next word."""
    return float(year_scores(load(name), greater_than(160))["top"].values.mean())


GOALS = [
    (sums, 0.95),
    (sums_written, 0.95),
    (differences, 0.95),
    (indirect_objects, 0.95),
    (words_that_followed, 0.8),
    (nats_saved, 4.0),
    (later_years, 0.95),
]


@pytest.mark.parametrize(("measured", "goal"), GOALS, ids=[measured.__name__ for measured, _ in GOALS])
@pytest.mark.parametrize("name", MINIS)
def test_a_mini_does_what_it_was_trained_for(name, measured, goal):
    assert measured(name) >= goal


@pytest.mark.parametrize(("measured", "goal"), GOALS, ids=[measured.__name__ for measured, _ in GOALS])
def test_an_untrained_twin_does_not(measured, goal):
    assert measured("mini-0@untrained") < goal / 2
