"""The stamp: with which instruments a function would be measured today.

Each public name that a measurement uses, by its face (mechlib.faces), stands with one hash of every module behind it:
the one that it lies in and all that those import, wherever in mechlib they are. Import statements and docstrings do not
count, nor do the names of modules, so that a stamp outlives moving and describing them. Read off source text and
package metadata, so that judging stays free of torch.

A stamp that differs today never changes a verdict; it is a word of caution. It is filed once and named by its hash.

Instruments change more often than what they measure. A file that comes out again under today's instruments, though it
was filed under others, is a witness that the change moved nothing; changes that enough files of
the same models bore out need no caution. Witnesses are noted in reproduced.jsonl, beside the evidence.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from types import FunctionType
from typing import Any

from mechlib.checkpoints import Checkpoint
from mechlib.checkpoints.reading import FileState, file_state
from mechlib.evidence import sealed
from mechlib.evidence.code_hash import Source, reached
from mechlib.evidence.modules import PACKAGE, closure, digest, package_folder, packages_behind
from mechlib.faces import FACES, home, homes

Stamp = dict[str, str]
STAMPS = "stamps"  # the folder beside the topics
WITNESSES = "reproduced.jsonl"  # beside the folder of evidence
# Where all of so many files come out again, at most 5 % of files would not, at 95 % (the rule of three: 3/60); and so
# many of each instrument, for a change may break one and leave the others.
ENOUGH, OF_EACH = 60, 3
LIBRARIES = ("torch", "transformer-lens", "transformers")
WHERE_IMPORTED = {"scikit-learn": "sklearn"}  # libraries that stand in a stamp where an instrument imports the package
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
    imported = packages_behind([root for name in used for root in _roots(name)], _folder_of(package))
    libraries = [*LIBRARIES, *(library for library, name in WHERE_IMPORTED.items() if name in imported)]
    return stamp | {library: version for library in libraries if (version := _version(library))}


def behind(name: str, package: Path | None = None) -> str:
    """One hash of all modules behind a name, "mechlib.lab.load", whatever these are called; of a face, behind all its
    names."""
    modules = closure(_roots(name), _folder_of(package))
    return digest(sorted(set(modules.values())))[:16]


def _roots(name: str) -> list[str]:
    """The modules that a name stands in: of a face those of all its names."""
    faces = [face for face in FACES if f"{face}.".startswith(f"{name}.")] if name in FACES else []
    return [module for face in faces for module in homes(face).values()] or [home(name)]


def _folder_of(package: Path | None) -> Callable[[str], Path | None]:
    folder = package or package_folder(PACKAGE)
    return lambda top: folder if top == PACKAGE else None


def older(filed: Stamp, today: Stamp) -> tuple[str, ...]:
    """The instruments in which two stamps differ. A library that is not installed here decides nothing, nor does one of
    WHERE_IMPORTED that the other stamp was filed without."""
    names = [name for name in sorted({*filed, *today}) if name in today or name not in (*LIBRARIES, *WHERE_IMPORTED)]
    names = [name for name in names if name in filed or name not in WHERE_IMPORTED]
    return tuple(name for name in names if filed.get(name) != today.get(name))


def unsettled(folder: Path, pool: str, filed: str, today: Stamp) -> tuple[str, ...]:
    """The instruments in which the stamp of this name differs from today's, but for those whose change moved nothing.

    At least ENOUGH files of the same pool of models that share one of these changes came out again when they were
    measured anew, and OF_EACH of them share this one.
    """
    if filed == name_of(today):
        return ()
    before = filed_stamp(folder, filed)
    if before is None:
        return ("a stamp that is missing",)
    known = _witnesses(folder.parent / WITNESSES)
    bore_out = {name: known.get((pool, name, *_change(name, before, today)), set()) for name in older(before, today)}
    enough = len(set().union(*bore_out.values())) >= ENOUGH
    return tuple(name for name, files in bore_out.items() if not enough or len(files) < OF_EACH)


def witness(folder: Path, pool: str, file: str, filed: str, today: Stamp) -> None:
    """Notes that a file, filed under the stamp of this name, came out again under today's; not where all is settled."""
    names, before = unsettled(folder, pool, filed, today), filed_stamp(folder, filed)
    if names and before is not None:
        changed = {name: _change(name, before, today) for name in names}
        sealed.append(folder.parent / WITNESSES, {"models": pool, "file": file, "changed": changed})


def pool_of(models: Iterable[Checkpoint]) -> str:
    """Among which files a change is borne out: all models that ship are one pool, one that is fetched is its own, for
    an instrument may treat its architecture otherwise."""
    fetched = sorted({model.parent for model in models if model.kind in ("hub", "packaged")})
    return " ".join(fetched) or "shipped"


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


def _change(name: str, before: Stamp, today: Stamp) -> tuple[str, str]:
    return before.get(name, ""), today.get(name, "")


def _witnesses(path: Path) -> Mapping[tuple[str, str, str, str], set[str]]:
    """For each change of an instrument, (models, name, was, is), the files that bore it out."""
    try:
        return _read_witnesses(path, file_state(path.stat()))
    except OSError:
        return {}


@functools.lru_cache(maxsize=8)
def _read_witnesses(path: Path, state: FileState) -> Mapping[tuple[str, str, str, str], set[str]]:
    found: dict[tuple[str, str, str, str], set[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            said = json.loads(line)
            for name, (was, now) in said["changed"].items():
                found.setdefault((said["models"], name, was, now), set()).add(said["file"])
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # a line that was torn bears nothing out
    return found


def _path(folder: Path, name: str) -> Path:
    return folder / STAMPS / f"{name}.json"


@functools.cache
def _version(library: str) -> str:
    """The public version of an installed library ("2.13.0" of "2.13.0+cpu"), or ""."""
    try:
        return metadata.version(library).partition("+")[0]
    except metadata.PackageNotFoundError:
        return ""
