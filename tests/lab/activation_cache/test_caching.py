"""What lies on disk is what the model computes, at the places that the cache says."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from mechlib.lab.activation_cache.caching import cache_activations
from mechlib.lab.activation_cache.reading import open_cache
from mechlib.lab.activation_cache.rows import text_rows, token_rows
from mechlib.lab.activation_cache.running import stopped_run
from mechlib.lab.hooks import NoSuchHook, run
from mechlib.lab.models.loading import checkpoint_of, load
from mechlib.lab.models.native import save
from tests.helpers import notebook
from tests.helpers.tiny import CONTEXT, FAMILIES, WORDS, directory

POST, Z, FIRST = "blocks.1.hook_resid_post", "blocks.1.attn.hook_z", "blocks.0.hook_resid_post"
ROUNDED = {"rtol": 2e-3, "atol": 2e-4}  # of float16, and of runs in other batches


def texts(n: int, seed: int = 0) -> list[str]:
    """Texts of 1 to 45 words: the longest take two rows."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS[3:], k=1 + 11 * (number % 5))) for number in range(n)]


@pytest.fixture(scope="module", params=FAMILIES)
def path(request, tmp_path_factory) -> Path:
    return directory(tmp_path_factory.mktemp("caching") / request.param, request.param)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("caching") / "one", "gpt2")))


def alone(model, rows: list[list[int]], hook: str) -> torch.Tensor:
    """The activations behind BOS of each row run by itself, one below the other."""
    return torch.cat([run(model, torch.tensor([row]), keep=[hook])[1][hook][0, 1:].flatten(1) for row in rows])


