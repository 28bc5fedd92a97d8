"""The parts that a claim names: what its evidence was asked for, and which columns it took, heads, layers, circuits."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from mechlib.evidence.question import flat
from mechlib.parts.circuits import Circuit
from mechlib.parts.exchange import LAYERS, Notes
from mechlib.parts.graphs import Graph
from mechlib.parts.heads import Head, Heads, Selection, all_heads, heads

_HEAD = re.compile(r"\d+\.\d+")
_NUMBERED = re.compile(r"(mlp|attention|heads|layer|after layer|before layer) (\d+)")
_GROUP = re.compile(r"(\d+\.kv\d+)(?:\.[kv])?")  # "1.kv0", and its keys as a reader, "1.kv0.k"
_INTEGER = re.compile(r"-?\d+")
_WHOLE = ("mlps", "attentions", "later heads")  # every part of a kind

Kind = Literal["heads", "layer", "groups", "numbered", "whole", "circuit"]


@dataclass(frozen=True)
class Part:
    """One part of the model that a claim names.

    kind     heads     one or several, `names` are theirs
             layer     all heads of one
             groups    one or several key/value groups
             numbered  one that goes by its layer, "mlp 3", "after layer 2", "3"
             whole     all of a kind, "mlps": there is no other
             circuit   `circuits`, of which parts are shared
    """

    kind: Kind
    names: tuple[str, ...]
    circuits: tuple[Circuit, ...] = ()

    def __str__(self) -> str:
        if self.kind == "circuit":
            sizes = sorted({len(circuit) for circuit in self.circuits})
            return f"{self.circuits[0].kind} of a circuit ({', '.join(map(str, sizes))})"
        return " ".join(self.names)


def parts_of(notes: Notes, graph: Graph, sources: Collection[str]) -> tuple[Part, ...]:
    """The parts named in evidence that is filed at one of `sources`, those that share heads or edges taken together."""
    sets: list[frozenset[str]] = []
    others: dict[Part, None] = {}
    circuits: list[Circuit] = []
    groups: list[frozenset[str]] = []
    every_head = frozenset(map(str, all_heads(graph.n_layers, graph.n_heads)))
    for source, parameter, value in notes.asked:
        if source in sources:
            circuits += [entry for entry in flat(value) if isinstance(entry, Circuit)]
            sets.append(frozenset(_heads_in(value)))
            groups.append(frozenset(_groups_in(map(str, flat(value)))))
            others.update(dict.fromkeys(_by_number(_texts(value, parameter), graph, frozenset())))
    for source, there, taken in notes.taken:
        if source in sources:
            named = frozenset(filter(_HEAD.fullmatch, taken))
            whole = every_head <= set(there)
            sets.append(every_head - named if whole and 2 * len(named) > len(every_head) else named)
            if (own := frozenset(_groups_in(taken))) != frozenset(_groups_in(there)):
                groups.append(own)
            others.update(dict.fromkeys(_by_number(taken, graph, frozenset(there))))
    found = [_of_heads(joined, graph) for joined in _joined(set_ for set_ in sets if set_ and set_ != every_head)]
    found += [Part("groups", tuple(sorted(own))) for own in _joined(filter(None, groups))]
    return (*found, *_of_circuits(circuits), *others)


def held_against_all(notes: Notes, source: str, members: Collection[str], graph: Graph) -> frozenset[str]:
    """The columns of a difference, both sides, where it holds one part against every other of its kind; else none.

    Of the evidence at `source` the claim takes one part that goes by its layer and, apart from it, all others that go
    by that name, which are the `members` of the comparison; others may stand among these, and nothing else is taken.
    """
    takes = sorted({taken for one, _, taken in notes.taken if one == source}, key=len)
    if len(takes) != 2 or len(takes[0]) != 1:
        return frozenset()
    (own,), others = takes
    match = _NUMBERED.fullmatch(own)
    kind = {f"{match[1]} {layer}" for layer in range(graph.n_layers)} if match else set()
    whole = {own} < kind <= {own, *others} and own not in others and set(members) == set(others)
    return frozenset({own, *others}) if whole else frozenset()


def _of_heads(names: frozenset[str], graph: Graph) -> Part:
    own = heads(" ".join(names))
    kind: Kind = "layer" if len(own) == graph.n_heads > 1 and len({head.layer for head in own}) == 1 else "heads"
    return Part(kind, tuple(map(str, own)))


def _of_circuits(circuits: Iterable[Circuit]) -> Iterator[Part]:
    by_parts = {frozenset(circuit.parts): circuit for circuit in circuits}
    for joined in _joined(by_parts):
        yield Part("circuit", (), tuple(circuit for parts, circuit in by_parts.items() if parts <= joined))


def _by_number(names: Iterable[str], graph: Graph, there: frozenset[str]) -> Iterator[Part]:
    """Parts that go by a layer's number; all of a kind, where the columns that were taken are all there are of it."""
    found: dict[str, list[str]] = {}
    layers = {str(layer) for layer in range(graph.n_layers)}
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match:
            found.setdefault(match[1], []).append(name)
        elif name in layers and set(filter(_INTEGER.fullmatch, there)) == layers:
            found.setdefault("", []).append(name)
        elif name in _WHOLE:
            yield Part("whole", (name,))
    for prefix, own in found.items():
        whole = len(own) == graph.n_layers > 1
        yield Part("whole", (f"{prefix}s" if prefix else "layers",)) if whole else Part("numbered", tuple(own))


def _joined(sets: Iterable[frozenset[str]]) -> list[frozenset[str]]:
    """Sets that share members, joined."""
    found: list[frozenset[str]] = []
    for one in sets:
        touching = [other for other in found if other & one]
        found = [other for other in found if not other & one] + [one.union(*touching)]
    return found


def _heads_in(value: Any) -> Iterator[str]:
    for entry in flat(value):
        if isinstance(entry, Head):
            yield str(entry)
        elif isinstance(entry, (Heads, Selection)):
            yield from map(str, entry)
        elif isinstance(entry, str) and _HEAD.fullmatch(entry):
            yield entry


def _groups_in(names: Iterable[str]) -> Iterator[str]:
    return (match[1] for match in map(_GROUP.fullmatch, names) if match)


def _texts(value: Any, parameter: str) -> list[str]:
    if parameter in LAYERS:
        return [f"layer {entry}" for entry in flat(value) if isinstance(entry, int) and not isinstance(entry, bool)]
    return [entry for entry in flat(value) if isinstance(entry, str)]
