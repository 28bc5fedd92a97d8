"""Word lists of toy models: the tokenizer that has exactly these words, and the words that logits belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split, WhitespaceSplit


def word_tokenizer(words: Sequence[str], size: int, characters: bool = False) -> Tokenizer:
    """A tokenizer that gives word i the id i, and any other word an id behind the last, which no model has.

    Texts are split at white space, or into characters; then words of several characters are found first. ValueError
    where the words are not `size` distinct ones, or one is not a single token.
    """
    _require_words(words, size, "words", "d_vocab", characters)
    unknown = next(mark for mark in ("<unk>", "<unknown>", "<no word>") if mark not in words)
    ids = {word: number for number, word in enumerate(words)}
    made = Tokenizer(WordLevel(ids | {unknown: len(words)}, unk_token=unknown))
    made.decoder = decoders.Fuse() if characters else None
    made.pre_tokenizer = Split(Regex(r"[\s\S]"), "isolated") if characters else WhitespaceSplit()
    if characters and (longer := [word for word in words if len(word) > 1]):
        made.add_tokens([AddedToken(word, normalized=False) for word in longer])
    for number, word in enumerate(words):
        if (seen := made.encode(word, add_special_tokens=False).ids) != [number]:
            raise ValueError(f"word {word!r} is split into {len(seen)} tokens, not one: write it otherwise")
    return made


def output_alphabet(
    fields: Mapping[str, Any], words: Sequence[str], output_words: Sequence[str] | None
) -> list[str] | None:
    """The words that logits belong to, where they are not the first `d_vocab_out` of the words; else None.

    ValueError where they are not distinct or not as many as the model writes.
    """
    n = fields["d_vocab_out"]
    if output_words is None:
        if n > fields["d_vocab"]:
            raise ValueError(f"the model writes {n} words and reads {fields['d_vocab']}: name them, output_words=[...]")
        return None
    _require_words(output_words, n, "output_words", "d_vocab_out", characters=True)
    return None if list(output_words) == list(words[:n]) else list(output_words)


def _require_words(words: Sequence[str], size: int, name: str, field: str, characters: bool) -> None:
    if isinstance(words, str):
        raise ValueError(f"{name} is one text: give a list of words, list({words[:8]!r}) for its characters")
    if not isinstance(words, (list, tuple)):  # a vocabulary by word, a set, a tokenizer: their order is not the ids'
        raise ValueError(f"{name} is a {type(words).__name__}: give a list, in which the word of id i has place i")
    for number, word in enumerate(words):
        if not isinstance(word, str) or not word:
            raise ValueError(f"{name}[{number}] is {word!r}: write every word as text that is not empty")
        if any(letter.isspace() for letter in word) and not (characters and len(word) == 1):
            raise ValueError(f"{name}[{number}] is {word!r}: white space separates words, write it without")
    if len(words) != size:
        raise ValueError(f"{len(words)} {name} for a model whose {field} is {size}: give one for each id, in order")
    if twice := [word for word, n in Counter(words).items() if n > 1]:
        raise ValueError(f"{name} has {', '.join(map(repr, twice[:5]))} more than once: a word has one id")
