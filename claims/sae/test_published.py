"""SAEs: published dictionaries of GPT-2 small, which run where its weights and theirs are.

gpt2-small-res-jb (Bloom 2024) takes the residual stream before each layer apart into 24,576 features. Its numbers are
those of SAELens's own list of releases, rounded there, and measured on OpenWebText; here they are asked on text of
another model, SmolLM2's, so that margins are wide. Explained variance is about the mean of other texts. `mechlib fetch
gpt2-small`, and for the dictionaries `hf download jbloom/GPT2-Small-SAEs-Reformatted --revision` and the commit below.
Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from mechlib import Measurement, PromptSet, every, mean, ratio, reported
from mechlib.evidence import evidence
from mechlib.prompts import texts

BLOOM = "Bloom 2024, gpt2-small-res-jb, as listed in SAELens's pretrained_saes.yaml"
REVISION = "57d08a4fd333fbf18caf3fbea63ceeb88e2f50d9"
GPT2 = ["gpt2-small"]
TEXT = "smollm2-135m"  # whose texts these are
FEW, MANY = (0, 1, 2, 3), (5, 6, 7, 8, 9)  # layers before which 10 to 23, and 41 to 70, features are active


@evidence
def published_scores(model: str, layer: int, revision: str, prompts: PromptSet, others: PromptSet) -> Measurement:
    """How the published dictionary of the stream before a layer reconstructs, by text; the mean is that of others."""
    from mechlib.lab import dictionary_scores_on_prompts, load, load_release, mean_on

    network, hook = load(model), f"blocks.{layer}.hook_resid_pre"
    found = load_release("gpt2-small-res-jb", hook, revision, network, hook)
    mean_row = mean_on(network, others, hook)
    measured = dictionary_scores_on_prompts(network, found, prompts, hook, mean_row)
    return measured[("L0", "squared error", "squared deviation", "recovered", "to recover")]


def before(model: str, layer: int) -> Measurement:
    """How the published dictionary before a layer does."""
    return published_scores(model, layer, REVISION, texts(TEXT), texts(TEXT, split="discovery"))


@pytest.mark.parametrize("model", GPT2)
@reported(60, f"{BLOOM}, blocks.8", unit="features")
def test_sixty_features_are_active_before_layer_8(model):
    """Before layer 8 of GPT-2 small between 45 and 75 features of the published dictionary are active on a token."""
    assert 45 <= mean(before(model, 8)["L0"]) <= 75


@pytest.mark.parametrize("model", GPT2)
@reported(0.9, f"{BLOOM}, blocks.8, rounded to one of three values", unit="share of variance")
def test_four_fifths_of_the_variance_are_explained_before_layer_8(model):
    """Before layer 8 of GPT-2 small the published dictionary explains at least .8 of the variance about the mean."""
    found = before(model, 8)
    less = found["squared deviation"].array - found["squared error"].array
    both = found.with_columns({"explained": less, "squared deviation": found["squared deviation"].array})
    assert ratio(both["explained"], both["squared deviation"]) >= 0.8


@pytest.mark.parametrize("model", GPT2)
@reported(None, f"{BLOOM}: 10, 10, 18, 23 before layers 0 to 3, and 41 to 70 before 5 to 9", unit="features")
def test_more_features_are_active_before_later_layers(model):
    """Before each of layers 5 to 9 of GPT-2 small at least ten features more are active than before each of 0 to 3."""
    early, late = ({layer: before(model, layer)["L0"] for layer in layers} for layers in (FEW, MANY))
    pairs = [late[b].with_columns({"more": late[b].array - early[a].array}) for a in FEW for b in MANY]
    assert every(mean(one) for one in pairs) >= 10
