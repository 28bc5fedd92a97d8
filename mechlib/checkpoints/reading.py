"""Reading the small JSON files beside a model's weights, each once until it changes."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any, TypeAlias


def parsed(file: Path) -> Any:
    """What a JSON file says, read once until it changes; None where it is missing or damaged."""
    try:
        state = file.stat()
    except OSError:
        return None
    return _parsed(file, file_state(state))


FileState: TypeAlias = tuple[int, ...]


def file_state(status: os.stat_result) -> FileState:
    """What is another where a file's bytes may be others.

    Times of changing and size do not do: a copy that keeps the time of what it was copied from, as `cp -p` makes it,
    of the same shape as the file that it takes the place of, has both. The system's own time of change it has not.
    """
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size


def json_of(file: Path) -> dict[str, Any]:
    """The object in a JSON file; {} where it is missing, damaged, or no object."""
    said = parsed(file)
    return said if isinstance(said, dict) else {}


@functools.lru_cache(maxsize=256)
def _parsed(file: Path, state: FileState) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
