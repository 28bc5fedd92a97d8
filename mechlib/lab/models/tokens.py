"""Tokens: texts as ids, the beginning of the sequence first where the model has one, unknown words refused.

Padding is read as any token is, unless a prompt says that it is masked: its text is then run without it.
A causal model sees nothing behind the position that is read, so a text is run up to there; the run is the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.lab.models.outputs import output_id
from mechlib.lab.models.words import Span, known_spans
from mechlib.prompts.promptset import LAST, Prompt, PromptSet


def bos_ids(model: Model) -> list[int]:
    """The id of the token put before every prompt, in a list; empty for a model that has none."""
    bos = checkpoint_of(model).bos
    return [model.tokenizer.convert_tokens_to_ids(bos)] if bos else []


def tokens(model: Model, text: str) -> Int[Tensor, " pos"]:
    """The ids of a text, BOS first. Raises ValueError naming words that the vocabulary lacks, or a text too long."""
    ids = _encoded(model, text).ids
    _check_fits(model, repr(text), len(ids))
    return torch.tensor(ids, device=model.cfg.device)


def require_cut(model: Model, prompts: PromptSet) -> None:
    """ValueError, naming the text, where the model's tokenizer cuts one otherwise than the set takes for granted."""
    if not prompts.cut:
        return
    texts, counts = zip(*prompts.cut, strict=True)
    for text, count, ids in zip(
        texts, counts, model.tokenizer(list(texts), add_special_tokens=False).input_ids, strict=True
    ):
        if len(ids) != count:
            raise ValueError(
                f"{text!r} is {len(ids)} tokens {ids} in {checkpoint_of(model).name}, and {prompts!r} is for models in "
                f"which it is {count}: ask this one in another style, or take the word out of the lexicon"
            )


def is_causal(model: Model) -> bool:
    """Whether each position sees only itself and those before it."""
    return getattr(model.cfg, "attention_dir", "causal") != "bidirectional"


@dataclass(frozen=True)
class Ids:
    """The token ids of a prompt: texts with BOS and the tokens that answer and distractor share, and both words whole.

    corrupted, distractor  empty where the prompt has none
    shared                 how many tokens answer and distractor share
    read                   the position in `clean` whose logits predict the answer: the last one of a causal model
    spans                  where each token of the clean text, BOS aside, stands in it; empty where the tokenizer does
                           not say
    """

    clean: list[int]
    corrupted: list[int]
    answer: list[int]
    distractor: list[int]
    shared: int
    read: int
    spans: tuple[Span, ...]


def ids_of(model: Model, prompt: Prompt) -> Ids:
    """The token ids of a prompt, as `Batch` has them.

    Raises ValueError where clean and corrupted differ in length or in nothing, where no token tells answer and
    distractor apart, where a word changes the tokens before it, where the text with all of its answer but the last
    token is longer than the context, where a position is read that the text lacks or that is inside a character, and
    as `tokens` does.
    """
    masked = prompt.mask_padding
    clean = _encoded(model, prompt.clean, masked)
    corrupted = _encoded(model, prompt.corrupted, masked) if prompt.corrupted else None
    if corrupted and len(corrupted.ids) != len(clean.ids):
        raise ValueError(
            f"clean and corrupted do not align: {prompt.clean!r} has {len(clean.ids)} tokens {clean.ids}, "
            f"{prompt.corrupted!r} has {len(corrupted.ids)} {corrupted.ids}: replace words by words of as many tokens"
        )
    read, causal = _read_index(prompt, clean), is_causal(model)
    stop = read + 1 if causal else len(clean.ids)
    clean_ids, corrupted_ids = clean.ids[:stop], corrupted.ids[:stop] if corrupted else []
    if clean_ids == corrupted_ids:
        raise ValueError(
            f"corrupted text {prompt.corrupted!r} has the tokens of {prompt.clean!r} as far as they are run, "
            f"{clean_ids}: nothing differs between the two runs; corrupt another word"
        )
    text, before = clean.until(read), clean.ids[: read + 1]
    words = (prompt.answer, prompt.distractor)
    answer, distractor = (_continuation(model, prompt, text, before, word) for word in words)
    begun = _shared(prompt, answer, distractor)
    if not causal and max(len(answer), len(distractor)) > 1:
        raise ValueError(
            f"{checkpoint_of(model).name} is bidirectional and says one token at a time: answer {prompt.answer!r} "
            f"{answer}, distractor {prompt.distractor!r} {distractor}; use words of one token"
        )
    _check_fits(model, f"{prompt.clean!r} and all of {prompt.answer!r} but its end", stop + max(len(answer) - 1, 0))
    return Ids(
        clean_ids + begun,
        corrupted_ids and corrupted_ids + begun,
        answer,
        distractor,
        len(begun),
        stop + len(begun) - 1 if causal else read,
        clean.spans[: stop - clean.lead],
    )


