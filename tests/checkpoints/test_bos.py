"""What stands first is what a directory declares, wherever it does, or what was asked for; it is in the key."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import AutoTokenizer, GPT2Config, GPTNeoXConfig, Qwen2Config

from mechlib.checkpoints.bos import declared, token_id
from mechlib.checkpoints.checkpoint import MINIS
from mechlib.checkpoints.files import config_hashes
from mechlib.checkpoints.hub import HUB
from mechlib.checkpoints.resolve import checkpoint
from mechlib.checkpoints.tokenizer import telling
from tests.helpers.tiny import directory, edit_json

END = "<|endoftext|>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory whose vocabulary has tokens that might be BOS, and which declares none."""
    save(tmp_path, Tokenizer(WordLevel({"<s>": 0, "<unk>": 1, END: 2, "w": 3}, unk_token="<unk>")))
    return tmp_path


def save(folder: Path, tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))


def write(file: Path, **said: object) -> None:
    file.write_text(json.dumps(said))


# --- declared -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["<s>", {"content": "<s>", "lstrip": False, "__type": "AddedToken"}])
@pytest.mark.parametrize("file", ["tokenizer_config.json", "special_tokens_map.json"])
def test_bos_is_found_in_either_file_as_text_or_as_an_added_token(folder, file, token):
    write(folder / file, bos_token=token, eos_token=END)
    assert declared(folder) == ("<s>", file)
    write(folder / "config.json", model_type="llama", vocab_size=4)
    assert AutoTokenizer.from_pretrained(folder).bos_token == "<s>"


def test_the_configuration_of_the_tokenizer_counts_before_the_map(folder):
    write(folder / "special_tokens_map.json", bos_token="<unk>")
    write(folder / "tokenizer_config.json", bos_token="<s>")
    assert declared(folder).text == "<s>"


@pytest.mark.parametrize(
    "processor",
    [
        processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)]),
        processors.Sequence(
            [
                processors.ByteLevel(),
                processors.TemplateProcessing(single="<s> $A <unk>", special_tokens=[("<s>", 0), ("<unk>", 1)]),
            ]
        ),
        processors.RobertaProcessing((END, 2), ("<s>", 0)),
    ],
)
def test_bos_is_what_the_post_processor_puts_first(folder, processor):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = processor
    save(folder, tokenizer)
    assert tokenizer.encode("w").tokens[0] == "<s>"
    assert declared(folder) == ("<s>", "the post-processor of tokenizer.json")


def test_what_a_post_processor_puts_last_is_no_bos(folder):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <s>", special_tokens=[("<s>", 0)])
    save(folder, tokenizer)
    assert declared(folder).text == ""


def test_the_end_of_a_turn_is_never_put_before_prompts(folder):
    write(folder / "tokenizer_config.json", bos_token=None, eos_token="<|im_end|>", pad_token=END)
    write(folder / "config.json", model_type="qwen2", bos_token_id=2, eos_token_id=2)
    assert declared(folder) == ("", "no BOS is declared")


def test_a_declared_bos_counts_though_the_tokenizer_adds_none_by_itself(folder):
    write(folder / "tokenizer_config.json", bos_token="<s>", add_bos_token=False)
    assert declared(folder).text == "<s>"


@pytest.mark.parametrize(
    ("name", "config", "tokenizer_config"),
    [
        ("gpt2-small", GPT2Config(), {"model_max_length": 1024}),  # as the Hub's gpt2 has it
        ("gpt2-medium", GPT2Config(), {"model_max_length": 1024, "tokenizer_class": "GPT2TokenizerFast"}),
        ("pythia-70m", GPTNeoXConfig(), {"tokenizer_class": "GPTNeoXTokenizer"}),
        ("pythia-1b", GPTNeoXConfig(), {"tokenizer_class": "GPTNeoXTokenizer", "bos_token": END}),
        ("qwen2.5-0.5b", Qwen2Config(), {"tokenizer_class": "Qwen2Tokenizer", "bos_token": None, "eos_token": END}),
    ],
)
def test_a_known_family_by_path_begins_as_by_name_and_as_its_tokenizers_class_says(
    folder, name, config, tokenizer_config
):
    config.save_pretrained(folder)
    write(folder / "tokenizer_config.json", **tokenizer_config)
    assert declared(folder).text == checkpoint(name).bos == HUB[name].bos
    assert HUB[name].bos == (AutoTokenizer.from_pretrained(folder).bos_token or "")


def test_a_gpt2_that_declares_expressly_that_it_has_none_gets_none(folder):
    GPT2Config().save_pretrained(folder)
    write(folder / "tokenizer_config.json", tokenizer_class="GPT2Tokenizer", bos_token=None)
    assert declared(folder).text == "" and AutoTokenizer.from_pretrained(folder).bos_token is None


