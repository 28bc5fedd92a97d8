"""Induction: what heads do, patched and ablated, and what MLPs write.

*Carriers* are the three heads that restore most of the logit difference when their output at the last position is
patched from the clean into the corrupted run, chosen on discovery prompts; the textbook says that these are the
induction heads. Ablation is at every position, and its metric is the loss on the repeat of a sequence said twice.
Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.induction.measurements import (
    LATER,
    SPREAD,
    around_target,
    behind_the_answer,
    carriers,
    induction_head,
    induction_heads,
    restored,
    scores,
)
from claims.measurements import restored_jointly, written_by_mlps
from claims.models import MINIS
from mechlib import (
    Heads,
    Measurement,
    PromptSet,
    all_heads,
    difference,
    every,
    mean,
    open_question,
    random_sets,
    ratio,
    refuted,
    requires,
    show,
    void,
)
from mechlib.evidence import evidence
from mechlib.figures import by_column, heads_by_layer
from mechlib.prompts import induction, repeats

# Why predictions failed, where several failed for one reason.


# Evidence: losses for each sequence, or one row for each random set.


@evidence
def loss_without(model: str, heads: Heads, how: str, prompts: PromptSet, reference: PromptSet) -> Measurement:
    """Loss on the repeat with `heads` ablated ("chosen"), and with random sets of as many others, averaged over 20
    sets."""
    from mechlib.lab import load, loss_under_ablation

    network = load(model)
    sets = random_sets(heads, all_heads(network.cfg.n_layers, network.cfg.n_heads), n=20)
    named = {"chosen": heads, **{f"random {number}": one for number, one in enumerate(sets)}}
    found = loss_under_ablation(network, prompts, named, how, reference)
    drawn = [name for name in found.columns if name.startswith("random")]
    values = [found["chosen"].array, found[drawn].values.mean(axis=1), found["intact"].array]
    return found.with_columns({"chosen": values[0], "random": values[1], "intact": values[2]})


# What heads do.


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-1": "four heads of layer 1 share the work", "mini-4": "four heads of layer 1 share the work"})
def test_one_induction_head_restores_two_fifths_of_the_logit_difference(model):
    """Patching the strongest induction head alone restores at least 40 % of the logit difference.

    Source: the sentence as the field says it of L5H5 in GPT-2 small.
    """
    requires(mean(scores(model, "discovery")[induction_head(model)]) >= 0.4)
    effect = restored(model, induction())
    show(heads_by_layer, effect.without(["total"]), "Logits restored by patching one head at the last position")
    assert ratio(effect[induction_head(model)], effect["total"]) >= 0.40


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-1": "1.4 looks best, 1.6 does most", "mini-4": "1.7 looks best, 1.6 does most"})
def test_the_strongest_induction_head_restores_more_than_any_other_of_its_layer(model):
    """The head with the highest induction score restores more of the logit difference than every other head of its
    layer.

    Source: the textbook: attention to the target is what the effect comes from.
    """
    requires(mean(scores(model, "discovery")[induction_head(model)]) >= 0.4)
    (head,) = induction_head(model)
    effect = restored(model, induction())
    others = [name for name in effect.head_columns if name.startswith(f"{head.layer}.") and name != str(head)]
    assert every(difference(effect[head], effect[others])) > 0


@pytest.mark.parametrize("model", MINIS)
def test_the_induction_heads_together_restore_nine_tenths_of_the_logit_difference(model):
    """All heads with an induction score of at least 0.4, patched together, restore at least 90 % of the logit
    difference.

    Source: mini-pilot on discovery prompts, where three such heads restore 99.9 %.
    """
    requires(mean(scores(model, "discovery")[induction_head(model)]) >= 0.4)
    assert ratio(restored_jointly(model, induction_heads(model), induction())) >= 0.90


@pytest.mark.parametrize("model", MINIS)
@refuted(
    {
        "mini-0": "six heads of layer 1 share the work",
        "mini-1": "four heads share the work; the best three carry 87 %",
        "mini-2": "five heads of layer 1 share the work",
        "mini-3": SPREAD,
    }
)
@open_question({"mini-4": "90.4 %: the bound lies inside the interval"})
def test_three_heads_carry_nine_tenths_of_the_logit_difference(model):
    """The three heads that restore most on discovery prompts, patched together, restore at least 90 %.

    Source: mini-pilot on discovery prompts, where three heads restore 99.9 %.
    """
    show(heads_by_layer, restored(model, induction()).without(["total"]), "Logits restored by patching one head")
    assert ratio(restored_jointly(model, carriers(model), induction())) >= 0.90


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-0": "six heads share the work; the best three carry 19 logits", "mini-3": SPREAD})
def test_three_heads_carry_twenty_logits(model):
    """The three heads that restore most on discovery prompts, patched together, restore at least 20 logits.

    Source: mini-pilot on discovery prompts (34 logits), with room for other trainings.
    """
    assert mean(restored_jointly(model, carriers(model), induction())["together"]) >= 20


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-0": LATER, "mini-2": LATER, "mini-3": SPREAD})
def test_the_carriers_look_at_the_word_that_followed(model):
    """The three heads that carry the effect attend, on average, to the word after the previous occurrence by 0.4 or
    more.

    Source: the textbook, which takes the heads that carry induction for the heads that look there.
    """
    near = around_target(model, carriers(model), induction())
    show(by_column, near, "Attention of the carriers around the target (offset 0)")
    assert mean(near["0"]) >= 0.4


@pytest.mark.parametrize("model", MINIS)
@void(
    {
        "mini-0": "10 of 39 others in its place do as well",
        "mini-1": "6 of 39 others in its place do as well",
        "mini-2": "9 of 39 others in its place do as well",
        "mini-3": "26 of 39 others in its place do as well",
        "mini-4": "6 of 39 others in its place do as well",
    }
)
def test_the_carriers_look_at_the_word_that_followed_or_just_behind_it(model):
    """The carriers attend by at least 0.4 to the word after the previous occurrence and the three words behind it
    together (stated after looking).

    It had been seen, while the cards of the minis were written, that heads of mini-0 and mini-2 attend one
    word later than the textbook says, and those of mini-3 one and three. The sequences are drawn afresh, but the
    networks and the words are the same, so that this describes what was seen rather than tests it.
    Source: that observation; mini-pilot has .92 on discovery prompts.
    """
    near = around_target(model, carriers(model), induction(seed=1))
    assert mean(near.added_up(["0", "1", "2", "3"])) >= 0.4


@pytest.mark.parametrize("how", ["zero", "mean", "resample"])
@pytest.mark.parametrize("model", MINIS)
@refuted(
    {
        "mini-0-mean": "six heads share the work, so three go on; random sets with a head of layer 0 cost more",
        "mini-3-zero": SPREAD,
        "mini-3-mean": SPREAD,
        "mini-3-resample": SPREAD,
    }
)
def test_without_the_carriers_the_repeat_costs_a_nat_more_than_without_others(model, how):
    """Ablating the carriers raises the loss on the repeat by at least one nat more than ablating as many random
    other heads of the same layers does on average.

    On sequences of 16 words said twice, after four fillers. Heads of other layers are not compared: three of the first
    layer cost as much more in half or more of those tried.
    Source: one nat was asked for before any model was trained; mini-pilot shows 4.5 or more on discovery prompts.
    """
    prompts, reference = repeats(200, half=16, fillers=4), repeats(200, "reference", half=16, fillers=4)
    losses = loss_without(model, carriers(model), how, prompts, reference)
    assert difference(losses["chosen"], losses["random"]) >= 1


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-3": "its heads write most of the difference themselves: MLPs 40 %"})
def test_the_mlps_write_most_of_the_logit_difference_and_towards_b_alone(model):
    """MLPs write at least half of the logit difference between B and C directly into the output, and not towards the
    word behind B.

    Restated from "most of the logit difference" and "five logits", beside which no other word of the text stood.
    Source: mini-pilot on discovery prompts: 12.7 of 17 logits, and none towards the word behind B.
    """
    sequences = induction(200, seed=3)
    found = written_by_mlps(model, sequences, behind_the_answer(sequences))
    show(by_column, found, "What MLPs write towards B, and towards the word behind it, in logits")
    assert ratio(found["mlps"], found["total"], control=found["mlps, others"]) >= 0.5
