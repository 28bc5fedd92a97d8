"""Batches: prompts as token ids, grouped by equal length, so that no padding is ever needed.

Padding is where positions, attention masks and "the last token" go wrong silently. Prompts of one length run
together; `in_order` puts what was measured back into the order of the prompt set.

An answer may have several tokens, and begin as its distractor does: a model that writes digits has [" ", "7", "7"]
against [" ", "7", "4"]. What the two share is put behind the texts, so that the last position is the one that decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import takewhile

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.models import Model, checkpoint_of
from mechlib.measurement import Measurement
from mechlib.prompts import Prompt, PromptSet

BUDGET = 256 * 2**20  # bytes of activations that one forward pass may keep
LARGEST = 256  # prompts in a batch: more at once brings no speed


@dataclass(frozen=True, eq=False)
class Batch:
    """Prompts of one token length.

    rows        where each prompt stands in the prompt set
    tokens      the clean texts, BOS first where the model has one, each followed by what its answer and distractor
                share, so that the last position is the one after which they differ
    corrupted   the corrupted texts, followed by the same tokens and of the same length; None where there are none
    answers     the ids of each whole answer, with what it shares; () where it is empty
    distractors likewise
    shared      how many tokens answer and distractor of each row share: the first of `answers`, the last of `tokens`
    """

    rows: tuple[int, ...]
    prompts: tuple[Prompt, ...]
    tokens: Int[Tensor, "batch pos"]
    corrupted: Int[Tensor, "batch pos"] | None
    answers: tuple[tuple[int, ...], ...]
    distractors: tuple[tuple[int, ...], ...]
    shared: int = 0

    @property
    def answer(self) -> Int[Tensor, " batch"]:
        """The token by which each answer first differs from its distractor: the one that the last position predicts."""
        return self._deciding(self.answers, "answer")

    @property
    def distractor(self) -> Int[Tensor, " batch"]:
        """The token by which each distractor first differs from its answer."""
        return self._deciding(self.distractors, "distractor")

    def part(self, which: slice) -> Batch:
        """Some of its rows, as a batch of their own."""
        return replace(
            self,
            rows=self.rows[which],
            prompts=self.prompts[which],
            tokens=self.tokens[which],
            corrupted=None if self.corrupted is None else self.corrupted[which],
            answers=self.answers[which],
            distractors=self.distractors[which],
        )

    def _deciding(self, ids: tuple[tuple[int, ...], ...], what: str) -> Int[Tensor, " batch"]:
        for prompt, own in zip(self.prompts, ids, strict=True):
            if not own:
                raise ValueError(f"prompt {prompt.fingerprint} ({prompt.clean!r}) has no {what}: this metric needs one")
        return torch.tensor([own[self.shared] for own in ids], device=self.tokens.device)


def batches(model: Model, prompts: PromptSet, size: int | None = None, alone: bool = False) -> tuple[Batch, ...]:
    """All prompts as batches of equal token length, at most `size` each (default: what fits the memory budget).

    alone   only clean texts and answers, for what has nothing to do with corruption: no answer is begun for the model

    Raises ValueError, naming the prompt: where clean and corrupted differ in length (with both token lists); where
    no token tells answer and distractor apart, as one begins with the whole of the other (with the ids); where the
    vocabulary lacks a word; where a prompt with its answer is longer than the model's context.
    """
    groups: dict[tuple[int, bool, int], list[tuple[int, Prompt, _Ids]]] = defaultdict(list)
    for row, prompt in enumerate(prompts):
        ids = _ids(model, replace(prompt, corrupted="", distractor="") if alone else prompt)
        groups[len(ids.clean), bool(ids.corrupted), ids.shared].append((row, prompt, ids))
    made = []
    for (length, *_), members in sorted(groups.items()):
        step = size or _fitting(model, length)
        made += [_batch(model, members[start : start + step]) for start in range(0, len(members), step)]
    return tuple(made)


def require_finite(batch: Batch, values: Float[Tensor, "batch ..."], name: str) -> None:
    """ValueError, with the prompt, where what a model computes is no number."""
    bad = (~values.flatten(1).isfinite()).any(1).nonzero()
    if len(bad):
        prompt = batch.prompts[int(bad[0])]
        raise ValueError(
            f"{name} computes NaN or infinity for prompt {prompt.fingerprint} ({prompt.clean!r}): look for damaged "
            "weights, or activations too large for float32"
        )


def in_order(made: Iterable[Batch], values: Iterable[Tensor]) -> np.ndarray:
    """What was measured batch by batch, in the order of the prompt set; float64, prompts first."""
    pairs = list(zip(made, values, strict=True))
    n = sum(len(batch.rows) for batch, _ in pairs)
    out = np.full((n, *pairs[0][1].shape[1:]), np.nan)
    for batch, value in pairs:
        out[list(batch.rows)] = value.detach().cpu().double().numpy()
    return out


def per_prompt(
    prompts: PromptSet,
    made: Iterable[Batch],
    values: Iterable[Tensor],
    columns: Iterable[str],
    of: str,
    unit: str = "prompt",
    yes_no: bool = False,
) -> Measurement:
    """What was measured on each prompt, as a Measurement.

    Clusters are the prompts' own. The first label that all prompts have gives the strata.
    """
    shared = [key for key, _ in prompts.rows[0].labels if all(key in dict(row.labels) for row in prompts)]
    return Measurement(
        values=in_order(made, values),
        units=tuple(row.fingerprint for row in prompts),
        unit=unit,
        columns=tuple(columns),
        clusters=tuple(row.cluster for row in prompts) if all(row.cluster for row in prompts) else (),
        strata=tuple(row.label(shared[0]) for row in prompts) if shared else (),
        yes_no=yes_no,
        of=of,
    )


def bos_ids(model: Model) -> list[int]:
    """The id of the token put before every prompt, in a list; empty for a model that has none."""
    bos = checkpoint_of(model).bos
    return [model.tokenizer.convert_tokens_to_ids(bos)] if bos else []


def tokens(model: Model, text: str) -> Int[Tensor, " pos"]:
    """The ids of a text, BOS first. Raises ValueError naming words that the vocabulary lacks, or a text too long."""
    return torch.tensor(_checked(model, text, _encode(model, text)), device=model.cfg.device)


@dataclass(frozen=True)
class _Ids:
    clean: list[int]
    corrupted: list[int]
    answer: list[int]
    distractor: list[int]
    shared: int


def _ids(model: Model, prompt: Prompt) -> _Ids:
    clean = _checked(model, prompt.clean, _encode(model, prompt.clean))
    corrupted = _checked(model, prompt.corrupted, _encode(model, prompt.corrupted)) if prompt.corrupted else []
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
    return _Ids(clean + begun, corrupted and corrupted + begun, answer, distractor, len(begun))


def _encode(model: Model, text: str) -> list[int]:
    return bos_ids(model) + model.tokenizer(text, add_special_tokens=False)["input_ids"]


def _continuation(model: Model, prompt: Prompt, word: str) -> list[int]:
    """The ids that a word adds after the clean text and what stands between the two."""
    if not word:
        return []
    text = f"{prompt.clean}{prompt.glue}{word}"
    before, whole = _encode(model, prompt.clean), _checked(model, text, _encode(model, text))
    if whole[: len(before)] != before or len(whole) == len(before):
        raise ValueError(f"{word!r} after {prompt.clean!r} changes the tokens before it: {before} becomes {whole}")
    return whole[len(before) :]


def _checked(model: Model, text: str, ids: list[int]) -> list[int]:
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


def _batch(model: Model, members: list[tuple[int, Prompt, _Ids]]) -> Batch:
    device = model.cfg.device
    ids = [own for _, _, own in members]
    return Batch(
        rows=tuple(row for row, _, _ in members),
        prompts=tuple(prompt for _, prompt, _ in members),
        tokens=torch.tensor([own.clean for own in ids], device=device),
        corrupted=torch.tensor([own.corrupted for own in ids], device=device) if ids[0].corrupted else None,
        answers=tuple(tuple(own.answer) for own in ids),
        distractors=tuple(tuple(own.distractor) for own in ids),
        shared=ids[0].shared,
    )


def _fitting(model: Model, length: int) -> int:
    """How many prompts of this length fit the budget: residual stream and MLP, attention, logits."""
    shape = model.cfg
    per_token = 16 * shape.n_layers * shape.d_model + 2 * shape.d_vocab + 3 * shape.n_layers * shape.n_heads * length
    return max(1, min(LARGEST, BUDGET // (4 * length * per_token)))
