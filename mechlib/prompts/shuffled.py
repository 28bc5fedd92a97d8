"""Prompts with another row's corrupted text, answer or distractor, or their own words in another order: what a claim
about their own is compared with."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Literal

from mechlib.prompts import sampling as draws
from mechlib.prompts.promptset import Prompt, PromptSet


def shuffled_pairs(prompts: PromptSet, seed: int = 0) -> PromptSet:
    """The same clean texts and answers, each with the corrupted text and the distractor of another row of its cluster.

    Texts stay aligned by the word: those of one template differ in how many fillers they begin with, and the corrupted
    text is given as many as the clean one has, by its own first words. `seed` says by how many rows they are shifted.

    Raises ValueError where a row has no corrupted text, or nothing else of its cluster could be right after it.
    """
    rows: dict[int, Prompt] = {}
    for cluster in dict.fromkeys(row.cluster for row in prompts):
        own = [number for number, row in enumerate(prompts) if row.cluster == cluster]
        for place, number in enumerate(own):
            others = [prompts.rows[own[(place + 1 + seed + step) % len(own)]] for step in range(len(own))]
            rows[number] = _paired(prompts.rows[number], others, cluster)
    shuffled = tuple(rows[number] for number in range(len(prompts)))
    return replace(prompts, rows=shuffled, settings=(*prompts.settings, ("shuffled", seed)))


def _paired(row: Prompt, others: list[Prompt], cluster: str) -> Prompt:
    for other in others:
        if not other.corrupted or not other.distractor:
            raise ValueError(f"{other.clean!r} has no corrupted text or no distractor: there is no pair to shuffle")
        corrupted = _as_long(other.corrupted, row.clean)
        if corrupted not in (row.corrupted, row.clean) and other.distractor != row.answer:
            return replace(row, corrupted=corrupted, distractor=other.distractor)
    where = f"of cluster {cluster!r}" if cluster else "of the set"
    raise ValueError(f"no other corrupted text {where} fits {row.clean!r}: every one is right with the same answer")


def _as_long(text: str, like: str) -> str:
    """A text with its front cut, or filled with the front of the other, to as many words."""
    words, own = text.split(), like.split()
    more = len(own) - len(words)
    return text if not more else " ".join([*own[:more], *words] if more > 0 else words[-more:])


def shuffled_answers(prompts: PromptSet, seed: int = 0) -> PromptSet:
    """The same texts and distractors, each with the answer of another row of its cluster.

    No row gets its own answer, its distractor or a word of its text. Within a cluster answers only change places: what
    is written towards words whatever the text says is written towards these as much, on average, as towards the right
    ones. `seed` says by how many rows they are shifted first.

    Raises ValueError where a row has no answer, or no exchange gives it another one.
    """
    return _shuffled(prompts, "answer", seed)


def shuffled_distractors(prompts: PromptSet, seed: int = 0) -> PromptSet:
    """The same texts and answers, each with the distractor of another row of its cluster: see `shuffled_answers`."""
    return _shuffled(prompts, "distractor", seed)


def _shuffled(prompts: PromptSet, which: Literal["answer", "distractor"], seed: int) -> PromptSet:
    given: dict[int, str] = {}
    for cluster in dict.fromkeys(row.cluster for row in prompts):
        own = [number for number, row in enumerate(prompts) if row.cluster == cluster]
        shift = 1 + seed % max(1, len(own) - 1)
        words = [getattr(prompts.rows[number], which) for number in own]
        given |= {number: words[(place + shift) % len(own)] for place, number in enumerate(own)}
        for number in own:
            if not _fits(prompts.rows[number], given[number]):
                _exchange(prompts, given, number, own, which)
    rows = tuple(
        replace(row, answer=given[number]) if which == "answer" else replace(row, distractor=given[number])
        for number, row in enumerate(prompts)
    )
    return replace(prompts, rows=rows, settings=(*prompts.settings, (f"{which}s shuffled", seed)))


def _exchange(prompts: PromptSet, given: dict[int, str], number: int, own: list[int], which: str) -> None:
    """Gives a row the word of the first other one where both then have one that fits."""
    row = prompts.rows[number]
    for other in own:
        if _fits(row, given[other]) and _fits(prompts.rows[other], given[number]):
            given[number], given[other] = given[other], given[number]
            return
    where = f"of cluster {row.cluster!r}" if row.cluster else "of the set"
    raise ValueError(f"no other {which} {where} fits {row.clean!r}: give more prompts, with more than one {which}")


def _fits(row: Prompt, word: str) -> bool:
    """Whether a word is neither right nor wrong in this row, and not said in it."""
    return word not in ("", row.answer, row.distractor) and word not in row.clean.split()


def shuffled_repeats(prompts: PromptSet, seed: int = 0) -> PromptSet:
    """Sequences said twice, `repeats(half=...)`, with the second half in another order, the same words behind the same
    first one.

    No word of it, but the first, stands in its own place, and none behind the word that it stood behind: who knows
    which words were said, and nothing of their order, does as well as before. Raises ValueError where a text does not
    end in as many words, said twice, as its label `half` says.
    """
    rows = tuple(
        replace(row, clean=_reordered(row, draws.generator(f"shuffled {row.clean}", prompts.split, seed)))
        for row in prompts
    )
    return replace(prompts, rows=rows, settings=(*prompts.settings, ("second half shuffled", seed)))


def _reordered(row: Prompt, stream: random.Random) -> str:
    words, half = row.clean.split(), int(row.label("half"))
    own = words[-half:]
    if half < 3 or words[-2 * half : -half] != own:
        raise ValueError(f"{row.clean!r} does not end in {half} words, three or more, said twice: take `repeats`")
    before = dict(zip(own[1:], own, strict=False))
    while True:
        new = [own[0], *draws.several(stream, own[1:], half - 1)]
        if all(new[place] != own[place] and before[new[place]] != new[place - 1] for place in range(1, half)):
            return " ".join([*words[:-half], *new])
