"""Indirect objects: GPT-2 small, with its published heads and figures.

Heads are named from Wang et al. 2022 (arXiv:2211.00593) and keep their names on twins. Prompts are our templates in
ordinary spacing; rows run where the weights are. Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.ioi.measurements import attention, attention_and_writing, copied, logits
from claims.measurements import logits_without, written
from mechlib import (
    Heads,
    Measurement,
    PromptSet,
    all_heads,
    correlation,
    difference,
    every,
    heads,
    mean,
    proportion,
    published,
    ratio,
    requires,
    show,
)
from mechlib.evidence import evidence
from mechlib.figures import heads_by_layer
from mechlib.prompts import ioi

# Wang et al. 2022.
NAME_MOVERS = {"gpt2-small": heads("9.9 9.6 10.0")}
NEGATIVE_NAME_MOVERS = {"gpt2-small": heads("10.7 11.10")}
S_INHIBITION = {"gpt2-small": heads("7.3 7.9 8.6 8.10")}
MOVERS_AND_BACKUPS = {"gpt2-small": heads("9.9 9.6 10.0 9.0 9.7 10.1 10.2 10.6 10.10 11.2 11.9")}


# Evidence: one value for each head, for each prompt.


@evidence
def copied_negatively(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """1 where a head that looked at nothing but IO, the sign of its output turned, would put it in the highest five."""
    from mechlib.lab import copy_scores, load

    return copy_scores(load(model), prompts, negative=True)[heads]


@evidence
def along_path_of_each(model: str, prompts: PromptSet) -> Measurement:
    """Logits lost where only the logits see one head's corrupted output, MLPs on the way computed anew; "total"."""
    from mechlib.lab import load, lost_by_path_patching

    network = load(model)
    every_head = all_heads(network.cfg.n_layers, network.cfg.n_heads)
    return lost_by_path_patching(network, prompts, every_head, through_mlps=True)


# GPT-2 small, as published, on our templates in ordinary spacing: `mechlib fetch gpt2-small`.

