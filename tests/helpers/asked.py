"""Sets of prompts by what they say: digits to pin, and the numbers in a text."""

from __future__ import annotations

import hashlib
import re

from mechlib.prompts.promptset import PromptSet


def pinned(prompts: PromptSet) -> str:
    """Twelve digits for all that a set says: what the model sees, and the clusters and labels of its rows."""
    said = [prompts.fingerprint, *(row.sort_key for row in prompts)]
    return hashlib.sha256(" ".join(said).encode()).hexdigest()[:12]


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text))


def operands(text: str) -> frozenset[int]:
    """The two operands of an addition, which are its last two numbers."""
    return frozenset(numbers(text)[-2:])
