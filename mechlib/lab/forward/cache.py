"""A run that is kept, and runs resumed from it: each computes only what a replacement can have changed.

Causal attention sees no later position, and a layer no later layer. So a run in which some place is replaced is the
kept run before the first replaced position and below the first replaced layer, exactly. `Resumed` runs several sets
of replacements side by side; each joins the batch at the layer where it first differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.forward.families import Network
from mechlib.lab.forward.linear import maps
from mechlib.lab.interventions.sites import Places

Index: TypeAlias = slice | list[int]


class Memory(NamedTuple):
    """Keys (rotated) and values of the positions before those that run."""

    keys: Float[Tensor, "batch past groups d_head"]
    values: Float[Tensor, "batch past groups d_head"]

    def until(self, first: int) -> Memory:
        """That of the positions before `first`."""
        return Memory(self.keys[:, :first], self.values[:, :first])


@dataclass(frozen=True, eq=False)
class Kept:
    """A run from position `first` on, by layer.

    memory     of every position that ran: from the start, where the run was a whole one
    streams    the residual stream before each layer, and behind the last
    middles    the residual stream with what the layer's heads wrote; in parallel blocks too, where no MLP reads it
    """

    first: int
    memory: list[Memory]
    streams: list[Float[Tensor, "batch pos d_model"]]
    z: list[Float[Tensor, "batch pos head_index d_head"]]
    middles: list[Float[Tensor, "batch pos d_model"]]
    mlps: list[Float[Tensor, "batch pos d_model"]]

    def __getitem__(self, name: str) -> Tensor:
        """What the activation of this hook name holds from `first` on."""
        layer, part = _parsed(name)
        if part == "attn.hook_z":
            return self.z[layer]
        if part == "hook_mlp_out":
            return self.mlps[layer]
        return self.streams[layer + (part == "hook_resid_post")]


def keep(
    net: Network,
    tokens: Int[Tensor, "batch pos"],
    first: int = 0,
    begin: int = 0,
    like: Kept | None = None,
    only_last: bool = False,
) -> Kept:
    """A run, kept from position `first` on.

    It begins at position `begin`, where the tokens before are those of another run, `like`, from its start on.
    With `only_last`, what the last layer writes is computed at the last position alone, and that is all there is of it.
    """
    stream = net.embed(tokens[:, begin:], torch.arange(begin, tokens.shape[1], device=tokens.device))
    kept = Kept(first, [], [stream[:, first - begin :].contiguous()], [], [], [])
    for layer, (block, linear) in enumerate(zip(net.blocks, maps(net), strict=True)):
        before = like.memory[layer].until(begin) if like is not None else None
        behind_last = layer == net.n_layers - 1  # no layer reads what positions before `first` hold there
        queries = tokens.shape[1] - (first if behind_last else begin)
        queries = 1 if behind_last and only_last else queries
        z, memory = _attended(net, layer, stream, queries, before)
        stream = stream[:, -queries:]
        middle = stream + linear.written(z.flatten(-2))
        wrote = linear.mlp(block.ln2(stream if net.parallel else middle))
        stream = middle + wrote
        kept.memory.append(memory)
        for several, one in ((kept.z, z), (kept.middles, middle), (kept.mlps, wrote), (kept.streams, stream)):
            several.append(one[:, first - tokens.shape[1] :].contiguous())
    return kept


@dataclass(frozen=True, eq=False)
class Resumed:
    """Runs resumed from `kept` with sets of places replaced.

    new      what the places hold instead, by hook name, from position `kept.first` on; None for zeros
    at       which of these positions are replaced, counted from `kept.first`
    asked    of how many last positions the stream behind the last layer is asked: one, or all from `kept.first` on
    """

    net: Network
    kept: Kept
    new: Mapping[str, Tensor] | None
    at: tuple[int, ...]
    asked: int

    def __call__(self, sets: Sequence[Places]) -> Float[Tensor, "batch sets asked d_model"]:
        """The last stream with each set of places replaced; sets stand in the order of `joins`."""
        joining = [joins(own) for own in sets]
        stream: Tensor | None = None
        for layer in range(joining[0][0], self.net.n_layers):
            running = sum(one <= (layer, 0) for one in joining)
            if (layer, 0) in joining:
                stream = _cat(stream, _spread(self.kept.streams[layer], joining.count((layer, 0))))
            if stream is not None:
                stream = self._layer(layer, stream, sets[:running])
            if (layer, 1) in joining:
                entering = sets[running : running + joining.count((layer, 1))]
                stream = _cat(stream, self._entered(layer, entering))
        assert stream is not None
        return stream

    def _layer(
        self, layer: int, stream: Float[Tensor, "batch sets pos d_model"], sets: Sequence[Places]
    ) -> Float[Tensor, "batch sets queries d_model"]:
        """One layer of runs that differ from the kept one already."""
        net, linear, block, queries = self.net, maps(self.net)[layer], self.net.blocks[layer], self._queries(layer)
        self._replace(f"blocks.{layer}.hook_resid_pre", stream, sets)
        before = self.kept.memory[layer].until(self.kept.first)
        flat, _ = _attended(net, layer, stream.flatten(0, 1), queries, before)
        z = flat.unflatten(0, stream.shape[:2])
        self._replace(f"blocks.{layer}.attn.hook_z", z, sets)
        stream = stream[:, :, -queries:]
        middle = stream + linear.written(z.flatten(-2))
        wrote = linear.mlp(block.ln2(stream if net.parallel else middle))
        self._replace(f"blocks.{layer}.hook_mlp_out", wrote, sets)
        after = middle.add_(wrote)
        self._replace(f"blocks.{layer}.hook_resid_post", after, sets)
        return after

    def _entered(self, layer: int, sets: Sequence[Places]) -> Float[Tensor, "batch sets queries d_model"]:
        """The stream behind the layer in which these sets first replace something: heads, the MLP, or the stream.

        Up to there nothing differs: a head changes the stream by W_O of what its z changed by, at the positions that
        are replaced, and only there is the MLP computed again.
        """
        kept, net, block, queries = self.kept, self.net, self.net.blocks[layer], self._queries(layer)
        after = _spread(kept.streams[layer + 1][:, -queries:], len(sets))
        at, source = self._at(queries)
        if at is None:
            return after
        z, mlp, post = (f"blocks.{layer}.{part}" for part in ("attn.hook_z", "hook_mlp_out", "hook_resid_post"))
        middle = _spread(kept.middles[layer][:, source], len(sets))
        wrote = _spread(kept.mlps[layer][:, source], len(sets))
        for number, own in enumerate(sets):
            if heads := list(own.get(z) or ()):
                moved = self._new(z)[:, source][:, :, heads] - kept.z[layer][:, source][:, :, heads]
                middle[:, number] += moved.flatten(-2) @ block.W_O[heads].flatten(0, 1)
        again = [number for number, own in enumerate(sets) if z in own and mlp not in own and post not in own]
        if again and not net.parallel:
            wrote[:, again] = maps(net)[layer].mlp(block.ln2(middle[:, again]))
        for number, own in enumerate(sets):
            if mlp in own:
                wrote[:, number] = self._new(mlp)[:, source]
        after[:, :, at] = middle.add_(wrote)
        self._replace(post, after, sets)
        return after

    def _replace(self, name: str, activation: Float[Tensor, "batch sets pos *rest"], sets: Sequence[Places]) -> None:
        """Put in, for each set that has this place, what it holds instead."""
        at, source = self._at(activation.shape[2])
        for number, own in enumerate(sets):
            if name in own and at is not None:
                new, heads = self._new(name)[:, source], own[name]
                if heads is None:
                    activation[:, number, at] = new
                for head in heads or ():
                    activation[:, number, at, head] = new[:, :, head]

    def _new(self, name: str) -> Tensor:
        return torch.zeros_like(self.kept[name]) if self.new is None else self.new[name]

    def _at(self, length: int) -> tuple[Index | None, Index]:
        """The replaced positions among the last `length`, counted from the first of these, and from `kept.first`."""
        skipped = self._length - length
        source = [position for position in self.at if position >= skipped]
        return (_index([position - skipped for position in source]) if source else None), _index(source)

    def _queries(self, layer: int) -> int:
        return self.asked if layer == self.net.n_layers - 1 else self._length

    @property
    def _length(self) -> int:
        return self.kept.streams[0].shape[1]


def joins(own: Places) -> tuple[int, int]:
    """Where a set of places first makes a difference: (layer, 0) before the layer's attention, (layer, 1) behind it."""
    return min((layer, int(part != "hook_resid_pre")) for layer, part in map(_parsed, own))


