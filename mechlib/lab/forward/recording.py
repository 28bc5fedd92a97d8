"""Runs that start late and remember everything: what gradients, paths and circuits of edges are computed from.

Two runs agree up to the first token in which they differ. What comes before is computed once, and later positions see
it as keys and values. In the last layer only the last position writes: nothing reads the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.forward.cache import Kept, Memory
from mechlib.lab.forward.families import Network, ports
from mechlib.lab.forward.linear import sloped

Past: TypeAlias = list[Memory] | None  # rotated keys, and values, of all positions before a run starts, by layer


@dataclass(frozen=True, eq=False)
class Tape:
    """What a run met, layer by layer, still attached to the graph where gradients are recorded.

    Entries of the last layer have only the last position, but for its stream, keys and values.

    streams  the residual stream before each layer, and behind the last: [batch pos d_model]
    ports    queries, keys and values of each head before rotation, a group's own for each of its heads:
             [batch pos head_index d_head]
    z        each head's output before W_O: [batch pos head_index d_head]
    reads    what each MLP reads, before its norm: [batch pos d_model]
    mlps     what each MLP writes: [batch pos d_model]
    """

    streams: list[Tensor]
    ports: list[tuple[Tensor, Tensor, Tensor]]
    z: list[Tensor]
    reads: list[Tensor]
    mlps: list[Tensor]

    @property
    def end(self) -> Float[Tensor, "batch one d_model"]:
        """What the logits read, at the last position."""
        return self.streams[-1]

    def __getitem__(self, name: str) -> Tensor:
        """What the activation of this hook name holds."""
        _, layer, part = name.split(".", 2)
        if part == "attn.hook_z":
            return self.z[int(layer)]
        if part == "hook_mlp_out":
            return self.mlps[int(layer)]
        return self.streams[int(layer) + (part == "hook_resid_post")]


def first_difference(one: Int[Tensor, "batch pos"], other: Int[Tensor, "batch pos"]) -> int:
    """The first position at which some row differs; the last one where none does."""
    differs = (one != other).any(0).nonzero()
    return int(differs[0]) if len(differs) else one.shape[1] - 1


def memory(kept: Kept, start: int) -> Past:
    """What a run from position `start` on sees of the positions before it in a whole run."""
    return [one.until(start) for one in kept.memory] if start else None


def embedded(net: Network, tokens: Int[Tensor, "batch pos"], start: int) -> Float[Tensor, "batch rest d_model"]:
    """The embeddings from a position on."""
    return net.embed(tokens[:, start:], torch.arange(start, tokens.shape[1], device=tokens.device))


def record(
    net: Network,
    stream: Float[Tensor, "batch pos d_model"],
    past: Past,
    shifts: Mapping[str, Tensor] | None = None,
    first: int = 0,
) -> Tape:
    """A run from these embeddings on, which stand behind those of `past`.

    shifts  by reader, what is added to the stream as this reader alone sees it, at the same positions, as in `forward`
    first   the layer before which `stream` stands; the tape lacks those before it
    """
    shifts, tape = dict(shifts or {}), Tape([stream], [], [], [], [])
    for layer, (block, linear) in list(enumerate(zip(net.blocks, sloped(net), strict=True)))[first:]:
        if any(reader.startswith(f"{layer}.") for reader in shifts):
            q, k, v = ports(net, layer, stream, shifts)
        else:
            made = linear.qkv(block.ln1(stream)).unflatten(-1, (-1, net.d_head))
            q, k, v = made.split((net.n_heads, net.n_groups, net.n_groups), dim=-2)
        k, v = by_head(net, k), by_head(net, v)
        if layer == net.n_layers - 1:
            q, stream = q[:, -1:], stream[:, -1:]
        z = attended(net, q, k, v, past[layer] if past else None)
        middle = stream + linear.written(z.flatten(-2))
        # A view of its own, so that there is a gradient of what this MLP alone reads.
        read = (stream if net.parallel else middle).view_as(stream)
        shift = shifts.get(f"mlp {layer}")
        wrote = linear.mlp(block.ln2(read if shift is None else read + shift[:, -read.shape[1] :]))
        if read.requires_grad and not wrote.requires_grad:  # a layer without an MLP writes zeros
            wrote.requires_grad_()
        stream = middle + wrote
        tape.ports.append((q, k, v))
        for several, one in ((tape.z, z), (tape.reads, read), (tape.mlps, wrote), (tape.streams, stream)):
            several.append(one)
    if "logits" in shifts:
        tape.streams[-1] = stream + shifts["logits"][:, -1:]
    return tape


def by_head(net: Network, x: Float[Tensor, "batch pos some d_head"]) -> Float[Tensor, "batch pos head_index d_head"]:
    """Keys or values with each group's repeated for its heads."""
    return x.repeat_interleave(net.n_heads // x.shape[2], 2)


def attended(
    net: Network,
    q: Float[Tensor, "batch query some d_head"],
    k: Float[Tensor, "batch pos some d_head"],
    v: Float[Tensor, "batch pos some d_head"],
    before: Memory | None,
    heads: Sequence[int] | None = None,
) -> Float[Tensor, "batch query some d_head"]:
    """z of some heads of a layer (default: all), behind `before`, from queries and keys that are not rotated yet."""
    start = 0 if before is None else before.keys.shape[1]
    positions = torch.arange(start, start + k.shape[1], device=k.device)
    q, k = net.rotated(q, positions[-q.shape[1] :]), net.rotated(k, positions)
    if before is not None:
        own = [head * net.n_groups // net.n_heads for head in heads or range(net.n_heads)]
        k = torch.cat([before.keys[:, :, own], k], dim=1)
        v = torch.cat([before.values[:, :, own], v], dim=1)
    return net.attend(q, k, v)


def by_head_times(
    x: Float[Tensor, "batch pos some d_head"], weights: Float[Tensor, "some d_head d_model"]
) -> Float[Tensor, "some batch pos d_model"]:
    """Each head's part times its own matrix: one product a head, as products by row would each copy the matrix."""
    return torch.matmul(x.movedim(2, 0).flatten(1, 2), weights).unflatten(1, x.shape[:2])
