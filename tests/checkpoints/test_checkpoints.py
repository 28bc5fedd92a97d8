"""A model's name stands for files, a hash, a size and two twins; none of it needs torch."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mechlib.checkpoints.checkpoint import (
    MINIS,
    IncompleteModel,
    UnknownModel,
    WeightsMissing,
    parent,
    published,
    twins,
)
from mechlib.checkpoints.described.memory import memory
from mechlib.checkpoints.files import is_here, problems, require_here, weight_hash
from mechlib.checkpoints.hub import HUB
from mechlib.checkpoints.packaged.table import PACKAGED
from mechlib.checkpoints.resolve import PLANTED, checkpoint, file_name, kind_of
from mechlib.prompts import world


def safetensors(path: Path, shapes: dict[str, list[int]], entry: bytes = b"\0\0") -> bytes:
    """A float16 safetensors file, written by hand from its specification."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        size = 2
        for dimension in shape:
            size *= dimension
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    data = len(text).to_bytes(8, "little") + text + entry * (end // 2)
    path.write_bytes(data)
    return data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository in which mini-0 is complete."""
    directory = tmp_path / "fixtures" / "mini-0"
    complete(directory)
    return tmp_path


def complete(directory: Path) -> bytes:
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps({"n_layer": 4, "n_embd": 8, "vocab_size": 10}))
    (directory / "tokenizer.json").write_text("{}")
    return safetensors(directory / "model.safetensors", {"wte": [10, 8], "bias": [8]})


def test_every_hub_revision_is_a_full_commit_of_its_own():
    revisions = [hub.revision for hub in HUB.values()]
    assert all(re.fullmatch(r"[0-9a-f]{40}", revision) for revision in revisions)
    assert len(set(revisions)) == len(revisions)


def test_every_listed_name_is_a_checkpoint_of_its_kind(tmp_path):
    assert {checkpoint(name, tmp_path).kind for name in MINIS} == {"mini"}
    assert {checkpoint(name, tmp_path).kind for name in HUB} == {"hub"}


def test_the_kind_of_a_model_is_told_from_its_name_whether_it_is_here_or_not(tmp_path):
    own = tmp_path / "mini-0"
    own.mkdir()
    for name in (*MINIS, *HUB, *PACKAGED, *PLANTED, "planted-ioi-3-4x8", str(own)):
        for made in (name, f"{name}@permuted"):
            assert kind_of(made) == checkpoint(made).kind
    assert kind_of("planted-ioi-3-1x1") == "planted", "too small to be made"
    assert kind_of("models/planted-by-me") == kind_of("mini-9") == "local"


def test_the_known_text_of_the_minis_has_the_ids_of_the_world_up_to_its_last_word():
    text, ids = checkpoint("mini-0").known
    assert ids == tuple(world.IDS[word] for word in text.split())
    assert max(ids) == len(world.VOCABULARY) - 1


def test_twins_are_named_after_their_parent():
    assert twins("mini-0") == ("mini-0@untrained", "mini-0@permuted")
    assert [parent(twin) for twin in twins("gpt2-small")] == ["gpt2-small", "gpt2-small"]
    assert parent("mini-0") == "mini-0"
    assert checkpoint("mini-0@permuted").twin == "permuted"
    with pytest.raises(ValueError, match="mini-0@permuted is a twin itself"):
        twins("mini-0@permuted")


def test_file_names_hold_no_character_that_a_file_system_refuses(tmp_path):
    local = tmp_path / "my model: v1"
    local.mkdir()
    names = [*MINIS, *HUB, *twins("mini-0"), f"{local}@permuted"]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", file_name(name)) for name in names)
    assert len({file_name(name) for name in names}) == len(names)


def test_a_twin_gets_what_is_published_for_its_parent():
    assert published({"gpt2-small": 5}, "gpt2-small@untrained") == 5
    with pytest.raises(KeyError, match="nothing is published for mini-0, only for gpt2-small: add an entry"):
        published({"gpt2-small": 5}, "mini-0")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("mini0", "did you mean mini-0"), ("gpt2-smal", "did you mean gpt2-small"), ("./nowhere", "no such directory")],
)
def test_an_unknown_name_is_refused_with_a_hint(name, hint):
    with pytest.raises(UnknownModel, match=hint):
        checkpoint(name)


def test_a_complete_mini_is_here(root):
    assert is_here(checkpoint("mini-0", root))
    assert is_here(checkpoint("mini-0@untrained", root))
    assert not is_here(checkpoint("mini-1", root))


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_mini_without_one_of_its_files_is_incomplete_and_the_error_names_it(root, file):
    (root / "fixtures" / "mini-0" / file).unlink()
    with pytest.raises(IncompleteModel, match=f"fixtures/mini-0 is incomplete: {file} is missing.*git checkout"):
        require_here(checkpoint("mini-0", root))


@pytest.mark.parametrize("kept", [0, 4, 40, -1])
def test_a_weight_file_of_another_length_is_damaged(root, kept):
    path = root / "fixtures" / "mini-0" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(IncompleteModel, match=r"model\.safetensors is damaged or truncated"):
        require_here(checkpoint("mini-0", root))


def test_a_pickle_alone_is_no_model_and_the_error_says_that_it_was_not_opened(root):
    directory = root / "fixtures" / "mini-0"
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    with pytest.raises(IncompleteModel, match=r"pytorch_model.bin is a pickle, .* is not opened"):
        require_here(checkpoint(str(directory)))


def test_a_hub_model_is_found_where_the_cache_is_said_to_be(tmp_path, monkeypatch):
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    with pytest.raises(WeightsMissing, match="gpt2-small is not on this machine: run `mechlib fetch gpt2-small`"):
        require_here(checkpoint("gpt2-small"))
    before = weight_hash(checkpoint("gpt2-small"))
    complete(tmp_path / "home" / "hub" / "models--gpt2" / "snapshots" / HUB["gpt2-small"].revision)
    assert is_here(checkpoint("gpt2-small"))
    assert weight_hash(checkpoint("gpt2-small")) == before, "filed evidence must be found where the weights are not"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "other"))
    assert not is_here(checkpoint("gpt2-small"))
    complete(tmp_path / "other" / "models--openai-community--gpt2" / "snapshots" / HUB["gpt2-small"].revision)
    assert is_here(checkpoint("gpt2-small"))


def test_a_half_downloaded_hub_model_is_incomplete(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--Qwen--Qwen2.5-3B" / "snapshots" / HUB["qwen2.5-3b"].revision
    complete(snapshot)
    (snapshot / "model.safetensors").rename(snapshot / "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    assert problems(checkpoint("qwen2.5-3b")) == ("model-2.safetensors is missing",)
    with pytest.raises(IncompleteModel, match=r"mechlib fetch qwen2\.5-3b"):
        require_here(checkpoint("qwen2.5-3b"))


def test_the_hash_of_a_mini_is_the_sha256_of_its_file_and_follows_its_content(root):
    path = root / "fixtures" / "mini-0" / "model.safetensors"
    first = weight_hash(checkpoint("mini-0", root))
    assert first == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(safetensors(path, {"wte": [10, 8], "bias": [8]}, entry=b"\0\1"))
    assert weight_hash(checkpoint("mini-0", root)) != first


def test_the_hashes_of_twins_differ_from_each_other_and_from_their_parent(root):
    names = ("mini-0", *twins("mini-0"))
    hashes = [weight_hash(checkpoint(name, root)) for name in names]
    assert len(set(hashes)) == 3
    assert all(one.startswith(hashes[0]) for one in hashes)


def test_a_directory_that_is_named_like_a_twin_of_another_is_refused(tmp_path):
    for name in ("toy", "toy@untrained"):
        (tmp_path / name).mkdir()
    with pytest.raises(UnknownModel, match=r"is a directory, and would be read as the untrained twin of '.*toy'"):
        checkpoint(str(tmp_path / "toy@untrained"))
    assert checkpoint(str(tmp_path / "toy@permuted")).twin == "permuted"


def test_a_local_directory_is_a_model_with_the_bos_that_its_tokenizer_declares(tmp_path):
    complete(tmp_path / "own")
    assert checkpoint(str(tmp_path / "own")).bos == ""
    (tmp_path / "own" / "tokenizer_config.json").write_text(json.dumps({"bos_token": {"content": "<s>"}}))
    assert checkpoint(str(tmp_path / "own")).bos == "<s>"
    assert checkpoint(str(tmp_path / "own")).kind == "local"


def test_memory_counts_the_parameters_in_the_file(root):
    need = memory(checkpoint("mini-0", root))
    assert need.parameters == 10 * 8 + 8
    assert need.weights == 4 * need.parameters
    assert need.total > need.weights


def test_memory_of_a_hub_model_is_known_without_its_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    sizes = [memory(checkpoint(name)).parameters for name in ("pythia-70m", "pythia-160m", "pythia-2.8b")]
    assert sizes == sorted(sizes) and sizes[0] == 70_426_624


def test_checkpoints_are_known_without_torch():
    code = "import mechlib.checkpoints.checkpoint, sys; print(sorted({'torch', 'huggingface_hub'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
