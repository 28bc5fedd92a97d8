"""Prompts: frozen rows that know their split and can be told apart by a fingerprint.

A prompt is plain text. Words of the minis are separated by single spaces; a beginning-of-sequence
token is never part of the text, the loader adds it and the evidence records it.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args

Split = Literal["discovery", "confirmation", "reference"]
SPLITS: tuple[Split, ...] = get_args(Split)
Factors = tuple[tuple[str, tuple[str, ...]], ...]
TEXTS = ("clean", "corrupted", "answer", "distractor")
LAST = -1  # the position at which a prompt is read, unless it says another one
# Control characters, formatting (soft hyphens, marks of direction, U+FEFF), halves of a character, line separators, and
# spaces that look like another one.
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}
SEEN = " \n\t\u200c\u200d\u3000"  # of these: what writing systems need


@dataclass(frozen=True)
class Prompt:
    """One row: a text to run, the answer it should get, and the twin text that breaks it.

    `answer` and `distractor` are written without the space that precedes them in the text; `glue` is that space, or
    what else stands between text and answer ("" where the answer follows at once, as in `23+54=`).
    `cluster` names what a person wrote and many prompts share (a template); it is empty where prompts
    are independent draws. `labels` say what else is known about the row, for strips and tables.

    `factors` name what rows have in common, in the singular, each with all its levels in this row, of the clean and of
    the corrupted text: (("template", ("{A} met {B}",)), ("name", ("Susan", "David"))). Rows that share a level are not
    independent, and intervals allow for it (docs/STATISTICS.md, R29). A cluster need not be said twice.

    `read_position` is the position whose logits predict the answer: a token of the clean text, counted from 0 without
    BOS, or negative from the end. To read several, make a row of each, with the same text and cluster.

    With `mask_padding` tokens that the tokenizer declares for padding, at either end of a text, are masked: the text is
    run without them. Otherwise they are read, as any token is.

    Raises ValueError, naming the field, for white space at the ends of a text or a word, for characters that nobody
    sees (`\\r`, U+2028, U+FEFF, ...), where the corrupted text is the clean one, and for a factor that has no levels
    or is named twice.
    """

    clean: str
    answer: str
    corrupted: str = ""
    distractor: str = ""
    cluster: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    glue: str = " "
    read_position: int = LAST
    mask_padding: bool = False
    factors: Factors = ()

    def __post_init__(self) -> None:
        for name in TEXTS:
            _refuse_unseen(name, text := getattr(self, name))
            _refuse_white_ends(name, text)
        _refuse_unseen("glue", self.glue)
        if self.corrupted and self.corrupted == self.clean:
            raise ValueError(
                f"corrupted text of {self.clean!r} is the clean text: nothing differs between the two runs; "
                "corrupt a word, or leave `corrupted` empty"
            )
        if type(self.read_position) is not int:
            raise ValueError(f"read_position is {self.read_position!r}: give one whole number, a row for each position")
        _refuse_factors(self.factors)

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits for what the model sees of this row: its name in evidence files.

        What is known about it besides (cluster, labels, factors) is left out: it may be learned later. A field that
        comes to this class later counts only where it differs from its default, so that no row gets another name.
        """
        seen: list[str | int] = [self.clean, self.corrupted, self.answer, self.distractor, self.glue]
        seen += [] if self.read_position == LAST else [self.read_position]
        return _digest([*seen, "padding masked"] if self.mask_padding else seen)[:12]

    @cached_property
    def sort_key(self) -> str:
        """Twelve digits by which rows are sorted before they are resampled: no interval depends on how they came.

        Of the fields that a row had when the first intervals were computed: these stay to the bit, whatever is added.
        """
        named: dict[str, object] = {
            "answer": self.answer,
            "clean": self.clean,
            "cluster": self.cluster,
            "corrupted": self.corrupted,
            "distractor": self.distractor,
            "labels": self.labels,
        }
        named |= {} if self.glue == " " else {"glue": self.glue}
        named |= {} if self.read_position == LAST else {"read_position": self.read_position}
        named |= {"mask_padding": True} if self.mask_padding else {}
        return _digest(named)[:12]

    def label(self, name: str) -> str:
        """The value of one label; `KeyError` names the labels there are."""
        for key, value in self.labels:
            if key == name:
                return value
        raise KeyError(f"no label {name!r}: this prompt has {', '.join(key for key, _ in self.labels) or 'none'}")


