"""Direct logit attribution: the logit difference, divided among the components that write it. One row a prompt."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.attribution.attention import head_names
from mechlib.lab.batching import Batch, batches, per_prompt, require_finite
from mechlib.lab.hooks import mlp_layers, run
from mechlib.lab.metrics import logit_diff
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.measurement import TOTAL, Measurement
from mechlib.prompts.promptset import PromptSet


def direct_logit_attribution(model: Model, prompts: PromptSet, unit: str = "") -> Measurement:
    """The direct contribution of each component to answer minus distractor at the last position, in logits.

    Columns: each head, "mlp 0" and so on, "embeddings", "biases" (of attention outputs, final norm, unembedding), and
    "total": the logit difference, which the others sum to; that is checked. The final norm's scale is the run's own,
    so a component's column is its contribution to this run, not the loss that the model would have without it. Where
    there is no final norm contributions are what components write, exactly. Layers without an MLP have no column of it.
    Behind a norm of what attention writes (Gemma 3) a head has its share, at the run's own scale of that norm too.

    Raises ValueError for prompts without a distractor, for families that change what a block writes otherwise, and for
    those that change logits behind the unembedding.
    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Wang et al. 2022, section 3.1.
    """
    made = batches(model, prompts)
    values = [_direct(model, batch) for batch in made]
    mlps = [f"mlp {layer}" for layer in mlp_layers(model)]
    columns = (*head_names(model), *mlps, "embeddings", "biases", TOTAL)
    return per_prompt(prompts, made, values, columns, "direct contribution to the logit difference, in logits", unit)


def through_final_norm(model: Model, written: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
    """A part of the last residual stream behind the final norm, still to be divided by the run's scale of the norm.

    The norm is linear once its scale is given; its bias belongs to no part. Without a norm the part is itself.
    """
    kind = model.cfg.normalization_type or ""
    if kind.startswith("LN") and not model.cfg.final_rms:
        written = written - written.mean(-1, keepdim=True)
    gain = _gain(model, model.ln_final) if kind else None
    return written if gain is None else written * gain


def through_norm_behind_attention(
    model: Model, layer: int, written: Float[Tensor, "... d_model"]
) -> Float[Tensor, "... d_model"]:
    """A part of what a layer's heads write as the stream gets it, still to be divided by the run's scale of the norm in
    between (`scale_hooks_behind_attention`); the part itself where there is no such norm."""
    norm = getattr(model.blocks[layer], "ln1_post", None)
    gain = None if norm is None else _gain(model, norm)
    return written if gain is None else written * gain


def scale_hooks_behind_attention(model: Model, layer: int) -> tuple[str, ...]:
    """The hook of the scale that divides what `through_norm_behind_attention` gives; none without such a norm."""
    return (f"blocks.{layer}.ln1_post.hook_scale",) if hasattr(model.blocks[layer], "ln1_post") else ()


def _gain(model: Model, norm: torch.nn.Module) -> Tensor | None:
    """The gain of a norm, which Gemma stores less one; None for a norm without."""
    gain = getattr(norm, "weight", None)
    return 1 + gain if gain is not None and getattr(model.cfg, "rmsnorm_uses_offset", False) else gain


def scale_hooks(model: Model) -> tuple[str, ...]:
    """The hook of the final norm's scale, which divides what `through_final_norm` gives; none without a norm."""
    return ("ln_final.hook_scale",) if model.cfg.normalization_type else ()


def _direct(model: Model, batch: Batch) -> Float[Tensor, "batch columns"]:
    layers = range(model.cfg.n_layers)
    heads = [f"blocks.{layer}.attn.hook_z" for layer in layers]
    mlps = [f"blocks.{layer}.hook_mlp_out" for layer in mlp_layers(model)]
    stream, scale = "blocks.0.hook_resid_pre", scale_hooks(model)
    behind = [name for layer in layers for name in scale_hooks_behind_attention(model, layer)]
    logits, kept = run(model, batch.tokens, keep=(*heads, *mlps, stream, *scale, *behind), last=1)
    towards = model.W_U.T[batch.answer] - model.W_U.T[batch.distractor]
    scaled = towards / kept[scale[0]][:, -1] if scale else towards

    def effect(written: Float[Tensor, "batch ... d_model"]) -> Float[Tensor, "batch ..."]:
        """The contribution of a part of the last residual stream."""
        return torch.einsum("b...d,bd->b...", through_final_norm(model, written), scaled)

    columns = []
    for layer in layers:
        written = torch.einsum("bhd,hdm->bhm", kept[heads[layer]][:, -1], model.blocks[layer].attn.W_O)
        written = through_norm_behind_attention(model, layer, written)
        for name in scale_hooks_behind_attention(model, layer):
            written = written / kept[name][:, -1:]
        columns.append(effect(written))
    if mlps:
        columns.append(effect(torch.stack([kept[name][:, -1] for name in mlps], dim=1)))
    columns.append(effect(kept[stream][:, -1]).unsqueeze(1))
    columns.append((effect(_biases(model).expand(len(towards), -1)) + _after_norm(model, batch, towards)).unsqueeze(1))
    parts, total = torch.cat(columns, dim=1), logit_diff(logits, batch.answer, batch.distractor)
    off = (parts.sum(1) - total).abs().max()
    if not off <= 1e-3 * parts.abs().sum(1).max():
        require_finite(batch, logits[:, -1], checkpoint_of(model).name)
        raise ValueError(
            f"contributions miss the logit difference of {checkpoint_of(model).name} by {off:.2g}: this family norms "
            "what blocks write, or changes logits behind the unembedding"
        )
    return torch.cat([parts, total.unsqueeze(1)], dim=1)


def _biases(model: Model) -> Float[Tensor, " d_model"]:
    """The sum of attention's output biases, which every prompt gets alike."""
    total = torch.zeros(model.cfg.d_model, device=model.cfg.device)
    for block in model.blocks:
        if block.attn.b_O is not None:
            total = total + block.attn.b_O
    return total


def _after_norm(model: Model, batch: Batch, towards: Float[Tensor, "batch d_model"]) -> Float[Tensor, " batch"]:
    """The constants behind the final norm: its bias, and the unembedding's."""
    bias = getattr(model.ln_final, "bias", None)
    constant = towards @ bias if bias is not None else torch.zeros(len(towards), device=towards.device)
    unembedding = getattr(model, "b_U", None)
    if unembedding is None:
        return constant
    return constant + unembedding[batch.answer] - unembedding[batch.distractor]
