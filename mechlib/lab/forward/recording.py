"""Recorded runs: every activation that gradients and path patching read, from the first token in which two runs differ.

Two runs agree at the positions before that token. These positions are computed once, and later ones see them as keys
and values. In the last layer only the last position writes: nothing reads the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.forward.cache import CachedRun, KVCache, layer_and_part
from mechlib.lab.forward.families import Block, Network, queries_keys_values
from mechlib.lab.forward.linear import differentiable_maps

Past: TypeAlias = list[KVCache] | None  # by layer, of all positions before a run starts; None where it starts at 0


@dataclass(frozen=True, eq=False)
class Recording:
    """Activations of one run, one entry a layer, attached to autograd's graph where gradients are enabled.

    Entries of the last layer hold only the last position; its stream, keys and values hold all.

    streams  the residual stream before each layer, and behind the last: [batch pos d_model]
    qkv      queries, keys and values of each head, as `Network.split` has them, a group's repeated for its heads:
             [batch pos head_index d_head]
    z        each head's output before W_O: [batch pos head_index d_head]
    reads    the input of each MLP, before its norm: [batch pos d_model]
    mlps     the output of each MLP: [batch pos d_model]
    groups   keys and values of each key/value group, before they are repeated: [batch pos groups d_head]
    """

    streams: list[Tensor]
    qkv: list[tuple[Tensor, Tensor, Tensor]]
    z: list[Tensor]
    reads: list[Tensor]
    mlps: list[Tensor]
    groups: list[tuple[Tensor, Tensor]]

    @property
    def end(self) -> Float[Tensor, "batch one d_model"]:
        """The residual stream that the logits read, at the last position."""
        return self.streams[-1]

    def __getitem__(self, name: str) -> Tensor:
        """The activation of this hook name."""
        layer, part = layer_and_part(name)
        if part == "attn.hook_z":
            return self.z[layer]
        if part == "hook_mlp_out":
            return self.mlps[layer]
        if part in ("attn.hook_k", "attn.hook_v"):
            return self.groups[layer][part == "attn.hook_v"]
        return self.streams[layer + (part == "hook_resid_post")]


def first_difference(one: Int[Tensor, "batch pos"], other: Int[Tensor, "batch pos"]) -> int:
    """The first position at which some row differs; the last one where none does."""
    differs = (one != other).any(0).nonzero()
    return int(differs[0]) if len(differs) else one.shape[1] - 1


def past_of(whole: CachedRun, start: int) -> Past:
    """Keys and values, by layer, that a run from position `start` on sees of the positions before, from a whole run."""
    return [one.until(start) for one in whole.kv_cache] if start else None


def embeddings_from(net: Network, tokens: Int[Tensor, "batch pos"], start: int) -> Float[Tensor, "batch rest d_model"]:
    """The embeddings of the tokens from position `start` on."""
    return net.embed(tokens[:, start:], torch.arange(start, tokens.shape[1], device=tokens.device))


def record(
    net: Network,
    stream: Float[Tensor, "batch pos d_model"],
    past: Past,
    shifts: Mapping[str, Tensor] | None = None,
    first: int = 0,
) -> Recording:
    """Run the model from this residual stream on, at positions behind `past`, and record it.

    stream  the embeddings, or the stream before layer `first`
    shifts  by reader ("0.3.q", "mlp 1", "logits"), a tensor that is added to the stream as this reader alone sees it,
            at the positions of `stream`, as in `forward`
    first   the layer that runs first; the recording has no entry for earlier ones
    """
    shifts, recording = dict(shifts or {}), Recording([stream], [], [], [], [], [])
    for layer, (block, linear) in list(enumerate(zip(net.blocks, differentiable_maps(net), strict=True)))[first:]:
        if any(reader.startswith(f"{layer}.") for reader in shifts):
            q, k, v = queries_keys_values(net, layer, stream, shifts)
        else:
            made = linear.qkv(block.ln1(stream)).unflatten(-1, (-1, net.d_head))
            q, k, v = made.split((net.n_heads, net.n_groups, net.n_groups), dim=-2)
        recording.groups.append((k, v))
        k, v = repeated_by_head(net, k), repeated_by_head(net, v)
        if layer == net.n_layers - 1:
            q, stream = q[:, -1:], stream[:, -1:]
        z = _attended(net, block, q, k, v, past[layer] if past else None)
        middle = stream + linear.written(z.flatten(-2))
        # A view of its own, so that there is a gradient of what this MLP alone reads.
        read = (stream if net.parallel else middle).view_as(stream)
        shift = shifts.get(f"mlp {layer}")
        wrote = linear.mlp(block.ln2(read if shift is None else read + shift[:, -read.shape[1] :]))
        if read.requires_grad and not wrote.requires_grad:  # a layer without an MLP writes zeros
            wrote.requires_grad_()
        stream = middle + wrote
        recording.qkv.append((q, k, v))
        for several, one in (
            (recording.z, z),
            (recording.reads, read),
            (recording.mlps, wrote),
            (recording.streams, stream),
        ):
            several.append(one)
    if "logits" in shifts:
        recording.streams[-1] = stream + shifts["logits"][:, -1:]
    return recording


def repeated_by_head(
    net: Network, x: Float[Tensor, "batch pos some d_head"]
) -> Float[Tensor, "batch pos head_index d_head"]:
    """Keys or values of each head, from those of each key/value group."""
    return x.repeat_interleave(net.n_heads // x.shape[2], 2)


def _attended(
    net: Network,
    block: Block,
    q: Float[Tensor, "batch query some d_head"],
    k: Float[Tensor, "batch pos some d_head"],
    v: Float[Tensor, "batch pos some d_head"],
    before: KVCache | None,
) -> Float[Tensor, "batch query some d_head"]:
    """z of all heads of a layer, from queries and keys as `Network.split` has them, at positions behind `before`."""
    start = 0 if before is None else before.keys.shape[1]
    positions = torch.arange(start, start + k.shape[1], device=k.device)
    q, k = net.rotated(block, "q", q, positions[-q.shape[1] :]), net.rotated(block, "k", k, positions)
    if before is not None:
        own = [head * net.n_groups // net.n_heads for head in range(net.n_heads)]
        k = torch.cat([before.keys[:, :, own], k], dim=1)
        v = torch.cat([before.values[:, :, own], v], dim=1)
    return net.attend(q, k, v)


def times_head_weights(
    x: Float[Tensor, "batch pos some d_head"], weights: Float[Tensor, "some d_head d_model"]
) -> Float[Tensor, "some batch pos d_model"]:
    """Each head's activation times its matrix: one product a head, as products by row would each copy the matrix."""
    return torch.matmul(x.movedim(2, 0).flatten(1, 2), weights).unflatten(1, x.shape[:2])
