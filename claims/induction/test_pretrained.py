"""Induction: GPT-2 small, with the heads that are usually named.

They keep their names on twins. Prompts are those of the small networks; rows run where the weights are. Terms,
intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.induction.measurements import restored, scores
from mechlib import all_heads, every, heads, mean, published, ratio
from mechlib.prompts import induction

# The five strongest on one sequence of repeated random tokens, none of them with an interval.
GPT2_STRONGEST = {"gpt2-small": heads("5.1 5.5 6.9 7.2 7.10")}
GPT2_ASKED = {"gpt2-small": heads("5.5")}
GPT2_HEADS = {"gpt2-small": all_heads(12, 12)}


# GPT-2 small, as published. These rows run where its weights are: `mechlib fetch gpt2-small`.


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_L5H5_restores_two_fifths_of_the_logit_difference(model):
    """Patching L5H5 recovers at least 40 % of the logit difference.

    Source: the sentence as it is usually said; no published number.
    """
    effect = restored(model, induction())
    assert ratio(effect[published(GPT2_ASKED, model)], effect["total"]) >= 0.40


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_the_induction_heads_are_in_layers_5_to_7(model):
    """Every head outside layers 5 to 7 has an induction score below 0.4.

    Source: the sentence as it is usually said (layers 5 and 6), corrected by the five heads that score
    highest on repeated random tokens.
    """
    outside = [head for head in published(GPT2_HEADS, model) if head.layer not in (5, 6, 7)]
    assert every(mean(scores(model)[outside], beside=scores(model)[published(GPT2_STRONGEST, model)])) < 0.4


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_the_five_published_heads_are_induction_heads(model):
    """Heads 5.1, 5.5, 6.9, 7.2 and 7.10 all have an induction score of at least 0.4.

    Source: the five highest scores on one sequence of repeated random tokens: .880 .901 .833 .801 .902.
    """
    assert every(mean(scores(model)[published(GPT2_STRONGEST, model)])) >= 0.4
