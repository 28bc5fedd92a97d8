"""Induction: whether these networks continue `A B ... A` with `B`.

On sequences with one pair that recurs the top word is asked for, and on sequences said twice the loss. Terms, intervals
and limits of the topic: `measurements.py`.
"""

import pytest

from claims.measurements import right
from claims.models import MINIS
from mechlib import Measurement, PromptSet, difference, proportion, show
from mechlib.evidence import evidence
from mechlib.figures import by_stratum
from mechlib.prompts import induction, repeats

# Evidence: two values for each sequence.


@evidence
def loss(model: str, prompts: PromptSet) -> Measurement:
    """Loss on a random sequence and on its repeat (from its second word on), in nats per token."""
    from mechlib.lab import load, repeat_loss

    return repeat_loss(load(model), prompts)


# The behaviour.


@pytest.mark.parametrize("model", MINIS)
def test_the_word_that_followed_before_is_on_top(model):
    """After `A B ... A` the top token is B in at least 80 % of sequences.

    Source: the goal that the training of the minis was given before it began.
    """
    assert proportion(right(model, induction())) >= 0.8


@pytest.mark.parametrize("model", MINIS)
def test_a_sequence_said_twice_costs_four_nats_less_the_second_time(model):
    """On a random sequence said twice, a word costs on average at least 4 nats less the second time.

    From the second word of each half on; the first cannot be known.

    Source: the goal of training: above 4 nats in the first half, below 0.3 in the second.
    """
    halves = loss(model, repeats())
    show(by_stratum, halves["repeat"], "Loss on the repeat, by the number of words said twice")
    assert difference(halves["first half"], halves["repeat"]) >= 4
