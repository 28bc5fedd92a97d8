"""Prompts: frozen rows that know their split and can be told apart by a fingerprint.

A prompt is plain text. Words of the minis are separated by single spaces; a beginning-of-sequence
token is never part of the text, the loader adds it and the evidence records it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, get_args

Split = Literal["discovery", "confirmation", "reference"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Prompt:
    """One row: a text to run, the answer it should get, and the twin text that breaks it.

    `answer` and `distractor` are written without the space that precedes them in the text; `glue` is that space, or
    what else stands between text and answer ("" where the answer follows at once, as in `23+54=`).
    `cluster` names what a person wrote and many prompts share (a template); it is empty where prompts
    are independent draws. `labels` say what else is known about the row, for strips and tables.
    """

    clean: str
    answer: str
    corrupted: str = ""
    distractor: str = ""
    cluster: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    glue: str = " "

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits for what the model sees of this row: its name in evidence files.

        What is known about it besides (cluster, labels) is left out: it may be learned later. A field that comes to
        this class later counts only where it differs from its default, so that no row gets another name.
        """
        return _digest([self.clean, self.corrupted, self.answer, self.distractor, self.glue])[:12]

    @cached_property
    def sort_key(self) -> str:
        """Twelve digits by which rows are sorted before they are resampled: no interval depends on how they came.

        Of the fields that a row had when the first intervals were computed: these stay to the bit, whatever is added.
        """
        named = {
            "answer": self.answer,
            "clean": self.clean,
            "cluster": self.cluster,
            "corrupted": self.corrupted,
            "distractor": self.distractor,
            "labels": self.labels,
        }
        return _digest(named if self.glue == " " else named | {"glue": self.glue})[:12]

    def label(self, name: str) -> str:
        """The value of one label; `KeyError` names the labels there are."""
        for key, value in self.labels:
            if key == name:
                return value
        raise KeyError(f"no label {name!r}: this prompt has {', '.join(key for key, _ in self.labels) or 'none'}")


@dataclass(frozen=True)
class PromptSet:
    """Distinct prompts of one task and one split. Raises ValueError on repeats and on unknown splits.

    `unit` is what one row is called in the singular, where results are counted: "prompt", "pair", "sequence".
    """

    name: str
    split: Split
    rows: tuple[Prompt, ...]
    settings: tuple[tuple[str, str | int | float | bool | None], ...] = field(default=())
    unit: str = "prompt"

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
        """Digests of the clean texts, by which overlap with another set is found, whatever the corruption."""
        return frozenset(_digest(row.clean)[:16] for row in self.rows)

    def take(self, n: int) -> PromptSet:
        """The first n prompts, as a set of their own."""
        if not 1 <= n <= len(self):
            raise ValueError(f"{self.name} has {len(self)} prompts, {n} asked for")
        return replace(self, rows=self.rows[:n], settings=(*self.settings, ("take", n)))

    def __repr__(self) -> str:
        settings = "".join(f", {key}={value!r}" for key, value in self.settings)
        return f"{self.name}({self.split}, n={len(self)}{settings})"


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
