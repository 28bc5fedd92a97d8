"""What a token adds to a text, its space included: what a reader of windows sees."""

from __future__ import annotations

from collections.abc import Iterable

from mechlib.lab.models.loading import Model


def pieces(model: Model, ids: Iterable[int]) -> dict[int, str]:
    """By id, what the token adds to a text that stands before it: " Mary", "ing", "\\n"; a part of a character is "�".

    A tokenizer of whole words puts the space between two of them only where it decodes both, so that each token is
    decoded behind another one, which is then taken off.
    """
    wanted = sorted(set(ids))
    before = _first_word(model)
    lead = _decoded(model, [before])
    found = {}
    for one in wanted:
        both = _decoded(model, [before, one])
        found[one] = both[len(lead) :] if both.startswith(lead) else _decoded(model, [one])
    return found


def _first_word(model: Model) -> int:
    """A token that begins no character and ends none: the first in the vocabulary that is a letter or digit."""
    special = set(model.tokenizer.all_special_ids)
    for one in range(len(model.tokenizer)):
        said = _decoded(model, [one])
        if one not in special and said.isascii() and said.isalnum():
            return one
    return 0


def _decoded(model: Model, ids: list[int]) -> str:
    return str(model.tokenizer.decode(ids, clean_up_tokenization_spaces=False))
