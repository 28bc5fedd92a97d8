"""Indirect objects: what is lost without carriers, name movers and MLPs, and what MLPs write.

Heads are ablated singly and together, by zeros, means or another prompt's activation; means come from three-name
sentences of the same template in another lexicon. Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.ioi.measurements import carriers, name_movers
from claims.measurements import logits_without, right, written_by_mlps
from claims.models import MINIS
from mechlib import (
    Measurement,
    PromptSet,
    difference,
    every,
    mean,
    open_question,
    proportion,
    ratio,
    refuted,
    requires,
    show,
    shuffled_distractors,
    void,
)
from mechlib.evidence import evidence
from mechlib.figures import by_column
from mechlib.prompts import ioi

# Evidence: one value for each component, for each prompt.


@evidence
def logits_without_mlps(model: str, prompts: PromptSet, reference: PromptSet) -> Measurement:
    """logit(IO) - logit(S) with one MLP mean-ablated, and "intact"."""
    from mechlib.lab import components, load, under_ablation

    network = load(model)
    mlps = {name: where for name, where in components(network).items() if name.startswith("mlp")}
    return under_ablation(network, prompts, mlps, "mean", reference, metric="logit difference")


# Ablation, singly and jointly.


@pytest.mark.parametrize("how", ["zero", "mean", "resample"])
@pytest.mark.parametrize("model", MINIS)
@void(
    {
        "mini-1-mean": "6 of 39 others in its place do as well",
        "mini-1-resample": "6 of 39 others in its place do as well",
    }
)
def test_without_the_carriers_a_fifth_of_the_logit_difference_is_lost(model, how):
    """Ablating the three carriers together costs at least 20 % of the logit difference.

    Source: the bound was written down before training; mini-pilot loses three quarters and more on discovery prompts.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    found = logits_without(model, carriers(model), how, ioi(160), ioi(split="reference"))
    assert ratio(found.less("intact", "together"), found["intact"]) >= 0.2


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-3": "two heads carry nearly everything; its third carrier, 2.6, costs 1 %"})
@open_question(
    {
        "mini-1": "0.3: 0.153, from 0.0858 to 0.22",
        "mini-2": "0.2: 0.123, from 0.0931 to 0.152",
        "mini-4": "0.1: 0.128, from 0.0911 to 0.165",
    }
)
def test_each_carrier_alone_costs_a_tenth_of_the_logit_difference(model):
    """Mean-ablating any one of the three carriers costs at least 10 % of the logit difference.

    Source: mini-pilot on discovery prompts under mean ablation: 38, 22 and 21 %.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    chosen = carriers(model)
    found = logits_without(model, chosen, "mean", ioi(160), ioi(split="reference"))
    show(by_column, found, "logit(IO) - logit(S) without each carrier, without all three, and intact")
    singly = {str(head): found.less("intact", str(head)).array for head in chosen}
    assert every(ratio(found.with_columns(singly), found["intact"])) >= 0.1


@pytest.mark.parametrize("how", ["zero", "resample"])
@pytest.mark.parametrize("model", MINIS)
@refuted(
    {
        "mini-3-zero": "two heads carry nearly everything; its third carrier, 2.6, costs 1 %",
        "mini-3-resample": "two heads carry nearly everything; its third carrier, 2.6, costs 1 %",
    }
)
@open_question(
    {
        "mini-1-zero": "0.4: 0.392, from 0.309 to 0.475; too skewed for so few to say",
        "mini-2-zero": "0.1: 0.277, from 0.204 to 0.35; too skewed for so few to say",
        "mini-4-resample": "0.1: 0.143, from 0.0922 to 0.194",
    }
)
def test_each_carrier_alone_costs_a_tenth_under_other_ablations(model, how):
    """Ablating any one of the three carriers by zeros, or by another prompt, costs 10 % of the logit difference or
    more.

    Source: the claim above.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    chosen = carriers(model)
    found = logits_without(model, chosen, how, ioi(160), ioi(split="reference"))
    singly = {str(head): found.less("intact", str(head)).array for head in chosen}
    assert every(ratio(found.with_columns(singly), found["intact"])) >= 0.1


@pytest.mark.parametrize("model", MINIS)
@refuted(
    {
        "mini-0": "the strongest of them is the strongest carrier, and nothing takes over",
        "mini-1": "the strongest of them is the strongest carrier, and nothing takes over",
        "mini-2": "the strongest of them is the strongest carrier, and nothing takes over",
        "mini-4": "the strongest of them is the strongest carrier, and nothing takes over",
    }
)
@open_question({"mini-3": "intact less together: 0.0586, from 0.000106 to 0.117"})
def test_without_its_name_movers_the_network_loses_next_to_nothing(model):
    """Mean-ablating the three heads that write most towards IO costs at most 10 % of the logit difference.

    Expected to be refuted: in mini-pilot two of them are carriers.
    Source: Wang et al.: 5 % in GPT-2 small, for backups take over.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    found = logits_without(model, name_movers(model), "mean", ioi(160), ioi(split="reference"))
    seen = logits_without(model, carriers(model), "mean", ioi(160), ioi(split="reference"))
    assert ratio(found.less("intact", "together"), found["intact"], beside=seen.less("intact", "together")) <= 0.1


@pytest.mark.parametrize("model", MINIS)
@open_question(
    {
        "mini-0": "3.5 logits more than the last MLP, and 20 names too skewed (-1.4) for the bound",
        "mini-1": "3.5 logits more than the last MLP, and 16 templates too skewed (-0.8) for the bound",
        "mini-2": "1.06 logits more than the last MLP, from 0.505 to 1.62",
    }
)
def test_the_first_mlp_is_needed_most(model):
    """Mean-ablating the first MLP costs at least one logit more than mean-ablating any other MLP does.

    Restated from "the first MLP is needed", beside which no other stood.
    Source: mini-pilot on discovery prompts: 4.2 logits, and 0.8 to 0.9 by the others.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    left = logits_without_mlps(model, ioi(seed=3), ioi(split="reference"))
    show(by_column, left, "logit(IO) - logit(S) with one MLP mean-ablated")
    others = [name for name in left.mlp_columns if name != "mlp 0"]
    assert every(difference(left[others], left["mlp 0"])) >= 1


# What the MLPs write.


@pytest.mark.parametrize("model", MINIS)
@void({"mini-2": "2.6 of 6.4 logits are written towards IO rather than other names as well"})
def test_the_mlps_write_two_logits_against_the_giver(model):
    """MLPs together write at least 2 logits towards IO rather than S directly into the output, and not towards IO
    rather than a name that is not in the sentence: what they write is against S.

    Restated from "two logits towards IO": in mini-pilot three quarters of it are written towards any name but S.
    Source: mini-pilot on discovery prompts: 5.2 logits, and 1.4 towards IO rather than other names.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    sentences = ioi(seed=3)
    found = written_by_mlps(model, sentences, shuffled_distractors(sentences))
    show(by_column, found, "What MLPs write towards IO rather than S, and rather than another name, in logits")
    assert mean(found["mlps"], control=found["mlps, others"]) >= 2
