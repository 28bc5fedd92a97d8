"""Circuits of indirect objects in pretrained models: as published sentences have it of GPT-2 small.

A quarter of all heads and MLPs, found by EAP-IG on discovery prompts, under four replacements, and beside the same MLPs
with as many other heads in each layer; and what Shi et al. 2024 ask of a circuit as a hypothesis. Terms, prompts and
limits: `published.py`.
"""

import pytest

from claims.circuits.published import (
    chosen,
    elsewhere,
    exchanged,
    fewer,
    helpful,
    inside,
    kept_by_circuits,
    kept_with_all_mlps,
    kept_with_other_heads,
    left_without,
    lost_by_each,
    lost_by_one_more,
    preference,
)
from claims.models import AUDITED
from mechlib import (
    above_null,
    equivalence,
    every,
    minimality,
    open_question,
    ratio,
    refuted,
    reported,
    requires,
    show,
    void,
)
from mechlib.figures import by_column

WANG = "Wang et al. 2022, arXiv:2211.00593, section 4"
SHI = "Shi et al. 2024, arXiv:2410.13032, indirect objects in GPT-2 small"
EXCHANGED = ("exchanged 1", "exchanged 2")

# How much of the task a circuit does.


@pytest.mark.parametrize("how", ["counterfactual", "mean", "zero", "resample"])
@pytest.mark.parametrize("model", AUDITED)
@refuted(
    {
        "qwen2.5-coder-0.5b-resample": "quarter: 0.227, from 0.0332 to 0.42",
        "mini-0-resample": "quarter: 0.496, from 0.464 to 0.527",
        "mini-1-resample": "quarter: 0.472, from 0.407 to 0.536",
        "smollm2-135m-mean": "quarter: 0.0609, from -0.085 to 0.207",
        "smollm2-135m-zero": "quarter: 0.0367, from -0.0995 to 0.173",
        "smollm2-135m-resample": "quarter: 0.053, from -0.0854 to 0.191",
        "gemma3-270m-mean": "quarter: 0.229, from 0.107 to 0.352",
        "gemma3-270m-zero": "quarter: -0.00473, from -0.287 to 0.277",
        "gemma3-270m-resample": "quarter: 0.212, from 0.0831 to 0.34",
        "qwen2.5-coder-0.5b-mean": "quarter: 0.23, from 0.0581 to 0.402",
        "qwen2.5-coder-0.5b-zero": "quarter: -0.124, from -0.341 to 0.0936",
    }
)
@open_question(
    {
        "mini-0-counterfactual": "quarter: 0.638, from 0.504 to 0.771",
        "mini-0-zero": "quarter: 0.938, from 0.837 to 1.04; too skewed for so few to say",
        "mini-1-counterfactual": "quarter: 0.712, from 0.592 to 0.833",
        "gemma3-270m-counterfactual": "quarter: 0.742, from 0.643 to 0.841; too skewed for so few to say",
    }
)
@void({"mini-1-mean": "2 of 2 others in its place do as well", "mini-1-zero": "2 of 2 others in its place do as well"})
def test_a_quarter_of_the_nodes_keeps_three_fifths_of_the_logit_difference(model, how):
    """With three quarters of all heads and MLPs replaced, the quarter chosen by EAP-IG keeps at least 60 % of the logit
    difference, across templates and names; with its heads exchanged for others of their layers it does not.

    Shares of the whole network's, F(C) / F(M), as the paper's; corrupted outside, an empty circuit has less than none.
    Source: Wang et al. 2022, section 4: 87 % is kept by 24 % of the nodes, under mean ablation, all MLPs among them.
    The bound is from discovery prompts that did not choose: corrupted outside, SmolLM2 keeps 80 and Gemma 73 %.
    """
    requires(preference(model) >= 0.8)
    found = kept_by_circuits(model, how)
    show(by_column, found, "Logit difference kept by circuits, and by the same with other heads of their layers")
    others = tuple(found[draw] for draw in EXCHANGED)
    assert ratio(found["quarter"], found["model"], control=others) >= 0.6


@pytest.mark.parametrize("model", AUDITED)
@reported(0.87, WANG, sentence="All MLPs and 26 of 144 heads keep the task when the other heads are mean-ablated.")
@refuted(
    {
        "smollm2-135m": "with all MLPs: 0.105, from -0.0394 to 0.25",
        "gemma3-270m": "with all MLPs: 0.407, from 0.303 to 0.511",
        "qwen2.5-coder-0.5b": "with all MLPs: 0.228, from 0.0785 to 0.378",
    }
)
@void({"mini-1": "2 of 3 others in its place do as well"})
def test_a_circuit_with_all_mlps_keeps_most_of_it_under_mean_ablation(model):
    """With all MLPs and the 18 % of heads chosen by EAP-IG as they are, and all other heads at their mean over
    three-name sentences, at least 60 % of the logit difference is kept, across written templates and names; with these
    heads exchanged for others of their layers, or with MLPs alone, it is not.

    The paper's way: MLPs belong to the circuit, and 26 of 144 heads; its heads were found by hand and act at some
    positions only, here at all.
    Source: Wang et al. 2022, section 4: 87 %. The bound is that of the quarter above, in which MLPs have to be chosen.
    """
    requires(preference(model) >= 0.8)
    found = kept_with_all_mlps(model)
    others = tuple(found[name] for name in (*EXCHANGED, "MLPs alone"))
    assert ratio(found["with all MLPs"], found["model"], control=others) >= 0.6


