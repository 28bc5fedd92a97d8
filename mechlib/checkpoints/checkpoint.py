"""Checkpoints: a model by name, and what kind of model it is.

A model is one of five kinds: a `mini` ships in fixtures/, a `hub` model comes from the Hugging Face Hub at a
pinned revision through the normal cache, a `packaged` one from the package index by exact versions and hashes, a
`planted` one is written down in code and made in memory, a `local` one is any Hugging Face directory named by its path.
Each has two twins, written `name@untrained` and `name@permuted`, which are made in memory when they are loaded. So is
`name@dithered`, a packaged model with noise of its file's rounding: no twin, for it is to do what the model does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeVar

T = TypeVar("T")
Kind = Literal["mini", "hub", "packaged", "planted", "local"]
Twin = Literal["untrained", "permuted"]
Made = Literal["untrained", "permuted", "dithered"]
Dtype = Literal["float32", "bfloat16"]

DITHERED: Final = "dithered"
TWINS: tuple[Twin, ...] = ("untrained", "permuted")
_MADE: tuple[Made, ...] = (*TWINS, DITHERED)
MINIS = ("mini-0", "mini-1", "mini-2", "mini-3", "mini-4", "mini-pilot", "mini-half")


class UnknownModel(LookupError):
    """No model has this name."""


class IncompleteModel(RuntimeError):
    """A model that should be on this machine has files missing or damaged."""


class NotTheSameModel(ValueError):
    """A model that would not be run as Hugging Face's own forward pass runs it: what is measured would be another."""


class WeightsMissing(RuntimeError):
    """A model of the Hub or of the package index is not on this machine."""


class NotPublished(KeyError):
    """A table of published values has no entry for a model: a claim about them is not about this model."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would print its message in quotes


@dataclass(frozen=True)
class Checkpoint:
    """One model, by name.

    name        as claims write it: "mini-0", "gpt2-small@permuted", "/home/me/model"
    kind        where it comes from
    path        the Hugging Face directory (for a model that is fetched its place in a cache, which need not exist; a
                planted model has no files, and its name here)
    parent      the name without the twin; the same as `name` where this is no twin
    twin        which twin this is, "dithered", or None for the model itself
    repo, revision   on the Hub, else ""
    bos         the token put before every prompt, as text; "" for none
    bos_source  where that was found, in words: "tokenizer_config.json", "--bos", ...
    known       a text and the ids that its tokenizer must give for it, without BOS; ids () where none are on record
    dtype       what the model computes in, whatever it is stored as
    processing  "raw": the weights as stored. A measurement that folds them says so in its own source.
    """

    name: str
    kind: Kind
    path: Path
    parent: str
    twin: Made | None = None
    repo: str = ""
    revision: str = ""
    bos: str = ""
    bos_source: str = ""
    known: tuple[str, tuple[int, ...]] = ("", ())
    dtype: str = "float32"
    processing: str = "raw"


def parent(name: str) -> str:
    """The model that this is made of: `parent("mini-0@permuted")` is "mini-0"; other names are their own parent."""
    return name.rpartition("@")[0] if twin_of(name) else name


def twins(name: str) -> tuple[str, str]:
    """The names of a model's two twins. What is made of a model has none: ValueError."""
    if twin_of(name):
        raise ValueError(f"{name} is a twin itself: ask for the twins of {parent(name)}")
    return f"{name}@untrained", f"{name}@permuted"


def twin_of(name: str) -> Made | None:
    """What a name means that is made of a model: a twin, or "dithered"; None for a model itself."""
    ending = name.rpartition("@")[2]
    return next((made for made in _MADE if ending == made and "@" in name), None)


def published(table: Mapping[str, T], model: str) -> T:
    """The entry of a model in a table of published values; a twin gets its parent's. Else NotPublished."""
    try:
        return table[parent(model)]
    except KeyError:
        raise NotPublished(
            f"nothing is published for {parent(model)}, only for {', '.join(table)}: "
            "add an entry with its source, or take the model out of the claim's parameters"
        ) from None


# --- what is measured with a model ------------------------------------------------------------------------------------

_filed: ContextVar[bool] = ContextVar("filed", default=False)


@contextmanager
def filing() -> Iterator[None]:
    """Inside, what is measured is filed as evidence: models compute in float32."""
    token = _filed.set(True)
    try:
        yield
    finally:
        _filed.reset(token)


def is_filed() -> bool:
    """Whether what is measured now is filed as evidence."""
    return _filed.get()