def close(seen: np.ndarray, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(torch.from_numpy(np.array(seen)).float(), wanted.float(), **ROUNDED)


def test_what_is_cached_is_what_hugging_face_computes_text_by_text(path, tmp_path):
    model = load(str(path))
    rows = text_rows(model, texts(12), CONTEXT)
    cache = cache_activations(model, FIRST, rows, tmp_path / "c", batch=5)
    theirs = AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval()
    with torch.no_grad():
        wanted = [theirs(torch.tensor([row]), output_hidden_states=True) for row in rows.read(0, 99)]
    close(cache.rows, torch.cat([one.hidden_states[1][0, 1:] for one in wanted]))


def test_several_hooks_are_the_runs_own_and_heads_stand_side_by_side(path, tmp_path):
    model = load(str(path))
    rows = text_rows(model, texts(6), CONTEXT)
    cache_activations(model, [POST, Z, FIRST], rows, tmp_path / "c", batch=4)
    for hook in (POST, Z, FIRST):
        close(open_cache(tmp_path / "c", hook).rows, alone(model, rows.read(0, 99), hook))


def test_tokens_and_places_say_which_token_of_which_text_each_row_is_in_the_order_of_the_texts(gpt2, tmp_path):
    rows = text_rows(gpt2, texts(12), CONTEXT)
    cache = cache_activations(gpt2, POST, rows, tmp_path / "c", batch=3)
    own = rows.read(0, 99)
    assert [tuple(place) for place in cache.places.tolist()] == [
        (number, at) for number, row in enumerate(own) for at in range(1, len(row))
    ]
    assert cache.tokens.tolist() == [own[text][at] for text, at in cache.places.tolist()]
    words = gpt2.tokenizer.convert_ids_to_tokens(cache.tokens.tolist())
    assert words == " ".join(texts(12)).split(), "the words of all texts, none twice and none left out"


@pytest.mark.parametrize("positions, kept", [("all", lambda n: range(n)), ("last", lambda n: [n - 1])])
def test_bos_and_last_positions_are_cached_where_they_are_asked_for(gpt2, tmp_path, positions, kept):
    rows = text_rows(gpt2, texts(5), CONTEXT)
    cache = cache_activations(gpt2, POST, rows, tmp_path / "c", positions=positions, batch=2)
    own = rows.read(0, 99)
    assert cache.places.tolist() == [[number, at] for number, row in enumerate(own) for at in kept(len(row))]
    assert cache.header["positions"] == positions
    whole = [run(gpt2, torch.tensor([row]), keep=[POST])[1][POST][0] for row in own]
    close(cache.rows, torch.stack([whole[text][at] for text, at in cache.places.tolist()]))


def test_as_many_tokens_are_cached_as_were_asked_for_the_first_of_all(gpt2, tmp_path):
    rows = text_rows(gpt2, texts(12), CONTEXT)
    whole, part = (cache_activations(gpt2, POST, rows, tmp_path / str(n), n, batch=3) for n in (None, 50))
    assert len(part.rows) == 50 < len(whole.rows)
    assert np.array_equal(part.rows, whole.rows[:50]) and np.array_equal(part.places, whole.places[:50])


def test_texts_of_a_bidirectional_model_see_no_filling(tmp_path):
    save(notebook.bridge(attention_dir="bidirectional"), notebook.WORDS, tmp_path / "toy")
    model = load(str(tmp_path / "toy"))
    rows = token_rows(model, [[1, 2, 3], [4, 5, 6, 7, 8], [9, 10], [11, 12]])
    cache = cache_activations(model, POST, rows, tmp_path / "c", batch=3)
    wanted = [run(model, torch.tensor([row]), keep=[POST])[1][POST][0] for row in rows.read(0, 9)]
    close(cache.rows, torch.cat(wanted))


def test_nothing_behind_the_last_hook_is_computed_and_later_runs_are_whole(gpt2):
    tokens = torch.tensor([[0, 5, 6]])
    met = []
    handle = gpt2.blocks[1].register_forward_hook(lambda *_: met.append(1))
    kept = stopped_run(gpt2, tokens, [FIRST, "blocks.0.attn.hook_z"])
    assert not met
    logits, wanted = run(gpt2, tokens, keep=kept)
    handle.remove()
    assert met and logits.shape[1] == 3
    for name, activation in kept.items():
        torch.testing.assert_close(activation, wanted[name], rtol=0, atol=0)


def test_the_header_says_what_another_would_need_to_make_the_same_and_its_sums_are_the_files(gpt2, tmp_path):
    cache = cache_activations(gpt2, [POST, Z], text_rows(gpt2, texts(4), 20), tmp_path / "c", batch=2)
    header, own = cache.header, checkpoint_of(gpt2)
    weights = hashlib.sha256((own.path / "model.safetensors").read_bytes()).hexdigest()
    assert header["model"] | {"config": "", "tokenizer": ""} == {
        "name": own.name, "weights": weights, "config": "", "tokenizer": "", "bos": "<bos>", "processing": "raw",
        "dtype": "float32",
    }  # fmt: skip
    assert header["text"]["from"] == "texts" and (header["text"]["length"], header["batch"]) == (20, 2)
    assert (header["rows"], header["dtype"], header["positions"]) == (len(cache.rows), "float16", "text")
    assert header["hooks"][Z]["shape"] == [4, 8] and header["hooks"][Z]["width"] == 32 == cache.width
    sums = {entry["file"]: entry["sha256"] for entry in header["hooks"].values()}
    sums |= {"tokens.npy": header["tokens_sha256"], "places.npy": header["places_sha256"]}
    files = {file.name: file for file in (tmp_path / "c").iterdir() if file.name != "header.json"}
    assert {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()} == sums


def test_rows_are_mapped_and_not_loaded_and_nobody_writes_to_them(gpt2, tmp_path):
    cache = cache_activations(gpt2, POST, text_rows(gpt2, texts(4), 20), tmp_path / "c")
    assert isinstance(cache.rows, np.memmap) and cache.rows.dtype == np.float16
    with pytest.raises(ValueError, match="read-only"):
        cache.rows[0] = 0


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.fixture
def spoilt(tmp_path):
    """A model of which one embedding is multiplied, in its file."""

    def make(factor: float):
        model = load(str(directory(tmp_path / "model", "gpt2")))
        model.W_E.data[7] *= factor
        return model

    return make


@pytest.mark.parametrize(
    "factor, said",
    [
        (float("nan"), r"blocks.0.hook_resid_pre of .* at position 2 of text 1 is NaN or infinite: look for damaged"),
        (float("inf"), r"at position 2 of text 1 is NaN or infinite"),
        (1e6, r"at position 2 of text 1 has an entry of size [\d,]+, and float16 ends at 65,504: cache another layer"),
    ],
)
def test_what_float16_does_not_have_is_refused_by_hook_text_and_position(spoilt, tmp_path, factor, said):
    rows = [[0, 5, 6], [0, 5, 7], [0, 8, 9]]
    model = spoilt(factor)
    with pytest.raises(ValueError, match=said):
        cache_activations(model, "blocks.0.hook_resid_pre", token_rows(model, rows), tmp_path / "c", batch=2)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("value", [-1e5, 1e5])
def test_a_number_that_is_too_large_is_seen_whichever_its_sign(tmp_path, value):
    model = load(str(directory(tmp_path / "model", "gpt2")))
    model.W_E.data[7] = value
    with pytest.raises(ValueError, match=r"at position 1 of text 0 has an entry of size [\d,]+, and float16 ends at"):
        cache_activations(model, "blocks.0.hook_resid_pre", token_rows(model, [[0, 7]]), tmp_path / "c")


def test_a_large_activation_at_bos_alone_is_none_of_what_is_cached(tmp_path):
    model = load(str(directory(tmp_path / "model", "gpt2")))
    model.W_E.data[0] *= 1e6
    rows = token_rows(model, [[0, 5, 6]])
    assert len(cache_activations(model, "blocks.0.hook_resid_pre", rows, tmp_path / "c").rows) == 2
    with pytest.raises(ValueError, match="at position 0 of text 0"):
        cache_activations(model, "blocks.0.hook_resid_pre", rows, tmp_path / "d", positions="all")


@pytest.mark.parametrize(
    "hook, refused, said",
    [
        ("blocks.1.resid_post", NoSuchHook, r"has no activation 'blocks.1.resid_post': near are .*hook_resid_post"),
        ("nothing_like_it", NoSuchHook, r"of 2 layers, has no activation 'nothing_like_it'"),
        ("blocks.1.attn.hook_pattern", ValueError, r"is \[2, 4, 5, 5\] for 2 texts of 5 tokens, and has no vector for"),
    ],
)
def test_a_hook_that_is_not_there_or_has_no_vector_for_each_token_is_refused(gpt2, tmp_path, hook, refused, said):
    with pytest.raises(refused, match=said):
        cache_activations(gpt2, [POST, hook], text_rows(gpt2, texts(2)), tmp_path / "c")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "more, said",
    [
        ({"tokens": 10**6}, r"the texts have [\d,]+ tokens to cache, 1,000,000 were asked for"),
        ({"tokens": 0}, "0 tokens: cache 1 or more"),
        ({"batch": 0}, "batches of 0 rows"),
        ({"hooks": []}, "no hooks: name one"),
    ],
)
def test_what_cannot_be_cached_is_refused_before_anything_is_written(gpt2, tmp_path, more, said):
    with pytest.raises(ValueError, match=said):
        asked = {"hooks": POST, "rows": text_rows(gpt2, texts(2)), **more}
        cache_activations(gpt2, folder=tmp_path / "c", **asked)
    assert list(tmp_path.iterdir()) == []
