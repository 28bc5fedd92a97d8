"""Indirect objects: which heads carry who gives, when it is known, and what they say.

*Carriers* are the three heads that restore most of the logit difference when their output at the last position is
patched from the clean into the corrupted run, chosen on discovery prompts. The corrupted prompt has another giver,
three unrelated names, the names in each other's place, or two other names. Terms, intervals and limits of the topic:
`measurements.py`.
"""

import pytest

from claims.ioi.measurements import attention, carriers
from claims.measurements import pattern, restored, restored_jointly, right
from claims.models import MINIS
from mechlib import (
    Heads,
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
)
from mechlib.evidence import evidence
from mechlib.figures import attention_pattern, by_column, heads_by_layer, rates_by_column
from mechlib.prompts import ioi

# Evidence: one value, or one for each component, for each prompt.


@evidence
def looks(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Attention from the last word to IO, to the first S and to the second, averaged over `heads`."""
    from mechlib.lab import attention_to, load

    network = load(model)
    found = {
        name: attention_to(network, prompts, target)[heads]
        for name, target in {"IO": "answer", "first S": "first distractor", "second S": "distractor"}.items()
    }
    return found["IO"].with_columns({name: one.values.mean(axis=1) for name, one in found.items()})


@evidence
def lost_to(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Logit difference that the clean run loses when `heads` hold, at the last position, what they hold in the
    corrupted run."""
    from mechlib.lab import load, lost_by_patching

    return lost_by_patching(load(model), prompts, {"together": heads})["together"]


@evidence
def flipped_at(model: str, words: tuple[int, ...], prompts: PromptSet) -> Measurement:
    """1 where the clean answer is on top after patching the residual stream at these words of the corrupted run,
    counted from the end, before the first layer ("embeddings") or after one."""
    from mechlib.lab import flipped_by_patching, load, residual

    network = load(model)
    return flipped_by_patching(network, prompts, residual(network), positions=words)


# The last word, and the nine before it: nothing before the giver differs where the giver is exchanged.
LAST, BEFORE = (-1,), (-10, -9, -8, -7, -6, -5, -4, -3, -2)


# What carries the effect.


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-3": "two of its carriers do, by .97 and .99; the third, 2.6, restores next to nothing"})
def test_every_carrier_looks_at_the_giver(model):
    """Each of the three heads that restore most attends from the last word to the second mention of S by 0.5 or more.

    Source: mini-pilot on discovery prompts: .99, .97 and .99. So do the S-inhibition heads of GPT-2 small, by .51.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    show(by_column, looks(model, carriers(model), ioi(160)), "Attention of the three carriers from the last word")
    show(attention_pattern, pattern(model, carriers(model, 1), ioi(1)), "Attention of the strongest carrier")
    assert every(mean(attention(model, "distractor", carriers(model), ioi(160)))) >= 0.5


@pytest.mark.parametrize("model", MINIS)
def test_the_two_strongest_carriers_look_at_the_giver(model):
    """Each of the two heads that restore most attends from the last word to the second mention of S by 0.5 or more
    (stated after looking).

    It had been seen that the third carrier of mini-3 does not. The sentences are drawn afresh, but
    networks, names and templates are the same, so that this describes what was seen rather than tests it.
    Source: that observation.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    assert every(mean(attention(model, "distractor", carriers(model, 2), ioi(160, seed=1)))) >= 0.5


@pytest.mark.parametrize("model", MINIS)
@open_question({"mini-0": "0.6: 0.466, from 0.383 to 0.549", "mini-1": "0.4: 0.431, from 0.35 to 0.512"})
def test_one_head_restores_two_fifths_of_the_logit_difference(model):
    """Patching the strongest head alone restores at least 40 % of the logit difference that the giver makes.

    Source: the sentence as it is usually said. mini-pilot has 32 % on discovery prompts, so it is expected to be
    refuted.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    effects = restored(model, ioi(160))
    show(heads_by_layer, effects, "Logit difference restored by each head and MLP, in logits")
    assert ratio(effects[carriers(model, 1)], effects["total"]) >= 0.4


@pytest.mark.parametrize("model", MINIS)
@open_question({"mini-0": "0.466, from 0.389 to 0.543", "mini-1": "0.427, from 0.353 to 0.502"})
def test_one_head_restores_two_fifths_whoever_is_named(model):
    """Patching the strongest head alone restores at least 40 % of the logit difference, across templates and names.

    The sentence above, on a fresh draw, with the names in its error term: pairs of names explain most of the variance.
    Source: the sentence as it is usually said; mini-pilot has 32 % on discovery prompts.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    assert ratio(restored_jointly(model, carriers(model, 1), ioi(seed=2))) >= 0.4


@pytest.mark.parametrize("model", MINIS)
def test_three_heads_restore_half_of_the_logit_difference(model):
    """The three heads that restore most on discovery prompts, patched together, restore at least half.

    Source: mini-pilot on discovery prompts: 74 %.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    assert ratio(restored_jointly(model, carriers(model), ioi())) >= 0.5


@pytest.mark.parametrize("model", MINIS)
def test_who_gives_has_come_to_the_last_word_after_the_first_layer(model):
    """Patching the residual stream after the first layer flips at least 75 % of the answers at the last word, and not
    at the nine words before it, the giver among them.

    Restated from "who gives is known after the first layer", beside which no other words stood.
    Source: mini-pilot on discovery prompts: all of them, and none.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    here, before = (flipped_at(model, words, ioi(seed=3)) for words in (LAST, BEFORE))
    show(rates_by_column, here, "Answers flipped by the residual stream at the last word")
    show(rates_by_column, before, "Answers flipped by the residual stream at the nine words before it")
    assert proportion(here["after layer 0"], control=before["after layer 0"]) >= 0.75


@pytest.mark.parametrize("model", MINIS)
def test_which_names_there_are_is_known_later_than_who_gives(model):
    """Where all names are replaced, the stream at the last word flips 30 points more answers after the third layer
    than after the first, and not so where the giver is exchanged.

    Restated from "which names there are is known later", beside which no other corruption stood.
    Source: mini-pilot on discovery prompts: 64 % after the third layer and 3 % after the first; all after either.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    names, giver = (flipped_at(model, LAST, ioi(seed=3, corrupt=other)) for other in ("names", "subject"))
    show(rates_by_column, names, "Answers flipped where all names were replaced")
    later = names.less("after layer 2", "after layer 0")
    assert mean(later, control=giver.less("after layer 2", "after layer 0")) >= 0.3


@pytest.mark.parametrize("model", MINIS)
def test_the_carriers_carry_under_the_other_corruption(model):
    """The carriers, chosen where the giver is exchanged, restore at least 10 % where all names are replaced.

    Source: mini-pilot on discovery prompts: 23 %. The same heads matter, for a smaller part of the whole.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    assert ratio(restored_jointly(model, carriers(model), ioi(corrupt="names"))) >= 0.1


@pytest.mark.parametrize("model", MINIS)
def test_the_carriers_say_which_name(model):
    """With the carriers as in a prompt with two other names in the same places, 3 logits or more are lost.

    Source: mini-pilot on discovery prompts: 7.6 of 8.2 logits. What they carry is a name.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    assert mean(lost_to(model, carriers(model), ioi(160, corrupt="tokens"))) >= 3


@pytest.mark.parametrize("model", MINIS)
def test_the_carriers_say_which_name_rather_than_which_place(model):
    """The carriers as in a prompt with two other names cost 3 logits more than as in one with the names exchanged.

    In GPT-2 small the S-inhibition heads carry places more than names.
    Source: Wang et al., appendix A; mini-pilot on discovery prompts: 7.6 logits for other names, none for other places.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    name, place = (lost_to(model, carriers(model), ioi(160, corrupt=other, seed=2)) for other in ("tokens", "order"))
    assert difference(name, place) >= 3
