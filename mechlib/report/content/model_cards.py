"""What is known of the models of a record: size, weights, how they were run, what they can do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechlib.checkpoints.checkpoint import parent
from mechlib.checkpoints.described.details import what_it_is
from mechlib.checkpoints.hub import HUB
from mechlib.checkpoints.packaged.table import PACKAGED
from mechlib.checkpoints.resolve import checkpoint
from mechlib.verdicts.record import ModelRead, Record


@dataclass(frozen=True)
class ModelCard:
    """One row of the table of models; None where nothing is known."""

    name: str
    parameters: int | None
    weights: str
    dtype: str | None
    processing: str | None
    bos: bool | str | None
    scores: dict[str, dict[str, Any]]  # held-out figures by name

    @property
    def what(self) -> str:
        """What is measured of a quantised model, and what is not; "" of any other."""
        if not quantised(self.name):
            return ""
        return f"{what_it_is(checkpoint(self.name))}; nothing is said of the model before it was quantised"


def quantised(model: str) -> str:
    """How the weights of a packaged model, or of its twin, are stored: "Q4_1"; "" of any other."""
    packaged = PACKAGED.get(parent(model))
    return packaged.quantised if packaged else ""


def called(model: str) -> str:
    """A model as readers meet it: "mini-0", "smollm2-135m (Q4_1)"; "no one model" for ""."""
    mark = quantised(model)
    return f"{model} ({mark})" if mark else model or "no one model"


def model_cards(records: Sequence[Record], models: Sequence[str], root: Path) -> list[ModelCard]:
    """One card a model, in the order of `models`."""
    read: dict[str, ModelRead] = {}
    for record in records:
        for model in record.models:
            if model.name == record.model:
                read.setdefault(model.name, model)
    return [_card(name, read.get(name, ModelRead(name)), card_file(root, name)) for name in models if name]


def _card(name: str, read: ModelRead, filed: dict[str, Any]) -> ModelCard:
    listed = HUB.get(name) or PACKAGED.get(name)
    size = filed.get("parameters") or (listed.shape.parameters if listed else None)
    weights = read.weights or filed.get("sha256") or ""
    scores = filed.get("scores", {}).get("confirmation", {})
    return ModelCard(name, size, weights, read.dtype, read.processing, read.bos, scores)


def held_out_scores(
    cards: Sequence[ModelCard],
) -> tuple[list[str], list[tuple[str, list[dict[str, Any] | None]]]]:
    """Held-out figures from the models' cards: names of the models, and (figure, one score a model)."""
    known = [card for card in cards if card.scores]
    figures = dict.fromkeys(figure for card in known for figure in card.scores)
    return [card.name for card in known], [(figure, [card.scores.get(figure) for card in known]) for figure in figures]


def card_file(root: Path, name: str) -> dict[str, Any]:
    """A mini's card as it is filed; {} where there is none."""
    if not name.startswith("mini-"):
        return {}
    try:
        card = json.loads((root / "fixtures" / name / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}
