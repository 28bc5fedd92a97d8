"""Autoencoders on disk: SAELens's folder, a card beside it, and the mean row. A frozen matrix is left out."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from mechlib.checkpoints.checkpoint import Checkpoint
from mechlib.checkpoints.files import weight_hash
from mechlib.lab.features.dictionaries import Dictionary, active_counts
from mechlib.lab.features.rows import Survey, chunks
from mechlib.lab.features.training import saelens
from mechlib.lab.features.training.frozen import moved, with_frozen, without_frozen
from mechlib.lab.features.training.recipes import Recipe

CARD, MEAN, FORM = "card.json", "mean.npy", 1


@dataclass(frozen=True)
class Source:
    """What rows are activations of.

    model    its name; "" where they are of none, as made-up rows are
    key      what identifies it (`model_key`)
    hook     the activation's hook name
    command  what was typed, for the card
    limit    the norm beyond which rows were left out (`rows.usual`); infinite where none were
    """

    model: str = ""
    key: str = ""
    hook: str = ""
    command: str = ""
    limit: float = math.inf


@dataclass(frozen=True, eq=False)
class Made:
    """A trained autoencoder, and what its card says of it."""

    sae: Any
    recipe: Recipe
    seen: Survey
    source: Source
    half: bool = False


def model_key(model: Checkpoint) -> str:
    """What identifies a model, as far as its activations go: its weights, and whether they were folded."""
    return key_of(weight_hash(model), model.processing)


def key_of(weights: str, processing: str) -> str:
    """The key of a model of which the hash of its weights and their processing are known."""
    return hashlib.sha256(f"{weights} {processing}".encode()).hexdigest()[:16]


def sha256_of(file: Path) -> str:
    """Of a file's bytes."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """OSError in one line where something cannot be written, whichever library finds out."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise OSError(f"{folder} cannot be written ({why}): make room, and run the same again") from None


def store(folder: Path, made: Made, rows: np.ndarray) -> None:
    """Writes the autoencoder, its mean row and its card into a folder, which is made.

    The numbers on the card are of what was written, on the rows that it was trained on. Raises DeadDictionary where no
    feature is active on any of them.
    """
    width = made.seen.width
    with writing(folder):
        made.sae.save_inference_model(folder)
    weights, drawn = without_frozen(saelens.weights_in(folder), made.recipe, width)
    exact = torch.float16 if made.half else torch.float32
    with writing(folder):
        save_file({name: weight.to(exact).contiguous() for name, weight in weights.items()}, folder / saelens.WEIGHTS)
        np.save(folder / MEAN, made.seen.mean.astype(np.float32))
    card: dict[str, Any] = {
        "form": FORM,
        "command": made.source.command,
        "model": made.source.model,
        "model_key": made.source.key,
        "hook": made.source.hook,
        "width": width,
        "recipe": made.recipe.said(),
        "stored": "float16" if made.half else "float32",
        "rows": made.seen.count,
        **({} if made.source.limit == math.inf else {"limit": made.source.limit}),
        "rows_sha256": made.seen.sha256,
        "frozen_sha256": drawn,
        "weights_sha256": sha256_of(folder / saelens.WEIGHTS),
        "sae-lens": saelens.library().__version__,
        "torch": torch.__version__,
    }
    dictionary = assembled(folder, card)
    card |= _numbers(dictionary, rows, made.seen)
    if made.recipe.frozen == "soft":
        card["frozen"] = moved(dictionary.directions, made.recipe)
    with writing(folder):
        (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def assembled(folder: Path, card: Mapping[str, Any], device: str = "cpu") -> Dictionary:
    """The dictionary in a folder that this module wrote."""
    weights = saelens.weights_in(folder)
    recipe = Recipe(**card["recipe"])
    whole = with_frozen(weights, recipe, card["width"], card["frozen_sha256"])
    config = json.loads((folder / saelens.CONFIG).read_text(encoding="utf-8"))
    mean = torch.from_numpy(np.load(folder / MEAN)).to(device)
    return of_saelens(saelens.of_weights(config, whole, device), folder.name, card["hook"], mean, card)


def of_saelens(
    sae: Any, name: str, hook: str = "", mean: Tensor | None = None, card: Mapping[str, Any] | None = None
) -> Dictionary:
    """SAELens's autoencoder as a dictionary.

    Raises ValueError where it norms each activation by itself: what a feature adds then hangs on the activation.
    """
    if sae.cfg.normalize_activations in ("layer_norm", "constant_norm_rescale"):
        raise ValueError(
            f"{name} norms each activation by itself ({sae.cfg.normalize_activations}), so that a feature has no "
            "direction of its own: take an autoencoder without it"
        )
    sae.requires_grad_(False)
    sae.turn_off_forward_pass_hook_z_reshaping()  # activations of heads come flat
    directions = sae.W_dec.detach()
    zeros = torch.zeros(1, len(directions), device=directions.device)
    with torch.no_grad():
        offset = sae.decode(zeros)[0]
    if getattr(sae.cfg, "rescale_acts_by_decoder_norm", False):
        directions = directions / directions.norm(dim=1, keepdim=True)
    card = dict(card or {})
    return Dictionary(name, sae.encode, directions, offset, hook, mean, card, card.get("limit", math.inf))


@torch.no_grad()
def _numbers(dictionary: Dictionary, rows: np.ndarray, seen: Survey) -> dict[str, Any]:
    """L0, squared error and dead features on rows."""
    counts = active_counts(dictionary, rows)
    error = sum(float((dictionary.decode(dictionary.active(x)) - x).square().sum()) for x in chunks(rows))
    return {
        "l0": float(counts.sum()) / len(rows),
        "squared_error": error / len(rows),
        "unexplained": error / len(rows) / seen.variance,
        "dead": int((counts == 0).sum()),
    }
