"""What a feature writes: which logits its direction raises on the direct path, and which directions are near it."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.attribution.direct import through_final_norm
from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.features.loading import STREAM
from mechlib.lab.models.loading import Model
from mechlib.lab.models.native import output_ids

AT_ONCE = 256  # features whose effects on all of a large vocabulary are held at once


@torch.no_grad()
def logit_effects(model: Model, directions: Float[Tensor, "features d_model"]) -> Float[Tensor, "features d_vocab"]:
    """What a feature that is active by 1 adds to each logit on the direct path, less the mean over the vocabulary.

    The direction goes through the final norm's centring and gain, then the unembedding. What divides it, the run's
    scale of the norm, is left out, and so is whatever later layers make of it: effects of one feature compare, and are
    no logits.
    """
    effects = through_final_norm(model, directions.to(model.W_U.dtype)) @ model.W_U
    return (effects - effects.mean(-1, keepdim=True)).float()


def writes_to_logits(model: Model, dictionary: Dictionary) -> bool:
    """Whether directions of the dictionary are added to the stream as they are, and logits belong to the tokens."""
    normed_behind = any(hasattr(block, "ln1_post") for block in model.blocks)
    inside = STREAM.search(dictionary.hook)
    as_it_is = bool(inside) and ("resid" in dictionary.hook or not normed_behind)
    return as_it_is and dictionary.width == model.cfg.d_model and output_ids(model) is None


@torch.no_grad()
def strongest_effects(
    model: Model, dictionary: Dictionary, features: list[int], top: int
) -> tuple[list[list[tuple[int, float]]], list[list[tuple[int, float]]]]:
    """For each feature the `top` tokens that it raises most, the first most of all, and those that it lowers most: ids
    and effects."""
    high: list[list[tuple[int, float]]] = []
    low: list[list[tuple[int, float]]] = []
    for start in range(0, len(features), AT_ONCE):
        effects = logit_effects(model, dictionary.directions[features[start : start + AT_ONCE]])
        for found, sign in ((high, 1), (low, -1)):
            best = (sign * effects).topk(min(top, effects.shape[1]), dim=1)
            found += _pairs(best.indices, sign * best.values)
    return high, low


@torch.no_grad()
def nearest_features(dictionary: Dictionary, features: list[int], top: int) -> list[list[tuple[int, float]]]:
    """For each feature the `top` others whose directions have the largest cosine with its own, and these cosines.

    A feature without a direction, all zeros, is near none.
    """
    unit = torch.nn.functional.normalize(dictionary.directions.float(), dim=1)
    found: list[list[tuple[int, float]]] = []
    for start in range(0, len(features), AT_ONCE):
        own = torch.tensor(features[start : start + AT_ONCE], device=unit.device)
        cosines = unit[own] @ unit.T
        cosines[torch.arange(len(own)), own] = -2.0
        best = cosines.topk(min(top, len(unit) - 1), dim=1)
        found += _pairs(best.indices, best.values)
    return found


def _pairs(ids: Int[Tensor, "features top"], values: Float[Tensor, "features top"]) -> list[list[tuple[int, float]]]:
    return [list(zip(*rows, strict=True)) for rows in zip(ids.tolist(), values.tolist(), strict=True)]
