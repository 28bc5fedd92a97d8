"""The logit lens: the model's answer if it stopped after each layer. One row a prompt, one column a depth."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.batching import Batch, batches, per_prompt, require_finite
from mechlib.lab.hooks import run
from mechlib.lab.metrics import answer_log_prob, correct, logit_diff
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet

LensValue = Literal["logit difference", "answer on top", "rank", "log probability", "entropy"]

_OF: dict[LensValue, str] = {
    "logit difference": "logit of answer minus distractor",
    "answer on top": "most likely token is the answer",
    "rank": "rank of the answer among all tokens",
    "log probability": "log-probability of the answer's token, in nats",
    "entropy": "entropy of the next token, in nats",
}


def logit_lens(model: Model, prompts: PromptSet, what: LensValue = "logit difference", unit: str = "") -> Measurement:
    """The residual stream at the last position, after each layer read as if that layer were the last.

    The stream goes through the model's own final norm, at the stream's own scale, and the unembedding, biases
    included. Columns: "embeddings" (with learned positions, where the model has these), "after layer 0", and so on; the
    last column is the model's output, which is checked.

    "logit difference"   logit of the answer minus logit of the distractor
    "answer on top"      1 where the most likely token is the answer, else 0
    "rank"               of the answer among all tokens: 1 is on top; equals share the places between them
    "log probability"    of the answer's token, in nats
    "entropy"            of the distribution over tokens, in nats: 0 is certain, log of the vocabulary's size is uniform

    The answer is the token by which it first differs from its distractor, its first one where there is none. Weights
    as stored and folded agree: folding adds to all logits at most the same number. That a layer cannot be read so does
    not show that it does not know: it may write in directions that later layers turn.

    Raises ValueError for families that change logits behind the unembedding, and for a prompt without the answer or
    distractor that is asked for.
    Source: nostalgebraist 2020, "interpreting GPT: the logit lens".
    """
    if what not in get_args(LensValue):
        raise ValueError(f"no reading {what!r} of the lens: choose one of {', '.join(get_args(LensValue))}")
    made = batches(model, prompts)
    values = [torch.stack([_value(stream, batch, what) for stream in _lens(model, batch)], dim=1) for batch in made]
    return per_prompt(prompts, made, values, depths(model), _OF[what], unit, yes_no=what == "answer on top")


def depths(model: Model) -> tuple[str, ...]:
    """The columns of the lens: where the residual stream is read."""
    return ("embeddings", *(f"after layer {layer}" for layer in range(model.cfg.n_layers)))


def _lens(model: Model, batch: Batch) -> list[Float[Tensor, "batch one d_vocab"]]:
    """Logits at the last position from the stream at each depth."""
    names = ["blocks.0.hook_resid_pre", *(f"blocks.{layer}.hook_resid_post" for layer in range(model.cfg.n_layers))]
    logits, kept = run(model, batch.tokens, keep=names, last=1)
    read = [model.ln_final(kept[name][:, -1:]) @ model.W_U + model.b_U for name in names]
    off = (read[-1].log_softmax(-1) - logits[:, -1:].log_softmax(-1)).abs().max()
    if not off <= 1e-3:
        require_finite(batch, logits[:, -1], checkpoint_of(model).name)
        raise ValueError(
            f"the lens at the last layer of {checkpoint_of(model).name} misses the output by {off:.2g} nats: "
            "this family changes logits behind the unembedding"
        )
    return read


def _value(logits: Float[Tensor, "batch one d_vocab"], batch: Batch, what: LensValue) -> Float[Tensor, " batch"]:
    if what == "entropy":
        chances = logits[:, -1].log_softmax(-1)
        return -(chances.exp() * chances).sum(-1)
    if what == "logit difference":
        return logit_diff(logits, batch.answer, batch.distractor)
    if what == "answer on top":
        return correct(logits, batch.answer)
    if what == "log probability":
        return answer_log_prob(logits, batch.answer.unsqueeze(1))
    last = logits[:, -1]
    own = last.gather(1, batch.answer.unsqueeze(1))
    return ((last > own).sum(1) + (last >= own).sum(1) + 1) / 2
