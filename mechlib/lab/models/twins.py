"""Twins: the controls that every claim meets. Made in memory from a model's directory, always the same.

Raise `mechlib.checkpoints.files.RECIPE` when this file makes them differently.
"""

from __future__ import annotations

import hashlib

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from mechlib.lab.models.huggingface import trained

SEED = 20_240_229  # of no training: a twin never starts where its parent started


def untrained(path: str) -> PreTrainedModel:
    """The same configuration with a fresh initialisation, as training starts from, under another seed."""
    config = AutoConfig.from_pretrained(path, local_files_only=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def permuted(path: str) -> PreTrainedModel:
    """The trained model with the entries of each weight matrix in random order: see `shuffled`.

    Raises as `trained` does: a twin is made of a whole model.
    """
    model = trained(path)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(shuffled(name, parameter))
    return model


def shuffled(name: str, parameter: torch.Tensor) -> torch.Tensor:
    """A weight matrix with its entries in random order, which depends on the matrix's name only.

    Every matrix, embeddings included, keeps its entries and so its norm and its distribution; vectors (norms and
    biases) stay. Tied matrices stay tied.
    """
    if parameter.ndim < 2:
        return parameter
    order = torch.randperm(parameter.numel(), generator=_generator(name))
    return parameter.flatten()[order].view_as(parameter)


def _generator(name: str) -> torch.Generator:
    seed = int.from_bytes(hashlib.sha256(f"{SEED} {name}".encode()).digest()[:7], "big")
    return torch.Generator().manual_seed(seed)
