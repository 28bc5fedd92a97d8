"""A transformer block is a few lines of arithmetic: written out in full, it is what the library computes.

Source: Vaswani et al. 2017, arXiv:1706.03762; Radford et al. 2019 for the order of norm and sum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.batching import batches
from mechlib.lab.hooks import run
from mechlib.lab.models.loading import load
from mechlib.prompts.induction import induction


class Block:
    """GPT-2's block: x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, weights: Mapping[str, Tensor], n_heads: int) -> None:
        self.weights, self.n_heads = weights, n_heads

    def norm(self, x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scale = (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
        return centred / scale * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)  # batch head_index pos d_head

    def attention(self, x: Tensor) -> Tensor:
        parts = self.linear(self.norm(x, "ln_1"), "attn.c_attn").split(x.shape[-1], dim=-1)
        query, key, value = (self.by_head(part) for part in parts)
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        pattern = scores.masked_fill(future, -torch.inf).softmax(-1)
        return self.linear((pattern @ value).transpose(1, 2).flatten(-2), "attn.c_proj")

    def mlp(self, x: Tensor) -> Tensor:
        hidden = self.linear(self.norm(x, "ln_2"), "mlp.c_fc")
        gelu = hidden / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)))
        return self.linear(gelu, "mlp.c_proj")

    def __call__(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        x = x + self.attention(x)
        return x + self.mlp(x)


@pytest.mark.parametrize("layer", [0, 3])
@pytest.mark.parametrize("name", ["mini-0", "mini-3"])
def test_a_transformer_block_written_out_equals_the_librarys(name, layer):
    model = load(name)
    state = model.original_model.transformer.h[layer].state_dict()
    weights = {key.replace("_original_component.", ""): tensor for key, tensor in state.items()}
    block = Block(weights, model.cfg.n_heads)
    before, after = f"blocks.{layer}.hook_resid_pre", f"blocks.{layer}.hook_resid_post"
    for batch in batches(model, induction(20, split="discovery")):
        kept = run(model, batch.tokens, keep=(before, after))[1]
        gap = (block(kept[before]) - kept[after]).abs().max() / kept[after].abs().max()
        assert gap <= 1e-5
        assert (kept[after] - kept[before]).abs().max() / kept[after].abs().max() > 0.01, "the block writes something"
