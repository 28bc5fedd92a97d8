"""What a part is exchanged for: matched heads, other layers, random circuits, each as an exchange of names."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechlib.checkpoints import checkpoint
from mechlib.checkpoints.packaged.table import PACKAGED
from mechlib.checkpoints.resolve import plan_of
from mechlib.judging.audit.asking import shape
from mechlib.judging.controls.named import Part
from mechlib.parts.circuits import Circuit
from mechlib.parts.exchange import Exchange
from mechlib.parts.graphs import Graph
from mechlib.parts.heads import Group, Heads, all_heads, heads
from mechlib.parts.matched_sets import LISTED, matched_groups, matched_sets
from mechlib.parts.random_circuits import random_circuits

MOST, MORE = 39, 200  # sets of a model that ships; and where these leave it open
FEW = 20  # of a model that does not ship, and of circuits, where each set costs a run of the whole graph
RANDOM_CIRCUITS = "random circuits on paths"


@dataclass(frozen=True)
class Matched:
    """The exchanges of one part, each with what it is called in the file.

    kind      what the part is exchanged for, in words
    in_layer  how many of them, the first ones, have as many heads in each layer as the heads that are claimed
    """

    part: Part
    kind: str
    exchanges: tuple[tuple[str, Exchange], ...]
    in_layer: int = 0


def graph_of(model: str, root: Path) -> Graph | None:
    """The heads and MLPs of a model, from its configuration; None where there is none to read."""
    described = checkpoint(model, root)
    planted = plan_of(described.parent)
    if planted is not None:
        return Graph(planted.n_layers, planted.n_heads)
    found = shape(model, root)
    if found is None:
        return None
    if described.kind == "packaged":  # judged where it is not: none of them has parallel layers, all have MLPs
        return Graph(found.layers, found.heads, groups=PACKAGED[described.parent].groups)
    config: dict[str, Any] = json.loads((described.path / "config.json").read_text(encoding="utf-8"))
    parallel = config.get("model_type") == "gpt_neox" and bool(config.get("use_parallel_residual", True))
    groups = int(config.get("num_key_value_heads") or 0)
    return Graph(found.layers, found.heads, parallel, mlps=not config.get("attn_only", False), groups=groups)


def first_sets(part: Part, ships: bool) -> int:
    """How many sets a part is exchanged for at first."""
    return MOST if ships and part.kind != "circuit" else FEW


def more_sets(part: Part) -> int:
    """How many where these leave it open."""
    return MOST if part.kind == "circuit" else MORE


def matched(part: Part, others: Iterable[Part], graph: Graph, n: int, skipped: frozenset[str]) -> Matched:
    """Up to `n` exchanges of a part that leave the `others` of the claim where they are."""
    if part.kind == "heads":
        held = heads(" ".join(name for other in others if other.kind == "heads" for name in other.names))
        return _other_heads(part, all_heads(graph.n_layers, graph.n_heads), held, n, skipped)
    if part.kind == "groups":
        return _other_groups(part, others, graph, n, skipped)
    if part.kind == "numbered":
        return Matched(part, "others of the nearest layers", _other_layers(part, graph, n, skipped))
    if part.kind == "layer":
        return Matched(part, "heads of the nearest layers", _other_rows(part, graph, n, skipped))
    if part.kind == "circuit":
        return Matched(part, RANDOM_CIRCUITS, _random(part, graph, n, skipped))
    return Matched(part, "no other of its kind", ())


def _other_heads(part: Part, every: Heads, held: Heads, n: int, skipped: frozenset[str]) -> Matched:
    """Disjoint sets of its layers, then of the nearest. Of more than half a layer no disjoint set is left: then the
    sets of its layers that share as few heads with it as they can, for other layers would only tell its layer."""
    own = heads(" ".join(part.names))
    found = matched_sets(own, every, n, but_not=held)
    sets, kind = found.sets, found.matched
    if len(own) > 1 and not any(_alike(own, other) for other in sets):
        sets, kind = _overlapping(own, every - held, n), "sets of its layers that share as few heads as they can"
    made = tuple((str(other), Exchange(_both_ways(own, other), skipped=skipped)) for other in sets)
    return Matched(part, kind, made, sum(_alike(own, other) for other in sets))


def _other_groups(part: Part, others: Iterable[Part], graph: Graph, n: int, skipped: frozenset[str]) -> Matched:
    """Sets of key/value groups of its layers, then of the nearest; none, with the layer, where it has no other."""
    own = tuple(map(Group.parse, part.names))
    held = tuple(Group.parse(name) for other in others if other.kind == "groups" for name in other.names)
    try:
        sets = matched_groups(own, graph.n_layers, graph.groups or graph.n_heads, n, held)
    except ValueError as error:
        return Matched(part, str(error), ())
    made = []
    for other in sets:
        pairs = list(zip(map(str, own), map(str, other), strict=True))
        pairs += [(f"{here}.{port}", f"{there}.{port}") for here, there in pairs for port in "kv"]
        names = dict(pairs) | {there: here for here, there in pairs}
        made.append((" ".join(map(str, other)), Exchange(names, skipped=skipped)))
    in_layer = sum(Counter(group.layer for group in other) == Counter(group.layer for group in own) for other in sets)
    return Matched(part, "key/value groups of its layer, then of the nearest", tuple(made), in_layer)


def _alike(own: Heads, other: Heads) -> bool:
    return Counter(head.layer for head in own) == Counter(head.layer for head in other)


def _overlapping(own: Heads, among: Heads, n: int) -> tuple[Heads, ...]:
    """Up to `n` other sets with as many heads in each layer as `own`, those first that share fewest with it."""
    layers = sorted(Counter(head.layer for head in own).items())
    ways = [list(itertools.combinations(among.in_layer(layer).members, size)) for layer, size in layers]
    rng = random.Random(f"sets that overlap {own}")
    if math.prod(map(len, ways)) <= LISTED:
        sets = [Heads(tuple(itertools.chain(*way))) for way in itertools.product(*ways)]
        rng.shuffle(sets)
    else:
        sets = [Heads(tuple(itertools.chain(*map(rng.choice, ways)))) for _ in range(LISTED)]
    others = dict.fromkeys(other for other in sets if other != own)
    return tuple(sorted(others, key=lambda other: len(set(other) & set(own))))[:n]


def _both_ways(own: Heads, other: Heads) -> dict[str, str]:
    """Names in each other's place; heads in both keep theirs."""
    pairs = list(zip(map(str, own - other), map(str, other - own), strict=True))
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
