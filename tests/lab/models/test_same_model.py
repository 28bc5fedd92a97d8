"""A directory is loaded whole, and computes what Hugging Face's own forward pass computes, or it is refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from mechlib.checkpoints.bos import with_bos
from mechlib.checkpoints.checkpoint import IncompleteModel, NotTheSameModel
from mechlib.checkpoints.described.details import text_ids
from mechlib.checkpoints.files import weight_hash
from mechlib.checkpoints.resolve import checkpoint
from mechlib.lab.models import huggingface
from mechlib.lab.models.loading import load
from mechlib.lab.models.tokens import bos_ids, ids_of, tokens
from mechlib.prompts.promptset import Prompt
from tests.helpers.families import OTHERS, other_directory
from tests.helpers.tiny import BOS_ID, FAMILIES, VOCABULARY, digit_directory, directory, edit_json

PROMPT = torch.tensor([[BOS_ID, *range(3, 13)]])
WITH_TWIN = ["", "@permuted"]
UNKNOWN = ("gpt2 without scale", "neox without biases", "cohere")


def with_tensors(path: Path, change) -> Path:
    """The directory with its tensors changed: `change` gets them by name and returns what is saved instead."""
    made = change(load_file(path / "model.safetensors"))
    save_file(made, path / "model.safetensors", metadata={"format": "pt"})
    return path


def without(name: str):
    return lambda tensors: {one: tensor for one, tensor in tensors.items() if one != name}


# --- whole --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("twin", WITH_TWIN)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_tensor_that_is_missing_is_named_and_never_filled_at_random(tmp_path, family, twin):
    path = directory(tmp_path / "m", family)
    name = next(name for name in load_file(path / "model.safetensors") if "mlp" in name and name.endswith("weight"))
    with_tensors(path, without(name))
    with pytest.raises(IncompleteModel, match=f"m: the file lacks {name}: config.json and the weights"):
        load(f"{path}{twin}")


def test_an_unembedding_of_the_files_is_used_whatever_config_says_about_tying(tmp_path):
    path = directory(tmp_path / "m", "llama")
    own = load(str(path))(PROMPT)
    edit_json(path / "config.json", tie_word_embeddings=True)
    torch.testing.assert_close(load(str(path))(PROMPT), own, rtol=0, atol=0)


@pytest.mark.parametrize("twin", WITH_TWIN)
@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (3, r"the file lacks transformer\.h\.2\.\S+, transformer\.h\.2\.\S+, transformer\.h\.2\.\S+ and 9 more:"),
        (1, r"the file has, without a place in the model, transformer\.h\.1\.\S+, \S+, \S+ and 8 more:"),
    ],
)
def test_a_configuration_of_more_or_fewer_layers_than_the_file_is_refused(tmp_path, layers, said, twin):
    path = directory(tmp_path / "m", "gpt2")
    edit_json(path / "config.json", n_layer=layers)
    with pytest.raises(IncompleteModel, match=said):
        load(f"{path}{twin}")


def test_a_tensor_of_another_shape_is_named_with_both_shapes(tmp_path):
    path = directory(tmp_path / "m", "llama")
    edit_json(path / "config.json", intermediate_size=48)
    with pytest.raises(IncompleteModel, match=r"other shapes: \S+mlp.down_proj.weight \[32, 64\], not \[32, 48\]"):
        load(str(path))


@pytest.mark.parametrize(("wrapper", "inside"), [("_orig_mod.", "model._orig_mod"), ("module.", "model.module")])
def test_the_tensors_of_a_known_wrapper_are_refused_before_anything_is_loaded(tmp_path, wrapper, inside):
    path = directory(tmp_path / "m", "gpt2")
    with_tensors(path, lambda tensors: {wrapper + name: tensor for name, tensor in tensors.items()})
    said = f"all tensors of model.safetensors are named {wrapper}[*]: save {inside}, not its wrapper"
    with pytest.raises(IncompleteModel, match=said):
        load(str(path))


def test_an_unknown_prefix_of_all_tensors_is_named(tmp_path):
    path = directory(tmp_path / "m", "llama")
    with_tensors(path, lambda tensors: {f"student.net.{name}": tensor for name, tensor in tensors.items()})
    with pytest.raises(
        IncompleteModel, match=r"m: 21 tensors are named student\.net\.\*, .* take 'student\.net\.' off"
    ):
        load(str(path))


def test_masks_that_older_files_hold_beside_the_weights_are_no_tensors_of_the_model(tmp_path):
    mask, below = torch.ones(1, 1, 32, 32, dtype=torch.bool).tril(), torch.tensor(-1e9)
    path, old = directory(tmp_path / "new", "neox"), directory(tmp_path / "old", "neox")
    own = "gpt_neox.layers.0.attention."
    extra = {f"{own}bias": mask, f"{own}masked_bias": below, f"{own}rotary_emb.inv_freq": torch.ones(1)}
    with_tensors(old, lambda tensors: tensors | extra)
    assert torch.equal(load(str(old))(PROMPT), load(str(path))(PROMPT))
    gpt2, bare = directory(tmp_path / "gpt2", "gpt2"), directory(tmp_path / "bare", "gpt2")
    old_names = {"h.0.attn.bias": mask.float(), "h.1.attn.masked_bias": below}
    with_tensors(bare, lambda ts: {name.removeprefix("transformer."): ts[name] for name in ts} | old_names)
    assert torch.equal(load(str(bare))(PROMPT), load(str(gpt2))(PROMPT)), "as the Hub's own gpt2 is named"


def test_what_is_hashed_is_what_is_loaded_where_an_index_lies_beside_a_single_file(tmp_path):
    path = directory(tmp_path / "m", "gpt2")
    wanted, hashed = load(str(path))(PROMPT), weight_hash(checkpoint(str(path)))
    tensors = load_file(path / "model.safetensors")
    save_file({name: -tensor for name, tensor in tensors.items()}, path / "part-1.safetensors", {"format": "pt"})
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, "part-1.safetensors")}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert weight_hash(checkpoint(str(path))) == hashed
    assert torch.equal(load(str(path))(PROMPT), wanted)
    (path / "model.safetensors").unlink()
    assert weight_hash(checkpoint(str(path))) != hashed
    shards = AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval()
    torch.testing.assert_close(load(str(path))(PROMPT), shards(PROMPT).logits, rtol=1e-5, atol=1e-5)


def test_shards_of_which_the_index_forgets_a_tensor_are_refused(tmp_path):
    path = directory(tmp_path / "m", "gpt2")
    tensors = load_file(path / "model.safetensors")
    (path / "model.safetensors").unlink()
    first, second = list(tensors)[:9], list(tensors)[9:]
    for number, names in enumerate((first, second)):
        save_file({name: tensors[name] for name in names}, path / f"part-{number}.safetensors", {"format": "pt"})
    index = {"metadata": {}, "weight_map": dict.fromkeys(first, "part-0.safetensors")}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(IncompleteModel, match=r"m: the file lacks lm_head\.weight, transformer"):
        load(str(path))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"transformers_weights": "other.safetensors"}, "transformers_weights, which names another file"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantization_config, which stores weights"),
    ],
)
def test_settings_that_load_other_weights_than_those_that_are_hashed_are_refused(tmp_path, settings, said):
    path = directory(tmp_path / "m", "gpt2")
    edit_json(path / "config.json", **settings)
    with pytest.raises(IncompleteModel, match=f"config.json has {said}"):
        load(str(path))


def test_an_adapter_beside_the_weights_is_refused(tmp_path):
    path = directory(tmp_path / "m", "gpt2")
    (path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(path)}))
    with pytest.raises(IncompleteModel, match="an adapter's, whose weights are elsewhere: merge it"):
        load(str(path))


# --- the same -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("family", [family for family in OTHERS if family not in UNKNOWN])
def test_other_families_compute_what_hugging_face_computes(tmp_path, family, folded):
    path = other_directory(tmp_path / "m", family)
    reference = AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval()
    with torch.no_grad():
        wanted = reference(PROMPT).logits.log_softmax(-1)
    torch.testing.assert_close(load(str(path), folded=folded)(PROMPT).log_softmax(-1), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("twin", ["", "@untrained", "@permuted"])
@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("gpt2 without scale", r"logits differ by .* transformer-lens leaves out .* scale_attn_weights=false"),
        ("cohere", "logits differ by .* Cohere turns neighbouring coordinates"),
        ("neox without biases", r"cannot be taken by transformer-lens \(gpt_neox\): .* attention_bias=false"),
    ],
)
def test_a_setting_that_the_library_leaves_out_is_refused_by_its_name(tmp_path, family, said, twin):
    path = other_directory(tmp_path / "m", family)
    with pytest.raises(NotTheSameModel, match=rf"m{twin} .*{said}"):
        load(f"{path}{twin}")


def test_a_difference_whose_reason_nobody_knows_is_refused_all_the_same(tmp_path, monkeypatch):
    path = other_directory(tmp_path / "m", "cohere")
    monkeypatch.setattr(huggingface, "_LEFT_OUT", ())
    with pytest.raises(NotTheSameModel, match=r"m would be run otherwise than it is: .* does not know a setting"):
        load(str(path))


def test_folding_that_changes_more_than_a_constant_is_refused(tmp_path, monkeypatch):
    path = str(directory(tmp_path / "m", "gpt2"))
    own = type(load(path)).enable_compatibility_mode

    def scaled(model, **options):
        own(model, **options)
        with torch.no_grad():
            model.unembed.original_component.weight.mul_(1.01)

    monkeypatch.setattr(type(load(path)), "enable_compatibility_mode", scaled)
    with pytest.raises(NotTheSameModel, match="m, folded, would be run otherwise"):
        load(path, folded=True)


def test_a_family_that_transformers_does_not_know_is_refused_in_one_line(tmp_path):
    path = directory(tmp_path / "m", "gpt2")
    edit_json(path / "config.json", model_type="kandinsky-lm", architectures=["KandinskyLM"])
    with pytest.raises(NotTheSameModel, match=r"m cannot be loaded by transformers: ValueError: [^\n]*$"):
        load(str(path))


def test_the_prompt_that_is_compared_is_always_the_same_begins_with_bos_and_reaches_far_words(tmp_path):
    model = huggingface.trained(directory(tmp_path / "m", "gpt2"))
    first, again = (huggingface.probe(model, [BOS_ID])[0].tolist() for _ in range(2))
    assert first == again and first[0] == BOS_ID and len(first) == huggingface.PROBE
    assert len(set(first)) == huggingface.PROBE and max(first) > 3 * VOCABULARY // 4
    model.config.n_positions = 5
    assert huggingface.probe(model, []).shape == (1, 5)


# --- what stands first --------------------------------------------------------------------------------------------


def test_a_text_that_brings_its_own_bos_gets_no_second_one(tmp_path):
    model = load(str(directory(tmp_path / "m", "gpt2")))
    assert tokens(model, "w0 w1").tolist() == tokens(model, "<bos> w0 w1").tolist() == [BOS_ID, 3, 4]
    assert tokens(model, "<bos> <bos> w0").tolist() == [BOS_ID, BOS_ID, 3], "a second one that was typed stays"
    typed, plain = (Prompt(f"{first}w0 w1 w2", "w3", f"{first}w0 w5 w2", "w4") for first in ("<bos> ", ""))
    seen, wanted = ids_of(model, typed), ids_of(model, plain)
    assert (seen.clean, seen.corrupted, seen.answer) == (wanted.clean, wanted.corrupted, wanted.answer)


def test_without_bos_a_model_reads_what_its_tokenizer_gives(tmp_path, monkeypatch):
    path = directory(tmp_path / "m", "qwen2")
    edit_json(path / "tokenizer_config.json", bos_token=None, eos_token="w9")
    model = load(str(path))
    assert tokens(model, "w0 w1").tolist() == [3, 4], "and not its end of turn first"
    monkeypatch.setenv("MECHLIB_BOS", "w9")
    asked = load(str(path))
    assert asked is not model and tokens(asked, "w0 w1").tolist() == [12, 3, 4]
    monkeypatch.setenv("MECHLIB_BOS", "zork")
    with pytest.raises(IncompleteModel, match=r"m: the tokenizer does not know 'zork', .*: ask for a token of its voc"):
        load(str(path))


def test_ids_that_are_shown_without_torch_are_those_that_are_measured(tmp_path):
    for number, path in enumerate(
        (directory(tmp_path / "words", "gpt2"), digit_directory(tmp_path / "digits", "llama"))
    ):
        text = ("<bos> w0 w1 nowhere", "What is 23 + 54 ?")[number]
        shown = text_ids(str(path), text)
        model = load(str(path))
        unchecked = with_bos(bos_ids(model), model.tokenizer(text, add_special_tokens=False)["input_ids"])
        assert [identity for identity, _ in shown] == unchecked and shown[0] == (BOS_ID, "<bos>")
