"""Patching by another library, nnsight, in Hugging Face's own modules; skipped where it is not installed."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from mechlib.lab.batching import batches
from mechlib.lab.interventions.contexts import Site
from mechlib.lab.interventions.patching import lost_by_patching, restored_by_patching
from mechlib.lab.models.loading import load
from mechlib.parts.heads import all_heads
from mechlib.prompts.promptset import PromptSet
from tests.helpers.tiny import directory, pairs

pytestmark = pytest.mark.external


@pytest.mark.parametrize("direction", ["restored", "lost"])
def test_patching_by_layer_head_and_position_is_that_of_nnsight(tmp_path, direction):
    nnsight = pytest.importorskip("nnsight", reason="no nnsight here: pip install nnsight")
    path = directory(tmp_path, "gpt2")
    ours, theirs = load(str(path)), nnsight.NNsight(AutoModelForCausalLM.from_pretrained(path).eval())
    largest = max(batches(ours, pairs(30, longest=8)), key=lambda batch: len(batch.rows))
    prompts = PromptSet("of one length", "confirmation", largest.prompts[:3])
    (batch,) = batches(ours, prompts)
    source, into = batch.tokens, batch.corrupted
    patch, sign = (restored_by_patching, 1) if direction == "restored" else (lost_by_patching, -1)
    if direction == "lost":
        source, into = into, source
    rows = torch.arange(len(source))
    layers = theirs.transformer.h

    def metric(logits: torch.Tensor) -> torch.Tensor:
        return logits[rows, -1, batch.answer] - logits[rows, -1, batch.distractor]

    with torch.no_grad():
        with theirs.trace(source):
            z_0 = layers[0].attn.c_proj.input.save()
            mlp_0 = layers[0].mlp.output.save()
            z_1 = layers[1].attn.c_proj.input.save()
            mlp_1 = layers[1].mlp.output.save()
        z, mlps = (z_0, z_1), (mlp_0, mlp_1)
        with theirs.trace(into):
            logits = theirs.output.logits.save()
        before = metric(logits)
        first = int(torch.ne(source, into).any(0).nonzero()[0])
        for position in range(first, source.shape[1]):
            wanted = {}
            for head in all_heads(2, 4):
                own = slice(8 * head.head, 8 * head.head + 8)
                with theirs.trace(into):
                    layers[head.layer].attn.c_proj.input[:, position, own] = z[head.layer][:, position, own]
                    logits = theirs.output.logits.save()
                wanted[str(head)] = metric(logits)
            for layer in range(2):
                with theirs.trace(into):
                    layers[layer].mlp.output[:, position] = mlps[layer][:, position]
                    logits = theirs.output.logits.save()
                wanted[f"mlp {layer}"] = metric(logits)
            places = {str(head): head for head in all_heads(2, 4)} | {f"mlp {n}": Site("mlp", n) for n in range(2)}
            found = patch(ours, prompts, places, position)
            for name, after in wanted.items():
                np.testing.assert_allclose(found[name].array, sign * (after - before), atol=3e-5, err_msg=name)
