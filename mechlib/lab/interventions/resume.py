"""Runs resumed from a cached run with places replaced: each computes only what its replacement can have changed.

A run in which some place is replaced is the cached run before the first replaced position and below the first replaced
layer, exactly. Several sets of replacements run side by side; each enters the batch at the layer where it first makes a
difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.forward.cache import CachedRun, attend_with_cache, layer_and_part
from mechlib.lab.forward.families import Network
from mechlib.lab.forward.linear import linear_maps
from mechlib.lab.interventions.sites import Places

Index: TypeAlias = slice | list[int]
BEFORE = ("hook_resid_pre", "attn.hook_k", "attn.hook_v")  # what attention of the layer itself reads


@dataclass(frozen=True, eq=False)
class ResumedRuns:
    """Runs that go on from a cached run with sets of places replaced.

    cached   the run in which nothing is replaced, kept from the first position that is computed again
    new      activations by hook name that replace those of the cached run, from position `cached.first` on; None for
             zeros
    at       the positions that are replaced, counted from `cached.first`
    asked    how many last positions of the last stream are computed: one, or all from `cached.first` on
    """

    net: Network
    cached: CachedRun
    new: Mapping[str, Tensor] | None
    at: tuple[int, ...]
    asked: int

    def __call__(self, sites: Sequence[Places]) -> Float[Tensor, "batch sites asked d_model"]:
        """The stream behind the last layer with each set of places replaced; sets must be sorted by `entry_layer`."""
        entries = [entry_layer(own) for own in sites]
        stream: Tensor | None = None
        for layer in range(entries[0][0], self.net.n_layers):
            running = sum(one <= (layer, 0) for one in entries)
            if (layer, 0) in entries:
                stream = _cat(stream, _spread(self.cached.streams[layer], entries.count((layer, 0))))
            if stream is not None:
                stream = self._layer(layer, stream, sites[:running])
            if (layer, 1) in entries:
                entering = sites[running : running + entries.count((layer, 1))]
                stream = _cat(stream, self._entered(layer, entering))
        assert stream is not None
        return stream

    def _layer(
        self, layer: int, stream: Float[Tensor, "batch sites pos d_model"], sites: Sequence[Places]
    ) -> Float[Tensor, "batch sites queries d_model"]:
        """The stream behind a layer, of runs that differ from the cached one before it."""
        net, block, queries = self.net, self.net.blocks[layer], self._queries(layer)
        linear = linear_maps(net)[layer]
        self._replace(f"blocks.{layer}.hook_resid_pre", stream, sites)
        before, shape = self.cached.kv_cache[layer].until(self.cached.first), stream.shape[:2]

        def replace(k: Tensor, v: Tensor) -> None:
            self._replace(f"blocks.{layer}.attn.hook_k", k.unflatten(0, shape), sites)
            self._replace(f"blocks.{layer}.attn.hook_v", v.unflatten(0, shape), sites)

        flat, _ = attend_with_cache(net, layer, stream.flatten(0, 1), queries, before, replace)
        z = flat.unflatten(0, stream.shape[:2])
        self._replace(f"blocks.{layer}.attn.hook_z", z, sites)
        stream = stream[:, :, -queries:]
        middle = stream + linear.written(z.flatten(-2))
        wrote = linear.mlp(block.ln2(stream if net.parallel else middle))
        self._replace(f"blocks.{layer}.hook_mlp_out", wrote, sites)
        after = middle.add_(wrote)
        self._replace(f"blocks.{layer}.hook_resid_post", after, sites)
        return after

    def _entered(self, layer: int, sites: Sequence[Places]) -> Float[Tensor, "batch sites queries d_model"]:
        """The stream behind the layer in which these sets first replace something: heads, the MLP, or the stream.

        Before that layer nothing differs: a head changes the stream by W_O of what its z changed by, at the replaced
        positions, and at these positions alone the MLP is computed again.
        """
        cached, net, block, queries = self.cached, self.net, self.net.blocks[layer], self._queries(layer)
        after = _spread(cached.streams[layer + 1][:, -queries:], len(sites))
        at, source = self._at(queries)
        if at is None:
            return after
        z, mlp, post = (f"blocks.{layer}.{part}" for part in ("attn.hook_z", "hook_mlp_out", "hook_resid_post"))
        middle = _spread(cached.middles[layer][:, source], len(sites))
        wrote = _spread(cached.mlps[layer][:, source], len(sites))
        for number, own in enumerate(sites):
            if heads := list(own.get(z) or ()):
                middle[:, number] += self._moved(layer, heads, source)
        again = [number for number, own in enumerate(sites) if z in own and mlp not in own and post not in own]
        if again and not net.parallel:
            wrote[:, again] = linear_maps(net)[layer].mlp(block.ln2(middle[:, again]))
        for number, own in enumerate(sites):
            if mlp in own:
                wrote[:, number] = self._new(mlp)[:, source]
        after[:, :, at] = middle.add_(wrote)
        self._replace(post, after, sites)
        return after

    def _moved(self, layer: int, heads: list[int], source: Index) -> Float[Tensor, "batch pos d_model"]:
        """What a layer's attention writes with the z of these heads replaced, less what it writes in the cached run."""
        block, name, old = self.net.blocks[layer], f"blocks.{layer}.attn.hook_z", self.cached.z[layer][:, source]
        new = self._new(name)[:, source][:, :, heads]
        if block.ln1_post.kind == "none":
            return (new - old[:, :, heads]).flatten(-2) @ block.W_O[heads].flatten(0, 1)
        z = old.clone()
        z[:, :, heads] = new
        return self.net.written(block, z) - self.net.written(block, old)

    def _replace(self, name: str, activation: Float[Tensor, "batch sites pos *rest"], sites: Sequence[Places]) -> None:
        """Replace this activation, in place, for each set that names it."""
        at, source = self._at(activation.shape[2])
        for number, own in enumerate(sites):
            if name in own and at is not None:
                new, heads = self._new(name)[:, source], own[name]
                if heads is None:
                    activation[:, number, at] = new
                for head in heads or ():
                    activation[:, number, at, head] = new[:, :, head]

    def _new(self, name: str) -> Tensor:
        return torch.zeros_like(self.cached[name]) if self.new is None else self.new[name]

    def _at(self, length: int) -> tuple[Index | None, Index]:
        """The replaced positions among the last `length`, counted from the first of these, and from `cached.first`."""
        skipped = self._length - length
        source = [position for position in self.at if position >= skipped]
        return (_index([position - skipped for position in source]) if source else None), _index(source)

    def _queries(self, layer: int) -> int:
        return self.asked if layer == self.net.n_layers - 1 else self._length

    @property
    def _length(self) -> int:
        return self.cached.streams[0].shape[1]


def entry_layer(own: Places) -> tuple[int, int]:
    """Where a set of places first makes a difference: (layer, 0) before the layer's attention, (layer, 1) behind it."""
    return min((layer, int(part not in BEFORE)) for layer, part in map(layer_and_part, own))


def _cat(one: Tensor | None, other: Tensor) -> Tensor:
    return other if one is None else torch.cat([one, other], dim=1)


def _spread(one: Float[Tensor, "batch pos d_model"], n: int) -> Float[Tensor, "batch sites pos d_model"]:
    return one.unsqueeze(1).expand(-1, n, -1, -1).clone()


def _index(positions: list[int]) -> Index:
    """A slice where the positions follow each other: it takes no copy."""
    if positions and positions == list(range(positions[0], positions[-1] + 1)):
        return slice(positions[0], positions[-1] + 1)
    return positions
