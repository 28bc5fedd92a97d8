"""Attribution: where heads look, and what each component writes towards the answer. One row a prompt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.circuits import Head, all_heads
from mechlib.lab.batches import Batch, batches, bos_ids, per_prompt
from mechlib.lab.hooks import run
from mechlib.lab.mentions import mention
from mechlib.lab.metrics import logit_diff
from mechlib.lab.models import Model
from mechlib.measurement import TOTAL, Measurement
from mechlib.prompts import PromptSet

Target = Literal[
    "after previous occurrence",
    "previous token",
    "previous occurrence",
    "first token",
    "answer",
    "distractor",
    "first distractor",
]


def attention_to(model: Model, prompts: PromptSet, target: Target, unit: str = "prompt") -> Measurement:
    """Attention probability of every head on a target, one column a head; between 0 and 1.

    "after previous occurrence"   from the last token to the token that followed it the time before (induction)
    "previous occurrence"         from the last token to the time before (duplicate token)
    "previous token"              from each token to the one before it, averaged over tokens; BOS is neither
    "first token"                 from the last token to position 0: BOS, where there is one
    "answer"                      from the last token to the last mention of the answer (an indirect object)
    "distractor"                  from the last token to the last mention of the distractor (the subject, as giver)
    "first distractor"            from the last token to the first mention of the distractor

    Raises ValueError for a prompt whose last token does not occur before, where that is asked, and for one that does
    not say its answer or distractor as one token.
    """
    if target not in get_args(Target):
        raise ValueError(f"no target {target!r}: choose one of {', '.join(get_args(Target))}")
    made = batches(model, prompts)
    values = [_on_target(_patterns(model, batch), batch, target, len(bos_ids(model))) for batch in made]
    return per_prompt(prompts, made, values, _head_names(model), f"attention to the {target}", unit)


def attention_by_offset(
    model: Model,
    prompts: PromptSet,
    heads: Iterable[Head],
    offsets: tuple[int, ...] = (-3, -2, -1, 0, 1, 2, 3),
    unit: str = "prompt",
) -> Measurement:
    """Attention of these heads, averaged over them, around the induction target: column "0" is the target itself.

    Positions outside the prompt get 0, which is what a head can give them.
    """
    chosen = list(heads)
    if not chosen:
        raise ValueError("no heads: name at least one")
    made = batches(model, prompts)
    values = []
    for batch in made:
        pattern = _patterns(model, batch)
        rows = torch.stack([pattern[:, layer, head, -1] for layer, head in chosen]).mean(0)
        around = (_previous(batch) + 1).unsqueeze(1) + torch.tensor(offsets, device=rows.device)
        inside = (around >= 0) & (around < rows.shape[1])
        values.append(rows.gather(1, around.clamp(0, rows.shape[1] - 1)) * inside)
    return per_prompt(prompts, made, values, map(str, offsets), "attention by offset from the induction target", unit)


def attention_pattern(model: Model, head: Head, prompts: PromptSet, row: int = 0) -> Measurement:
    """One head's attention on one prompt: a row for each query position, a column for each key position."""
    one = PromptSet(prompts.name, prompts.split, (prompts.rows[row],))
    (batch,) = batches(model, one)
    layer, number = head
    pattern = _patterns(model, batch)[0, layer, number]
    words = [model.tokenizer.decode([token]).strip() for token in batch.tokens[0].tolist()]
    names = tuple(f"{position} {word}" for position, word in enumerate(words))
    return Measurement(
        pattern.cpu().numpy(), names, unit="query position", columns=names, of=f"attention of head {layer}.{number}"
    )


def direct_logit_attribution(model: Model, prompts: PromptSet, unit: str = "prompt") -> Measurement:
    """What each component writes directly towards answer minus distractor at the last position, in logits.

    Columns: each head, "mlp 0" and so on, "embeddings", "biases" (of attention outputs, final norm, unembedding), and
    "total": the logit difference, which the others sum to; that is checked. The final norm's scale is the run's own,
    so a component's column says what it adds to this run, not what the model would lose without it.

    Raises ValueError for families in which what a block writes is normalised once more.
    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Wang et al. 2022, section 3.1.
    """
    made = batches(model, prompts)
    values = [_direct(model, batch) for batch in made]
    mlps = [f"mlp {layer}" for layer in range(model.cfg.n_layers)]
    columns = (*_head_names(model), *mlps, "embeddings", "biases", TOTAL)
    return per_prompt(prompts, made, values, columns, "direct contribution to the logit difference, in logits", unit)


def _head_names(model: Model) -> list[str]:
    return [str(head) for head in all_heads(model.cfg.n_layers, model.cfg.n_heads)]


def _patterns(model: Model, batch: Batch) -> Float[Tensor, "batch layer head_index query key"]:
    names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(model.cfg.n_layers)]
    kept = run(model, batch.tokens, keep=names)[1]
    return torch.stack([kept[name] for name in names], dim=1)


def _on_target(
    pattern: Float[Tensor, "batch layer head_index query key"], batch: Batch, target: Target, n_bos: int
) -> Float[Tensor, "batch heads"]:
    if target == "previous token":
        if pattern.shape[-1] < n_bos + 2:
            raise ValueError("a prompt of one token has no previous token: use longer prompts")
        scores = pattern.diagonal(offset=-1, dim1=-2, dim2=-1)[..., n_bos:].mean(-1)
    else:
        key = target_key(batch, target)
        scores = pattern[torch.arange(len(key), device=key.device), :, :, -1, key]
    return scores.flatten(1)


def target_key(batch: Batch, target: Target) -> Int[Tensor, " batch"]:
    """The position at which the last token's attention to a target is read."""
    if target == "first token":
        return torch.zeros(len(batch.tokens), dtype=torch.long, device=batch.tokens.device)
    if target in ("answer", "distractor"):
        return mention(batch, "answer" if target == "answer" else "distractor")
    if target == "first distractor":
        return mention(batch, "distractor", first=True)
    return _previous(batch) + (target == "after previous occurrence")


def _previous(batch: Batch) -> Int[Tensor, " batch"]:
    """Where the last token of each prompt occurred the time before."""
    same = batch.tokens[:, :-1] == batch.tokens[:, -1:]
    for found, prompt in zip(same.any(1).tolist(), batch.prompts, strict=True):
        if not found:
            raise ValueError(f"the last token of {prompt.clean!r} does not occur before: it has no induction target")
    # argmax gives the first of equal entries, so the positions themselves are compared.
    return (same * torch.arange(1, same.shape[1] + 1, device=same.device)).argmax(1)


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
        """What a part of the last residual stream adds."""
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
    """What attention writes whatever it attends to: the sum of its output biases."""
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
