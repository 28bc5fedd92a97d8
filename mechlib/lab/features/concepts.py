"""Concepts: which words of a prompt are what, told by the prompt's own text and labels.

Each is a class of words, or of places, that no single token stands for: the same word is it here and is it not there,
or many words are it, those that judge being others than those that chose. Words that begin or end what is asked are
told by their characters, so that a model may cut them as it does; of a word the last token is meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import torch
from jaxtyping import Int
from torch import Tensor

from mechlib.lab.batching import Batch
from mechlib.prompts.promptset import Prompt

WORD: Final = re.compile(r"\w+|[^\w\s]")
PRONOUNS: Final = frozenset({"she", "he", "her", "his", "him"})
MIDDLE: Final = 55  # of the years 11 to 98

Word = re.Match[str]
Told = dict[int, bool]  # by the character behind a word's last one: whether the word is it; words left out are not asked


def _repeated(prompt: Prompt) -> Iterator[tuple[Word, bool]]:
    seen: set[str] = set()
    for word in WORD.finditer(prompt.clean):
        yield word, word[0] in seen
        seen.add(word[0])


def _name_again(prompt: Prompt) -> Iterator[tuple[Word, bool]]:
    names = _levels(prompt, "name")
    for word, before in _repeated(prompt):
        yield word, before and word[0] in names


def _woman(prompt: Prompt) -> Iterator[tuple[Word, bool]]:
    names, woman = _levels(prompt, "name"), prompt.label("gender") == "woman"
    for word in WORD.finditer(prompt.clean):
        if word[0].lower() not in PRONOUNS:
            yield word, woman and word[0] in names


def _pronoun_of_a_woman(prompt: Prompt) -> Iterator[tuple[Word, bool]]:
    for word in WORD.finditer(prompt.clean):
        yield word, word[0].lower() in ("she", "her")


def _second_operand(prompt: Prompt) -> Iterator[tuple[Word, bool]]:
    words = list(WORD.finditer(prompt.clean))
    second = [place for place, word in enumerate(words) if word[0].isdecimal()][1]
    yield from ((word, place == second) for place, word in enumerate(words))


def _start(prompt: Prompt) -> Iterator[tuple[Word, bool]]:
    words = list(WORD.finditer(prompt.clean))
    year = next(place for place, word in enumerate(words) if word[0].endswith(prompt.label("year")))
    yield from ((word, place == year) for place, word in enumerate(words))


def _carry(prompt: Prompt) -> Iterator[tuple[Word, bool]]:
    yield _last(prompt), prompt.label("carry") == "carry"


def _late_start(prompt: Prompt) -> Iterator[tuple[Word, bool]]:
    yield _last(prompt), int(prompt.label("year")) >= MIDDLE


def _first_name_is_meant(prompt: Prompt) -> Iterator[tuple[Word, bool]]:
    yield _last(prompt), prompt.label("order") == "ABBA"


CONCEPTS: Final[dict[str, Callable[[Prompt], Iterator[tuple[Word, bool]]]]] = {
    "a word said before": _repeated,
    "a name said before": _name_again,
    "a woman's name": _woman,
    "a woman's pronoun": _pronoun_of_a_woman,
    "the second operand": _second_operand,
    "the year it began": _start,
    "a carry, before the answer": _carry,
    "a late start, before the end": _late_start,
    "the first name is meant, at the end": _first_name_is_meant,
}


def told(prompt: Prompt, concept: str) -> Told:
    """Which words of a prompt's clean text are the concept, by the character behind each; those left out are not asked.

    "a word said before"   every word that stands earlier in the text, against all others
    "a name said before"   a name (factor `name`) that does, against all other words
    "a woman's name"       the name (factor `name`) of a woman (label `gender`), against all words but pronouns
    "a woman's pronoun"    she or her, against all other words
    "the second operand"   the second number, against all other words
    "the year it began"    the label `year`, against all other words; of a longer number its last token
    "a carry, ..."         the last word, where the label `carry` says so, against last words where it does not
    "a late start, ..."    the last word, where the label `year` is 55 or more, against last words where it is not
    "the first name ..."   the last word, where the label `order` is ABBA, against last words where it is not

    Raises ValueError for other concepts, KeyError for prompts without such a label or factor.
    """
    if concept not in CONCEPTS:
        raise ValueError(f"no concept {concept!r}: choose one of {'; '.join(CONCEPTS)}")
    return {word.end(): is_it for word, is_it in CONCEPTS[concept](prompt)}


def where_told(batch: Batch, concept: str) -> Int[Tensor, "batch pos"]:
    """1 at tokens that are the concept, 0 at tokens that are not, -1 where it is not asked (BOS, a word's first tokens).

    Raises ValueError as `told` does, and where the tokenizer does not say where its tokens stand.
    """
    found = torch.full(batch.tokens.shape, -1, device=batch.tokens.device)
    for row, (prompt, spans) in enumerate(zip(batch.prompts, batch.spans, strict=True)):
        if not spans:
            raise ValueError(
                f"the tokenizer does not say where the tokens of {prompt.clean!r} stand: save it as tokenizer.json"
            )
        lead, is_it = batch.tokens.shape[1] - batch.shared - len(spans), told(prompt, concept)
        for place, (_, end) in enumerate(spans):
            found[row, lead + place] = int(is_it[end]) if end in is_it else -1
    return found


def _last(prompt: Prompt) -> Word:
    return list(WORD.finditer(prompt.clean))[-1]


def _levels(prompt: Prompt, factor: str) -> tuple[str, ...]:
    for name, levels in prompt.factors:
        if name == factor:
            return levels
    raise KeyError(f"no factor {factor!r}: this prompt has {', '.join(name for name, _ in prompt.factors) or 'none'}")