class _Encoded(NamedTuple):
    """A text as it is run: its ids, `lead` of which stand before its words, and where in the text each word's token is.

    The text is cut behind its last token where masked padding follows.
    """

    text: str
    ids: list[int]
    lead: int
    spans: tuple[Span, ...]

    def until(self, index: int) -> str:
        """The text up to the token at this index, inclusive."""
        return self.text if index == len(self.ids) - 1 else self.text[: self.spans[index - self.lead][1]]


def _encoded(model: Model, text: str, mask_padding: bool = False) -> _Encoded:
    spans = known_spans(model, text)  # first: it names what cannot be read
    begin, words = bos_ids(model), model.tokenizer(text, add_special_tokens=False)["input_ids"]
    padding, first, lead = _padding(model) if mask_padding else None, 0, len(begin)
    if padding is not None:
        first = _run_of(padding, words)
    if begin and words[first : first + lead] == begin:  # a text that brings its own BOS, maybe behind padding
        first += lead
    stop = len(words)
    if padding is not None:
        first += _run_of(padding, words[first:])
        stop -= _run_of(padding, reversed(words[first:]))
    if not lead and first == stop:
        raise ValueError(
            f"{text!r} has no tokens, and {checkpoint_of(model).name} puts none before it: there is nothing to run; "
            "give a text, or a model with a BOS"
        )
    if stop < len(words) and spans:
        text = text[: spans[stop][0]].rstrip()
    return _Encoded(text, begin + words[first:stop], lead, spans[first:stop])


def _run_of(padding: int, ids: Iterable[int]) -> int:
    """How many tokens of padding these ids begin with."""
    return len(list(takewhile(lambda one: one == padding, ids)))


def _padding(model: Model) -> int:
    """The id that the tokenizer declares for padding. ValueError where it declares none."""
    padding: int | None = model.tokenizer.pad_token_id
    if padding is None:
        raise ValueError(
            f"padding is to be masked, and the tokenizer of {checkpoint_of(model).name} declares none: give it a "
            "pad_token, or leave mask_padding out"
        )
    return padding


def _read_index(prompt: Prompt, clean: _Encoded) -> int:
    """The index in the ids of the position that is read."""
    n = len(clean.ids) - clean.lead
    if prompt.read_position == LAST:
        return len(clean.ids) - 1
    if not -n <= prompt.read_position < n:
        raise ValueError(
            f"{prompt.clean!r} is to be read at position {prompt.read_position} and has {n} tokens without BOS: "
            f"give one from {-n} to {n - 1}"
        )
    if not clean.spans:
        raise ValueError(
            f"{prompt.clean!r} is to be read at position {prompt.read_position}, and its tokenizer does not say where "
            "tokens stand: save it as tokenizer.json"
        )
    return clean.lead + prompt.read_position % n


def _refuse_inside(model: Model, prompt: Prompt, text: str, before: list[int]) -> None:
    """ValueError where a text that is read before its end has other tokens than the whole one up to there.

    Inside a character of several tokens the rest of it would count as the beginning of every answer.
    """
    if prompt.read_position != LAST and (seen := _encoded(model, text, prompt.mask_padding).ids) != before:
        raise ValueError(
            f"{prompt.clean!r} is to be read at position {prompt.read_position}, where no text ends: {before} up to "
            f"there, {seen} in {text!r}; read it behind the last token of a character or word"
        )


def _shared(prompt: Prompt, answer: list[int], distractor: list[int]) -> list[int]:
    """The tokens with which both words begin. ValueError where one begins with the whole of the other."""
    begun = [one for one, other in takewhile(lambda both: both[0] == both[1], zip(answer, distractor, strict=False))]
    if begun and len(begun) in (len(answer), len(distractor)):
        raise ValueError(
            f"answer {prompt.answer!r} {answer} and distractor {prompt.distractor!r} {distractor} of {prompt.clean!r} "
            "begin alike and no token tells them apart: choose words of which neither begins with the other"
        )
    return begun


def _continuation(model: Model, prompt: Prompt, text: str, before: list[int], word: str) -> list[int]:
    """The ids that a word adds behind a text, whose ids are `before`, and the glue between the two."""
    if not word:
        return []
    if (own := output_id(model, prompt, word)) is not None:
        return [own]
    _refuse_inside(model, prompt, text, before)
    whole = _encoded(model, f"{text}{prompt.glue}{word}", prompt.mask_padding).ids
    if whole[: len(before)] != before or len(whole) == len(before):
        raise ValueError(f"{word!r} after {text!r} changes the tokens before it: {before} becomes {whole}")
    added, said = whole[len(before) :], getattr(model.cfg, "d_vocab_out", -1)
    if 0 < said <= max(added):
        raise ValueError(f"{checkpoint_of(model).name} never says {word!r} {added}: it says the ids 0 to {said - 1}")
    return added


def _check_fits(model: Model, what: str, n: int) -> None:
    if n > model.cfg.n_ctx:
        raise ValueError(f"{what} has {n} tokens, {checkpoint_of(model).name} reads {model.cfg.n_ctx}: shorten it")
