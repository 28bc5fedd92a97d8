"""Sums by interpolation: what the pairs that were trained give away about those that were not.

A network that answers pairs which it never saw may have learned to add, or to look between what it saw. Three answers
that nobody calls adding are set beside its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from mechlib.lab.behaviour import answers_correctly
from mechlib.lab.models.loading import Model
from mechlib.lab.studies.numbers import embedding_of_numbers
from mechlib.measurement import Measurement
from mechlib.prompts import world
from mechlib.prompts.promptset import PromptSet
from mechlib.prompts.world import Pair

OPERANDS = world.LARGEST_OPERAND + 1
COLUMNS = ("network", "nearest", "neighbours", "read-out")


def sums_by_interpolation(model: Model, prompts: PromptSet, unit: str = "") -> Measurement:
    """Whether the sum is right, yes or no: as the network says it, and as three interpolations of trained pairs do.

    prompts  sums of two operands from 0 to 99, each with labels "a" and "b", as `addition` makes them

    Columns: "network", the sum is its most likely next word. "nearest", the sum of the nearest trained pair, in either
    order, by Euclidean distance of operands, the smallest of several. "neighbours", the mean sum of all trained pairs
    that differ by one in one operand, rounded, a half to the even number; none is wrong. "read-out", the value of a
    linear function of the mean of both operands' embeddings, fitted by least squares to the 4,040 trained pairs,
    rounded likewise.

    Raises ValueError where a prompt has no such labels or operands beyond 99, where one of the numbers 0 to 99 is not
    one token, and as `answers_correctly` does.
    """
    found = answers_correctly(model, prompts, unit)
    pairs = [_operands(prompts, row) for row in range(len(prompts))]
    embedding = embedding_of_numbers(model, OPERANDS)
    given = (nearest_sums(pairs), neighbours_sums(pairs), read_out_sums(embedding, pairs))
    true = np.array([a + b for a, b in pairs])
    values = np.stack([found.array, *(sums == true for sums in given)], axis=1)
    return replace(found, values=values, columns=COLUMNS, yes_no=True, of="the sum is right")


def trained_pairs() -> Int[np.ndarray, "pairs 2"]:
    """The pairs that training shows, the smaller operand first."""
    return np.array([pair for pair in world.PAIRS if not world.pair_is_held_out(*pair)])


def nearest_sums(pairs: Sequence[Pair]) -> Float[np.ndarray, " pairs"]:
    """The sum of the nearest trained pair in either order."""
    trained = trained_pairs()
    either = np.concatenate([trained, trained[:, ::-1]])
    off = ((np.array(pairs)[:, None] - either) ** 2).sum(axis=-1)
    sums = np.where(off == off.min(axis=1, keepdims=True), either.sum(axis=1), np.inf)
    found: np.ndarray = sums.min(axis=1)
    return found


def neighbours_sums(pairs: Sequence[Pair]) -> Float[np.ndarray, " pairs"]:
    """The mean sum of the trained pairs that differ by one in one operand, rounded; NaN where there is none."""
    found = []
    for a, b in pairs:
        near = [(x, y) for x, y in ((a - 1, b), (a + 1, b), (a, b - 1), (a, b + 1)) if min(x, y) >= 0]
        shown = [x + y for x, y in near if max(x, y) < OPERANDS and not world.pair_is_held_out(x, y)]
        found.append(np.round(np.mean(shown)) if shown else np.nan)
    return np.array(found)


def read_out_sums(embedding: Float[np.ndarray, "n d_model"], pairs: Sequence[Pair]) -> Float[np.ndarray, " pairs"]:
    """What the linear read-out of the mean embedding says, fitted to the trained pairs, rounded."""

    def read(of: Int[np.ndarray, "pairs 2"]) -> Float[np.ndarray, "pairs d_model_and_one"]:
        return np.concatenate([embedding[of].mean(axis=1), np.ones((len(of), 1))], axis=1)

    trained = trained_pairs()
    weights = np.linalg.lstsq(read(trained), trained.sum(axis=1).astype(float), rcond=None)[0]
    found: np.ndarray = np.round(read(np.array(pairs)) @ weights)
    return found


def _operands(prompts: PromptSet, row: int) -> Pair:
    prompt = prompts.rows[row]
    try:
        a, b = int(prompt.label("a")), int(prompt.label("b"))
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{prompt.clean!r} has no labels a and b that are numbers: ask for sums as `addition` does"
        ) from error
    if not (min(a, b) >= 0 and max(a, b) < OPERANDS and prompt.answer == str(a + b)):
        raise ValueError(
            f"{prompt.clean!r} asks for {prompt.answer}: wanted is a sum of two operands from 0 to {OPERANDS - 1}"
        )
    return a, b
