"""Two-digit addition in pretrained models: what they answer, and the one layer whose heads bring the operands.

Asked of three pretrained models and, where the sentence means the same there, of two small ones in their own wording.
A model that does not add ends GATED, which is a finding about it. Every claim about the layer, which is chosen on
discovery pairs, has all other layers beside it, measured in the same sweep. Terms: `published.py`.
"""

import pytest

from claims.addition.published import (
    BEHIND_A_HUNDRED,
    MENTAL,
    STOLFO,
    WITHOUT_A_QUESTION,
    attention_of,
    flipped_through_layers,
    just_below_a_ten,
    layers_by_effect,
    lost_without_attention,
    other_sums,
    other_wording_of,
    restored_through_layers,
    same_sums,
    sums,
    turned_right,
    units,
)
from claims.measurements import right
from claims.models import AUDITED, PRETRAINED
from mechlib import difference, every, open_question, proportion, ratio, refuted, reported, requires, show
from mechlib.figures import rates_by_column, rates_by_stratum
from mechlib.prompts import addition

FEW_LAYERS = "The last token receives information of other tokens in few specific layers (middle ones: not asked)."
ATTENTION_BRINGS = "Attention conveys the operands to the last token."


# What they answer.


@pytest.mark.parametrize("model", AUDITED)
@refuted({"smollm2-135m": "0.253, from 0.142 to 0.394", "gemma3-270m": "0, from 0 to 0.0435"})
def test_sums_with_a_carry_are_right(model):
    """Asked in its own wording, a model writes at least 75 % of the two-digit sums whose units carry.

    The wording is `Question: What is 23+54? Answer: 23+54=` for pretrained models, and that of training for small ones.
    A model that adds column by column and forgets the carry would have none of these.
    Source: the bound is the gate of all claims about the inside.
    """
    answers = right(model, sums(model, n=200)).by("carry")
    show(rates_by_stratum, answers, "Sums that are right, with and without a carry")
    assert proportion(answers.stratum("carry")) >= 0.75


@pytest.mark.parametrize("model", PRETRAINED)
def test_sums_just_below_a_ten_are_lost(model):
    """Of sums that end in 8 or 9 at least 25 points fewer are right than of those that end in 0 to 6.

    A model that adds column by column has no more to do there; one that estimates how large a sum is takes 89 for 90.
    Source: Qwen2.5-Coder-0.5B on discovery pairs: 38 of 39 wrong tens are of sums that end in 8 or 9, none of sums
    that end in 0 to 6.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    short, others = (right(model, just_below_a_ten(below)) for below in (True, False))
    assert difference(others, short) >= 0.25


@pytest.mark.parametrize("model", PRETRAINED)
def test_without_a_question_half_of_the_sums_are_lost(model):
    """Of the same pairs, written as `23+54=` alone, at least 50 points fewer are right than behind the question.

    The small models know no wording without a question, and are not asked.
    Source: Qwen2.5-Coder-0.5B on discovery pairs: 90 % behind the question, 15 % without.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    asked, bare = (right(model, sums(model, n=100, wording=wording)) for wording in ("question", WITHOUT_A_QUESTION))
    assert difference(asked, bare) >= 0.5


