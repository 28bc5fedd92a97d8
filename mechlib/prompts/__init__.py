"""Prompts: frozen rows, and the tasks that make them, one a file, over the words of `world`."""

from mechlib.prompts.addition import addition, crossed, increment, partners, subtraction
from mechlib.prompts.greater_than import greater_than, on_one_side
from mechlib.prompts.induction import induction, repeats
from mechlib.prompts.ioi import ioi
from mechlib.prompts.people import people
from mechlib.prompts.planted import planted
from mechlib.prompts.pretrained.style import style_of
from mechlib.prompts.promptset import SPLITS, Prompt, PromptSet, Split
from mechlib.prompts.texts import texts

__all__ = [
    "SPLITS", "Prompt", "PromptSet", "Split", "addition", "crossed", "greater_than", "increment", "induction", "ioi",
    "on_one_side", "partners", "people", "planted", "repeats", "style_of", "subtraction", "texts",
]  # fmt: skip
