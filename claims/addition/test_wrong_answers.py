"""Two-digit addition: right answers against wrong ones, on a half-trained network.

The trained networks leave too few wrong answers, so all of this is asked of mini-half, a checkpoint of mini-0 that
answers about three of five: what it writes instead of the sum, and whether what is written before right answers
differs. Figures cited from this network are those of discovery pairs. Terms, intervals and limits of the topic:
`measurements.py`.
"""

import pytest

from claims.measurements import right
from mechlib import (
    Measurement,
    PromptSet,
    difference,
    open_question,
    proportion,
    show,
)
from mechlib.evidence import evidence
from mechlib.figures import heads_by_layer, rates_by_stratum
from mechlib.prompts import addition

# Evidence: one value, or one for each component, for each pair of operands.


@evidence
def missed_by_one(model: str, prompts: PromptSet) -> Measurement:
    """Of the pairs that are answered wrongly only: 1 where the given number is next to the true one, else 0."""
    from dataclasses import replace

    from mechlib.lab import load, numbers_given

    numbers = numbers_given(load(model), prompts)
    off = numbers["given"].array - numbers["true"].array
    wrong = [row for row, miss in enumerate(off) if miss]
    return replace(
        numbers,
        values=abs(off[wrong]) == 1,
        units=tuple(numbers.units[row] for row in wrong),
        order=tuple(numbers.order[row] for row in wrong),
        strata=tuple(numbers.strata[row] for row in wrong),
        columns=("value",),
        yes_no=True,
        of="wrong by one",
    )


@evidence
def norms(model: str, prompts: PromptSet) -> Measurement:
    """Length of residual stream, MLP outputs and head outputs at the last position; strata "right" and "wrong"."""
    from mechlib.lab import activation_norms, load

    return activation_norms(load(model), prompts)


# Wrong answers, where there are enough of them: on a half-trained network.


@pytest.mark.parametrize("model", ["mini-half"])
def test_wrong_sums_are_wrong_by_one(model):
    """Of the sums that the half-trained network gets wrong, at least 80 % are wrong by one.

    Source: this network on discovery pairs: 117 of 123 wrong numbers are next to the true one.
    """
    answers = right(model, addition())
    show(rates_by_stratum, answers.by("sum"), "Accuracy of the half-trained network by the size of the sum")
    assert proportion(missed_by_one(model, addition())) >= 0.8


@pytest.mark.parametrize("model", ["mini-half"])
@open_question({"mini-half": "longer by 2.3 of about 40, from .5 to 4.1"})
def test_an_mlp_writes_more_where_the_answer_is_right(model):
    """Before right answers of the half-trained network the third layer's MLP writes a longer vector, by at least 1.

    Source: this network on discovery pairs: norms of 41.9 before right and 37.8 before wrong answers.
    """
    every_length = norms(model, addition(300))
    show(heads_by_layer, every_length.stratum("right"), "Norm of what each head and MLP writes before right answers")
    show(heads_by_layer, every_length.stratum("wrong"), "Norm of what each head and MLP writes before wrong answers")
    lengths = every_length["mlp 2"]
    show(rates_by_stratum, lengths, "Norm of what the third MLP writes, before right and wrong answers")
    assert difference(lengths.stratum("right"), lengths.stratum("wrong")) >= 1
