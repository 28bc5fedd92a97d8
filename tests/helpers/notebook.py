"""Toy models as one has them in a notebook: random weights large enough that an error in any part shows."""

from __future__ import annotations

import random
import warnings
from typing import Any

import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge

from mechlib.prompts.promptset import Prompt, PromptSet, Split

WORDS = tuple(f"w{n}" for n in range(23))
CONTEXT = 12
SHAPE: dict[str, Any] = {
    "d_model": 16, "d_head": 8, "n_heads": 2, "n_layers": 2, "n_ctx": CONTEXT, "d_vocab": len(WORDS), "d_mlp": 13,
    "act_fn": "relu", "normalization_type": "LN", "seed": 1, "device": "cpu",
}  # fmt: skip
# What toys are made of, each beside SHAPE.
VARIANTS: dict[str, dict[str, Any]] = {
    "LN": {},
    "no norms": {"normalization_type": None},
    "LN folded": {"normalization_type": "LNPre"},
    "RMS": {"normalization_type": "RMS"},
    "RMS folded": {"normalization_type": "RMSPre"},
    "attention only": {"attn_only": True},
    "one layer of attention": {"attn_only": True, "n_layers": 1, "normalization_type": None},
    "wide heads": {"n_heads": 5},
    "narrow heads": {"n_heads": 1},
    "gelu": {"act_fn": "gelu", "d_mlp": 7},
    "another scale": {"attn_scale": 3.0},
    "fewer words out": {"d_vocab_out": 19},
    "bidirectional": {"attention_dir": "bidirectional"},
    "scores capped": {"attn_scores_soft_cap": 1.5},
    "logits capped": {"output_logits_soft_cap": 2.0},
    "final RMS": {"final_rms": True},
}
OF_BRIDGES: dict[str, dict[str, Any]] = {
    "rotary": {"positional_embedding_type": "rotary"},
    "grouped": {"n_heads": 4, "n_key_value_heads": 2},
    "gated": {"gated_mlp": True, "act_fn": "silu", "normalization_type": "RMS"},
    "final RMS alone": {"final_rms": True, "normalization_type": None},
}


def bridge(**settings: Any) -> TransformerBridge:
    """A `TransformerBridge.boot_native` with random weights."""
    return noisy(TransformerBridge.boot_native(TransformerBridgeConfig(**SHAPE | settings)))


def hooked(**settings: Any) -> HookedTransformer:
    """A `HookedTransformer` with random weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it is deprecated
        return noisy(HookedTransformer(HookedTransformerConfig(**SHAPE | settings)))


def noisy(model: Any, seed: int = 0) -> Any:
    """The model with every weight, biases and norms included, random."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            norm = parameter.ndim == 1 and ".ln" in f".{name}" and name.endswith(("weight", ".w"))
            parameter.copy_(1 + 0.2 * noise if norm else 0.4 * noise)
    return model


def some_tokens(n: int = 3, vocabulary: int = len(WORDS), length: int = CONTEXT) -> torch.Tensor:
    return torch.randint(vocabulary, (n, length), generator=torch.Generator().manual_seed(5))


def pairs(n: int = 6, words: tuple[str, ...] = WORDS, split: Split = "confirmation", out: int = 19) -> PromptSet:
    """Random words, one of which is another in the corrupted text; answers are of the first `out` words."""
    rng, rows = random.Random(split), []
    for _ in range(n):
        text, other = [[words[number] for number in rng.sample(range(len(words)), 6)] for _ in range(2)]
        answer, distractor = rng.sample(words[:out], 2)
        corrupted = [*text[:2], next(word for word in other if word not in text), *text[3:]]
        rows.append(Prompt(" ".join(text), answer, " ".join(corrupted), distractor))
    return PromptSet("toys", split, tuple(rows))
