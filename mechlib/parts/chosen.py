"""What was chosen remembers on which prompts, also as text and as a number, so that nothing is judged on them.

A head, a layer or a name that comes out of a Selection or a Circuit is an ordinary tuple, int or str that carries
`chosen_on`. Equality, hashes and keys of evidence know nothing of it. What is put together from several pieces of text
(`f"{layer}.{head}"`) forgets; a claim may not make heads of such text (mechlib.judging.choices).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

NOWHERE: frozenset[str] = frozenset()


class DoubleDipping(ValueError):
    """Heads are tested on the prompts that chose them."""


class ChosenName(str):
    """The name of a part that was chosen by looking: text with `chosen_on`, `PromptSet.members` of what was seen."""

    __slots__ = ("chosen_on",)
    chosen_on: frozenset[str]

    def __new__(cls, text: str, chosen_on: frozenset[str] = NOWHERE) -> ChosenName:
        """The text as it is."""
        made = super().__new__(cls, text)
        made.chosen_on = chosen_on
        return made

    def __str__(self) -> str:
        return self

    def __format__(self, form: str) -> str:
        return ChosenName(format(plain(self), form), self.chosen_on)

    def __add__(self, other: str) -> ChosenName:
        return ChosenName(plain(self) + plain(other), self.chosen_on | chosen_on(other))

    def __radd__(self, other: str) -> ChosenName:
        return ChosenName(plain(other) + plain(self), self.chosen_on | chosen_on(other))

    def __getnewargs__(self) -> tuple[str, frozenset[str]]:  # type: ignore[override]
        return plain(self), self.chosen_on


class ChosenNumber(int):
    """The layer of a head that was chosen by looking, or its place there."""

    chosen_on: frozenset[str]

    def __new__(cls, number: int, chosen_on: frozenset[str] = NOWHERE) -> ChosenNumber:
        """The number as it is."""
        made = super().__new__(cls, number)
        made.chosen_on = chosen_on
        return made

    def __getnewargs__(self) -> tuple[int, frozenset[str]]:  # type: ignore[override]
        return int(self), self.chosen_on


def plain(text: object) -> str:
    """Text that remembers nothing, as it is filed."""
    return str.__str__(str(text))


def named(text: str, seen: frozenset[str]) -> str:
    """The name of a part, which remembers `seen` where there is something to remember."""
    return ChosenName(text, seen | chosen_on(text)) if seen else text


def chosen_on(*parts: object) -> frozenset[str]:
    """`PromptSet.members` of everything that chose these parts, looked for in tuples, lists, sets and dicts too."""
    seen: frozenset[str] = NOWHERE
    for part in parts:
        if type(part) is str or type(part) is int:  # most are: names of columns
            continue
        own = getattr(part, "chosen_on", None)
        if own is not None:
            seen |= own
        elif isinstance(part, Mapping):
            seen |= chosen_on(*part, *part.values())
        elif isinstance(part, Iterable) and not isinstance(part, str):
            seen |= chosen_on(*part)
    return seen