# One layer brings the operands.


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", AUDITED)
@reported(None, f"{MENTAL}, abstract", sentence=FEW_LAYERS, exists=True)
def test_the_heads_of_one_layer_restore_an_operand(model, operand):
    """All heads of one layer, patched at the last position, restore at least 60 % of the logit difference between two
    sums that differ in one operand, and those of no other layer do.

    Source: Qwen2.5-Coder-0.5B on discovery pairs: .89 and .88 by the heads of layer 16, at most .05 by any other.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    layer, *others = layers_by_effect(model)
    found = restored_through_layers(model, sums(model, operand))
    elsewhere = tuple(found[(name, "total")] for name in attention_of(others))
    assert ratio(found[(f"attention {layer}", "total")], control=elsewhere) >= 0.6


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", AUDITED)
@reported(None, f"{MENTAL}, abstract", sentence=FEW_LAYERS)
@refuted(
    {
        "mini-0-second": "attention 3: 0.256, from 0.221 to 0.291",
        "mini-1-first": "attention 3: 0.247, from 0.205 to 0.29",
        "mini-1-second": "attention 3: 0.251, from 0.209 to 0.294",
    }
)
@open_question(
    {
        "qwen2.5-coder-0.5b-first": "attention 14: 0.0491, from -0.000565 to 0.0987; too skewed for so few to say",
        "mini-0-first": "attention 3: 0.236, from 0.2 to 0.273",
    }
)
def test_the_heads_of_every_other_layer_restore_little(model, operand):
    """Of all other layers, the heads of each restore less than 20 % where those of the one layer restore most.

    Source: Qwen2.5-Coder-0.5B on discovery pairs: at most .05.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    layer, *others = layers_by_effect(model)
    found = restored_through_layers(model, sums(model, operand))
    assert every(ratio(found[attention_of(others)], found["total"], beside=found[f"attention {layer}"])) < 0.2


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", AUDITED)
@reported(None, f"{MENTAL}, abstract", sentence=FEW_LAYERS)
def test_the_heads_of_the_layer_restore_an_operand_of_other_sums(model, operand):
    """On a second draw, of other pairs with other replacements, all heads of the layer restore at least 60 % of the
    logit difference, and those of no other layer do.

    Source: the claim above, once more.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    layer, *others = layers_by_effect(model)
    found = restored_through_layers(model, other_sums(model, operand))
    elsewhere = tuple(found[(name, "total")] for name in attention_of(others))
    assert ratio(found[(f"attention {layer}", "total")], control=elsewhere) >= 0.6


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", AUDITED)
@reported(None, f"{STOLFO}, abstract", sentence=ATTENTION_BRINGS)
def test_the_heads_of_the_layer_turn_the_answer_into_the_other_sum(model, operand):
    """All heads of the layer, patched at the last position, make what comes first of the other prompt's sum the most
    likely answer in at least 40 % of pairs, and those of no other layer do.

    Where numbers are digits that is the tens, which the two sums never share.
    Source: the bound is that of the small models' claim; the layer restores .89 of the logits in Qwen2.5-Coder-0.5B.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    layer, *others = layers_by_effect(model)
    flipped = flipped_through_layers(model, sums(model, operand))
    show(rates_by_column, flipped, "Answers that become the other sum, by layer")
    elsewhere = tuple(flipped[name] for name in attention_of(others))
    assert proportion(flipped[f"attention {layer}"], control=elsewhere) >= 0.4


@pytest.mark.parametrize("model", (*PRETRAINED, "mini-half"))
@reported(
    None,
    "a sentence of this record, 2026; no paper's",
    sentence="One layer's heads, patched from a right answer of the same sum, turn wrong answers right.",
    primary=True,
)
def test_the_heads_of_the_layer_turn_wrong_answers_right(model):
    """Patched from a prompt that is answered rightly into one with the same sum and other operands that is answered
    wrongly, all heads of one layer turn at least 40 % of wrong answers right; those of no other layer do, nor do those
    of this layer from prompts that are answered wrongly themselves.

    Where numbers are digits, right and wrong are what comes first, the tens, of sums that end in 8 or 9, where most
    wrong ones are. Both prompts have one sum, so that no part of another answer is patched in. The small models hardly
    err; a half-trained one stands for them, and the gate asks for half of the sums.
    Source: the bound was named before anything was measured; on discovery pairs eight of nine in Qwen2.5-Coder-0.5B.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.5)
    layer, *others = layers_by_effect(model)
    turned = turned_right(model, same_sums(model))
    from_right, from_wrong = turned.stratum("from right"), turned.stratum("from wrong")
    show(rates_by_column, from_right, "Wrong answers that turn right, by the layer whose heads are patched")
    elsewhere = tuple(from_right[name] for name in attention_of(others))
    assert proportion(from_right[f"attention {layer}"], control=(*elsewhere, from_wrong[f"attention {layer}"])) >= 0.4


@pytest.mark.parametrize("model", ["mini-half"])
def test_heads_of_one_layer_turn_wrong_answers_of_a_half_trained_network_right(model):
    """In a half-trained network that answers more than half of 700 sums, patched from a right prompt into a wrong one
    of the same sum, all heads of one layer turn at least 40 % of wrong answers right; those of no other layer do, nor
    do those of this layer from prompts that are answered wrongly themselves.

    The claim before, where its gate can open: of the 200 sums that it asks for, 55 % are too near to a half.
    Source: the bound before; on discovery pairs 61 % of 77 from right prompts, 11 % of 66 from wrong ones, and by the
    heads of other layers at most 39 %, so that one of them may come too near to say.
    """
    requires(proportion(right(model, addition())) >= 0.5)
    layer, *others = layers_by_effect(model)
    turned = turned_right(model, same_sums(model))
    from_right, from_wrong = turned.stratum("from right"), turned.stratum("from wrong")
    show(rates_by_column, from_right, "Wrong answers that turn right, by the layer whose heads are patched")
    elsewhere = tuple(from_right[name] for name in attention_of(others))
    assert proportion(from_right[f"attention {layer}"], control=(*elsewhere, from_wrong[f"attention {layer}"])) >= 0.4


@pytest.mark.parametrize("model", (*PRETRAINED, "mini-half"))
def test_the_heads_of_the_layer_repair_more_from_right_prompts(model):
    """Patched from right prompts, all heads of the layer turn at least 40 points more of wrong answers right than
    patched from prompts of the same sum that are answered wrongly themselves.

    If any push repairs an answer that is wrong by one, wrong prompts do as well: so it is with single heads of the
    half-trained network, where the other prompt has another sum.
    Source: Qwen2.5-Coder-0.5B on discovery pairs: eight of nine from right prompts, one of eight from wrong ones.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.5)
    layer, *_ = layers_by_effect(model)
    turned = turned_right(model, same_sums(model))[f"attention {layer}"]
    assert difference(turned.stratum("from right"), turned.stratum("from wrong")) >= 0.4


