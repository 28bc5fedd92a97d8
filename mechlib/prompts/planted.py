"""Prompts of the planted models: what their circuits, which were written down by hand, can do without an error.

Discovery, confirmation and reference share no text: which split a text belongs to is decided by its digest. All
prompts of a model have one length, but what matters stands at another place in each, so that the mean over prompts at
a position says nothing.
"""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Callable
from typing import Final

from mechlib.checkpoints.planted import CUES, DIGITS, FILLERS, KINDS, N_FILLERS, NAMES, WORDS, plan
from mechlib.prompts import sampling as draws
from mechlib.prompts.promptset import SPLITS, Prompt, PromptSet, Split

SIZES: Final[dict[Split, int]] = {"discovery": 50, "confirmation": 100, "reference": 100}
SPOKEN: Final = 10  # words of an induction prompt


@functools.cache
def planted(
    model: str = "planted-induction", n: int | None = None, split: Split = "confirmation", seed: int = 0
) -> PromptSet:
    """Prompts for a planted model, by its name; they depend on the kind, not on the embedding's seed or the size.

        induction    amber RIVER STONE tiger ... RIVER -> STONE              amber ISLAND CLOUD tiger ... ISLAND
        ioi, backup  oh MARY and JOHN met , well JOHN gave so it to -> MARY  oh TOM and ANNA met , well PAUL gave ...
        adder, bias  so add 7 oh to 8 well well gives -> 5                   oh well add 2 well to 1 so gives

    (clean with its answer, and corrupted; capitals only here). Corrupted texts answer differently, and are chosen so
    that every edge of the circuit carries something else on them:
    induction, place: another pair in the same places, of words that the clean text lacks; the distractor is its answer.
    ioi: three different other names, so that nobody is said twice; the distractor is the name said twice.
    adder: other digits in other places, another sum; the distractor is that sum.

    Default n: 100, for discovery 50. Raises ValueError for other models, n < 1, unknown splits, and where there are
    not n different prompts.
    """
    known = plan(model)
    if known is None:
        raise ValueError(f"{model!r} is no planted model: write planted-KIND, of {', '.join(KINDS)}; others have tasks")
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}: choose one of {', '.join(SPLITS)}")
    task = {"backup": "ioi", "bias": "adder", "place": "induction"}.get(known.kind, known.kind)
    one = {"induction": _induction, "ioi": _ioi, "adder": _adder}[task]
    stream = draws.generator(f"planted-{task}", split, seed)
    return draws.distinct(
        f"planted-{task}", split, SIZES[split] if n is None else n, lambda: _of(split, one, stream), seed=seed
    )


def _of(split: Split, one: Callable[[random.Random], Prompt], stream: random.Random) -> Prompt:
    while True:
        prompt = one(stream)
        if SPLITS[hashlib.sha256(prompt.clean.encode()).digest()[0] % len(SPLITS)] == split:
            return prompt


def _induction(stream: random.Random) -> Prompt:
    *said, other, another = draws.several(stream, WORDS, SPOKEN + 1)
    at = draws.below(stream, SPOKEN - 3)
    clean = [*said, said[at]]
    corrupted = [*said[:at], other, another, *said[at + 2 :], other]
    return Prompt(" ".join(clean), said[at + 1], " ".join(corrupted), another)


def _ioi(stream: random.Random) -> Prompt:
    one, two, *others = draws.several(stream, NAMES, 5)
    twice, once = (one, two) if draws.below(stream, 2) else (two, one)
    fillers = _fillers(stream)

    def text(first: str, second: str, third: str) -> str:
        return " ".join(
            [*fillers[0], first, "and", second, "met", ",", *fillers[1], third, "gave", *fillers[2], "it", "to"]
        )

    return Prompt(text(one, two, twice), once, text(*others), twice)


def _adder(stream: random.Random) -> Prompt:
    clean, corrupted = _sum(stream), _sum(stream)
    while any(one == other for one, other in zip(clean, corrupted, strict=True)):
        corrupted = _sum(stream)
    return Prompt(clean[0], clean[1], corrupted[0], corrupted[1])


def _sum(stream: random.Random) -> tuple[str, str, str, str, int, int]:
    """A sentence, its answer, its two digits, and where they stand."""
    a, b = (DIGITS[draws.below(stream, 10)] for _ in range(2))
    lead, between, trail = _fillers(stream)
    words = [*lead, CUES[0], a, *between, CUES[1], b, *trail, "gives"]
    places = (len(lead), len(lead) + len(between))
    return " ".join(words), str((int(a) + int(b)) % 10), a, b, *places


def _fillers(stream: random.Random) -> tuple[list[str], list[str], list[str]]:
    """The fillers of a sentence, dealt to its three gaps."""
    dealt: tuple[list[str], list[str], list[str]] = ([], [], [])
    for _ in range(N_FILLERS):
        dealt[draws.below(stream, 3)].append(FILLERS[draws.below(stream, len(FILLERS))])
    return dealt
