"""A process that ends early leaves nothing under the final name, and the next one makes the same bytes."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import filelock
import pytest

from mechlib.lab.activation_cache import writing as engine
from mechlib.lab.activation_cache.caching import cache_activations
from mechlib.lab.activation_cache.reading import NotThisCache
from mechlib.lab.activation_cache.rows import token_rows
from mechlib.lab.activation_cache.sampling import sampled_rows
from mechlib.lab.activation_cache.writing import CacheInUse, CannotWrite
from mechlib.lab.models.loading import load
from tests.helpers.tiny import CONTEXT, directory

HOOKS = ["blocks.0.hook_resid_post", "blocks.1.hook_mlp_out"]


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return directory(tmp_path_factory.mktemp("resuming") / "one", "llama")


@pytest.fixture(scope="module")
def model(path):
    return load(str(path))


def cached(model, folder: Path, seed: int = 0, tokens: int = 300, batch: int = 3, hooks=HOOKS):
    return cache_activations(model, hooks, sampled_rows(model, CONTEXT, seed), folder, tokens, batch=batch)


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory) -> dict[str, bytes]:
    cache = cached(model, tmp_path_factory.mktemp("resuming") / "whole")
    return contents(cache.folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


KILLED = """
import os, signal, sys
from mechlib.lab.activation_cache import writing
from mechlib.lab.activation_cache.caching import cache_activations
from mechlib.lab.activation_cache.sampling import sampled_rows
from mechlib.lab.models.loading import load

write, left = writing._write, 14  # in the fourth batch of four arrays, the second array

