"""Dithering: a quantised model with noise of half a quantisation step either way on each of its weights.

Rounding to a grid of step s moved a weight by at most s / 2, so that the model before it was quantised lay within that
of what is measured. Uniform noise of that reach, which signal processing calls dither, draws another model from there:
a number that it moves across its bound hangs on how the file was rounded.

The step is read off the dequantised weights, for nothing else of the file is kept. Blocks of a GGUF file are 16 or 32
consecutive weights of a row, whose values lie on one grid, of 16 levels (Q4_1, Q4_K) to 255 (Q8_0); so the values of
every run of 16 do, whichever the type, and its step is the greatest common divisor of their differences. (Their range
over 15 would do for Q4_1 alone: other types need not use both ends, and of a run of 16 even that one does not.)

Raise its number in `mechlib.checkpoints.files.RECIPES` when this file makes a model differently.
"""

from __future__ import annotations

import hashlib

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from mechlib.lab.models.huggingface import trained

SEED = 20_261_129
RUN = 16  # weights; divides the blocks of every type
LEVELS = 256  # of the finest type that counts as quantised, Q8_0
_FLOOR = 2.0**-21  # of a run's largest value: differences below it are float32's rounding
_ALIKE = 1 / 16  # of the step: how far from a whole number of steps a difference still is one
_ROWS = 2**18  # runs at once


def dithered(path: str) -> PreTrainedModel:
    """The model in a directory, each quantised weight moved by uniform noise of half a step either way.

    Vectors (norms, biases) and matrices that lie on no grid, which the file keeps as floats, stay as they are. Tied
    matrices stay tied. Always the same: noise depends on a matrix's name and on its shape. Raises as `trained` does.
    """
    model = trained(path)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and parameter.shape[1] % RUN == 0:
                generator = torch.Generator().manual_seed(_seed(name))
                for runs in parameter.view(-1, RUN).split(_ROWS):
                    noise = torch.rand(runs.shape, generator=generator) - 0.5
                    runs.add_(noise * steps(runs)[:, None])
    return model


def steps(runs: Float[Tensor, "run weight"]) -> Float[Tensor, " run"]:
    """The step of the grid that the values of each run lie on, in their unit.

    0 where no grid is seen: of one or two distinct values, which lie on any, and where it has more than 256 levels.
    A run that shows only levels with a divisor in common has that many times its step; of real files one run in ten
    thousand does, nearly all of them twice.
    """
    ordered = runs.sort(dim=-1).values
    floor = _FLOOR * runs.abs().amax(-1, keepdim=True)
    gaps = ordered.diff(dim=-1)
    gaps = gaps.where(gaps > floor, 0)
    seen = (gaps > 0).sum(-1)
    step = _least(gaps, gaps > 0)
    while True:  # Euclid: a rest is at most half of the step, so that this ends at the floor
        rest = (gaps - (gaps / step).round() * step).abs()
        smaller = _least(rest, rest > (_ALIKE * step).maximum(floor))
        if not smaller.isfinite().any():
            break
        step = smaller.where(smaller.isfinite(), step)
    reach = ordered[:, -1] - ordered[:, 0]
    levels = (reach / step[:, 0]).round()
    return (reach / levels).where((seen >= 2) & (levels < LEVELS), 0)


def _least(values: Float[Tensor, "run gap"], counted: Tensor) -> Float[Tensor, "run 1"]:
    """The smallest of the values that count in each run; infinite where none does."""
    return values.where(counted, torch.inf).amin(-1, keepdim=True)


def _seed(name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{SEED} {name}".encode()).digest()[:7], "big")
