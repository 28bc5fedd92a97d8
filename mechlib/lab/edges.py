"""Circuits of edges: a forward pass in which every reader's input is put together edge by edge.

What a reader sees is the sum of what earlier nodes wrote: along the edges of the circuit what they write in this run,
along all others what they wrote in another run, the *base* (the corrupted prompt's, a mean, zeros). Biases of attention
outputs belong to no node and are always there. Nothing is approximated: norms and attention are computed anew from what
each reader sees.

Several circuits run side by side, as rows of one batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.graphs import Circuit, Edge, Graph
from mechlib.lab.network import Block, Network, forward

Base: TypeAlias = Mapping[str, Tensor] | None  # activations by hook name, of `base_names`; None for zeros
Written: TypeAlias = Float[Tensor, "source batch pos d_model"]
BUDGET = 2**28  # bytes that what all nodes wrote may take, for the circuits that run side by side


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
    before = written_by(net, tokens, base)
    step = max(1, BUDGET // (before.numel() * before.element_size()))
    for start in range(0, len(masks), step):
        several = torch.stack(list(masks[start : start + step])).to(tokens.device)
        yield from _side_by_side(net, tokens, before, several).unbind(0)


def _side_by_side(
    net: Network, tokens: Tensor, before: Written, masks: Bool[Tensor, "circuits target source"]
) -> Float[Tensor, "circuits batch d_model"]:
    graph = net.graph
    places = {target: row for row, target in enumerate(graph.targets)}
    # By how much what each node writes now differs from the base.
    moved = before.new_zeros(len(masks), *before.shape)
    moved[:, 0] = net.embed(tokens) - before[0]

    def seen(node: str, port: str, readers: int, biases: int) -> Float[Tensor, "circuits target batch pos d_model"]:
        """What some readers see, from this one on, that all read the same nodes."""
        row, n = places[node, port], graph.before(node)
        along = torch.matmul(masks[:, row : row + readers, :n].to(before.dtype), moved[:, :n].flatten(2))
        return along.unflatten(2, before.shape[1:]) + (before[:n].sum(0) + _bias(net, biases))

    for layer, block in enumerate(net.blocks):
        first = 1 + layer * (net.n_heads + 1)
        heads = slice(first, first + net.n_heads)
        reads = seen(f"{layer}.0", "q", 3 * net.n_heads, layer).unflatten(1, (net.n_heads, 3))
        moved[:, heads] = _heads(net, block, block.ln1(reads)) - before[heads]
        read = seen(f"mlp {layer}", "", 1, layer if net.parallel else layer + 1).squeeze(1)
        moved[:, heads.stop] = net.mlp(block, block.ln2(read)) - before[heads.stop]
    last = torch.einsum("cs,csbm->cbm", masks[:, -1].to(before.dtype), moved[:, :, :, -1])
    return last + before[:, :, -1].sum(0) + _bias(net, net.n_layers)


def _heads(
    net: Network, block: Block, seen: Float[Tensor, "circuits head_index three batch pos d_model"]
) -> Float[Tensor, "circuits head_index batch pos d_model"]:
    """What each head writes, given what its query, key and value see, normed."""
    n, rows = len(seen), seen.shape[3]
    positions = torch.arange(seen.shape[4], device=seen.device)

    def made(port: str, x: Tensor) -> Float[Tensor, "rows pos head_index d_head"]:
        weight, bias = net.port_weights(block, port), net.port_bias(block, port)
        found = torch.matmul(x.flatten(2, 3), weight.transpose(1, 2)) + (0.0 if bias is None else bias.unsqueeze(1))
        return found.unflatten(2, (rows, -1)).movedim(1, 3).flatten(0, 1)

    q, k, v = (made(port, seen[:, :, place]) for place, port in enumerate("qkv"))
    z = net.attend(net.rotated(q, positions), net.rotated(k, positions), v)
    z = z.unflatten(0, (n, rows)).movedim(3, 1).flatten(2, 3)
    return torch.matmul(z, block.W_O).unflatten(2, (rows, -1))


def _bias(net: Network, layers: int) -> Float[Tensor, " d_model"]:
    """The attention output biases of the first layers."""
    total = torch.zeros(net.W_E.shape[1], device=net.W_E.device)
    for block in net.blocks[:layers]:
        total = total if block.b_O is None else total + block.b_O
    return total