def test_a_gpt2_with_a_tokenizer_of_its_own_has_no_bos_of_gpt2s(folder):
    write(folder / "config.json", model_type="gpt2")
    write(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    assert declared(folder).text == ""
    tokenizer = Tokenizer(WordLevel({"<unk>": 0, "w": 1}, unk_token="<unk>"))
    save(folder, tokenizer)
    write(folder / "config.json", model_type="gpt2")
    write(folder / "tokenizer_config.json", model_max_length=64)
    assert declared(folder).text == "", "a token that the vocabulary lacks is none"


# --- asked for ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "bos"), [("<unk>", "<unk>"), ("none", "")])
def test_what_is_asked_for_stands_first_in_models_by_path_and_of_the_hub_alone(folder, monkeypatch, asked, bos):
    write(folder / "tokenizer_config.json", bos_token="<s>")
    monkeypatch.setenv("MECHLIB_BOS", asked)
    found = checkpoint(f"{folder}@permuted")
    assert (found.bos, found.bos_source) == (bos, "asked for; its own is '<s>'")
    assert checkpoint("pythia-70m").bos == bos
    assert checkpoint("mini-0").bos == "<bos>" and checkpoint("planted-induction").bos == "<bos>"
    monkeypatch.delenv("MECHLIB_BOS")
    assert checkpoint(str(folder)).bos == "<s>"


def test_a_token_has_the_id_of_its_vocabulary_whatever_kind_that_is(folder):
    assert [token_id(folder, token) for token in ("<s>", "w", "v")] == [0, 3, None]
    write(
        folder / "tokenizer.json", added_tokens=[{"content": "<b>", "id": 7}], model={"vocab": [["<x>", 0], ["y", -1]]}
    )
    assert [token_id(folder, token) for token in ("<b>", "y", "v")] == [7, 1, None]


# --- hashed -------------------------------------------------------------------------------------------------------


def test_settings_beside_the_tokenizer_that_say_nothing_leave_its_hash_alone(tmp_path):
    path = directory(tmp_path / "m", "gpt2")
    for name in ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"):
        (path / name).unlink(missing_ok=True)
    bare = config_hashes(checkpoint(str(path)))
    write(
        path / "tokenizer_config.json",
        bos_token="<bos>", eos_token="<bos>", unk_token="<unk>", model_max_length=99, chat_template="{{ m }}",
        tokenizer_class="TokenizersBackend", padding_side="left", additional_special_tokens=["<bos>"],
        added_tokens_decoder={},
    )  # fmt: skip
    write(path / "special_tokens_map.json", bos_token={"content": "<bos>"}, eos_token="<bos>")
    write(path / "added_tokens.json", **{"<bos>": 0})
    assert config_hashes(checkpoint(str(path))) == bare


@pytest.mark.parametrize("name", MINIS)
def test_nothing_is_left_of_the_settings_of_the_minis_so_that_their_keys_stay(name):
    assert telling(checkpoint(name).path) == {}


TOKEN = {"content": "w1", "special": True, "lstrip": False, "rstrip": True, "normalized": False, "single_word": False}


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("tokenizer_config.json", {"added_tokens_decoder": {"4": TOKEN}}),
        ("tokenizer_config.json", {"additional_special_tokens": ["w1 w2"]}),
        ("tokenizer_config.json", {"extra_special_tokens": {"image": "w3"}}),
        ("tokenizer_config.json", {"split_special_tokens": True}),
        ("tokenizer_config.json", {"add_prefix_space": True}),
        ("tokenizer_config.json", {"eos_token": "w1"}),
        ("tokenizer_config.json", {"a_field_of_tomorrow": 1}),
        ("special_tokens_map.json", {"additional_special_tokens": [{"content": "w1 w2"}]}),
        ("added_tokens.json", {"w1 w2": 40}),
    ],
)
def test_settings_that_can_change_ids_are_another_tokenizer(tmp_path, file, said):
    path = directory(tmp_path / "m", "gpt2")
    before = config_hashes(checkpoint(str(path)))
    (path / file).touch()
    (path / file).write_text(json.dumps(said | ({"bos_token": "<bos>"} if file.startswith("tokenizer") else {})))
    after = config_hashes(checkpoint(str(path)))
    assert after[0] == before[0] and after[1] != before[1]


def test_another_bos_is_another_key_though_the_tokenizer_hashes_to_the_same(tmp_path):
    path = directory(tmp_path / "m", "gpt2")
    before = checkpoint(str(path))
    edit_json(path / "tokenizer_config.json", bos_token="w1", eos_token="w1")
    after = checkpoint(str(path))
    assert config_hashes(after) == config_hashes(before) and (before.bos, after.bos) == ("<bos>", "w1")
