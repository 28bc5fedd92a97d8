"""Scratch: where evidence goes that is asked for outside pytest, in a notebook, a script or a REPL.

Exploring reads the record and adds nothing to it: what is filed there is read, what is not is measured and kept in a
folder that no claim reads. Only pytest files evidence, for only there a bound stands beside it.
"""

from __future__ import annotations

from pathlib import Path

import platformdirs

from mechlib.evidence.store import Store

_MARKS = ("pyproject.toml", "conftest.py", "claims")  # of a repository that has no evidence yet


def scratch_store(around: Path, folder: Path | None = None) -> Store:
    """A store that reads the record around a file or folder, and files in `folder`.

    Without `folder` that is artifacts/scratch of the repository around it, else the user's cache.
    """
    root = _repository_around(around)
    if folder is None:
        folder = root / "artifacts" / "scratch" if root else platformdirs.user_cache_path("mechlib") / "scratch"
    record = Store(root, mode="frozen", interactive=True) if root else None
    store = Store(root or folder, evidence_dir=folder / "evidence", interactive=True, record=record)
    place = store.shown(folder) if root else folder
    store.notice = f"exploring: what is measured here goes to {place}, and nothing into the record"
    return store


def _repository_around(place: Path) -> Path | None:
    """The nearest folder with filed evidence, else the nearest that looks like a repository; None where none does."""
    start = place.resolve() if place.exists() else Path.cwd()  # a cell of a notebook has no file
    folders = [start, *start.parents]
    filed = (folder for folder in folders if (folder / "artifacts" / "evidence").is_dir())
    marked = (folder for folder in folders if any((folder / mark).exists() for mark in _MARKS))
    return next(filed, next(marked, None))
