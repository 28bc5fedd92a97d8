"""Native models of any shape, random and in memory: attention alone, any norm or none, heads of any width."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from transformer_lens.config import TransformerBridgeConfig

from mechlib.checkpoints.resolve import checkpoint
from mechlib.lab.models.loading import Model, describe
from tests.helpers.tiny import CONTEXT, VOCABULARY, word_tokenizer


def native(seed: int = 0, **settings: Any) -> Model:
    """Two layers, 16 wide, 4 heads, the words of `tiny`, without norms; every weight and bias is random.

    settings  of TransformerLens's native configuration: attn_only=True, normalization_type="LN"
    """
    shape = {
        "d_model": 16, "d_head": 4, "n_heads": 4, "n_layers": 2, "n_ctx": CONTEXT, "d_vocab": VOCABULARY, "d_mlp": 24,
        "act_fn": "relu", "normalization_type": None, "seed": seed, "default_prepend_bos": True,
    }  # fmt: skip
    model = Model.boot_native(TransformerBridgeConfig(**{**shape, **settings}), device="cpu", model_name="toy")
    model._tokenizer = word_tokenizer()
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=drawn)
            norm = parameter.ndim == 1 and "ln" in name and name.endswith("weight")
            parameter.copy_(1 + 0.2 * noise if norm else 0.3 * noise)
    model.eval().requires_grad_(False)
    return describe(model, replace(checkpoint("planted-induction"), name="toy", bos="<bos>", known=("", ())))
