"""Cached runs: activations of a run, kept so that other runs compute only the activations that differ.

Causal attention sees no later position, and a layer no later layer. So a run whose tokens begin as the tokens of a
cached run has the cached run's activations up to the first token that differs, and later positions see its keys and
values.
`mechlib.lab.interventions.resume` goes on from a cached run with activations replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.forward.families import Network
from mechlib.lab.forward.linear import linear_maps


class KVCache(NamedTuple):
    """Rotated keys, and values, of one layer at the positions before those that run, by key/value head."""

    keys: Float[Tensor, "batch past groups d_head"]
    values: Float[Tensor, "batch past groups d_head"]

    def until(self, position: int) -> KVCache:
        """Keys and values of the positions before `position` alone."""
        return KVCache(self.keys[:, :position], self.values[:, :position])


@dataclass(frozen=True, eq=False)
class CachedRun:
    """Activations of a run from position `first` on, one entry a layer.

    kv_cache   keys and values of every position that ran: from the start, where the run was a whole one
    k, v       keys, as they are before they are normed and rotated, and values; empty unless they were asked for
    streams    the residual stream before each layer, and behind the last
    z          each head's output before W_O
    middles    the residual stream plus the output of the layer's attention; no MLP reads it in parallel blocks
    mlps       the output of each MLP
    """

    first: int
    kv_cache: list[KVCache]
    streams: list[Float[Tensor, "batch pos d_model"]]
    z: list[Float[Tensor, "batch pos head_index d_head"]]
    middles: list[Float[Tensor, "batch pos d_model"]]
    mlps: list[Float[Tensor, "batch pos d_model"]]
    k: list[Float[Tensor, "batch pos groups d_head"]] = field(default_factory=list)
    v: list[Float[Tensor, "batch pos groups d_head"]] = field(default_factory=list)

    def __getitem__(self, name: str) -> Tensor:
        """The activation of this hook name, at positions from `first` on."""
        layer, part = layer_and_part(name)
        if part == "attn.hook_z":
            return self.z[layer]
        if part == "hook_mlp_out":
            return self.mlps[layer]
        if part in ("attn.hook_k", "attn.hook_v"):
            return (self.k if part == "attn.hook_k" else self.v)[layer]
        return self.streams[layer + (part == "hook_resid_post")]

    @property
    def size(self) -> int:
        """The bytes that the activations take, those that stand in two lists counted twice."""
        several = (self.streams, self.z, self.middles, self.mlps, self.k, self.v, *zip(*self.kv_cache, strict=True))
        return sum(one.numel() * one.element_size() for activations in several for one in activations)


def layer_and_part(name: str) -> tuple[int, str]:
    """The layer and the rest of a hook name: (3, "attn.hook_z") of "blocks.3.attn.hook_z"."""
    _, layer, part = name.split(".", 2)
    return int(layer), part


def run_with_cache(
    net: Network,
    tokens: Int[Tensor, "batch pos"],
    first: int = 0,
    begin: int = 0,
    prefix: CachedRun | None = None,
    only_last: bool = False,
    groups: bool = False,
) -> CachedRun:
    """Run the model on these tokens, and keep the activations at positions from `first` on.

    begin      the position at which the run begins; the tokens before it must be the tokens of `prefix`
    prefix     a cached run that began at position 0, whose keys and values stand before `begin`; None if `begin` is 0
    only_last  compute the last layer's output at the last position alone: its z, middles and mlps, and the last
               stream, then hold one position
    groups     keep keys, before they are normed and rotated, and values too
    """
    stream = net.embed(tokens[:, begin:], torch.arange(begin, tokens.shape[1], device=tokens.device))
    cached = CachedRun(first, [], [stream[:, first - begin :].contiguous()], [], [], [])

    def keep(k: Tensor, v: Tensor) -> None:
        cached.k.append(k[:, first - begin :].clone())
        cached.v.append(v[:, first - begin :].clone())

    for layer, (block, linear) in enumerate(zip(net.blocks, linear_maps(net), strict=True)):
        past = prefix.kv_cache[layer].until(begin) if prefix is not None else None
        behind_last = layer == net.n_layers - 1  # no layer reads what positions before `first` hold there
        queries = tokens.shape[1] - (first if behind_last else begin)
        queries = 1 if behind_last and only_last else queries
        z, kv_cache = attend_with_cache(net, layer, stream, queries, past, keep if groups else None)
        stream = stream[:, -queries:]
        middle = stream + linear.written(z.flatten(-2))
        wrote = linear.mlp(block.ln2(stream if net.parallel else middle))
        stream = middle + wrote
        cached.kv_cache.append(kv_cache)
        for several, one in ((cached.z, z), (cached.middles, middle), (cached.mlps, wrote), (cached.streams, stream)):
            several.append(one[:, first - tokens.shape[1] :].contiguous())
    return cached


def attend_with_cache(
    net: Network,
    layer: int,
    stream: Float[Tensor, "rows pos d_model"],
    queries: int,
    before: KVCache | None,
    see: Callable[[Tensor, Tensor], None] | None = None,
) -> tuple[Float[Tensor, "rows queries head_index d_head"], KVCache]:
    """z of every head of a layer at the last `queries` positions, and keys and values of all positions that run.

    stream   the residual stream before the layer, at the positions that run
    before   keys and values of the positions before these; None where there are none. It may have fewer rows than
             `stream`: each row of `before` then serves as many successive rows of `stream`
    see      is given the keys, before they are normed and rotated, and the values of all positions that run, and may
             write to them
    """
    linear, length, past = linear_maps(net)[layer], stream.shape[1], 0 if before is None else before.keys.shape[1]
    block = net.blocks[layer]
    x = block.ln1(stream)
    if queries == length:
        joint = linear.qkv(x).unflatten(-1, (-1, net.d_head))
        q, k, v = joint.split((net.n_heads, net.n_groups, net.n_groups), dim=-2)
    else:
        q = linear.q(x[:, -queries:]).unflatten(-1, (-1, net.d_head))
        k, v = linear.kv(x).unflatten(-1, (-1, net.d_head)).chunk(2, dim=-2)
    if see is not None:
        see(k, v)
    positions = torch.arange(past, past + length, device=stream.device)
    q, k = net.rotated(block, "q", q, positions[-queries:]), net.rotated(block, "k", k, positions)
    z = net.attend(q, k, v) if before is None or not past else _with_past(q, k, v, before)
    return z, KVCache(k, v)


def _with_past(
    q: Float[Tensor, "rows query head_index d_head"],
    k: Float[Tensor, "rows key groups d_head"],
    v: Float[Tensor, "rows key groups d_head"],
    before: KVCache,
) -> Float[Tensor, "rows query head_index d_head"]:
    """z from one softmax over the keys of `before`, which several rows share, and each row's own keys."""
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
