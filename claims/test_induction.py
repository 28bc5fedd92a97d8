"""Induction: what lets a network continue `A B ... A` with `B`.

A random sequence of words holds one pair that recurs, `... A B ... A`, and the next word should be `B`. In the
corrupted sequence the first `B` is another word `C`, and nothing else differs; the metric is logit(B) - logit(C) at the
last position. Offsets are random, so that no head finds `B` by counting positions, and the words of
confirmation prompts occur in no discovery prompt.

Heads are chosen on discovery prompts in two ways and judged on confirmation prompts. *Induction heads* are chosen
by where they look: from the last word to the word after its previous occurrence, with probability of at least 0.4
(the score of Olsson et al. 2022, arXiv:2209.11895). *Carriers* are chosen by what they do: the three heads that restore
most of the logit difference when their output is patched from the clean into the corrupted run. The
textbook says that these are the same heads. Limits: sequences of 12 to 40 words and networks with four layers; patching
at the last position sees no head that works further upstream.
"""

import pytest

from mechlib import (
    Heads,
    Measurement,
    PromptSet,
    Selection,
    above,
    above_null,
    across_seeds,
    all_heads,
    difference,
    every,
    exact,
    heads,
    mean,
    no_twin,
    open_question,
    proportion,
    published,
    ratio,
    refuted,
    requires,
    show,
    some,
    strongest,
)
from mechlib.evidence import evidence
from mechlib.plots import attention_pattern, by_column, by_stratum, heads_by_layer, rates_by_column
from mechlib.tasks.induction import induction, repeats

MINIS = ("mini-0", "mini-1", "mini-2", "mini-3", "mini-4")

# The five strongest on one sequence of repeated random tokens, none of them with an interval.
GPT2_STRONGEST = {"gpt2-small": heads("5.1 5.5 6.9 7.2 7.10")}
GPT2_ASKED = {"gpt2-small": heads("5.5")}
GPT2_HEADS = {"gpt2-small": all_heads(12, 12)}

# Why predictions failed, where several failed for one reason.
LATER = "its carriers look one word later than the textbook says, and it finds the answer all the same"
SPREAD = (
    "no three heads carry it: ten of layers 1 and 2 share the work, and its carriers look one and three words later"
)
UPSTREAM = "every random set that costs more holds a head of layer 0; what those heads do is not claimed here"

TRAININGS = "a mean over trainings; the claim on each of them has twins"


# Evidence: one value, or one for each head, for each sequence.


@evidence
def right(model: str, prompts: PromptSet) -> Measurement:
    """1 where the answer is the top token at the last position, else 0."""
    from mechlib.lab.behaviour import answers_correctly
    from mechlib.lab.models import load

    return answers_correctly(load(model), prompts, unit="sequence")


@evidence
def attention(model: str, to: str, prompts: PromptSet) -> Measurement:
    """Attention probability of every head from the last word to the position named by `to`."""
    from mechlib.lab.attribution import attention_to
    from mechlib.lab.models import load

    return attention_to(load(model), prompts, to, unit="sequence")


@evidence
def attention_of(model: str, heads: Heads, to: str, prompts: PromptSet) -> Measurement:
    """The same, of `heads` only."""
    from mechlib.lab.attribution import attention_to
    from mechlib.lab.models import load

    return attention_to(load(model), prompts, to, unit="sequence")[heads]


