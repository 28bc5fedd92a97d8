"""A small problem on which every kind is trained in seconds: 48 planted features in 24 dimensions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mechlib.lab.features.comparing.superposition import Planted, superposed
from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.features.loading import load_sae
from mechlib.lab.features.training.recipes import Recipe
from mechlib.lab.features.training.storing import Source
from mechlib.lab.features.training.training import train

FEATURES, WIDTH, ACTIVE = 48, 24, 3
PLANTED: Planted = superposed(FEATURES, WIDTH, rows=6000, active=ACTIVE, seed=4)


def recipe(kind: str = "topk", steps: int = 60, **other: Any) -> Recipe:
    return Recipe(
        **{"kind": kind, "features": 64, "k": ACTIVE, "batch": 128, "samples": 128 * steps, "rate": 3e-3} | other
    )


def trained(folder: Path, of: Recipe, **other: Any) -> Dictionary:
    return load_sae(train(PLANTED.rows, of, folder, Source(), **other))
