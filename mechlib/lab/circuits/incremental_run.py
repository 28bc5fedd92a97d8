"""Circuits of edges, run incrementally: from the run of all edges, or of no edge, only nodes that differ run again.

A reader sees the sum of the outputs of earlier nodes: along the edges of the circuit their outputs in this run,
along all others their outputs in another run, the *base* (the corrupted prompt's, a mean, zeros). Biases of attention
outputs belong to no node and always count. Nothing is approximated: norms and attention are computed anew from the
stream that each reader sees, and so is a norm between a layer's heads and the stream (Gemma 3): an edge carries what a
head writes before that norm, and each reader sees it behind the norm of all that it is sent by the heads of the layer.

A node runs again only where a source that it reads differs, not at all where no path leads from it to the logits, and
at the last position alone where nothing reads it elsewhere. Edges can be cut for good, one after another, as pruning
does. Prompts of all lengths run together, padded on the left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.circuits.bases import Base, base_of_run, written_in_base
from mechlib.lab.forward.families import Network
from mechlib.parts.graphs import layer_of

Run: TypeAlias = tuple[Tensor, Base]  # token ids [batch pos], and the base of these prompts
Start = Literal["all", "none"]
Node: TypeAlias = tuple[int, str]  # its place in `Graph.sources`, and its name
Reader: TypeAlias = tuple[int, str]  # the place of a head, and its input
Stale: TypeAlias = Mapping[str, tuple[str, ...]]  # by node, the inputs that are made again
UNREAD, LAST, ALL = 0, 1, 2  # where a node is read


@dataclass
class Trial:
    """A run of other edges than the accepted ones, which `IncrementalRun.accept` can go on from.

    mask    the edges of the run, targets x sources
    read    by node (its place in `Graph.sources`), whether its output is UNREAD, read at the LAST position, or at ALL
    stream  the last residual stream at the last position: for `unembed`
    moved   by node, its output less its output in the base, of the nodes that ran again: [batch pos d_model]
    inputs  by node and input ("q", "k" or "v"), the rotated queries, rotated keys, or values that were made again
    sums    of what all of the first nodes moved, by their number and whether at the last position alone
    """

    mask: np.ndarray
    read: list[int]
    stream: Float[Tensor, "batch d_model"]
    moved: dict[int, Tensor] = field(default_factory=dict)
    inputs: dict[Reader, Tensor] = field(default_factory=dict)
    sums: dict[tuple[int, bool], Tensor] = field(default_factory=dict)


class IncrementalRun:
    """Circuits on some prompts, each run by what differs from the accepted run.

    runs   token ids and base of prompts of equal length, for one length or several
    start  the edges of the run that is accepted first: "all" or "none"
    """

    def __init__(self, net: Network, runs: Sequence[Run], start: Start = "all") -> None:
        self.net, self.graph, self.sizes = net, net.graph, [len(tokens) for tokens, _ in runs]
        self.nodes = list(enumerate(self.graph.sources))[1:]
        # Nodes that read nothing of each other: the heads of a layer, or an MLP.
        self.together = [
            list(own) for _, own in groupby(self.nodes, key=lambda one: (layer_of(one[1]), one[1].startswith("mlp")))
        ]
        self.rows: dict[str, dict[str, int]] = {}
        for row, (node, input) in enumerate(self.graph.targets):
            self.rows.setdefault(node, {})[input] = row
        firsts = [self.graph.before(f"{layer}.0") for layer in range(net.n_layers)]
        self.normed = {  # the heads of layers whose attention is normed
            layer: range(first, first + net.n_heads)
            for layer, (first, block) in enumerate(zip(firsts, net.blocks, strict=True))
            if block.ln1_post.kind != "none"
        }
        length = max(tokens.shape[1] for tokens, _ in runs)
        self._place(runs, length)
        self.before = torch.cat([_padded(written_in_base(net, *run), length) for run in runs], dim=1)
        self.zeros = not self.before[0].any()  # of "zero", in either direction
        self.moved = torch.zeros_like(self.before)
        self.totals: dict[tuple[int, int], Tensor] = {}
        self.weights: dict[tuple[int, str], tuple[Tensor, Tensor | None]] = {}
        self.inputs: dict[Reader, Tensor] = {}
        self.mask = np.zeros((len(self.graph.targets), len(self.graph.sources)), dtype=bool)
        if start == "all":
            clean = [_padded(written_in_base(net, tokens, base_of_run(net, tokens)), length) for tokens, _ in runs]
            self.moved = torch.cat(clean, dim=1) - self.before
            for row, (node, _) in enumerate(self.graph.targets):
                self.mask[row, : self.graph.before(node)] = True
        else:
            embedded = torch.cat([_padded(net.embed(tokens).unsqueeze(0), length) for tokens, _ in runs], dim=1)
            self.moved[0] = embedded[0] - self.before[0]
        known = Trial(self.mask, [ALL] * len(self.graph.sources), self.before[0, :, 0])
        for nodes in self.together:
            everything = {node: tuple(self.rows[node]) for _, node in nodes}
            if start == "none":
                self._run(nodes, everything, known)
            elif "." in nodes[0][1]:
                self._read(nodes, everything, known)
        self.accept(known)

    def _place(self, runs: Sequence[Run], length: int) -> None:
        """Sets the position of every token, and the keys that each sees."""
        device = runs[0][0].device
        lengths = torch.cat([torch.full((len(tokens),), tokens.shape[1], device=device) for tokens, _ in runs])
        places = torch.arange(length, device=device) - (length - lengths)[:, None]
        causal = torch.ones(length, length, dtype=torch.bool, device=device).tril()
        # A padded query sees itself: a row without any key would be NaN.
        itself = torch.eye(length, dtype=torch.bool, device=device)
        self.allowed = (causal & (places >= 0)[:, None, None, :]) | itself
        self.positions = places.clamp(min=0)

    def trial(self, mask: np.ndarray) -> Trial:
        """The run with these edges (targets x sources); once a trial was accepted, they must be some of its edges."""
        made = Trial(mask, self._where_read(mask), self.before[0, :, 0])
        other = (mask != self.mask).any(axis=1)
        changed = np.zeros(len(self.graph.sources), dtype=bool)
        for nodes in self.together:
            stale: dict[str, tuple[str, ...]] = {}
            for place, node in nodes:
                if made.read[place] != UNREAD:
                    rows = self.rows[node].items()
                    stale[node] = tuple(input for input, row in rows if other[row] or (mask[row] & changed).any())
            again = [(place, node) for place, node in nodes if stale.get(node)]
            if again:
                self._run(again, stale, made)
                changed[[place for place, _ in again]] = True
        made.stream = self._seen(len(mask) - 1, True, made)[:, 0]
        return made

    def accept(self, trial: Trial) -> None:
        """Make a trial's run the one that later trials are compared with."""
        for place, moved in trial.moved.items():
            self.moved[place, :, -moved.shape[1] :] = moved
        self.inputs |= trial.inputs
        self.mask = trial.mask

    def split(self, stream: Float[Tensor, "batch d_model"]) -> tuple[Float[Tensor, "some d_model"], ...]:
        """Of a stream of all prompts, the rows of each of the runs that this was made from."""
        return stream.split(self.sizes)

    def _where_read(self, mask: np.ndarray) -> list[int]:
        """For each node UNREAD, LAST or ALL: where its output reaches the logits along these edges."""
        read = np.where(mask[-1], LAST, UNREAD)
        for place, node in reversed(self.nodes):
            if read[place] == UNREAD:
                continue
            for input, row in self.rows[node].items():
                where = ALL if input in ("k", "v") else read[place]
                read[mask[row]] = np.maximum(read[mask[row]], where)
        return [int(where) for where in read]

    def _run(self, nodes: Sequence[Node], stale: Stale, made: Trial) -> None:
        """Runs nodes of one layer that read nothing of each other, at the positions where they are read."""
        block = self.net.blocks[layer_of(nodes[0][1])]
        if nodes[0][1].startswith("mlp"):
            ((place, node),) = nodes
            last = made.read[place] == LAST
            written = self.net.mlp(block, block.ln2(self._seen(self.rows[node][""], last, made)))
            made.moved[place] = written - (self.before[place, :, -1:] if last else self.before[place])
            return
        self._read(nodes, stale, made)
        for where, positions in ((LAST, slice(-1, None)), (ALL, slice(None))):
            own = [(place, node) for place, node in nodes if made.read[place] == where]
            if not own:
                continue
            q, k, v = (torch.cat([self._input(place, input, made) for place, _ in own], dim=2) for input in "qkv")
            z = self.net.attend(q[:, positions], k, v, self.allowed[:, :, positions])
            for head, (place, node) in enumerate(own):
                written = z[:, :, head] @ block.W_O[head_of(node)]
                made.moved[place] = written - self.before[place][:, positions]

    def _input(self, place: int, input: str, made: Trial) -> Float[Tensor, "batch pos one d_head"]:
        found = made.inputs[place, input] if (place, input) in made.inputs else self.inputs[place, input]
        return found[:, -1:] if input == "q" and made.read[place] == LAST else found

    def _read(self, nodes: Sequence[Node], stale: Stale, made: Trial) -> None:
        """Makes inputs of heads of one layer. Those that read the same stream are made together."""
        same: dict[tuple[bool, bytes], list[tuple[str, int, str]]] = {}
        for place, node in nodes:
            for input in stale[node]:
                last = input == "q" and made.read[place] == LAST
                same.setdefault((last, made.mask[self.rows[node][input]].tobytes()), []).append((input, place, node))
        layer = layer_of(nodes[0][1])
        block = self.net.blocks[layer]
        for (last, _), readers in same.items():
            input, _, node = readers[0]
            seen = block.ln1(self._seen(self.rows[node][input], last, made))
            for input, group in groupby(sorted(readers), key=itemgetter(0)):
                own = list(group)
                weights, bias = self._weights(layer, input, [head_of(node) for _, _, node in own])
                found = torch.nn.functional.linear(seen, weights, bias).unflatten(-1, (len(own), -1))
                if input != "v":
                    where = self.positions[:, -1:] if last else self.positions
                    found = self.net.rotated(block, "q" if input == "q" else "k", found, where)
                for number, (_, place, _) in enumerate(own):
                    made.inputs[place, input] = found[:, :, number : number + 1]

    def _weights(
        self, layer: int, input: str, heads: list[int]
    ) -> tuple[Float[Tensor, "out d_model"], Float[Tensor, " out"] | None]:
        """What makes an input of these heads, one after another."""
        if (layer, input) not in self.weights:
            block = self.net.blocks[layer]
            self.weights[layer, input] = self.net.input_weights(block, input), self.net.input_bias(block, input)
        weights, bias = self.weights[layer, input]
        return weights[heads].flatten(0, 1), None if bias is None else bias[heads].flatten()

    def _seen(self, row: int, last: bool, made: Trial) -> Float[Tensor, "batch pos d_model"]:
        """The stream that a reader sees: the base's, and what moved along the reader's edges."""
        node = self.graph.targets[row][0]
        n, where = self.graph.before(node), slice(-1, None) if last else slice(None)
        total, live = self._total(n, node)[:, where], made.mask[row, :n]
        normed = [(layer, heads) for layer, heads in self.normed.items() if heads.stop <= n]
        # Beside zeros a stream may be nothing, or small beside what a node moves (the first token's by thousands): what
        # is added and taken off leaves its rounding there, and a norm blows it up.
        if normed or self.zeros or 2 * live.sum() <= n:
            along = torch.zeros_like(total)
            for source in np.flatnonzero(live).tolist():
                if not any(source in heads for _, heads in normed):
                    along += self._moved(source, where, made)
        else:  # what does not move is less
            along = self._sum(n, last, made).clone()
            for source in np.flatnonzero(~live).tolist():
                along -= self._moved(source, where, made)
        seen = total + along
        for layer, heads in normed:
            base, along = torch.zeros_like(total), torch.zeros_like(total)
            for source in heads:  # as in `_total`: what is undone leaves nothing, which a norm would blow up
                base += self.before[source][:, where]
                if live[source]:
                    along += self._moved(source, where, made)
            seen = seen + self.net.blocks[layer].ln1_post(base + along)
        return seen

    def _sum(self, n: int, last: bool, made: Trial) -> Float[Tensor, "batch pos d_model"]:
        """What the first `n` nodes moved, added up. One that is read at the last position alone stands at all others
        with what it moved there; whoever reads elsewhere does not read it, and takes it off again."""
        if (n, last) not in made.sums:
            known = max((m for m, where in made.sums if where == last and m < n), default=0)
            where = slice(-1, None) if last else slice(None)
            total = made.sums[known, last].clone() if known else torch.zeros_like(self.before[0][:, where])
            for source in range(known, n):
                total += self._moved(source, where, made)
            made.sums[n, last] = total
        return made.sums[n, last]

    def _moved(self, source: int, where: slice, made: Trial) -> Float[Tensor, "batch pos d_model"]:
        return made.moved.get(source, self.moved[source])[:, where]

    def _total(self, n: int, node: str) -> Float[Tensor, "batch pos d_model"]:
        """The outputs of the first `n` nodes in the base, added up, and the attention biases that `node` reads; heads
        before a norm are left to `_seen`."""
        layers = self.net.n_layers if node == "logits" else layer_of(node)
        if node.startswith("mlp") and not self.net.parallel:
            layers += 1
        if (n, layers) not in self.totals:
            # One after another, as what moved is added up: where that undoes the base, nothing is left to round.
            total = torch.zeros_like(self.before[0])
            for source, written in enumerate(self.before[:n]):
                if not any(source in heads for heads in self.normed.values()):
                    total += written
            for block in self.net.blocks[:layers]:
                total = total if block.b_O is None else total + block.b_O
            self.totals[n, layers] = total
        return self.totals[n, layers]


def head_of(node: str) -> int:
    """The number of a head in its layer."""
    return int(node.split(".")[1])


def _padded(
    written: Float[Tensor, "source batch pos d_model"], length: int
) -> Float[Tensor, "source batch longer d_model"]:
    return torch.nn.functional.pad(written, (0, 0, length - written.shape[2], 0))
