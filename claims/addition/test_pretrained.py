"""Two-digit addition: models of the Hub, some of which add.

Every prompt is worded `Question: What is 23+54? Answer: 23+54=`, and an answer is the first integer among four
generated words. Which heads matter is asked of a model only where it writes 80 % of the sums; the heads are chosen as
in the small networks. Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.addition.measurements import names, right_without_the_first, written_out
from claims.measurements import restored
from claims.models import HUB, UP_TO_A_BILLION
from mechlib import difference, every, exact, proportion, requires, show, strongest
from mechlib.figures import by_column
from mechlib.prompts import addition

# Models of the Hub, in the wording `Question: What is 23+54? Answer: 23+54=`. These rows run where weights are.


@pytest.mark.parametrize("model", ["pythia-2.8b"])
def test_a_model_of_three_billion_adds(model):
    """Zero shot, the model writes at least 80 % of the sums below 100.

    Source: 86.3 %, a community's figure, unreviewed: EleutherAI's Pythia models on this wording.
    """
    answers = written_out(model, addition(wording="question"))["right"].by("sum")
    assert every(proportion(answers.stratum(size)) for size in ("0 to 49", "50 to 99")) >= 0.8


@pytest.mark.parametrize("model", UP_TO_A_BILLION)
def test_models_up_to_a_billion_hardly_add(model):
    """Zero shot, the model writes fewer than 10 % of the sums below 100.

    Source: 0, .2, 4.6 and 5.1 % for Pythia of 70M to 1B, a community's figures, unreviewed; for GPT-2 small none was
    found.
    """
    answers = written_out(model, addition(wording="question"))["right"].by("sum")
    assert every(proportion(answers.stratum(size)) for size in ("0 to 49", "50 to 99")) < 0.1


@pytest.mark.parametrize("model", HUB)
def test_the_carriers_of_a_model_that_adds_are_in_its_second_half(model):
    """In a model that adds, the six heads that restore most lie on average in the second half of its layers.

    Source: after Stolfo et al. 2023, arXiv:2305.15054, where attention in middle layers brings the operands to the last
    position and later MLPs make the result of them; that the half is the bound is ours.
    """
    requires(proportion(written_out(model, addition(wording="question"))["right"]) >= 0.8)
    effects = restored(model, addition(100, split="discovery", wording="question"))
    depth = sum(head.layer for head in strongest(effects, 6)) / 6 / (len(effects.mlp_columns) - 1)
    assert exact(depth, of="mean layer of six heads, as a share of the last") >= 0.5


@pytest.mark.parametrize("model", HUB)
def test_eight_heads_of_a_model_that_adds_cost_most_of_its_answers(model):
    """In a model that adds, mean-ablating the eight strongest carriers costs at least 60 points of accuracy.

    Source: three heads cost 94 points in mini-pilot; the curve over one to eight heads is drawn.
    """
    requires(proportion(written_out(model, addition(wording="question"))["right"]) >= 0.8)
    chosen = strongest(restored(model, addition(100, split="discovery", wording="question")), 8)
    reference = addition(split="reference", wording="question")
    answers = right_without_the_first(model, names(chosen), addition(100, wording="question"), reference)
    show(by_column, answers, "Accuracy without the strongest heads, by their number")
    assert difference(answers["intact"], answers["8"]) >= 0.6
