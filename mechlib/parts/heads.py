"""Circuits: heads, sets of heads, their complements, and random sets of equal size.

A head is written `layer.head` ("5.1"), as in the papers; `L5H1` is read too. A `Selection` is a set of
heads that was chosen by looking at a model; it remembers on which prompts, so that nothing is tested
on the prompts that chose it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

_HEAD = re.compile(r"(?:[Ll](\d+)[Hh](\d+)|(\d+)\.(\d+))")


class EmptySelection(ValueError):
    """A set of heads that a measurement needs has no heads in it."""


class DoubleDipping(ValueError):
    """Heads are tested on the prompts that chose them."""


class Head(NamedTuple):
    """One attention head."""

    layer: int
    head: int

    def __str__(self) -> str:
        return f"{self.layer}.{self.head}"


@dataclass(frozen=True)
class Heads:
    """A set of heads in order of layer and head. Iterates over `Head`."""

    members: tuple[Head, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", tuple(sorted({Head(*member) for member in self.members})))

    def __iter__(self) -> Iterator[Head]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, head: object) -> bool:
        return head in self.members

    def __or__(self, other: Heads) -> Heads:
        return Heads((*self, *other))

    def __sub__(self, other: Iterable[Head]) -> Heads:
        gone = set(other)
        return Heads(tuple(head for head in self if head not in gone))

    def in_layer(self, layer: int) -> Heads:
        """The heads of one layer."""
        return Heads(tuple(head for head in self if head.layer == layer))

    def __str__(self) -> str:
        return " ".join(map(str, self)) or "no heads"

    def __repr__(self) -> str:
        return f"heads({' '.join(map(str, self))!r})"


@dataclass(frozen=True)
class Selection:
    """Heads chosen from evidence, best first, and the prompts that chose them.

    `chosen_on` holds `PromptSet.members` of everything that was looked at. Slicing and union keep it. An
    evidence function that is given a Selection together with one of those prompts raises `DoubleDipping`;
    otherwise it receives the plain `Heads`.
    """

    ranked: tuple[Head, ...]
    chosen_on: frozenset[str]

    @property
    def heads(self) -> Heads:
        """The chosen heads as a plain set. Raises EmptySelection where there are none."""
        if not self.ranked:
            raise EmptySelection("no head was selected: the selection's condition holds for none of them")
        return Heads(self.ranked)

    def __iter__(self) -> Iterator[Head]:
        return iter(self.heads)

    def __len__(self) -> int:
        return len(self.ranked)

    def __getitem__(self, which: slice | int) -> Selection:
        ranked = self.ranked[which] if isinstance(which, slice) else (self.ranked[which],)
        return Selection(ranked, self.chosen_on)

    def __or__(self, other: Selection) -> Selection:
        extra = tuple(head for head in other.ranked if head not in self.ranked)
        return Selection(self.ranked + extra, self.chosen_on | other.chosen_on)

    def __str__(self) -> str:
        return " ".join(map(str, self.ranked)) or "no heads"


def heads(text: str) -> Heads:
    """Heads from text: `heads("9.9 9.6 10.0")` or `heads("L9H9 L9H6")`. Raises ValueError naming what is unreadable."""
    found = []
    for word in text.replace(",", " ").split():
        match = _HEAD.fullmatch(word)
        if match is None:
            raise ValueError(f"{word!r} is no head: write layer.head as in '5.1' or 'L5H1'")
        found.append(Head(*(int(part) for part in match.groups() if part is not None)))
    return Heads(tuple(found))


def all_heads(n_layers: int, n_heads: int) -> Heads:
    """Every head of a model of `n_layers` layers with `n_heads` heads each."""
    return Heads(tuple(Head(layer, head) for layer in range(n_layers) for head in range(n_heads)))


def singly_and_jointly(heads: Heads) -> dict[str, Heads]:
    """Each head alone, under its own name, and "together" all of them: the sets by which backups show.

    Heads that replace each other cost little one by one and much together; `Measurement.interaction` is the difference.
    Raises EmptySelection where there are no heads.
    """
    if not heads:
        raise EmptySelection("no heads to take singly and jointly: an empty set has neither")
    return {**{str(head): Heads((head,)) for head in heads}, "together": heads}
