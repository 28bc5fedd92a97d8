"""The tuned lens: the output itself at the end, nearer to it than the logit lens before, and exact where it can be."""

import numpy as np
import pytest
import torch

from mechlib.lab.attribution.logit_lens import depths
from mechlib.lab.models.loading import load
from mechlib.lab.probes.tuned_lens import Translator, TunedLens, lens_divergence, tuned_lens
from mechlib.parts.chosen import DoubleDipping
from mechlib.prompts.promptset import PromptSet
from tests.helpers.tiny import BOS_ID, FAMILIES, WORDS, directory, pairs, random_model

DISCOVERY, PROMPTS = pairs(60, "discovery"), pairs(12)


@pytest.fixture(scope="module", params=FAMILIES)
def case(request, tmp_path_factory):
    path = directory(tmp_path_factory.mktemp("tuned") / request.param, request.param)
    return load(str(path)), random_model(request.param)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("tuned") / "one", "gpt2")))


def nothing(model) -> TunedLens:
    """Translators that change nothing."""
    width = model.cfg.d_model
    same = Translator(torch.zeros(width, width), torch.zeros(width))
    return TunedLens(dict.fromkeys(depths(model)[:-1], same))


def by_hand(hugging_face, prompt, matrix, bias) -> list[float]:
    """KL(output || lens) at each depth but the last, from Hugging Face's hidden states through its own parts."""
    ids = torch.tensor([[BOS_ID, *map(WORDS.index, prompt.clean.split())]])
    if hasattr(hugging_face, "transformer"):
        norm = hugging_face.transformer.ln_f
    else:
        norm = hugging_face.gpt_neox.final_layer_norm if hasattr(hugging_face, "gpt_neox") else hugging_face.model.norm
    found = []
    with torch.no_grad():
        made = hugging_face(ids, output_hidden_states=True)
        output = made.logits[0, -1].double().softmax(-1)
        for state in made.hidden_states[:-1]:
            read = hugging_face.get_output_embeddings()(norm(state[0, -1] + state[0, -1] @ matrix + bias)).double()
            found.append(float((output * (output / read.softmax(-1)).log()).sum()))
    return found


def test_divergences_are_those_of_hugging_faces_own_parts(case):
    model, hugging_face = case
    draws = torch.Generator().manual_seed(0)
    matrix, bias = 0.1 * torch.randn(32, 32, generator=draws), torch.randn(32, generator=draws)
    lens = TunedLens({name: Translator(matrix, bias) for name in depths(model)[:-1]})
    found = lens_divergence(model, PROMPTS, lens)
    assert found.columns == tuple(f"{which}, {name}" for which in ("tuned", "logit") for name in depths(model))
    wanted = [by_hand(hugging_face, one, matrix, bias) for one in PROMPTS]
    np.testing.assert_allclose(found.values[:, :2], wanted, rtol=1e-3, atol=1e-4)
    zeros = [by_hand(hugging_face, one, 0 * matrix, 0 * bias) for one in PROMPTS]
    np.testing.assert_allclose(found.values[:, 3:5], zeros, rtol=1e-3, atol=1e-4)


def test_the_lens_at_the_last_layer_is_the_output(case):
    model, _ = case
    found = lens_divergence(model, PROMPTS, tuned_lens(model, DISCOVERY, steps=3))
    for which in ("tuned", "logit"):
        np.testing.assert_allclose(found[f"{which}, after layer 1"].array, 0, atol=1e-5)
    assert found.values.min() > -1e-5


def test_without_training_it_is_the_logit_lens(gpt2):
    untrained = tuned_lens(gpt2, DISCOVERY, steps=0)
    for lens in (untrained, nothing(gpt2)):
        found = lens_divergence(gpt2, PROMPTS, lens)
        for name in depths(gpt2):
            np.testing.assert_array_equal(found[f"tuned, {name}"].array, found[f"logit, {name}"].array)


def test_training_brings_it_nearer_to_the_output_on_prompts_it_has_not_seen(gpt2):
    found = lens_divergence(gpt2, PROMPTS, tuned_lens(gpt2, DISCOVERY))
    for name in depths(gpt2)[:-1]:
        assert found[f"tuned, {name}"].array.mean() < 0.8 * found[f"logit, {name}"].array.mean()


def test_what_is_an_affine_map_away_is_read_exactly(tmp_path):
    """Layer 1 turns the stream by a bias alone: the logit lens misses it before, the tuned lens learns it."""
    made = random_model("gpt2")
    with torch.no_grad():
        for part in (made.transformer.h[1].attn.c_proj, made.transformer.h[1].mlp.c_proj):
            part.weight.zero_(), part.bias.normal_(0, 1, generator=torch.Generator().manual_seed(0))
    path = directory(tmp_path / "bias", "gpt2")
    made.save_pretrained(path)
    model = load(str(path))
    found = lens_divergence(model, PROMPTS, tuned_lens(model, DISCOVERY, "after layer 0", steps=1500, rate=1e-2))
    assert found.columns == (
        "tuned, after layer 0",
        "tuned, after layer 1",
        "logit, after layer 0",
        "logit, after layer 1",
    )
    assert found["logit, after layer 0"].array.mean() > 0.1
    assert found["tuned, after layer 0"].array.mean() < 0.02 * found["logit, after layer 0"].array.mean()


def test_it_is_the_same_again_and_another_by_another_seed(gpt2):
    one, again, other = (
        tuned_lens(gpt2, DISCOVERY, steps=5, seed=seed).translators["embeddings"] for seed in (0, 0, 1)
    )
    assert torch.equal(one.matrix, again.matrix) and torch.equal(one.bias, again.bias)
    assert not torch.equal(one.matrix, other.matrix)


def test_several_sets_train_one_lens(gpt2):
    more = pairs(10, "discovery", seed=5)
    both = tuned_lens(gpt2, (DISCOVERY, more), steps=2)
    assert both.chosen_on == DISCOVERY.members | more.members


def test_a_lens_is_trained_on_discovery_and_judged_elsewhere(gpt2):
    with pytest.raises(DoubleDipping, match="is not for discovery: a lens that is trained is judged on other prompts"):
        tuned_lens(gpt2, PROMPTS)
    same = PromptSet("same", "confirmation", DISCOVERY.rows[:5])
    with pytest.raises(DoubleDipping, match="5 of 5 prompts trained the lens"):
        lens_divergence(gpt2, same, tuned_lens(gpt2, DISCOVERY, steps=1))


def test_a_family_that_changes_logits_behind_the_unembedding_is_refused(gpt2, monkeypatch):
    whole = type(gpt2).forward
    monkeypatch.setattr(
        type(gpt2), "forward", lambda self, *given, **rest: 30 * (whole(self, *given, **rest) / 30).tanh()
    )
    with pytest.raises(ValueError, match="changes logits behind the unembedding"):
        tuned_lens(gpt2, DISCOVERY, steps=1)


def test_a_rate_that_runs_away_is_refused(gpt2):
    with pytest.raises(ValueError, match="lens embeddings is nan: lower the rate"):
        tuned_lens(gpt2, DISCOVERY, "embeddings", rate=float("inf"))
