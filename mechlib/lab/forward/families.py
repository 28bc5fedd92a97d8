"""A model as plain tensors, and its forward pass as plain functions: sweeps, paths and circuits compute with these.

`network(model)` takes the weights of a loaded model (raw or folded) of the GPT-2, GPT-NeoX, Llama or Qwen2 family, or
of a native one without norms. The functions are differentiable, know nothing of hooks, and meet the hooked model to
rounding; a test holds them against Hugging Face's forward pass.

Nodes read the residual stream through inputs of their own (a head has three: q, k and v), so that the stream can be
changed as *one* reader sees it: path patching, circuits of edges and gradients by edge need nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.lab.forward.network import Activation as Activation
from mechlib.lab.forward.network import Block as Block
from mechlib.lab.forward.network import Network as Network
from mechlib.lab.forward.network import Norm as Norm
from mechlib.lab.models.loading import Model, checkpoint_of

FAMILIES = ("GPT2LMHeadModel", "GPTNeoXForCausalLM", "LlamaForCausalLM", "Qwen2ForCausalLM")
NATIVE = "TransformerLensNative"
_ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "relu": F.relu,
}


class UnsupportedModel(ValueError):
    """The plain forward pass does not know this architecture."""


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
        q, k = net.rotated(q, positions), net.rotated(k, positions)
        z = at(f"blocks.{layer}.attn.hook_z", net.attend(q, k, v, allowed))
        middle = stream + net.written(block, z)
        reads = (stream if net.parallel else middle) + shifts.get(f"mlp {layer}", 0.0)
        stream = middle + at(f"blocks.{layer}.hook_mlp_out", net.mlp(block, block.ln2(reads)))
        stream = at(f"blocks.{layer}.hook_resid_post", stream)
    return stream + shifts.get("logits", 0.0), kept


def queries_keys_values(
    net: Network, layer: int, stream: Float[Tensor, "batch pos d_model"], shifts: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of a layer, before rotation, where each reader sees the stream with its own shift.

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
    parts = ("attn.hook_z", "hook_mlp_out", "hook_resid_pre", "hook_resid_post")
    known = {f"blocks.{layer}.{part}" for layer in range(net.n_layers) for part in parts}
    for name in hooks:
        if name not in known:
            raise ValueError(f"the plain forward pass has no activation {name!r}: it has {', '.join(parts)} of a block")


# --- weights ------------------------------------------------------------------------------------------------------

_NETWORKS: WeakKeyDictionary[Model, tuple[int, Network]] = WeakKeyDictionary()


def network(model: Model) -> Network:
    """The model's weights as plain tensors; the same object while nobody writes to them.

    Raises UnsupportedModel, naming the architecture, for others than GPT-2, GPT-NeoX, Llama, Qwen2 and native ones
    without norms.
    """
    checkpoint_of(model)  # first of all that it is one
    written = sum(parameter._version for parameter in model.parameters())
    known = _NETWORKS.get(model)
    if known is None or known[0] != written:
        _NETWORKS[model] = known = (written, _taken(model))
    return known[1]


def _taken(model: Model) -> Network:
    name, cfg = checkpoint_of(model).name, model.cfg
    unknown, act = _unknown(model), _ACTIVATIONS.get(str(cfg.act_fn))
    if unknown or act is None:
        raise UnsupportedModel(
            f"{name} is a {unknown or f'model with {cfg.act_fn}'}: exact sweeps and circuits know GPT-2, GPT-NeoX, "
            "Llama and Qwen2; sweep it through hooks with hooked=True, or use the interventions of mechlib.lab, which "
            "take any model"
        )
    groups = int(getattr(cfg, "n_key_value_heads", None) or cfg.n_heads)
    bias = getattr(model, "b_U", None)
    rotary = _rotary(model) if cfg.positional_embedding_type == "rotary" else None
    with torch.no_grad():
        return Network(
            name=name,
            blocks=tuple(_block(model, layer) for layer in range(cfg.n_layers)),
            W_E=model.W_E.detach(),
            W_pos=model.pos_embed.weight.detach() if rotary is None else None,
            rotary=rotary,
            ln_final=_norm(cfg, model.ln_final),
            W_U=model.W_U.T.detach().contiguous(),
            b_U=bias.detach() if bias is not None and bool(bias.any()) else None,
            n_heads=cfg.n_heads,
            n_groups=groups,
            d_head=cfg.d_head,
            act=act,
            parallel=bool(cfg.parallel_attn_mlp),
        )


def _unknown(model: Model) -> str:
    """The architecture, or the part of one, that the forward pass does not know; "" where it knows the whole model."""
    cfg, theirs = model.cfg, getattr(model.original_model, "config", None)
    architecture = str(getattr(cfg, "architecture", None) or "native")
    plain = architecture == NATIVE and cfg.normalization_type is None and not cfg.attn_only
    if architecture not in FAMILIES and not plain:
        return f"{architecture} ({cfg.act_fn})"
    rope = (getattr(theirs, "rope_parameters", None) or {}).get("rope_type", "default")
    found = {
        "attention scaled by layer": getattr(theirs, "scale_attn_by_inverse_layer_idx", False),
        "attention of another scale": not getattr(theirs, "scale_attn_weights", True)
        or (cfg.attn_scale > 0 and abs(cfg.attn_scale - cfg.d_head**0.5) > 1e-6),
        "a sliding window": "sliding_attention" in (getattr(theirs, "layer_types", None) or ()),
        f"{rope} rotary positions": rope in ("dynamic", "longrope"),  # they depend on the length of the prompt
    }
    odd = [what for what, there in found.items() if there]
    return f"{architecture} with {odd[0]}" if odd else ""


def _block(model: Model, layer: int) -> Block:
    block, cfg = model.blocks[layer], model.cfg
    attn, mlp = block.attn, block.mlp
    joint = [_stacked(getattr(attn, f"W_{input}")) for input in "QKV"]
    biases = [bias.detach().flatten() for input in "QKV" if (bias := getattr(attn, f"b_{input}", None)) is not None]
    return Block(
        ln1=_norm(cfg, block.ln1),
        ln2=_norm(cfg, block.ln2),
        qkv=torch.cat(joint).contiguous(),
        b_qkv=torch.cat(biases) if biases else None,
        W_O=attn.W_O.detach(),
        b_O=_or_none(attn, "b_O"),
        into=mlp.W_in.detach().T.contiguous(),
        b_in=_or_none(mlp, "b_in"),
        gate=mlp.W_gate.detach().T.contiguous() if cfg.gated_mlp else None,
        out=mlp.W_out.detach().T.contiguous(),
        b_out=_or_none(mlp, "b_out"),
        b_gate=_or_none(mlp, "b_gate") if cfg.gated_mlp else None,
    )


def _stacked(weight: Float[Tensor, "heads d_model d_head"]) -> Float[Tensor, "qkv d_model"]:
    return weight.detach().transpose(1, 2).flatten(0, 1)


def _or_none(module: Any, name: str) -> Tensor | None:
    found = getattr(module, name, None)
    return None if found is None else found.detach()


def _norm(cfg: Any, module: Any) -> Norm:
    if cfg.normalization_type is None:
        return Norm("none")
    kind: Literal["LN", "RMS"] = "LN" if str(cfg.normalization_type).startswith("LN") else "RMS"
    return Norm(kind, module.weight.detach(), _or_none(module, "bias"), float(cfg.eps))


def _rotary(model: Model) -> tuple[Tensor, Tensor]:
    """Cosines and sines for every position of the context, from the model's own module, whatever its scaling."""
    inner = model.original_model
    module = (inner.gpt_neox if hasattr(inner, "gpt_neox") else inner.model).rotary_emb
    positions = torch.arange(model.cfg.n_ctx, device=model.cfg.device).unsqueeze(0)
    cos, sin = getattr(module, "_original_component", module)(torch.zeros(1, device=model.cfg.device), positions)
    return cos[0].detach(), sin[0].detach()
