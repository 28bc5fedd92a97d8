"""The logit lens, against Hugging Face's hidden states; its last column is the output."""

import numpy as np
import pytest
import torch

from mechlib.lab.attribution.logit_lens import depths, logit_lens
from mechlib.lab.behaviour import answer_log_probs, answers_correctly, logit_differences
from mechlib.lab.models.loading import load
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import BOS_ID, FAMILIES, REFUSED, VOCABULARY, WORDS, directory, pairs, random_model

READINGS = ("logit difference", "answer on top", "rank", "log probability", "entropy")


@pytest.fixture(scope="module", params=[(family, folded) for family in FAMILIES for folded in (False, True)], ids=str)
def case(request, tmp_path_factory):
    family, folded = request.param
    return load(str(directory(tmp_path_factory.mktemp("lens") / family, family)), folded=folded), random_model(family)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("lens") / "one", "gpt2")))


def final_norm(hugging_face) -> torch.nn.Module:
    if hasattr(hugging_face, "transformer"):
        return hugging_face.transformer.ln_f
    return hugging_face.gpt_neox.final_layer_norm if hasattr(hugging_face, "gpt_neox") else hugging_face.model.norm


def by_hand(hugging_face, prompt: Prompt) -> dict[str, list[float]]:
    """Each reading at each depth, from hidden states of one prompt; the last of these has been normed already."""
    tokens = torch.tensor([[BOS_ID, *(WORDS.index(word) for word in prompt.clean.split())]])
    answer, distractor = WORDS.index(prompt.answer), WORDS.index(prompt.distractor)
    found = {what: [] for what in READINGS}
    with torch.no_grad():
        *states, last = hugging_face(tokens, output_hidden_states=True).hidden_states
        for normed in (*(final_norm(hugging_face)(state) for state in states), last):
            logits = hugging_face.get_output_embeddings()(normed)[0, -1].double()
            chances = logits.exp() / logits.exp().sum()
            found["logit difference"].append(float(logits[answer] - logits[distractor]))
            found["answer on top"].append(float(max(range(len(logits)), key=logits.__getitem__) == answer))
            found["rank"].append(1.0 + sorted(logits, reverse=True).index(logits[answer]))
            found["log probability"].append(float(chances[answer].log()))
            found["entropy"].append(float(-sum(chance * chance.log() for chance in chances)))
    return found


@pytest.mark.parametrize("what", READINGS)
def test_every_depth_is_hugging_faces_hidden_state_behind_its_final_norm(case, what):
    model, hugging_face = case
    prompts = pairs(6)
    measured = logit_lens(model, prompts, what, unit="sequence")
    assert measured.columns == depths(model) == ("embeddings", "after layer 0", "after layer 1")
    assert measured.unit == "sequence" and measured.yes_no == (what == "answer on top")
    wanted = [by_hand(hugging_face, prompt)[what] for prompt in prompts]
    np.testing.assert_allclose(measured.values, wanted, atol=2e-4)


def test_the_lens_at_the_last_layer_is_the_output(case):
    model, _ = case
    prompts = pairs(16)
    last = {what: logit_lens(model, prompts, what)["after layer 1"].array for what in READINGS}
    np.testing.assert_allclose(last["logit difference"], logit_differences(model, prompts)["clean"].array, atol=2e-4)
    np.testing.assert_allclose(last["log probability"], answer_log_probs(model, prompts).array, atol=2e-4)
    np.testing.assert_array_equal(last["answer on top"], answers_correctly(model, prompts).array)
    np.testing.assert_array_equal(last["answer on top"], last["rank"] == 1)
    assert (last["entropy"] < np.log(VOCABULARY)).all()


def test_a_network_without_layers_that_write_says_the_same_at_every_depth(tmp_path):
    made = random_model("gpt2")
    for block in made.transformer.h:
        for part in (block.attn.c_proj, block.mlp.c_proj):
            torch.nn.init.zeros_(part.weight), torch.nn.init.zeros_(part.bias)
    path = directory(tmp_path / "idle", "gpt2")
    made.save_pretrained(path)
    measured = logit_lens(load(str(path)), pairs(5))
    np.testing.assert_allclose(measured.values, np.repeat(measured["embeddings"].values, 3, axis=1), atol=1e-5)


def test_entropy_needs_no_answer_and_other_readings_name_the_prompt_that_lacks_one(gpt2):
    prompts = PromptSet("open", "confirmation", (Prompt("w1 w2 w3", ""),))
    assert logit_lens(gpt2, prompts, "entropy").values.shape == (1, 3)
    with pytest.raises(ValueError, match=r"'w1 w2 w3'\) has no answer"):
        logit_lens(gpt2, prompts, "rank")
    alone = PromptSet("alone", "confirmation", (Prompt("w1 w2 w3", "w4"),))
    assert logit_lens(gpt2, alone, "rank").values.shape == (1, 3)
    with pytest.raises(ValueError, match="has no distractor"):
        logit_lens(gpt2, alone)


def test_another_reading_is_refused_by_name(gpt2):
    with pytest.raises(REFUSED, match="'probability'"):
        logit_lens(gpt2, pairs(2), "probability")


def test_a_model_that_changes_logits_behind_the_unembedding_is_refused(gpt2, monkeypatch):
    whole = type(gpt2).forward
    monkeypatch.setattr(
        type(gpt2), "forward", lambda self, *given, **rest: 30 * (whole(self, *given, **rest) / 30).tanh()
    )
    with pytest.raises(ValueError, match="changes logits behind the unembedding"):
        logit_lens(gpt2, pairs(2))
