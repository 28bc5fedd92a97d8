"""Circuits: how they are found, and how much that is worth.

EAP-IG beside EAP, whether other prompts would choose the same nodes, and how near attribution patching comes to exact
patching. Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.circuits.measurements import DISCOVERY, TASKS, as_shares, sizes_kept
from claims.models import MINIS
from claims.tasks import CONFIRMATION, right
from mechlib import (
    Measurement,
    PromptSet,
    difference,
    every,
    open_question,
    overlap,
    proportion,
    ratio,
    refuted,
    requires,
    show,
    void,
)
from mechlib.evidence import evidence
from mechlib.figures import by_column, curve

FEW_SIZES = (5, 20, 100, 200)


# Evidence: one value for each component, for each prompt.


@evidence
def effect_of_nodes_by_prompt(model: str, prompts: PromptSet) -> Measurement:
    """What every head and MLP adds to the logit difference, to first order (EAP-IG), prompt by prompt."""
    from mechlib.lab import load, node_scores

    return node_scores(load(model), prompts, by_prompt=True)


@evidence
def attribution_missed(model: str, prompts: PromptSet) -> Measurement:
    """Attribution patching less exact patching of each layer's heads and MLP at the last position, in logits."""
    from mechlib.lab import attribution_error, layers, load, restored_by_patching

    network = load(model)
    missed = attribution_error(network, prompts, layers(network), unit="prompt")
    total = restored_by_patching(network, prompts, {"mlp 0": layers(network)["mlp 0"]})["total"]
    return missed.with_columns({**{name: missed[name].array for name in missed.columns}, "total": total.array})


# How circuits are found.


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-3-ioi": "both choose the same twenty edges"})
@open_question(
    {"mini-2-ioi": "alike, within a tenth of a logit", "mini-3-induction": "alike, within a twentieth of a logit"}
)
@void(
    {
        "mini-3-addition": "20 of 20 others in its place do as well",
        "mini-4-ioi": "10 of 20 others in its place do as well",
        "mini-4-addition": "19 of 20 others in its place do as well",
    }
)
def test_integrated_gradients_choose_better_edges(model, task):
    """Twenty edges chosen by EAP-IG keep more of the logit difference than twenty chosen by EAP.

    In addition the twenty of EAP have mostly no path from input to logits: there this is about being connected at all.

    Source: Hanna et al. 2024, arXiv:2403.17806; mini-pilot on discovery prompts keeps .53 and .34 of indirect objects,
    .45 and nothing of addition, .83 and .70 of induction.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    better, plain = sizes_kept(model, task), sizes_kept(model, task, "EAP", FEW_SIZES)
    both = {"EAP-IG": as_shares(better), "EAP": as_shares(plain)}
    show(curve, {(name, size): both[name][size] for name in both for size in map(str, FEW_SIZES)}, "Two methods")
    assert difference(better["20"], plain["20"]) > 0


@pytest.mark.parametrize("task", ("ioi", "induction"))
@pytest.mark.parametrize("model", MINIS)
@open_question(
    {
        "mini-1-ioi": "seven or eight of ten stay in nearly all samples, and the bound is between the two",
        "mini-2-ioi": "seven or eight of ten stay in nearly all samples, and the bound is between the two",
        "mini-1-induction": "the interval of a hundred samples ends well above, their error reaches the bound",
        "mini-2-induction": "the interval of a hundred samples ends well above, their error reaches the bound",
    }
)
def test_other_prompts_would_choose_the_same_ten_nodes(model, task):
    """Of the ten strongest heads and MLPs at least eight stay in nearly all bootstrap samples of the prompts.

    That is a Jaccard index of at least .66, for eight shared of twelve in either choice. Not asked of addition: its ten
    are of the first layer's eight heads and the four MLPs, and any two tens of twelve share eight. (Random tens of the
    layers and kinds that the ten of the other two are of come to .20 to .60.)

    Source: mini-pilot on discovery prompts: the lower ends are .82 and .67 (Jaccard).
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    assert overlap(effect_of_nodes_by_prompt(model, DISCOVERY[task]), k=10) >= 0.66


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MINIS)
@refuted(
    {
        "mini-0-ioi": "the heads of layer 0 together: 55 % of the logit difference too little",
        "mini-1-ioi": "the heads of layer 0 together: 54 % of the logit difference too little",
        "mini-2-ioi": "the heads of layer 0 together: 49 % of the logit difference too little",
        "mini-3-ioi": "the heads of layer 0 together: 38 % of the logit difference too little",
        "mini-4-ioi": "the heads of layer 0 together: 46 % of the logit difference too little",
        "mini-0-addition": "the heads of layer 0 together: 85 % of the logit difference too little",
        "mini-1-addition": "the heads of layer 0 together: 82 % of the logit difference too little",
        "mini-2-addition": "the heads of layer 0 together: 92 % of the logit difference too little",
        "mini-3-addition": "the heads of layer 0 together: 79 % of the logit difference too little",
        "mini-4-addition": "the heads of layer 0 together: 79 % of the logit difference too little",
        "mini-0-induction": "the heads of layer 1 together: 46 % of the logit difference too little",
        "mini-1-induction": "the heads of layer 1 together: 55 % of the logit difference too little",
        "mini-2-induction": "the heads of layer 1 together: 49 % of the logit difference too little",
        "mini-3-induction": "the heads of layer 2 together: 26 % of the logit difference too little",
        "mini-4-induction": "the heads of layer 1 together: 58 % of the logit difference too little",
    }
)
def test_attribution_patching_comes_near_exact_patching(model, task):
    """For the heads and for the MLP of every layer, attribution patching misses what exact patching restores by at most
    10 % of the logit difference, on average over prompts.

    Source: what its use supposes (Nanda 2023). Expected to fail at MLPs: on mini-pilot's discovery prompts it misses
    the first MLP by 17 % for indirect objects, the last by 44 % for addition, the second by 37 % for induction.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    found = attribution_missed(model, CONFIRMATION[task])
    show(by_column, found.without(["total"]), "Attribution patching less exact patching, in logits")
    assert -0.1 <= every(ratio(found.without(["total"]), found["total"])) <= 0.1
