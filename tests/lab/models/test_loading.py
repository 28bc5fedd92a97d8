"""Models load offline, as what Hugging Face says they are, or not at all."""

import json
import os
import shutil
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from mechlib.checkpoints.checkpoint import MINIS, IncompleteModel, WeightsMissing, twins
from mechlib.checkpoints.files import config_hashes, weight_hash
from mechlib.checkpoints.hub import HUB
from mechlib.checkpoints.resolve import checkpoint
from mechlib.lab.hooks import run
from mechlib.lab.models.loading import checkpoint_of, load
from mechlib.lab.models.twins import permuted
from tests.helpers.tiny import BOS_ID, FAMILIES, VOCABULARY, directory, edit_json, hub_cache, word_tokenizer


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("the loader opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def tokens() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randint(3, VOCABULARY, (3, 10), generator=generator)
    drawn[:, 0] = BOS_ID
    return drawn


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_hidden_states_and_attention_are_hugging_faces_own(tmp_path, tokens, family):
    path = directory(tmp_path / family, family)
    reference = AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval()
    with torch.no_grad():
        wanted = reference(tokens, output_hidden_states=True, output_attentions=True)
    states = [f"blocks.{layer}.hook_resid_pre" for layer in range(2)]
    attention = [f"blocks.{layer}.attn.hook_pattern" for layer in range(2)]
    logits, kept = run(load(str(path)), tokens, keep=(*states, *attention))
    torch.testing.assert_close(logits, wanted.logits, rtol=1e-5, atol=1e-5)
    for name, state in zip(states, wanted.hidden_states, strict=False):
        torch.testing.assert_close(kept[name], state, rtol=1e-5, atol=1e-5)
    for name, pattern in zip(attention, wanted.attentions, strict=True):
        torch.testing.assert_close(kept[name], pattern, rtol=1e-5, atol=1e-5)
    assert wanted.attentions[0].std() > 0.05, "attention is not uniform, so that an error would show"


@pytest.mark.parametrize(
    ("name", "family", "known", "bos"),
    [
        ("gpt2-small", "gpt2", {"Hello": 15496, "world": 995}, "<|endoftext|>"),
        ("pythia-70m", "neox", {"Hello": 12092, "world": 1533}, "<|endoftext|>"),
        ("qwen2.5-0.5b", "qwen2", {"Hello": 9707, "world": 1879}, ""),
    ],
)
def test_a_hub_model_comes_from_its_pinned_snapshot_in_the_cache(
    tmp_path, monkeypatch, tokens, name, family, known, bos
):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    with pytest.raises(WeightsMissing, match=f"mechlib fetch {name}"):
        load(name)
    snapshot = hub_cache(tmp_path, HUB[name].repo, HUB[name].revision, family, known)
    model = load(name)
    reference = AutoModelForCausalLM.from_pretrained(snapshot, attn_implementation="eager").eval()
    with torch.no_grad():
        torch.testing.assert_close(model(tokens), reference(tokens).logits, rtol=1e-5, atol=1e-5)
    assert checkpoint_of(model).revision == HUB[name].revision
    assert checkpoint_of(model).bos == bos


def test_a_tokenizer_that_gives_other_ids_for_the_known_text_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    hub_cache(tmp_path, "gpt2", HUB["gpt2-small"].revision, "gpt2", {"Hello": 40, "world": 41})
    with pytest.raises(IncompleteModel, match=r"gives \[40, 41\] for 'Hello world', not \[15496, 995\]"):
        load("gpt2-small")


@pytest.mark.parametrize("twin", ["", "@untrained", "@permuted"])
def test_loading_the_same_directory_twice_gives_identical_logits(tmp_path, tokens, twin):
    first, second = directory(tmp_path / "one", "gpt2"), tmp_path / "two"
    shutil.copytree(first, second)
    one, two = load(f"{first}{twin}"), load(f"{second}{twin}")
    assert one is not two
    assert torch.equal(one(tokens), two(tokens))


def test_float16_weights_are_the_model_and_are_computed_with_in_float32(tmp_path, tokens):
    path = directory(tmp_path / "half", "gpt2", half=True)
    stored = load_file(path / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    model = load(str(path))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert torch.equal(model.W_E, stored["transformer.wte.weight"].float())


@pytest.mark.parametrize("family", FAMILIES)
def test_folding_leaves_probabilities_alone_and_is_recorded(tmp_path, tokens, family):
    path = str(directory(tmp_path / family, family))
    raw, folded = load(path), load(path, folded=True)
    torch.testing.assert_close(folded(tokens).softmax(-1), raw(tokens).softmax(-1), rtol=1e-4, atol=1e-5)
    assert (checkpoint_of(raw).processing, checkpoint_of(folded).processing) == ("raw", "folded")
    none = torch.zeros(32) if family == "gemma3" else torch.ones(32)  # Gemma stores gains less one
    assert torch.equal(folded.ln_final.weight, none) and not torch.equal(raw.ln_final.weight, none)
    centre = [model.W_U.mean(-1).abs().max().item() for model in (raw, folded)]
    assert centre[0] > 1e-2 > 1e-5 > centre[1]


def test_a_model_that_somebody_wrote_to_is_loaded_afresh(tmp_path, tokens):
    path = str(directory(tmp_path / "m", "gpt2"))
    model = load(path)
    before = model(tokens)
    assert load(path) is model
    with torch.no_grad():
        next(iter(model.parameters())).add_(1)
    assert torch.equal(load(path)(tokens), before)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: next(iter(model.parameters())).data.mul_(1.01),  # which torch does not count
        lambda model: next(iter(model.parameters())).data.copy_(
            next(iter(model.parameters())).detach().flip(0).clone()
        ),
        lambda model: model.train(),
        lambda model: model.to(torch.float64),
        lambda model: model.add_hook("blocks.0.hook_resid_post", lambda activation, hook: 0 * activation),
    ],
    ids=["through data", "rows exchanged", "training", "double", "a hook"],
)
def test_what_was_done_to_a_loaded_model_does_not_come_with_the_next_load(tmp_path, tokens, change):
    path = directory(tmp_path / "m", "gpt2")
    edit_json(path / "config.json", resid_pdrop=0.5)
    model = load(str(path))
    before = run(model, tokens)[0].clone()
    change(model)
    torch.testing.assert_close(run(load(str(path)), tokens)[0], before, rtol=0, atol=0)


