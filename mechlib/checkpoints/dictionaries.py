"""Dictionaries of features by name: which of a model's activations are taken apart by which file. Loads nothing.

The cards of all of them are part of the record, in `fixtures/saes/<model>/<name>/`; weights lie beside the cards of
models that ship, and in the cache of packaged models for the others (`make saes`). Evidence is filed under a dictionary
by name and by the hash of its weights, so that one that is trained again is asked anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from mechlib.checkpoints.checkpoint import parent
from mechlib.checkpoints.resolve import file_name, kind_of, packaged_cache, repository

Frozen = Literal["", "decoder", "encoder", "soft"]

SAES, CARD, WEIGHTS = "saes", "card.json", "sae_weights.safetensors"
NOT_MADE = "not made"


def cards(model: str) -> Path:
    """Where the cards of a model's dictionaries lie, a folder each."""
    return repository() / "fixtures" / SAES / file_name(model)


def weights(model: str, name: str) -> Path:
    """The folder in which the weights of one of a model's dictionaries lie, whether or not they are here."""
    shipped = kind_of(model) == "mini"
    return cards(model) / name if shipped else packaged_cache() / SAES / file_name(model) / name


def named(layer: int, seed: int = 0, frozen: Frozen = "") -> str:
    """The name of a dictionary of the residual stream behind a layer: "after-2-seed-0", "after-2-seed-0-decoder"."""
    return f"after-{layer}-seed-{seed}{frozen and f'-{frozen}'}"


def card(model: str, name: str) -> Mapping[str, Any] | None:
    """What is on record of one; None where there is none of this name."""
    file = cards(model) / name / CARD
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def dictionary(model: str, layer: int | None = None, seed: int = 0, frozen: Frozen = "") -> str:
    """A shipped dictionary's name, and the hash of its weights: what evidence is asked with as `sae`.

    layer   behind which the residual stream is taken apart; by default the one at which the model has all its
            dictionaries. A twin's is its parent's
    frozen  a twin of the dictionary, of which a matrix was not trained: "decoder", "encoder", "soft"

    Where none was made the name says so, and what is asked with it is refused: a twin is silent then. Raises
    FileNotFoundError for a model, no twin, that has none.
    """
    name = named(main_layer(parent(model)) if layer is None else layer, seed, frozen)
    said = card(model, name)
    if said is None and model == parent(model):
        there = sorted(one.name for one in cards(model).glob("*") if (one / CARD).is_file())
        raise FileNotFoundError(
            f"{model} has no dictionary {name!r}: it has {', '.join(there) or 'none; `mechlib sae train` makes one'}"
        )
    return f"{name} {said['weights_sha256'][:8] if said else NOT_MADE}"


def main_layer(model: str) -> int:
    """The layer at which a model has dictionaries of several seeds and their frozen twins, if it has any."""
    layers = [int(one.name.split("-")[1]) for one in cards(model).glob("after-*-seed-0-decoder")]
    if not layers:
        raise FileNotFoundError(f"{model} has no dictionaries of features: `mechlib sae train` makes one")
    return layers[0]