@evidence
def around_target(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Attention, averaged over `heads`, at offsets -3 to 3 from the word after the previous occurrence."""
    from mechlib.lab.attribution import attention_by_offset
    from mechlib.lab.models import load

    return attention_by_offset(load(model), prompts, heads, unit="sequence")


@evidence
def pattern(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Attention of one head on the first of the sequences: queries by keys."""
    from mechlib.lab.attribution import attention_pattern
    from mechlib.lab.models import load

    (head,) = heads
    return attention_pattern(load(model), head, prompts)


@evidence
def restored(model: str, prompts: PromptSet) -> Measurement:
    """Logit difference that each head restores, patched clean into corrupted; "total" is all that there is to
    restore."""
    from mechlib.circuits import all_heads
    from mechlib.lab.models import load
    from mechlib.lab.sweeps import restored_by_patching

    network = load(model)
    every_head = all_heads(network.cfg.n_layers, network.cfg.n_heads)
    return restored_by_patching(network, prompts, every_head, unit="sequence")


@evidence
def restored_jointly(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """The same for `heads` patched together."""
    from mechlib.lab.models import load
    from mechlib.lab.sweeps import restored_by_patching

    return restored_by_patching(load(model), prompts, {"together": heads}, unit="sequence")


@evidence
def restored_by_others(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """The same for 200 random sets of as many other heads: one row a set, its mean over the sequences."""
    from mechlib.circuits import all_heads, random_sets
    from mechlib.lab.models import load
    from mechlib.lab.sweeps import restored_by_patching
    from mechlib.measurement import Measurement

    network = load(model)
    sets = random_sets(heads, all_heads(network.cfg.n_layers, network.cfg.n_heads), n=200)
    found = restored_by_patching(network, prompts, list(sets), unit="sequence")
    means = dict(zip(found.columns, found.values.mean(axis=0), strict=True))
    rows = [[means[str(one)], means["total"]] for one in sets]
    return Measurement(
        rows,
        units=tuple(map(str, sets)),
        unit="set of heads",
        columns=("restored", "total"),
        of=f"{found.of} ({sets.matched})",
    )


@evidence
def written(model: str, prompts: PromptSet) -> Measurement:
    """Direct logit attribution: what each head and MLP writes towards B rather than C, in logits."""
    from mechlib.lab.attribution import direct_logit_attribution
    from mechlib.lab.models import load

    return direct_logit_attribution(load(model), prompts, unit="sequence")


@evidence
def loss(model: str, prompts: PromptSet) -> Measurement:
    """Loss on a random sequence and on its repeat (from its second word on), in nats per token."""
    from mechlib.lab.behaviour import repeat_loss
    from mechlib.lab.models import load

    return repeat_loss(load(model), prompts, unit="sequence")


@evidence
def loss_without(model: str, heads: Heads, how: str, prompts: PromptSet, reference: PromptSet) -> Measurement:
    """Loss on the repeat with `heads` ablated ("chosen"), and with random sets of as many others, averaged over 20
    sets."""
    from mechlib.circuits import all_heads, random_sets
    from mechlib.lab.models import load
    from mechlib.lab.sweeps import loss_under_ablation

    network = load(model)
    sets = random_sets(heads, all_heads(network.cfg.n_layers, network.cfg.n_heads), n=20)
    named = {"chosen": heads, **{f"random {number}": one for number, one in enumerate(sets)}}
    found = loss_under_ablation(network, prompts, named, how, reference, unit="sequence")
    drawn = [name for name in found.columns if name.startswith("random")]
    values = [found["chosen"].array, found[drawn].values.mean(axis=1), found["intact"].array]
    return found.with_columns({"chosen": values[0], "random": values[1], "intact": values[2]})


@evidence
def loss_added_by_others(model: str, heads: Heads, how: str, prompts: PromptSet, reference: PromptSet) -> Measurement:
    """What ablating each of 200 random sets of as many other heads adds to the loss: one row a set."""
    from mechlib.circuits import all_heads, random_sets
    from mechlib.lab.models import load
    from mechlib.lab.sweeps import loss_under_ablation
    from mechlib.measurement import Measurement

    network = load(model)
    sets = random_sets(heads, all_heads(network.cfg.n_layers, network.cfg.n_heads), n=200)
    found = loss_under_ablation(network, prompts, list(sets), how, reference, unit="sequence")
    added = found.without(["intact"]).values.mean(axis=0) - found["intact"].array.mean()
    return Measurement(
        added, units=tuple(map(str, sets)), unit="set of heads", of=f"{found.of}, less intact ({sets.matched})"
    )


@evidence
def read_by_keys(model: str) -> Measurement:
    """K-composition of every two heads, from weights alone: how much of what the one writes the other's keys read."""
    from mechlib.lab.head_weights import composition
    from mechlib.lab.models import load

    return composition(load(model), "k")


@evidence
def attention_by_position(model: str, context: int) -> Measurement:
    """What position embeddings alone make every head attend to the previous position, from weights alone."""
    from mechlib.lab.head_weights import positional_attention
    from mechlib.lab.models import load

    return positional_attention(load(model), -1, context=context)


@evidence
def attention_without(model: str, receiver: Heads, prompts: PromptSet) -> Measurement:
    """Attention of one head to the word after the previous occurrence, as its key sees each earlier head's output of
    the run in which the first A is another word: path patching, one sender a column; "intact"."""
    from mechlib.circuits import all_heads
    from mechlib.lab.models import load
    from mechlib.lab.paths import attention_after_path_patching

    network = load(model)
    (head,) = receiver
    earlier = all_heads(head.layer, network.cfg.n_heads)
    target = "after previous occurrence"
    return attention_after_path_patching(network, prompts, earlier, head, "k", target, unit="sequence")


# Choosing, on discovery prompts only. A twin's heads are chosen again, on the twin.

TARGET = "after previous occurrence"


def scores(model: str, split: str = "confirmation") -> Measurement:
    """Induction score of every head."""
    return attention(model, TARGET, induction(split=split))


def induction_head(model: str) -> Selection:
    """The head with the highest induction score on discovery prompts, whatever it is."""
    return strongest(scores(model, "discovery"))


def induction_heads(model: str) -> Selection:
    """The heads whose induction score on discovery prompts is at least 0.4. There may be none."""
    return above(scores(model, "discovery"), 0.4)


def carriers(model: str, n: int = 3) -> Selection:
    """The heads that restore most of the logit difference on discovery prompts."""
    return strongest(restored(model, induction(split="discovery")), n)


def previous_token_head(model: str) -> Selection:
    """The head of a layer before the induction head's that attends most to the previous word on discovery prompts."""
    (head,) = induction_head(model)
    looks = attention(model, "previous token", induction(split="discovery").take(50))
    return strongest(looks[[name for name in looks.head_columns if int(name.partition(".")[0]) < head.layer]])


def into_the_induction_head(model: str) -> Measurement:
    """How much its keys read of each earlier head, in multiples of what matrices turned at random against each other
    give."""
    (head,) = induction_head(model)
    scores = read_by_keys(model)
    edges = scores[[name for name in scores.columns if name.endswith(f"->{head}.k")]]
    chance = scores["chance"].array
    return edges.with_columns({name.partition("->")[0]: edges[name].array / chance for name in edges.columns})


# The behaviour.


@pytest.mark.parametrize("model", MINIS)
def test_the_word_that_followed_before_is_on_top(model):
    """After `A B ... A` the top token is B in at least 80 % of sequences.

    Source: the goal that the training of the minis was given before it began.
    """
    assert proportion(right(model, induction())) >= 0.8


@pytest.mark.parametrize("model", MINIS)
def test_a_sequence_said_twice_costs_four_nats_less_the_second_time(model):
    """On a random sequence said twice, a word costs on average at least 4 nats less the second time.

    From the second word of each half on; the first cannot be known.

    Source: the goal of training: above 4 nats in the first half, below 0.3 in the second.
    """
    halves = loss(model, repeats())
    show(by_stratum, halves["repeat"], "Loss on the repeat, by the number of words said twice")
    assert difference(halves["first half"], halves["repeat"]) >= 4


# Where heads look.


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-0": LATER, "mini-2": LATER, "mini-3": SPREAD})
def test_some_head_looks_at_the_word_after_the_previous_occurrence(model):
    """At least one head attends from the last word to the word after its previous occurrence with probability 0.4
    or more.

    Source: the definition of an induction head in Olsson et al. 2022; the threshold was set before training.
    """
    measured = scores(model)
    show(heads_by_layer, measured, "Induction score: attention to the word after the previous occurrence")
    assert some(mean(measured)) >= 0.4


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-0": LATER, "mini-2": LATER, "mini-3": SPREAD})
def test_the_head_that_is_chosen_on_other_words_looks_there_too(model):
    """The head with the highest induction score on discovery words scores at least 0.4 on words it was not chosen on.

    Source: as above; the words of the two splits are disjoint, so a head that looks for particular words fails.
    """
    head = induction_head(model)
    show(attention_pattern, pattern(model, head, induction(n=1)), f"Attention of head {head} on one sequence")
    assert mean(scores(model)[head]) >= 0.4


@pytest.mark.parametrize("model", MINIS)
def test_the_induction_head_looks_at_what_followed_and_not_at_the_word_itself(model):
    """The strongest induction head attends to the word after the previous occurrence by 0.3 more than to that
    occurrence.

    Source: what tells it from a duplicate-token head, Wang et al. 2022, arXiv:2211.00593, section 3.
    """
    requires(mean(scores(model, "discovery")[induction_head(model)]) >= 0.4)
    occurrence = attention_of(model, induction_head(model), "previous occurrence", induction())
    assert difference(scores(model)[induction_head(model)], occurrence) >= 0.3


@pytest.mark.parametrize("model", MINIS)
def test_the_induction_head_looks_at_one_word_only(model):
    """The strongest induction head attends to its target by 0.3 more than to each of the six words around it.

    Source: mini-pilot on discovery prompts: .95 on the target, no neighbour above .003.
    """
    requires(mean(scores(model, "discovery")[induction_head(model)]) >= 0.4)
    near = around_target(model, induction_head(model), induction())
    show(by_column, near, "Attention of the strongest induction head around its target (offset 0)")
    assert every(difference(near["0"], near.without(["0"]))) >= 0.3


@pytest.mark.parametrize("model", MINIS)
def test_induction_works_at_every_distance(model):
    """The strongest induction head attends to its target by 0.4 or more in 80 % of the sequences of each distance.

    Distances from the first A to the last: 3 to 7, 8 to 15, 16 or more words.
    Source: the definition, which names no distance; a head that counts positions fails at two of the three.
    """
    requires(mean(scores(model, "discovery")[induction_head(model)]) >= 0.4)
    measured = scores(model)[induction_head(model)]
    show(by_stratum, measured, "Induction score by the distance between the two A")
    looks = measured.at_least(0.4)
    assert every(proportion(looks.stratum(distance)) for distance in ("short", "medium", "long")) >= 0.8


@pytest.mark.parametrize("model", MINIS)
@refuted(
    {"mini-3": "its strongest such head gives the previous word .37 on average; its induction looks elsewhere too"}
)
def test_some_head_looks_at_the_previous_word(model):
    """At least one head attends to the previous word with probability 0.4 or more, averaged over a sequence.

    Source: the other half of the textbook circuit, Elhage et al. 2021, "A Mathematical Framework for Transformer
    Circuits".
    """
    measured = attention(model, "previous token", induction().take(200))
    show(heads_by_layer, measured, "Attention to the previous word")
    assert some(mean(measured)) >= 0.4


@pytest.mark.parametrize("model", MINIS)
@no_twin(
    "a bound from above: a network without induction satisfies it; that some head passes 0.4 is claimed above, "
    "and refuted on three"
)
def test_no_head_of_the_first_layer_is_an_induction_head(model):
    """Every head of the first layer has an induction score below 0.4.

    Source: Elhage et al. 2021: what followed A is known at B only after a layer that looks at the previous word.
    """
    assert every(mean(scores(model).in_layer(0))) < 0.4


# What the weights say: K-composition.


@pytest.mark.parametrize("model", MINIS)
def test_the_keys_of_the_induction_head_read_the_previous_token_head(model):
    """The K-composition of the previous-token head with the strongest induction head is at least 1.5 times chance.

    From weights alone; chance is the root mean square where one matrix is turned at random against the other.
    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; mini-pilot has 2.2 times chance,
    its twins no pair above 1.14.
    """
    requires(mean(scores(model, "discovery")[induction_head(model)]) >= 0.4)
    reads = into_the_induction_head(model)
    assert exact(reads[previous_token_head(model)].array[0], of="K-composition, in multiples of chance") >= 1.5


@pytest.mark.parametrize("model", MINIS)
def test_the_keys_of_the_induction_head_read_no_other_head_as_much(model):
    """The keys of the strongest induction head read more of the previous-token head than of any other earlier head, by
    a fifth of chance at least.

    Source: as above; mini-pilot has 2.16 times chance, and 1.70 for the next head, itself one that looks at the
    previous word.
    """
    requires(mean(scores(model, "discovery")[induction_head(model)]) >= 0.4)
    reads, head = into_the_induction_head(model), previous_token_head(model)
    lead = reads[head].array[0] - reads.without(head).values.max()
    assert exact(lead, of="lead in K-composition, in multiples of chance") >= 0.2


@pytest.mark.parametrize("model", MINIS)
def test_the_previous_token_head_finds_it_by_position(model):
    """Position embeddings alone make the previous-token head attend to the previous of 40 positions with probability
    0.5 or more.

    Source: the field's account of such heads; mini-pilot has .999, its two other heads that look there .92 and .98, its
    twins at most .12.
    """
    requires(mean(scores(model, "discovery")[induction_head(model)]) >= 0.4)
    assert exact(attention_by_position(model, 40)[previous_token_head(model)].array[0], of="attention") >= 0.5


@pytest.mark.parametrize("model", MINIS)
def test_what_the_previous_token_head_says_to_the_key_is_what_the_induction_head_looks_for(model):
    """Where the key of the strongest induction head sees the previous-token head as if another word had stood before
    B, it attends to B by 0.3 less.

    Source: K-composition, Elhage et al. 2021; the bound was written down before anything was trained.
    """
    requires(mean(scores(model, "discovery")[induction_head(model)]) >= 0.4)
    found = attention_without(model, induction_head(model), induction(corrupt="previous"))
    show(rates_by_column, found.without(["intact"]), "Attention left with one earlier head replaced for the key")
    assert difference(found["intact"], found[previous_token_head(model)]) >= 0.3


@pytest.mark.parametrize("model", MINIS)
@no_twin("a bound from above: in a network without induction nothing is lost")
@refuted({"mini-1": "head 0.0, which looks at the previous word by half, lowers it by .06, from .05 to .08"})
def test_no_other_earlier_head_matters_to_the_key(model):
    """Each other head of earlier layers, replaced for that key alone, lowers the attention by at most 0.05.

    Source: written down before anything was trained; mini-pilot fails: two more of its heads look there.
    """
    requires(mean(scores(model, "discovery")[induction_head(model)]) >= 0.4)
    found = attention_without(model, induction_head(model), induction(corrupt="previous"))
    others = found.without(["intact", *map(str, previous_token_head(model))])
    assert every(difference(found["intact"], others)) <= 0.05


# What heads do.


@pytest.mark.parametrize("model", MINIS)
@no_twin("no twin has a logit difference to restore; the companion in logits has twins")
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
@open_question({"mini-1": "4.97 logits: the bound lies inside the interval"})
@refuted({"mini-4": "its highest-scoring head is the weakest of the four that share the work"})
def test_one_induction_head_restores_five_logits(model):
    """Patching the strongest induction head alone restores at least 5 logits.

    Source: about half of what mini-pilot shows on discovery prompts (10 of 34 logits).
    """
    requires(mean(scores(model, "discovery")[induction_head(model)]) >= 0.4)
    assert mean(restored(model, induction())[induction_head(model)]) >= 5


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
@no_twin("no twin has an induction head; that the carriers restore logits where twins do not is claimed below")
def test_the_induction_heads_together_restore_nine_tenths_of_the_logit_difference(model):
    """All heads with an induction score of at least 0.4, patched together, restore at least 90 % of the logit
    difference.

    Source: mini-pilot on discovery prompts, where three such heads restore 99.9 %.
    """
    requires(mean(scores(model, "discovery")[induction_head(model)]) >= 0.4)
    assert ratio(restored_jointly(model, induction_heads(model), induction())) >= 0.90


@pytest.mark.parametrize("model", MINIS)
@no_twin("no twin has a logit difference to restore; the companion in logits has twins")
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
@no_twin("an equivalence: in a network without the circuit no set has an effect")
@refuted({"mini-3": SPREAD})
def test_random_sets_of_other_heads_restore_nothing(model):
    """Random sets of three heads without the carriers restore between -5 % and 5 % of the logit difference on average.

    Source: docs/STATISTICS.md, R16: the mean of the null of random sets lies within 5 % of nothing.
    """
    assert -0.05 <= ratio(restored_by_others(model, carriers(model), induction().take(50))) <= 0.05


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
def test_the_carriers_look_at_the_word_that_followed_or_just_behind_it(model):
    """The carriers attend by at least 0.4 to the word after the previous occurrence and the three words behind it
    together.

    Stated after it had been seen, while the cards of the minis were written, that heads of mini-0 and mini-2 attend one
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
        "mini-0-zero": "six heads share the work: three go on; resampling, which feeds wrong words, does cost more",
        "mini-0-mean": "six heads share the work, so three go on; random sets with a head of layer 0 cost more",
        "mini-3": SPREAD,
    }
)
def test_without_the_carriers_the_repeat_costs_a_nat_more_than_without_others(model, how):
    """Ablating the carriers raises the loss on the repeat by at least one nat more than ablating as many random
    other heads.

    On sequences of 16 words said twice, after four fillers.
    Source: one nat was asked for before any model was trained; mini-pilot shows 4.5 or more on discovery prompts.
    """
    prompts, reference = repeats(200, half=16, fillers=4), repeats(200, "reference", half=16, fillers=4)
    losses = loss_without(model, carriers(model), how, prompts, reference)
    assert difference(losses["chosen"], losses["random"]) >= 1


@pytest.mark.parametrize("model", MINIS)
@refuted(
    {
        "mini-0": UPSTREAM,
        "mini-1": UPSTREAM,
        "mini-2": UPSTREAM,
        "mini-4": UPSTREAM,
    }
)
def test_the_carriers_matter_more_than_nineteen_of_twenty_random_sets(model):
    """Mean-ablating the carriers adds more to the loss than mean-ablating 95 % of 200 random sets of as many other
    heads.

    Random sets may hold heads of the first layer, without which the network fails in other ways, so this is a narrow
    pass at best. In mini-3 the sets are matched by layer too, all 105 that there are, and hold no such head: its pass
    does not compare with the others. The null is measured on 32 of the 200 sequences.
    Source: docs/STATISTICS.md, R16; mini-pilot shows .15 nats above the percentile on discovery prompts.
    """
    prompts, reference = repeats(200, half=16, fillers=4), repeats(200, "reference", half=16, fillers=4)
    losses = loss_without(model, carriers(model), "mean", prompts, reference)
    others = loss_added_by_others(model, carriers(model), "mean", prompts.take(32), reference)
    assert above_null(losses.less("chosen", "intact"), others) > 0


@pytest.mark.parametrize("model", MINIS)
@no_twin("no twin has a logit difference to share out; the companion in logits has twins")
@refuted({"mini-3": "its heads write most of the difference themselves: MLPs 39 %"})
def test_the_mlps_write_most_of_the_logit_difference(model):
    """MLPs write at least half of the logit difference between B and C directly into the output.

    Source: mini-pilot on discovery prompts, where they write 12.7 of 17 logits: heads find B, MLPs say it.
    """
    direct = written(model, induction().take(200))
    show(by_column, direct.without(direct.head_columns), "What is written towards B rather than C, in logits")
    assert ratio(direct.added_up(direct.mlp_columns), direct["total"]) >= 0.5


@pytest.mark.parametrize("model", MINIS)
@open_question({"mini-3": "5.2 logits: the bound lies inside the interval"})
def test_the_mlps_write_five_logits(model):
    """MLPs together write at least 5 logits towards B rather than C directly into the output.

    Source: mini-pilot on discovery prompts (12.7 logits), with room for other trainings.
    """
    direct = written(model, induction().take(200))
    assert mean(direct.added_up(direct.mlp_columns)) >= 5


# Across trainings.


@open_question("two trainings score .95, three below .1: five are too few for a mean of such values")
@no_twin(TRAININGS)
def test_the_highest_induction_score_is_four_tenths_across_trainings():
    """Over five trainings of the same recipe, the score of the head chosen on discovery prompts is at least 0.4 on
    average.

    Source: the threshold of the claim on each training.
    """
    assert across_seeds(mean(scores(model)[induction_head(model)]) for model in MINIS) >= 0.4


@open_question("from 32 % to 90 %: five trainings leave the mean open")
@no_twin(TRAININGS)
def test_three_heads_carry_nine_tenths_across_trainings():
    """Over five trainings of the same recipe, three heads chosen on discovery prompts restore at least 90 % on average.

    Source: mini-pilot, as in the claim on each training.
    """
    assert across_seeds(ratio(restored_jointly(model, carriers(model), induction())) for model in MINIS) >= 0.90


# GPT-2 small, as published. These rows run where its weights are: `mechlib fetch gpt2-small`.


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_L5H5_restores_two_fifths_of_the_logit_difference(model):
    """Patching L5H5 recovers at least 40 % of the logit difference.

    Source: the sentence as it is usually said; no published number.
    """
    effect = restored(model, induction())
    assert ratio(effect[published(GPT2_ASKED, model)], effect["total"]) >= 0.40


@pytest.mark.parametrize("model", ["gpt2-small"])
@no_twin("a bound from above: a network without any induction head satisfies it")
def test_the_induction_heads_are_in_layers_5_and_6(model):
    """Every head outside layers 5 and 6 has an induction score below 0.4.

    Expected to be refuted: 7.10 had .902 on one sequence of repeated random tokens.
    Source: the sentence as it is usually said.
    """
    outside = [head for head in published(GPT2_HEADS, model) if head.layer not in (5, 6)]
    assert every(mean(scores(model)[outside])) < 0.4


@pytest.mark.parametrize("model", ["gpt2-small"])
@no_twin("a bound from above: a network without any induction head satisfies it")
def test_the_induction_heads_are_in_layers_5_to_7(model):
    """Every head outside layers 5 to 7 has an induction score below 0.4.

    Source: the sentence above, corrected by the five heads that score highest on repeated random tokens.
    """
    outside = [head for head in published(GPT2_HEADS, model) if head.layer not in (5, 6, 7)]
    assert every(mean(scores(model)[outside])) < 0.4


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_the_five_published_heads_are_induction_heads(model):
    """Heads 5.1, 5.5, 6.9, 7.2 and 7.10 all have an induction score of at least 0.4.

    Source: the five highest scores on one sequence of repeated random tokens: .880 .901 .833 .801 .902.
    """
    assert every(mean(scores(model)[published(GPT2_STRONGEST, model)])) >= 0.4
