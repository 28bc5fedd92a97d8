"""Tokens: texts as ids, the beginning of the sequence first where the model has one, unknown words refused."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

import torch
from jaxtyping import Int
from torch import Tensor

from mechlib.checkpoints.bos import with_bos
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.lab.models.outputs import output_id
from mechlib.prompts.promptset import Prompt


def bos_ids(model: Model) -> list[int]:
    """The id of the token put before every prompt, in a list; empty for a model that has none."""
    bos = checkpoint_of(model).bos
    return [model.tokenizer.convert_tokens_to_ids(bos)] if bos else []


def tokens(model: Model, text: str) -> Int[Tensor, " pos"]:
    """The ids of a text, BOS first. Raises ValueError naming words that the vocabulary lacks, or a text too long."""
    return torch.tensor(_known_ids(model, text, _encode(model, text)), device=model.cfg.device)


@dataclass(frozen=True)
class Ids:
    """The token ids of a prompt: texts with BOS and the tokens that answer and distractor share, and both words whole.

    corrupted, distractor  empty where the prompt has none
    shared                 how many tokens answer and distractor share
    """

    clean: list[int]
    corrupted: list[int]
    answer: list[int]
    distractor: list[int]
    shared: int


def ids_of(model: Model, prompt: Prompt) -> Ids:
    """The token ids of a prompt, as `Batch` has them.

    Raises ValueError where clean and corrupted differ in length, where no token tells answer and distractor apart,
    where a word changes the tokens before it, and as `tokens` does.
    """
    clean = _known_ids(model, prompt.clean, _encode(model, prompt.clean))
    corrupted = _known_ids(model, prompt.corrupted, _encode(model, prompt.corrupted)) if prompt.corrupted else []
    if corrupted and len(corrupted) != len(clean):
        raise ValueError(
            f"clean and corrupted do not align: {prompt.clean!r} has {len(clean)} tokens {clean}, "
            f"{prompt.corrupted!r} has {len(corrupted)} {corrupted}: replace words by words of as many tokens"
        )
    answer = _continuation(model, prompt, prompt.answer)
    distractor = _continuation(model, prompt, prompt.distractor)
    begun = [one for one, other in takewhile(lambda both: both[0] == both[1], zip(answer, distractor, strict=False))]
    if begun and len(begun) in (len(answer), len(distractor)):
        raise ValueError(
            f"answer {prompt.answer!r} {answer} and distractor {prompt.distractor!r} {distractor} of {prompt.clean!r} "
            "begin alike and no token tells them apart: choose words of which neither begins with the other"
        )
    return Ids(clean + begun, corrupted and corrupted + begun, answer, distractor, len(begun))


def _encode(model: Model, text: str) -> list[int]:
    return with_bos(bos_ids(model), model.tokenizer(text, add_special_tokens=False)["input_ids"])


def _continuation(model: Model, prompt: Prompt, word: str) -> list[int]:
    """The ids that a word adds behind the clean text and the glue between the two."""
    if not word:
        return []
    if (own := output_id(model, prompt, word)) is not None:
        return [own]
    text = f"{prompt.clean}{prompt.glue}{word}"
    before, whole = _encode(model, prompt.clean), _known_ids(model, text, _encode(model, text))
    if whole[: len(before)] != before or len(whole) == len(before):
        raise ValueError(f"{word!r} after {prompt.clean!r} changes the tokens before it: {before} becomes {whole}")
    return whole[len(before) :]


def _known_ids(model: Model, text: str, ids: list[int]) -> list[int]:
    tokenizer = model.tokenizer
    unknown = tokenizer.unk_token_id
    if unknown is not None and unknown in ids[len(bos_ids(model)) :]:
        # Some tokenizers know a word behind a space only.
        strange = [
            word
            for word in dict.fromkeys(text.split())
            if unknown in tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
        ]
        raise ValueError(
            f"{checkpoint_of(model).name} does not know {', '.join(map(repr, strange))} in {text!r}: "
            "use words of its vocabulary, or a task's style for other models"
        )
    if len(ids) > model.cfg.n_ctx:
        raise ValueError(
            f"{text!r} has {len(ids)} tokens, {checkpoint_of(model).name} reads {model.cfg.n_ctx}: shorten it"
        )
    return ids
