"""Exchanging parts: a claim is asked again with the names of its part and of a matched one in each other's place.

Inside `exchanging(...)` evidence that is asked for "2.3" is that of "1.4", and the column that is called "2.3" holds
what was measured on "1.4", and the other way round. So a claim need not know: whatever it does with a name, it does to
the other part. All names but those of the two parts stay where they are.

Inside `noting()` the parts that a claim names are written down: among the arguments of evidence, and as the columns
that it takes out of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from mechlib.parts.circuits import Circuit
from mechlib.parts.graphs import INPUT, LOGITS, Edge, layer_of
from mechlib.parts.heads import Group, Head, Heads, heads

LAYERS = ("layer", "layers")  # parameters of evidence functions whose integers are layers


class NoCounterpart(ValueError):
    """An edge that has no other in its place: the model has none between the parts that were exchanged."""


@dataclass(eq=False)
class Exchange:
    """Which names stand in each other's place, and which circuits stand for others.

    names     both ways: {"2.3": "1.4", "1.4": "2.3"}
    circuits  by their parts, whatever their order
    skipped   keys of questions that keep their own names, for the claim does not rest on them
    used      the names, and circuits as text, that were exchanged so far: none means that nothing was
    """

    names: Mapping[str, str] = field(default_factory=dict)
    circuits: Mapping[frozenset[str], Circuit] = field(default_factory=dict)
    skipped: frozenset[str] = frozenset()
    used: set[str] = field(default_factory=set)

    def name(self, name: str) -> str:
        """The name in this one's place."""
        if name in self.names:
            self.used.add(name)
        return self.names.get(name, name)

    def argument(self, value: Any, parameter: str = "") -> Any:
        """An accepted argument of evidence with the names in it exchanged."""
        if isinstance(value, Head):
            return next(iter(heads(self.name(str(value)))))
        if isinstance(value, Group):
            return Group.parse(self.name(str(value)))
        if isinstance(value, Heads):
            return heads(" ".join(self.name(str(head)) for head in value))
        if isinstance(value, Circuit):
            return self._circuit(value)
        if isinstance(value, str):
            return self.name(value)
        if parameter in LAYERS and isinstance(value, int) and not isinstance(value, bool):
            return int(self.name(f"layer {value}").removeprefix("layer "))
        if type(value) is tuple:
            return tuple(self.argument(entry, parameter) for entry in value)
        return value

    def _circuit(self, value: Circuit) -> Circuit:
        other = self.circuits.get(frozenset(value.parts))
        if other is not None:
            self.used.add(repr(value))
            return Circuit(tuple(sorted(other.parts)))
        return Circuit(tuple(sorted(map(self._part, value.parts)))) if self.names else value

    def _part(self, part: str) -> str:
        """The node, or the edge with both of its ends exchanged."""
        if "->" not in part:
            return self.name(part)
        own = Edge.parse(part)
        other = Edge(self.name(own.source), self.name(own.target), own.port)
        if other != own and not _forwards(other):
            raise NoCounterpart(f"there is no {other} to stand in the place of {own}")
        return str(other)


def _forwards(edge: Edge) -> bool:
    """Whether the edge leads to a later place: of one layer only heads write for the MLP, if anything does."""
    if edge.source == INPUT or edge.target == LOGITS:
        return True
    within = edge.target.startswith("mlp") and not edge.source.startswith("mlp")
    return layer_of(edge.source) < layer_of(edge.target) + within


@dataclass(eq=False)
class Notes:
    """What a claim named: parts as evidence was asked for them with the file that answered, and columns it took out."""

    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    taken: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = field(default_factory=list)


_exchange: ContextVar[Exchange | None] = ContextVar("exchange", default=None)
_notes: ContextVar[Notes | None] = ContextVar("notes", default=None)


@contextmanager
def exchanging(exchange: Exchange | None) -> Iterator[Exchange | None]:
    """Inside, evidence is asked for the other part; None lets everything be what it is called."""
    token = _exchange.set(exchange)
    try:
        yield exchange
    finally:
        _exchange.reset(token)


@contextmanager
def noting() -> Iterator[Notes]:
    """The parts that are named inside."""
    notes = Notes()
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)


def the_exchange() -> Exchange | None:
    """The exchange in force."""
    return _exchange.get()


def note_arguments(source: str, arguments: Mapping[str, Any]) -> None:
    """Writes down what evidence, filed at `source`, was asked for."""
    notes = _notes.get()
    if notes is not None:
        notes.asked += [(source, name, value) for name, value in arguments.items()]


def note_columns(source: str, there: Sequence[str], taken: Sequence[str]) -> None:
    """Writes down which columns of evidence a claim took; what statistics and figures take is theirs."""
    notes = _notes.get()
    if notes is None or not source:
        return
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__") == "mechlib.measurement":
        frame = frame.f_back
    if not str(frame.f_globals.get("__name__")).startswith("mechlib."):
        notes.taken.append((source, tuple(there), tuple(taken)))
