"""Concepts that a feature may be found by: classes of tokens, told by their spelling or by the small models' world.

What a feature is labelled with describes the texts that were read. It is no claim: a claim asks other texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mechlib.lab.features.browsing.pieces import pieces
from mechlib.lab.models.loading import Model
from mechlib.prompts import world

PRECISION = 0.8  # the least share of a feature's firing that falls on the class that it is labelled with
ODDS = 3.0  # and how many times the odds of that share are those of any token's being there
LEAST = 10  # tokens that a feature fires on before it is labelled
PLACES = ("on", "before")

SPELLING = {
    "number": str.isdigit,
    "capital letter": lambda said: said[:1].isupper(),
    "punctuation": lambda said: bool(said) and not any(one.isalnum() or one.isspace() for one in said),
}
UNSPACED = {
    "line break": lambda said: "\n" in said,
    "middle of a word": lambda said: said[:1].isalpha(),
}


def concepts_of(model: Model) -> dict[str, tuple[int, ...]]:
    """Classes of the model's tokens by name, each the ids in it: of the small models' world where the model has its
    words, else by spelling ("number", "capital letter", "punctuation", "line break", "middle of a word")."""
    known = model.tokenizer.get_vocab()
    if all(known.get(word) == number for word, number in world.IDS.items()):
        return of_words(known, world_words())
    special = set(model.tokenizer.all_special_ids)
    said = {one: text for one, text in pieces(model, known.values()).items() if one not in special}
    found = {name: tuple(one for one, text in said.items() if test(text.strip())) for name, test in SPELLING.items()}
    found |= {name: tuple(one for one, text in said.items() if test(text)) for name, test in UNSPACED.items()}
    return {name: ids for name, ids in found.items() if ids}


def world_words() -> dict[str, Sequence[str]]:
    """The words of the small models' world by what they are."""
    cues = [words for lexicon in world.LEXICA for words in world.CUES[lexicon].values()]
    glue = dict.fromkeys(word for template in world.TEMPLATES for word in world.template_words(template))
    return {
        "number": world.NUMBERS,
        "number of two digits": world.NUMBERS[10:100],
        "number of three digits": world.NUMBERS[100:],
        "name": _both(world.NAMES),
        "woman's name": _both(world.WOMEN),
        "man's name": _both(world.MEN),
        "place": _both(world.PLACES),
        "object": _both(world.OBJECTS),
        "event": _both(world.NOUNS),
        "workplace": [words[0] for words in cues],
        "tool": [words[1] for words in cues],
        "work": [words[2] for words in cues],
        "pronoun": world.PRONOUNS,
        "filler": world.FILLERS,
        "word of a list": _both(world.INDUCTION_TOKENS),
        "word of a template": [word for word in glue if word[:1].isalpha()],
        "punctuation": [word for word in glue if not word[:1].isalnum()],
    }


def of_words(known: Mapping[str, int], words: Mapping[str, Sequence[str]]) -> dict[str, tuple[int, ...]]:
    """Classes of words as classes of ids: of the words that are one token of this vocabulary."""
    found = {name: tuple(sorted({known[word] for word in several if word in known})) for name, several in words.items()}
    return {name: ids for name, ids in found.items() if ids}


def _both(lexica: Mapping[world.Lexicon, Sequence[str]]) -> list[str]:
    return [word for lexicon in world.LEXICA for word in lexica[lexicon]]


@dataclass(frozen=True)
class Label:
    """A class of tokens that nearly all of a feature's firing falls on.

    name       of the class; `place` is "on" its tokens, or "before" them
    precision  the share of the feature's firing that is there; recall: of such places, that on which it fires
    """

    name: str
    place: str
    precision: float
    recall: float

    @property
    def score(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.precision * self.recall / (self.precision + self.recall)


class Concepts:
    """How often features fired on the tokens of classes, and on the token before one of them."""

    def __init__(self, features: int, d_vocab: int, concepts: Mapping[str, Sequence[int]]) -> None:
        self.names = tuple(concepts)
        self.members = torch.zeros(d_vocab, len(concepts))
        for number, ids in enumerate(concepts.values()):
            self.members[list(ids), number] = 1
        self.tokens = 0
        self.hits = {place: torch.zeros(features, len(concepts)) for place in PLACES}
        self.there = {place: torch.zeros(len(concepts)) for place in PLACES}

    def add(
        self, fired: Bool[Tensor, "batch pos features"], ids: Int[Tensor, "batch pos"], read: Bool[Tensor, "batch pos"]
    ) -> None:
        """Counts, in float32, which is exact up to 16 million. `read` is where a token of the text stands."""
        on = self.members[ids] * read.unsqueeze(-1)
        before = torch.cat([on[:, 1:], torch.zeros_like(on[:, :1])], dim=1) * read.unsqueeze(-1)
        flat = fired.flatten(0, 1).float().T
        for place, such in zip(PLACES, (on, before), strict=True):
            self.hits[place] += flat @ such.flatten(0, 1)
            self.there[place] += such.sum((0, 1))
        self.tokens += int(read.sum())

    def label(self, feature: int, fired: int) -> Label | None:
        """The class that a feature is found by: of those that four fifths of its firing fall on, at three times the
        odds of any token, the one with the largest harmonic mean of precision and recall. None where there is none, and
        for a feature that fires on fewer than ten tokens.

        Of equals the first, "on" before "before", which is how the narrower of two nested classes comes out: its recall
        is the larger.
        """
        best: Label | None = None
        if fired < LEAST:
            return None
        for place in PLACES:
            for number, name in enumerate(self.names):
                own, there = float(self.hits[place][feature, number]), float(self.there[place][number])
                if not own or own < PRECISION * fired:
                    continue
                if own * (self.tokens - there) <= ODDS * there * (fired - own):
                    continue
                label = Label(name, place, own / fired, own / there)
                best = label if best is None or label.score > best.score else best
        return best
