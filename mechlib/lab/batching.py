"""Batches: prompts as token ids, grouped by equal length, so that no padding is ever needed.

With padding, positions, attention masks and "the last token" go wrong silently. Prompts of one length run together;
`in_order` puts measured values back into the order of the prompt set.

An answer may have several tokens, and begin as its distractor does: a model that writes digits has [" ", "7", "7"]
against [" ", "7", "4"]. The tokens that both share are put behind the texts, so that the last position decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.lab.models.tokens import Ids, ids_of, is_causal, require_cut
from mechlib.lab.models.words import Span, mentions
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import Prompt, PromptSet

BATCH_BYTES = 256 * 2**20  # that the activations of one forward pass may take
LARGEST = 256  # prompts in a batch: more at once brings no speed


@dataclass(frozen=True, eq=False)
class Batch:
    """Prompts of one token length.

    rows         each prompt's place in the prompt set
    tokens       the ids of the clean texts, BOS first where the model has one, each followed by the tokens that its
                 answer and distractor share, so that the two differ behind the last position: [batch pos]
    corrupted    the ids of the corrupted texts, followed by the same tokens and of the same length; None for prompts
                 without corrupted texts
    answers      the ids of each whole answer, shared tokens included; () where it is empty
    distractors  the ids of each whole distractor, shared tokens included; () where it is empty
    shared       how many tokens answer and distractor of each row share: the first of `answers`, the last of `tokens`
    read         the position whose logits predict each answer, BOS counted; None where it is the last one of each row,
                 as it always is in a causal model, which is run up to there
    spans        where each token of each clean text, BOS aside, stands in it
    """

    rows: tuple[int, ...]
    prompts: tuple[Prompt, ...]
    tokens: Int[Tensor, "batch pos"]
    corrupted: Int[Tensor, "batch pos"] | None
    answers: tuple[tuple[int, ...], ...]
    distractors: tuple[tuple[int, ...], ...]
    shared: int = 0
    read: Int[Tensor, " batch"] | None = None
    spans: tuple[tuple[Span, ...], ...] = ()

    @property
    def answer(self) -> Int[Tensor, " batch"]:
        """The token by which each answer first differs from its distractor, which the last position predicts.

        ValueError, naming the prompt, where an answer is empty.
        """
        return self._deciding(self.answers, "answer")

    @property
    def distractor(self) -> Int[Tensor, " batch"]:
        """The token by which each distractor first differs from its answer; ValueError where a distractor is empty."""
        return self._deciding(self.distractors, "distractor")

    def part(self, which: slice) -> Batch:
        """Some rows of the batch, as a batch of their own."""
        return replace(
            self,
            rows=self.rows[which],
            prompts=self.prompts[which],
            tokens=self.tokens[which],
            corrupted=None if self.corrupted is None else self.corrupted[which],
            answers=self.answers[which],
            distractors=self.distractors[which],
            read=None if self.read is None else self.read[which],
            spans=self.spans[which],
        )

    def at_read(self, logits: Float[Tensor, "batch pos words"]) -> Float[Tensor, "batch one words"]:
        """The logits at the position that predicts each answer, of the logits of a whole run."""
        if self.read is None:
            return logits[:, -1:]
        return logits[torch.arange(len(logits), device=logits.device), self.read.to(logits.device)].unsqueeze(1)

    def mentions(self, row: int, word: str) -> list[int]:
        """The positions, BOS counted, at which a row's clean text says a word: of each mention the last token.

        The word is sought in the text, for where it begins one it may be another token. ValueError where the tokenizer
        does not say where its tokens stand.
        """
        prompt, spans = self.prompts[row], self.spans[row]
        if not spans:
            raise ValueError(
                f"the tokenizer does not say where the tokens of {prompt.clean!r} stand: save it as tokenizer.json"
            )
        lead = self.tokens.shape[1] - self.shared - len(spans)
        return [lead + number for number in mentions(prompt.clean, spans, word, apart=prompt.glue.isspace())]

    def _deciding(self, ids: tuple[tuple[int, ...], ...], what: str) -> Int[Tensor, " batch"]:
        for prompt, own in zip(self.prompts, ids, strict=True):
            if not own:
                raise ValueError(f"prompt {prompt.fingerprint} ({prompt.clean!r}) has no {what}: this metric needs one")
        return torch.tensor([own[self.shared] for own in ids], device=self.tokens.device)


def batches(
    model: Model, prompts: PromptSet, size: int | None = None, alone: bool = False, anywhere: bool = False
) -> tuple[Batch, ...]:
    """All prompts as batches of equal token length, at most `size` each (default: what fits the memory budget).

    alone     leave out corrupted texts and distractors: no answer is then begun for the model
    anywhere  the caller reads by `Batch.at_read`: of a bidirectional model, any position

    Raises ValueError, naming the prompt: where two rows are the same tokens, answers and distractors included, whatever
    their labels, clusters and spaces say (alone: the same clean tokens and answer, whatever their corruption); where
    clean and corrupted differ in length (with both token lists) or are the same tokens; where no token tells answer
    and distractor apart, as one begins with the whole of the other (with the ids); where the vocabulary lacks a word;
    where a prompt with its answer is longer than the model's context. Raises it too, naming the text, where the model
    cuts one otherwise than the set takes for granted.
    """
    require_cut(model, prompts)
    groups: dict[tuple[int, bool, int], list[tuple[int, Prompt, Ids]]] = defaultdict(list)
    for row, prompt in enumerate(prompts):
        ids = ids_of(model, replace(prompt, corrupted="", distractor="") if alone else prompt)
        groups[len(ids.clean), bool(ids.corrupted), ids.shared].append((row, prompt, ids))
    made = []
    for (length, *_), members in sorted(groups.items()):
        _refuse_repeats(prompts, members)
        if not anywhere:
            _refuse_elsewhere(model, members)
        step = size or _fitting(model, length)
        made += [_batch(model, members[start : start + step]) for start in range(0, len(members), step)]
    return tuple(made)


def require_causal(model: Model, what: str) -> None:
    """ValueError for a bidirectional model, which sees the tokens that it would be asked for."""
    if not is_causal(model):
        raise ValueError(
            f"{checkpoint_of(model).name} is bidirectional and sees what comes next: {what} is of causal models"
        )


def require_finite(batch: Batch, values: Float[Tensor, "batch ..."], name: str) -> None:
    """ValueError, naming the model and the prompt, where a value is NaN or infinite."""
    bad = (~values.flatten(1).isfinite()).any(1).nonzero()
    if len(bad):
        prompt = batch.prompts[int(bad[0])]
        raise ValueError(
            f"{name} computes NaN or infinity for prompt {prompt.fingerprint} ({prompt.clean!r}): look for damaged "
            "weights, or activations too large for float32"
        )


def in_order(made: Iterable[Batch], values: Iterable[Tensor]) -> np.ndarray:
    """Values that were measured batch by batch, in the order of the prompt set: float64, [prompts ...]."""
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
    unit: str = "",
    yes_no: bool = False,
) -> Measurement:
    """Values that were measured batch by batch, as a Measurement with a row for each prompt.

    columns  the names of the values of a prompt
    of       the quantity and its unit, in words
    unit     the name of a row, by default the prompt set's
    yes_no   whether all values are 0 or 1

    Clusters are the prompts' own. The first label that all prompts have gives the strata.
    """
    shared = [key for key, _ in prompts.rows[0].labels if all(key in dict(row.labels) for row in prompts)]
    return Measurement(
        values=in_order(made, values),
        units=tuple(row.fingerprint for row in prompts),
        order=tuple(row.sort_key for row in prompts),
        unit=unit or prompts.unit,
        columns=tuple(columns),
        clusters=tuple(row.cluster for row in prompts) if all(row.cluster for row in prompts) else (),
        strata=tuple(row.label(shared[0]) for row in prompts) if shared else (),
        yes_no=yes_no,
        of=of,
    )


def _batch(model: Model, members: list[tuple[int, Prompt, Ids]]) -> Batch:
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
        read=torch.tensor([own.read for own in ids], device=device) if any(map(_elsewhere, ids)) else None,
        spans=tuple(own.spans for own in ids),
    )


def _elsewhere(ids: Ids) -> bool:
    """Whether the prompt is read at another position than the last one that is run."""
    return ids.read != len(ids.clean) - 1


def _refuse_repeats(prompts: PromptSet, members: list[tuple[int, Prompt, Ids]]) -> None:
    seen: dict[tuple[object, ...], Prompt] = {}
    for _, prompt, ids in members:
        run = (*map(tuple, (ids.clean, ids.corrupted, ids.answer, ids.distractor)), ids.read)
        if run in seen:
            raise ValueError(
                f"{prompts.name} has {prompt.clean!r} twice, once as {seen[run].clean!r}: the same tokens {ids.clean} "
                "and words; repeats would shrink the interval for free, take one of them"
            )
        seen[run] = prompt


def _refuse_elsewhere(model: Model, members: list[tuple[int, Prompt, Ids]]) -> None:
    for _, prompt, ids in members:
        if _elsewhere(ids):
            raise ValueError(
                f"{prompt.clean!r} is to be read at position {prompt.read_position} of {checkpoint_of(model).name}, "
                "which is bidirectional, and this measurement reads the last one: behaviour, and patching and ablation "
                "with hooked=True, read any"
            )


def _fitting(model: Model, length: int) -> int:
    """How many prompts of this length fit the budget: residual stream and MLP, attention, logits."""
    shape = model.cfg
    per_token = 16 * shape.n_layers * shape.d_model + 2 * shape.d_vocab + 3 * shape.n_layers * shape.n_heads * length
    return max(1, min(LARGEST, BATCH_BYTES // (4 * length * per_token)))
