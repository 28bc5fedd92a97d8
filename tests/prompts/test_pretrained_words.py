"""Words for pretrained models, held against the tokenizers of these models."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import pytest

from mechlib.checkpoints.checkpoint import UnknownModel
from mechlib.checkpoints.resolve import checkpoint
from mechlib.checkpoints.tokenizer import read_tokenizer
from mechlib.prompts import greater_than, induction, ioi, repeats
from mechlib.prompts.pretrained import lexicon
from mechlib.prompts.promptset import SPLITS, PromptSet

NAMES = ("smollm2-135m", "gemma3-270m", "qwen2.5-coder-0.5b", "gpt2-small")
OF_DIGITS = NAMES[:3]


@functools.cache
def tokenizer_of(name: str) -> Any:
    """From where `mechlib fetch` brings the model, or from below MECHLIB_PRETRAINED."""
    own = os.environ.get("MECHLIB_PRETRAINED")
    try:
        found = Path(own) / name if own else checkpoint(name).path
    except UnknownModel:
        found = Path(name)
    if not (found / "tokenizer.json").is_file():
        pytest.skip(f"`mechlib fetch {name}` brings its tokenizer")
    return read_tokenizer(found)


def sets() -> list[PromptSet]:
    made = [task(split=split, style="pretrained") for task in (ioi, induction, repeats) for split in SPLITS]
    return made + [ioi(corrupt=corrupt, style="pretrained") for corrupt in ("names", "tokens")]


@pytest.mark.pretrained
@pytest.mark.parametrize("name", NAMES)
def test_every_word_is_one_token(name):
    tokenizer = tokenizer_of(name)
    lists = (lexicon.NAMES, lexicon.OBJECTS, lexicon.NOUNS, lexicon.WORDS)
    words = [f" {word}" for own in lists for split in own.values() for word in split]
    words += [f"{space}{word}" for word in lexicon.FILLERS for space in ("", " ")]
    found = tokenizer(words, add_special_tokens=False)["input_ids"]
    assert not [word for word, ids in zip(words, found, strict=True) if len(ids) != 1]
    for prompts in sets():
        texts, counts = zip(*prompts.cut, strict=True)
        assert [len(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]] == list(counts)


@pytest.mark.pretrained
@pytest.mark.parametrize("name", NAMES)
def test_prompts_of_one_sentence_are_as_long(name):
    """Behind one BOS, clean and corrupted; so a mean by position exists for every prompt of confirmation."""
    tokenizer = tokenizer_of(name)
    lengths: dict[str, set[int]] = {}
    for split in SPLITS:
        for row in ioi(split=split, style="pretrained"):
            for text in filter(None, (row.clean, row.corrupted)):
                lengths.setdefault(row.cluster, set()).add(len(tokenizer(text, add_special_tokens=False)["input_ids"]))
    assert {len(own) for own in lengths.values()} == {1}


@pytest.mark.pretrained
@pytest.mark.parametrize("digit", ["tens", "units"])
@pytest.mark.parametrize("name", OF_DIGITS)
def test_a_year_is_read_digit_by_digit(name, digit):
    tokenizer = tokenizer_of(name)
    prompts = greater_than(style="pretrained", digit=digit)
    for row in prompts:
        before, whole = (
            tokenizer(text, add_special_tokens=False)["input_ids"] for text in (row.clean, row.clean + row.answer)
        )
        assert whole[:-1] == before and tokenizer.decode(whole[-1:]).strip() == row.answer
    assert len({len(tokenizer(row.clean)["input_ids"]) for row in prompts}) == 1
