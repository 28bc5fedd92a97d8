"""Circuits: how small a part of a network does a task.

Circuits of growing size, chosen on discovery prompts by EAP-IG, and what greedy pruning with exact effects leaves. What
a circuit keeps is its *faithfulness*: 0 for nothing, 1 for all that tells the clean from the corrupted prompt. Terms,
intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.circuits.measurements import (
    DISCOVERY,
    SIZES,
    TASKS,
    as_shares,
    edges,
    effect_of_edges,
    judged,
    nodes,
    pruned,
    pruned_nodes,
    sizes_kept,
)
from claims.models import MINIS
from claims.tasks import CONFIRMATION, right
from mechlib import exact, faithfulness, mean, open_question, proportion, requires, show, void
from mechlib.figures import by_column, circuit_graph, curve

# How small a circuit does the task.


@pytest.mark.parametrize("task", ("ioi", "induction"))
@pytest.mark.parametrize("model", MINIS)
@open_question(
    {
        "mini-0-ioi": "92 %, from 89 to 95",
        "mini-1-ioi": "90 %, from 87 to 92",
        "mini-2-ioi": "100: 0.973, from 0.953 to 0.992; too skewed for so few to say",
        "mini-3-ioi": "100: 0.88, from 0.858 to 0.901",
        "mini-4-ioi": "100: 0.966, from 0.925 to 1.01; too skewed for so few to say",
    }
)
def test_a_hundred_edges_do_nine_tenths_of_the_task(model, task):
    """The 100 strongest of 1,519 edges keep at least 90 % of what tells the clean from the corrupted prompt.

    Source: mini-pilot on discovery prompts keeps 94 % of indirect objects and all of induction.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    found = sizes_kept(model, task)
    show(curve, {("EAP-IG", size): as_shares(found)[size] for size in map(str, SIZES)}, "Faithfulness by size")
    scores = effect_of_edges(model, "EAP-IG", DISCOVERY[task])
    show(circuit_graph, scores[edges(model, task, 50).connected().parts], "The 50 strongest edges, as they were chosen")
    assert faithfulness(found[["model", "empty", "100"]]) >= 0.9


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MINIS)
@void(
    {
        "mini-0-ioi": "7 of 20 others in its place do as well",
        "mini-0-addition": "12 of 20 others in its place do as well",
        "mini-1-ioi": "4 of 20 others in its place do as well",
        "mini-1-addition": "13 of 20 others in its place do as well",
        "mini-2-ioi": "6 of 20 others in its place do as well",
        "mini-2-addition": "15 of 20 others in its place do as well",
        "mini-3-ioi": "6 of 20 others in its place do as well",
        "mini-3-addition": "13 of 20 others in its place do as well",
        "mini-4-ioi": "4 of 20 others in its place do as well",
        "mini-4-addition": "17 of 20 others in its place do as well",
    }
)
def test_ten_heads_and_mlps_carry_five_logits(model, task):
    """The ten strongest of 36 heads and MLPs keep at least 5 logits more than none of them.

    Source: mini-pilot on discovery prompts: 13 logits of indirect objects, 15 of addition, 35 of induction.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    found = judged(model, nodes(model, task), "counterfactual", CONFIRMATION[task], None)
    assert mean(found.less("circuit", "empty")) >= 5


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MINIS)
@open_question(
    {
        "mini-0-ioi": "90 %, from 87 to 93",
        "mini-1-ioi": "91 %, from 89 to 93",
        "mini-3-ioi": "circuit: 0.945, from 0.919 to 0.971; too skewed for so few to say",
        "mini-4-ioi": "circuit: 0.949, from 0.905 to 0.993; too skewed for so few to say",
    }
)
@void(
    {
        "mini-3-addition": "holds untrained too: 1.000008 [0.999996, 1.000020]",
        "mini-4-induction": "holds untrained too: 0.999996 [0.999981, 1.000001]",
    }
)
def test_what_greedy_pruning_leaves_does_nine_tenths_of_the_task(model, task):
    """The heads and MLPs that greedy pruning at 1 % leaves keep at least 90 %.

    Pruning removes what changes a prompt by less than 1 %, on average.
    Source: mini-pilot on discovery prompts keeps 98, 99 and 100 %.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    tried = pruned_nodes(model, DISCOVERY[task])
    show(by_column, tried[pruned(model, task).parts], "What each node changed when it was tried, as a share")
    found = judged(model, pruned(model, task), "counterfactual", CONFIRMATION[task], None)
    assert faithfulness(found) >= 0.9


@pytest.mark.parametrize("model", MINIS)
def test_addition_takes_more_nodes_than_induction(model):
    """On 100 discovery prompts each greedy pruning at 1 % leaves at least 10 heads and MLPs more for addition than for
    induction.

    Counts on these prompts, without an interval, and of that threshold alone: at 2, 5 and 10 % it is 8, 6 and -4 more
    in mini-0, 9, 1 and -3 in mini-2, 12, 10 and 1 in mini-4 (the same prompts; not filed).

    Source: mini-pilot on discovery prompts: 31 and 8.
    """
    requires(proportion(right(model, CONFIRMATION["addition"])) >= 0.8)
    more = len(pruned(model, "addition")) - len(pruned(model, "induction"))
    assert exact(more, of="heads and MLPs") >= 10
