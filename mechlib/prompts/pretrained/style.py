"""Style: whether a task is worded for the small models, or for pretrained ones."""

from __future__ import annotations

from typing import Literal

from mechlib.checkpoints.checkpoint import parent
from mechlib.checkpoints.reading import json_of
from mechlib.checkpoints.resolve import checkpoint

Style = Literal["world", "natural", "pretrained"]


def style_of(model: str) -> Literal["world", "pretrained"]:
    """The style in which a task is asked of a model: `ioi(style=style_of(model))`.

    "world"       of the small models that ship here, of planted ones, and of one's own that read a list of words
    "pretrained"  of all others

    A twin is asked as its parent is. Nothing is loaded: of a model that is not on this machine its name says enough.
    Raises UnknownModel where there is none.
    """
    found = checkpoint(parent(model))
    if found.kind == "local":
        reads = json_of(found.path / "tokenizer.json").get("model") or {}
        return "world" if reads.get("type") == "WordLevel" else "pretrained"
    return "world" if found.kind in ("mini", "planted") else "pretrained"
