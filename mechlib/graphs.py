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
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

from mechlib.circuits import EmptySelection, Head, Heads

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
    """Every node and edge of a model of `n_layers` layers with `n_heads` heads; `parallel` blocks as in GPT-NeoX."""

    n_layers: int
    n_heads: int
    parallel: bool = False

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """What writes into the residual stream, in order: "input", then heads and MLP of each layer."""
        layers = range(self.n_layers)
        return (INPUT, *(node for layer in layers for node in (*self._heads(layer), f"mlp {layer}")))

    @cached_property
    def targets(self) -> tuple[tuple[str, str], ...]:
        """What reads it, in order, as (node, port): q, k and v of each head, then the MLP, of each layer; "logits"."""
        found = [
            place
            for layer in range(self.n_layers)
            for place in (*((head, port) for head in self._heads(layer) for port in "qkv"), (f"mlp {layer}", ""))
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
        return 1 + layer * (self.n_heads + 1) + (self.n_heads if serial_mlp else 0)

    def check(self, names: Iterable[str]) -> None:
        """Nothing where all are nodes or edges of this graph; ValueError with the nearest name otherwise."""
        wanted = tuple(names)
        known = self._known
        for name in wanted:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else "is it of another model?"
                raise ValueError(
                    f"{name!r} is no node or edge of a model of {self.n_layers} layers with {self.n_heads} heads: "
                    f"{hint}"
                )

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset((*self.nodes, *self.edges))

    def _heads(self, layer: int) -> tuple[str, ...]:
        return tuple(f"{layer}.{head}" for head in range(self.n_heads))


@dataclass(frozen=True)
class Circuit:
    """Nodes, or edges, that are claimed to do a task; all others are replaced when it is judged.

    parts      names of nodes ("0.3", "mlp 1") or of edges, each once, in the order given (of a selection: best first)
    chosen_on  `PromptSet.members` of what was looked at to choose them; empty for a circuit from the literature.
               An evidence function that is given a circuit together with one of those prompts raises DoubleDipping.
    """

    parts: tuple[str, ...]
    chosen_on: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(dict.fromkeys(self.parts)))
        kinds = {_kind(part) for part in self.parts}
        if len(kinds) > 1:
            raise ValueError("a circuit is made of nodes or of edges, not of both: " + ", ".join(self.parts[:4]))

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def __contains__(self, part: object) -> bool:
        return part in self.parts

    def __getitem__(self, which: slice) -> Circuit:
        return replace(self, parts=self.parts[which])

    def __or__(self, other: Circuit) -> Circuit:
        return Circuit(self.parts + other.parts, self.chosen_on | other.chosen_on)

    def __sub__(self, other: Iterable[str]) -> Circuit:
        gone = set(other)
        return replace(self, parts=tuple(part for part in self.parts if part not in gone))

    def __str__(self) -> str:
        return ", ".join(self.parts) or "no parts"

    @property
    def kind(self) -> Kind:
        """Whether the parts are nodes or edges. Raises EmptySelection where there are none."""
        if not self.parts:
            raise EmptySelection("a circuit without parts: nothing was selected")
        return _kind(self.parts[0])

    @property
    def nodes(self) -> tuple[str, ...]:
        """The heads and MLPs in it, or that its edges touch, by layer."""
        if not self.parts or self.kind == "nodes":
            return tuple(sorted(self.parts, key=_order))
        ends = {end for part in self.parts for end in Edge.parse(part)[:2]}
        return tuple(sorted(ends - {INPUT, LOGITS}, key=_order))

    @property
    def heads(self) -> Heads:
        """The heads among its nodes."""
        return Heads(tuple(Head(*map(int, node.split("."))) for node in self.nodes if not node.startswith("mlp")))

    def connected(self) -> Circuit:
        """Only edges that lie on a path from the input to the logits: others do nothing, whatever they score."""
        if not self.parts or self.kind == "nodes":
            return self
        edges = [Edge.parse(part) for part in self.parts]
        forward = _reached({INPUT}, [(edge.source, edge.target) for edge in edges])
        backward = _reached({LOGITS}, [(edge.target, edge.source) for edge in edges])
        kept = [str(edge) for edge in edges if edge.source in forward and edge.target in backward]
        return replace(self, parts=tuple(kept))

    def complement(self, graph: Graph) -> Circuit:
        """All nodes, or all edges, of the model but these."""
        graph.check(self.parts)
        whole = graph.edges if self.parts and self.kind == "edges" else graph.nodes
        return replace(self, parts=tuple(part for part in whole if part not in set(self.parts)))

    def __repr__(self) -> str:
        """Exact, however many parts: the first of them and a digest of all."""
        some = ", ".join(sorted(self.parts)[:3]) + (", ..." if len(self.parts) > 3 else "")
        digest = hashlib.sha256("\n".join(sorted(self.parts)).encode()).hexdigest()[:12]
        return f"circuit({len(self.parts)} parts {digest}: {some})"


def circuit(text: str) -> Circuit:
    """A circuit from text, parts separated by commas: `circuit("0.3, 1.2, mlp 1")`, `circuit("input->0.3.v, ...")`."""
    return Circuit(tuple(part.strip() for part in text.split(",") if part.strip()))


def circuit_of(heads: Iterable[Head]) -> Circuit:
    """Heads as a circuit of nodes; of a Selection it keeps the prompts that chose them."""
    return Circuit(tuple(map(str, heads)), getattr(heads, "chosen_on", frozenset()))


def is_part(name: str) -> bool:
    """Whether a column of this name is a node or an edge that a circuit may have."""
    return bool(_EDGE.fullmatch(name) or _NODE.fullmatch(name)) and name not in (INPUT, LOGITS)


def layer_of(node: str) -> int:
    """The layer of a head or an MLP."""
    return int(node[4:] if node.startswith("mlp") else node.split(".")[0])


def _kind(part: str) -> Kind:
    if _EDGE.fullmatch(part):
        return "edges"
    if _NODE.fullmatch(part) and part not in (INPUT, LOGITS):
        return "nodes"
    raise ValueError(
        f"{part!r} is no part of a circuit: write a head as '0.3', an MLP as 'mlp 1', an edge as '0.3->1.2.q'"
    )


def _order(node: str) -> tuple[int, bool, int]:
    return layer_of(node), node.startswith("mlp"), 0 if node.startswith("mlp") else int(node.split(".")[1])


def _reached(start: set[str], steps: list[tuple[str, str]]) -> set[str]:
    found, size = set(start), 0
    while len(found) > size:
        size = len(found)
        found |= {end for begin, end in steps if begin in found}
    return found
