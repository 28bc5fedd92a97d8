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
from mechlib.prompts.world import FILLERS

WORD: Final = re.compile(r"\w+|[^\w\s]")
LATE: Final = 80  # of the years 11 to 98

Word = re.Match[str]
Told = dict[int, bool]  # by the character behind a word's last one: whether it is; others are not asked


def _repeated(prompt: Prompt) -> Iterator[tuple[Word, bool]]:
    seen: set[str] = set()
    for word in WORD.finditer(prompt.clean):
        yield word, word[0] in seen
        seen.add(word[0])


def _name_again(prompt: Prompt) -> Iterator[tuple[Word, bool]]:
    names = _levels(prompt, "name")
    for word, before in _repeated(prompt):
        yield word, before and word[0] in names


def _pronoun_of_a_woman(prompt: Prompt) -> Iterator[tuple[Word, bool]]:
    for word in WORD.finditer(prompt.clean):
        yield word, word[0].lower() in ("she", "her")


def _before_the_sentence(prompt: Prompt) -> Iterator[tuple[Word, bool]]:
    words = list(WORD.finditer(prompt.clean))
    begins = next((place for place, word in enumerate(words) if word[0] not in FILLERS), len(words))
    yield from ((word, place < begins) for place, word in enumerate(words))


def _start(prompt: Prompt) -> Iterator[tuple[Word, bool]]:
    words = list(WORD.finditer(prompt.clean))
    year = next(place for place, word in enumerate(words) if word[0].endswith(prompt.label("year")))
    yield from ((word, place == year) for place, word in enumerate(words))


def _carry(prompt: Prompt) -> Iterator[tuple[Word, bool]]:
    yield _last(prompt), prompt.label("carry") == "carry"


def _late_start(prompt: Prompt) -> Iterator[tuple[Word, bool]]:
    yield _last(prompt), int(prompt.label("year")) >= LATE


def _woman(prompt: Prompt) -> Iterator[tuple[Word, bool]]:
    yield _last(prompt), prompt.label("gender") == "woman"


CONCEPTS: Final[dict[str, Callable[[Prompt], Iterator[tuple[Word, bool]]]]] = {
    "said-before": _repeated,
    "name-said-before": _name_again,
    "before-the-sentence": _before_the_sentence,
    "year-it-began": _start,
    "pronoun-of-a-woman": _pronoun_of_a_woman,
    "late-start": _late_start,
    "carry": _carry,
    "woman": _woman,
}


def told(prompt: Prompt, concept: str) -> Told:
    """Which words of a prompt's clean text are the concept, by the character behind each; those left out are not asked.

    "said-before"          every word that stands earlier in the text, against all others
    "name-said-before"     a name (factor `name`) that does, against all other words
    "before-the-sentence"  the fillers that a text of the small models begins with, against all other words
    "year-it-began"        the label `year`, against all other words; of a longer number its last token
    "pronoun-of-a-woman"   she or her, against all other words
    "late-start"           the last word, where the label `year` is 80 or more, against other last words
    "carry"                the last word, where the label `carry` says so, against other last words
    "woman"                the last word, where the label `gender` says so, against other last words

    Raises ValueError for other concepts, KeyError for prompts without such a label or factor.
    """
    if concept not in CONCEPTS:
        raise ValueError(f"no concept {concept!r}: choose one of {'; '.join(CONCEPTS)}")
    return {word.end(): is_it for word, is_it in CONCEPTS[concept](prompt)}


def where_told(batch: Batch, concept: str) -> Int[Tensor, "batch pos"]:
    """1 at tokens that are the concept, 0 at tokens that are not, -1 where it is not asked: BOS, a word's first tokens.

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