@pytest.mark.parametrize("model", AUDITED)
@reported(None, "Shi et al. 2024, arXiv:2410.13032", primary=True)
@refuted({"gemma3-270m": "kept: -0.162, from -0.233 to -0.104"})
@open_question(
    {
        "smollm2-135m": "kept: 0.14, from -0.261 to 0.259",
        "mini-0": "kept: 0.178, from 0.102 to 0.326; too skewed for so few to say",
    }
)
def test_the_circuit_beats_random_ones_of_its_layers(model):
    """The quarter of the nodes keeps more of what tells clean from corrupted prompts than 95 % of 80 circuits with the
    same MLPs and as many heads in each layer, drawn at random, corrupted outside.

    Source: Shi et al. 2024, where the circuit of indirect objects beats random ones of up to nine tenths of its size;
    those were random edges of the whole network, which are easier to beat. On discovery prompts Gemma's, of layers of
    four heads, keeps 87 %, and 2 of 20 others keep more; SmolLM2's keeps 90 %, and two others at most 36.
    """
    requires(preference(model) >= 0.8)
    found = kept_by_circuits(model, "counterfactual")
    gains = {"kept": found.less("quarter", "empty").array, "total": found.less("model", "empty").array}
    others = kept_with_other_heads(model, chosen(model, "quarter"), 80, fewer(model))
    assert above_null(found.with_columns(gains), others[["kept", "total"]], exhaustive=False) > 0


@pytest.mark.parametrize("model", AUDITED)
@refuted({"mini-0": "quarter: -0.301, from -0.433 to -0.168", "mini-1": "quarter: -0.141, from -0.296 to 0.0145"})
def test_what_a_circuit_keeps_depends_on_what_stands_outside(model):
    """The quarter of the nodes keeps more with the corrupted prompt outside than with zeros, by at least 20 % of the
    logit difference, and with its heads exchanged for others of their layers it does not.

    Source: Miller et al. 2024: the faithfulness of one circuit goes from below 0 to above 100 % with such choices.
    """
    requires(preference(model) >= 0.8)
    corrupted, zeros = (kept_by_circuits(model, how) for how in ("counterfactual", "zero"))
    names = ("quarter", *EXCHANGED)
    more = corrupted.with_columns({name: corrupted[name].array - zeros[name].array for name in names})
    others = tuple(more[name] for name in EXCHANGED)
    assert ratio(more["quarter"], corrupted["model"], control=others) >= 0.2


# Circuits as hypotheses.


@pytest.mark.parametrize("model", AUDITED)
@refuted(
    {
        "gemma3-270m": "which is ahead: 3.75, from 2.59 to 4.91",
        "qwen2.5-coder-0.5b": "which is ahead: 3.12, from 1.52 to 4.73",
        "mini-1": "which is ahead: 4.11, from 2.56 to 5.67",
    }
)
@open_question(
    {"smollm2-135m": "which is ahead: 1.46, from 0 to 3.21", "mini-0": "which is ahead: 2.29, from 0 to 4.76"}
)
def test_half_of_the_nodes_pass_for_the_network(model):
    """The circuit of half of the nodes and the network are equivalent, corrupted outside: neither is ahead on more than
    60 % of prompts, and they differ by at most 10 % of the network's mean logit difference.

    The number is the larger distance in units of its margin: 1 is on the margin. Beside it stands the circuit of a
    tenth, which must be told from the network. In the paper the circuit is ahead on 24 %, 2.6 margins from a half; on
    discovery prompts SmolLM2's is on 31 % and Gemma's on 37, apart by 13 to 14 % of the mean: it is expected to fail.
    Source: Shi et al. 2024, who test where here margins are held.
    """
    requires(preference(model) >= 0.8)
    found = kept_by_circuits(model, "counterfactual")
    half, tenth = (
        found.with_columns({"model": found["model"].array, "circuit": found[name].array}) for name in ("half", "tenth")
    )
    assert every(equivalence(half, beside=tenth)) <= 1


@pytest.mark.parametrize("model", AUDITED)
@open_question(
    {
        "mini-0": "not shown to see an effect of the bound's size",
        "mini-1": "not shown to see an effect of the bound's size",
    }
)
def test_without_the_heads_of_the_quarter_little_of_the_task_is_left(model):
    """With the heads of the quarter of the nodes at their mean over three-name sentences, at most 20 % of the logit
    difference is left; with as many other heads of their layers at their mean, more is.

    MLPs stay: without those of the quarter nothing is left whichever heads go with them.
    Source: Shi et al. 2024, independence, there a test of whether what is left still varies with what the network says;
    how much is left is asked here.
    """
    requires(preference(model) >= 0.8)
    (other,) = exchanged(model, 1)
    left = left_without(model, chosen(model, "quarter").heads, other.heads, inside(model), elsewhere(model))
    assert ratio(left["circuit"], left["intact"], beside=left["exchanged"]) <= 0.2


@pytest.mark.parametrize("model", AUDITED)
@open_question(
    {
        "smollm2-135m": "mlp 4: -0.255, from -1.02 to 0.427",
        "qwen2.5-coder-0.5b": "12.10: -0.0482, from -0.207 to 0.103",
        "mini-0": "0.4: 1.07, from -0.349 to 1.72",
        "mini-1": "0.7: 0.859, from -0.627 to 1.55",
    }
)
def test_no_node_of_the_helpful_tenth_is_idle(model):
    """Each node of the circuit of the tenth with the largest positive scores costs that circuit more, corrupted, than
    90 % of 40 single nodes that are added to it at random cost when they are taken out again.

    Source: Shi et al. 2024, minimality, by edges; here by nodes, of those with a positive score only.
    """
    requires(preference(model) >= 0.8)
    circuit = helpful(model)
    lost = lost_by_each(model, circuit, fewer(model))
    show(by_column, lost, "Logits that each node's corruption costs the circuit")
    assert every(minimality(lost, lost_by_one_more(model, circuit, 40, fewer(model)))) > 0
