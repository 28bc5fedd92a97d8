"""Circuits: whether a chosen part passes for the whole.

A circuit is judged as a hypothesis on confirmation prompts: is it equivalent to the network (Shi
et al. 2024, arXiv:2410.13032), is nothing outside a backup for what is inside (Wang et al. 2022, arXiv:2211.00593).
Whether these tests say the truth where it is known is asked in tests/lab/circuits/, and where they do not in the topic
of discovery. Terms, intervals and limits of the topic:
`measurements.py`.
"""

import pytest

from claims.circuits.measurements import TASKS, edges, judged
from claims.models import MINIS
from claims.tasks import CONFIRMATION, right
from mechlib import (
    Circuit,
    Measurement,
    PromptSet,
    equivalence,
    every,
    open_question,
    proportion,
    random_knockouts,
    ratio,
    refuted,
    requires,
)
from mechlib.evidence import evidence
from mechlib.prompts import addition, induction, ioi

MORE = {"ioi": ioi(), "addition": addition(400), "induction": induction()}  # independence is seldom decided on fewer

# Why predictions failed, where several failed for one reason.
AHEAD = "the network is ahead of the circuit on 78 to 92 % of prompts"
FAR = "the network is ahead on 93 to 96 % of pairs, by two fifths of its logit difference or more"


# Evidence: one value for each prompt, or one row for each random circuit.


@evidence
def without_parts(model: str, circuit: Circuit, prompts: PromptSet) -> Measurement:
    """Logit difference of circuit and network without the same edges: six random halves of the circuit's."""
    from mechlib.lab import load, under_knockouts

    whole = circuit.connected()
    return under_knockouts(load(model), prompts, whole, random_knockouts(whole, n=6), "counterfactual", unit="prompt")


# Circuits as hypotheses: the hundred strongest edges.


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
    little (1.2).
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    found = judged(model, edges(model, task, 200), "counterfactual", MORE[task], None)
    assert every(equivalence(found)) <= 1


@pytest.mark.parametrize("task", ("ioi", "induction"))
@pytest.mark.parametrize("model", MINIS)
@open_question(
    {
        "mini-0-ioi": "10.5 % for one of the halves, from 4 to 17",
        "mini-1-ioi": "random 6: -0.0575, from -0.106 to -0.00872",
        "mini-3-ioi": "random 1: -0.0434, from -0.074 to -0.0128; too skewed for so few to say",
        "mini-4-ioi": "random 5: -0.0133, from -0.0615 to 0.0349; too skewed for so few to say",
    }
)
def test_nothing_outside_a_hundred_edges_stands_in_for_half_of_them(model, task):
    """Without the same random half of the circuit, circuit and network differ by at most 10 % of what there is to
    lose, for each of six halves.

    Source: Wang et al. 2022, arXiv:2211.00593, section 4: completeness; on mini-pilot's discovery prompts by 2 % at the
    most.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    prompts = CONFIRMATION[task].take(100 if task == "ioi" else 200)
    found = without_parts(model, edges(model, task), prompts)
    whole = judged(model, edges(model, task), "counterfactual", prompts, None)
    names = [name.removeprefix("circuit without ") for name in found.columns if name.startswith("circuit without ")]
    apart = {n: found[f"circuit without {n}"].array - found[f"model without {n}"].array for n in names}
    assert -0.1 <= every(ratio(found.with_columns(apart), whole.less("model", "empty"))) <= 0.1
