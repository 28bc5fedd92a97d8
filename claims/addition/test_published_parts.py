"""Two-digit addition in pretrained models: when the operands arrive, which heads bring them, and what makes the sum.

The residual stream by layer at the operands and at the last position; the heads of the one layer that brings the
operands, singly, and where they look; the MLPs before and behind it; and what of it is there when a number is only
repeated. The layer and its heads are chosen on discovery pairs. Small models have the layer first, so that nothing
stands before it: what is said of layers before it is asked of pretrained models alone. In one that adds, what the heads
of the layer restore, what the stream behind it does, and how often either turns an answer are one quantity seen several
times, and so are the stream and the MLPs before it: rows that count as one. Terms: `published.py`.
"""

import pytest

from claims.addition.published import (
    MENTAL,
    STOLFO,
    attention_of,
    attention_to_replaced,
    carrier,
    layers_by_effect,
    middle_half,
    mlps_by_effect,
    mlps_that_do_and_do_not,
    restored_at_operand,
    restored_by_attention,
    restored_by_heads,
    restored_through_layers,
    retrieved,
    stream_map,
    sums,
)
from claims.measurements import right
from claims.models import AUDITED, PRETRAINED
from mechlib import mean, open_question, proportion, ratio, refuted, reported, requires, show, void
from mechlib.figures import by_column, heads_by_layer, matrix

OTHER = {"first": "second", "second": "first"}
ALL_FOR_ONE = "Computation occurs late and only at the last token, which receives information of other tokens."
MIDDLE_LAYERS = "The layers in which the last token receives information of other tokens are middle ones."
LATE_MLPS = "Late MLPs at the last token make the result of the operands."


