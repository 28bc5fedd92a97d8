"""Two-digit addition: which heads carry the operands, in every wording and in the relatives of addition.

The corrupted prompt has one operand replaced. Heads are patched at the last position, from the clean into the corrupted
run: alone, the six carriers together, whole layers, and the residual stream after each layer. A patch restores a part
of the logit difference between the two sums, or flips the answer: it brings the clean sum on top. Patching there sees
what is read or made at the last position. Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.addition.measurements import FROM_ABOVE, WORDINGS, carriers
from claims.measurements import restored, restored_by_others, restored_jointly, right
from claims.models import MINIS, NO_DIFFERENCE, NO_SHARE
from mechlib import (
    Heads,
    Measurement,
    PromptSet,
    all_heads,
    every,
    mean,
    no_twin,
    open_question,
    proportion,
    ratio,
    refuted,
    requires,
    show,
)
from mechlib.evidence import evidence
from mechlib.figures import heads_by_layer, rates_by_column, rates_by_stratum
from mechlib.prompts import addition, increment, subtraction

# Why predictions failed, where several failed for one reason.
SHARED = "24 to 29 %: six to eight heads of the first layer share the work"
BY_SIZE = "sets are matched by size and hold heads left over in the first layer, and those of the last"


# Evidence: one value for each component, for each pair of operands.


@evidence
def flipped(model: str, prompts: PromptSet) -> Measurement:
    """1 where the clean sum is on top after patching one head or MLP into the corrupted run, else 0."""
    from mechlib.lab import components, flipped_by_patching, load

    network = load(model)
    return flipped_by_patching(network, prompts, components(network))


@evidence
def flipped_jointly(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """The same for `heads` patched together."""
    from mechlib.lab import flipped_by_patching, load

    return flipped_by_patching(load(model), prompts, {"together": heads})


@evidence
def flipped_by_layer(model: str, prompts: PromptSet) -> Measurement:
    """The same for all heads of a layer, for all heads behind the first layer, and for the residual stream."""
    from mechlib.lab import flipped_by_patching, layers, load, residual

    network = load(model)
    heads = all_heads(network.cfg.n_layers, network.cfg.n_heads)
    sets = {**residual(network), **layers(network), "later heads": heads - heads.in_layer(0)}
    return flipped_by_patching(network, prompts, sets)


# Patching: what carries the operands.


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", MINIS)
@no_twin(NO_SHARE)
@refuted({"mini-*": SHARED})
def test_one_head_restores_two_fifths_of_the_logit_difference(model, operand):
    """Patching the strongest head alone restores at least 40 % of the logit difference that one operand makes.

    Source: the sentence as it is usually said. mini-pilot has 25 % on discovery pairs, so it is expected to be refuted.
    """
    requires(proportion(right(model, addition())) >= 0.9)
    effects = restored(model, addition(150, corrupt=operand))
    show(heads_by_layer, effects, "Logit difference restored by each head and MLP, in logits")
    assert ratio(effects[carriers(model, 1)], effects["total"]) >= 0.4


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", MINIS)
@no_twin(NO_DIFFERENCE)
def test_six_heads_restore_three_fifths_of_the_logit_difference(model, operand):
    """The six heads that restore most on discovery pairs, patched together, restore at least 60 %, for either operand.

    Source: mini-pilot on discovery pairs: 84 %.
    """
    requires(proportion(right(model, addition())) >= 0.9)
    assert ratio(restored_jointly(model, carriers(model), addition(300, corrupt=operand))) >= 0.6


@pytest.mark.parametrize("model", MINIS)
def test_six_heads_restore_ten_logits(model):
    """The six heads that restore most on discovery pairs, patched together, restore at least 10 logits.

    Source: mini-pilot on discovery pairs (26 of 32 logits), with room for other trainings.
    """
    requires(proportion(right(model, addition())) >= 0.9)
    assert mean(restored_jointly(model, carriers(model), addition(300))["together"]) >= 10


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", MINIS)
def test_six_heads_flip_two_fifths_of_the_answers(model, operand):
    """The six carriers, patched together, bring the clean sum on top in at least 40 % of corrupted prompts.

    Source: mini-pilot on discovery pairs: 65 % for either operand.
    """
    requires(proportion(right(model, addition())) >= 0.9)
    assert proportion(flipped_jointly(model, carriers(model), addition(300, corrupt=operand))["together"]) >= 0.4


@pytest.mark.parametrize("model", MINIS)
def test_the_carriers_carry_sums_with_and_without_a_carry(model):
    """The six carriers, patched together, flip at least 30 % of answers both with and without a carry of the units.

    Source: the claim above, with room for halves of the pairs.
    """
    requires(proportion(right(model, addition())) >= 0.9)
    flips = flipped_jointly(model, carriers(model), addition(300))["together"].by("carry")
    show(rates_by_stratum, flips, "Answers flipped by the six carriers")
    assert every(proportion(flips.stratum(case)) for case in ("carry", "no carry")) >= 0.3


@pytest.mark.parametrize("model", MINIS)
@no_twin(FROM_ABOVE)
@open_question(
    {
        "mini-1": "2 % at the most, and 300 pairs leave up to 6.5",
        "mini-2": "2 % at the most, and 300 pairs leave up to 6.5",
        "mini-4": "2 % at the most, and 300 pairs leave up to 6.5",
    }
)
def test_no_head_flips_an_answer_alone(model):
    """No single head, patched alone, brings the clean sum on top in more than 5 % of corrupted prompts.

    Source: mini-pilot on discovery pairs: 2 % at most. With a margin of 5 % this is the sentence about "every other
    head", of every head.
    """
    requires(proportion(right(model, addition())) >= 0.9)
    flips = flipped(model, addition(300))
    show(rates_by_column, flips, "Answers flipped by one head or MLP")
    assert every(proportion(flips[flips.head_columns])) <= 0.05


@pytest.mark.parametrize("model", MINIS)
def test_the_first_layers_heads_flip_half_of_the_answers(model):
    """All heads of the first layer, patched together at the last position, flip at least half of the answers.

    Source: mini-pilot on discovery pairs: 74 %.
    """
    requires(proportion(right(model, addition())) >= 0.9)
    flips = flipped_by_layer(model, addition(300))
    show(rates_by_column, flips, "Answers flipped by layers, and by the residual stream after each")
    assert proportion(flips["attention 0"]) >= 0.5


@pytest.mark.parametrize("model", MINIS)
@no_twin(FROM_ABOVE)
def test_all_later_heads_together_flip_nothing(model):
    """All heads behind the first layer, patched together at the last position, flip at most 5 % of the answers.

    Source: mini-pilot on discovery pairs: 1.5 %.
    """
    requires(proportion(right(model, addition())) >= 0.9)
    assert proportion(flipped_by_layer(model, addition(300))["later heads"]) <= 0.05


@pytest.mark.parametrize("model", MINIS)
def test_after_two_layers_the_last_position_holds_the_answer(model):
    """Patching the residual stream at the last position after the second layer flips at least 75 % of the answers.

    That is, nothing that reaches it later is needed: the first layer's heads bring operands, and what was patched holds
    all that the answer is made from.
    Source: mini-pilot on discovery pairs: 91 %.
    """
    requires(proportion(right(model, addition())) >= 0.9)
    assert proportion(flipped_by_layer(model, addition(300))["after layer 1"]) >= 0.75


@pytest.mark.parametrize("model", MINIS)
@no_twin("an equivalence: in a network that does not add no set has an effect")
@refuted({"mini-*": BY_SIZE})
def test_random_sets_of_other_heads_restore_nothing(model):
    """Random sets of six other heads restore between -5 % and 5 % of the logit difference on average.

    Sets are the units, each a mean over 100 pairs. Sets of equal layers hardly exist beside six of eight heads of one
    layer, so they are matched by size. mini-pilot
    has 14 % on discovery pairs (its last layer's heads restore 7 % each), so this is expected to be refuted.
    Source: docs/STATISTICS.md, R16.
    """
    requires(proportion(right(model, addition())) >= 0.9)
    assert -0.05 <= ratio(restored_by_others(model, carriers(model), addition(100))) <= 0.05


# Robustness and relatives: the heads chosen on the plain wording, elsewhere.


@pytest.mark.parametrize("model", MINIS)
@no_twin(NO_SHARE)
def test_the_carriers_carry_in_every_wording(model):
    """The six heads chosen in the plain wording restore at least half of the logit difference in each other wording.

    Source: mini-pilot on discovery pairs: 90 % and 84 %.
    """
    requires(proportion(right(model, addition())) >= 0.9)
    chosen = carriers(model)
    assert every(ratio(restored_jointly(model, chosen, addition(200, wording=wording))) for wording in WORDINGS) >= 0.5


@pytest.mark.parametrize("operand", ["first", "second"])
@pytest.mark.parametrize("model", MINIS)
@no_twin(NO_SHARE)
def test_the_carriers_of_addition_carry_subtraction(model, operand):
    """The six heads chosen on addition restore at least 40 % of the logit difference in subtraction.

    Source: mini-pilot on discovery pairs: 63 % where the first number is replaced, 76 % where the second is.
    """
    requires(proportion(right(model, subtraction())) >= 0.9)
    assert ratio(restored_jointly(model, carriers(model), subtraction(200, corrupt=operand))) >= 0.4


@pytest.mark.parametrize("model", MINIS)
def test_the_carriers_of_addition_carry_the_next_number(model):
    """The six heads chosen on addition, patched together, flip at least 40 % of answers about the next number.

    Eleven numbers: where eight or fewer flip, this remains open.
    Source: the bound of addition.
    """
    assert proportion(flipped_jointly(model, carriers(model), increment())["together"]) >= 0.4
