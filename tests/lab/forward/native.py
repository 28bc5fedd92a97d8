"""Tiny random native models of TransformerLens, made in memory: every variant of their configuration."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge

from mechlib.checkpoints.checkpoint import Checkpoint
from mechlib.lab.models.loading import Model, describe
from tests.helpers.tiny import CONTEXT, VOCABULARY, word_tokenizer

SHAPE = {"n_layers": 2, "n_heads": 3, "d_model": 16, "d_head": 6, "d_mlp": 20, "n_ctx": CONTEXT, "d_vocab": VOCABULARY}


def native(name: str = "toy", bos: str = "<bos>", tokenizer: Any = None, **changes: Any) -> Model:
    """A native model whose every parameter is random: two layers of three heads, no norms, relu; and `changes`."""
    settings = {**SHAPE, "act_fn": "relu", "normalization_type": None, "seed": 0, **changes}
    quiet = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        model = TransformerBridge.boot_native(TransformerBridgeConfig(**settings), device="cpu")
    finally:
        logging.disable(quiet)
    draws = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name_, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=draws)
            norm = parameter.ndim == 1 and name_.endswith("weight")
            parameter.copy_(1 + 0.2 * noise if norm else 0.3 * noise)
    model._tokenizer = tokenizer or word_tokenizer()  # given to boot_native, it would be read from disk again
    model.eval().requires_grad_(False)
    return describe(model, Checkpoint(name, "local", Path(name), name, bos=bos))