NATURAL = ioi(style="natural")
ELSEWHERE = ioi(split="reference", style="natural")


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2_prefers_the_indirect_object(model):
    """GPT-2 small gives the indirect object a higher logit than the subject in at least 97 % of prompts.

    Source: Wang et al.: 99.3 % of 100,000 prompts.
    """
    assert proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.97


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2_prefers_it_by_three_logits(model):
    """In GPT-2 small the indirect object leads by at least 3 logits on average.

    Source: Wang et al.: 3.56.
    """
    assert mean(logits(model, NATURAL)["clean"]) >= 3


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_a_second_mention_of_the_indirect_object_costs_gpt2_a_logit(model):
    """Where the indirect object is said once more in front, GPT-2 small's lead is at least one logit smaller.

    Source: Wang et al. 2022, appendix: 1.23 instead of 3.55.
    """
    plain, misled = (logits(model, prompts)["clean"] for prompts in (NATURAL, ioi(extra="object", style="natural")))
    assert difference(plain, misled) >= 1


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_a_second_mention_of_the_indirect_object_costs_gpt2_a_tenth_of_its_answers(model):
    """Where the indirect object is said once more in front, GPT-2 small prefers it in 10 points fewer of the prompts.

    Source: Wang et al. 2022, appendix: the subject is preferred in 23.4 % instead of .7.
    """
    plain, misled = (logits(model, prompts)["clean"] for prompts in (NATURAL, ioi(extra="object", style="natural")))
    assert difference(plain.at_least(0), misled.at_least(0)) >= 0.1


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2_is_not_misled_by_a_third_mention_of_the_subject(model):
    """Where the subject is said once more in front, GPT-2 small's lead stays at 3 logits or more.

    Source: Wang et al.: 3.64 instead of 3.55.
    """
    assert mean(logits(model, ioi(extra="subject", style="natural"))["clean"]) >= 3


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_name_movers_look_at_the_indirect_object(model):
    """Heads 9.9, 9.6 and 10.0 of GPT-2 small attend to the indirect object by 0.5 or more on average.

    Source: Wang et al.: .59.
    """
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    movers = published(NAME_MOVERS, model)
    assert mean(attention(model, "answer", movers, NATURAL).averaged(movers)) >= 0.5


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_name_mover_9_9_writes_what_it_looks_at(model):
    """Attention of head 9.9 to the indirect object and what it writes for it correlate by at least 0.6.

    Source: Wang et al.: above .81.
    """
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    both = attention_and_writing(model, heads("9.9"), NATURAL)
    assert correlation(both["attention"], both["written"]) >= 0.6


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_name_movers_copy(model):
    """Heads 9.9, 9.6 and 10.0 would put a name they looked at among the five highest logits in 95 % of prompts.

    Source: Wang et al.: above 95 %.
    """
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    assert every(proportion(copied(model, published(NAME_MOVERS, model), NATURAL))) >= 0.95


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_negative_name_movers_copy_negatively(model):
    """Heads 10.7 and 11.10 would put a name they looked at among the five lowest logits in 95 % of prompts.

    Source: Wang et al.: 98 %.
    """
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    assert every(proportion(copied_negatively(model, published(NEGATIVE_NAME_MOVERS, model), NATURAL))) >= 0.95


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_name_movers_have_the_largest_effect_along_paths_to_the_logits(model):
    """By path patching to the logits 9.9, 9.6 and 10.0 each cost more of the logit difference than every other head.

    Source: Wang et al., figure 3: each head's effect by path patching from three unrelated names; MLPs on the way are
    computed anew, as theirs are. On these names: with five of seventeen in a prompt nearly all prompts share one.
    """
    prompts = ioi(corrupt="names", style="natural")
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    movers, effects = published(NAME_MOVERS, model), along_path_of_each(model, prompts)
    show(heads_by_layer, effects.without(["total"]), "Logits lost along the path from one head to the logits")
    others = effects[effects.head_columns].without(movers)
    assert every(least for mover in movers for least in difference(effects[mover], others, across="these names")) > 0


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_negative_name_movers_write_against_the_indirect_object(model):
    """Heads 10.7 and 11.10 write towards S rather than IO, by at least a tenth of a logit each.

    Source: Wang et al., without a figure.
    """
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    effects = written(model, NATURAL)
    assert every(mean(effects[published(NEGATIVE_NAME_MOVERS, model)])) <= -0.1


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_s_inhibition_heads_look_at_the_giver(model):
    """Heads 7.3, 7.9, 8.6 and 8.10 attend from the last word to the second S by 0.4 or more on average.

    Source: Wang et al.: .51.
    """
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    inhibiting = published(S_INHIBITION, model)
    assert mean(attention(model, "distractor", inhibiting, NATURAL).averaged(inhibiting)) >= 0.4


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2_without_its_name_movers_loses_next_to_nothing(model):
    """Mean-ablating 9.9, 9.6 and 10.0 costs GPT-2 small at most 10 % of the logit difference.

    Source: Wang et al.: 5 %.
    """
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    found = logits_without(model, published(NAME_MOVERS, model), "mean", NATURAL, ELSEWHERE)
    seen = logits_without(model, published(S_INHIBITION, model), "mean", NATURAL, ELSEWHERE)
    assert ratio(found.less("intact", "together"), found["intact"], beside=seen.less("intact", "together")) <= 0.1


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_backups_take_over(model):
    """Name movers and backups of GPT-2 small cost at least one logit more together than the sum of each alone.

    Source: a later study of the same circuit, read second-hand: -1.15 logits together, .60 if effects added up.
    """
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    every_mover = published(MOVERS_AND_BACKUPS, model)
    found = logits_without(model, every_mover, "mean", NATURAL, ELSEWHERE)
    assert mean(found.interaction("together", every_mover, "intact")) >= 1
