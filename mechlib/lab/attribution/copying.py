"""Copying: whether heads say the words that they look at. One row a prompt.

Both measures ask about words that the prompt says, each of one token: answers and distractors of indirect objects.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.attribution.attention import Word, mention, single
from mechlib.lab.attribution.direct import (
    scale_hooks,
    scale_hooks_behind_attention,
    through_final_norm,
    through_norm_behind_attention,
)
from mechlib.lab.batching import Batch, batches, per_prompt
from mechlib.lab.hooks import mlp_layers, run, sizes
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.lab.models.outputs import require_words_in_logits
from mechlib.measurement import Measurement
from mechlib.parts.heads import Head, all_heads
from mechlib.prompts.promptset import PromptSet

TOP = 5  # as published
SAME = 1e-4  # of the largest entry, or of the logits' spread: rounding leaves 1e-6
ROUNDING = 1e-6  # of the largest logit that a vector of this length could have: what float32 may add to any


def copy_scores(
    model: Model, prompts: PromptSet, of: Word = "answer", negative: bool = False, unit: str = ""
) -> Measurement:
    """Whether a head that looked at nothing but a name would say the name: 1 or 0 a prompt, one column a head.

    The residual stream after the first layer, at the name's last mention, goes through the head's values and output
    as if the head's attention to this mention were 1, and alone through the final norm to the logits: 1 where the name
    is among the five highest. For heads of the first layer, which read them, the embeddings take the stream's place.

    of        the name: the "answer" or the "distractor"
    negative  turns the sign of the head's output: whether the head votes against the name that it sees

    The score is about a head's weights; whether the head ever looks at the name, it does not say. Five of the few
    hundred words of a mini are more by chance than five of GPT-2's fifty thousand. A head that writes nothing copies no
    name, and words with equal logits share their places. On folded weights scores may differ
    a little: value biases are then part of the output bias, which belongs to no head. Raises ValueError for a name that
    the prompt does not say, or that has several tokens, and for families that norm or scale what a head writes.
    Source: Wang et al. 2022, arXiv:2211.00593 (name movers above 95 %, the average head below 20 %).
    """
    require_words_in_logits(model, "a copying score", every=False)
    made = batches(model, prompts)
    _require_plain_writes(model, made[0].tokens[:1])
    values = [_copied(model, batch, of, -1.0 if negative else 1.0) for batch in made]
    heads = map(str, all_heads(model.cfg.n_layers, model.cfg.n_heads))
    said = f"{of} {'suppressed' if negative else 'copied'} by the head's weights"
    return per_prompt(prompts, made, values, heads, said, unit, yes_no=True)


def attention_and_written(
    model: Model, prompts: PromptSet, head: Head, to: Word = "answer", unit: str = ""
) -> Measurement:
    """A head's attention to a name, and the logit that the head writes for the name: columns "attention", "written".

    attention  from the last token to the name's last mention, between 0 and 1
    written    the contribution of the head's output at the last token to the name's own logit, in logits, at the run's
               own scale of the final norm; nothing is subtracted for other names, so compare prompts, not heads

    A head that moves names writes more where it attends more: the two columns' correlation is claimed. Raises
    ValueError for a head that the model lacks, for families that norm or scale what a head writes, or change logits
    behind the unembedding (the layer's stream and the logit are put together from their parts and compared with the
    run's), and as `copy_scores` does.
    Source: Wang et al. 2022, arXiv:2211.00593, figure 3 (correlation above .81).
    """
    require_words_in_logits(model, "what a head writes for a word", every=False)
    if head not in all_heads(model.cfg.n_layers, model.cfg.n_heads):
        raise ValueError(f"no head {head}: the model has {model.cfg.n_layers} layers of {model.cfg.n_heads} heads")
    made = batches(model, prompts)
    _require_plain_writes(model, made[0].tokens[:1])
    values = [_moved(model, batch, head, to) for batch in made]
    said = f"attention of head {head} to the {to}, and what it writes for it, in logits"
    return per_prompt(prompts, made, values, ("attention", "written"), said, unit)


def _copied(model: Model, batch: Batch, of: Word, sign: float) -> Float[Tensor, "batch heads"]:
    position, rows = mention(batch, of), torch.arange(len(batch.rows), device=batch.tokens.device)
    name = single(batch, of)  # as it is said: where a text begins with it, it may be another token
    streams = ("blocks.0.hook_resid_pre", "blocks.0.hook_resid_post")
    kept = run(model, batch.tokens, keep=streams, last=1)[1]
    longest, columns = model.W_U.norm(dim=0).max(), []
    for layer, block in enumerate(model.blocks):
        read = block.ln1(kept[streams[min(layer, 1)]])[rows, position]
        written = [_output(model, layer, head, read) for head in range(model.cfg.n_heads)]
        columns.append(_among_top(model, sign * torch.stack(written, dim=1), name, longest))
    return torch.cat(columns, dim=1)


def _output(
    model: Model, layer: int, head: int, read: Float[Tensor, "batch d_model"]
) -> Float[Tensor, "batch d_model"]:
    """The head's output where it attends to these normed streams alone; its share of the bias is left out."""
    attention = model.blocks[layer].attn
    group = head * len(attention.W_V) // model.cfg.n_heads  # heads may share their values
    value = read @ attention.W_V[group]
    if attention.b_V is not None:
        value = value + attention.b_V[group]
    return through_norm_behind_attention(model, layer, value @ attention.W_O[head])  # alone: of whatever scale


def _among_top(
    model: Model,
    written: Float[Tensor, "batch heads d_model"],
    name: Int[Tensor, " batch"],
    longest: Float[Tensor, ""],
) -> Float[Tensor, "batch heads"]:
    normed = model.ln_final(written)
    logits = normed @ model.W_U + model.b_U
    own = logits.gather(2, name[:, None, None].expand(-1, logits.shape[1], 1))
    rounding = ROUNDING * normed.norm(dim=-1, keepdim=True) * longest  # of the unembedding's longest column
    # A head that writes nothing says no word: all are equal, or in the order of the biases. Equals share their places.
    place = ((logits > own + rounding).sum(2) + (logits >= own - rounding).sum(2) + 1) / 2
    return ((place <= TOP) & written.any(2)).to(logits.dtype)


def _moved(model: Model, batch: Batch, head: Head, to: Word) -> Float[Tensor, "batch 2"]:
    position, rows = mention(batch, to), torch.arange(len(batch.rows), device=batch.tokens.device)
    name = single(batch, to)  # as it is said
    block, last = f"blocks.{head.layer}.attn.", f"blocks.{model.cfg.n_layers - 1}.hook_resid_post"
    scale, behind = scale_hooks(model), scale_hooks_behind_attention(model, head.layer)
    names = (f"{block}hook_pattern", f"{block}hook_z", last, *scale, *behind)
    logits, kept = run(model, batch.tokens, keep=names, last=1)
    attention = kept[f"{block}hook_pattern"][rows, head.head, -1, position]
    output = kept[f"{block}hook_z"][:, -1, head.head] @ model.blocks[head.layer].attn.W_O[head.head]
    output = through_norm_behind_attention(model, head.layer, output)
    for hook in behind:
        output = output / kept[hook][:, -1]

    def towards_name(part: Float[Tensor, "batch d_model"]) -> Float[Tensor, " batch"]:
        normed = through_final_norm(model, part)
        return ((normed / kept[scale[0]][:, -1] if scale else normed) * model.W_U.T[name]).sum(-1)

    _check_logit(model, name, towards_name(kept[last][:, -1]), logits[:, -1])
    return torch.stack([attention, towards_name(output)], dim=1)


def _require_plain_writes(model: Model, tokens: Int[Tensor, "batch pos"]) -> None:
    """ValueError where a layer's stream is not the one before it with what heads, their bias and the MLP write."""
    with_mlp = mlp_layers(model)
    layers = range(model.cfg.n_layers)
    parts = [
        f"blocks.{layer}.{part}" for layer in layers for part in ("hook_resid_pre", "hook_resid_post", "attn.hook_z")
    ]
    parts += [name for layer in layers for name in scale_hooks_behind_attention(model, layer)]
    kept = run(model, tokens, keep=(*parts, *(f"blocks.{layer}.hook_mlp_out" for layer in with_mlp)), last=1)[1]
    for layer, block in enumerate(model.blocks):
        stream = kept[f"blocks.{layer}.hook_resid_post"]
        made = torch.einsum("bphd,hdm->bpm", kept[f"blocks.{layer}.attn.hook_z"], block.attn.W_O)
        made = made + (0 if block.attn.b_O is None else block.attn.b_O)
        made = through_norm_behind_attention(model, layer, made)
        for name in scale_hooks_behind_attention(model, layer):
            made = made / kept[name]
        made = made + kept[f"blocks.{layer}.hook_resid_pre"]
        off = (made + (kept[f"blocks.{layer}.hook_mlp_out"] if layer in with_mlp else 0) - stream).abs()
        if not (off <= SAME * sizes(stream)).all():
            raise ValueError(
                f"{checkpoint_of(model).name} norms or scales what its heads write: put together from its parts, layer "
                f"{layer}'s stream differs by {off.max():.2g}, so a head does not write the product of its weights"
            )


def _check_logit(
    model: Model,
    name: Int[Tensor, " batch"],
    from_stream: Float[Tensor, " batch"],
    logits: Float[Tensor, "batch d_vocab"],
) -> None:
    """ValueError where the stream through final norm and unembedding, by itself, is not the logit of the name."""
    bias = getattr(model.ln_final, "bias", None)
    after = model.W_U.T[name] @ bias if bias is not None else 0
    unembedding = getattr(model, "b_U", None)
    constant = after if unembedding is None else after + unembedding[name]
    off = (from_stream + constant - logits.gather(1, name.unsqueeze(1)).squeeze(1)).abs().max()
    if not off <= SAME * (logits.max() - logits.min()):
        raise ValueError(
            f"{checkpoint_of(model).name} changes logits behind the unembedding, or has a final norm of another kind: "
            f"the stream alone misses the logit by {off:.2g}"
        )
