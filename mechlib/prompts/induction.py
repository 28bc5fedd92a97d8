"""Induction: continue `A B ... A` with `B`, and sequences said twice.

Words are the tasks' random words, half of them for discovery and the other half for confirmation, so that nothing
that is learned about single words on one half helps on the other. The reference set, for means and resampling only,
is made of the discovery half. Every prompt begins with 0 to 8 fillers, so that no position gives anything away.

The words of a sequence are drawn at random, for each anew: sequences are independent, and have no factors
(docs/STATISTICS.md, R6). In the style "pretrained" words are one token in the models that it is for, a sequence is said
again up to A, for one pair alone such models hardly continue, and the words that answer are a factor.
"""

from __future__ import annotations

import functools
import random
from dataclasses import replace
from itertools import product
from typing import Final, Literal, get_args

from mechlib.prompts import sampling as draws
from mechlib.prompts import world
from mechlib.prompts.pretrained import lexicon
from mechlib.prompts.pretrained.style import Style
from mechlib.prompts.promptset import SPLITS, Prompt, PromptSet, Split

SIZES: Final[dict[Split, int]] = {"discovery": 200, "confirmation": 400, "reference": 200}
LENGTHS: Final = range(12, 41)  # words of an induction prompt, fillers included
NEAREST: Final = 3  # words between the two A, counted from one to the other: A B x A
DISTANCES: Final = (("short", 3), ("medium", 8), ("long", 16))  # from so many words on
HALVES: Final = range(8, 25)  # words of a sequence that is said twice
FILLERS: Final = range(world.MAX_FILLERS + 1)
LEADS: Final = range(1, world.MAX_FILLERS + 1)  # where the first word of a text is another token than later
ONCE: Final = range(12, 25)  # words of a sequence that is said again up to A
LEAST: Final = 4  # words that are said again

Corruption = Literal["answer", "previous"]  # the word of the pair A B that the corrupted text has another one for


@functools.cache
def induction(
    n: int | None = None,
    split: Split = "confirmation",
    seed: int = 0,
    corrupt: Corruption = "answer",
    style: Style = "world",
) -> PromptSet:
    """Sequences of different words in which one pair recurs: what followed A before follows again.

        clean      well oh apple RIVER STONE tiger silver window RIVER -> STONE
        corrupted  well oh apple RIVER CLOUD tiger silver window RIVER -> CLOUD

    (capitals only here). Clean and corrupted differ in one word, the one after the first A, so activations align by
    position, and each is the other's kind: both are sequences that a model can continue, to different words. What
    the difference of their runs can come from is therefore which word followed A, and nothing about A, its places,
    or the length. No other word occurs twice, C is not in the clean text nor B in the corrupted, and any of the words
    is as likely to be B as to be C: a model that prefers words by themselves scores zero on average.

    With `corrupt="previous"` the same clean texts, answers and distractors have another corruption: it is the first A
    that is another word, and B stays.

        corrupted  well oh apple MEADOW STONE tiger silver window RIVER

    What the runs' difference can come from is then what says, at B or behind it, which word stood before B: what a
    previous-token head writes there, and an induction head finds by its key. A occurs once and nothing follows it, so
    no answer is right; neither the new word nor C is in the clean text, and C is in neither.

    12 to 40 words with the fillers, every length as often as the others; the first A anywhere before the last three
    words. Labels: `distance` from the first A to the last (short 3 to 7, medium 8 to 15, long 16 and more) and
    `length`. Default n: 400 for confirmation, 200 otherwise. Raises ValueError on n < 1, unknown splits, and where
    there are not n different prompts.

    With `style="pretrained"`, which `style_of(model)` chooses, 12 to 24 other words behind 1 to 8 fillers are said
    again from the first on, four or more of them, and A is the last of these:

        clean      well so apple tiger RIVER STONE silver window apple tiger RIVER -> STONE

    Corruptions and labels are the same; with `corrupt="previous"` what stood before A may still tell where it stood.
    The factor is the word: answer and distractor.

    Source: Olsson et al. 2022, arXiv:2209.11895, for the task; the corruption follows from the definition of
    induction, for only what comes after A differs.
    """
    if style == "pretrained":
        return _said_again(n, split, seed, corrupt)
    words, stream = _start("induction", split, seed, style)
    lengths = draws.rounds(stream, LENGTHS)
    fillers = draws.rounds(stream, FILLERS)

    if corrupt not in get_args(Corruption):
        raise ValueError(f"no corruption {corrupt!r}: choose {' or '.join(get_args(Corruption))}")
    others = draws.generator("induction, previous word", split, seed)  # its own, so that the clean texts stay the same

    def draw() -> Prompt:
        length, lead = next(lengths), next(fillers)
        prompt = _recurring(stream, words, draws.several(stream, world.FILLERS, lead), length - lead)
        return prompt if corrupt == "answer" else _without_previous(others, words, prompt)

    fixed: dict[str, str] = {} if corrupt == "answer" else {"corrupt": corrupt}
    return draws.distinct("induction", split, _size(n, split), draw, "sequence", seed=seed, **fixed)


