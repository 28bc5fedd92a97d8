"""Circuits: heads, sets of heads, their complements, and random sets of equal size.

A head is written `layer.head` ("5.1"), as in the papers; `L5H1` is read too. A `Selection` is a set of
heads that was chosen by looking at a model; it remembers on which prompts, so that nothing is tested
on the prompts that chose it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from mechlib.parts.chosen import NOWHERE, ChosenNumber, chosen_on, named
from mechlib.parts.chosen import DoubleDipping as DoubleDipping

_HEAD = re.compile(r"(?:[Ll](\d+)[Hh](\d+)|(\d+)\.(\d+))")
_GROUP = re.compile(r"(\d+)\.kv(\d+)")


class EmptySelection(ValueError):
    """A set of heads that a measurement needs has no heads in it."""


class Head(NamedTuple):
    """One attention head."""

    layer: int
    head: int

    def __str__(self) -> str:
        return f"{self.layer}.{self.head}"


class Group(NamedTuple):
    """The keys and values that a few query heads of a layer share, written "1.kv0"; each head's own where none are
    shared. What its heads attend to and what they read there is one thing, what they do with it is each head's."""

    layer: int
    group: int

    def __str__(self) -> str:
        return f"{self.layer}.kv{self.group}"

    @classmethod
    def parse(cls, name: str) -> Group:
        """The group of this name, "1.kv0". ValueError where it is none."""
        match = _GROUP.fullmatch(name)
        if match is None:
            raise ValueError(f"{name!r} is no key/value group: write layer.kv and its number, as in '1.kv0'")
        return cls(*map(int, match.groups()))


class ChosenHead(Head):
    """A head of a Selection: the same head, and `chosen_on`, which its layer, its place and its name keep."""

    chosen_on: frozenset[str]

    def __new__(cls, layer: int, head: int, chosen_on: frozenset[str] = NOWHERE) -> ChosenHead:
        """The head as it is."""
        made = super().__new__(cls, layer, head)
        made.chosen_on = chosen_on
        return made

    @property
    def layer(self) -> int:
        """The layer, which remembers."""
        return ChosenNumber(self[0], self.chosen_on)

    @property
    def head(self) -> int:
        """The place in the layer, which remembers."""
        return ChosenNumber(self[1], self.chosen_on)

    def __str__(self) -> str:
        return named(f"{self[0]}.{self[1]}", self.chosen_on)

    def __repr__(self) -> str:
        return repr(Head(*self))

    def __getnewargs__(self) -> tuple[int, int, frozenset[str]]:
        return self[0], self[1], self.chosen_on


def _remembering(heads: Iterable[Head], seen: frozenset[str]) -> tuple[Head, ...]:
    """These heads, which know what chose them; plain ones where nothing did."""
    return tuple(ChosenHead(*head, seen) if seen else Head(*head) for head in heads)


@dataclass(frozen=True)
class Heads:
    """A set of heads in order of layer and head. Iterates over `Head`.

    chosen_on  `PromptSet.members` of what chose them, where heads of a Selection are among them. It is no part of what
               they are: sets of the same heads are equal and have one key.
    """

    members: tuple[Head, ...]
    chosen_on: frozenset[str] = field(default=NOWHERE, compare=False, repr=False)

    def __post_init__(self) -> None:
        seen = self.chosen_on | chosen_on(*self.members)
        members = sorted({Head(*member) for member in self.members})
        object.__setattr__(self, "chosen_on", seen)
        object.__setattr__(self, "members", _remembering(members, seen))

    def __iter__(self) -> Iterator[Head]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, head: object) -> bool:
        return head in self.members

    def __or__(self, other: Heads) -> Heads:
        return Heads((*self, *other), chosen_on(self, other))

    def __sub__(self, other: Iterable[Head]) -> Heads:
        gone = set(other)
        return Heads(tuple(head for head in self if head not in gone), chosen_on(self, other, gone))

    def in_layer(self, layer: int) -> Heads:
        """The heads of one layer."""
        return Heads(tuple(head for head in self if head.layer == layer), chosen_on(self, layer))

    def __str__(self) -> str:
        return named(" ".join(map(str, self)) or "no heads", self.chosen_on)

    def __repr__(self) -> str:
        return f"heads({' '.join(map(str, self))!r})"


@dataclass(frozen=True)
class Selection:
    """Heads chosen from evidence, best first, and the prompts that chose them.

    `chosen_on` holds `PromptSet.members` of everything that was looked at. Slices, unions, single heads, their names
    and layers keep it. An evidence function that is given any of these together with one of those prompts raises
    `DoubleDipping`; otherwise it receives the plain `Heads`.
    """

    ranked: tuple[Head, ...]
    chosen_on: frozenset[str]

    def __post_init__(self) -> None:
        seen = self.chosen_on | chosen_on(*self.ranked)
        object.__setattr__(self, "chosen_on", seen)
        object.__setattr__(self, "ranked", _remembering(self.ranked, seen))

    @property
    def heads(self) -> Heads:
        """The chosen heads as a set, which remembers too. Raises EmptySelection where there are none."""
        if not self.ranked:
            raise EmptySelection("no head was selected: the selection's condition holds for none of them")
        return Heads(self.ranked, self.chosen_on)

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
        return named(" ".join(map(str, self.ranked)) or "no heads", self.chosen_on)


def heads(text: str) -> Heads:
    """Heads from text: `heads("9.9 9.6 10.0")` or `heads("L9H9 L9H6")`. Raises ValueError naming what is unreadable."""
    found = []
    for word in text.replace(",", " ").split():
        match = _HEAD.fullmatch(word)
        if match is None:
            raise ValueError(f"{word!r} is no head: write layer.head as in '5.1' or 'L5H1'")
        found.append(Head(*(int(part) for part in match.groups() if part is not None)))
    return Heads(tuple(found), chosen_on(text))


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
