"""Concepts: which words are what, by hand, and which tokens these words are."""

import pytest
import torch

from mechlib.lab.batching import Batch, batches
from mechlib.lab.features.named.concepts import told, where_told
from mechlib.lab.models.loading import load
from mechlib.prompts.addition import addition
from mechlib.prompts.greater_than import greater_than
from mechlib.prompts.induction import repeats
from mechlib.prompts.ioi import ioi
from mechlib.prompts.people import people
from mechlib.prompts.promptset import Prompt

NAMED = (("name", ("Ann", "Tom")),)


def words(text: str, concept: str, factors=(), **labels: str) -> list[str]:
    prompt = Prompt(text, answer="", labels=tuple(labels.items()), factors=factors)
    ends = [end for end, is_it in told(prompt, concept).items() if is_it]
    return [text[:end].split()[-1] for end in ends]


@pytest.mark.parametrize(
    ("text", "concept", "extra", "wanted"),
    [
        ("a b c b a", "said-before", {}, ["b", "a"]),
        ("when Ann met Tom , when Ann gave", "name-said-before", {"factors": NAMED}, ["Ann"]),
        ("oh well The oh war", "before-the-sentence", {}, ["oh", "well"]),
        ("The war from the year 1273 to 12", "year-it-began", {"year": "73"}, ["1273"]),
        ("Ann said she lost her hat and he his", "pronoun-of-a-woman", {}, ["she", "her"]),
        ("from 12 80 to the year 12", "late-start", {"year": "80"}, ["12"]),
        ("from 12 79 to the year 12", "late-start", {"year": "79"}, []),
        ("What is 7 + 5 ?", "carry", {"carry": "carry"}, ["?"]),
        ("Ann smiled when", "woman", {"gender": "woman"}, ["when"]),
    ],
)
def test_the_words_that_are_it(text, concept, extra, wanted):
    assert words(text, concept, **extra) == wanted


def test_what_is_asked_at_the_end_is_asked_nowhere_else():
    prompt = Prompt("What is 7 + 5 ?", answer="", labels=(("carry", "no carry"),))
    assert told(prompt, "carry") == {len(prompt.clean): False}


def test_a_concept_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="no concept 'a noun': choose one of said-before"):
        told(Prompt("a b", answer=""), "a noun")
    with pytest.raises(KeyError, match="no factor 'name'"):
        told(Prompt("a b", answer=""), "name-said-before")


@pytest.mark.parametrize(
    ("prompts", "concept"),
    [
        (repeats(12, split="discovery"), "said-before"),
        (ioi(12, split="discovery"), "name-said-before"),
        (people(12, split="discovery"), "pronoun-of-a-woman"),
        (greater_than(12, split="discovery"), "year-it-began"),
        (addition(12, split="discovery"), "carry"),
    ],
)
def test_tokens_of_the_small_models_are_the_words_behind_bos(prompts, concept):
    for batch in batches(load("mini-pilot"), prompts, alone=True):
        found = where_told(batch, concept)
        assert found.shape == batch.tokens.shape
        assert (found[:, 0] == -1).all()
        for row, prompt in zip(found[:, 1:], batch.prompts, strict=True):
            said, pieces, at = told(prompt, concept), prompt.clean.split(), 0
            for word, mark in zip(pieces, row.tolist(), strict=True):
                at = prompt.clean.index(word, at) + len(word)
                assert mark == (int(said[at]) if at in said else -1)


def test_of_a_word_of_several_tokens_the_last_one_is_meant():
    prompt = Prompt("war from 1273 to 12", answer="", labels=(("year", "73"),))
    spans = ((0, 3), (3, 8), (9, 11), (11, 13), (13, 16), (16, 18), (18, 19))  # as another tokenizer would cut it
    cut = Batch((0,), (prompt,), torch.zeros(1, 8, dtype=torch.long), None, ((),), ((),), spans=(spans,))
    assert where_told(cut, "year-it-began").tolist() == [[-1, 0, 0, -1, 1, 0, -1, 0]]
