"""Scores of a Gemma 3's heads from its weights, against matrices made with Hugging Face's own modules."""

import pytest
import torch

from mechlib.lab.attribution.copying import copy_scores
from mechlib.lab.attribution.head_weights import copying, matching
from mechlib.lab.models.loading import load
from mechlib.parts.heads import all_heads
from tests.helpers.tiny import BOS_ID, VOCABULARY, WORDS, directory, pairs, random_model

WIDTH = 8


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("weights") / "m", "gemma3"))), random_model("gemma3")


def streams(made, after_first_mlp: bool) -> list[torch.Tensor]:
    """The embeddings as heads of each layer read them."""
    embedded, first = made.model.embed_tokens(torch.arange(VOCABULARY)), made.model.layers[0]
    later = embedded + first.post_feedforward_layernorm(first.mlp(first.pre_feedforward_layernorm(embedded)))
    return [embedded, later if after_first_mlp else embedded]


def part(made, layer: int, head: int, port: str, read: torch.Tensor) -> torch.Tensor:
    """A head's queries, keys or values of these streams; two heads share their keys and values."""
    block, place = made.model.layers[layer], head if port == "q" else head // 2
    made_of = getattr(block.self_attn, f"{port}_proj")(block.input_layernorm(read))
    return made_of[..., WIDTH * place : WIDTH * (place + 1)]


def written(made, layer: int, head: int, value: torch.Tensor) -> torch.Tensor:
    """What the head writes for a value, through the gain behind attention."""
    block = made.model.layers[layer]
    output = block.self_attn.o_proj.weight[:, WIDTH * head : WIDTH * (head + 1)]
    return (value @ output.T) * (1 + block.post_attention_layernorm.weight)


def on_top(matrix: torch.Tensor) -> float:
    matrix = matrix - matrix.mean(1, keepdim=True)
    return float((matrix.diagonal().unsqueeze(1) >= matrix).all(1).double().mean())


@pytest.mark.parametrize("after", [False, True])
@torch.no_grad()
def test_heads_copy_and_match_through_every_norm_of_a_gemma_3(both, after):
    model, made = both
    copies, matches = (score(model, after_first_mlp=after) for score in (copying, matching))
    for layer, head in all_heads(2, 4):
        read, attention = streams(made, after)[layer], made.model.layers[layer].self_attn
        value = written(made, layer, head, part(made, layer, head, "v", read)) * (1 + made.model.norm.weight)
        logits = made.lm_head(value)
        q = attention.q_norm(part(made, layer, head, "q", read))
        k = attention.k_norm(part(made, layer, head, "k", read))
        assert copies[f"{layer}.{head}"].array[0] == pytest.approx(on_top(logits), abs=1e-9)
        assert matches[f"{layer}.{head}"].array[0] == pytest.approx(on_top(q @ k.T), abs=1e-9)
    assert copies.values.std() > 0 and matches.values.std() > 0


@torch.no_grad()
def test_copy_scores_of_a_gemma_3_are_a_matrix_computation(both):
    model, made = both
    prompts = pairs(40)
    prompts = type(prompts)("said", prompts.split, tuple(row for row in prompts if row.answer in row.clean.split()))
    found, wanted = copy_scores(model, prompts), []
    for row in prompts:
        said = row.clean.split()
        ids = torch.tensor([[BOS_ID, *map(WORDS.index, said)]])
        hidden = made(ids, output_hidden_states=True).hidden_states
        place = len(said) - said[::-1].index(row.answer)
        for layer, head in all_heads(2, 4):
            value = part(made, layer, head, "v", hidden[layer][0, place])
            logits = made.lm_head(made.model.norm(written(made, layer, head, value)))
            wanted.append(float(WORDS.index(row.answer) in logits.topk(5).indices.tolist()))
    assert found.values.flatten().tolist() == wanted and 0 < sum(wanted) < len(wanted)
