"""Writing a cache: arrays that grow batch by batch under a temporary name, and become a cache when they are whole.

Bytes go to plain files, not into a map, so that a full disk is an error and no crash. After each batch `progress.json`
says how many rows count: what a killed process wrote behind them is cut off by the next one. One process writes at a
time; a lock that ends with its process says which.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from mechlib.lab.activation_cache.reading import (
    FORMAT,
    HEADER,
    PARTIAL,
    PLACES,
    TOKENS,
    NotThisCache,
    difference,
    read_header,
    sha256,
)

PROGRESS, LOCK = "progress.json", "lock"
_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk's quota is used up",
    errno.EFBIG: "no larger file may be written here",
}


class CannotWrite(RuntimeError):
    """The disk is full, or does not take what is written for another reason."""


class CacheInUse(RuntimeError):
    """Another process is writing this cache."""


@dataclass(frozen=True)
class Array:
    """An array that is written row by row: [rows *shape]."""

    file: str
    dtype: str
    shape: tuple[int, ...]

    def head(self, rows: int) -> bytes:
        """The beginning of the .npy file, of an array that has `rows` rows when it is whole."""
        made = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            made, {"descr": self.dtype, "fortran_order": False, "shape": (rows, *self.shape)}
        )
        return made.getvalue()

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return int(np.dtype(self.dtype).itemsize * np.prod(self.shape, dtype=np.int64))


@dataclass
class Progress:
    """How far a cache was written: rows that count, and the text that comes next."""

    rows: int = 0
    text: int = 0


class Writer:
    """A cache that is being written; made by `writing`."""

    def __init__(self, partial: Path, arrays: tuple[Array, ...], request: Mapping[str, Any]) -> None:
        """Opens what lies in `partial` to go on behind its last whole batch, or begins it."""
        self.partial, self.arrays, self.request = partial, arrays, dict(request)
        self.total = int(request["rows"])
        self.progress = self._begun()
        self._require_room()
        self.files = {array.file: (partial / array.file).open("r+b", buffering=0) for array in arrays}
        for array in arrays:  # what a killed process wrote behind its last whole batch goes
            size = len(array.head(self.total)) + self.progress.rows * array.row_bytes
            self.files[array.file].truncate(size)
            self.files[array.file].seek(size)

    def append(self, made: Mapping[str, np.ndarray], text: int) -> None:
        """One batch: by file, its rows; `text` comes next. CannotWrite where there is no room for it."""
        rows = len(next(iter(made.values())))
        with self._full_said():
            for array in self.arrays:
                _write(self.files[array.file], np.ascontiguousarray(made[array.file], array.dtype))
            self.progress = Progress(self.progress.rows + rows, text)
            self._file_progress()

    def finish(self, header: Mapping[str, Any], target: Path) -> None:
        """The header beside whole arrays, and the final name."""
        for file in self.files.values():
            os.fsync(file.fileno())
        sums = {array.file: sha256(self.partial / array.file) for array in self.arrays}
        hooks = {name: {**entry, "sha256": sums[entry["file"]]} for name, entry in self.request["hooks"].items()}
        said = {**self.request, **header, "hooks": hooks, "tokens_sha256": sums[TOKENS], "places_sha256": sums[PLACES]}
        with self._full_said():
            _replace(self.partial / HEADER, said)
        self.close()
        _rename(self.partial, target)

    def close(self) -> None:
        """Lets go of the files."""
        for file in self.files.values():
            file.close()

    def _begun(self) -> Progress:
        """How far an earlier process came; NotThisCache where it was asked for something else."""
        if not (self.partial / PROGRESS).is_file():
            with self._full_said():
                for array in self.arrays:
                    (self.partial / array.file).write_bytes(array.head(self.total))
                self.progress = Progress()
                self._file_progress()
            return self.progress
        try:
            said = json.loads((self.partial / PROGRESS).read_text(encoding="utf-8"))
            request, progress = said["request"], Progress(int(said["rows"]), int(said["text"]))
        except (ValueError, KeyError, TypeError):
            raise NotThisCache(f"{self.partial / PROGRESS} is damaged: remove {self.partial}") from None
        if other := difference(request, self.request):
            raise NotThisCache(
                f"{self.partial} was begun by another command, {other}: give that one again, name another folder, or "
                "remove this one"
            )
        for array in self.arrays:
            file = self.partial / array.file
            wanted = len(array.head(self.total)) + progress.rows * array.row_bytes
            if not file.is_file() or file.stat().st_size < wanted:
                raise NotThisCache(f"{file} is shorter than {wanted} bytes, which were written: remove {self.partial}")
        return progress

    def _file_progress(self) -> None:
        _replace(self.partial / PROGRESS, {"request": self.request, **vars(self.progress)})

    def _require_room(self) -> None:
        """CannotWrite before anything is computed, where the disk has less room than all rows will take."""
        needed = (self.total - self.progress.rows) * sum(array.row_bytes for array in self.arrays)
        free = shutil.disk_usage(self.partial).free
        if needed > free:
            raise CannotWrite(
                f"{self.partial} needs {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free: make room, or cache "
                "fewer tokens"
            )

    @contextlib.contextmanager
    def _full_said(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = _FULL.get(error.errno or 0, f"it cannot be written ({error.strerror})")
            rows = self.progress.rows if hasattr(self, "progress") else 0
            raise CannotWrite(
                f"{self.partial}: {why} after {rows:,} of {self.total:,} rows, which are kept: make room, and give the "
                "same command again"
            ) from None


@contextlib.contextmanager
def writing(target: Path, arrays: tuple[Array, ...], request: Mapping[str, Any]) -> Iterator[Writer | None]:
    """A writer of the cache that lies in `target` when it is whole; None where it lies there already.

    request  what is asked for: everything in the header that is known before a row is computed

    Raises NotThisCache where `target` is something else, or was begun for something else; CacheInUse; CannotWrite.
    """
    if _is_there(target, request):
        yield None
        return
    partial = target.with_name(target.name + PARTIAL)
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotThisCache(f"{target} cannot be made ({error.strerror}): name another folder") from None
    with _locked(partial):
        if _is_there(target, request):  # finished by the process that had the lock
            shutil.rmtree(partial, ignore_errors=True)
            yield None
            return
        if (partial / HEADER).is_file():  # whole, and killed before it got its name
            _rename(partial, target)
            _is_there(target, request)
            yield None
            return
        writer = Writer(partial, arrays, {"format": FORMAT, **request})
        try:
            yield writer
        finally:
            writer.close()


def _is_there(target: Path, request: Mapping[str, Any]) -> bool:
    """Whether this very cache is there; NotThisCache where something else is."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    if not target.is_dir():
        raise NotThisCache(f"{target} is a file: name a folder")
    header = read_header(target)
    known = {**header, "hooks": {name: _plain(entry) for name, entry in header["hooks"].items()}}
    if other := difference({key: known.get(key) for key in request}, request):
        raise NotThisCache(f"{target} holds other activations, {other}: name another folder")
    return True


def _plain(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "sha256"}


@contextlib.contextmanager
def _locked(partial: Path) -> Iterator[None]:
    held = filelock.FileLock(partial / LOCK)
    try:
        held.acquire(blocking=False)
    except filelock.Timeout:
        raise CacheInUse(f"{partial} is being written by another process: wait, or name another folder") from None
    try:
        yield
    finally:
        held.release()


def _rename(partial: Path, target: Path) -> None:
    for name in (PROGRESS, LOCK):
        (partial / name).unlink(missing_ok=True)
    if target.is_dir():
        target.rmdir()  # an empty one
    partial.rename(target)


def _replace(file: Path, said: Mapping[str, Any]) -> None:
    """JSON under a temporary name, then under its own: never half of it."""
    temporary = file.with_name(f".{file.name}")
    temporary.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(file)


def _write(file: Any, array: np.ndarray) -> None:
    """All bytes of an array: a plain file may take fewer than it is given, and says so."""
    left = array.reshape(-1).view(np.uint8).data
    while left:
        left = left[file.write(left) :]
