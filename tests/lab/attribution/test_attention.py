"""Attention scores read the right cell; direct attribution adds up to what the model does."""

import numpy as np
import pytest
import torch

from mechlib.lab.attribution.attention import attention_by_offset, attention_pattern, attention_to
from mechlib.lab.attribution.direct import direct_logit_attribution
from mechlib.lab.batching import batches
from mechlib.lab.behaviour import logit_differences
from mechlib.lab.hooks import run
from mechlib.lab.interventions.contexts import zero_ablated
from mechlib.lab.models.loading import load
from mechlib.parts.heads import Head, all_heads, heads
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import FAMILIES, REFUSED, directory, pairs, random_model

EVERY = all_heads(2, 4)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("attribution") / request.param, request.param)))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("attribution") / "one", "gpt2")))


def hugging_face_attention(family: str, tokens: torch.Tensor) -> np.ndarray:
    """Attention probabilities as [layer head query key], from the library that the model was made with."""
    with torch.no_grad():
        out = random_model(family)(tokens.unsqueeze(0), output_attentions=True)
    return torch.stack([attention[0] for attention in out.attentions]).numpy()


def test_scores_are_the_cells_of_hugging_faces_attention(gpt2):
    prompts = PromptSet("by hand", "confirmation", (Prompt("w7 w1 w2 w3 w1 w5 w6 w1", "w5"),))
    (batch,) = batches(gpt2, prompts)
    attention = hugging_face_attention("gpt2", batch.tokens[0])  # position 0 is BOS, w1 stands at 2, 5 and 8
    wanted = {
        "after previous occurrence": attention[:, :, 8, 6],
        "previous occurrence": attention[:, :, 8, 5],
        "first token": attention[:, :, 8, 0],
        "previous token": np.mean([attention[:, :, query, query - 1] for query in range(2, 9)], axis=0),
    }
    for target, cells in wanted.items():
        np.testing.assert_allclose(attention_to(gpt2, prompts, target).values[0], cells.flatten(), atol=1e-5)


def test_scores_have_a_column_for_each_head_in_order(model):
    measured = attention_to(model, pairs(5), "after previous occurrence", unit="sequence")
    assert measured.columns == tuple(str(head) for head in EVERY)
    assert measured.head_columns == measured.columns
    assert measured.unit == "sequence"
    assert ((measured.values >= 0) & (measured.values <= 1)).all()


def test_scores_of_a_prompt_do_not_depend_on_the_others(model):
    prompts = pairs(8)
    whole = attention_to(model, prompts, "previous token")
    for row in range(8):
        alone = attention_to(model, PromptSet("one", "confirmation", prompts.rows[row : row + 1]), "previous token")
        np.testing.assert_allclose(whole.values[row], alone.values[0], atol=1e-5)


def test_a_prompt_whose_last_token_is_new_has_no_induction_target(gpt2):
    prompts = PromptSet("new", "confirmation", (Prompt("w1 w2 w3", "w4"),))
    with pytest.raises(ValueError, match="the last token of 'w1 w2 w3' does not occur before"):
        attention_to(gpt2, prompts, "after previous occurrence")
    with pytest.raises(REFUSED, match="'next token'"):
        attention_to(gpt2, prompts, "next token")


def test_attention_by_offset_is_the_induction_score_at_zero_and_the_duplicate_score_before_it(gpt2):
    prompts = pairs(12)
    around = attention_by_offset(gpt2, prompts, heads("1.1 0.3"))
    for column, target in (("0", "after previous occurrence"), ("-1", "previous occurrence")):
        score = attention_to(gpt2, prompts, target)[heads("1.1 0.3")].values.mean(1)
        np.testing.assert_allclose(around[column].array, score, atol=1e-6)


def test_attention_by_all_offsets_is_all_the_attention_there_is(gpt2):
    around = attention_by_offset(gpt2, pairs(12), heads("0.1"), tuple(range(-20, 21)))
    np.testing.assert_allclose(around.values.sum(1), 1, atol=1e-5)


def test_a_pattern_has_the_tokens_on_both_sides_and_rows_that_sum_to_one(gpt2):
    prompts = pairs(3)
    pattern = attention_pattern(gpt2, Head(1, 2), prompts, row=1)
    words = prompts.rows[1].clean.split()
    assert pattern.units == pattern.columns == ("0 <bos>", *(f"{i + 1} {word}" for i, word in enumerate(words)))
    np.testing.assert_allclose(pattern.values.sum(1), 1, atol=1e-5)
    assert np.array_equal(pattern.values, np.tril(pattern.values)), "no token attends to a later one"


@pytest.mark.parametrize("folded", [False, True])
def test_heads_mlps_embeddings_and_biases_sum_to_the_logit_difference(tmp_path, folded):
    for family in FAMILIES:
        path = directory(tmp_path / family, family)
        attribution = direct_logit_attribution(load(str(path), folded=folded), pairs(10))
        parts = attribution.without(["total"]).values
        np.testing.assert_allclose(parts.sum(1), attribution["total"].array, atol=2e-4)
        wanted = logit_differences(load(str(path)), pairs(10))["clean"].array
        np.testing.assert_allclose(attribution["total"].array, wanted, atol=2e-4)


def test_the_heads_of_a_layer_sum_to_what_its_attention_writes(model):
    (batch, *_) = batches(model, pairs(5))
    for layer, block in enumerate(model.blocks):
        names = [f"blocks.{layer}.attn.hook_z", f"blocks.{layer}.hook_attn_out"]
        kept = run(model, batch.tokens, keep=names)[1]
        written = torch.einsum("bphd,hdm->bphm", kept[names[0]], block.attn.W_O).sum(2)
        bias = 0 if block.attn.b_O is None else block.attn.b_O
        behind = block.ln1_post if hasattr(block, "ln1_post") else torch.nn.Identity()
        torch.testing.assert_close(behind(written + bias), kept[names[1]], rtol=1e-4, atol=1e-5)


def test_the_direct_effect_of_a_last_layer_head_is_what_ablating_it_loses_at_a_frozen_norm(gpt2):
    prompts = pairs(6)
    attribution = direct_logit_attribution(gpt2, prompts)["1.2"].array
    mlp = "blocks.1.hook_mlp_out"
    for batch in batches(gpt2, prompts, size=1):
        kept = run(gpt2, batch.tokens, keep=["ln_final.hook_scale", "blocks.1.hook_resid_post", mlp])[1]
        with zero_ablated(gpt2, heads("1.2")) as ablated:
            edits = {**ablated.edits(batch), mlp: lambda _, kept=kept: kept[mlp]}
            without = run(gpt2, batch.tokens, edits, keep=["blocks.1.hook_resid_post"])[1]["blocks.1.hook_resid_post"]
        lost = (kept["blocks.1.hook_resid_post"] - without)[0, -1]
        lost = (lost - lost.mean()) / kept["ln_final.hook_scale"][0, -1] * gpt2.ln_final.weight
        direction = gpt2.W_U[:, batch.answer[0]] - gpt2.W_U[:, batch.distractor[0]]
        assert attribution[batch.rows[0]] == pytest.approx(float(lost @ direction), abs=1e-4)


def test_swapping_answer_and_distractor_changes_the_sign_of_every_contribution(gpt2):
    prompts = pairs(6)
    swapped = PromptSet("swapped", "confirmation", tuple(Prompt(p.clean, p.distractor, "", p.answer) for p in prompts))
    there, back = direct_logit_attribution(gpt2, prompts), direct_logit_attribution(gpt2, swapped)
    np.testing.assert_allclose(there.values, -back.values, atol=1e-5)
