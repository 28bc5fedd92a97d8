"""Frozen twins: an autoencoder by the same recipe, with a matrix that stays as it was drawn, or nearly so.

What a frozen twin reaches as well, was not found by training that matrix. Nothing of a frozen matrix is stored: it is
drawn again from its seed, and its directions keep the lengths that training gave them.
Source: Korznikov et al. 2026, "Sanity Checks for Sparse Autoencoders", arXiv:2602.14111.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import torch
from jaxtyping import Float
from scipy.stats import beta
from torch import Tensor

from mechlib.lab.features.training.recipes import Recipe
from mechlib.lab.features.training.saelens import blank

MATRIX = {"decoder": "W_dec", "encoder": "W_enc"}
LENGTHS = "{}_lengths"  # of a frozen matrix's directions, beside the weights that are stored
SAME = 1e-5  # of an entry: what rounding may do to a direction that is only made longer


class NotTheSameDraw(ValueError):
    """A frozen matrix that is drawn again is another one."""


def freeze(sae: Any, recipe: Recipe) -> None:
    """Keeps what the recipe freezes out of training."""
    if recipe.frozen in MATRIX:
        getattr(sae, MATRIX[recipe.frozen]).requires_grad_(False)


@torch.no_grad()
def hold(
    now: Float[Tensor, "features width"], start: Float[Tensor, "features width"], cosine: float
) -> Float[Tensor, "features width"]:
    """Directions brought back to within `cosine` of their start, each to the nearest that is, its length as it was.

    start  unit vectors
    """
    lengths = now.norm(dim=1, keepdim=True)
    along = (now * start).sum(1, keepdim=True)
    across = now - along * start
    limit = cosine * start + math.sqrt(1 - cosine**2) * across / across.norm(dim=1, keepdim=True).clamp(min=1e-30)
    return torch.where(along < cosine * lengths, lengths * limit, now)


def start_of(recipe: Recipe, width: int) -> Float[Tensor, "features width"]:
    """The unit directions from which a decoder starts, by its recipe."""
    drawn = blank(recipe, width).W_dec.detach()
    return drawn / drawn.norm(dim=1, keepdim=True)


def reach(width: int, features: int, cosine: float) -> float:
    """How near a softly frozen dictionary can come to any direction whatever: the cosine that half of all directions
    can be met with.

    Of `features` random directions in `width` dimensions the nearest lies at a median angle that follows from the
    distribution of cosines, and may turn by arccos(cosine). At 1 the limit keeps nothing from being found.
    """
    half = (width - 1) / 2
    nearest = 2 * float(beta.ppf(0.5 ** (1 / features), half, half)) - 1 if width > 1 else 1.0
    return math.cos(max(0.0, math.acos(nearest) - math.acos(cosine)))


def moved(directions: Float[Tensor, "features width"], recipe: Recipe) -> dict[str, float]:
    """How far decoder directions are from their start: least and mean cosine, the share at a soft limit, the reach."""
    width = directions.shape[1]
    units = directions / directions.norm(dim=1, keepdim=True).clamp(min=1e-30)
    cosines = (units.cpu() * start_of(recipe, width)).sum(1)
    return {
        "least cosine": float(cosines.min()),
        "mean cosine": float(cosines.mean()),
        "share at the limit": float((cosines < recipe.cosine + 1e-3).float().mean()),
        "reach": reach(width, recipe.features, recipe.cosine),
    }


# --- not stored, drawn again --------------------------------------------------------------------------------------


def without_frozen(weights: dict[str, Tensor], recipe: Recipe, width: int) -> tuple[dict[str, Tensor], str]:
    """The weights without the frozen matrix, with the lengths of its directions in its place; and the sha256 of the
    matrix as it was drawn. NotTheSameDraw where training has turned a direction."""
    if recipe.frozen not in MATRIX:
        return weights, ""
    name = MATRIX[recipe.frozen]
    drawn = _by_direction(_drawn(recipe, width), name)
    stored = _by_direction(weights[name].cpu(), name)
    lengths = (stored * drawn).sum(1) / drawn.square().sum(1)
    if not torch.allclose(lengths[:, None] * drawn, stored, rtol=SAME, atol=SAME * float(stored.abs().max())):
        raise NotTheSameDraw(f"{name} is not as it was drawn from seed {recipe.seed}, and should be frozen")
    rest = {key: value for key, value in weights.items() if key != name}
    return {**rest, LENGTHS.format(name): lengths}, _sha256(drawn)


def with_frozen(weights: dict[str, Tensor], recipe: Recipe, width: int, sha256: str) -> dict[str, Tensor]:
    """The weights with the frozen matrix drawn again. NotTheSameDraw where another one comes."""
    if recipe.frozen not in MATRIX:
        return weights
    name = MATRIX[recipe.frozen]
    drawn = _by_direction(_drawn(recipe, width), name)
    if _sha256(drawn) != sha256:
        raise NotTheSameDraw(
            f"{name} drawn from seed {recipe.seed} is another matrix than the one that was frozen: torch or sae-lens "
            "draws otherwise now; install the versions on the card"
        )
    rest = {key: value for key, value in weights.items() if key != LENGTHS.format(name)}
    made = weights[LENGTHS.format(name)].float()[:, None] * drawn
    return {**rest, name: (made if name == "W_dec" else made.T).contiguous()}


def _drawn(recipe: Recipe, width: int) -> Tensor:
    return getattr(blank(recipe, width), MATRIX[recipe.frozen]).detach()


def _by_direction(matrix: Tensor, name: str) -> Float[Tensor, "features width"]:
    return matrix if name == "W_dec" else matrix.T.contiguous()


def _sha256(matrix: Tensor) -> str:
    return hashlib.sha256(matrix.contiguous().numpy().tobytes()).hexdigest()
