"""Attention: the places that heads look at. One row a prompt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.batching import Batch, batches, per_prompt
from mechlib.lab.hooks import run
from mechlib.lab.models.loading import Model
from mechlib.lab.models.outputs import require_words_in_logits
from mechlib.lab.models.tokens import bos_ids
from mechlib.measurement import Measurement
from mechlib.parts.heads import Head, all_heads
from mechlib.prompts.promptset import PromptSet

Target = Literal[
    "after previous occurrence",
    "previous token",
    "previous occurrence",
    "first token",
    "answer",
    "distractor",
    "first distractor",
]
Word = Literal["answer", "distractor"]


def attention_to(model: Model, prompts: PromptSet, target: Target, unit: str = "") -> Measurement:
    """Attention probability of every head on a target, one column a head; between 0 and 1.

    "after previous occurrence"   from the last token to the token that followed it the time before (induction)
    "previous occurrence"         from the last token to the time before (duplicate token)
    "previous token"              from each token to the one before it, averaged over tokens; BOS is neither
    "first token"                 from the last token to position 0: BOS, where there is one
    "answer"                      from the last token to the last mention of the answer (an indirect object)
    "distractor"                  from the last token to the last mention of the distractor (the subject, as giver)
    "first distractor"            from the last token to the first mention of the distractor

    Words are sought in the text, by the characters that tokens stand for; of a word of several tokens the last one is
    looked at. The time before is told by tokens: a word that begins the text may be another one there.

    Raises ValueError for a prompt whose last token does not occur before, where a target asks for it, and for a prompt
    that does not say its answer or distractor.
    """
    check_target(model, target)
    made = batches(model, prompts)
    values = [_on_target(_patterns(model, batch), batch, target, len(bos_ids(model))) for batch in made]
    return per_prompt(prompts, made, values, head_names(model), f"attention to the {target}", unit)


def attention_by_offset(
    model: Model,
    prompts: PromptSet,
    heads: Iterable[Head],
    offsets: tuple[int, ...] = (-3, -2, -1, 0, 1, 2, 3),
    unit: str = "",
) -> Measurement:
    """Attention of these heads, averaged over them, around the induction target: column "0" is the target itself.

    Between 0 and 1; 0 at offsets outside the prompt. Raises ValueError where no head is named, and for a prompt whose
    last token does not occur before.
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
    """One head's attention on one prompt, between 0 and 1: a row for each query position, a column for each key.

    row  the prompt's place in the set, from 0
    """
    one = replace(prompts, rows=(prompts.rows[row],), settings=())
    (batch,) = batches(model, one)
    layer, number = head
    pattern = _patterns(model, batch)[0, layer, number]
    words = [model.tokenizer.decode([token]).strip() for token in batch.tokens[0].tolist()]
    names = tuple(f"{position} {word}" for position, word in enumerate(words))
    return Measurement(
        pattern.cpu().numpy(), names, unit="query position", columns=names, of=f"attention of head {layer}.{number}"
    )


def head_names(model: Model) -> list[str]:
    """The names of all heads, as columns have them: "0.0", "0.1" and so on, layer by layer."""
    return [str(head) for head in all_heads(model.cfg.n_layers, model.cfg.n_heads)]


def _patterns(model: Model, batch: Batch) -> Float[Tensor, "batch layer head_index query key"]:
    names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(model.cfg.n_layers)]
    kept = run(model, batch.tokens, keep=names, last=1)[1]
    return torch.stack([kept[name] for name in names], dim=1)


def check_target(model: Model, target: Target) -> None:
    """ValueError for a target that there is not, and for an answer that is no word of this model's texts."""
    if target not in get_args(Target):
        raise ValueError(f"no target {target!r}: choose one of {', '.join(get_args(Target))}")
    if target in ("answer", "distractor", "first distractor"):
        require_words_in_logits(model, f"attention to the {target}", every=False)


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
    """The position at which the last token of each prompt occurred the time before. ValueError where it did not."""
    same = batch.tokens[:, :-1] == batch.tokens[:, -1:]
    for found, prompt in zip(same.any(1).tolist(), batch.prompts, strict=True):
        if not found:
            raise ValueError(f"the last token of {prompt.clean!r} does not occur before: it has no induction target")
    # argmax gives the first of equal entries, so the positions themselves are compared.
    return (same * torch.arange(1, same.shape[1] + 1, device=same.device)).argmax(1)


def mention(batch: Batch, word: Word = "answer", first: bool = False) -> Int[Tensor, " batch"]:
    """The position of each prompt's last mention of its answer or distractor, BOS counted; with `first`, of the first.

    It is sought in the text, and its last token is meant where it has several. Raises ValueError, naming the prompt,
    where there is no such word, and where the prompt does not say it.
    """
    found = []
    for row, prompt in enumerate(batch.prompts):
        wanted = getattr(prompt, word)
        if not wanted:
            raise ValueError(f"prompt {prompt.fingerprint} ({prompt.clean!r}) has no {word}: this measure needs one")
        places = batch.mentions(row, wanted)
        if not places:
            raise ValueError(
                f"{word} {wanted!r} does not occur in {prompt.clean!r}: "
                "nothing can attend to it or copy it; use prompts that say it"
            )
        found.append(places[0] if first else places[-1])
    return torch.tensor(found, device=batch.tokens.device)


def single(batch: Batch, word: Word) -> Int[Tensor, " batch"]:
    """The one token that each answer or distractor is behind the prompt. ValueError where it has several or none."""
    ids = batch.answers if word == "answer" else batch.distractors
    for prompt, own in zip(batch.prompts, ids, strict=True):
        if len(own) != 1:
            raise ValueError(
                f"{word} {getattr(prompt, word)!r} of {prompt.clean!r} has {len(own)} tokens {list(own)}: "
                "no single one stands for it; use words of one token"
            )
    return torch.tensor([own[0] for own in ids], device=batch.tokens.device)
