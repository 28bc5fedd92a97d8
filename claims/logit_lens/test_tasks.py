"""The logit lens: from which depth on the answer is the top token, by task.

Terms, depths, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.logit_lens.measurements import TURNS, entropies, on_top, seen
from claims.models import MINIS
from claims.tasks import CONFIRMATION
from mechlib import open_question, proportion, refuted, show, shuffled_answers
from mechlib.figures import by_depth

LATER = "its repeated words come a layer later: 88 % are on top behind three layers, with 1.2 nats"


@pytest.mark.parametrize("task", list(TURNS))
@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-3-induction": LATER})
def test_the_answer_is_on_top_from_here_on(model, task):
    """The answer is the lens's top token in at least three quarters of the prompts: of sums behind the last layer, of
    indirect objects behind three layers, of repeated words behind two. Answers of other prompts are not.

    Source: mini-pilot on discovery prompts: 98, 95 and 100 %.
    """
    found, others = seen(model, task), on_top(model, shuffled_answers(CONFIRMATION[task]))
    show(by_depth, found, "Answer on top, by depth")
    show(by_depth, entropies(model, CONFIRMATION[task]), "Entropy of the lens, by depth, in nats")
    depth = TURNS[task][1]
    assert proportion(found[depth], control=others[depth]) >= 0.75


@pytest.mark.parametrize("task", list(TURNS))
@pytest.mark.parametrize("model", MINIS)
@open_question(
    {
        "mini-0-ioi": "0.319, from 0.185 to 0.479",
        "mini-1-ioi": "0.188, from 0.089 to 0.328",
        "mini-2-ioi": "0.288, from 0.146 to 0.468",
        "mini-4-addition": "0.285, from 0.217 to 0.361",
    }
)
def test_the_answer_is_not_yet_on_top_before(model, task):
    """It is in at most 30 of 100 prompts of sums one layer earlier, of indirect objects and of repeated words
    behind the first layer.

    Source: mini-pilot on discovery prompts: 19, 11 and 0 %.
    """
    found, (before, after) = seen(model, task), TURNS[task]
    assert proportion(found[before], beside=found[after]) <= 0.3
