"""Activations with gender and profession in known directions, and a dictionary that has these among its features."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.features.shortcut.biographies import Biographies
from mechlib.lab.features.shortcut.study import Read
from mechlib.prompts.people import people
from mechlib.prompts.promptset import PromptSet

WIDTH = 8
TEXTS = 1920
GENDER, PROFESSION = 0, 1  # rows of `basis`; of the dictionary the rows of both signs
PAIR = ("doctor", "cook")


def basis(seed: int = 0) -> Tensor:
    """Orthonormal directions, none of them a coordinate."""
    return torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(seed)))[0]


def rectified(directions: Tensor) -> Dictionary:
    """Each direction active where the activation reaches that way."""
    return Dictionary("planted", lambda x: torch.relu(x @ directions.T), directions, torch.zeros(directions.shape[1]))


def signed() -> Dictionary:
    """Each direction of the basis in both signs: nothing is lost."""
    return rectified(torch.cat([basis(), -basis()]))


def activations(prompts: PromptSet, seed: int, noise: float = 0.3, tokens: int = 6) -> Biographies:
    """Six tokens a text. Gender and profession stand in all of them, with a spread from text to text; in the other
    directions stands what is as large and says nothing."""
    stream = torch.Generator().manual_seed(seed)
    x = noise * torch.randn(len(prompts), tokens, WIDTH, generator=stream)
    x[:, :, 2:] += torch.randn(len(prompts), 1, WIDTH - 2, generator=stream)
    for place, label, level, spread in ((GENDER, "gender", "woman", 0.5), (PROFESSION, "profession", PAIR[0], 0.5)):
        signs = torch.tensor([1.0 if row.label(label) == level else -1.0 for row in prompts])
        x[:, :, place] += (signs + spread * torch.randn(len(prompts), generator=stream)).unsqueeze(1)
    x = x @ basis() + torch.linspace(-1, 1, WIDTH)  # a mean of its own, as activations have
    return Biographies(prompts, x.flatten(0, 1), torch.arange(len(prompts)).repeat_interleave(tokens))


def read(seed: int = 0) -> Read:
    """A classifier's, an oracle's, test and discovery texts; tested are the second half of the names."""
    return Read(
        activations(people(TEXTS, "discovery", pair=PAIR, draw="biased", half="first", seed=seed), seed),
        activations(people(TEXTS, "discovery", pair=PAIR, half="first", seed=seed), seed + 1),
        activations(people(TEXTS, "discovery", pair=PAIR, half="second", seed=seed), seed + 2),
        activations(people(TEXTS, "discovery", half="first", seed=seed), seed + 3),
    )


def relabelled(read: Biographies, label: str, order: list[int]) -> Biographies:
    """The same activations with the labels, names and factors of a shuffled draw: only `label` changes places."""
    given = read.label(label)
    rows = [
        replace(row, labels=tuple((key, given[order[number]] if key == label else value) for key, value in row.labels))
        for number, row in enumerate(read.prompts)
    ]
    return replace(read, prompts=replace(read.prompts, rows=tuple(rows)))


def worst(right: Tensor, read: Biographies) -> float:
    """The accuracy of the group of gender and profession that has the lowest."""
    return min(float(right[read.where("group", group)].float().mean()) for group in set(read.label("group")))
