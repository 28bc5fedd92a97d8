"""Circuits of edges: a forward pass in which every reader's input is put together edge by edge.

What a reader sees is the sum of what earlier nodes wrote: along the edges of the circuit what they write in this run,
along all others what they wrote in another run, the *base* (the corrupted prompt's, a mean, zeros). Biases of attention
outputs belong to no node and are always there. Nothing is approximated: norms and attention are computed anew from what
each reader sees.

Circuits run one after another, and nothing is computed twice: an output is named by what it was made from (its node,
and the outputs that its inputs are sums of), and where another circuit makes it from the same, it is the same. Nothing
is computed that no path leads from to the logits, nothing before the first position at which base and run differ, and
in the last layer nothing but at the last position.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.lab.forward.cache import keep
from mechlib.lab.forward.families import Block, Network, forward
from mechlib.lab.forward.recording import Past, attended, by_head_times, embedded, memory
from mechlib.parts.circuits import Circuit
from mechlib.parts.graphs import LOGITS, Edge, Graph, layer_of

Base: TypeAlias = Mapping[str, Tensor] | None  # activations by hook name, of `base_names`; None for zeros
Written: TypeAlias = Float[Tensor, "source batch pos d_model"]
Sources: TypeAlias = tuple[int, ...]  # places in `Graph.sources`
BUDGET = 2**28  # bytes that what all nodes write may take; as many again for what several circuits have in common
SAME = 1e-5  # of the largest entry: by how much two runs differ that are the same
NOTHING = 0  # the name of an output that is the base's


def base_names(net: Network) -> tuple[str, ...]:
    """The activations that a base consists of: embeddings, each layer's heads, each MLP."""
    layers = range(net.n_layers)
    return (
        "blocks.0.hook_resid_pre",
        *(f"blocks.{layer}.attn.hook_z" for layer in layers),
        *(f"blocks.{layer}.hook_mlp_out" for layer in layers),
    )


def written_by(net: Network, tokens: Int[Tensor, "batch pos"], base: Base) -> Written:
    """What every node of `net.graph.sources` wrote in the base, in that order; zeros where there is none.

    An MLP's bias is part of what it writes; the biases of attention outputs are apart (`biases`).
    """
    if base is None:
        return torch.zeros(len(net.graph.sources), *tokens.shape, net.W_E.shape[1], device=tokens.device)
    parts = [base["blocks.0.hook_resid_pre"].unsqueeze(0)]
    for layer, block in enumerate(net.blocks):
        z = base[f"blocks.{layer}.attn.hook_z"]
        parts.append(torch.einsum("bphd,hdm->hbpm", z, block.W_O))
        parts.append(base[f"blocks.{layer}.hook_mlp_out"].unsqueeze(0))
    return torch.cat(parts)


def run_of(net: Network, tokens: Int[Tensor, "batch pos"]) -> dict[str, Tensor]:
    """The activations of an unpatched run, as a base."""
    return forward(net, tokens, keep=base_names(net))[1]


def mask_of(graph: Graph, circuit: Iterable[str]) -> Bool[Tensor, "target source"]:
    """True where an edge is in the circuit: targets by sources, in the graph's order.

    A circuit of nodes has every edge that leaves one of its nodes; edges from the input are always in it.
    Raises ValueError, with the nearest name, for parts that the model lacks.
    """
    parts = tuple(circuit)
    graph.check(parts)
    places = {target: row for row, target in enumerate(graph.targets)}
    columns = {source: column for column, source in enumerate(graph.sources)}
    made = torch.zeros(len(places), len(columns), dtype=torch.bool)
    if parts and Circuit(parts).kind == "nodes":
        made[:, [0, *(columns[node] for node in parts)]] = True
        for row, (node, _) in enumerate(graph.targets):
            made[row, graph.before(node) :] = False
        return made
    for part in parts:
        source, target, port = Edge.parse(part)
        made[places[target, port], columns[source]] = True
    return made


