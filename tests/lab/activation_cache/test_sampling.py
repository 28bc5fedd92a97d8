"""The model's own texts are draws from its distribution, whole and at temperature 1, and the same for a seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import AutoModelForCausalLM

from mechlib.lab.activation_cache.caching import cache_activations
from mechlib.lab.activation_cache.sampling import _drawn, sampled, sampled_rows
from mechlib.lab.models.loading import load
from mechlib.lab.models.native import save
from tests.helpers import notebook
from tests.helpers.tiny import CONTEXT, FAMILIES, directory


@pytest.fixture(scope="module", params=FAMILIES)
def path(request, tmp_path_factory):
    return directory(tmp_path_factory.mktemp("sampling") / request.param, request.param)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("sampling") / "one", "gpt2")))


def shares(model, row: list[int]) -> torch.Tensor:
    """Of each token behind a text, from a whole run without keys and values."""
    with torch.no_grad():
        return model(torch.tensor([row])).logits[0, -1].double().softmax(-1)


def test_each_token_is_the_one_in_whose_share_of_hugging_faces_distribution_its_number_falls(path):
    draws = list(np.random.default_rng(0).random((6, 12)))
    rows = sampled(load(str(path)), draws)
    theirs = AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval()
    seen = 0
    for row, numbers in zip(rows, draws, strict=True):
        assert row[0] == 0
        for at in range(1, len(row)):
            ends = shares(theirs, row[:at]).cumsum(-1)
            assert ends[row[at] - 1] - 1e-5 <= numbers[at] <= ends[row[at]] + 1e-5
            seen += 1
        if len(row) < len(numbers):  # it ended: the next token would have been BOS, which has the first share
            assert numbers[len(row)] < shares(theirs, row)[0] + 1e-5
    assert seen > 30


def test_first_tokens_come_as_often_as_the_model_says(gpt2):
    n = 4000
    firsts = [row[1] if len(row) > 1 else 0 for row in sampled_rows(gpt2, 2, seed=3).read(0, n)]
    with torch.no_grad():
        wanted = gpt2(torch.tensor([[0]]))[0, -1].double().softmax(-1).numpy()
    assert stats.chisquare(np.bincount(firsts, minlength=len(wanted)), wanted * n).pvalue > 0.001


def test_a_text_is_of_its_seed_and_number_and_of_no_batch(gpt2):
    rows = sampled_rows(gpt2, CONTEXT, seed=5)
    whole = rows.read(0, 12)
    assert whole == rows.read(0, 5) + rows.read(5, 6) + rows.read(6, 12)
    assert whole != sampled_rows(gpt2, CONTEXT, seed=6).read(0, 12)
    assert len({tuple(row) for row in whole}) == 12


def test_a_text_ends_before_its_end_of_text_token(gpt2):
    rows = sampled_rows(gpt2, CONTEXT).read(0, 60)
    assert all(row[0] == 0 and 0 not in row[1:] for row in rows)
    assert len({len(row) for row in rows}) > 5, "in this model BOS ends a text, and is often drawn"


def test_a_native_model_without_keys_and_values_writes_as_well(tmp_path):
    save(notebook.bridge(), notebook.WORDS, tmp_path / "toy", bos="w4")
    model = load(str(tmp_path / "toy"))
    draws = list(np.random.default_rng(1).random((3, 8)))
    for row, numbers in zip(sampled(model, draws), draws, strict=True):
        for at in range(1, len(row)):
            with torch.no_grad():
                ends = model(torch.tensor([row[:at]]))[0, -1].double().softmax(-1).cumsum(-1)
            assert int(torch.searchsorted(ends, numbers[at], right=True)) == row[at]


@pytest.mark.parametrize(
    "more, bos, said",
    [
        ({}, None, "has no BOS to write from: give texts"),
        ({"attention_dir": "bidirectional"}, "w4", "is bidirectional"),
        ({"d_vocab_out": 19}, "w4", "logits for the words of a text"),
    ],
)
def test_a_model_that_cannot_write_texts_is_refused(tmp_path, more, bos, said):
    outputs = [f"o{n}" for n in range(19)] if more.get("d_vocab_out") else None
    save(notebook.bridge(**more), notebook.WORDS, tmp_path / "toy", bos=bos, output_words=outputs)
    with pytest.raises(ValueError, match=said):
        sampled_rows(load(str(tmp_path / "toy")))


def test_a_model_that_ends_every_text_at_once_is_refused_and_does_not_write_for_ever(tmp_path):
    model = load(str(directory(tmp_path / "one", "gpt2")))
    rows = sampled_rows(model, CONTEXT)
    object.__setattr__(rows, "read", lambda start, stop: [[0]] * (stop - start))
    with pytest.raises(ValueError, match="ends its texts before they begin: give texts"):
        cache_activations(model, "blocks.0.hook_resid_post", rows, tmp_path / "c", 100, batch=100)


def test_the_models_own_texts_need_a_number_of_tokens(gpt2, tmp_path):
    with pytest.raises(ValueError, match="the model's own texts have no end: say how many tokens to cache"):
        cache_activations(gpt2, "blocks.0.hook_resid_post", sampled_rows(gpt2), tmp_path / "c")


def test_a_token_without_a_share_is_never_drawn():
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf], [0.0, -torch.inf, -torch.inf]])
    for number, wanted in ((0.0, [1, 0]), (np.nextafter(1, 0), [1, 0])):
        assert _drawn(logits, torch.full((2, 1), number, dtype=torch.float64)).flatten().tolist() == wanted
