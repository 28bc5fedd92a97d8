"""A linear network in which a variable lies in known coordinates, and texts that say its value.

Words w1, w2 and w3 are the values; each is a corner of a triangle in coordinates 0 and 1 of its embedding. Other words
have random coordinates 2 to 7 and the last word, w0, nothing. The only head that does anything looks evenly at all
positions and copies coordinates 0 to 7 to 8 to 15; the unembedding reads coordinates 8 and 9. So the value lies at its
word in coordinates 0 and 1 of the embeddings, and behind layer 0 at the end in 8 and 9, and in no others.
"""

from __future__ import annotations

import math
import random

import torch

from mechlib.lab.models.loading import Model
from mechlib.lab.probes.subspaces import Subspace
from mechlib.prompts.promptset import Prompt, PromptSet, Split
from tests.helpers.tiny import WORDS
from tests.lab.forward.native import native

VALUES, LAST, OTHERS = ("w1", "w2", "w3"), "w0", [f"w{number}" for number in range(4, 37)]
WIDTH = 16


def corners() -> torch.Tensor:
    angles = torch.arange(3) * 2 * math.pi / 3
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def network() -> Model:
    model = native(attn_only=True, n_heads=1, d_model=WIDTH, d_head=8)
    weights = {name.replace("._original_component", ""): one for name, one in model.named_parameters()}
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for one in weights.values():
            one.zero_()
        rows = [WORDS.index(word) for word in VALUES]
        weights["tok_embed.weight"][rows, :2] = 4 * corners()
        others = [WORDS.index(word) for word in OTHERS]
        weights["tok_embed.weight"][others, 2:8] = torch.randn(len(others), 6, generator=draws)
        weights["layers.0.attn.v.weight"][:, :8] = torch.eye(8)
        weights["layers.0.attn.o.weight"][8:] = torch.eye(8)
        weights["head.weight"][rows, 8:10] = 5 * corners()
    return model


def said(n: int, split: Split, seed: int = 0) -> PromptSet:
    """The answer is the value that the text says; in the corrupted text it and all words but the last are others."""
    stream, rows = random.Random(f"{seed} {split}"), dict[str, Prompt]()
    while len(rows) < n:
        value, other = stream.sample(VALUES, 2)
        length = stream.randrange(3, 6)
        words, others = (stream.sample(OTHERS, length) for _ in range(2))
        place = stream.randrange(length)
        words[place], others[place] = value, other
        labels = (("value", value), ("half", str(stream.randrange(2))))
        text = " ".join([*words, LAST])
        rows[text] = Prompt(text, value, " ".join([*others, LAST]), other, labels=labels)
    return PromptSet("said", split, tuple(rows.values()))


def coordinates(depth: int, at: str, *numbers: int) -> Subspace:
    return Subspace(depth, at, torch.eye(WIDTH)[:, list(numbers)])


KNOWN = {
    "embeddings": coordinates(0, "{value}", 0, 1),
    "after layer 0": coordinates(1, "end", 8, 9),
    "after layer 1": coordinates(2, "end", 8, 9),
}
