"""Two-digit addition: what these networks answer, and where that ends.

The baseline of the topic: what a network writes when left to write, and its most likely next word, on pairs of operands
that were never trained, in any order, wording or operation. Outside of training, in another wording, with larger
operands or behind solved examples, no bound of the inside is borrowed. Terms, intervals and limits of the topic:
`measurements.py`.
"""

import pytest

from claims.addition.measurements import FROM_ABOVE, WORDINGS, written_out
from claims.measurements import right
from claims.models import MINIS
from mechlib import every, no_twin, open_question, proportion, refuted, show
from mechlib.figures import matrix, rates_by_column, rates_by_stratum
from mechlib.prompts import addition, increment, subtraction

UNTRAINED_WORDING = "Answer : {a} + {b} ?"


# The baseline.


@pytest.mark.parametrize("model", MINIS)
def test_the_sum_is_what_comes_next(model):
    """After `What is 23 + 54 ? Answer :` the most likely word is the sum, for at least 95 % of pairs never trained.

    Source: the goal that the training of the minis was given before it began.
    """
    answers = right(model, addition())
    show(rates_by_stratum, answers.by("sum"), "Accuracy by the size of the sum")
    show(rates_by_stratum, answers.by("carry"), "Accuracy with and without a carry of the units")
    assert proportion(answers) >= 0.95


@pytest.mark.parametrize("model", MINIS)
def test_the_sum_is_what_is_written(model):
    """Left to write four words, the network writes the sum as its first number, for at least 95 % of pairs.

    Source: as above; generation is greedy and the first integer is parsed, as for models that write around a number.
    """
    both = written_out(model, addition())
    show(rates_by_column, both, "The first number written, and the most likely next word")
    assert proportion(both["right"]) >= 0.95


@pytest.mark.parametrize("model", MINIS)
def test_addition_works_in_every_wording(model):
    """In each of the three wordings of training at least 95 % of sums are right.

    Source: the goal of training, which named the plain wording; mini-pilot has 98 % in each on discovery pairs.
    """
    answers = {wording: right(model, addition(wording=wording)) for wording in WORDINGS}
    show(matrix, {(wording, "share right"): found for wording, found in answers.items()}, "Accuracy by wording")
    assert every(proportion(found) for found in answers.values()) >= 0.95


@pytest.mark.parametrize("model", MINIS)
def test_addition_works_with_and_without_a_carry(model):
    """At least 90 % of sums are right both where the units carry and where they do not.

    Source: mini-pilot on discovery pairs: 97 % and 99 %.
    """
    answers = right(model, addition()).by("carry")
    assert every(proportion(answers.stratum(case)) for case in ("carry", "no carry")) >= 0.9


@pytest.mark.parametrize("model", MINIS)
@open_question(
    {
        "mini-0": "84 or 85 of 95 sums from 150 on are right, which leaves the bound inside the interval",
        "mini-2": "84 or 85 of 95 sums from 150 on are right, which leaves the bound inside the interval",
        "mini-3": "84 or 85 of 95 sums from 150 on are right, which leaves the bound inside the interval",
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
def test_addition_works_in_a_wording_that_was_never_trained(model):
    """Asked as `Answer : 23 + 54 ?`, in words that it knows but an order that it never saw, 80 % of sums are right.

    Outside of training: no bound of the trained wordings is borrowed.
    Source: mini-pilot on discovery pairs: 91 %.
    """
    assert proportion(right(model, addition(400, wording=UNTRAINED_WORDING))) >= 0.8


@pytest.mark.parametrize("model", MINIS)
@no_twin(FROM_ABOVE)
def test_addition_ends_where_training_ends(model):
    """With one operand from 100 to 120, whose tokens are known but which was never added, fewer than 10 % are right.

    Source: mini-pilot on discovery pairs: none of 305.
    """
    assert proportion(right(model, addition(400, operands="100 to 120"))) < 0.1


@pytest.mark.parametrize("model", MINIS)
@no_twin(FROM_ABOVE)
def test_two_solved_examples_do_not_help(model):
    """Behind two solved examples, a longer prompt than any trained sum, fewer than 10 % are right.

    The wording is there for larger models; what is claimed here is that these networks know one question at a time.
    Source: mini-pilot on discovery pairs: 2 of 310.
    """
    assert proportion(right(model, addition(400, shots=2))) < 0.1


@pytest.mark.parametrize("model", MINIS)
def test_subtraction_is_right(model):
    """At least 95 % of differences are right where subtrahend and difference are a pair that was never trained.

    Source: mini-pilot on discovery pairs: 99 %.
    """
    assert proportion(right(model, subtraction())) >= 0.95


@pytest.mark.parametrize("model", MINIS)
@open_question({"mini-0": "ten of eleven are right, and eleven are too few"})
def test_the_next_number_is_right(model):
    """At least 60 % of next numbers are right where adding one to them was never trained.

    Source: there are eleven such numbers, and eleven right answers reach no higher bound than 71 %.
    """
    assert proportion(right(model, increment())) >= 0.6
