"""Texts of a model: what it writes by itself, drawn at temperature 1 from its BOS, filed with the seeds that drew them.

What a dictionary of features is asked about is text of the kind that it was made from, and none that it was made from:
`fixtures/saes/<model>/texts.json` has texts of other seeds than its activations, half of them for discovery.
"""

from __future__ import annotations

import functools
import json

from mechlib.checkpoints.checkpoint import parent
from mechlib.checkpoints.dictionaries import cards
from mechlib.prompts.promptset import SPLITS, Prompt, PromptSet, Split

TEXTS = "texts.json"


@functools.cache
def texts(model: str, n: int | None = None, split: Split = "confirmation") -> PromptSet:
    """The first `n` of a model's own texts, by default all of the split; a twin gets its parent's.

    There is no answer: what is read are activations, and how the model goes on after each token. Texts are drawn one by
    one, and independent. Raises FileNotFoundError for a model that has none, ValueError for more than there are, and
    for a split that has none.
    """
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}: choose one of {', '.join(SPLITS)}")
    file = cards(parent(model)) / TEXTS
    if not file.is_file():
        raise FileNotFoundError(f"{parent(model)} has no texts of its own on file: take prompts of a task")
    held = json.loads(file.read_text(encoding="utf-8"))
    there = held["texts"].get(split, [])
    wanted = len(there) if n is None else n
    if not 1 <= wanted <= len(there):
        raise ValueError(f"{wanted} texts of {parent(model)} were asked for, of {split} there are {len(there)}")
    rows = tuple(Prompt(text, answer="") for text in there[:wanted])
    return PromptSet(f"texts of {parent(model)}", split, rows, (("seed", held["seed"][split]),), "sequence")
