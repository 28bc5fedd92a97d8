"""The stamp: with which instruments a function would be measured today.

Each public name that a measurement uses, by its face (mechlib.faces), stands with one hash of every module behind it:
the one that it lies in and all that those import, wherever in mechlib they are. Import statements and docstrings do not
count, nor do the names of modules, so that a stamp outlives moving and describing them. Read off source text and
package metadata, so that judging stays free of torch.

A stamp that differs today never changes a verdict; it is a word of caution. It is filed once and named by its hash.
"""

from __future__ import annotations

import functools
import json
from importlib import metadata
from pathlib import Path
from types import FunctionType
from typing import Any

from mechlib.checkpoints.reading import FileState, file_state
from mechlib.evidence import sealed
from mechlib.evidence.code_hash import Source, reached
from mechlib.evidence.modules import PACKAGE, closure, digest, package_folder
from mechlib.faces import FACES, home, homes

Stamp = dict[str, str]
STAMPS = "stamps"  # the folder beside the topics
LIBRARIES = ("torch", "transformer-lens", "transformers")
_NO_INSTRUMENTS = (f"{PACKAGE}.evidence",)  # the decorator: how evidence is filed is no way to measure


def instruments(function: FunctionType, source: Source, package: Path | None = None) -> Stamp:
    """How a function would be measured today: a hash for each name of mechlib that it uses, and versions of libraries.

    Libraries that are not installed are left out. `package` is the folder that holds mechlib (default: this one's).
    """
    inside, origins = reached(function, source)
    used = sorted(
        name
        for name in {*inside, *origins}
        if f"{name}.".startswith(f"{PACKAGE}.") and not name.startswith(_NO_INSTRUMENTS)
    )
    stamp = {name.removeprefix(f"{PACKAGE}."): behind(name, package) for name in used}
    return stamp | {library: version for library in LIBRARIES if (version := _version(library))}


def behind(name: str, package: Path | None = None) -> str:
    """One hash of all modules behind a name, "mechlib.lab.load", whatever these are called; of a face, behind all its
    names."""
    folder = package or package_folder(PACKAGE)
    faces = [face for face in FACES if f"{face}.".startswith(f"{name}.")] if name in FACES else []
    roots = [module for face in faces for module in homes(face).values()] or [home(name)]
    modules = closure(roots, lambda top: folder if top == PACKAGE else None)
    return digest(sorted(set(modules.values())))[:16]


def older(filed: Stamp, today: Stamp) -> tuple[str, ...]:
    """The instruments in which two stamps differ. A library that is not installed here decides nothing."""
    names = [name for name in sorted({*filed, *today}) if name in today or name not in LIBRARIES]
    return tuple(name for name in names if filed.get(name) != today.get(name))


def name_of(stamp: Stamp) -> str:
    """Sixteen digits that a stamp is filed under."""
    return digest(stamp)[:16]


def file_stamp(folder: Path, stamp: Stamp) -> str:
    """Files a stamp below the evidence in `folder`, where it is not there already; what it is named."""
    name = name_of(stamp)
    path = _path(folder, name)
    if not path.is_file():
        sealed.write(path, (json.dumps(stamp, indent=1, sort_keys=True) + "\n").encode())
    return name


def filed_stamp(folder: Path, name: str) -> Stamp | None:
    """The stamp of this name; None where it is missing or damaged, so that nobody knows how something was measured."""
    path = _path(folder, name)
    try:
        stamp = _read(path, file_state(path.stat()))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) and name_of(stamp) == name else None


@functools.lru_cache(maxsize=4096)
def _read(path: Path, state: FileState) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _path(folder: Path, name: str) -> Path:
    return folder / STAMPS / f"{name}.json"


@functools.cache
def _version(library: str) -> str:
    """The public version of an installed library ("2.13.0" of "2.13.0+cpu"), or ""."""
    try:
        return metadata.version(library).partition("+")[0]
    except metadata.PackageNotFoundError:
        return ""
