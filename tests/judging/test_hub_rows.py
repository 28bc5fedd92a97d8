"""The rows on models of the Hub, on tiny random models of their families: every claim runs to its end.

Where no weights are, these rows are NOT RUN, and with weights most end at their gate. Here random models stand under
the same names in a Hub cache, with texts cut into tokens as those families cut them: GPT-2 and Pythia write a number
as one token, Qwen digit by digit. Gates are opened, so that what stands behind them runs too.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoXConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from mechlib.checkpoints.hub import HUB
from mechlib.checkpoints.resolve import checkpoint
from mechlib.evidence import Store, using
from mechlib.judging.claim import Claim
from mechlib.judging.judge import Attempt, attempt
from mechlib.lab.batching import batches
from mechlib.lab.models.loading import load
from mechlib.prompts.addition import addition
from mechlib.prompts.greater_than import greater_than
from mechlib.prompts.ioi import ioi
from mechlib.prompts.promptset import SPLITS, PromptSet
from tests.helpers.house import build, records

HERE = Path(__file__).resolve().parents[2]
BOS, UNKNOWN = "<|endoftext|>", "<unk>"
FEWER = 50  # sums of each set: with fewer, skewed values have no interval
NAMED = 100  # sentences of each set: in fewer, 17 names show too little of how they differ
NAMES = {"gpt2-small": "gpt2", "pythia-70m": "neox", "qwen2.5-0.5b": "qwen2"}
# How the tokenizers of GPT-2 and Pythia, and that of Qwen, cut a text before they join bytes to pieces.
# Of a number of four digits GPT-2 makes two tokens, for the years that are asked about.
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}{2}(?=\p{N}{2}(?!\p{N}))| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
DIGITS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def sums(split: str = "confirmation") -> PromptSet:
    return addition(split=split, wording="question")


# --- a Hub cache of tiny models -----------------------------------------------------------------------------------


def cut(family: str) -> pre_tokenizers.PreTokenizer:
    pieces = pre_tokenizers.Split(Regex(DIGITS if family == "qwen2" else WORDS), "isolated")
    return pre_tokenizers.Sequence([pieces, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def pieces(family: str, text: str) -> list[str]:
    return [piece for piece, _ in cut(family).pre_tokenize_str(text)]


@functools.cache
def vocabulary(name: str) -> dict[str, int]:
    """Every piece of the Hub rows' prompts, and numbers; the known text at the ids that the real model gives it."""
    said = ["=".join(map(str, range(199)))]
    for split in SPLITS:
        for rows in (sums(split), *(ioi(split=split, style="natural", extra=extra) for extra in ("", "object"))):
            said += [f"{row.clean}{row.glue}{row.answer}\n{row.corrupted}" for row in rows]
        said += [f"{row.clean}{row.answer}\n{row.corrupted}" for row in greater_than(split=split, style="natural")]
    said += [f"12{year:02}" for year in range(100)]
    text, ids = HUB[name].known
    known = dict(zip(pieces(NAMES[name], text), ids, strict=True))
    found = dict.fromkeys(piece for one in said for piece in pieces(NAMES[name], one) if piece not in known)
    return {BOS: 0, UNKNOWN: 1, **{piece: n for n, piece in enumerate(found, 2)}, **known}


def tokenizer(name: str) -> PreTrainedTokenizerFast:
    """One token a piece. GPT-2's own, unlike the others', says nowhere which token ends a text."""
    made = Tokenizer(WordLevel(vocabulary(name), unk_token=UNKNOWN))
    made.pre_tokenizer, made.decoder = cut(NAMES[name]), decoders.ByteLevel()
    ends = {} if name == "gpt2-small" else {"eos_token": BOS}
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token=UNKNOWN, **ends)