def run_circuits(
    net: Network,
    tokens: Int[Tensor, "batch pos"],
    base: Base,
    masks: Sequence[Bool[Tensor, "target source"]],
) -> Iterator[Float[Tensor, "batch d_model"]]:
    """The residual stream that the logits read at the last position, for each circuit in turn: for `unembed`."""
    per_row = len(net.graph.sources) * tokens.shape[1] * net.W_E.shape[1] * net.W_E.element_size()
    step, parts = max(1, BUDGET // per_row), []
    for start in range(0, len(tokens), step):
        rows = slice(start, start + step)
        runner = _Runner(net, tokens[rows], _of_rows(net, base, rows))
        parts.append([runner(mask.cpu().numpy()) for mask in masks])
    yield from (torch.cat(own) for own in zip(*parts, strict=True))


class _Runner:
    """Runs circuits on some prompts. Outputs are kept as differences from the base, by source and by name."""

    @torch.no_grad()
    def __init__(self, net: Network, tokens: Int[Tensor, "batch pos"], base: Base) -> None:
        self.net, self.graph = net, net.graph
        start, self.past = _shared(net, tokens, base)
        self.before = written_by(net, tokens, base)[:, :, start:]
        layers = range(net.n_layers)
        readers = (*(f"{layer}.0" for layer in layers), *(f"mlp {layer}" for layer in layers), LOGITS)
        self.totals = {node: self._total(node) for node in readers}  # the heads of a layer read the same nodes
        self.rows = {target: row for row, target in enumerate(self.graph.targets)}
        self.names: dict[Hashable, int] = {}
        self.known: OrderedDict[int, Tensor] = OrderedDict()
        self.room = BUDGET
        self.still = {NOTHING}  # names of outputs that are the base's
        self.moved = torch.zeros_like(self.before)  # of the circuit that runs
        self.held = [NOTHING] * len(self.before)  # the names of what stands in `moved`
        self._store(0, self._name("input"), embedded(net, tokens, start) - self.before[0], True)

    @torch.no_grad()
    def __call__(self, mask: np.ndarray) -> Float[Tensor, "batch d_model"]:
        """What the logits read at the last position, with these edges (targets x sources) in the circuit."""
        made = np.full(len(self.graph.sources), NOTHING)  # the names of what the nodes write
        read = _read(self.graph, mask)
        self._settle(0, self._name("input"), made)
        for layer in range(self.net.n_layers):
            first = self.graph.before(f"{layer}.0")
            heads = [head for head in range(self.net.n_heads) if read[first + head]]
            seen = {
                (head, port): self._sources(mask, made, f"{layer}.{head}", port) for head in heads for port in "qkv"
            }
            names = {
                head: self._name(first + head, *(tuple(made[list(seen[head, p])]) for p in "qkv")) for head in heads
            }
            new = [head for head in heads if not self._is_known(first + head, names[head])]
            if new:
                written = self._heads(layer, new, {place: seen[place] for place in seen if place[0] in new})
                for head, one in zip(new, written, strict=True):
                    empty = not any(seen[head, port] for port in "qkv")
                    self._store(first + head, names[head], one - self._base(first + head, one), empty)
            for head in heads:
                self._settle(first + head, names[head], made)
            if read[mlp := first + self.net.n_heads]:
                self._mlp(layer, mlp, self._sources(mask, made, f"mlp {layer}", ""), made)
        sources = self._sources(mask, made, LOGITS, "")
        return self._seen(LOGITS, [sources], last=True)[0, :, -1]

    def _mlp(self, layer: int, place: int, sources: Sources, made: np.ndarray) -> None:
        name, block = self._name(place, tuple(made[list(sources)])), self.net.blocks[layer]
        if not self._is_known(place, name):
            seen = self._seen(f"mlp {layer}", [sources], last=layer == self.net.n_layers - 1)[0]
            written = self.net.mlp(block, block.ln2(seen))
            self._store(place, name, written - self._base(place, written), not sources)
        self._settle(place, name, made)

    def _heads(
        self, layer: int, heads: list[int], seen: Mapping[tuple[int, str], Sources]
    ) -> Float[Tensor, "head_index batch pos d_model"]:
        """What some heads of a layer write. What several readers see is put together and normed once."""
        net, block, last = self.net, self.net.blocks[layer], layer == self.net.n_layers - 1
        distinct = {sources: number for number, sources in enumerate(dict.fromkeys(seen.values()))}
        inputs = block.ln1(self._seen(f"{layer}.0", list(distinct)))
        q, k, v = (
            _made(net, block, port, heads, inputs, [distinct[seen[head, port]] for head in heads]) for port in "qkv"
        )
        z = attended(net, q[:, -1:] if last else q, k, v, self.past[layer] if self.past else None, heads)
        return by_head_times(z, block.W_O[heads])

    def _seen(
        self, node: str, several: Sequence[Sources], last: bool = False
    ) -> Float[Tensor, "several batch pos d_model"]:
        """What a node sees along each of several sets of edges; of the last position alone, or of all."""
        where = slice(-1, None) if last else slice(None)
        total, sources = self.totals[node][:, where], sorted(set().union(*several))
        if not sources:
            return total.expand(len(several), -1, -1, -1)
        whole = sources[-1] - sources[0] + 1 == len(sources)
        moved = (self.moved[sources[0] : sources[-1] + 1] if whole else self.moved[sources])[:, :, where]
        rows = np.zeros((len(several), len(self.held)), dtype=np.float32)
        for row, own in zip(rows, several, strict=True):
            row[list(own)] = 1
        along = torch.from_numpy(rows[:, sources]).to(moved)
        return (along @ moved.flatten(1)).unflatten(1, moved.shape[1:]) + total

    def _total(self, node: str) -> Float[Tensor, "batch pos d_model"]:
        """What a node sees in the base."""
        layers = self.net.n_layers if node == LOGITS else layer_of(node)
        behind_heads = node.startswith("mlp") and not self.net.parallel
        return self.before[: self.graph.before(node)].sum(0) + _bias(self.net, layers + behind_heads)

    # --- outputs by name ----------------------------------------------------------------------------------------

    def _name(self, *made_from: Hashable) -> int:
        return self.names.setdefault(made_from, len(self.names) + 1)

    def _sources(self, mask: np.ndarray, made: np.ndarray, node: str, port: str) -> Sources:
        """Along which edges a reader sees something else than the base."""
        return tuple(np.flatnonzero(mask[self.rows[node, port]] & (made != NOTHING)).tolist())

    def _base(self, place: int, like: Tensor) -> Tensor:
        return self.before[place][:, -like.shape[1] :]

    def _is_known(self, place: int, name: int) -> bool:
        return name in self.still or name in self.known or self.held[place] == name

    def _store(self, place: int, name: int, moved: Tensor, empty: bool) -> None:
        """Keep an output; with `empty`, nothing that it is made from differs from the base: it may be the base's."""
        if empty and bool(moved.abs().max() <= SAME * self.before[place].abs().max()):
            self.still.add(name)
            return
        self.known[name] = moved
        self.room -= moved.numel() * moved.element_size()
        while self.room < 0 and len(self.known) > 1:
            gone = self.known.popitem(last=False)[1]
            self.room += gone.numel() * gone.element_size()
        self._put(place, name)

    def _put(self, place: int, name: int) -> None:
        if self.held[place] != name:
            moved = self.known[name]
            self.moved[place][:, -moved.shape[1] :] = moved
            self.held[place] = name
        if name in self.known:
            self.known.move_to_end(name)

    def _settle(self, place: int, name: int, made: np.ndarray) -> None:
        """This is what the node writes in the circuit that runs."""
        if name not in self.still:
            self._put(place, name)
            made[place] = name


def _of_rows(net: Network, base: Base, rows: slice) -> Base:
    return None if base is None else {name: base[name][rows] for name in base_names(net)}


def _shared(net: Network, tokens: Int[Tensor, "batch pos"], base: Base) -> tuple[int, Past]:
    """The first position at which the base is not the run of these tokens, and that run before it."""
    if base is None:
        return 0, None
    own = keep(net, tokens)
    differs = torch.zeros(tokens.shape[1], dtype=torch.bool, device=tokens.device)
    differs[-1] = True
    for name in base_names(net):
        one, other = own[name].transpose(0, 1).flatten(1), base[name].transpose(0, 1).flatten(1)
        differs |= (one - other).abs().amax(1) > SAME * other.abs().amax(1)
    start = int(differs.nonzero()[0])
    return start, memory(own, start)


def _read(graph: Graph, mask: np.ndarray) -> np.ndarray:
    """Which sources the logits read, along whatever path."""
    read, before = mask[-1].copy(), len(mask) - 1
    for place, node in reversed(list(enumerate(graph.sources))[1:]):
        n = 1 if node.startswith("mlp") else 3
        before -= n
        if read[place]:
            read |= mask[before : before + n].any(0)
    return read


def _made(
    net: Network,
    block: Block,
    port: str,
    heads: list[int],
    inputs: Float[Tensor, "several batch pos d_model"],
    which: list[int],
) -> Float[Tensor, "batch pos some d_head"]:
    """Queries, keys or values of some heads, from which of the inputs each of them sees."""
    groups = [head * net.n_groups // net.n_heads for head in heads]
    own = {"q": heads, "k": [net.n_heads + g for g in groups], "v": [net.n_heads + net.n_groups + g for g in groups]}
    weight = block.qkv.unflatten(0, (-1, net.d_head))[own[port]]
    bias = None if block.b_qkv is None else block.b_qkv.unflatten(0, (-1, net.d_head))[own[port]]
    if len(set(which)) == 1:
        made = F.linear(inputs[which[0]], weight.flatten(0, 1), None if bias is None else bias.flatten())
        return made.unflatten(-1, (-1, net.d_head))
    made = torch.matmul(inputs[which].flatten(1, 2), weight.transpose(1, 2))
    made = made if bias is None else made + bias.unsqueeze(1)
    return made.unflatten(1, inputs.shape[1:3]).movedim(0, 2)


def _bias(net: Network, layers: int) -> Float[Tensor, " d_model"]:
    """The attention output biases of the first layers."""
    total = torch.zeros(net.W_E.shape[1], device=net.W_E.device)
    for block in net.blocks[:layers]:
        total = total if block.b_O is None else total + block.b_O
    return total
