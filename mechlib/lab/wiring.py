"""A run whose edges are cut one after another, and in which only what a cut changes is computed again.

The same sums as in `mechlib.lab.edges`, for the opposite use: there many circuits run once, here one circuit is changed
thousands of times by one edge. A node that no path leads from to the logits is not computed; one that is only read at
the last position is computed there alone. Prompts of all lengths run together, padded on the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.graphs import layer_of
from mechlib.lab.edges import run_of, written_by
from mechlib.lab.faithfulness import Judge

Stream = Float[Tensor, "batch d_model"]
UNREAD, LAST, ALL = 0, 1, 2  # where a node is read


@dataclass
class Trial:
    """A run with some edges cut.

    stream  the last residual stream at the last position: for `unembed`
    moved   by node (its place in `Graph.sources`), how far what it writes is from the base, where that changed
    ports   by node and port, queries, keys or values that changed
    """

    mask: np.ndarray
    stream: Stream
    moved: dict[int, Tensor] = field(default_factory=dict)
    ports: dict[tuple[int, str], Tensor] = field(default_factory=dict)


class Wiring:
    """All prompts of a judge (noising), with the edges that are still kept; at first all of them."""

    def __init__(self, judge: Judge) -> None:
        self.net, self.graph, self.sizes = judge.net, judge.graph, [len(batch.rows) for batch in judge.batches]
        length = max(batch.tokens.shape[1] for batch in judge.batches)
        bases, cleans = [], []
        for batch in judge.batches:
            bases.append(_padded(written_by(self.net, batch.tokens, judge.base(batch)), length))
            cleans.append(_padded(written_by(self.net, batch.tokens, run_of(self.net, batch.tokens)), length))
        self.before = torch.cat(bases, dim=1)
        self.moved = torch.cat(cleans, dim=1) - self.before
        device = self.before.device
        lengths = torch.cat([torch.full((len(b.rows),), b.tokens.shape[1], device=device) for b in judge.batches])
        places = torch.arange(length, device=device) - (length - lengths)[:, None]
        # A padded query sees itself: a row without any key would be NaN.
        causal = torch.ones(length, length, dtype=torch.bool, device=device).tril()
        itself = torch.eye(length, dtype=torch.bool, device=device)
        self.allowed = (causal & (places >= 0)[:, None, None, :]) | itself
        self.positions = places.clamp(min=0)

        self.kept = judge.whole.cpu().numpy().copy()
        self.nodes = list(enumerate(self.graph.sources))[1:]
        self.rows: dict[str, dict[str, int]] = {}
        for row, (node, port) in enumerate(self.graph.targets):
            self.rows.setdefault(node, {})[port] = row
        self.ports: dict[tuple[int, str], Tensor] = {}
        self.totals: dict[tuple[int, int], Tensor] = {}
        self.read = self._where_read()

    def trial(self, mask: np.ndarray) -> Trial:
        """The run with these edges kept (targets x sources), some of the present ones."""
        made = Trial(mask, self.before[0, :, 0])
        cut = (mask != self.kept).any(axis=1)
        changed = np.zeros(len(self.graph.sources), dtype=bool)
        for place, node in self.nodes:
            if self.read[place] == UNREAD:
                continue
            rows = self.rows[node]
            stale = [port for port, row in rows.items() if cut[row] or (mask[row] & changed).any()]
            if stale:
                last = self.read[place] == LAST
                made.moved[place] = self._written(place, node, stale, last, made)
                changed[place] = True
        made.stream = self._seen(len(mask) - 1, True, made)[:, 0]
        return made

    def keep(self, trial: Trial) -> None:
        """Go on from there."""
        for place, moved in trial.moved.items():
            self.moved[place, :, -moved.shape[1] :] = moved
        self.ports |= trial.ports
        self.kept = trial.mask
        self.read = self._where_read()

    def split(self, stream: Stream) -> tuple[Float[Tensor, "some d_model"], ...]:
        """The rows of each of the judge's batches."""
        return stream.split(self.sizes)

    def _where_read(self) -> list[int]:
        """At which positions what each node writes reaches the logits along the edges kept."""
        read = np.where(self.kept[-1], LAST, UNREAD)
        for place, node in reversed(self.nodes):
            for port, row in self.rows[node].items():
                where = ALL if port in ("k", "v") and read[place] else read[place]
                read[self.kept[row]] = np.maximum(read[self.kept[row]], where)
        return [int(where) for where in read]

    def _written(self, place: int, node: str, stale: Sequence[str], last: bool, made: Trial) -> Tensor:
        block = self.net.blocks[layer_of(node)]
        before = self.before[place, :, -1:] if last else self.before[place]
        if node.startswith("mlp"):
            (row,) = self.rows[node].values()
            return self.net.mlp(block, block.ln2(self._seen(row, last, made))) - before
        head = int(node.split(".")[1])
        q, k, v = (self._port(place, node, port, port in stale, last and port == "q", made) for port in "qkv")
        queries = slice(-1, None) if last else slice(None)
        z = self.net.attend(q[:, queries], k, v, self.allowed[:, :, queries])
        return z[:, :, 0] @ block.W_O[head] - before

    def _port(
        self, place: int, node: str, port: str, stale: bool, last: bool, made: Trial
    ) -> Float[Tensor, "batch pos one d_head"]:
        if not stale and (place, port) in self.ports:
            return self.ports[place, port]
        block, head = self.net.blocks[layer_of(node)], int(node.split(".")[1])
        seen = block.ln1(self._seen(self.rows[node][port], last, made))
        weight, bias = self.net.port_weights(block, port)[head], self.net.port_bias(block, port)
        found = torch.nn.functional.linear(seen, weight, None if bias is None else bias[head]).unsqueeze(2)
        if port != "v":
            found = self.net.rotated(found, self.positions[:, -1:] if last else self.positions)
        made.ports[place, port] = found
        return found

    def _seen(self, row: int, last: bool, made: Trial) -> Float[Tensor, "batch pos d_model"]:
        """What a reader sees: everything of the base, and along its edges what moved."""
        node = self.graph.targets[row][0]
        n, where = self.graph.before(node), slice(-1, None) if last else slice(None)
        total = self._total(n, node)[:, where].clone()
        for source in np.flatnonzero(made.mask[row, :n]).tolist():
            total += made.moved.get(source, self.moved[source])[:, where]
        return total

    def _total(self, n: int, node: str) -> Float[Tensor, "batch pos d_model"]:
        """What the first `n` nodes wrote in the base, and the attention biases by then."""
        layers = self.net.n_layers if node == "logits" else layer_of(node)
        if node.startswith("mlp") and not self.net.parallel:
            layers += 1
        if (n, layers) not in self.totals:
            biases = [block.b_O for block in self.net.blocks[:layers] if block.b_O is not None]
            self.totals[n, layers] = sum(biases, self.before[:n].sum(0))
        return self.totals[n, layers]


def _padded(
    written: Float[Tensor, "source batch pos d_model"], length: int
) -> Float[Tensor, "source batch longer d_model"]:
    return torch.nn.functional.pad(written, (0, 0, length - written.shape[2], 0))
