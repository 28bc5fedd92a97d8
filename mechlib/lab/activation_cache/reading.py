"""Reading cached activations: arrays that are mapped and never loaded, and the header that says what they are.

A cache is a folder: `header.json`, one array of activations for each hook (`blocks.3.hook_resid_post.npy`, float16),
`tokens.npy`, the id of the token that each row was read at, and `places.npy`, its text and its position there. Row n
of one is row n of all. Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mechlib.checkpoints.checkpoint import Checkpoint
from mechlib.checkpoints.files import config_hashes, weight_hash

FORMAT = 1
HEADER = "header.json"
TOKENS, PLACES = "tokens.npy", "places.npy"
PARTIAL = ".partial"  # behind a folder's name, while it is written
_PIECE = 2**18  # bytes hashed at once


class NotThisCache(ValueError):
    """A folder that is no cache, is damaged, or holds other activations than were asked for."""


@dataclass(frozen=True, eq=False)
class ActivationCache:
    """The activations of one hook, mapped: reading a part reads that part from the disk.

    folder  where they lie
    hook    the hook's name
    header  what header.json says: `model` (name, weights, config, tokenizer, bos, processing, dtype), `text` (where
            the texts come from, their seed), `positions`, `rows`, `dtype`, `hooks` (of each its file, width, shape,
            sha256), sha256 of tokens and places, `versions` of libraries
    rows    the activations, read-only: float16, [rows width]; heads stand side by side
    tokens  the id of the token at each row: int32, [rows]
    places  the text and the position in it, BOS counted, of each row, in the order of the texts: int32, [rows 2]
    """

    folder: Path
    hook: str
    header: Mapping[str, Any]
    rows: np.memmap
    tokens: np.memmap
    places: np.memmap

    @property
    def width(self) -> int:
        """Entries of a row."""
        return int(self.rows.shape[1])

    def verify(self) -> None:
        """Reads all of it once. NotThisCache, naming the file, where it is not what was written."""
        for file, wanted in _sums(self.header).items():
            if sha256(self.folder / file) != wanted:
                raise NotThisCache(f"{self.folder / file} was changed since it was written: cache it again")


def open_cache(folder: Path | str, hook: str = "", model: Checkpoint | None = None) -> ActivationCache:
    """The activations of a hook in a cache's folder, mapped.

    hook   may be left out where the cache has one
    model  the checkpoint that they must be of (`checkpoint_of` a loaded model); None for any

    Raises NotThisCache: for a folder that is no cache or only part of one, for a hook that it lacks (with those that
    it has), for arrays that are not as the header says, and for activations of another model.
    """
    folder = Path(folder)
    header = read_header(folder)
    hook = hook or _only_hook(folder, header)
    if hook not in header["hooks"]:
        raise NotThisCache(f"{folder} has no {hook!r}, but {', '.join(header['hooks'])}: name one of these")
    if model is not None and (other := difference(header["model"], identity(model))):
        own = header["model"]["name"]
        raise NotThisCache(f"{folder} was cached from {own}, not from {model.name} ({other}): cache {model.name}")
    rows, entry = int(header["rows"]), header["hooks"][hook]
    return ActivationCache(
        folder,
        hook,
        header,
        _mapped(folder / entry["file"], np.float16, (rows, int(entry["width"]))),
        _mapped(folder / TOKENS, np.int32, (rows,)),
        _mapped(folder / PLACES, np.int32, (rows, 2)),
    )


def identity(model: Checkpoint) -> dict[str, str]:
    """What tells models apart whose activations differ; its name only says which one was meant."""
    config, tokenizer = config_hashes(model)
    return {
        "name": model.name,
        "weights": weight_hash(model),
        "config": config,
        "tokenizer": tokenizer,
        "bos": model.bos,
        "processing": model.processing,
        "dtype": model.dtype,
    }


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The first entry, but for the name, in which two descriptions differ, as words; "" where none does."""
    for key in [key for key in {**one, **other} if key != "name"]:
        seen, wanted = one.get(key), other.get(key)
        if isinstance(seen, Mapping) and isinstance(wanted, Mapping):
            if inner := difference(seen, wanted):
                return f"{key}: {inner}"
        elif seen != wanted:
            return f"its {key} is {_short(seen)}, not {_short(wanted)}"
    return ""


def read_header(folder: Path) -> dict[str, Any]:
    """What header.json says. NotThisCache where there is none, or one that this version cannot read."""
    file = folder / HEADER
    if not file.is_file():
        begun = folder.with_name(folder.name + PARTIAL)
        unfinished = begun.is_dir() and not folder.exists()
        why = "is not whole yet: run the command that began it again" if unfinished else f"has no {HEADER}: it is none"
        raise NotThisCache(f"{begun if unfinished else folder} {why}")
    try:
        header = json.loads(file.read_text(encoding="utf-8"))
        known = header["format"] == FORMAT and int(header["rows"]) > 0 and bool(header["hooks"])
    except (ValueError, KeyError, TypeError):
        raise NotThisCache(f"{file} is damaged: cache the activations again") from None
    if not known:
        raise NotThisCache(f"{file} is of format {header['format']!r}, wanted {FORMAT}: cache the activations again")
    return dict(header)


def sha256(file: Path) -> str:
    """The sha256 of a file, read in pieces."""
    made = hashlib.sha256()
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            made.update(piece)
    return made.hexdigest()


def _sums(header: Mapping[str, Any]) -> dict[str, str]:
    own = {entry["file"]: entry["sha256"] for entry in header["hooks"].values()}
    return own | {TOKENS: header["tokens_sha256"], PLACES: header["places_sha256"]}


def _only_hook(folder: Path, header: Mapping[str, Any]) -> str:
    names = list(header["hooks"])
    if len(names) > 1:
        raise NotThisCache(f"{folder} has {len(names)} hooks, {', '.join(names)}: name one of these")
    return str(names[0])


def _mapped(file: Path, dtype: type, shape: tuple[int, ...]) -> np.memmap:
    """An array that is mapped; NotThisCache where it is not whole, or not the header's."""
    try:
        array = np.load(file, mmap_mode="r")
    except FileNotFoundError:
        raise NotThisCache(f"{file} is missing: cache the activations again") from None
    except (ValueError, OSError, EOFError) as error:
        raise NotThisCache(f"{file} is damaged ({error}): cache the activations again") from None
    if array.shape != shape or array.dtype != dtype or not isinstance(array, np.memmap):
        raise NotThisCache(
            f"{file} holds {array.dtype} {list(array.shape)}, its header says {np.dtype(dtype)} {list(shape)}: it is "
            "of another cache, cache the activations again"
        )
    if file.stat().st_size != array.offset + array.nbytes:
        raise NotThisCache(
            f"{file} has {file.stat().st_size} bytes, its header says {array.offset + array.nbytes}: it was written to "
            "since; cache the activations again"
        )
    return array


def _short(value: object) -> str:
    said = str(value)
    return f"{said[:12]}..." if len(said) > 40 else repr(value)
