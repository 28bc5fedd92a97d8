"""Random circuits: as large as a given one, or the given one and a little more; and random subsets of one.

They are what a circuit is compared with (docs/STATISTICS.md, R16 and R23). Circuits of edges consist of paths from the
input to the logits, as any does that can do something: a *random path* is walked backwards from the logits, each step
along one of the edges that enter the node, all of them equally likely, until the input is reached.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from mechlib.parts.circuits import Circuit
from mechlib.parts.graphs import INPUT, LOGITS, Edge, Graph
from mechlib.parts.heads import EmptySelection

ATTEMPTS = 50  # paths that are tried one after another before single edges are
MISSES = 300  # draws one after another that bring no new circuit, after which fewer are returned


class Inflated(NamedTuple):
    """A circuit and one random path (or node) more, and one of the edges added (or the node), to be removed again."""

    circuit: Circuit
    added: tuple[str, ...]
    removed: str


def random_circuits(graph: Graph, like: Circuit, n: int = 200, seed: int = 0) -> tuple[Circuit, ...]:
    """Up to `n` distinct circuits with as many parts as `like`, never `like` itself; fewer where so many do not exist.

    nodes  as many heads and as many MLPs as `like` has, from the whole model
    edges  random paths, added while their new edges fit; where none is drawn that fits, random single edges between
           nodes that are on paths already. Where `like` has edges on no path: edges drawn one by one

    Parts of `like` may be among them. Raises EmptySelection where `like` is empty, ValueError for parts that the model
    lacks and where no other circuit of that size exists.
    """
    _check(graph, like, n)
    if not like:
        raise EmptySelection("no parts to match: an empty circuit has no random counterpart")
    rng = random.Random(f"random circuits {seed}")
    own, drawn = frozenset(like), dict[frozenset[str], None]()
    misses = 0
    while len(drawn) < n and misses < MISSES and len(own) < len(_whole(graph, like)):
        made = _drawn(graph, like, rng)
        if made is None or made == own or made in drawn:
            misses += 1
        else:
            drawn[made] = None
            misses = 0
    if not drawn:
        raise ValueError(
            f"no other circuit of {len(like)} {like.kind} was found in this model: nothing to compare with"
        )
    return tuple(Circuit(tuple(part for part in _whole(graph, like) if part in parts)) for parts in drawn)


def inflated_circuits(graph: Graph, like: Circuit, n: int = 200, seed: int = 0) -> tuple[Inflated, ...]:
    """`like` with one random path more, `n` times, and which of the new edges to remove; of nodes, one node more.

    The same path may be drawn twice. Raises as `random_circuits` does; ValueError where `like` is the whole model.
    """
    _check(graph, like, n)
    if not like:
        raise EmptySelection("no parts to add to: an empty circuit cannot be inflated")
    if len(like) == len(_whole(graph, like)):
        raise ValueError("this circuit is the whole model: there is no path to add")
    rng, own, made = random.Random(f"inflated circuits {seed}"), set(like), list[Inflated]()
    while len(made) < n:
        path = _path(graph, rng) if like.kind == "edges" else (rng.choice(graph.nodes),)
        added = tuple(part for part in path if part not in own)
        if added:
            made.append(Inflated(Circuit((*like.parts, *added)), added, rng.choice(added)))
    return tuple(made)


def random_knockouts(circuit: Circuit, n: int = 10, seed: int = 0) -> dict[str, Circuit]:
    """`n` random subsets ("random 1", ...), each part in it with probability 1/2, none empty: K of completeness.

    Raises EmptySelection where the circuit is empty.
    """
    if not circuit:
        raise EmptySelection("no parts to knock out: an empty circuit has no subsets")
    rng, made = random.Random(f"knock-outs {seed}"), dict[str, Circuit]()
    while len(made) < n:
        parts = tuple(part for part in circuit if rng.random() < 0.5)
        if parts:
            made[f"random {len(made) + 1}"] = Circuit(parts, circuit.chosen_on)
    return made


def _check(graph: Graph, like: Circuit, n: int) -> None:
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"{n!r} circuits were asked for: ask for at least one, and for a whole number")
    graph.check(like)


def _whole(graph: Graph, like: Circuit) -> tuple[str, ...]:
    return graph.edges if like.kind == "edges" else graph.nodes


def _drawn(graph: Graph, like: Circuit, rng: random.Random) -> frozenset[str] | None:
    if like.kind == "nodes":
        mlps = [node for node in graph.nodes if node.startswith("mlp")]
        heads = [node for node in graph.nodes if not node.startswith("mlp")]
        wanted = sum(part.startswith("mlp") for part in like)
        return frozenset((*rng.sample(mlps, wanted), *rng.sample(heads, len(like) - wanted)))
    if len(like.connected()) < len(like):
        return frozenset(rng.sample(graph.edges, len(like)))
    return _of_paths(graph, len(like), rng)


def _of_paths(graph: Graph, size: int, rng: random.Random) -> frozenset[str] | None:
    """Random edges on paths, exactly so many; None where the draw ended in a corner."""
    found, failed = set[str](), 0
    while len(found) < size and failed < ATTEMPTS:
        new = [edge for edge in _path(graph, rng) if edge not in found]
        if 0 < len(new) <= size - len(found):
            found.update(new)
            failed = 0
        else:
            failed += 1
    while len(found) < size:
        near = _between(graph, found)
        if not near:
            return None
        found.add(rng.choice(near))
    return frozenset(found)


def _path(graph: Graph, rng: random.Random) -> tuple[str, ...]:
    target, edges = LOGITS, list[str]()
    while target != INPUT:
        source = rng.choice(graph.sources[: graph.before(target)])
        port = rng.choice("qkv") if "." in target else ""
        edges.append(str(Edge(source, target, port)))
        target = source
    return tuple(edges)


def _between(graph: Graph, edges: set[str]) -> list[str]:
    """Edges that are not among these, between nodes that these touch: each lies on a path, as those do."""
    ends = {end for edge in edges for end in Edge.parse(edge)[:2]} | {INPUT, LOGITS}
    return [
        name
        for node, port in graph.targets
        if node in ends
        for source in graph.sources[: graph.before(node)]
        if source in ends and (name := str(Edge(source, node, port))) not in edges
    ]
