"""A tiny model as we load it and as Hugging Face runs it, whose own hooks replace the output of a block."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel

from mechlib.lab.models.loading import Model, load
from tests.helpers.tiny import BOS_ID, VOCABULARY, directory, random_model

LAYER, WIDTH = 0, 32
HOOK = f"blocks.{LAYER}.hook_resid_post"


def both(folder: Path, family: str = "gpt2") -> tuple[Model, PreTrainedModel]:
    return load(str(directory(folder, family))), random_model(family)


def blocks(theirs: PreTrainedModel) -> torch.nn.ModuleList:
    return theirs.transformer.h if hasattr(theirs, "transformer") else theirs.model.layers


def with_stream(theirs: PreTrainedModel, tokens: Tensor, change: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """Logits of Hugging Face's forward pass with the stream behind the layer changed."""

    def hook(module: object, inputs: object, output: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        if isinstance(output, tuple):
            return (change(output[0]), *output[1:])
        return change(output)

    handle = blocks(theirs)[LAYER].register_forward_hook(hook) if change else None
    try:
        return theirs(tokens).logits
    finally:
        if handle:
            handle.remove()


def stream(theirs: PreTrainedModel, tokens: Tensor) -> Tensor:
    """The stream behind the layer."""
    seen = []
    with torch.no_grad():
        with_stream(theirs, tokens, lambda old: seen.append(old.clone()) or old)
    return seen[0]


def sequences(n: int, length: int, seed: int = 0) -> Tensor:
    """Random ids behind BOS."""
    drawn = torch.randint(3, VOCABULARY, (n, length - 1), generator=torch.Generator().manual_seed(seed))
    return torch.cat([torch.full((n, 1), BOS_ID), drawn], dim=1)
