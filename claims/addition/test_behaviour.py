"""Two-digit addition: what these networks answer, in training's words and outside of them.

That they add pairs of operands that were never trained, in each wording of training, and subtract, is a test of theirs
(tests/lab/models). Here stands what it is worth beside what needs no adding, and what becomes of it outside of
training: in words out of order, with larger operands, behind a solved example. No bound of the inside is borrowed
there. Terms, intervals and limits of the topic: `measurements.py`.
"""

from dataclasses import replace
from random import Random

import pytest

from claims.addition.measurements import unasked
from claims.measurements import right
from claims.models import MINIS
from mechlib import Measurement, PromptSet, difference, every, open_question, proportion, refuted, show, void
from mechlib.evidence import evidence
from mechlib.figures import rates_by_column
from mechlib.prompts import addition, world

UNTRAINED_WORDING = "Answer : {a} + {b} ?"
OUT_OF_ORDER = ("? {a} + {b} : Answer", "? {a} - {b} : Answer")


def behind_fillers(prompts: PromptSet) -> PromptSet:
    """The same questions behind as many fillers as there are words of solved examples, drawn for each by its text."""
    rows = []
    for row in prompts:
        words, draw = row.clean.split(), Random(row.clean)
        lead = len(words) - words[::-1].index("What") - 1
        rows.append(replace(row, clean=" ".join([*draw.choices(world.FILLERS, k=lead), *words[lead:]]), corrupted=""))
    return replace(prompts, rows=tuple(rows), settings=(*prompts.settings, ("instead of examples", "fillers")))


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
@void({"mini-1": "82 % are right where the words are out of order", "mini-3": "94 % are, where they are out of order"})
def test_addition_works_in_a_wording_that_was_never_trained(model):
    """Asked as `Answer : 23 + 54 ?`, in words that it knows but an order that it never saw, 80 % of sums are right, and
    not with the same words out of order.

    Outside of training: no bound of the trained wordings is borrowed.
    Source: mini-pilot on discovery pairs: 91 %, and 96 % out of order.
    """
    asked, out_of_order = (right(model, addition(400, wording=one)) for one in (UNTRAINED_WORDING, OUT_OF_ORDER[0]))
    assert proportion(asked, control=out_of_order) >= 0.8


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-0": "0.100, from 0.056 to 0.161", "mini-2": "0.177, from 0.134 to 0.229"})
@open_question({"mini-1": "0.825, from 0.734 to 0.895"})
def test_two_numbers_are_added_behind_words_out_of_order(model):
    """Asked in words that are no question, `? 23 + 54 : Answer`, 80 % of sums are right, and not where a minus stands
    in the place of the plus.

    Where that is so, a wording that was never trained says nothing of wordings: any order of its words would do.
    Source: mini-pilot on discovery pairs: 96 %, and 91 % as `Answer : 23 + 54 ?`; under 5 % of sums behind a minus.
    """
    plus, minus = (right(model, addition(400, wording=wording)) for wording in OUT_OF_ORDER)
    assert proportion(plus, control=minus) >= 0.8


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
    from 100 to 149 are right than with two operands up to 99.

    Sums are as large on either side. Restated from "fewer than 10 % are right", which a network that does not add
    satisfies.
    Source: mini-pilot on discovery pairs: all of these sums, and none of 305 beyond.
    """
    within, beyond = (right(model, pairs).by("sum") for pairs in (addition(), addition(400, operands="100 to 120")))
    assert difference(within.stratum("100 to 149"), beyond.stratum("100 to 149")) >= 0.8


@pytest.mark.parametrize("model", MINIS)
def test_behind_a_solved_example_sums_are_lost(model):
    """Behind one solved example at least 80 points fewer sums are right than behind as many words that say nothing.

    Restated from "behind two solved examples, a longer prompt than any trained sum", where a quarter of what was lost
    was lost by the length.
    Source: mini-pilot on discovery pairs: 2 % behind an example, 98 % behind ten other words; behind two examples, and
    twenty other words, 1 and 68 %.
    """
    solved = addition(400, shots=1, seed=1)
    assert difference(right(model, behind_fillers(solved)), right(model, solved)) >= 0.8
