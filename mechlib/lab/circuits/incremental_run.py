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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
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
UNREAD, LAST, ALL = 0, 1, 2  # where a node is read


@dataclass
class Trial:
    """A run of other edges than the accepted ones, which `IncrementalRun.accept` can go on from.

    mask    the edges of the run, targets x sources
    read    by node (its place in `Graph.sources`), whether its output is UNREAD, read at the LAST position, or at ALL
    stream  the last residual stream at the last position: for `unembed`
    moved   by node, its output less its output in the base, of the nodes that ran again: [batch pos d_model]
    inputs  by node and input ("q", "k" or "v"), the rotated queries, rotated keys, or values that were made again
    """

    mask: np.ndarray
    read: list[int]
    stream: Float[Tensor, "batch d_model"]
    moved: dict[int, Tensor] = field(default_factory=dict)
    inputs: dict[tuple[int, str], Tensor] = field(default_factory=dict)


class IncrementalRun:
    """Circuits on some prompts, each run by what differs from the accepted run.

    runs   token ids and base of prompts of equal length, for one length or several
    start  the edges of the run that is accepted first: "all" or "none"
    """

    def __init__(self, net: Network, runs: Sequence[Run], start: Start = "all") -> None:
        self.net, self.graph, self.sizes = net, net.graph, [len(tokens) for tokens, _ in runs]
        self.nodes = list(enumerate(self.graph.sources))[1:]
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
        self.moved = torch.zeros_like(self.before)
        self.totals: dict[tuple[int, int], Tensor] = {}
        self.inputs: dict[tuple[int, str], Tensor] = {}
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
        for place, node in self.nodes:
            if start == "none":
                self.moved[place] = self._written(place, node, tuple(self.rows[node]), known)
            elif "." in node:
                for input in "qkv":
                    self._input(place, node, input, True, known)
        self.inputs = known.inputs

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
        for place, node in self.nodes:
            if made.read[place] == UNREAD:
                continue
            rows = self.rows[node]
            stale = [input for input, row in rows.items() if other[row] or (mask[row] & changed).any()]
            if stale:
                made.moved[place] = self._written(place, node, stale, made)
                changed[place] = True
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

    def _written(self, place: int, node: str, stale: Iterable[str], made: Trial) -> Float[Tensor, "batch pos d_model"]:
        """The output of a node less its output in the base, at the positions where it is read."""
        block, last = self.net.blocks[layer_of(node)], made.read[place] == LAST
        before = self.before[place, :, -1:] if last else self.before[place]
        if node.startswith("mlp"):
            (row,) = self.rows[node].values()
            return self.net.mlp(block, block.ln2(self._seen(row, last, made))) - before
        q, k, v = (self._input(place, node, input, input in stale, made) for input in "qkv")
        queries = slice(-1, None) if last else slice(None)
        z = self.net.attend(q[:, queries], k, v, self.allowed[:, :, queries])
        return z[:, :, 0] @ block.W_O[int(node.split(".")[1])] - before

    def _input(
        self, place: int, node: str, input: str, stale: bool, made: Trial
    ) -> Float[Tensor, "batch pos one d_head"]:
        if not stale:
            return self.inputs[place, input]
        block, head = self.net.blocks[layer_of(node)], int(node.split(".")[1])
        last = input == "q" and made.read[place] == LAST
        seen = block.ln1(self._seen(self.rows[node][input], last, made))
        weight, bias = self.net.input_weights(block, input)[head], self.net.input_bias(block, input)
        found = torch.nn.functional.linear(seen, weight, None if bias is None else bias[head]).unsqueeze(2)
        if input != "v":
            where = self.positions[:, -1:] if last else self.positions
            found = self.net.rotated(block, "q" if input == "q" else "k", found, where)
        made.inputs[place, input] = found
        return found

    def _seen(self, row: int, last: bool, made: Trial) -> Float[Tensor, "batch pos d_model"]:
        """The stream that a reader sees: the base's, and what moved along the reader's edges."""
        node = self.graph.targets[row][0]
        n, where = self.graph.before(node), slice(-1, None) if last else slice(None)
        total = self._total(n, node)[:, where]
        along = torch.zeros_like(total)
        live = np.flatnonzero(made.mask[row, :n]).tolist()
        normed = [(layer, heads) for layer, heads in self.normed.items() if heads.stop <= n]
        for source in live:
            if not any(source in heads for _, heads in normed):
                along += made.moved.get(source, self.moved[source])[:, where]
        seen = total + along
        for layer, heads in normed:
            base, along = torch.zeros_like(total), torch.zeros_like(total)
            for source in heads:  # as in `_total`: what is undone leaves nothing, which a norm would blow up
                base += self.before[source][:, where]
                if source in live:
                    along += made.moved.get(source, self.moved[source])[:, where]
            seen = seen + self.net.blocks[layer].ln1_post(base + along)
        return seen

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


def _padded(
    written: Float[Tensor, "source batch pos d_model"], length: int
) -> Float[Tensor, "source batch longer d_model"]:
    return torch.nn.functional.pad(written, (0, 0, length - written.shape[2], 0))