@pytest.mark.parametrize("model", AUDITED)
def test_without_the_heads_of_the_layer_sums_are_lost(model):
    """With all heads of the layer mean-ablated at the last position at least half of the sums are lost, by what comes
    first of them, and with those of no other layer.

    Source: mini-pilot on discovery pairs, all positions: 98 points by the first layer, 26, 16 and 7 by the others.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    layer, *others = layers_by_effect(model)
    lost = lost_without_attention(model, sums(model), sums(model, split="reference"))
    show(rates_by_column, lost, "Sums that are lost without the heads of one layer")
    elsewhere = tuple(lost[name] for name in attention_of(others))
    assert proportion(lost[f"attention {layer}"], control=elsewhere) >= 0.5


# The same elsewhere: another wording, larger numbers, the second digit.


@pytest.mark.parametrize("model", AUDITED)
def test_the_heads_of_the_layer_restore_an_operand_in_another_wording(model):
    """In another wording that the model answers, all heads of the layer, chosen in the first one, restore at least 60 %
    of the logit difference, and those of no other layer do.

    The other wording is `What is 23 + 54? Answer:`, and `The sum of 23 and 54 is` for small models.
    Source: the first wording's bound.
    """
    requires(proportion(right(model, sums(model, n=200, wording=other_wording_of(model)))) >= 0.75)
    layer, *others = layers_by_effect(model)
    found = restored_through_layers(model, sums(model, n=48, wording=other_wording_of(model)))
    elsewhere = tuple(found[(name, "total")] for name in attention_of(others))
    assert ratio(found[(f"attention {layer}", "total")], control=elsewhere) >= 0.6


@pytest.mark.parametrize("model", PRETRAINED)
def test_the_heads_of_the_layer_restore_an_operand_behind_a_hundred(model):
    """In sums of a number above a hundred and one below, 123+54, all heads of the layer, chosen below a hundred,
    restore at least 60 % of the logit difference at the tens, and those of no other layer do.

    No sum carries into the hundreds, which stand before the answer. Small models know no such form.
    Source: the bound below a hundred.
    """
    requires(proportion(right(model, sums(model, n=100, wording=BEHIND_A_HUNDRED))) >= 0.75)
    layer, *others = layers_by_effect(model)
    found = restored_through_layers(model, sums(model, n=48, wording=BEHIND_A_HUNDRED))
    elsewhere = tuple(found[(name, "total")] for name in attention_of(others))
    assert ratio(found[(f"attention {layer}", "total")], control=elsewhere) >= 0.6


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", PRETRAINED)
def test_the_heads_of_the_layer_restore_the_units_too(model, operand):
    """Where two sums share their tens, all heads of the layer, chosen by the tens and patched where the units are
    predicted, restore at least 60 % of the logit difference between the units, and those of no other layer do.

    Numbers are words to the small models.
    Source: the bound for the tens.
    """
    requires(proportion(right(model, sums(model, n=200))) >= 0.75)
    layer, *others = layers_by_effect(model)
    found = restored_through_layers(model, units(operand))
    elsewhere = tuple(found[(name, "total")] for name in attention_of(others))
    assert ratio(found[(f"attention {layer}", "total")], control=elsewhere) >= 0.6
