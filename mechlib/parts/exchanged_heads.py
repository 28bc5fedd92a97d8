"""A circuit with its heads exchanged for others of their layers: the same paths, of other heads.

What it is compared with where random paths would be too easy to beat: size, layers, kinds of edges, and how they hang
together stay; edges between embeddings, MLPs and logits stay as they are (docs/STATISTICS.md, R31).
"""

from __future__ import annotations

import random

from mechlib.parts.circuits import Circuit
from mechlib.parts.graphs import Edge, Graph
from mechlib.parts.heads import EmptySelection

MISSES = 100  # draws one after another that give the circuit itself


def exchanged_heads(graph: Graph, like: Circuit, n: int = 200, seed: int = 0) -> tuple[Circuit, ...]:
    """`n` circuits: `like` with the heads of each layer permuted, all permutations equally likely, never `like` itself.

    Nodes or edges. Independent draws: where `like` has few heads, the same circuit comes more than once, as often as
    chance has it; a null of them is drawn, never all there are. What chose `like` did not choose these.

    Raises EmptySelection where `like` has no head, ValueError for parts that the model lacks, for n < 1, and where no
    permutation gives another circuit (all heads of each layer do the same in it).
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"{n!r} circuits were asked for: ask for at least one, and for a whole number")
    graph.check(like)
    if not like or not like.heads:
        raise EmptySelection("no heads to exchange: compare a circuit of MLPs alone with `random_circuits`")
    rng, own, made = random.Random(f"exchanged heads {seed}"), frozenset(like), list[Circuit]()
    misses = 0
    while len(made) < n:
        places = _permuted(graph, rng)
        other = Circuit(tuple(_renamed(part, places) for part in like))
        if frozenset(other) != own:
            made.append(other)
            misses = 0
            continue
        misses += 1
        if misses == MISSES:
            raise ValueError(
                f"{MISSES} exchanges of heads within layers gave this circuit again: those of each layer do the same; "
                "compare with `random_circuits`"
            )
    return tuple(made)


def _permuted(graph: Graph, rng: random.Random) -> dict[str, str]:
    """The head that stands for each head."""
    found: dict[str, str] = {}
    for layer in range(graph.n_layers):
        others = rng.sample(range(graph.n_heads), graph.n_heads)
        found |= {f"{layer}.{head}": f"{layer}.{other}" for head, other in enumerate(others)}
    return found


def _renamed(part: str, places: dict[str, str]) -> str:
    if "->" not in part:
        return places.get(part, part)
    source, target, port = Edge.parse(part)
    return str(Edge(places.get(source, source), places.get(target, target), port))