def configuration(name: str) -> PretrainedConfig:
    """GPT-2 with its 12 layers of 12 heads, of which some are published, the others with two layers of four."""
    ids = {"vocab_size": max(vocabulary(name).values()) + 1, "bos_token_id": 0, "eos_token_id": 0}
    if NAMES[name] == "gpt2":
        return GPT2Config(n_layer=12, n_head=12, n_embd=24, n_positions=64, **ids)
    shape = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 16, "intermediate_size": 32}
    if NAMES[name] == "neox":
        return GPTNeoXConfig(**shape, max_position_embeddings=64, **ids)
    return Qwen2Config(**shape, max_position_embeddings=64, num_key_value_heads=2, tie_word_embeddings=True, **ids)


def put(cache: Path, name: str) -> None:
    """A random model where a download of this name would be."""
    snapshot = cache / f"models--{HUB[name].repo.replace('/', '--')}" / "snapshots" / HUB[name].revision
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(configuration(name), attn_implementation="eager")
    with torch.no_grad():
        for label, parameter in model.named_parameters():
            norm = parameter.ndim == 1 and label.endswith("weight")
            parameter.copy_(torch.randn_like(parameter) * 0.3 + norm)
    model.save_pretrained(snapshot)
    tokenizer(name).save_pretrained(snapshot)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("hub")
        patch.setenv("HF_HUB_CACHE", str(folder))
        for name in NAMES:
            put(folder, name)
        yield folder