@dataclass(frozen=True)
class PromptSet:
    """Distinct prompts of one task and one split.

    Raises ValueError on repeats, on unknown splits, and where some rows have a cluster, or a factor, and others have
    none. Repeats that only a tokenizer can see, as two spaces instead of one, are refused where the prompts are run.

    `unit` is what one row is called in the singular, where results are counted: "prompt", "pair", "sequence".

    `cut` is what the set takes for granted of a tokenizer: texts, each with the number of tokens that it is, as
    (" Susan", 1). A model that cuts one otherwise is refused where the prompts are run; a fingerprint has none of it.
    """

    name: str
    split: Split
    rows: tuple[Prompt, ...]
    settings: tuple[tuple[str, str | int | float | bool | None], ...] = field(default=())
    unit: str = "prompt"
    cut: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"no split {self.split!r}: choose one of {', '.join(SPLITS)}")
        if not self.rows:
            raise ValueError(f"{self.name} has no prompts: ask for at least one")
        distinct = {row.fingerprint for row in self.rows}
        if len(distinct) < len(self.rows):
            raise ValueError(
                f"{self.name} has {len(distinct)} distinct prompts among {len(self.rows)}: "
                "repeats would shrink the interval for free"
            )
        without = [row for row in self.rows if not row.cluster]
        if 0 < len(without) < len(self.rows):
            raise ValueError(
                f"{len(without)} of {len(self.rows)} rows of {self.name} have no cluster, as {without[0].clean!r}: "
                "an interval is across clusters or across rows; name the cluster of every row, or of none"
            )
        named = [tuple(name for name, _ in row.factors) for row in self.rows]
        other = next((row for row, names in zip(self.rows, named, strict=True) if names != named[0]), None)
        if other is not None:
            raise ValueError(
                f"rows of {self.name} have the factors {', '.join(named[0]) or 'none'}, {other.clean!r} has others: "
                "name the same ones in every row, in one order"
            )

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self.rows)

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of everything that a measurement can see: task, split and all rows, in order."""
        return _digest([self.name, self.split, [row.fingerprint for row in self.rows]])

    @cached_property
    def members(self) -> frozenset[str]:
        """Digests of the clean texts, by which overlap with another set is found, whatever the corruption, the read
        position and the width of the spaces."""
        return frozenset(_digest(" ".join(row.clean.split()))[:16] for row in self.rows)

    def take(self, n: int) -> PromptSet:
        """The first n prompts, as a set of their own."""
        if not 1 <= n <= len(self):
            raise ValueError(f"{self.name} has {len(self)} prompts, {n} asked for")
        return replace(self, rows=self.rows[:n], settings=(*self.settings, ("take", n)))

    def __repr__(self) -> str:
        settings = "".join(f", {key}={value!r}" for key, value in self.settings)
        return f"{self.name}({self.split}, n={len(self)}{settings})"


def one_token(rows: Iterable[Prompt], *factors: str) -> tuple[tuple[str, int], ...]:
    """For `PromptSet.cut`: every level of these factors, with the space before it, as one token."""
    levels = [level for row in rows for name, own in row.factors if name in factors for level in own]
    return tuple((f" {level}", 1) for level in dict.fromkeys(levels))


def _refuse_unseen(name: str, text: Any) -> None:
    """ValueError for what is no text, and for a character that shows nowhere, or as another, and that a model reads:
    control characters but `\\n` and tab, line separators, formatting as a byte order mark, no-break spaces."""
    if not isinstance(text, str):
        raise ValueError(f"{name} is {text!r}: give a text, or leave it out")
    unseen = [one for one in text if unicodedata.category(one) in UNSEEN and one not in SEEN]
    if unseen:
        raise ValueError(
            f"{name} {text!r} holds {unseen[0]!r}, which nobody sees and the model reads: take it out, write a plain "
            'space, or open the file with newline=None and encoding="utf-8-sig"'
        )


def _refuse_white_ends(name: str, text: str) -> None:
    """ValueError for white space before or behind a text: the last position would be another one."""
    if text == text.strip():
        return
    cure = "`glue` is the white space between text and answer: strip this"
    if name in ("answer", "distractor"):
        cure = "write it without; `glue` stands between text and answer"
    raise ValueError(f"{name} {text!r} begins or ends in white space: {cure}")


def _refuse_factors(factors: Factors) -> None:
    """ValueError for a factor without levels, or named twice."""
    for place, (name, levels) in enumerate(factors):
        if isinstance(levels, str) or not name or not levels or not all(levels):
            raise ValueError(
                f"factor {name!r} has the levels {levels!r}: give a name, and a tuple of one level or more"
            )
        if name in [before for before, _ in factors[:place]]:
            raise ValueError(f"factor {name!r} is named twice: give it once, with all its levels")


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
