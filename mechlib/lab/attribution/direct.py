"""Direct logit attribution: the logit difference, divided among the components that write it. One row a prompt."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.attribution.attention import head_names
from mechlib.lab.batching import Batch, batches, per_prompt
from mechlib.lab.hooks import run
from mechlib.lab.metrics import logit_diff
from mechlib.lab.models.loading import Model
from mechlib.measurement import TOTAL, Measurement
from mechlib.prompts.promptset import PromptSet


def direct_logit_attribution(model: Model, prompts: PromptSet, unit: str = "") -> Measurement:
    """The direct contribution of each component to answer minus distractor at the last position, in logits.

    Columns: each head, "mlp 0" and so on, "embeddings", "biases" (of attention outputs, final norm, unembedding), and
    "total": the logit difference, which the others sum to; that is checked. The final norm's scale is the run's own,
    so a component's column is its contribution to this run, not the loss that the model would have without it.

    Raises ValueError for prompts without a distractor, and for families that norm the output of a block once more.
    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Wang et al. 2022, section 3.1.
    """
    made = batches(model, prompts)
    values = [_direct(model, batch) for batch in made]
    mlps = [f"mlp {layer}" for layer in range(model.cfg.n_layers)]
    columns = (*head_names(model), *mlps, "embeddings", "biases", TOTAL)
    return per_prompt(prompts, made, values, columns, "direct contribution to the logit difference, in logits", unit)


def through_final_norm(model: Model, written: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
    """A part of the last residual stream behind the final norm, still to be divided by the run's scale of the norm.

    The norm is linear once its scale is given; its bias belongs to no part.
    """
    if model.cfg.normalization_type.startswith("LN"):
        written = written - written.mean(-1, keepdim=True)
    return written * model.ln_final.weight


def _direct(model: Model, batch: Batch) -> Float[Tensor, "batch columns"]:
    layers = range(model.cfg.n_layers)
    heads = [f"blocks.{layer}.attn.hook_z" for layer in layers]
    mlps = [f"blocks.{layer}.hook_mlp_out" for layer in layers]
    stream, scale = "blocks.0.hook_resid_pre", "ln_final.hook_scale"
    logits, kept = run(model, batch.tokens, keep=(*heads, *mlps, stream, scale))
    towards = model.W_U.T[batch.answer] - model.W_U.T[batch.distractor]

    def effect(written: Float[Tensor, "batch ... d_model"]) -> Float[Tensor, "batch ..."]:
        """The contribution of a part of the last residual stream."""
        return torch.einsum("b...d,bd->b...", through_final_norm(model, written), towards / kept[scale][:, -1])

    columns = []
    for layer in layers:
        columns.append(effect(torch.einsum("bhd,hdm->bhm", kept[heads[layer]][:, -1], model.blocks[layer].attn.W_O)))
    columns.append(effect(torch.stack([kept[name][:, -1] for name in mlps], dim=1)))
    columns.append(effect(kept[stream][:, -1]).unsqueeze(1))
    columns.append((effect(_biases(model).expand(len(towards), -1)) + _after_norm(model, batch, towards)).unsqueeze(1))
    parts, total = torch.cat(columns, dim=1), logit_diff(logits, batch.answer, batch.distractor)
    off = (parts.sum(1) - total).abs().max()
    if off > 1e-3 * parts.abs().sum(1).max():
        raise ValueError(f"contributions miss the logit difference by {off:.2g}: this family norms what blocks write")
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
    return constant + model.b_U[batch.answer] - model.b_U[batch.distractor]
