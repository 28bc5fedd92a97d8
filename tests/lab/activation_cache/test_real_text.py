"""Real text through a model that nobody here made: TinyStories, through the Llama that was trained on them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from mechlib.lab.activation_cache.caching import cache_activations
from mechlib.lab.activation_cache.rows import token_rows
from mechlib.lab.hooks import run
from tests.house.test_external import folder
from tests.house.test_external import storyteller as storyteller  # a fixture

pytestmark = pytest.mark.external

POST = "blocks.2.hook_resid_post"


def scored_pieces(file: Path) -> tuple[dict[bytes, int], list[float]]:
    """The vocabulary of a llama2.c tokenizer: the id of each piece, and each one's score."""
    data, at = file.read_bytes(), 4
    ids: dict[bytes, int] = {}
    scores: list[float] = []
    while at < len(data):
        score, length = struct.unpack("fi", data[at : at + 8])
        ids.setdefault(data[at + 8 : at + 8 + length], len(scores))
        scores.append(score)
        at += 8 + length
    return ids, scores


def encoded(text: str, ids: dict[bytes, int], scores: list[float]) -> list[int]:
    """Byte-pair encoding as sentencepiece has it: the pair of the highest score is joined, again and again."""
    parts = [bytes(one, "utf-8") for one in f" {text}"]
    assert all(part in ids for part in parts)
    while True:
        joined = [
            (scores[ids[pair]], -at) for at in range(len(parts) - 1) if (pair := parts[at] + parts[at + 1]) in ids
        ]
        if not joined:
            return [ids[part] for part in parts]
        at = -max(joined)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


@pytest.fixture(scope="module")
def stories(storyteller) -> list[list[int]]:
    """Stories as the model reads them, BOS first; those with characters that the vocabulary lacks are left out."""
    ids, scores = scored_pieces(folder("stories260k") / "tokenizer.bin")
    texts = json.loads((folder("data_text") / "tinystories_1000.json").read_text(encoding="utf-8"))
    texts = [one if isinstance(one, str) else next(iter(one.values())) for one in texts]
    known = [text for text in texts if all(one.encode() in ids for one in text)]
    return [[1, *encoded(text[:400], ids, scores)] for text in known[:12]]


def test_stories_are_cached_as_the_model_reads_them_and_it_knows_such_stories(storyteller, stories, tmp_path):
    model, _ = storyteller
    cache = cache_activations(model, [POST, "blocks.4.hook_resid_post"], token_rows(model, stories), tmp_path / "c")
    assert len(cache.rows) == sum(len(row) - 1 for row in stories) > 1000
    wanted = [run(model, torch.tensor([row]), keep=[POST]) for row in stories]
    whole = torch.cat([kept[POST][0, 1:] for _, kept in wanted])
    torch.testing.assert_close(torch.from_numpy(np.array(cache.rows)).float(), whole, rtol=2e-3, atol=2e-3)
    losses = [
        torch.nn.functional.cross_entropy(logits[0, :-1], torch.tensor(row[1:]))
        for (logits, _), row in zip(wanted, stories, strict=True)
    ]
    assert 1.0 < float(torch.stack(losses).mean()) < 1.8, "nats a token; its own card says 1.3 on such text"
