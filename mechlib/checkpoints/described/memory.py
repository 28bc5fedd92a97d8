"""Memory: what a measurement on a model needs, before anything is loaded."""

from __future__ import annotations

import functools
import json
from typing import NamedTuple

from mechlib.checkpoints.checkpoint import Checkpoint
from mechlib.checkpoints.files import header, is_here, require_here, weight_files
from mechlib.checkpoints.hub import HUB, Shape
from mechlib.checkpoints.packaged.table import PACKAGED
from mechlib.checkpoints.resolve import plan_of


class Memory(NamedTuple):
    """Bytes that a measurement needs: the weights in float32, and activations of 32 prompts of 32 tokens."""

    parameters: int
    weights: int
    activations: int

    @property
    def total(self) -> int:
        """Bytes of weights and activations together."""
        return self.weights + self.activations


def memory(model: Checkpoint) -> Memory:
    """What a typical measurement needs. Numbers come from the files where they are here, else from the table.

    Activations: per token and layer about 16 vectors of the residual stream's width are alive (the MLP's four times
    wider ones among them), and one row of logits and one of log-probabilities per token.
    """
    shape = _shape(model)
    tokens = 32 * 32
    activations = 4 * tokens * (16 * shape.layers * shape.width + 2 * shape.vocabulary)
    return Memory(shape.parameters, 4 * shape.parameters, activations)


def _shape(model: Checkpoint) -> Shape:
    if (plan := plan_of(model.parent)) is not None:
        return plan.shape
    if not is_here(model):
        if model.parent in HUB:
            return HUB[model.parent].shape
        if model.parent in PACKAGED:
            return PACKAGED[model.parent].shape
        require_here(model)
    headers = [header(file) or {} for file in weight_files(model)]
    shapes = [entry["shape"] for header in headers for entry in header.values()]
    config = json.loads((model.path / "config.json").read_text(encoding="utf-8"))

    def first(*keys: str) -> int:
        return next((int(config[key]) for key in keys if config.get(key)), 1)

    return Shape(
        parameters=sum(functools.reduce(lambda a, b: a * b, shape, 1) for shape in shapes),
        layers=first("n_layer", "num_hidden_layers", "n_layers"),
        width=first("n_embd", "hidden_size", "d_model"),
        vocabulary=first("vocab_size", "d_vocab"),
    )
