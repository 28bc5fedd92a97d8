"""A toy from a notebook is saved and loaded as the same function, to the bit, or refused by name."""

import json
import shutil
import socket
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mechlib.checkpoints.checkpoint import IncompleteModel, twins
from mechlib.checkpoints.described.memory import memory
from mechlib.checkpoints.files import config_hashes, problems, weight_hash
from mechlib.checkpoints.native import tensors
from mechlib.checkpoints.resolve import checkpoint
from mechlib.lab.models.loading import checkpoint_of, load
from mechlib.lab.models.native import save
from tests.helpers.notebook import OF_BRIDGES, SHAPE, VARIANTS, WORDS, bridge, hooked, some_tokens
from tests.helpers.tiny import edit_json

BRIDGES = VARIANTS | OF_BRIDGES


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return save(bridge(), WORDS, tmp_path / "toy")


# --- the same function --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", BRIDGES)
def test_a_model_is_loaded_as_it_was_saved_to_the_bit(tmp_path, variant):
    model = bridge(**BRIDGES[variant])
    path = save(model, WORDS, tmp_path / "toy")
    with torch.no_grad():
        assert torch.equal(load(str(path))(some_tokens()), model(some_tokens()))
    assert set(load_file(path / "model.safetensors")) == set(model.state_dict())


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_hooked_transformer_is_converted_to_the_same_logits_and_attention(tmp_path, variant):
    model = hooked(**VARIANTS[variant])
    again = load(str(save(model, WORDS, tmp_path / "toy")))
    kept = ["blocks.0.attn.hook_pattern", "blocks.0.hook_resid_post"]
    with torch.no_grad():
        wanted, theirs = model.run_with_cache(some_tokens(), names_filter=lambda name: name in kept)
        logits, ours = again.run_with_cache(some_tokens())
    torch.testing.assert_close(logits, wanted, rtol=1e-5, atol=1e-5)
    for name in kept:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-5, atol=1e-5)
    assert wanted.std() > 0.2 and theirs[kept[0]].std() > 0.05, "an error would show"


