"""The weights of a loaded model as a `Network`: which architectures are known, and what is refused by name.

Known are the GPT-2, GPT-NeoX, Llama, Qwen2 and Phi-3 families, raw or folded, and native models of TransformerLens. A
setting that the forward pass does not compute is named here; one that nobody thought of is caught by `network`, which
compares a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.forward.network import Activation, Block, Network, Norm
from mechlib.lab.models.loading import Model, checkpoint_of

FAMILIES = ("GPT2LMHeadModel", "GPTNeoXForCausalLM", "LlamaForCausalLM", "Qwen2ForCausalLM", "Phi3ForCausalLM")
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
    unknown, act = _unknown(model), _ACTIVATIONS.get(str(cfg.act_fn))
    if unknown or (act is None and not cfg.attn_only):
        raise UnsupportedModel(
            f"{name} is a {unknown or f'model with {cfg.act_fn}'}: exact sweeps and circuits know GPT-2, GPT-NeoX, "
            f"Llama, Qwen2, Phi-3 and plain native models; {INSTEAD}"
        )
    bias = getattr(model, "b_U", None)
    rotary = _rotary(model) if cfg.positional_embedding_type == "rotary" else None
    with torch.no_grad():
        return Network(
            name=name,
            blocks=tuple(_block(model, layer) for layer in range(cfg.n_layers)),
            W_E=model.W_E.detach(),
            W_pos=model.pos_embed.weight.detach() if rotary is None else None,
            rotary=rotary,
            ln_final=_norm(cfg, model.ln_final, rms=_native(model) and bool(cfg.final_rms)),
            W_U=model.W_U.T.detach().contiguous(),
            b_U=bias.detach() if bias is not None and bool(bias.any()) else None,
            n_heads=cfg.n_heads,
            n_groups=int(getattr(cfg, "n_key_value_heads", None) or cfg.n_heads),
            d_head=cfg.d_head,
            act=act or F.relu,
            parallel=bool(cfg.parallel_attn_mlp),
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
    rope = (getattr(theirs, "rope_parameters", None) or {}).get("rope_type", "default")
    window = getattr(theirs, "sliding_window", None) if cfg.architecture == "Phi3ForCausalLM" else None
    return {
        "attention scaled by layer": getattr(theirs, "scale_attn_by_inverse_layer_idx", False),
        "attention of another scale": not getattr(theirs, "scale_attn_weights", True)
        or (cfg.attn_scale > 0 and abs(cfg.attn_scale - cfg.d_head**0.5) > 1e-6),
        "a sliding window": "sliding_attention" in (getattr(theirs, "layer_types", None) or ())
        or (window is not None and window < cfg.n_ctx),
        f"{rope} rotary positions": rope in ("dynamic", "longrope"),  # they depend on the length of the prompt
    }


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


def _block(model: Model, layer: int) -> Block:
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
    )


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
    return Norm(kind, _or_none(module, "weight"), _or_none(module, "bias"), float(cfg.eps))


def _rotary(model: Model) -> tuple[Tensor, Tensor]:
    """Cosines and sines for every position of the context, from the model's own module, whatever its scaling."""
    inner = model.original_model
    if _native(model):
        tables = inner.rotary.cos_cached, inner.rotary.sin_cached
        cos, sin = (torch.cat([table[:, ::2], table[:, ::2]], dim=-1).detach() for table in tables)
        return cos, sin
    module = (inner.gpt_neox if hasattr(inner, "gpt_neox") else inner.model).rotary_emb
    positions = torch.arange(model.cfg.n_ctx, device=model.cfg.device).unsqueeze(0)
    cos, sin = getattr(module, "_original_component", module)(torch.zeros(1, device=model.cfg.device), positions)
    return cos[0].detach(), sin[0].detach()
