"""Two-digit addition: what these networks answer, and where that ends.

The baseline of the topic: what a network writes when left to write, and its most likely next word, on pairs of operands
that were never trained, in any order, wording or operation. Outside of training, in another wording, with larger
operands or behind solved examples, no bound of the inside is borrowed. Terms, intervals and limits of the topic:
`measurements.py`.
"""

import pytest

from claims.addition.measurements import WORDINGS, unasked, written_out
from claims.measurements import right
from claims.models import MINIS
from mechlib import Measurement, PromptSet, difference, every, open_question, proportion, refuted, show
from mechlib.evidence import evidence
from mechlib.figures import matrix, rates_by_column
from mechlib.prompts import addition, subtraction

UNTRAINED_WORDING = "Answer : {a} + {b} ?"


# Evidence: one value for each pair of operands.


@evidence
def beside_interpolation(model: str, prompts: PromptSet) -> Measurement:
    """1 where the sum is right, as the network says it ("network"), as the "nearest" trained pair and the mean of the
    "neighbours" have it, and by a linear "read-out" of embeddings; strata "up to 175" and "above 175"."""
    from dataclasses import replace

    from mechlib.lab import load, sums_by_interpolation

    found = sums_by_interpolation(load(model), prompts)
    large = tuple("above 175" if int(prompt.answer) > 175 else "up to 175" for prompt in prompts)
    return replace(found, strata=large)


# The baseline.


@pytest.mark.parametrize("model", MINIS)
def test_the_sum_is_what_is_written(model):
    """Left to write four words, the network writes the sum as its first number, for at least 95 % of pairs.

    Source: as above; generation is greedy and the first integer is parsed, as for models that write around a number.
    """
    both = written_out(model, addition())
    show(rates_by_column, both, "The first number written, and the most likely next word")
    assert proportion(both["right"]) >= 0.95


@pytest.mark.parametrize("model", MINIS)
@open_question({"mini-3": "0.983, from 0.95 to 0.997"})
def test_addition_works_in_every_wording(model):
    """In each of the three wordings of training at least 95 % of sums are right.

    Source: the goal of training, which named the plain wording; mini-pilot has 98 % in each on discovery pairs.
    """
    answers = {wording: right(model, addition(wording=wording)) for wording in WORDINGS}
    show(matrix, {(wording, "share right"): found for wording, found in answers.items()}, "Accuracy by wording")
    assert every(proportion(found) for found in answers.values()) >= 0.95


@pytest.mark.parametrize("model", MINIS)
@open_question(
    {
        "mini-0": "84 or 85 of 95 sums from 150 on are right, which leaves the bound inside the interval",
        "mini-1": "0.905, from 0.727 to 0.984",
        "mini-2": "84 or 85 of 95 sums from 150 on are right, which leaves the bound inside the interval",
        "mini-3": "84 or 85 of 95 sums from 150 on are right, which leaves the bound inside the interval",
        "mini-4": "0.905, from 0.727 to 0.984",
    }
)
def test_addition_works_for_small_and_large_sums(model):
    """At least 80 % of sums are right in each of four ranges: 0 to 49, 50 to 99, 100 to 149, 150 to 198.

    Source: mini-pilot on discovery pairs: all of the first three, 87 % of the last.
    """
    answers = right(model, addition()).by("sum")
    ranges = ("0 to 49", "50 to 99", "100 to 149", "150 to 198")
    assert every(proportion(answers.stratum(size)) for size in ranges) >= 0.8


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-2": "2 of 400: it does not take these words for a question"})
@open_question({"mini-4": "0.87, from 0.797 to 0.924"})
def test_addition_works_in_a_wording_that_was_never_trained(model):
    """Asked as `Answer : 23 + 54 ?`, in words that it knows but an order that it never saw, 80 % of sums are right.

    Outside of training: no bound of the trained wordings is borrowed.
    Source: mini-pilot on discovery pairs: 91 %.
    """
    assert proportion(right(model, addition(400, wording=UNTRAINED_WORDING))) >= 0.8


@pytest.mark.parametrize("model", MINIS)
def test_subtraction_is_right(model):
    """At least 95 % of differences are right where subtrahend and difference are a pair that was never trained.

    Source: mini-pilot on discovery pairs: 99 %.
    """
    assert proportion(right(model, subtraction())) >= 0.95


# What the training pairs give away, and where training ends. Asked when the sentences above had been judged.


@pytest.mark.parametrize("model", MINIS)
@open_question(
    {
        "mini-0": "0.0567, from 0.0145 to 0.0988",
        "mini-1": "0.06, from 0.0174 to 0.103",
        "mini-2": "0.06, from 0.0174 to 0.103",
        "mini-3": "0.0567, from 0.0145 to 0.0988",
        "mini-4": "0.06, from 0.0174 to 0.103",
    }
)
def test_the_network_adds_where_its_neighbours_mislead(model):
    """The sum is what comes next for at least 3 % more of pairs never trained than the rounded mean of trained pairs
    that differ by one in one operand has right.

    The mean of the four neighbours is the sum, unless some of them were held out too or lie beyond 99.
    Source: mini-pilot on discovery pairs: 98 %, and 90 % by neighbours; the nearest trained pair itself is never right.
    """
    found = beside_interpolation(model, unasked())
    show(rates_by_column, found, "Right answers of the network, and of three interpolations of trained pairs")
    assert difference(found["network"], found["neighbours"]) >= 0.03


@pytest.mark.parametrize("model", MINIS)
@open_question(
    {
        "mini-0": "0.02, from -0.00172 to 0.0417; too skewed for so few to say",
        "mini-1": "0.0167, from -0.00206 to 0.0354; too skewed for so few to say",
        "mini-2": "0.0167, from -0.00206 to 0.0354; too skewed for so few to say",
        "mini-3": "0.02, from -0.00172 to 0.0417; too skewed for so few to say",
        "mini-4": "0.0167, from -0.00206 to 0.0354; too skewed for so few to say",
    }
)
def test_a_linear_read_out_of_the_embeddings_adds_as_well(model):
    """A linear read-out of both operands' embeddings, fitted to the trained pairs, is right as often as the network,
    within five points, on pairs never trained.

    So that right answers on held-out pairs alone do not say how the network adds: whatever tells a hundred numbers
    apart, untrained embeddings too, can be read out so. The nearest trained pair stands beside it.
    Source: mini-pilot on discovery pairs: 100 % by the read-out, 98 % by the network, none by the nearest pair.
    """
    found = beside_interpolation(model, unasked())
    assert -0.05 <= difference(found["read-out"], found["network"], beside=found["nearest"]) <= 0.05


@pytest.mark.parametrize("model", MINIS)
def test_beyond_the_operands_of_training_sums_are_lost(model):
    """With one operand from 100 to 120, whose tokens are known but which was never added, at least 80 points fewer sums
    are right.

    Restated from "fewer than 10 % are right", which a network that does not add satisfies.
    Source: mini-pilot on discovery pairs: 98 %, and none of 305 beyond.
    """
    assert difference(right(model, addition()), right(model, addition(400, operands="100 to 120"))) >= 0.8


@pytest.mark.parametrize("model", MINIS)
def test_behind_two_solved_examples_sums_are_lost(model):
    """Behind two solved examples, a longer prompt than any trained sum, at least 80 points fewer sums are right.

    Restated from "fewer than 10 % are right". The wording is there for larger models; these networks know one question
    at a time.
    Source: mini-pilot on discovery pairs: 98 %, and 2 of 310 behind examples.
    """
    assert difference(right(model, addition()), right(model, addition(400, shots=2))) >= 0.8
