"""Tiny random models of families beside those of `tiny`: each does something that the four do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    GPTNeoXConfig,
    GraniteConfig,
    OPTConfig,
    PretrainedConfig,
    PreTrainedModel,
)

from tests.helpers.tiny import BOS_ID, CONTEXT, VOCABULARY, randomised, word_tokenizer

_IDS = {"vocab_size": VOCABULARY, "bos_token_id": BOS_ID, "eos_token_id": BOS_ID, "pad_token_id": 1}
_SHAPE = {
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 32,
    "intermediate_size": 64, "max_position_embeddings": CONTEXT,
}  # fmt: skip
_GPT2 = {"n_layer": 2, "n_head": 4, "n_embd": 32, "n_positions": CONTEXT}
_MADE: dict[str, tuple[type[PretrainedConfig], dict[str, Any]]] = {
    "gpt2 without scale": (GPT2Config, _GPT2 | {"scale_attn_weights": False}),
    "gpt2 scaled by layer": (GPT2Config, _GPT2 | {"scale_attn_by_inverse_layer_idx": True}),
    "neox without biases": (GPTNeoXConfig, _SHAPE | {"attention_bias": False}),
    "cohere": (CohereConfig, _SHAPE | {"logit_scale": 0.25}),
    "gemma": (GemmaConfig, _SHAPE | {"head_dim": 8}),
    "gemma3": (Gemma3TextConfig, _SHAPE | {"head_dim": 8}),
    "granite": (GraniteConfig, _SHAPE | {"residual_multiplier": 0.5, "logits_scaling": 2.0}),
    "granite of other logits": (GraniteConfig, _SHAPE | {"logits_scaling": 2.0}),
    "opt": (
        OPTConfig,
        {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32, "word_embed_proj_dim": 32,
         "ffn_dim": 64, "max_position_embeddings": CONTEXT},
    ),
}  # fmt: skip
OTHERS = tuple(_MADE)


def random_other(family: str, seed: int = 0) -> PreTrainedModel:
    """A model of another family, every parameter of which is random."""
    kind, settings = _MADE[family]
    torch.manual_seed(seed)
    return randomised(AutoModelForCausalLM.from_config(kind(**settings, **_IDS), attn_implementation="eager"))


def other_directory(path: Path, family: str, seed: int = 0) -> Path:
    """A Hugging Face directory with a tiny model of another family and a word tokenizer."""
    random_other(family, seed).save_pretrained(path)
    word_tokenizer().save_pretrained(path)
    return path
