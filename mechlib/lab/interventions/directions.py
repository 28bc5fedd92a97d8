"""Random directions as long as a given one: what a claim about a direction is compared with.

Source: docs/STATISTICS.md, R31.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def random_direction(like: Float[Tensor, "... d_model"], seed: int = 0) -> Float[Tensor, "... d_model"]:
    """A direction drawn evenly from all, of the same length as `like`, drawn anew for each of its leading indices.

    The same on every device: it is drawn on the CPU, in float32. A vector of length zero stays zero.
    """
    drawn = torch.randn(like.shape, generator=torch.Generator().manual_seed(seed)).to(like)
    return drawn / drawn.norm(dim=-1, keepdim=True) * like.norm(dim=-1, keepdim=True)
