"""Metrics: logits to one number per prompt, never a mean over prompts."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def logit_diff(
    logits: Float[Tensor, "batch pos d_vocab"],
    answer: Int[Tensor, " batch"],
    distractor: Int[Tensor, " batch"],
) -> Float[Tensor, " batch"]:
    """Answer logit minus distractor logit at the last position, in logits.

    Positive where the model prefers the answer; a constant added to all logits cancels.
    Prompts must end at the same position: left-pad them, or a short prompt is read at its padding
    (`mechlib.lab.batching` groups prompts by length, so that nothing is ever padded).

    Source: Wang et al. 2022, arXiv:2211.00593.
    """
    last = logits[:, -1]
    return _at(last, answer) - _at(last, distractor)


def answer_log_prob(
    logits: Float[Tensor, "batch pos d_vocab"],
    answer: Int[Tensor, "batch n"],
) -> Float[Tensor, " batch"]:
    """Log-probability of an answer of n tokens as a whole, teacher-forced, in nats; at most 0.

    The logits belong to the prompt followed by the answer without its last token, so that the last n positions
    predict the n tokens. Answers of different length are not comparable: each token more costs probability.
    """
    n = answer.shape[1]
    if logits.shape[1] < n:
        raise ValueError(f"{logits.shape[1]} positions cannot predict {n} tokens: run the answer's start too")
    chosen = logits[:, -n:].log_softmax(-1).gather(-1, answer.unsqueeze(-1))
    return chosen.squeeze(-1).sum(-1)


def correct(
    logits: Float[Tensor, "batch pos d_vocab"],
    answer: Int[Tensor, " batch"] | Int[Tensor, "batch n"],
) -> Float[Tensor, " batch"]:
    """1 where the most likely token at the last position is the answer, else 0.

    An answer of n tokens is read at the last n positions, as in `answer_log_prob`: each must be the most likely one.
    A tie is no answer: where nothing is written all logits are the same, and the model prefers no token. Float32 logits
    of a trained model do not tie.
    """
    wanted = answer.view(len(answer), -1)
    read = logits[:, -wanted.shape[1] :]
    alone = (read >= read.gather(-1, wanted.unsqueeze(-1))).sum(-1) == 1  # the answer itself
    return alone.all(1).to(logits.dtype)


def loss_per_token(
    logits: Float[Tensor, "batch pos d_vocab"],
    tokens: Int[Tensor, "batch pos"],
) -> Float[Tensor, "batch pos-1"]:
    """Cross-entropy of each token given those before it, in nats; entry i belongs to token i + 1."""
    chosen = logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:].unsqueeze(-1))
    return -chosen.squeeze(-1)


def sequence_loss(
    logits: Float[Tensor, "batch pos d_vocab"],
    tokens: Int[Tensor, "batch pos"],
    first: int = 1,
    stop: int | None = None,
) -> Float[Tensor, " batch"]:
    """Mean cross-entropy of the tokens at positions `first` up to, not including, `stop`; in nats per token.

    Raises ValueError where no token is left, or where `first` is the first token, which nothing predicts.
    """
    stop = tokens.shape[1] if stop is None else stop
    if not 1 <= first < stop <= tokens.shape[1]:
        raise ValueError(f"no loss over positions {first} to {stop} of {tokens.shape[1]}: want 1 <= first < stop")
    return loss_per_token(logits, tokens)[:, first - 1 : stop - 1].mean(-1)


def _at(logits: Float[Tensor, "batch d_vocab"], token: Int[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    return torch.gather(logits, 1, token.unsqueeze(1)).squeeze(1)
