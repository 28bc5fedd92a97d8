"""A model as plain tensors, and its forward pass as plain functions: sweeps, paths and circuits compute with these.

`network(model)` takes the weights of a loaded model (`mechlib.lab.forward.weights` says of which) and compares one run
with the model's own. The functions are differentiable, know nothing of hooks, and meet the hooked model to rounding; a
test holds them against Hugging Face's forward pass.

Nodes read the residual stream through inputs of their own (a head has three: q, k and v), so that the stream can be
changed as *one* reader sees it: path patching, circuits of edges and gradients by edge need nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.lab.forward.network import Activation as Activation
from mechlib.lab.forward.network import Block as Block
from mechlib.lab.forward.network import Network as Network
from mechlib.lab.forward.network import Norm as Norm
from mechlib.lab.forward.weights import INSTEAD, taken
from mechlib.lab.forward.weights import UnsupportedModel as UnsupportedModel
from mechlib.lab.models.checks import weights_now
from mechlib.lab.models.loading import Model, checkpoint_of

# A run may differ from the model's own in the order of its sums: on the models of the record by less than 2e-6 of the
# spread of the logits, and by less than 1e-6 of what a logit adds up.
SAME_SHARE, ROUNDED = 1e-4, 1e-5


def forward(
    net: Network,
    tokens: Int[Tensor, "batch pos"],
    shifts: Mapping[str, Tensor] | None = None,
    edits: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
    keep: Iterable[str] = (),
    real: Bool[Tensor, "batch pos"] | None = None,
) -> tuple[Float[Tensor, "batch pos d_model"], dict[str, Tensor]]:
    """The last residual stream (give it to `unembed`), and the activations named in `keep`, after edits.

    shifts  by reader ("0.3.q", "0.3.k", "0.3.v", "mlp 1" or "logits"), a tensor [batch pos d_model] that is added to
            the residual stream as this reader alone sees it, before its norm
    edits   by hook name ("blocks.0.attn.hook_z", "blocks.0.hook_mlp_out", "blocks.0.hook_resid_pre",
            "blocks.0.hook_resid_post"), a function from the activation to its replacement, of the same shape
    keep    hook names, of the same four kinds
    real    False where a token is padding, which must stand on the left; positions count from the first real token

    Raises ValueError for a reader or hook name that the model lacks, and for padding that does not stand on the left.
    """
    shifts, edits, keep = dict(shifts or {}), dict(edits or {}), tuple(keep)
    check_readers(net, shifts)
    _check_hooks(net, (*edits, *keep))
    positions, allowed = _positions_and_mask(tokens, real)
    kept: dict[str, Tensor] = {}

    def at(name: str, activation: Tensor) -> Tensor:
        if name in edits:
            activation = edits[name](activation)
        if name in keep:
            kept[name] = activation
        return activation

    stream = net.embed(tokens, positions)
    for layer, block in enumerate(net.blocks):
        stream = at(f"blocks.{layer}.hook_resid_pre", stream)
        q, k, v = queries_keys_values(net, layer, stream, shifts)
        q, k = net.rotated(block, "q", q, positions), net.rotated(block, "k", k, positions)
        z = at(f"blocks.{layer}.attn.hook_z", net.attend(q, k, v, allowed))
        middle = stream + net.written(block, z)
        reads = (stream if net.parallel else middle) + shifts.get(f"mlp {layer}", 0.0)
        stream = middle + at(f"blocks.{layer}.hook_mlp_out", net.mlp(block, block.ln2(reads)))
        stream = at(f"blocks.{layer}.hook_resid_post", stream)
    return stream + shifts.get("logits", 0.0), kept


def queries_keys_values(
    net: Network, layer: int, stream: Float[Tensor, "batch pos d_model"], shifts: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of a layer, as `Network.split` has them; each reader sees the stream with its own shift.

    Shapes [batch pos head_index d_head] for queries; keys and values have as many heads as the model has groups, or one
    for each head where some head of a group sees a shift of its own.
    """
    block = net.blocks[layer]
    found = list(net.split(block, block.ln1(stream)))
    for number, input in enumerate("qkv"):
        own = {head: shifts[name] for head in range(net.n_heads) if (name := f"{layer}.{head}.{input}") in shifts}
        if own and found[number].shape[2] != net.n_heads:  # one head of a group sees other keys than the rest
            found[number] = found[number].repeat_interleave(net.n_heads // found[number].shape[2], 2)
        for head, shift in own.items():
            seen = block.ln1(stream + shift)
            weight, bias = net.input_weights(block, input)[head], net.input_bias(block, input)
            made = F.linear(seen, weight, None if bias is None else bias[head])
            found[number] = torch.cat(
                [found[number][:, :, :head], made.unsqueeze(2), found[number][:, :, head + 1 :]], dim=2
            )
    if found[1].shape[2] != found[2].shape[2]:
        found[1:] = [one.repeat_interleave(net.n_heads // one.shape[2], 2) for one in found[1:]]
    return found[0], found[1], found[2]


def _positions_and_mask(tokens: Tensor, real: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Each token's position, and the keys that each query may see; None where causal attention alone says so."""
    length = tokens.shape[1]
    if real is None:
        return torch.arange(length, device=tokens.device), None
    if not bool((real[:, 1:] >= real[:, :-1]).all()):
        raise ValueError("padding must stand on the left, or the last position is not the last word")
    causal = torch.ones(length, length, dtype=torch.bool, device=tokens.device).tril()
    # A padded query may see itself: a row without any key would be NaN, and spread.
    itself = torch.eye(length, dtype=torch.bool, device=tokens.device)
    allowed = (causal & real[:, None, None, :]) | itself
    return (real.long().cumsum(1) - 1).clamp(min=0), allowed


def check_readers(net: Network, names: Iterable[str]) -> None:
    """ValueError for a name that is no reader of the residual stream."""
    if isinstance(names, str):
        raise ValueError(f"receivers {names!r} are a text: give a tuple of names, ({names!r},)")
    readers = {f"{node}.{input}" if input else node for node, input in net.graph.targets}
    for name in names:
        if name not in readers:
            raise ValueError(
                f"{net.name} has no reader {name!r}: it has {net.n_layers} layers of {net.n_heads} heads; write "
                "'0.3.q', 'mlp 1' or 'logits'"
            )


def _check_hooks(net: Network, hooks: Iterable[str]) -> None:
    parts = ("attn.hook_z", *(("hook_mlp_out",) if net.has_mlps else ()), "hook_resid_pre", "hook_resid_post")
    known = {f"blocks.{layer}.{part}" for layer in range(net.n_layers) for part in parts}
    for name in hooks:
        if name not in known:
            raise ValueError(f"the plain forward pass has no activation {name!r}: it has {', '.join(parts)} of a block")


# --- weights ------------------------------------------------------------------------------------------------------

_NETWORKS: WeakKeyDictionary[Model, tuple[tuple[object, ...], Network]] = WeakKeyDictionary()


def network(model: Model) -> Network:
    """The model's weights as plain tensors; the same object while nobody writes to them.

    Raises UnsupportedModel, naming the architecture, for others than `FAMILIES` of `mechlib.lab.forward.weights` and
    native ones; naming the setting where the model has one that is not computed here; and with the difference where the
    logits of one short prompt are not the model's own.
    """
    checkpoint_of(model)  # first of all that it is one
    written = weights_now(model)
    known = _NETWORKS.get(model)
    if known is None or known[0] != written:
        made = taken(model)
        _check_same(model, made)
        _NETWORKS[model] = known = (written, made)
    return known[1]


def _check_same(model: Model, net: Network) -> None:
    """UnsupportedModel unless a run on a few tokens, spread over the vocabulary, has the model's own logits.

    They may differ by SAME_SHARE of the spread that all but the largest and smallest tenth of the logits have (programs
    compiled into a transformer forbid words by logits of -1e12), and by ROUNDED of what each logit adds up, which may
    cancel. Where the model computes NaN nothing is said here: the measurements refuse it, by prompt.
    """
    length = min(8, model.cfg.n_ctx, net.window or model.cfg.n_ctx)
    ids = torch.linspace(0, len(net.W_E) - 1, length, device=net.W_E.device).round().long()
    with torch.no_grad():
        theirs, stream = model(ids.unsqueeze(0))[0], forward(net, ids.unsqueeze(0))[0][0]
        off, read = (net.unembed(stream) - theirs).abs(), net.ln_final(stream).abs()
        added_up = torch.cat([read @ some.abs().T for some in net.W_U.split(4096)], dim=-1)  # a copy of all is large
    if not theirs.isfinite().all():
        return
    ordered = theirs.flatten().sort().values
    tenth = len(ordered) // 10
    spread = float(ordered[-1 - tenth] - ordered[tenth])
    if not bool((off <= SAME_SHARE * spread + ROUNDED * added_up).all()):
        raise UnsupportedModel(
            f"{net.name} computes other logits than the plain forward pass, by up to {float(off.max()):.2g} where most "
            f"lie within {spread:.2g}: it has a setting that is not known there; {INSTEAD}"
        )
