"""Circuits: whether a chosen part passes for the whole.

A circuit is judged as a hypothesis on confirmation prompts: is it equivalent to the network (Shi et al. 2024,
arXiv:2410.13032). That nothing outside is a backup for what is inside (Wang et al. 2022, arXiv:2211.00593) is not
asked: half of a circuit takes most of it from the network too, and a backup would not show. Whether these tests say
the truth where it is known is asked in tests/lab/circuits/, and where they do not in the topic of discovery. Terms,
intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.circuits.measurements import TASKS, edges, judged
from claims.models import MINIS
from claims.tasks import CONFIRMATION, right
from mechlib import equivalence, every, open_question, proportion, refuted, requires
from mechlib.prompts import addition, induction, ioi

MORE = {"ioi": ioi(), "addition": addition(400), "induction": induction()}  # independence is seldom decided on fewer

# Why predictions failed, where several failed for one reason.
AHEAD = "the network is ahead of the circuit on 78 to 92 % of prompts"
FAR = "the network is ahead on 93 to 96 % of pairs, by two fifths of its logit difference or more"


# Circuits as hypotheses.


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MINIS)
@refuted(
    {
        "mini-*-addition": FAR,
        "mini-0-ioi": AHEAD,
        "mini-1-ioi": AHEAD,
        "mini-2-ioi": AHEAD,
        "mini-3-ioi": AHEAD,
    }
)
@open_question(
    {
        "mini-4-ioi": "neither is ahead on more than 63 % of prompts",
        "mini-0-induction": "the circuit is ahead on 65 % of sequences, from 60 to 70",
        "mini-1-induction": "neither is ahead on more than 60.1 % of sequences",
        "mini-2-induction": "the circuit is ahead on 62 % of sequences, from 57 to 68",
    }
)
def test_two_hundred_edges_pass_for_the_network(model, task):
    """The circuit of 200 edges and the network are equivalent: neither is ahead on more than 60 % of the prompts, and
    they differ by at most 10 % of the network's mean logit difference.

    Source: Shi et al. 2024, arXiv:2410.13032, with margins instead of a test; there the circuit of indirect objects in
    GPT-2 fails. On mini-pilot's discovery prompts addition fails by far (5 times the margin), indirect objects by a
    little (1.2). Beside it
    stands the circuit of 50 edges, which the test must tell from the network.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    found = judged(model, edges(model, task, 200), "counterfactual", MORE[task], None)
    fewer = judged(model, edges(model, task, 50), "counterfactual", MORE[task], None)
    assert every(equivalence(found, beside=fewer)) <= 1
