"""Words in texts: where each token stands, whether the vocabulary has all of them, and where a word is said.

A byte-level vocabulary has another token for a word that begins a text than for the same word behind a space. So words
are sought in the text, and found by the characters that each token stands for.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from mechlib.lab.models.loading import Model, checkpoint_of

Span: TypeAlias = tuple[int, int]  # from a token's first character to behind its last

JOINED = ("Mn", "Mc", "Me", "Cf")  # accents of their own, joiners
_UNKNOWN: WeakKeyDictionary[Any, int | None] = WeakKeyDictionary()


def known_spans(model: Model, text: str) -> tuple[Span, ...]:
    """Where each token of a text stands in it, BOS aside; empty where the tokenizer does not say.

    Raises ValueError naming the words that the vocabulary lacks, whether they become the token for unknown words or
    none at all, and the words whose ids the embedding lacks.
    """
    name, tokenizer = checkpoint_of(model).name, model.tokenizer
    try:
        found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=tokenizer.is_fast)
    except Exception as error:  # of a word list without a token for unknown words the tokenizers library has no other
        raise ValueError(f"{name} cannot read {text!r} ({error}): use words of its vocabulary") from error
    ids, spans = found["input_ids"], [tuple(span) for span in found.get("offset_mapping", ())]
    lost = {*_unknown(tokenizer, text, ids, spans), *(_without_token(text, spans) if spans or not ids else ())}
    if lost:
        raise ValueError(
            f"{name} does not know {', '.join(map(repr, _words_at(text, lost)))} in {text!r}: "
            "use words of its vocabulary, or a task's style for other models"
        )
    _refuse_beyond(model, text, ids)
    return tuple(spans)


def _refuse_beyond(model: Model, text: str, ids: Sequence[int]) -> None:
    """ValueError, naming the word, for an id that the embedding does not have."""
    beyond = [one for one in ids if one >= model.cfg.d_vocab]
    if beyond:
        said = model.tokenizer.decode([beyond[0]]).strip()
        raise ValueError(
            f"{checkpoint_of(model).name} has no embedding for {said!r} in {text!r}: its id is {beyond[0]}, and there "
            f"are {model.cfg.d_vocab}; use other words, or resize the model's embedding to its tokenizer"
        )


def mentions(text: str, spans: Sequence[Span], word: str, apart: bool = True) -> list[int]:
    """For each mention of a word in a text, the number of its last token, from 0, by the tokens' spans.

    A mention begins where a token begins and ends where one ends. With `apart`, "John" is not said in "Johnson".
    """
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}
    for number, span in enumerate(spans):
        start, end = trimmed(text, span)
        if start < end:
            starts.setdefault(start, number)
            ends[end] = number
    found = []
    for match in re.finditer(f"(?={re.escape(word)})", text):
        start, end = match.start(), match.start() + len(word)
        if start in starts and end in ends and not (apart and (_inside(text, start) or _inside(text, end))):
            found.append(ends[end])
    return found


def _inside(text: str, place: int) -> bool:
    """Whether a letter or digit stands on both sides of this place."""
    return 0 < place < len(text) and text[place - 1 : place + 1].isalnum()


def trimmed(text: str, span: Span) -> Span:
    """The span without white space at its ends: some tokenizers count the space before a word as the token's."""
    start, end = span
    said = text[start:end]
    return start + len(said) - len(said.lstrip()), end - len(said) + len(said.rstrip())


def _unknown(tokenizer: Any, text: str, ids: Sequence[int], spans: Sequence[Span]) -> Iterator[int]:
    """A character of each token that stands for what the vocabulary lacks."""
    unknown = _unknown_id(tokenizer)
    if unknown is None or unknown not in ids:
        return
    if not spans:
        for match in re.finditer(r"\S+", text):
            if unknown in tokenizer(f" {match[0]}", add_special_tokens=False)["input_ids"]:
                yield match.start()
        return
    ends_texts = unknown in (tokenizer.bos_token_id, tokenizer.eos_token_id)  # then it may be meant where it is written
    for one, span in zip(ids, spans, strict=True):
        start, end = trimmed(text, span)
        if one == unknown and not (ends_texts and text[start:end] == tokenizer.unk_token):
            yield start


def _without_token(text: str, spans: Sequence[Span]) -> set[int]:
    """The characters that no token stands for; white space aside, and marks that a normalizer joins to a letter."""
    lost, seen = set[int](), 0
    for start, end in (*spans, (len(text), len(text))):
        lost |= {place for place in range(seen, start) if not text[place].isspace()}
        seen = max(seen, end)
    return {place for place in lost if unicodedata.category(text[place]) not in JOINED}


def _words_at(text: str, places: set[int]) -> list[str]:
    """The words that have a character at one of these places, each once."""
    found = [match[0] for match in re.finditer(r"\S+", text) if places & {*range(match.start(), match.end())}]
    return list(dict.fromkeys(found))


def _unknown_id(tokenizer: Any) -> int | None:
    """The id of what the vocabulary lacks, as the tokenizer declares it, or as the model inside it does."""
    if tokenizer.unk_token_id is not None or not tokenizer.is_fast:
        declared: int | None = tokenizer.unk_token_id
        return declared
    if tokenizer not in _UNKNOWN:
        inside = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
        token, number = inside.get("unk_token"), inside.get("unk_id")
        _UNKNOWN[tokenizer] = number if token is None else tokenizer.backend_tokenizer.token_to_id(token)
    return _UNKNOWN[tokenizer]
