"""Toys from a notebook: the configuration and the weights of a model that was trained there, in our names.

Two kinds are known: `TransformerBridge.boot_native`, whose names these are, and the older `HookedTransformer`, whose
weights are laid out otherwise and whose settings are more. What the native model would silently compute otherwise is
refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources.native import NativeModel

from mechlib.checkpoints import native

NORMS = {name.upper(): name for name in ("LN", "LNPre", "RMS", "RMSPre")}
# Settings that change what a HookedTransformer computes, and that the native model lacks, with the value that says
# nothing. A boot_native that was given another value was trained as if it had not been.
IGNORED: dict[str, object] = {
    "parallel_attn_mlp": False, "use_attn_scale": True, "scale_attn_by_inverse_layer_idx": False, "num_experts": None,
    "post_embedding_ln": False, "use_normalization_before_and_after": False, "use_qk_norm": False,
    "use_local_attn": False, "rmsnorm_uses_offset": False, "scale_embedding": None, "tie_word_embeddings": False,
    "rope_scaling": None, "use_logn_attn": False, "use_attention_sinks": False, "clip_qkv": None,
    "use_NTK_by_parts_rope": False, "use_yarn_rope": False, "use_dynamic_ntk_rope": False,
}  # fmt: skip


def fields_of(model: Any) -> dict[str, Any]:
    """The fields of a model's configuration that shape its function and its initialisation: `native.FIELDS`.

    TypeError for what is neither kind of model; ValueError for a setting that the native model lacks, for another
    dtype than float32, for hooks and for folded weights.
    """
    _require_toy(model)
    cfg, legacy = model.cfg, is_hooked(model)
    _require_plain(cfg, legacy)
    fields: dict[str, Any] = {name: getattr(cfg, name, None) for name in native.FIELDS}
    kind = fields["normalization_type"]
    fields["normalization_type"] = NORMS.get(str(kind).upper(), kind)
    fields["positional_embedding_type"] = str(fields["positional_embedding_type"]).lower()
    fields["act_fn"] = str(fields["act_fn"]).lower() if not cfg.attn_only else "relu"  # which then plays no part
    fields["d_mlp"] = None if cfg.attn_only else cfg.d_mlp
    fields["d_vocab_out"] = cfg.d_vocab_out if cfg.d_vocab_out > 0 else cfg.d_vocab
    fields["attn_scale"] = -1.0 if _usual_scale(cfg) else float(cfg.attn_scale)
    for name in ("eps", "attn_scores_soft_cap", "output_logits_soft_cap", "initializer_range"):
        fields[name] = float(fields[name])
    return fields


def state_of(model: Any) -> dict[str, Tensor]:
    """A model's weights, on the CPU, under the names of `native.tensors`."""
    state = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    if is_hooked(model):
        state = _from_hooked(state)
    return {name: tensor.clone().contiguous() for name, tensor in state.items()}


def is_hooked(model: Any) -> bool:
    """Whether this is a HookedTransformer; told by name, because TransformerLens drops the class."""
    return any(kind.__name__ == "HookedTransformer" for kind in type(model).__mro__)


def _require_toy(model: Any) -> None:
    hooked = is_hooked(model)
    if not hooked and not (isinstance(model, TransformerBridge) and isinstance(model.original_model, NativeModel)):
        inner = getattr(model, "original_model", model) if isinstance(model, TransformerBridge) else model
        raise TypeError(
            f"{type(inner).__name__} is neither a TransformerBridge.boot_native nor a HookedTransformer: save what "
            "Hugging Face has with save_pretrained, load a state dict into one of these two first"
        )
    if not hooked and model.compatibility_mode:
        raise ValueError("this model was folded by enable_compatibility_mode: save it before that")
    held = [name for name, hook in model.hook_dict.items() if hook.fwd_hooks]
    if held:
        raise ValueError(f"the model has a hook on {held[0]}, which no file holds: take it off before saving")
    others = sorted({str(one.dtype) for one in model.parameters() if one.dtype != torch.float32})
    if others:
        raise ValueError(f"the model has weights in {', '.join(others)}, wanted float32: model.to(torch.float32)")
    bad = [name for name, one in model.named_parameters() if not one.isfinite().all()]
    if bad:
        name = bad[0].replace("._original_component", "")
        raise ValueError(f"{name} has NaN or infinite entries: the training diverged, save an earlier state")


def _require_plain(cfg: Any, legacy: bool) -> None:
    ignored = [name for name, plain in IGNORED.items() if getattr(cfg, name, plain) not in (plain, None)]
    if ignored:
        name = ignored[0]
        how = "cannot be converted" if legacy else "trained without it: leave it out of the configuration"
        raise ValueError(f"{name}={getattr(cfg, name)!r} is nothing that TransformerLens's native model does: {how}")
    if str(cfg.positional_embedding_type).lower() not in ("standard", "rotary"):
        raise ValueError(
            f"positional_embedding_type {cfg.positional_embedding_type!r} is none of TransformerLens's native model: "
            "train with standard or rotary ones"
        )
    if not cfg.attn_only and str(cfg.act_fn).lower() not in native.ACTIVATIONS:
        raise ValueError(f"act_fn {cfg.act_fn!r} is none of the native model's: {', '.join(native.ACTIVATIONS)}")
    if legacy and (cfg.gated_mlp or cfg.n_key_value_heads):
        what = "gated_mlp" if cfg.gated_mlp else "n_key_value_heads"
        raise ValueError(f"{what} is laid out otherwise in a HookedTransformer: build it with boot_native")
    if legacy and cfg.positional_embedding_type == "rotary" and not cfg.rotary_adjacent_pairs:
        raise ValueError("rotary positions of a HookedTransformer turn other pairs: build it with boot_native")


def _usual_scale(cfg: Any) -> bool:
    return cfg.attn_scale <= 0 or math.isclose(cfg.attn_scale, math.sqrt(cfg.d_head), rel_tol=1e-12)


def _from_hooked(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A HookedTransformer's weights as torch's Linear has them, head after head."""
    found = {}
    for name, tensor in state.items():
        module, _, kind = name.rpartition(".")
        match kind:
            case "W_E" | "W_pos":
                found[f"{module}.weight"] = tensor
            case "W_Q" | "W_K" | "W_V":
                found[f"{module}.{kind[-1].lower()}.weight"] = tensor.transpose(1, 2).flatten(0, 1)
            case "b_Q" | "b_K" | "b_V":
                found[f"{module}.{kind[-1].lower()}.bias"] = tensor.flatten()
            case "W_O":
                found[f"{module}.o.weight"] = tensor.flatten(0, 1).T
            case "b_O":
                found[f"{module}.o.bias"] = tensor
            case "W_in" | "W_out":
                found[f"{module}.{kind[2:]}.weight"] = tensor.T
            case "b_in" | "b_out":
                found[f"{module}.{kind[2:]}.bias"] = tensor
            case "w" | "b":
                found[f"{module}.{'weight' if kind == 'w' else 'bias'}"] = tensor
            case "W_U":
                found[f"{module}.weight"] = tensor.T
            case "b_U":
                found[f"{module}.bias"] = tensor
            case "mask" | "IGNORE" | "rotary_sin" | "rotary_cos":
                pass
            case _:
                raise ValueError(f"the model has {name}, which TransformerLens's native model lacks")
    return found
