"""What a part is exchanged for: matched heads, other layers, random circuits, each as an exchange of names."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechlib.checkpoints import checkpoint
from mechlib.checkpoints.resolve import plan_of
from mechlib.judging.audit.asking import shape
from mechlib.judging.controls.named import Part
from mechlib.parts.circuits import Circuit
from mechlib.parts.exchange import Exchange
from mechlib.parts.graphs import Graph
from mechlib.parts.heads import Heads, all_heads, heads
from mechlib.parts.matched_sets import matched_sets
from mechlib.parts.random_circuits import random_circuits

MOST, MORE = 39, 200  # sets of a model that ships; and where these leave it open
FEW = 20  # of a model that does not ship, and of circuits, where each set costs a run of the whole graph


@dataclass(frozen=True)
class Matched:
    """The exchanges of one part, each with what it is called in the file.

    kind      what the part is exchanged for, in words
    in_layer  how many of them, the first ones, are in the layer of the one head that is claimed
    """

    part: Part
    kind: str
    exchanges: tuple[tuple[str, Exchange], ...]
    in_layer: int = 0


def graph_of(model: str, root: Path) -> Graph | None:
    """The heads and MLPs of a model, from its configuration; None where there is none to read."""
    planted = plan_of(checkpoint(model, root).parent)
    if planted is not None:
        return Graph(planted.n_layers, planted.n_heads)
    found = shape(model, root)
    if found is None:
        return None
    config: dict[str, Any] = json.loads((checkpoint(model, root).path / "config.json").read_text(encoding="utf-8"))
    parallel = config.get("model_type") == "gpt_neox" and bool(config.get("use_parallel_residual", True))
    return Graph(found.layers, found.heads, parallel, mlps=not config.get("attn_only", False))


def first_sets(part: Part, ships: bool) -> int:
    """How many sets a part is exchanged for at first."""
    return MOST if ships and part.kind != "circuit" else FEW


def more_sets(part: Part) -> int:
    """How many where these leave it open."""
    return MOST if part.kind == "circuit" else MORE


def matched(part: Part, others: Iterable[Part], graph: Graph, n: int, skipped: frozenset[str]) -> Matched:
    """Up to `n` exchanges of a part that leave the `others` of the claim where they are."""
    if part.kind == "heads":
        held = [head for other in others if other.kind == "heads" for head in heads(" ".join(other.names))]
        own = heads(" ".join(part.names))
        sets = matched_sets(own, all_heads(graph.n_layers, graph.n_heads), n, but_not=held)
        made = tuple((str(found), Exchange(_both_ways(own, found), skipped=skipped)) for found in sets)
        return Matched(part, sets.matched, made, sets.in_layer)
    if part.kind == "numbered":
        return Matched(part, "others of the nearest layers", _other_layers(part, graph, n, skipped))
    if part.kind == "layer":
        return Matched(part, "heads of the nearest layers", _other_rows(part, graph, n, skipped))
    if part.kind == "circuit":
        return Matched(part, "random circuits on paths", _random(part, graph, n, skipped))
    return Matched(part, "no other of its kind", ())


def _both_ways(own: Heads, other: Heads) -> dict[str, str]:
    pairs = list(zip(map(str, own), map(str, other), strict=True))
    return dict(pairs) | {there: here for here, there in pairs}


def _nearest(layer: int, layers: int) -> list[int]:
    """The other layers, nearest first, the lower of two before the higher."""
    return sorted((other for other in range(layers) if other != layer), key=lambda other: (abs(other - layer), other))


def _other_layers(part: Part, graph: Graph, n: int, skipped: frozenset[str]) -> tuple[tuple[str, Exchange], ...]:
    if len(part.names) > 1:
        return ()  # as many others of its kind in a model of some layers are soon the same again
    *words, number = part.names[0].split()
    made = []
    for other in _nearest(int(number), graph.n_layers)[:n]:
        name = " ".join([*words, str(other)])
        made.append((name, Exchange({part.names[0]: name, name: part.names[0]}, skipped=skipped)))
    return tuple(made)


def _other_rows(part: Part, graph: Graph, n: int, skipped: frozenset[str]) -> tuple[tuple[str, Exchange], ...]:
    own, every = heads(" ".join(part.names)), all_heads(graph.n_layers, graph.n_heads)
    made = []
    for other in _nearest(own.members[0].layer, graph.n_layers)[:n]:
        names = _both_ways(own, every.in_layer(other))
        made.append((f"layer {other}", Exchange(names, skipped=skipped)))
    return tuple(made)


def _random(part: Part, graph: Graph, n: int, skipped: frozenset[str]) -> tuple[tuple[str, Exchange], ...]:
    """Random circuits in the place of each circuit of the part; its complement becomes that of the random one."""
    drawn: dict[frozenset[str], tuple[Circuit, ...]] = {}
    for own in part.circuits:
        key = frozenset(own.parts)
        rest = frozenset(own.complement(graph).parts)
        try:
            drawn[key] = (
                tuple(other.complement(graph) for other in drawn[rest])
                if rest in drawn
                else random_circuits(graph, own, n)
            )
        except ValueError:
            return ()
    many = min(map(len, drawn.values()))
    return tuple(
        (f"random {number}", Exchange(circuits={own: others[number] for own, others in drawn.items()}, skipped=skipped))
        for number in range(many)
    )
