"""Direct logit attribution of models of one's own: sums that are exact, and parts added up by hand from the weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mechlib.lab.attribution.direct import direct_logit_attribution
from mechlib.lab.batching import batches
from mechlib.lab.behaviour import logit_differences
from mechlib.lab.hooks import run
from mechlib.lab.models.loading import load
from mechlib.measurement import TOTAL
from mechlib.prompts.induction import induction
from mechlib.prompts.planted import planted
from tests.helpers.in_memory import native
from tests.helpers.tiny import pairs

PLANTED = ("planted-induction", "planted-ioi", "planted-adder")
NORMS = (None, "LN", "LNPre", "RMS", "RMSPre")


@pytest.mark.parametrize("name", PLANTED)
def test_the_columns_of_a_planted_model_add_up_to_its_logit_difference(name):
    prompts = planted(name, n=20)
    found = direct_logit_attribution(load(name), prompts)
    parts = found.without([TOTAL]).values.sum(axis=1)
    np.testing.assert_allclose(parts, logit_differences(load(name), prompts)["clean"].array, rtol=1e-5)
    np.testing.assert_allclose(found[TOTAL].array, parts, rtol=1e-5)


@pytest.mark.parametrize("name", ["mini-0", "mini-3"])
def test_what_the_parts_of_a_trained_network_write_adds_up_to_its_logit_difference(name):
    """The stream is a sum (Elhage et al. 2021): heads, MLPs, embeddings and biases, within a thousandth of a logit."""
    prompts = induction(40, split="discovery")
    found = direct_logit_attribution(load(name), prompts)
    parts = found.without([TOTAL]).values.sum(axis=1)
    np.testing.assert_allclose(parts, logit_differences(load(name), prompts)["clean"].array, atol=1e-3)
    assert np.abs(found.without([TOTAL]).values).max() > 1


@pytest.mark.parametrize("attn_only", [False, True], ids=["mlps", "attention only"])
@pytest.mark.parametrize("norm", NORMS)
def test_parts_of_a_native_model_are_what_they_write_towards_the_answer(norm, attn_only):
    """By hand: the normed stream is linear in its parts at the run's scale, taken here from the stream itself."""
    model, prompts = native(normalization_type=norm, attn_only=attn_only), pairs(12)
    found = direct_logit_attribution(model, prompts)
    assert found.mlp_columns == (() if attn_only else ("mlp 0", "mlp 1"))
    rows = {prompt.fingerprint: row for row, prompt in enumerate(prompts)}
    for batch in batches(model, prompts):
        names = ["blocks.1.hook_resid_post", "blocks.1.attn.hook_z"]
        kept = run(model, batch.tokens, keep=names)[1]
        stream, z = (kept[name][:, -1] for name in names)
        centred = stream - stream.mean(-1, keepdim=True) if norm in ("LN", "LNPre") else stream
        scale = 1.0 if norm is None else (centred.pow(2).mean(-1, keepdim=True) + model.cfg.eps).sqrt()
        gain = model.ln_final.weight if norm in ("LN", "RMS") else 1.0
        towards = (model.W_U.T[batch.answer] - model.W_U.T[batch.distractor]) * gain / scale
        written = torch.einsum("bd,dm->bm", z[:, 2], model.blocks[1].attn.W_O[2])
        if norm in ("LN", "LNPre"):
            written = written - written.mean(-1, keepdim=True)
        own = found["1.2"].array[[rows[prompt.fingerprint] for prompt in batch.prompts]]
        np.testing.assert_allclose(own, (written * towards).sum(-1), rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_a_head_whose_output_is_turned_off_keeps_all_other_columns_of_a_last_layer_without_norm(norm):
    """Without norms columns are the effect of taking a head of the last layer out; with norms the scale moves too."""
    model, prompts = native(normalization_type=norm, attn_only=True), pairs(12)
    before = direct_logit_attribution(model, prompts)
    with torch.no_grad():
        model.blocks[1].attn.W_O[2] = 0
    after = direct_logit_attribution(model, prompts)
    assert (after["1.2"].array == 0).all()
    lost = before[TOTAL].array - after[TOTAL].array
    assert np.allclose(lost, before["1.2"].array, atol=1e-4) == (norm is None)


def test_logits_that_are_capped_behind_the_unembedding_are_refused():
    model = native(output_logits_soft_cap=0.5)
    with pytest.raises(ValueError, match=r"contributions miss the logit difference of toy by .*logits behind"):
        direct_logit_attribution(model, pairs(8))
