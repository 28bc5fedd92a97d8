"""Greater-than: GPT-2 small, with its published heads and figures.

Heads are named from Hanna et al. 2023 and keep their names on twins. Prompts are our nouns in ordinary spacing; rows
run where the weights are. Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.greater_than.measurements import restored_jointly, scores, written_by_kind
from mechlib import difference, every, heads, mean, published, ratio, requires
from mechlib.prompts import greater_than

# Hanna et al. 2023, arXiv:2305.00586.
PUBLISHED_HEADS = {"gpt2-small": heads("9.1 8.11 8.8 7.10 6.9 5.5 5.1")}


# GPT-2 small, as published, on our nouns and in ordinary spacing: `mechlib fetch gpt2-small`.

NATURAL = greater_than(style="natural")


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2_ends_what_lasted_after_it_began(model):
    """In GPT-2 small the probability of the years above the start exceeds that of all others by at least 0.75.

    Source: Hanna et al.: .817.
    """
    assert mean(scores(model, NATURAL)["difference"], across="nouns") >= 0.75


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_cutoff_is_sharp(model):
    """In GPT-2 small the year after the start is more probable than the year before it, by at least .04.

    Source: Hanna et al.: .06, and .08 with their circuit alone.
    """
    assert mean(scores(model, NATURAL)["sharpness"], across="nouns") >= 0.04


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_published_heads_restore_half(model):
    """Heads 9.1 8.11 8.8 7.10 6.9 5.5 and 5.1 of GPT-2 small, patched together at the end, restore half or more.

    Source: Hanna et al.: with MLPs 8 to 11 they are a circuit that keeps 89.5 % of the difference; that is by path
    patching, so that the bound for patching heads alone is ours.
    """
    requires(mean(scores(model, NATURAL)["difference"], across="nouns") >= 0.7)
    assert ratio(restored_jointly(model, published(PUBLISHED_HEADS, model), NATURAL), across="nouns") >= 0.5


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_mlp_10_writes_more_than_any_other(model):
    """MLP 10 of GPT-2 small writes more towards the year above the cutoff than any other MLP does.

    Source: Hanna et al.: 56 % of the direct effect, by path patching; this is by direct logit attribution.
    """
    requires(mean(scores(model, NATURAL)["difference"], across="nouns") >= 0.7)
    parts = written_by_kind(model, NATURAL)
    others = parts[[name for name in parts.mlp_columns if name != "mlp 10"]]
    assert every(difference(parts["mlp 10"], others, across="nouns")) > 0
