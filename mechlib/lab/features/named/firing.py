"""Firing: which detector tells where a concept is, features of a dictionary and single neurons alike.

A detector is one number of an activation and a threshold: "after-2-seed-0 1a2b3c4d: 17 > 0.5" fires where feature 17 is
more active than .5. So it goes by one text, which evidence is asked with, and which remembers what chose it. Thresholds
are powers of the fourth root of two, of either sign, and zero; every detector's is chosen with it, on the same prompts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.batching import Batch, batches, per_prompt
from mechlib.lab.features.acting import ready
from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.features.named.concepts import where_told
from mechlib.lab.features.shipped import dictionary_of
from mechlib.lab.features.splicing import at
from mechlib.lab.hooks import run
from mechlib.lab.interventions.contexts import Positions
from mechlib.lab.models.loading import Model
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet

STREAM, MLP = "stream of ", "MLP of "  # what stands before a dictionary's name, where single neurons are meant
ABOVE, BELOW = " > ", " < "
SIZES: Final = tuple(float(f"{2 ** (power / 4):.4g}") for power in range(-24, 29))  # .016 to 128
_DETECTOR = re.compile(r"(.+): (\d+)( > | < )(-?[\d.]+)")


@dataclass(frozen=True)
class Detector:
    """A number of an activation with a threshold.

    pool       whose it is: a dictionary by its name; with STREAM before it the coordinates of the activation that it is
               of, about their means, with MLP before it the neurons of the MLP of that layer
    number     which feature, coordinate or neuron
    above      whether it fires above the threshold, or below it
    threshold  in units of the activation
    """

    pool: str
    number: int
    above: bool
    threshold: float

    @classmethod
    def parse(cls, text: str) -> Detector:
        """The detector of this text. ValueError where it is none."""
        match = _DETECTOR.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no detector: write it as 'after-2-seed-0 1a2b3c4d: 17 > 0.5'")
        return cls(match[1], int(match[2]), match[3] == ABOVE, float(match[4]))

    def __str__(self) -> str:
        return f"{self.pool}: {self.number}{ABOVE if self.above else BELOW}{self.threshold:g}"

    def fires(self, active: Float[Tensor, ...]) -> Tensor:
        """Where it does, of how active its number is."""
        return active > self.threshold if self.above else active < self.threshold


def pool_of(model: Model, name: str) -> Dictionary:
    """The numbers that a detector's pool has, as a dictionary. Raises what `dictionary_of` does."""
    kind = next((kind for kind in (STREAM, MLP) if name.startswith(kind)), "")
    dictionary = dictionary_of(model, name.removeprefix(kind))
    if not kind:
        return replace(dictionary, name=name)
    if kind == STREAM:
        mean = dictionary.offset if dictionary.mean is None else dictionary.mean
        return Dictionary(name, lambda x: x - mean, torch.eye(dictionary.width), mean, dictionary.hook)
    layer = int(dictionary.hook.split(".")[1])
    written = model.blocks[layer].mlp.W_out.detach()
    return Dictionary(
        name, lambda x: x, torch.eye(len(written)), torch.zeros(len(written)), f"blocks.{layer}.mlp.hook_post"
    )


def best_detectors(model: Model, prompts: PromptSet, concept: str, pools: Iterable[str], keep: int = 5) -> Measurement:
    """F1 of the best detectors of each pool, each with its best threshold: one row over all tokens, a column each.

    F1 is twice the hits over what fires and what there is: 1 where it fires on all of the concept and on nothing else.
    Columns are detectors as text, of each pool `keep` with different numbers, best first; of equal ones the first and
    lowest. Raises ValueError where the prompts do not have both what is the concept and what is not.
    """
    columns: dict[str, float] = {}
    for name in pools:
        pool = pool_of(model, name)
        signs = (True, False) if name.startswith((STREAM, MLP)) else (True,)
        counted = [_counted(model, prompts, concept, pool, above) for above in signs]
        found = sorted((one for found in counted for one in found), key=lambda one: (-round(one[1], 9), one[0].number))
        numbers: set[int] = set()
        for detector, value in found:
            if detector.number not in numbers and len(numbers) < keep:
                numbers.add(detector.number)
                columns[str(detector)] = value
    of = f"F1 of what fires at {concept}"
    return Measurement(np.array([list(columns.values())]), ("all",), "set of prompts", tuple(columns), of=of)


