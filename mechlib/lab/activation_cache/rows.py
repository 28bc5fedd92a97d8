"""Rows of token ids that activations are cached of: texts cut into windows, and rows that one has already.

A row is what the model runs in one go: BOS first, where the model has one, then as much text as fits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mechlib.lab.models.loading import Model, checkpoint_of, quiet
from mechlib.lab.models.tokens import bos_ids
from mechlib.lab.models.words import known_spans

LENGTH = 128  # tokens of a row by default, BOS counted, where the context has as many
_SHOWN = 60  # characters of a text that are shown where it cannot be read


@dataclass(frozen=True, eq=False)
class TokenRows:
    """Rows of token ids, in order.

    read     the rows from one number to before another; fewer where they end, none behind their end
    lead     how many tokens before the text each begins with: 1 for BOS, else 0
    length   of the longest
    lengths  of each; None where rows are written as they are asked for, without an end
    said     where they come from, for the header: what another run must have in common to be the same
    """

    read: Callable[[int, int], list[list[int]]]
    lead: int
    length: int
    lengths: tuple[int, ...] | None
    said: Mapping[str, Any]


def text_rows(model: Model, texts: Sequence[str], length: int | None = None) -> TokenRows:
    """Texts as rows of at most `length` tokens, BOS counted (default: 128, or the context where it is shorter).

    A longer text goes on in the next row, behind a BOS of its own. Texts do not share rows; an empty one has none.
    Raises ValueError: naming the first word that the vocabulary lacks; for a length that the context does not have; for
    no text at all.
    """
    length, first = row_length(model, length), bos_ids(model)
    room = length - len(first)
    rows: list[np.ndarray] = []
    for number, text in enumerate(texts):
        ids = _ids(model, text, number)
        ids = ids[len(first) :] if first and ids[: len(first)] == first else ids
        rows += [_compact([*first, *ids[start : start + room]]) for start in range(0, len(ids), room)]
    if not rows:
        raise ValueError(f"{len(texts)} texts without a token: there is nothing to run, give a text")
    return _known(rows, len(first), {"from": "texts", "texts": len(texts), "length": length})


def token_rows(model: Model, rows: Sequence[Sequence[int]]) -> TokenRows:
    """Rows of token ids as they are; BOS is told from text where it stands first in all of them.

    Raises ValueError for no rows, an empty row, one that is longer than the context, and an id that the embedding does
    not have.
    """
    name, own = checkpoint_of(model).name, [_compact(row) for row in rows]
    if not own:
        raise ValueError("no rows of tokens: there is nothing to run, give one")
    for number, row in enumerate(own):
        if not 1 <= len(row) <= model.cfg.n_ctx:
            raise ValueError(f"row {number} has {len(row)} tokens: {name} reads 1 to {model.cfg.n_ctx}, cut it")
        if len(beyond := row[(row < 0) | (row >= model.cfg.d_vocab)]):
            raise ValueError(f"row {number} has id {beyond[0]}: {name} has ids from 0 to {model.cfg.d_vocab - 1}")
    first = bos_ids(model)
    lead = len(first) if first and all(row[: len(first)].tolist() == first for row in own) else 0
    return _known(own, lead, {"from": "rows of tokens"})


def row_length(model: Model, length: int | None) -> int:
    """The length of rows; ValueError for one that the context does not have, or that has no room behind BOS."""
    least, most = len(bos_ids(model)) + 1, model.cfg.n_ctx
    length = min(LENGTH, most) if length is None else length
    if not least <= length <= most:
        raise ValueError(f"rows of {length} tokens: {checkpoint_of(model).name} takes {least} to {most}, BOS counted")
    return length


def _known(rows: list[np.ndarray], lead: int, said: Mapping[str, Any]) -> TokenRows:
    made, lengths = hashlib.sha256(), tuple(map(len, rows))
    for row in rows:
        made.update(_compact([len(row)]).tobytes() + row.tobytes())

    def read(start: int, stop: int) -> list[list[int]]:
        return [row.tolist() for row in rows[start:stop]]

    return TokenRows(read, lead, max(lengths), lengths, {**said, "rows": len(rows), "sha256": made.hexdigest()})


def _compact(row: Sequence[int]) -> np.ndarray:
    """Four bytes a token: as Python's numbers all tokens would take ten times as much."""
    return np.array(row, "<i4")


def _ids(model: Model, text: str, number: int) -> list[int]:
    with quiet():  # that a text is longer than the context: it is cut into rows
        try:
            known_spans(model, text)
        except ValueError as error:
            raise ValueError(_unknown(model, text, number) or _short(error)) from None
        return list(model.tokenizer(text, add_special_tokens=False)["input_ids"])


def _unknown(model: Model, text: str, number: int) -> str:
    """Which word of a text the vocabulary lacks first, and where; "" where no word by itself is refused."""
    for at, line in enumerate(text.splitlines(), 1):
        try:
            known_spans(model, line)
        except ValueError:
            for word in line.split():
                try:
                    known_spans(model, word)
                except ValueError:
                    return (
                        f"{checkpoint_of(model).name} does not know {word!r}, in line {at} of text {number}: use words "
                        "of its vocabulary, or a model whose tokenizer reads any text"
                    )
    return ""


def _short(error: ValueError) -> str:
    said = str(error)
    return said if len(said) <= 4 * _SHOWN else f"{said[: 2 * _SHOWN]} ... {said[-2 * _SHOWN :]}"