def test_a_model_in_training_is_not_run_where_dropout_changes_every_run(tmp_path, tokens):
    path = directory(tmp_path / "m", "gpt2")
    edit_json(path / "config.json", resid_pdrop=0.5)
    model = load(str(path)).train()
    with pytest.raises(ValueError, match=r"is in training, where dropout changes every run: call eval\(\)"):
        run(model, tokens)


@pytest.mark.parametrize("twin", ["", "@untrained"])
def test_a_model_whose_configuration_was_edited_is_another_model(tmp_path, tokens, twin):
    path = directory(tmp_path / "m", "gpt2")
    model = load(f"{path}{twin}")
    edit_json(path / "config.json", transformers_version="0.0", torch_dtype="float16")  # says nothing about the model
    assert load(f"{path}{twin}") is model
    edit_json(path / "config.json", layer_norm_epsilon=0.5)
    edited = load(f"{path}{twin}")
    assert edited is not model and not torch.allclose(edited(tokens), model(tokens), atol=1e-3)


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_a_file_of_the_same_size_that_was_copied_with_its_old_time_is_another(tmp_path, file):
    path, other = directory(tmp_path / "m", "gpt2"), directory(tmp_path / "other", "gpt2", seed=1)
    words = other / "tokenizer.json"
    words.write_text(words.read_text().replace('"w1"', '"tmp"').replace('"w2"', '"w1"').replace('"tmp"', '"w2"'))
    before = (path / file).stat()
    model, hashes = load(str(path)), (weight_hash(checkpoint(str(path))), config_hashes(checkpoint(str(path))))
    (path / file).write_bytes((other / file).read_bytes())
    os.utime(path / file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as `cp -p` and `rsync -t` leave it
    assert (path / file).stat().st_size == before.st_size
    assert load(str(path)) is not model
    assert (weight_hash(checkpoint(str(path))), config_hashes(checkpoint(str(path)))) != hashes


def test_a_model_whose_tokenizer_was_edited_is_another_model(tmp_path):
    path = directory(tmp_path / "m", "gpt2")
    model, file = load(str(path)), path / "tokenizer.json"
    assert model.tokenizer.convert_tokens_to_ids(["w1", "w2"]) == [4, 5]
    inner = json.loads(file.read_text())["model"]
    edit_json(file, model={**inner, "vocab": {**inner["vocab"], "w1": 5, "w2": 4}})
    edited = load(str(path))
    assert edited is not model and edited.tokenizer.convert_tokens_to_ids(["w1", "w2"]) == [5, 4]


def test_files_that_are_only_touched_are_the_same_model(tmp_path):
    path = directory(tmp_path / "m", "gpt2")
    model = load(str(path))
    for file in path.iterdir():
        os.utime(file, ns=(1, 1))
    assert load(str(path)) is model


# --- twins --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_permuted_twin_keeps_each_matrix_entry_for_entry_and_moves_them(tmp_path, tokens, family):
    path = str(directory(tmp_path / family, family))
    trained = dict(AutoModelForCausalLM.from_pretrained(path).named_parameters())
    twin = permuted(path)
    for name, moved in twin.named_parameters():
        if moved.ndim < 2:
            assert torch.equal(moved, trained[name])
        else:
            assert torch.equal(moved.flatten().sort().values, trained[name].flatten().sort().values)
            torch.testing.assert_close(moved.norm(), trained[name].norm())
            assert (moved == trained[name]).float().mean() < 0.1
    with torch.no_grad():
        torch.testing.assert_close(load(f"{path}@permuted")(tokens), twin(tokens).logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_twins_differ_from_their_parent_and_from_each_other(tmp_path, tokens, family):
    path = str(directory(tmp_path / family, family))
    logits = [load(name)(tokens) for name in (path, *twins(path))]
    assert all(not torch.allclose(a, b, atol=0.1) for i, a in enumerate(logits) for b in logits[:i])


def test_the_untrained_twin_is_an_initialisation_of_its_own_and_stays_when_the_folder_moves(tmp_path, tokens):
    one, two = directory(tmp_path / "one", "gpt2", seed=0), directory(tmp_path / "two", "gpt2", seed=1)
    untrained = load(f"{one}@untrained")
    torch.manual_seed(5)
    moved = shutil.copytree(one, tmp_path / "moved")
    assert torch.equal(untrained(tokens), load(f"{moved}@untrained")(tokens))
    other = load(f"{two}@untrained")
    assert (untrained.W_E != other.W_E).float().mean() > 0.99
    assert [twin.W_E.std().item() for twin in (untrained, other)] == pytest.approx([0.02, 0.02], rel=0.1)


def test_the_untrained_twins_of_five_trainings_are_five_networks_of_one_distribution():
    twins_of = [load(f"{name}@untrained") for name in MINIS]
    weights = {
        name: torch.stack([twin.state_dict()[name].flatten() for twin in twins_of])
        for name, tensor in twins_of[0].state_dict().items()
        if tensor.ndim >= 2 and tensor.is_floating_point() and tensor.std() > 0 and not name.endswith("mask")
    }
    assert len(weights) >= 20
    for name, five in weights.items():
        close = torch.corrcoef(five) - torch.eye(len(MINIS))
        assert close.abs().max() < 6 / five.shape[1] ** 0.5, name  # independent draws
        assert (five.std(dim=1) / five.std() - 1).abs().max() < 6 / five.shape[1] ** 0.5, name


def test_making_twins_leaves_the_random_state_alone(tmp_path):
    path = str(directory(tmp_path / "m", "gpt2"))
    before = torch.random.get_rng_state()
    load(f"{path}@untrained"), load(f"{path}@permuted")
    assert torch.equal(torch.random.get_rng_state(), before)


# --- bad files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_named_with_its_file(tmp_path, bad):
    path = directory(tmp_path / "m", "gpt2")
    weights = load_file(path / "model.safetensors")
    weights["transformer.h.1.mlp.c_fc.weight"][3, 4] = bad
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    for name in (str(path), f"{path}@permuted"):
        with pytest.raises(IncompleteModel, match=r"m/model.safetensors: transformer.h.1.mlp.c_fc.weight has 1 NaN"):
            load(name)


def test_a_damaged_header_is_named(tmp_path):
    path = directory(tmp_path / "m", "gpt2") / "model.safetensors"
    data = path.read_bytes().replace(b'"F32"', b'"F99"')
    path.write_bytes(data)
    with pytest.raises(IncompleteModel, match=r"m/model\.safetensors is damaged"):
        load(str(path.parent))


class _Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_is_refused_without_being_opened(tmp_path):
    path, trap = directory(tmp_path / "m", "gpt2"), tmp_path / "opened"
    (path / "model.safetensors").unlink()
    torch.save({"transformer.wte.weight": _Malicious(trap)}, path / "pytorch_model.bin")
    with pytest.raises(IncompleteModel, match=r"pytorch_model\.bin is a pickle"):
        load(str(path))
    assert not trap.exists()
    torch.load(path / "pytorch_model.bin", weights_only=False)
    assert trap.exists(), "the trap works, had it been opened"


def test_a_missing_tokenizer_is_an_error_that_names_it(tmp_path):
    path = directory(tmp_path / "m", "gpt2")
    (path / "tokenizer.json").unlink()
    with pytest.raises(IncompleteModel, match=r"tokenizer\.json is missing"):
        load(str(path))


def test_a_tokenizer_without_the_bos_that_is_promised_is_refused(tmp_path):
    path = directory(tmp_path / "m", "gpt2")
    file = path / "tokenizer.json"
    edit_json(file, added_tokens=[], model={**json.loads(file.read_text())["model"], "vocab": {"<unk>": 2, "w1": 4}})
    edit_json(path / "tokenizer_config.json", bos_token="<s>")
    with pytest.raises(IncompleteModel, match="does not know '<s>'"):
        load(str(path))


def test_a_device_that_is_not_there_is_refused(tmp_path, monkeypatch):
    path = str(directory(tmp_path / "m", "gpt2"))
    monkeypatch.setenv("MECHLIB_DEVICE", "tpu")
    with pytest.raises(ValueError, match="no device 'tpu': choose one of cpu, cuda, mps"):
        load(path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device 'cuda' is not on this machine"):
        load(path, device="cuda")


def test_loading_says_nothing(tmp_path, capfd):
    path = directory(tmp_path / "m", "neox")
    capfd.readouterr()
    load(str(path)), load(f"{path}@permuted")
    assert capfd.readouterr() == ("", "")


def test_a_tokenizer_made_in_a_test_gives_one_token_a_word():
    assert word_tokenizer()("w0 w5", add_special_tokens=False)["input_ids"] == [3, 8]
