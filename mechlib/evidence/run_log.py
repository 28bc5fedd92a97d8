"""The log of what was measured when, runs.jsonl beside the folder of evidence: dates, devices and commits are facts
about runs, not about models, so it is not committed.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from mechlib.evidence import sealed
from mechlib.evidence.question import Question
from mechlib.evidence.store import Store

LOG = "runs.jsonl"


def log_of(place: Store) -> Path:
    """The file that runs on this store are logged in."""
    return place.folder.parent / LOG


def log(place: Store, question: Question, seconds: float, path: Path) -> None:
    """Adds one line: what was measured, how long it took, where and in which mode."""
    entry = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(place.root),
        "device": place.device or os.environ.get("MECHLIB_DEVICE") or "cpu",
        "mode": place.mode,
        "question": question.text,
        "file": place.shown(path),
        "seconds": round(seconds, 2),
    }
    with suppress(OSError):  # what was measured is filed: the log is a convenience
        sealed.append(log_of(place), entry)


def last_time(place: Store, question: Question) -> str:
    """How long this took before, as far as this machine's log of runs knows."""
    try:
        lines = log_of(place).read_text(encoding="utf-8").split("\n")
    except OSError:
        return ""
    marker = json.dumps(question.text, ensure_ascii=False)
    last = next((line for line in reversed(lines) if marker in line), None)
    try:
        return f"; it took {json.loads(last)['seconds']:.1f} s last time" if last else ""
    except (ValueError, KeyError):
        return ""


@functools.cache
def _commit(root: Path) -> str:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, timeout=10, check=False
        )
    except OSError:
        return ""
    return found.stdout.strip()