@functools.cache
def repeats(
    n: int | None = None,
    split: Split = "confirmation",
    seed: int = 0,
    half: int | None = None,
    fillers: int | None = None,
    style: Style = "world",
) -> PromptSet:
    """Sequences of different words, said twice: the second time every word but the first can be known.

        clean      oh apple river stone cloud tiger silver window apple river stone cloud tiger silver window

    For losses and attention scores: there is no answer and no corruption. Each sequence has 8 to 24 words after
    0 to 8 fillers, every combination as often as the others; the label `half` is the number of words said twice.
    `half` and `fillers` fix either number: prompts of one length run in one batch, which hundreds of ablations need.
    With `style="pretrained"`, which `style_of(model)` chooses, words are one token in SmolLM2, Gemma 3, Qwen2.5 and
    GPT-2, and 1 to 8 fillers stand before them.
    Default n: 400 for confirmation, 200 otherwise. Raises ValueError as `induction` does.
    """
    words, stream = _start("repeats", split, seed, style)
    before, known = (lexicon.FILLERS, LEADS) if style == "pretrained" else (world.FILLERS, FILLERS)
    _check("half", half, HALVES)
    _check("fillers", fillers, known)
    halves, leads = HALVES if half is None else (half,), known if fillers is None else (fillers,)
    shapes = draws.rounds(stream, tuple(product(halves, leads)))

    def draw() -> Prompt:
        length, lead = next(shapes)
        sequence = draws.several(stream, words, length)
        text = " ".join([*draws.several(stream, before, lead), *sequence, *sequence])
        return Prompt(text, answer="", labels=(("half", str(length)),))

    fixed: dict[str, int | str] = {
        name: value for name, value in (("half", half), ("fillers", fillers)) if value is not None
    }
    said: dict[str, str] = {} if style == "world" else {"style": style}
    made = draws.distinct("repeats", split, _size(n, split), draw, "sequence", seed=seed, **fixed, **said)
    return _of_one_token(made) if style == "pretrained" else made


def _start(task: str, split: Split, seed: int, style: Style) -> tuple[tuple[str, ...], random.Random]:
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}: choose one of {', '.join(SPLITS)}")
    if style not in ("world", "pretrained"):
        raise ValueError(f"no style {style!r}: choose world or pretrained")
    words = lexicon.WORDS if style == "pretrained" else world.INDUCTION_TOKENS
    return words["confirmation" if split == "confirmation" else "discovery"], draws.generator(task, split, seed)


def _said_again(n: int | None, split: Split, seed: int, corrupt: Corruption) -> PromptSet:
    """`induction` for pretrained models."""
    if corrupt not in get_args(Corruption):
        raise ValueError(f"no corruption {corrupt!r}: choose {' or '.join(get_args(Corruption))}")
    words, stream = _start("induction", split, seed, "pretrained")
    others = draws.generator("induction, previous word", split, seed)
    lengths, leads = draws.rounds(stream, ONCE), draws.rounds(stream, LEADS)

    def draw() -> Prompt:
        length, fillers = next(lengths), draws.several(stream, lexicon.FILLERS, next(leads))
        *sequence, other = draws.several(stream, words, length + 1)
        again = LEAST + draws.below(stream, length - LEAST)
        prompt = _pair(fillers, sequence, again - 1, sequence[:again], other)
        prompt = replace(prompt, factors=(("word", (prompt.answer, prompt.distractor)),))
        return prompt if corrupt == "answer" else _without_previous(others, words, prompt)

    fixed: dict[str, str] = {} if corrupt == "answer" else {"corrupt": corrupt}
    made = draws.distinct("induction", split, _size(n, split), draw, "sequence", seed=seed, **fixed, style="pretrained")
    return _of_one_token(made)


def _of_one_token(prompts: PromptSet) -> PromptSet:
    """The set, which takes for granted that all of its words, but a text's first, are one token."""
    said = [word for row in prompts for text in (row.clean, row.corrupted) for word in text.split()[1:]]
    said += [word for row in prompts for word in (row.answer, row.distractor) if word]
    return replace(prompts, cut=tuple((f" {word}", 1) for word in dict.fromkeys(said)))


def _check(name: str, asked: int | None, known: range) -> None:
    if asked is not None and asked not in known:
        raise ValueError(f"{name} is {asked}: training has {known.start} to {known.stop - 1}, choose one of these")


def _size(n: int | None, split: Split) -> int:
    return SIZES[split] if n is None else n


def _recurring(stream: random.Random, words: tuple[str, ...], fillers: list[str], length: int) -> Prompt:
    """`fillers`, then `length` words whose last is an earlier one, A; the word after the earlier A is the answer."""
    *sequence, other = draws.several(stream, words, length)  # length - 1 different words, and C, which is none of them
    first = draws.below(stream, length - NEAREST)
    return _pair(fillers, sequence, first, [sequence[first]], other)


def _pair(fillers: list[str], sequence: list[str], first: int, again: list[str], other: str) -> Prompt:
    """`fillers`, `sequence`, and words of it `again`, of which the last is A, at the place `first` of the sequence."""
    answer = sequence[first + 1]
    clean = [*fillers, *sequence, *again]
    corrupted = list(clean)
    corrupted[len(fillers) + first + 1] = other
    distance = len(sequence) + len(again) - 1 - first
    return Prompt(
        clean=" ".join(clean),
        answer=answer,
        corrupted=" ".join(corrupted),
        distractor=other,
        labels=(
            ("distance", next(name for name, least in reversed(DISTANCES) if distance >= least)),
            ("length", str(len(clean))),
        ),
    )


def _without_previous(stream: random.Random, words: tuple[str, ...], prompt: Prompt) -> Prompt:
    """The same with the first A corrupted, not B: by a word that is in neither text."""
    clean = prompt.clean.split()
    free = [word for word in words if word not in clean and word != prompt.distractor]
    (other,) = draws.several(stream, free, 1)
    corrupted = list(clean)
    corrupted[clean.index(clean[-1])] = other
    return replace(prompt, corrupted=" ".join(corrupted))