def fired(model: Model, prompts: PromptSet, concept: str, detector: str, unit: str = "") -> Measurement:
    """On how many tokens of each prompt a detector fires and the concept is: "hits" on which both, "fired", "there",
    "wrong" on which one of the two. Hits over fired is precision, hits over there recall.

    Raises what `best_detectors` does.
    """
    asked = Detector.parse(detector)
    pool = pool_of(model, asked.pool)
    made, values = batches(model, prompts, alone=True), []
    for active, where in _read(model, made, pool, concept):
        fires = asked.fires(active[..., pool.require(asked.number)]) & (where >= 0)
        there, hits = where == 1, fires & (where == 1)
        values.append(torch.stack([one.sum(1) for one in (hits, fires, there, fires ^ there)], dim=1))
    return per_prompt(prompts, made, values, ("hits", "fired", "there", "wrong"), f"tokens: {concept}", unit)


def activity(model: Model, prompts: PromptSet, dictionary: Dictionary, positions: Positions = -1) -> Measurement:
    """How active each feature is at these positions, the mean over all prompts: one row, a column each, by number."""
    hook, total = ready(model, dictionary, dictionary.hook), torch.zeros(dictionary.features, dtype=torch.float64)
    for batch in batches(model, prompts, alone=True):
        kept = run(model, batch.tokens, keep=(hook,), last=1)[1][hook]
        with torch.no_grad():
            total += dictionary.active(at(kept, positions)).mean(1).sum(0).double().cpu()
    means = (total / len(prompts)).numpy()[None]
    names = tuple(map(str, range(dictionary.features)))
    return Measurement(means, ("all",), "set of prompts", names, of="mean activation of a feature")


def _read(
    model: Model, made: Iterable[Batch], pool: Dictionary, concept: str
) -> Iterator[tuple[Float[Tensor, "batch pos numbers"], Int[Tensor, "batch pos"]]]:
    hook, there = ready(model, pool, pool.hook), set()
    for batch in made:
        kept = run(model, batch.tokens, keep=(hook,), last=1)[1][hook]
        where = where_told(batch, concept)
        there |= set(where.unique().tolist())
        with torch.no_grad():
            yield pool.active(kept.flatten(2)), where
    if not {0, 1} <= there:
        raise ValueError(f"the prompts have {concept} on every token that is asked, or on none: give them both")


def _counted(
    model: Model, prompts: PromptSet, concept: str, pool: Dictionary, above: bool
) -> list[tuple[Detector, float]]:
    """The best threshold of each number of a pool, with its F1; of equal ones the lowest in size."""
    edges = torch.tensor(sorted({0.0, *SIZES, *(-size for size in SIZES)}))
    counts = torch.zeros(2, len(edges) + 1, pool.features)  # by whether the concept is there, and by edges exceeded
    for active, where in _read(model, batches(model, prompts, alone=True), pool, concept):
        exceeded = torch.bucketize((active if above else -active).contiguous(), edges.to(active), right=False)
        for is_it in (0, 1):
            counts[is_it].scatter_add_(0, rows := exceeded[where == is_it], torch.ones_like(rows, dtype=counts.dtype))
    fires = counts.flip(1).cumsum(1).flip(1)[:, 1:]  # above each edge
    f1 = 2 * fires[1] / (fires.sum(0) + counts[1].sum(0)).clamp(min=1)
    first = 0 if pool.name.startswith((STREAM, MLP)) else int((edges < 0).sum())  # no feature is below zero
    own = f1[first:].round(decimals=6)
    ranked = own - 1e-7 * edges[first:, None].abs()
    best = ranked.argmax(0).tolist()  # no choice of parts: over thresholds of one number
    sign = 1 if above else -1
    return [
        (Detector(pool.name, number, above, sign * float(edges[first + at]) + 0.0), float(f1[first + at, number]))
        for number, at in enumerate(best)
    ]
