"""Twins: the controls that every claim meets. Made in memory from a model's directory, always the same.

Raise its number in `mechlib.checkpoints.files.RECIPES` when this file makes a twin differently.
"""

from __future__ import annotations

import hashlib

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from mechlib.checkpoints.checkpoint import Checkpoint
from mechlib.checkpoints.files import weight_hash
from mechlib.lab.models.huggingface import trained

SEED = 20_240_229  # of no training: a twin never starts where its parent started


def seed_of(described: Checkpoint) -> int:
    """The seed of a twin's initialisation: each model's own, for it follows from the hash that evidence knows it by.

    A folder that is moved keeps its twin; two trainings of one recipe have two, so that five of them are no five
    readings of one network.
    """
    return int.from_bytes(hashlib.sha256(f"{SEED} {weight_hash(described)}".encode()).digest()[:4], "big")


def untrained(path: str, seed: int) -> PreTrainedModel:
    """The same configuration with a fresh initialisation, as training starts from, under a seed of its own."""
    config = AutoConfig.from_pretrained(path, local_files_only=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
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