# When the operands arrive.


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", PRETRAINED)
@reported(None, f"{MENTAL}, abstract", sentence=ALL_FOR_ONE)
def test_an_operand_is_at_the_last_position_behind_the_layer_and_not_before(model, operand):
    """Behind the layer the residual stream at the last position restores at least 80 % of the logit difference, and
    before the layer it does not.

    Source: Qwen2.5-Coder-0.5B on discovery pairs: .95 of the first operand behind, .07 before.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    layer, *_ = layers_by_effect(model, least=1)
    found = restored_through_layers(model, sums(model, operand))
    show(matrix, stream_map(model, operand), "Logits that the stream restores, at an operand and at the last position")
    before = found[(f"after layer {layer - 1}", "total")]
    assert ratio(found[(f"after layer {layer}", "total")], control=before) >= 0.8


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", PRETRAINED)
@reported(None, f"{MENTAL}, abstract", sentence=ALL_FOR_ONE)
def test_before_the_layer_hardly_any_of_an_operand_is_at_the_last_position(model, operand):
    """Before the layer the residual stream at the last position restores less than 20 %.

    Source: Qwen2.5-Coder-0.5B on discovery pairs: .07 of the first operand.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    layer, *_ = layers_by_effect(model, least=1)
    found = restored_through_layers(model, sums(model, operand))
    behind = found[f"after layer {layer}"]
    assert ratio(found[f"after layer {layer - 1}"], found["total"], beside=behind) < 0.2


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", PRETRAINED)
@reported(None, f"{MENTAL}, abstract", sentence=ALL_FOR_ONE)
@open_question({"qwen2.5-coder-0.5b-first": "after layer 15: 0.924, from 0.88 to 0.968; too skewed for so few to say"})
def test_an_operand_is_read_at_its_own_digits_before_the_layer_and_not_behind(model, operand):
    """Before the layer the residual stream at the digits of the operand, wherever the question says it, restores at
    least 80 %, and behind the layer it does not: what comes later does not look there any more.

    Source: Qwen2.5-Coder-0.5B on discovery pairs: .93 of the first operand before, .07 behind.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    layer, *_ = layers_by_effect(model, least=1)
    found = restored_at_operand(model, sums(model, operand, n=48))
    behind = found[(f"after layer {layer}", "total")]
    assert ratio(found[(f"after layer {layer - 1}", "total")], control=behind) >= 0.8


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", PRETRAINED)
def test_two_layers_of_attention_do_most_of_what_all_attention_does(model, operand):
    """The heads of two layers together restore at least 70 % of what all heads at the last position restore, and those
    of all other layers together do not.

    Two layers are half of a small model's: nothing would be said of it.
    Source: Qwen2.5-Coder-0.5B on discovery pairs: .94 of the first operand by two, .07 by the rest.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    found = restored_by_attention(model, layers_by_effect(model)[:2], sums(model, operand))
    assert ratio(found[("these", "all")], control=found[("rest", "all")]) >= 0.7


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", AUDITED)
@reported(None, f"{MENTAL}, abstract", sentence=MIDDLE_LAYERS)
@refuted(
    {
        "mini-0-first": "these: 0.151, from 0.11 to 0.192",
        "mini-0-second": "these: 0.122, from 0.0861 to 0.157",
        "mini-1-first": "these: 0.138, from 0.088 to 0.189",
        "mini-1-second": "these: 0.15, from 0.112 to 0.187",
    }
)
def test_the_heads_of_the_middle_half_of_the_layers_bring_an_operand(model, operand):
    """All heads of the middle half of the layers, patched together at the last position, restore at least 70 % of what
    all heads restore, and those of the first and the last quarter together do not.

    The middle half are all layers but a quarter, rounded up, at either end: none of them is chosen. Were it all the
    same where heads stand, they would restore half.
    Source: the bound for two layers. The small models have the layer first, so that the sentence is expected to fail.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    found = restored_by_attention(model, middle_half(model), sums(model, operand))
    assert ratio(found[("these", "all")], control=found[("rest", "all")]) >= 0.7


# Heads.


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", AUDITED)
@void({"mini-*": "1 of 1 others in its place do as well"})
def test_one_head_of_the_layer_carries_an_operand_and_not_the_other(model, operand):
    """The head of the layer that restores most of one operand on discovery pairs restores at least 8 % of it alone, and
    not of the other operand.

    Source: Qwen2.5-Coder-0.5B on discovery pairs: .15 of the first operand by 16.11 or 16.10, .29 of the second by
    16.8, and at most .07 of the other operand.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    layer, *_ = layers_by_effect(model)
    (head,) = carrier(model, operand)
    own, other = (restored_by_heads(model, layer, sums(model, one)) for one in (operand, OTHER[operand]))
    show(heads_by_layer, own, "Logits that each head of the layer restores of the operand")
    assert ratio(own[(str(head), "total")], control=other[(str(head), "total")]) >= 0.08


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", AUDITED)
@reported(None, f"{STOLFO}, abstract", sentence="Attention conveys the operands to the last token.")
@void({"mini-*": "1 of 1 others in its place do as well"})
def test_the_head_that_carries_an_operand_looks_at_its_digits(model, operand):
    """The head that carries one operand attends from the last position to its digits, wherever the question says them,
    with probability 0.3 or more, and not to those of the other operand.

    Source: Qwen2.5-Coder-0.5B on discovery pairs: .83 to the first operand by 16.11, .81 to the second by 16.8, and .12
    and .19 to the other one.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    layer, *_ = layers_by_effect(model)
    (head,) = carrier(model, operand)
    own, other = (attention_to_replaced(model, layer, sums(model, one)) for one in (operand, OTHER[operand]))
    assert mean(own[head], control=other[head]) >= 0.3


# MLPs.


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", AUDITED)
@reported(None, f"{STOLFO}, abstract", sentence=LATE_MLPS)
@refuted(
    {
        "mini-0-first": "MLPs from layer 1 on: 0.675, from 0.637 to 0.713",
        "mini-0-second": "MLPs from layer 1 on: 0.641, from 0.607 to 0.675",
        "mini-1-first": "MLPs from layer 1 on: 0.636, from 0.596 to 0.675",
        "mini-1-second": "MLPs from layer 1 on: 0.624, from 0.591 to 0.657",
    }
)
def test_late_mlps_make_the_sum(model, operand):
    """MLPs from one layer on, patched together at the last position, restore at least 80 % of the logit difference;
    MLPs from a later layer on do not, nor do as many of the first MLPs.

    The layer is the last from which on MLPs restore 90 % on discovery pairs (the second where there is none), the later
    one the first from which on they restore less than 70 % there. In Qwen2.5-Coder-0.5B that is three layers behind the
    heads that bring the operands. Not claimed is that nothing else would do: all MLPs before these restore .88 and .85
    on discovery pairs, by way of these. The small models, of four layers, are asked too.
    Source: .1 below what chooses; Qwen2.5-Coder-0.5B on discovery pairs: .98 from layer 19 on, .32 and .26 from 21 on.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    enough, too_few = mlps_that_do_and_do_not(model)
    found = restored_through_layers(model, sums(model, operand))
    show(by_column, found[found.mlp_columns], "Logits that each MLP restores at the last position")
    first = f"MLPs before layer {len(found.mlp_columns) - enough}"
    others = (found[(f"MLPs from layer {too_few} on", "total")], found[(first, "total")])
    assert ratio(found[(f"MLPs from layer {enough} on", "total")], control=others) >= 0.8


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", PRETRAINED)
@reported(None, f"{STOLFO}, abstract", sentence=LATE_MLPS)
@open_question(
    {"qwen2.5-coder-0.5b-first": "MLPs before layer 16: 0.0713, from 0.0381 to 0.105; too skewed for so few to say"}
)
def test_mlps_before_the_layer_restore_next_to_nothing(model, operand):
    """MLPs before the layer, patched together at the last position, restore less than 15 % of the logit difference.

    Source: Qwen2.5-Coder-0.5B on discovery pairs: .05 of the first operand.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    layer, *_ = layers_by_effect(model, least=1)
    found = restored_through_layers(model, sums(model, operand))
    behind = found[f"MLPs from layer {layer} on"]
    assert ratio(found[f"MLPs before layer {layer}"], found["total"], beside=behind) < 0.15


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", AUDITED)
@refuted(
    {
        "mini-0-first": "mlp 1: 0.289, from 0.245 to 0.334",
        "mini-0-second": "mlp 1: 0.31, from 0.263 to 0.358",
        "mini-1-first": "mlp 1: 0.253, from 0.196 to 0.309",
        "mini-1-second": "mlp 1: 0.3, from 0.254 to 0.347",
    }
)
def test_one_mlp_writes_against_the_sum(model, operand):
    """The MLP that takes most away on discovery pairs, patched at the last position, takes away at least 5 % of the
    logit difference, and no other MLP does.

    Source: Qwen2.5-Coder-0.5B on discovery pairs: .22 and .17 by the last MLP, none by any other.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    against, *others = mlps_by_effect(model)
    found = restored_through_layers(model, sums(model, operand))
    elsewhere = tuple(found[(name, "total")] for name in others)
    assert ratio(found[(against, "total")], control=elsewhere) <= -0.05


