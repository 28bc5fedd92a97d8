"""Draws that come out the same on every machine and every version of Python.

Only `random.Random.random` is promised never to change; a prompt that changed with Python would make filed
evidence look like the answer to another question.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral
from typing import TypeVar

from mechlib.prompts.promptset import Prompt, PromptSet, Split

T = TypeVar("T")
PATIENCE = 2000  # draws in a row without a new prompt, before a task counts as exhausted


def whole(n: object, least: int = 1) -> bool:
    """Whether `n` is a whole number and at least `least`: with 1.5 prompts asked for, drawing would never end."""
    return isinstance(n, Integral) and int(n) >= least


def generator(task: str, split: Split, seed: int) -> random.Random:
    """The stream of one task, split and seed, independent of all others."""
    return random.Random(f"{task}:{split}:{seed}")


def below(stream: random.Random, n: int) -> int:
    """A whole number from 0 to n - 1."""
    return int(stream.random() * n)


def several(stream: random.Random, items: Sequence[T], n: int) -> list[T]:
    """`n` different items in random order. ValueError where there are fewer."""
    if n > len(items):
        raise ValueError(f"{n} different items were asked for, there are {len(items)}")
    pool = list(items)
    for place in range(n):
        other = place + below(stream, len(pool) - place)
        pool[place], pool[other] = pool[other], pool[place]
    return pool[:n]


def rounds(stream: random.Random, items: Sequence[T]) -> Iterator[T]:
    """Every item once, in random order, then all again in another: balanced, whatever number is taken."""
    while True:
        yield from several(stream, items, len(items))


def distinct(
    task: str, split: Split, n: int, draw: Callable[[], Prompt], unit: str = "prompt", **settings: int | str
) -> PromptSet:
    """`n` different prompts. ValueError where n is below 1, or where drawing finds no more different ones.

    `settings` are whatever else the prompts depend on: sets that differ in them must not read alike.
    """
    if not whole(n):
        raise ValueError(f"{n!r} prompts of {task} were asked for: ask for at least one, and for a whole number")
    rows: dict[str, Prompt] = {}  # by what the model sees of them
    misses = 0
    while len(rows) < n:
        before = len(rows)
        drawn = draw()
        rows.setdefault(drawn.fingerprint, drawn)
        misses = 0 if len(rows) > before else misses + 1
        if misses == PATIENCE:
            raise ValueError(
                f"{task} has {len(rows)} distinct prompts, {n} asked for: repeats would shrink the interval for free"
            )
    return PromptSet(task, split, tuple(rows.values()), tuple(settings.items()), unit)
