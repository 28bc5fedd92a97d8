"""Reading the small JSON files beside a model's weights, each once until it changes."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any


def parsed(file: Path) -> Any:
    """What a JSON file says, read once until it changes; None where it is missing or damaged."""
    try:
        state = file.stat()
    except OSError:
        return None
    return _parsed(file, state.st_mtime_ns, state.st_size)


def json_of(file: Path) -> dict[str, Any]:
    """The object in a JSON file; {} where it is missing, damaged, or no object."""
    said = parsed(file)
    return said if isinstance(said, dict) else {}


@functools.lru_cache(maxsize=256)
def _parsed(file: Path, modified: int, size: int) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