# The same where a number is only repeated: `Question: What is 23+54? Answer: 23+` is answered by 54.


@pytest.mark.parametrize("model", PRETRAINED)
@reported(None, f"{STOLFO}, abstract", sentence="Late MLPs matter for sums more than for retrieving a number.")
def test_mlps_matter_for_the_sum_more_than_for_repeating_a_number(model):
    """MLPs from the layer on, patched together at the last position, restore at least 70 % of the logit difference of
    sums whose second operand is replaced, and not of the operand itself where it is only to be repeated.

    Source: Qwen2.5-Coder-0.5B on discovery pairs: 1.03 of sums, .43 of repeated operands.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    requires(proportion(right(model, retrieved())) >= 0.75)
    layer, *_ = layers_by_effect(model, least=1)
    added, repeated = (restored_through_layers(model, asked) for asked in (sums(model, "second"), retrieved()))
    mlps = f"MLPs from layer {layer} on"
    assert ratio(added[(mlps, "total")], control=repeated[(mlps, "total")]) >= 0.7


@pytest.mark.parametrize("model", PRETRAINED)
def test_the_heads_of_the_layer_bring_a_number_that_is_only_repeated(model):
    """All heads of the layer, chosen by sums, restore at least 40 % of the logit difference where the second operand is
    only to be repeated, and those of no other layer do: they bring numbers, whatever is made of them.

    Source: Qwen2.5-Coder-0.5B on discovery pairs: .61, and .25 by the heads of layer 20.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    requires(proportion(right(model, retrieved())) >= 0.75)
    layer, *others = layers_by_effect(model)
    found = restored_through_layers(model, retrieved())
    elsewhere = tuple(found[(name, "total")] for name in attention_of(others))
    assert ratio(found[(f"attention {layer}", "total")], control=elsewhere) >= 0.4
