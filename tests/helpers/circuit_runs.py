"""A circuit of edges the plain way: node after node, each reader's input added up anew, nothing remembered."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from mechlib.lab.circuits.bases import written_in_base
from mechlib.lab.forward.families import Network
from mechlib.parts.graphs import LOGITS, layer_of
from tests.helpers.wide import wide


def added_up(net: Network, written: Tensor) -> Tensor:
    """The stream, but for biases, that the first few nodes of the graph write: heads through the norm behind them."""
    found = torch.zeros_like(written[0])
    by_layer: dict[int, Tensor] = {}
    for source, one in zip(net.graph.sources, written, strict=False):
        if "." in source:
            layer = layer_of(source)
            by_layer[layer] = by_layer.get(layer, 0) + one
        else:
            found = found + one
    for layer, heads in by_layer.items():
        found = found + net.blocks[layer].ln1_post(heads)
    return found


@torch.no_grad()
def run_circuit(net: Network, tokens: Tensor, base: Mapping[str, Tensor] | None, mask: Tensor) -> Tensor:
    """The stream that the logits read at the last position; along the edges of `mask` nodes say what they say here.

    In float64: norms blow up the rounding of what is zero in truth.
    """
    net, base = wide(net), None if base is None else {name: one.double() for name, one in base.items()}
    graph, positions = net.graph, torch.arange(tokens.shape[1])
    rows = {target: row for row, target in enumerate(graph.targets)}
    instead = written_in_base(net, tokens, base).double()
    made = instead.clone()
    made[0] = net.embed(tokens)

    def seen(node: str, input: str = "") -> Tensor:
        n, layer = graph.before(node), net.n_layers if node == LOGITS else layer_of(node)
        along = mask[rows[node, input], :n].view(-1, 1, 1, 1)
        stream = added_up(net, torch.where(along, made[:n], instead[:n]))
        layers = layer + (node.startswith("mlp") and not net.parallel)
        return sum((block.b_O for block in net.blocks[:layers] if block.b_O is not None), start=stream)

    for place, node in list(enumerate(graph.sources))[1:]:
        block = net.blocks[layer_of(node)]
        if node.startswith("mlp"):
            made[place] = net.mlp(block, block.ln2(seen(node)))
            continue
        head, inputs = int(node.split(".")[1]), {}
        for input in "qkv":
            bias = net.input_bias(block, input)
            weight = net.input_weights(block, input)[head]
            inputs[input] = F.linear(block.ln1(seen(node, input)), weight, None if bias is None else bias[head])
        q, k, v = (one.unsqueeze(2) for one in inputs.values())
        z = net.attend(net.rotated(block, "q", q, positions), net.rotated(block, "k", k, positions), v)
        made[place] = z[:, :, 0] @ block.W_O[head]
    return seen(LOGITS)[:, -1].float()
