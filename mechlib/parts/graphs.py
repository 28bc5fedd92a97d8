"""Circuits as graphs: nodes, edges, and the sets of them that are claimed to do a task.

Nodes are "input" (the embeddings, with positions), heads ("0.3"), MLPs ("mlp 1") and "logits". A head reads the
residual stream three times, as query, key and value, so an edge into a head says which: "0.3->1.2.q". Other edges look
like "input->mlp 0" and "mlp 3->logits". Heads of a layer write for the MLP of the same layer, except where blocks are
parallel (GPT-NeoX).

Columns of a Measurement that are named so are nodes or edges; that is how discovery hands on its scores and how figures
know what to draw.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

Kind = Literal["nodes", "edges"]
INPUT, LOGITS = "input", "logits"
_NODE = re.compile(r"input|logits|mlp \d+|\d+\.\d+")
_EDGE = re.compile(r"(input|mlp \d+|\d+\.\d+)->(logits|mlp \d+|\d+\.\d+\.[qkv])")


class Edge(NamedTuple):
    """From what a node writes to one input of a later node; `port` is "q", "k", "v", or "" where there is only one."""

    source: str
    target: str
    port: str = ""

    def __str__(self) -> str:
        return f"{self.source}->{self.target}" + (f".{self.port}" if self.port else "")

    @classmethod
    def parse(cls, name: str) -> Edge:
        """The edge of this name. ValueError where it is none."""
        match = _EDGE.fullmatch(name)
        if match is None:
            raise ValueError(f"{name!r} is no edge: write source->target, as in '0.3->1.2.q' or 'mlp 3->logits'")
        source, target = match.groups()
        if target.endswith((".q", ".k", ".v")):
            return cls(source, target[:-2], target[-1])
        return cls(source, target)


@dataclass(frozen=True)
class Graph:
    """Every node and edge of a model of `n_layers` layers with `n_heads` heads.

    parallel  whether MLPs read the stream that the heads of their layer read, as in GPT-NeoX
    mlps      False for an attention-only model
    groups    key/value groups in each layer, which are no nodes; 0 where each head has keys and values of its own
    """

    n_layers: int
    n_heads: int
    parallel: bool = False
    mlps: bool = True
    groups: int = 0

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """What writes into the residual stream, in order: "input", then heads and MLP of each layer."""
        layers = range(self.n_layers)
        return (INPUT, *(node for layer in layers for node in (*self._heads(layer), *self._mlp(layer))))

    @cached_property
    def targets(self) -> tuple[tuple[str, str], ...]:
        """What reads it, in order, as (node, port): q, k and v of each head, then the MLP, of each layer; "logits"."""
        found = [
            place
            for layer in range(self.n_layers)
            for place in (
                *((head, port) for head in self._heads(layer) for port in "qkv"),
                *((mlp, "") for mlp in self._mlp(layer)),
            )
        ]
        return (*found, (LOGITS, ""))

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that a circuit may lack: heads and MLPs."""
        return self.sources[1:]

    @cached_property
    def edges(self) -> tuple[str, ...]:
        """The names of all edges, target by target."""
        return tuple(
            str(Edge(source, *target)) for target in self.targets for source in self.sources[: self.before(target[0])]
        )

    def before(self, node: str) -> int:
        """How many of `sources` a node can read: those of earlier layers, and for a serial MLP its layer's heads."""
        if node == LOGITS:
            return len(self.sources)
        layer = layer_of(node)
        serial_mlp = node.startswith("mlp") and not self.parallel
        return 1 + layer * (self.n_heads + self.mlps) + (self.n_heads if serial_mlp else 0)

    def check(self, names: Iterable[str]) -> None:
        """Nothing where all are nodes or edges of this graph; ValueError with the nearest name otherwise."""
        wanted = tuple(names)
        known = self._known
        for name in wanted:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else "is it of another model?"
                raise ValueError(
                    f"{name!r} is no node or edge of a model of {self.n_layers} layers with {self.n_heads} heads"
                    f"{'' if self.mlps else ' and no MLPs'}: {hint}"
                )

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset((*self.nodes, *self.edges))

    def _heads(self, layer: int) -> tuple[str, ...]:
        return tuple(f"{layer}.{head}" for head in range(self.n_heads))

    def _mlp(self, layer: int) -> tuple[str, ...]:
        return (f"mlp {layer}",) if self.mlps else ()


def is_part(name: str) -> bool:
    """Whether a column of this name is a node or an edge that a circuit may have."""
    return bool(_EDGE.fullmatch(name) or _NODE.fullmatch(name)) and name not in (INPUT, LOGITS)


def layer_of(node: str) -> int:
    """The layer of a head or an MLP."""
    return int(node[4:] if node.startswith("mlp") else node.split(".")[0])


def kind_of(part: str) -> Kind:
    """Whether a part is named as a node or as an edge; ValueError with the way to write one."""
    if _EDGE.fullmatch(part):
        return "edges"
    if _NODE.fullmatch(part) and part not in (INPUT, LOGITS):
        return "nodes"
    raise ValueError(
        f"{part!r} is no part of a circuit: write a head as '0.3', an MLP as 'mlp 1', an edge as '0.3->1.2.q'"
    )


def order_of(node: str) -> tuple[int, bool, int]:
    """A key that sorts nodes by layer, heads before the MLP."""
    return layer_of(node), node.startswith("mlp"), 0 if node.startswith("mlp") else int(node.split(".")[1])


def reached(start: set[str], steps: list[tuple[str, str]]) -> set[str]:
    """All nodes that steps lead to from `start`, which are among them."""
    found, size = set(start), 0
    while len(found) > size:
        size = len(found)
        found |= {end for begin, end in steps if begin in found}
    return found
