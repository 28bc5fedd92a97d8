"""Baselines of a dictionary: what as many numbers of an activation come to without training, at equal L0.

Source: docs/STATISTICS.md, R18.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.batching import batches
from mechlib.lab.features.dictionaries import Dictionary, neurons, principal_components, random_dictionary
from mechlib.lab.features.evaluation import activations_at
from mechlib.lab.models.loading import Model
from mechlib.prompts.promptset import PromptSet

Baseline = Literal["components", "neurons", "random"]


def activations_on(model: Model, prompts: PromptSet, hook: str) -> Float[np.ndarray, "tokens width"]:
    """The activation at every token of the clean texts but BOS, text after text."""
    found: dict[int, np.ndarray] = {}
    for batch in batches(model, prompts, alone=True):
        rows = activations_at(model, batch.tokens, hook)
        found |= dict(zip(batch.rows, np.split(rows, len(batch.rows)), strict=True))
    return np.concatenate([found[row] for row in range(len(prompts))])


def baseline_of(model: Model, dictionary: Dictionary, kind: Baseline, prompts: PromptSet, seed: int = 0) -> Dictionary:
    """What takes the place of a TopK dictionary: of the same activation, with as many numbers kept of each.

    kind     "components" keeps the k largest coefficients of principal components, "neurons" the k largest coordinates
             about their means, "random" has as many random directions with the same encoder
    prompts  texts of which the activations fit it, other ones than those that judge it

    It leaves alone the activations that the dictionary does.

    Raises ValueError where the dictionary's card names no k, and for another kind.
    """
    k = dictionary.card.get("recipe", {}).get("k")
    if not k or dictionary.card["recipe"].get("kind") != "topk":
        raise ValueError(f"{dictionary.name} keeps no fixed number of features: equal L0 is at hand for topk alone")
    rows = activations_on(model, prompts, dictionary.hook)
    rows = rows[np.linalg.norm(rows, axis=1) <= dictionary.limit]
    if kind == "components":
        made = principal_components(rows, k, dictionary.hook)
    elif kind == "neurons":
        made = neurons(rows, k, dictionary.hook)
    elif kind == "random":
        made = random_dictionary(rows, dictionary.features, k, seed, dictionary.hook)
    else:
        raise ValueError(f"no baseline {kind!r}: choose components, neurons or random")
    return replace(made, limit=dictionary.limit)


def mean_on(model: Model, prompts: PromptSet, hook: str) -> Float[Tensor, " width"]:
    """The mean activation over the tokens of texts, BOS left out: what stands in its place where all of it is lost."""
    return torch.from_numpy(activations_on(model, prompts, hook).mean(axis=0, dtype=np.float64)).float()