@pytest.fixture(scope="module")
def store(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with using(Store(tmp_path_factory.mktemp("house"), say=lambda line: None)) as opened:
        yield opened


# --- the claims ---------------------------------------------------------------------------------------------------


def sums_of(n: int | None = None, split: str = "confirmation", **settings: str) -> PromptSet:
    return addition(n if split == "reference" else FEWER, split=split, **settings)


def objects_of(n: int | None = None, split: str = "confirmation", **settings: str) -> PromptSet:
    return ioi(n if split == "reference" else NAMED, split=split, **settings)


def years_of(n: int | None = None, split: str = "confirmation", **settings: str) -> PromptSet:
    return greater_than(48, split=split, **settings)


@functools.cache
def topic(name: str) -> ModuleType:
    """A topic's file of claims on such models, whose claims ask for fewer prompts."""
    spec = importlib.util.spec_from_file_location(f"hub_{name}", HERE / "claims" / name / "test_pretrained.py")
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    if name == "addition":
        module.addition = sums_of
    elif name == "greater_than":
        module.greater_than, module.NATURAL = years_of, years_of(style="natural")
    else:
        module.ioi, module.NATURAL = objects_of, objects_of(style="natural")
    return module


def on_the_hub(name: str) -> list[FunctionType]:
    """The claims of a topic that have rows on models of the Hub."""

    def models(function: FunctionType) -> set[str]:
        marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
        return {str(value) for mark in marks if mark.args[0] == "model" for value in mark.args[1]}

    return [one for one in vars(topic(name)).values() if inspect.isfunction(one) and models(one) & set(HUB)]


def ended(found: Attempt, *units: str) -> None:
    """The claim came to its assert with finite numbers, or to a share of what is no whole."""
    assert found.read and {reading.measurement.unit for reading in found.read} <= set(units)
    if found.word == "silent":
        assert found.message.startswith("the denominator is ")
    else:
        assert found.word in ("SUPPORTED", "REFUTED", "INCONCLUSIVE"), found.message + found.trace
        assert found.asserted is not None
        estimate = found.asserted.to_dict()["estimate"]
        assert all(math.isfinite(estimate[number]) for number in ("value", "low", "high"))


TOPICS = ("addition", "ioi", "greater_than")
SUMS, OBJECTS, YEARS = map(on_the_hub, TOPICS)


def test_three_topics_have_rows_on_the_hub_in_one_file_and_in_the_published_ones():
    assert len(SUMS) >= 4 and len(OBJECTS) >= 10 and len(YEARS) >= 4
    others = [path for name in TOPICS for path in (HERE / "claims" / name).glob("test_*.py")]
    asking = {path.stem for path in others if re.search("HUB|gpt2|pythia|qwen", path.read_text(encoding="utf-8"))}
    assert "test_pretrained" in asking
    assert all(name == "test_pretrained" or name.startswith("test_published") for name in asking), asking


@pytest.mark.parametrize("name", NAMES)
def test_every_prompt_of_the_hub_rows_can_be_read_and_its_two_texts_align(cache, name):
    model = load(name)
    assert checkpoint(name).path.is_relative_to(cache)
    assert model.tokenizer.eos_token == BOS, "or what follows the end of a text would be searched for a number"
    numbers = [batch for split in SPLITS for batch in batches(model, sums(split))]
    names = [batch for split in SPLITS for batch in batches(model, ioi(split=split, style="natural"))]
    digits = name.startswith("qwen")
    assert {len(answer) for batch in numbers for answer in batch.answers} == ({1, 2, 3} if digits else {1})
    assert {batch.shared for batch in numbers} == ({0, 1, 2} if digits else {0})
    assert {len(answer) for batch in names for answer in batch.answers} == {1}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("function", SUMS, ids=lambda one: one.__name__)
def test_a_claim_about_sums_runs_to_its_end_behind_its_gate(store, function, name):
    ended(attempt(Claim(function), {"model": name}, gates_open=True), "pair")


@pytest.mark.parametrize("function", OBJECTS, ids=lambda one: one.__name__)
def test_a_claim_about_indirect_objects_in_gpt2_runs_to_its_end_behind_its_gate(store, function):
    ended(attempt(Claim(function), {"model": "gpt2-small"}, gates_open=True), "prompt")


@pytest.mark.parametrize("function", YEARS, ids=lambda one: one.__name__)
def test_a_claim_about_years_in_gpt2_runs_to_its_end_behind_its_gate(store, function):
    ended(attempt(Claim(function), {"model": "gpt2-small"}, gates_open=True), "prompt", "noun")


@pytest.mark.parametrize("twin", ["untrained", "permuted"])
def test_a_claim_about_the_published_heads_runs_on_the_twins(store, twin):
    (looks,) = [one for one in OBJECTS if one.__name__ == "test_gpt2s_name_movers_look_at_the_indirect_object"]
    ended(attempt(Claim(looks), {"model": f"gpt2-small@{twin}"}, gates_open=True), "prompt")


def test_a_claim_about_published_heads_is_not_run_on_a_model_of_which_nothing_is_published(store):
    (looks,) = [one for one in OBJECTS if one.__name__ == "test_gpt2s_name_movers_look_at_the_indirect_object"]
    found = attempt(Claim(looks), {"model": "pythia-70m"}, gates_open=True)
    assert found.word == "NOT RUN" and "nothing is published for pythia-70m, only for gpt2-small" in found.message


def test_rows_run_under_their_hub_name_and_say_at_which_gate_they_stopped(cache, pytester):
    build(pytester.path, "")
    (pytester.path / "claims" / "addition").mkdir()
    shutil.copy(HERE / "claims" / "addition" / "test_pretrained.py", pytester.path / "claims" / "addition")
    result = pytester.runpytest_inprocess("--records", "records.jsonl", "-k", "pythia-70m")
    assert result.ret == 0, result.stdout.str()
    found = records(pytester.path)
    assert len(found) == 3 and {record["model"] for record in found.values()} == {"pythia-70m"}
    assert found["test_models_up_to_a_billion_hardly_add/pythia-70m"]["verdict"] == "SUPPORTED"
    gated = [record for record in found.values() if record["verdict"] == "GATED"]
    assert len(gated) == 2 and all("0.000" in record["message"] and ">= 0.80" in record["message"] for record in gated)
    assert {model["weights"] for record in gated for model in record["models"]} == {
        f"EleutherAI/pythia-70m@{HUB['pythia-70m'].revision}"
    }
