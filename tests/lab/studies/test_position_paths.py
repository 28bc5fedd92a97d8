"""Other positions at one reader, and at the embedding: against Hugging Face's own positions."""

from __future__ import annotations

import pytest
import torch

from mechlib.lab.batching import batches
from mechlib.lab.models.loading import load
from mechlib.lab.studies.position_embeddings import _drawn, input_changed
from mechlib.lab.studies.position_paths import input_changed_by_path
from tests.helpers.tiny import directory, pairs, random_model

PROMPTS = pairs(24)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("paths") / "gpt2", "gpt2")))


def inputs_of_mlps(hugging_face, tokens: torch.Tensor, places: torch.Tensor) -> list[torch.Tensor]:
    """What Hugging Face's MLPs read at these positions, normed without gain and bias, but for the first place."""
    seen: list[torch.Tensor] = []
    hooks = [
        block.ln_2.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        for block in hugging_face.transformer.h
    ]
    with torch.no_grad():
        hugging_face(tokens, position_ids=places)
    for hook in hooks:
        hook.remove()
    return [torch.nn.functional.layer_norm(x, x.shape[-1:])[:, 1:] for x in seen]


def test_all_paths_together_are_hugging_faces_run_at_other_positions(gpt2):
    found, hugging_face, made = input_changed_by_path(gpt2, PROMPTS), random_model("gpt2"), batches(gpt2, PROMPTS)
    n = max(batch.tokens.shape[1] for batch in made)
    for batch in made:
        own = torch.arange(batch.tokens.shape[1]).expand(len(batch.rows), -1)
        other = torch.tensor([[0, *_drawn(ids, n, 0)] for ids in batch.tokens.tolist()])
        both = zip(*(inputs_of_mlps(hugging_face, batch.tokens, places) for places in (own, other)), strict=True)
        for layer, (seen, moved) in enumerate(both):
            wanted = ((moved - seen).norm(dim=-1) / seen.norm(dim=-1)).mean(1)
            assert found[f"mlp {layer}, all paths"].array[list(batch.rows)] == pytest.approx(wanted.numpy(), abs=1e-4)
    apart = found["mlp 1, all paths"].array - found["mlp 1, direct"].array
    assert abs(apart).max() > 1e-3  # or the two would not be told apart here


def test_the_direct_path_is_that_of_one_reader_alone(gpt2):
    found, alone = input_changed_by_path(gpt2, PROMPTS), input_changed(gpt2, PROMPTS)
    for name in ("mlp 0", "mlp 1"):
        assert found[f"{name}, direct"].array == pytest.approx(alone[name].array, abs=1e-9)
