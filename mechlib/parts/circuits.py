"""Circuits: sets of nodes or edges of a graph that are claimed to do a task, and the prompts that chose them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from mechlib.parts.chosen import chosen_on, named, plain
from mechlib.parts.graphs import INPUT, LOGITS, Edge, Graph, Kind, kind_of, order_of, reached
from mechlib.parts.heads import EmptySelection, Head, Heads


@dataclass(frozen=True)
class Circuit:
    """Nodes, or edges, that are claimed to do a task; all others are replaced when it is judged.

    parts      names of nodes ("0.3", "mlp 1") or of edges, each once, in the order given (of a selection: best first)
    chosen_on  `PromptSet.members` of what was looked at to choose them; empty for a circuit from the literature.
               Parts of it, unions, complements and names keep it, and an evidence function that is given any of these
               together with one of those prompts raises DoubleDipping.
    """

    parts: tuple[str, ...]
    chosen_on: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        seen = self.chosen_on | chosen_on(*self.parts)
        object.__setattr__(self, "chosen_on", seen)
        object.__setattr__(self, "parts", tuple(named(plain(part), seen) for part in dict.fromkeys(self.parts)))
        kinds = {kind_of(part) for part in self.parts}
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
        kept = tuple(part for part in self.parts if part not in gone)
        return Circuit(kept, chosen_on(self, other, gone))

    def __str__(self) -> str:
        return named(", ".join(self.parts) or "no parts", self.chosen_on)

    @property
    def kind(self) -> Kind:
        """Whether the parts are nodes or edges. Raises EmptySelection where there are none."""
        if not self.parts:
            raise EmptySelection("a circuit without parts: nothing was selected")
        return kind_of(self.parts[0])

    @property
    def nodes(self) -> tuple[str, ...]:
        """The heads and MLPs in it, or that its edges touch, by layer."""
        if not self.parts or self.kind == "nodes":
            return tuple(sorted(self.parts, key=order_of))
        ends = {end for part in self.parts for end in Edge.parse(part)[:2]}
        return tuple(named(end, self.chosen_on) for end in sorted(ends - {INPUT, LOGITS}, key=order_of))

    @property
    def heads(self) -> Heads:
        """The heads among its nodes."""
        found = (Head(*map(int, node.split("."))) for node in self.nodes if not node.startswith("mlp"))
        return Heads(tuple(found), self.chosen_on)

    def connected(self) -> Circuit:
        """Only edges that lie on a path from the input to the logits: others do nothing, whatever they score."""
        if not self.parts or self.kind == "nodes":
            return self
        edges = [Edge.parse(part) for part in self.parts]
        forward = reached({INPUT}, [(edge.source, edge.target) for edge in edges])
        backward = reached({LOGITS}, [(edge.target, edge.source) for edge in edges])
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
    return Circuit(tuple(part.strip() for part in text.split(",") if part.strip()), chosen_on(text))


def circuit_of(heads: Iterable[Head]) -> Circuit:
    """Heads as a circuit of nodes; of a Selection it keeps the prompts that chose them."""
    return Circuit(tuple(map(str, heads)), chosen_on(heads))
