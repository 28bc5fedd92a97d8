"""Behaviour: the whole model on each prompt, for gates and for the numbers that effects are compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.batching import Batch, batches, per_prompt, require_causal
from mechlib.lab.hooks import run
from mechlib.lab.metrics import answer_log_prob, correct, logit_diff
from mechlib.lab.models.loading import Model
from mechlib.lab.models.outputs import require_words_in_logits
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet


def answers_correctly(model: Model, prompts: PromptSet, unit: str = "") -> Measurement:
    """1 where the model writes the answer next, else 0: each of its tokens the most likely one after the tokens before.

    Neither corrupted text nor distractor plays a part: tokens that an answer shares with its distractor are judged too.
    Raises ValueError for a prompt without an answer.
    """
    made = batches(model, prompts, alone=True, anywhere=True)
    values = [_teacher_forced(model, batch, correct) for batch in made]
    return per_prompt(prompts, made, values, ("value",), "most likely token is the answer", unit, yes_no=True)


def logit_differences(model: Model, prompts: PromptSet, unit: str = "") -> Measurement:
    """Logit of the answer minus logit of the distractor, in logits: column "clean" and, if all prompts are corrupted,
    "corrupted".

    Answers of several tokens: at the first token by which the two differ, behind the tokens that they share. Raises
    ValueError for a prompt without answer or distractor.
    """
    made = batches(model, prompts, anywhere=True)
    both = all(batch.corrupted is not None for batch in made)

    def difference(batch: Batch, tokens: Tensor) -> Float[Tensor, " batch"]:
        last = 1 if batch.read is None else None
        return logit_diff(batch.at_read(run(model, tokens, last=last)[0]), batch.answer, batch.distractor)

    values = []
    for batch in made:
        runs = [batch.tokens, batch.corrupted] if both and batch.corrupted is not None else [batch.tokens]
        values.append(torch.stack([difference(batch, tokens) for tokens in runs], dim=1))
    columns = ("clean", "corrupted") if both else ("clean",)
    return per_prompt(prompts, made, values, columns, "logit of answer minus distractor", unit)


def answer_log_probs(model: Model, prompts: PromptSet, unit: str = "") -> Measurement:
    """Log-probability of the whole answer after the prompt, teacher-forced, in nats; ValueError without an answer."""
    made = batches(model, prompts, alone=True, anywhere=True)
    values = [_teacher_forced(model, batch, answer_log_prob) for batch in made]
    return per_prompt(prompts, made, values, ("value",), "log-probability of the answer, in nats", unit)


AnswerScore: TypeAlias = Callable[[Tensor, Tensor], Tensor]  # logits and whole answers, to one number a prompt


def _teacher_forced(model: Model, batch: Batch, score: AnswerScore) -> Float[Tensor, "batch one"]:
    """The score of each whole answer, from the logits of the prompt followed by the answer without its last token.

    Answers of one length run together. ValueError for a prompt without an answer.
    """
    found = torch.empty(len(batch.rows), 1, device=batch.tokens.device)
    lengths = [len(answer) for answer in batch.answers]
    for length in sorted(set(lengths)):
        own = [row for row, other in enumerate(lengths) if other == length]
        if not length:
            raise ValueError(f"prompt {batch.prompts[own[0]].clean!r} has no answer: this metric needs one")
        answers = torch.tensor([batch.answers[row] for row in own], device=batch.tokens.device)
        tokens = torch.cat([batch.tokens[own], answers[:, :-1]], dim=1)
        logits = run(model, tokens, last=length if batch.read is None else None)[0]
        if batch.read is not None:  # of a bidirectional model: all answers are one token, all rows run together
            logits = batch.at_read(logits)
        found[own] = score(logits, answers).unsqueeze(1)
    return found


def repeat_loss(model: Model, prompts: PromptSet, unit: str = "") -> Measurement:
    """Loss on the repeat, from its second token on, and on the sequence's first half, in nats per token.

    Columns "repeat" and "first half". Raises ValueError for prompts that do not end in a repeated sequence, and for
    bidirectional models.
    """
    require_words_in_logits(model, "the loss")
    require_causal(model, "loss on what comes next")
    made = batches(model, prompts)
    values = []
    for batch in made:
        logits, _ = run(model, batch.tokens)
        values.append(torch.stack([loss_on_repeat(logits, batch), loss_on_repeat(logits, batch, first=True)], dim=1))
    return per_prompt(prompts, made, values, ("repeat", "first half"), "loss, in nats per token", unit)


def loss_on_repeat(
    logits: Float[Tensor, "batch pos d_vocab"], batch: Batch, first: bool = False
) -> Float[Tensor, " batch"]:
    """Mean loss of each row's repeat from its second token on, in nats per token; of its first half, with `first`.

    Raises ValueError for a row that does not end in a repeated sequence of two tokens or more.
    """
    ids = batch.tokens
    if all(batch.answers):
        ids = torch.cat([ids, batch.answer.unsqueeze(1)], dim=1)
    targets = ids[:, 1:]
    loss = -logits[:, : targets.shape[1]].log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    means = []
    for row, own in enumerate(ids.tolist()):
        n = _repeated(own)
        stop = len(own) - 1 - (n if first else 0)  # `loss` has an entry for each token but the first
        means.append(loss[row, stop - n + 1 : stop].mean())
    return torch.stack(means)


def _repeated(ids: list[int]) -> int:
    """How many tokens the longest repeat at the end has: [1, 5, 6, 7, 5, 6, 7] gives 3."""
    for n in range(len(ids) // 2, 1, -1):
        if ids[-n:] == ids[-2 * n : -n]:
            return n
    raise ValueError(f"no sequence is repeated at the end of {ids}: this measures loss on a repeat")