# --- attention ----------------------------------------------------------------------------------------------------


def _attended(
    net: Network, layer: int, stream: Float[Tensor, "rows pos d_model"], queries: int, before: Memory | None
) -> tuple[Float[Tensor, "rows queries head_index d_head"], Memory]:
    """z of the last `queries` positions, and keys and values of all that run.

    Rows that follow each other may share what came before: as many as there are rows to each row of `before`.
    """
    linear, length, past = maps(net)[layer], stream.shape[1], 0 if before is None else before.keys.shape[1]
    x = net.blocks[layer].ln1(stream)
    if queries == length:
        joint = linear.qkv(x).unflatten(-1, (-1, net.d_head))
        q, k, v = joint.split((net.n_heads, net.n_groups, net.n_groups), dim=-2)
    else:
        q = linear.q(x[:, -queries:]).unflatten(-1, (-1, net.d_head))
        k, v = linear.kv(x).unflatten(-1, (-1, net.d_head)).chunk(2, dim=-2)
    positions = torch.arange(past, past + length, device=stream.device)
    q, k = net.rotated(q, positions[-queries:]), net.rotated(k, positions)
    z = net.attend(q, k, v) if before is None or not past else _with_past(q, k, v, before)
    return z, Memory(k, v)


def _with_past(
    q: Float[Tensor, "rows query head_index d_head"],
    k: Float[Tensor, "rows key groups d_head"],
    v: Float[Tensor, "rows key groups d_head"],
    before: Memory,
) -> Float[Tensor, "rows query head_index d_head"]:
    """Attention to what came before, of which rows share one copy, and to each row's own keys, in one softmax."""
    batch, past, groups, width = before.keys.shape
    rows, queries, heads, _ = q.shape
    own, shared = k.shape[1], rows // batch
    # [batch group | set | query and head of the group | ...]: a group's heads ask the same keys
    asks = q.view(batch, shared, queries, groups, heads // groups, width).permute(0, 3, 1, 2, 4, 5) * width**-0.5
    asks = asks.reshape(batch, groups, shared, -1, width)
    keys, values = (one.view(batch, shared, own, groups, width).permute(0, 3, 1, 2, 4) for one in (k, v))
    old_keys, old_values = (one.transpose(1, 2) for one in before)
    old = (asks.flatten(2, 3) @ old_keys.transpose(-1, -2)).view(*asks.shape[:4], past)
    alone = own == 1  # as many products of single vectors are slow as matrix products
    new = (asks * keys).sum(-1, keepdim=True) if alone else asks @ keys.transpose(-1, -2)
    if queries > 1:
        later = torch.ones(queries, own, dtype=torch.bool, device=q.device).triu(own - queries + 1)
        new = new.masked_fill(later.repeat_interleave(heads // groups, 0), float("-inf"))
    weights = torch.cat([old, new], dim=-1).softmax(-1)
    z = (weights[..., :past].flatten(2, 3) @ old_values).view(asks.shape)
    z = z + (weights[..., past:] * values if alone else weights[..., past:] @ values)
    z = z.view(batch, groups, shared, queries, heads // groups, width).permute(0, 2, 3, 1, 4, 5)
    return z.reshape(rows, queries, heads, width)


def _cat(one: Tensor | None, other: Tensor) -> Tensor:
    return other if one is None else torch.cat([one, other], dim=1)


def _spread(one: Float[Tensor, "batch pos d_model"], n: int) -> Float[Tensor, "batch sets pos d_model"]:
    return one.unsqueeze(1).expand(-1, n, -1, -1).clone()


def _index(positions: list[int]) -> Index:
    """A slice where the positions follow each other: it takes no copy."""
    if positions and positions == list(range(positions[0], positions[-1] + 1)):
        return slice(positions[0], positions[-1] + 1)
    return positions


def _parsed(name: str) -> tuple[int, str]:
    _, layer, part = name.split(".", 2)
    return int(layer), part