def dying(file, array):
    global left
    left -= 1
    if not left:
        write(file, array.reshape(-1)[: array.size // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    write(file, array)

writing._write = dying
model = load(sys.argv[1])
cache_activations(model, {hooks!r}, sampled_rows(model, {context}, 0), sys.argv[2], 300, batch=3)
"""


def test_a_killed_process_is_gone_on_with_behind_its_last_whole_batch_to_the_same_bytes(model, path, tmp_path, whole):
    folder = tmp_path / "c"
    script = KILLED.format(hooks=HOOKS, context=CONTEXT)
    ours = os.environ | {"PYTHONPATH": str(Path(engine.__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script, str(path), str(folder)], env=ours, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not folder.exists()
    begun = json.loads((tmp_path / "c.partial" / "progress.json").read_text())
    assert begun["text"] == 9 and 0 < begun["rows"] < 300
    met = []
    rows = sampled_rows(model, CONTEXT, 0)
    seen = rows.read
    object.__setattr__(rows, "read", lambda start, stop: met.append(start) or seen(start, stop))
    cache = cache_activations(model, HOOKS, rows, folder, 300, batch=3)
    assert met[0] == 9, "texts that were done are not written again"
    assert contents(folder) == whole
    assert not (tmp_path / "c.partial").exists()
    cache.verify()


def failing(monkeypatch, at: int, number: int) -> None:
    """The write of this number fails, after half of its bytes."""
    write, count = engine._write, [0]

    def fails(file, array):
        count[0] += 1
        if count[0] == at:
            write(file, array.reshape(-1)[: array.size // 2])
            raise OSError(number, os.strerror(number))
        write(file, array)

    monkeypatch.setattr(engine, "_write", fails)


@pytest.mark.parametrize(
    "at, number, said",
    [
        (1, errno.ENOSPC, "the disk is full after 0 of 300 rows"),
        (7, errno.ENOSPC, r"the disk is full after \d+ of 300 rows, which are kept: make room, and give the same"),
        (8, errno.EDQUOT, "the disk's quota is used up after"),
        (8, errno.EIO, "it cannot be written"),
    ],
)
def test_a_disk_that_fills_is_one_line_and_what_was_written_counts(
    model, tmp_path, whole, monkeypatch, at, number, said
):
    with monkeypatch.context() as patched:
        failing(patched, at, number)
        with pytest.raises(CannotWrite, match=said) as refused:
            cached(model, tmp_path / "c")
    assert "\n" not in str(refused.value) and not (tmp_path / "c").exists()
    cached(model, tmp_path / "c")
    assert contents(tmp_path / "c") == whole


def test_a_file_that_may_not_grow_is_no_crash(model, tmp_path, whole):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, before[1]))  # of 19,200 bytes of activations
        with pytest.raises(CannotWrite, match=r"no larger file may be written here after \d\d+ of 300 rows"):
            cached(model, tmp_path / "c")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "c").exists()
    cached(model, tmp_path / "c")
    assert contents(tmp_path / "c") == whole


def test_a_disk_with_too_little_room_is_refused_before_anything_is_computed(model, tmp_path, monkeypatch):
    room = namedtuple("room", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: room(40_000))
    monkeypatch.setattr("mechlib.lab.activation_cache.caching.row_activations", None)
    with pytest.raises(CannotWrite, match="needs 0 MB, and 0 MB are free: make room, or cache fewer tokens"):
        cached(model, tmp_path / "c")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    "more, said",
    [
        ({"seed": 1}, "text: its seed is 0, not 1"),
        ({"batch": 2}, "its batch is 3, not 2"),
        ({"tokens": 290}, "its rows is 300, not 290"),
        ({"hooks": HOOKS[:1]}, "hooks: its blocks.1.hook_mlp_out is .*, not None"),
    ],
)
def test_what_was_begun_or_made_for_another_command_is_left_alone(model, tmp_path, monkeypatch, more, said):
    with monkeypatch.context() as patched, pytest.raises(CannotWrite):
        failing(patched, 7, errno.ENOSPC)
        cached(model, tmp_path / "c")
    begun = contents(tmp_path / "c.partial")
    with pytest.raises(NotThisCache, match=f"c.partial was begun by another command, .*{said}: give that one again"):
        cached(model, tmp_path / "c", **more)
    assert contents(tmp_path / "c.partial") == begun
    cached(model, tmp_path / "c")
    made = contents(tmp_path / "c")
    with pytest.raises(NotThisCache, match=f"c holds other activations, .*{said}: name another folder"):
        cached(model, tmp_path / "c", **more)
    assert contents(tmp_path / "c") == made and not (tmp_path / "c.partial").exists()


def test_what_was_begun_of_another_model_is_refused_by_its_weights(model, tmp_path, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(CannotWrite):
        failing(patched, 7, errno.ENOSPC)
        cached(model, tmp_path / "c")
    other = load(str(directory(tmp_path / "other", "llama", seed=1)))
    with pytest.raises(NotThisCache, match=r"another command, model: its weights is .*, not .*: give that one again"):
        cached(other, tmp_path / "c")


def test_what_is_there_is_not_made_again(model, tmp_path, monkeypatch):
    cached(model, tmp_path / "c")
    monkeypatch.setattr("mechlib.lab.activation_cache.caching.row_activations", None)
    assert len(cached(model, tmp_path / "c").rows) == 300


@pytest.mark.parametrize("there", ["a file", "a folder"])
def test_a_name_that_is_taken_by_something_else_is_refused(model, tmp_path, there):
    target = tmp_path / "c"
    if there == "a file":
        target.write_text("mine")
    else:
        (target / "mine").mkdir(parents=True)
    with pytest.raises(NotThisCache, match="c is a file: name a folder" if there == "a file" else "has no header.json"):
        cached(model, target)
    assert {file.name for file in tmp_path.iterdir()} == {"c"}


def test_a_folder_that_is_empty_may_be_filled(model, tmp_path, whole):
    (tmp_path / "c").mkdir()
    cached(model, tmp_path / "c")
    assert contents(tmp_path / "c") == whole


def test_two_processes_do_not_write_one_cache(model, tmp_path, whole):
    (tmp_path / "c.partial").mkdir()
    other = filelock.FileLock(tmp_path / "c.partial" / "lock")
    with other, pytest.raises(CacheInUse, match=r"c.partial is being written by another process: wait"):
        cached(model, tmp_path / "c")
    cached(model, tmp_path / "c")
    assert contents(tmp_path / "c") == whole


def test_a_process_that_is_killed_before_the_last_renaming_has_made_a_whole_cache(model, tmp_path, whole, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(engine, "_rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        cached(model, tmp_path / "c")
    assert not (tmp_path / "c").exists()
    monkeypatch.setattr("mechlib.lab.activation_cache.caching.row_activations", None)
    cached(model, tmp_path / "c")
    assert contents(tmp_path / "c") == whole


@pytest.mark.parametrize("spoil", ["progress", "array"])
def test_a_begun_cache_that_was_damaged_is_refused_with_the_cure(model, tmp_path, monkeypatch, spoil):
    with monkeypatch.context() as patched, pytest.raises(CannotWrite):
        failing(patched, 7, errno.ENOSPC)
        cached(model, tmp_path / "c")
    name = "progress.json" if spoil == "progress" else "tokens.npy"
    file = tmp_path / "c.partial" / name
    file.write_bytes(file.read_bytes()[:140])
    with pytest.raises(NotThisCache, match=f"{name} is (damaged|shorter than .*): remove .*c.partial"):
        cached(model, tmp_path / "c")


def test_other_rows_of_the_same_number_are_another_text(model, tmp_path):
    one, other = (token_rows(model, [[0, 5, last]]) for last in (6, 7))
    cache_activations(model, HOOKS, one, tmp_path / "c")
    with pytest.raises(NotThisCache, match="holds other activations, text: its sha256 is"):
        cache_activations(model, HOOKS, other, tmp_path / "c")
