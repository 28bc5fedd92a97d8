"""Sealed files: a first line with the hash of everything else in the file, so that damage anywhere is seen.

    {"schema": 2, ..., "sha256": "..."}
    one JSON line after the other

Written whole or not at all: under a temporary name, flushed, renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SCHEMA = 2
ENDING = ".jsonl"
_BEFORE_HASH = b'"sha256": "'
_AFTER_HASH = b'"}'


class DamagedEvidence(RuntimeError):
    """An evidence file whose contents do not match its own hash. It is never used."""


class OlderEvidence(DamagedEvidence):
    """An evidence file of a schema that this mechlib no longer reads."""


def sealed(first: dict[str, Any], lines: Iterable[str]) -> bytes:
    """The bytes of a file with this first line and its hash; a hash that the line has, as read from a file, goes."""
    first = {name: value for name, value in first.items() if name != "sha256"}
    head = json.dumps(first, ensure_ascii=False, allow_nan=False)[:-1].encode() + b", " + _BEFORE_HASH
    tail = _AFTER_HASH + b"\n" + "".join(lines).encode()
    return head + hashlib.sha256(head + tail).hexdigest().encode() + tail


def opened(data: bytes, name: str) -> tuple[dict[str, Any], str]:
    """The first line and the text below it. Raises DamagedEvidence."""
    if b"\r" in data:  # a checkout on Windows may have changed the line ends; JSON has no others
        data = data.replace(b"\r\n", b"\n")
    start = data.find(_BEFORE_HASH) + len(_BEFORE_HASH)
    digest, rest = data[start : start + 64], data[start + 64 :]
    whole = hashlib.sha256(data[:start])
    whole.update(rest)
    if whole.hexdigest().encode() != digest:
        raise DamagedEvidence(
            f"{name} is damaged: its contents do not match its own hash; restore it with git, "
            "or delete it and run `pytest` to measure again"
        )
    text, _, body = data.decode().partition("\n")
    first = json.loads(text)
    if first["schema"] < SCHEMA:
        raise OlderEvidence(
            f"{name} has schema {first['schema']}, from before the record was re-keyed, and this mechlib reads "
            f"{SCHEMA}: artifacts/refiled.jsonl says what became of it; what is not listed `pytest` measures again"
        )
    if first["schema"] > SCHEMA:
        raise DamagedEvidence(f"{name} has schema {first['schema']}, this mechlib reads {SCHEMA}: update mechlib")
    return first, body


def write(path: Path, data: bytes) -> None:
    """Files bytes under a temporary name, flushes them to the disk, and renames: never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def refuse_unwritable(folder: Path) -> None:
    """Raises OSError unless a file can be made in this folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".{os.getpid()}.tmp"
    probe.touch()
    probe.unlink()


def append(path: Path, entry: dict[str, Any]) -> None:
    """One line, in one write to a file opened for appending, so that two processes never tear each other's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
    try:
        os.write(descriptor, (json.dumps(entry, ensure_ascii=False) + "\n").encode())
    finally:
        os.close(descriptor)
