"""The weights of a loaded model as a `Network`: which architectures are known, and what is refused by name.

Known are the families of `FAMILIES`, raw or folded, and native models of TransformerLens. A setting that the forward
pass does not compute is named here; one that nobody thought of is caught by `network`, which compares a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.forward.network import NO_NORM, Activation, Block, Network, Norm
from mechlib.lab.models.loading import Model, checkpoint_of

GEMMA = "Gemma3ForCausalLM"
FAMILIES: Mapping[str, str] = {
    "GPT2LMHeadModel": "GPT-2", "GPTNeoXForCausalLM": "GPT-NeoX", "LlamaForCausalLM": "Llama",
    "MistralForCausalLM": "Mistral", "Qwen2ForCausalLM": "Qwen2", "Qwen3ForCausalLM": "Qwen3",
    "Phi3ForCausalLM": "Phi-3", GEMMA: "Gemma 3",
}  # fmt: skip
NATIVE = "TransformerLensNative"
INSTEAD = "sweep it through hooks with hooked=True, or use the interventions of mechlib.lab, which take any model"
_NORMS: Mapping[str | None, Literal["LN", "RMS", "none"]] = {
    None: "none", "LN": "LN", "LNPRE": "LN", "RMS": "RMS", "RMSPRE": "RMS",
}  # fmt: skip
_ODD_NATIVE = (
    "parallel_attn_mlp",
    "use_local_attn",
    "scale_attn_by_inverse_layer_idx",
    "use_qk_norm",
    "rmsnorm_uses_offset",
    "post_embedding_ln",
    "use_normalization_before_and_after",
    "use_attention_sinks",
    "num_experts",
)
_ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "swish": F.silu,
    "relu": F.relu,
}


class UnsupportedModel(ValueError):
    """The plain forward pass does not know this architecture."""


def taken(model: Model) -> Network:
    """The model's weights as plain tensors. UnsupportedModel, naming the architecture or the setting, for others."""
    name, cfg = checkpoint_of(model).name, model.cfg
    if (dtype := checkpoint_of(model).dtype) != "float32":
        raise UnsupportedModel(f"{name} computes in {dtype}, exact sweeps and circuits in float32: {INSTEAD}")
    unknown, act = _unknown(model), _ACTIVATIONS.get(str(cfg.act_fn))
    if unknown or (act is None and not cfg.attn_only):
        raise UnsupportedModel(
            f"{name} is a {unknown or f'model with {cfg.act_fn}'}: exact sweeps and circuits know "
            f"{', '.join(FAMILIES.values())} and plain native models; {INSTEAD}"
        )
    bias = getattr(model, "b_U", None)
    window = _window(cfg, getattr(model.original_model, "config", None))
    rotary = _rotary(model, min(window or cfg.n_ctx, cfg.n_ctx)) if cfg.positional_embedding_type == "rotary" else {}
    with torch.no_grad():
        return Network(
            name=name,
            blocks=tuple(_block(model, layer, rotary.get(_layer_type(model, layer))) for layer in range(cfg.n_layers)),
            W_E=model.W_E.detach(),
            W_pos=None if rotary else model.pos_embed.weight.detach(),
            ln_final=_norm(cfg, model.ln_final, rms=_native(model) and bool(cfg.final_rms)),
            W_U=model.W_U.T.detach().contiguous(),
            b_U=bias.detach() if bias is not None and bool(bias.any()) else None,
            n_heads=cfg.n_heads,
            n_groups=int(getattr(cfg, "n_key_value_heads", None) or cfg.n_heads),
            d_head=cfg.d_head,
            act=act or F.relu,
            parallel=bool(cfg.parallel_attn_mlp),
            embed_scale=cfg.d_model**0.5 if cfg.architecture == GEMMA else 1.0,
            window=window,
        )


# --- what is refused ----------------------------------------------------------------------------------------------


def _native(model: Model) -> bool:
    return str(getattr(model.cfg, "architecture", None) or "native") == NATIVE