@pytest.mark.parametrize("variant", BRIDGES)
def test_tensors_are_known_from_the_configuration(tmp_path, variant):
    model = bridge(**BRIDGES[variant])
    path = save(model, WORDS, tmp_path / "toy")
    config = json.loads((path / "config.json").read_text())
    assert tensors(config) == {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    parameters = sum(tensor.numel() for tensor in model.state_dict().values())
    known = memory(checkpoint(str(path)))
    assert known.parameters == parameters
    assert known.activations == 4 * 1024 * (16 * config["n_layers"] * 16 + 2 * len(WORDS))


def test_a_directory_holds_three_files_and_is_readable_as_others_are(toy, tmp_path):
    assert sorted(file.name for file in toy.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert [file.name for file in tmp_path.iterdir()] == ["toy"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    modes = [{stat.S_IMODE(path.stat().st_mode) for path in (one, *one.iterdir())} for one in (toy, tmp_path / "mine")]
    assert modes[0] == modes[1]


def test_a_saved_model_is_found_by_its_path_and_hashes_to_what_it_is(toy, tmp_path):
    same = checkpoint(str(save(bridge(), WORDS, tmp_path / "same")))
    other = checkpoint(str(save(bridge(n_layers=1), WORDS, tmp_path / "other")))
    words = checkpoint(str(save(bridge(), WORDS[::-1], tmp_path / "words")))
    capped = checkpoint(str(save(bridge(attn_scores_soft_cap=9.0), WORDS, tmp_path / "capped")))
    first = checkpoint(str(save(bridge(), WORDS, tmp_path / "first", bos="w3")))
    own = checkpoint(str(toy))
    assert (own.kind, own.bos, first.bos, problems(own)) == ("local", "", "w3", ())
    assert (weight_hash(own), config_hashes(own)) == (weight_hash(same), config_hashes(same))
    assert weight_hash(other) != weight_hash(own)
    assert weight_hash(words) == weight_hash(own) and config_hashes(words)[1] != config_hashes(own)[1]
    assert weight_hash(capped) == weight_hash(own) and config_hashes(capped)[0] != config_hashes(own)[0]
    assert config_hashes(first)[0] != config_hashes(own)[0]


def test_saving_leaves_the_model_as_it_was(tmp_path):
    model = bridge().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.random.get_rng_state()
    save(model, WORDS, tmp_path / "toy")
    assert model.training and all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), random)


@pytest.mark.parametrize("variant", ["LN", "RMS", "LN folded", "attention only", "grouped", "rotary", "bidirectional"])
def test_folding_leaves_probabilities_alone(tmp_path, variant):
    model = bridge(**BRIDGES[variant])
    folded = load(str(save(model, WORDS, tmp_path / "toy")), folded=True)
    with torch.no_grad():
        torch.testing.assert_close(folded(some_tokens()).softmax(-1), model(some_tokens()).softmax(-1))
    assert checkpoint_of(folded).processing == "folded" and folded.W_U.mean(-1).abs().max() < 1e-6


@pytest.mark.parametrize(("variant", "said"), [("final RMS", "is another model"), ("no norms", "has no norms to fold")])
def test_what_would_be_another_model_folded_is_refused(tmp_path, variant, said):
    path = save(bridge(**BRIDGES[variant]), WORDS, tmp_path / "toy")
    with pytest.raises(ValueError, match=said):
        load(str(path), folded=True)


# --- twins --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", BRIDGES)
def test_twins_are_the_same_architecture_and_other_functions(tmp_path, variant):
    path = str(save(bridge(**BRIDGES[variant]), WORDS, tmp_path / "toy"))
    models = [load(name) for name in (path, *twins(path))]
    logits = [model(some_tokens()) for model in models]
    assert all(not torch.allclose(a, b, atol=0.05) for i, a in enumerate(logits) for b in logits[:i])
    trained, untrained, permuted = ({n: t.shape for n, t in model.state_dict().items()} for model in models)
    assert trained == untrained == permuted


def test_the_untrained_twin_starts_as_its_configuration_says(tmp_path):
    wide = {"d_model": 64, "d_head": 16, "n_heads": 4}
    for mode, spread in (("gpt2", 0.5), ("xavier_normal", (2 / (64 + len(WORDS))) ** 0.5)):
        settings = wide | {"init_mode": mode} | ({"initializer_range": 0.5} if mode == "gpt2" else {})
        path = save(bridge(**settings), WORDS, tmp_path / mode)
        moved = shutil.copytree(path, tmp_path / f"{mode} again")
        twin, again = load(f"{path}@untrained"), load(f"{moved}@untrained")
        assert twin.W_E.std().item() == pytest.approx(spread, rel=0.1)
        assert torch.equal(twin.blocks[0].ln1.weight, torch.ones(64)) and not twin.b_U.any()
        assert torch.equal(twin.W_E, again.W_E), "it follows from what the model is, not from where it lies"


def test_the_permuted_twin_keeps_each_matrix_entry_for_entry_and_moves_them(toy):
    trained, moved = load(str(toy)).state_dict(), load(f"{toy}@permuted").state_dict()
    for name, tensor in trained.items():
        if tensor.ndim < 2:
            assert torch.equal(moved[name], tensor)
        else:
            assert torch.equal(moved[name].flatten().sort().values, tensor.flatten().sort().values)
            assert (moved[name] == tensor).float().mean() < 0.2


# --- bad files ----------------------------------------------------------------------------------------------------


def rewritten(path: Path, **changes: torch.Tensor | None) -> None:
    """Change tensors of the weight file; None takes one out."""
    weights = load_file(path / "model.safetensors") | changes
    kept = {name: tensor for name, tensor in weights.items() if tensor is not None}
    save_file(kept, path / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"blocks.1.attn.q.bias": None}, r"lacks blocks\.1\.attn\.q\.bias"),
        ({"blocks.2.attn.q.bias": torch.zeros(16)}, r"has unexpected blocks\.2\.attn\.q\.bias"),
        ({"embed.weight": torch.zeros(22, 16)}, r"embed\.weight is \(22, 16\), config\.json says \(23, 16\)"),
        ({"embed.weight": torch.zeros(23, 16).half()}, r"embed\.weight is stored as F16"),
        ({"unembed.bias": torch.full((23,), torch.nan)}, "unembed.bias has 23 NaN"),
    ],
)
def test_weights_that_are_not_what_the_configuration_says_are_refused_by_name(toy, changes, said):
    rewritten(toy, **changes)
    for name in (str(toy), f"{toy}@untrained"):
        with pytest.raises(IncompleteModel, match=said):
            load(name)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"act_fn": "solu"}, "act_fn is 'solu', not one of gelu"),
        ({"attention_dir": "both"}, "attention_dir is 'both', not one of causal, bidirectional"),
        ({"n_heads": 0}, "n_heads is 0, not a positive number"),
        ({"n_layers": 3}, r"lacks blocks\.2\.attn\.k\.bias"),
        ({"attn_only": True}, r"has unexpected blocks\.0\.ln2\.bias"),
        ({"format": 2}, "of format 2, not 1"),
        ({"window_size": 3}, "has window_size, which no native model has"),
        ({"bos": "<s>"}, "bos is '<s>', which is no word"),
        ({"d_vocab_out": 24}, r"unembed\.bias is \(23,\), config\.json says \(24,\)"),
    ],
)
def test_a_configuration_that_was_edited_is_refused_by_field(toy, changes, said):
    edit_json(toy / "config.json", **changes)
    with pytest.raises(IncompleteModel, match=said):
        load(str(toy))


def test_a_configuration_that_lacks_a_field_is_refused(toy):
    config = json.loads((toy / "config.json").read_text())
    del config["attention_dir"]
    (toy / "config.json").write_text(json.dumps(config))
    with pytest.raises(IncompleteModel, match=r"config\.json lacks attention_dir"):
        load(str(toy))


def test_words_of_another_model_are_refused(toy, tmp_path):
    other = save(bridge(d_vocab=9), WORDS[:9], tmp_path / "other")
    (toy / "tokenizer.json").write_bytes((other / "tokenizer.json").read_bytes())
    with pytest.raises(IncompleteModel, match=r"tokenizer\.json has 9 words, config\.json says 23"):
        load(str(toy))


def test_everything_that_shapes_the_function_is_in_the_configuration(toy):
    said = json.loads((toy / "config.json").read_text())
    assert {**SHAPE, "d_vocab_out": 23}.items() - {("seed", 1), ("device", "cpu")} <= said.items()
