"""Splicing: the model with an activation replaced by what a dictionary makes of it. What it does not reconstruct, the
error, stays where it is, unless the reconstruction alone is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.hooks import Edit
from mechlib.lab.interventions.contexts import Positions, indices

Activation: TypeAlias = Float[Tensor, "batch pos *entry"]
Act: TypeAlias = Callable[[Tensor], Tensor]  # how active features are, [batch at features], to how active they shall be


def at(activation: Activation, positions: Positions) -> Float[Tensor, "batch at width"]:
    """The activation at these positions, heads side by side."""
    return activation[:, indices(positions, activation.shape[1])].flatten(2)


def replaced_by(activation: Activation, new: Float[Tensor, "batch at width"], positions: Positions) -> Activation:
    """The activation with others at these positions; a copy."""
    made = activation.clone()
    where = indices(positions, activation.shape[1])
    made[:, where] = new.to(made.dtype).view(len(made), len(where), *made.shape[2:])
    return made


def reconstruction(dictionary: Dictionary, positions: Positions = "all") -> Edit:
    """The reconstruction in the activation's place, but where its size is not one that the dictionary is for."""

    def edit(old: Tensor) -> Tensor:
        own = at(old, positions)
        made = dictionary.decode(dictionary.active(own))
        return replaced_by(old, torch.where(dictionary.usual(own).unsqueeze(-1), made, own), positions)

    return edit


def constant(value: Float[Tensor, " width"], dictionary: Dictionary, positions: Positions = "all") -> Edit:
    """One and the same activation in the place of all whose size the dictionary is for."""

    def edit(old: Tensor) -> Tensor:
        own = at(old, positions)
        return replaced_by(old, torch.where(dictionary.usual(own).unsqueeze(-1), value, own), positions)

    return edit


def with_features(dictionary: Dictionary, act: Act, positions: Positions = "all") -> Edit:
    """The activation with features as `act` has them, the error term kept: where nothing is done to a feature, nothing
    changes, however badly the dictionary reconstructs."""

    def edit(old: Tensor) -> Tensor:
        own = at(old, positions)
        active = dictionary.active(own)
        return replaced_by(old, own + (act(active) - active) @ dictionary.directions, positions)

    return edit


def require_device(dictionary: Dictionary, device: torch.device | str) -> None:
    """ValueError where the dictionary lies on another device than the model."""
    if dictionary.directions.device.type != torch.device(device).type:
        raise ValueError(
            f"{dictionary.name} is on {dictionary.directions.device.type} and the model on {torch.device(device).type}:"
            " load both with one device"
        )