def _unknown(model: Model) -> str:
    """The architecture, or the part of one, that the forward pass does not know; "" where it knows the whole model."""
    cfg, theirs = model.cfg, getattr(model.original_model, "config", None)
    architecture = str(getattr(cfg, "architecture", None) or "native")
    if architecture != NATIVE and architecture not in FAMILIES:
        return f"{architecture} ({cfg.act_fn})"
    odd = [what for what, there in {**_odd(cfg, theirs), **_odd_native(model)}.items() if there]
    return f"{architecture} with {odd[0]}" if odd else ""


def _odd(cfg: Any, theirs: Any) -> dict[str, bool]:
    """Settings that the forward pass does not compute, by name, each with whether it is there."""
    ropes, gemma = _rope_types(theirs), cfg.architecture == GEMMA
    return {
        "attention scaled by layer": getattr(theirs, "scale_attn_by_inverse_layer_idx", False),
        "attention of another scale": not getattr(theirs, "scale_attn_weights", True)
        or (not gemma and cfg.attn_scale > 0 and abs(cfg.attn_scale - cfg.d_head**0.5) > 1e-6),
        "attention in both directions": bool(getattr(theirs, "use_bidirectional_attention", False)),
        "capped logits": getattr(theirs, "final_logit_softcapping", None) is not None,
        "capped attention": getattr(theirs, "attn_logit_softcapping", None) is not None,
        "biases of attention before a norm": gemma and theirs.attention_bias,  # they would belong to no head
        # These depend on the length of the prompt.
        **{f"{rope} rotary positions": True for rope in ropes if rope in ("dynamic", "longrope")},
    }


def _rope_types(theirs: Any) -> set[str]:
    """The kinds of rotary positions in a configuration, which may have those of each type of layer."""
    said = getattr(theirs, "rope_parameters", None) or {}
    several = [one for one in said.values() if isinstance(one, Mapping)] or [said]
    return {one.get("rope_type", "default") for one in several}


def _window(cfg: Any, theirs: Any) -> int | None:
    """How many tokens the layers with a sliding window see; None where no layer has one that is shorter than the
    context."""
    types, window = getattr(theirs, "layer_types", None), getattr(theirs, "sliding_window", None)
    slides = "sliding_attention" in types if types else str(cfg.architecture).startswith(("Mistral", "Phi3"))
    return int(window) if slides and window is not None and window < cfg.n_ctx else None


def _odd_native(model: Model) -> dict[str, bool]:
    """The same of a native model; nothing of others. Some of these the library's own module does not compute either."""
    cfg = model.cfg
    if not _native(model):
        return {}
    positions, norm = str(cfg.positional_embedding_type), cfg.normalization_type
    return {
        f"attention_dir {cfg.attention_dir!r}": cfg.attention_dir != "causal",
        "attn_scores_soft_cap": cfg.attn_scores_soft_cap > 0,
        "output_logits_soft_cap": cfg.output_logits_soft_cap > 0,
        f"{positions!r} positions": positions not in ("standard", "rotary"),
        f"normalization_type {norm!r}": (norm and norm.upper()) not in _NORMS,
        "use_attn_scale false": not cfg.use_attn_scale,
        **{setting: bool(getattr(cfg, setting, False)) for setting in _ODD_NATIVE},
    }


# --- what is read -------------------------------------------------------------------------------------------------


def _layer_type(model: Model, layer: int) -> str:
    """The type of a layer, by which Gemma 3 has two kinds of rotary positions; "" for other models."""
    types = getattr(getattr(model.original_model, "config", None), "layer_types", None)
    return types[layer] if types and model.cfg.architecture == GEMMA else ""


