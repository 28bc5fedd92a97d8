"""A cache that is damaged, not whole, or of something else is refused in one line before a number of it is used."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest

from mechlib.lab.activation_cache import open_cache
from mechlib.lab.activation_cache.caching import cache_activations
from mechlib.lab.activation_cache.reading import NotThisCache, sha256
from mechlib.lab.activation_cache.rows import token_rows
from mechlib.lab.models.loading import checkpoint_of, load
from tests.helpers.tiny import directory, edit_json

POST, PRE = "blocks.1.hook_resid_post", "blocks.0.hook_resid_pre"
FILE = f"{POST}.npy"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("reading") / "one", "gpt2")))


@pytest.fixture(scope="module")
def made(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reading") / "cache"
    return cache_activations(model, [POST, PRE], token_rows(model, [[0, 5, 6], [0, 7, 8, 9]]), folder)


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made.folder, tmp_path / "cache")


def other_shape(folder):
    np.save(folder / FILE, np.zeros((5, 31), np.float16))


def other_dtype(folder):
    np.save(folder / FILE, np.zeros((5, 32), np.float32))


def shorter(folder):
    (folder / FILE).write_bytes((folder / FILE).read_bytes()[:-2])


def longer(folder):
    (folder / FILE).write_bytes((folder / FILE).read_bytes() + b"12")


def no_tokens(folder):
    (folder / "tokens.npy").unlink()


def no_header(folder):
    (folder / "header.json").unlink()


def half_a_header(folder):
    (folder / "header.json").write_text((folder / "header.json").read_text()[:90])


def a_list(folder):
    (folder / "header.json").write_text("[1]")


def later_format(folder):
    edit_json(folder / "header.json", format=2)


def more_rows(folder):
    edit_json(folder / "header.json", rows=6)


@pytest.mark.parametrize(
    "spoil, said",
    [
        (other_shape, r"holds float16 \[5, 31\], its header says float16 \[5, 32\]"),
        (other_dtype, r"holds float32 \[5, 32\], its header says float16"),
        (more_rows, r"holds float16 \[5, 32\], its header says float16 \[6, 32\]"),
        (shorter, r"hook_resid_post.npy is damaged \(.*\): cache the activations again"),
        (longer, r"hook_resid_post.npy has \d+ bytes, its header says \d+: it was written to since"),
        (no_tokens, r"tokens.npy is missing: cache the activations again"),
        (no_header, r"cache has no header.json: it is none"),
        (half_a_header, r"header.json is damaged: cache the activations again"),
        (a_list, r"header.json is damaged"),
        (later_format, r"header.json is of format 2, wanted 1"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_arrays_that_are_not_as_the_header_says_are_refused(folder, spoil, said):
    assert len(open_cache(folder, POST).rows) == 5
    spoil(folder)
    with pytest.raises(NotThisCache, match=said) as refused:
        open_cache(folder, POST)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("file", [FILE, f"{PRE}.npy", "tokens.npy", "places.npy"])
def test_one_bit_that_changed_is_found_by_those_who_read_all(folder, file):
    cache = open_cache(folder, PRE)
    cache.verify()
    data = bytearray((folder / file).read_bytes())
    data[-1] ^= 1
    (folder / file).write_bytes(data)
    with pytest.raises(NotThisCache, match=f"{file} was changed since it was written"):
        open_cache(folder, PRE).verify()


def test_a_hook_is_named_where_there_are_several_and_only_one_that_is_there(folder):
    with pytest.raises(NotThisCache, match=f"has 2 hooks, {POST}, {PRE}: name one"):
        open_cache(folder)
    with pytest.raises(NotThisCache, match=f"has no 'blocks.9.hook_z', but {POST}, {PRE}: name one of these"):
        open_cache(folder, "blocks.9.hook_z")


def test_activations_of_another_model_are_refused_by_what_tells_them_apart(folder, model, tmp_path):
    assert open_cache(folder, POST, checkpoint_of(model)).hook == POST
    other = load(str(directory(tmp_path / "other", "gpt2", seed=1)))
    with pytest.raises(NotThisCache, match=r"was cached from .*one, not from .*other \(its weights is .*, not .*\)"):
        open_cache(folder, POST, checkpoint_of(other))
    with pytest.raises(NotThisCache, match=r"its weights is"):
        open_cache(folder, POST, checkpoint_of(load(f"{checkpoint_of(model).name}@permuted")))


def test_a_moved_model_is_the_same_model(folder, model, tmp_path):
    moved = shutil.copytree(checkpoint_of(model).path, tmp_path / "moved")
    assert open_cache(folder, POST, checkpoint_of(load(str(moved)))).header["model"]["name"] != str(moved)


def test_a_cache_that_is_not_whole_yet_is_said_to_be(folder):
    folder.rename(folder.with_name("cache.partial"))
    with pytest.raises(NotThisCache, match=r"cache.partial is not whole yet: run the command that began it again"):
        open_cache(folder)


def test_the_header_is_plain_json(folder):
    assert json.loads((folder / "header.json").read_text()) == open_cache(folder, POST).header


def test_a_large_file_is_hashed_to_its_end(tmp_path):
    data = bytes(range(256)) * 4000
    (tmp_path / "large").write_bytes(data)
    assert sha256(tmp_path / "large") == hashlib.sha256(data).hexdigest()
