"""What dictionaries make of biographies, and their activations with some features held at a level.

Sparse autoencoders, single coordinates ("neurons") and directions are taken out in the same way. What a dictionary does
not reconstruct, its error, stays in the activation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.features.shortcut.biographies import Biographies

CHUNK = 2048  # tokens that are taken apart at once: 40 MB of 5,000 features


@torch.no_grad()
def pooled_features(dictionary: Dictionary, read: Biographies) -> Float[Tensor, "texts features"]:
    """The mean of each feature over each text's tokens. ValueError for another width, and for NaN or infinity."""
    total = torch.zeros(len(read.prompts), dictionary.features)
    for part in torch.arange(len(read.tokens)).split(CHUNK):
        features = dictionary.active(read.tokens[part])
        if not bool(features.isfinite().all()):
            raise ValueError(
                f"{dictionary.name} computes NaN or infinity of finite activations: its weights are damaged"
            )
        total.index_add_(0, read.text[part], features.float())
    return total / torch.bincount(read.text, minlength=len(read.prompts)).unsqueeze(1)


def pooled_without(
    dictionary: Dictionary, read: Biographies, sets: Sequence[Sequence[int]], level: Float[Tensor, " features"]
) -> list[Float[Tensor, "texts width"]]:
    """For each set of features, the mean activation of each text with these features at their level in every token.

    A token x becomes x + (level - features(x)) @ directions, of the set's features alone: all else stays, the error
    too. Reconstructions are linear in features, so that what is taken out may be averaged first. Raises ValueError as
    `pooled_features` does.
    """
    pooled, means, less = read.pooled(), pooled_features(dictionary, read), dictionary.directions.float()
    return [pooled + (level[list(which)] - means[:, list(which)]) @ less[list(which)] for which in sets]