def _block(model: Model, layer: int, rotary: tuple[Tensor, Tensor] | None) -> Block:
    block, cfg = model.blocks[layer], model.cfg
    attn, mlp = block.attn, None if cfg.attn_only else block.mlp
    order = _half_order(model)
    joint = [_stacked(getattr(attn, f"W_{input}"), order if input in "QK" else None) for input in "QKV"]
    biases = [
        bias.detach()[:, slice(None) if order is None or input == "V" else order].flatten()
        for input in "QKV"
        if (bias := getattr(attn, f"b_{input}", None)) is not None
    ]
    return Block(
        ln1=_norm(cfg, block.ln1),
        ln2=Norm("none") if mlp is None else _norm(cfg, block.ln2),
        qkv=torch.cat(joint).contiguous(),
        b_qkv=torch.cat(biases) if biases else None,
        W_O=attn.W_O.detach(),
        b_O=_or_none(attn, "b_O"),
        into=None if mlp is None else mlp.W_in.detach().T.contiguous(),
        b_in=_or_none(mlp, "b_in"),
        gate=mlp.W_gate.detach().T.contiguous() if mlp is not None and cfg.gated_mlp else None,
        out=None if mlp is None else mlp.W_out.detach().T.contiguous(),
        b_out=_or_none(mlp, "b_out"),
        b_gate=_or_none(mlp, "b_gate") if cfg.gated_mlp else None,
        q_norm=_query_norm(model, _norm(cfg, attn.q_norm)) if hasattr(attn, "q_norm") else NO_NORM,
        k_norm=_norm(cfg, attn.k_norm) if hasattr(attn, "k_norm") else NO_NORM,
        rotary=rotary,
        ln1_post=_norm(cfg, block.ln1_post) if hasattr(block, "ln1_post") else NO_NORM,
        ln2_post=_norm(cfg, block.ln2_post) if hasattr(block, "ln2_post") else NO_NORM,
    )


def _query_norm(model: Model, norm: Norm) -> Norm:
    """The norm of queries, with an attention scale that is not of d_head (Gemma 3) in its gain: scores are the same."""
    scalar = getattr(model.original_model.config, "query_pre_attn_scalar", None)
    if scalar is None or norm.weight is None or scalar == model.cfg.d_head:
        return norm
    return replace(norm, weight=norm.weight * (model.cfg.d_head / scalar) ** 0.5)


def _stacked(weight: Float[Tensor, "heads d_model d_head"], order: list[int] | None) -> Float[Tensor, "qkv d_model"]:
    rows = weight.detach().transpose(1, 2)
    return (rows if order is None else rows[:, order]).flatten(0, 1)


def _half_order(model: Model) -> list[int] | None:
    """For native rotary models, which turn neighbours (0 with 1, 2 with 3), the order of a head's queries and keys in
    which a first half is turned with a second one, as `Network.rotated` does; their products stay."""
    if not _native(model) or model.cfg.positional_embedding_type != "rotary":
        return None
    turned, d_head = model.original_model.rotary.rotary_dim, model.cfg.d_head
    return [*range(0, turned, 2), *range(1, turned, 2), *range(turned, d_head)]


def _or_none(module: Any, name: str) -> Tensor | None:
    found = getattr(module, name, None)
    return None if found is None else found.detach()


def _norm(cfg: Any, module: Any, rms: bool = False) -> Norm:
    """The weights of a norm; parameter-free ones ("LNPre", "RMSPre") have none. `rms`: RMS whatever the blocks have."""
    norm = cfg.normalization_type
    kind = "RMS" if rms else _NORMS.get(norm and str(norm).upper(), "RMS")
    if kind == "none":
        return Norm("none")
    gain = _or_none(module, "weight")
    if gain is not None and getattr(cfg, "rmsnorm_uses_offset", False):
        gain = 1 + gain  # as Gemma stores it
    return Norm(kind, gain, _or_none(module, "bias"), float(cfg.eps))


def _rotary(model: Model, length: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Cosines and sines for the first `length` positions, by type of layer ("" where there is one type), from the
    model's own module, whatever its scaling."""
    inner = model.original_model
    if _native(model):
        tables = inner.rotary.cos_cached, inner.rotary.sin_cached
        cos, sin = (torch.cat([table[:, ::2], table[:, ::2]], dim=-1).detach() for table in tables)
        return {"": (cos, sin)}
    module = (inner.gpt_neox if hasattr(inner, "gpt_neox") else inner.model).rotary_emb
    module, positions = getattr(module, "_original_component", module), torch.arange(length, device=model.cfg.device)
    found = {}
    for kind in sorted({_layer_type(model, layer) for layer in range(model.cfg.n_layers)}):
        cos, sin = module(torch.zeros(1, device=positions.device), positions.unsqueeze(0), *([kind] if kind else []))
        found[kind] = cos[0].detach(), sin[0].detach()
    return found
