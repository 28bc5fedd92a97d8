"""What was probably meant by a -k or a path that selects nothing: names of topics, claims and models near to it.

Claim files are searched as text: where nothing was selected, nothing need be imported.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mechlib.checkpoints import HUB, MINIS, PACKAGED, PLANTED

CLAIM = re.compile(r"(\w+)\.(test_\w+)(\[.*\])?")
_FUNCTION = re.compile(r"^def (test_\w+)\(", re.MULTILINE)
_WORD = re.compile(r"[\w.\[\]-]+")
_NEAR = 0.7  # of 1, as difflib measures likeness


def files_of(topic: str, root: Path) -> list[Path]:
    """The files of claims of a topic, which lie in its folder, or are one file by itself."""
    alone = root / "claims" / f"test_{topic}.py"
    return [*sorted((root / "claims" / topic).glob("test_*.py")), *([alone] if alone.is_file() else [])]


def functions(file: Path) -> list[str]:
    """The names of the claims in a file, read without importing it."""
    return _FUNCTION.findall(file.read_text("utf-8"))


def topics(root: Path) -> list[str]:
    """The topics of the record at `root`, in alphabetical order."""
    found = [path.parent if path.parent.name != "claims" else path for path in (root / "claims").glob("**/test_*.py")]
    return sorted({path.name if path.is_dir() else path.stem.removeprefix("test_") for path in found})


def for_keyword(asked: str, root: Path) -> str:
    """One line on a -k that selects nothing: the claim that it gives the id of, the near names, or the topics."""
    words = [word for word in _WORD.findall(asked) if word not in ("and", "or", "not")]
    seen = f"-k {asked!r} selects nothing"
    claim = next((word for word in words if (found := CLAIM.fullmatch(word)) and files_of(found[1], root)), None)
    if claim is not None:
        return f"{seen}: a claim is asked for by its id without -k, `pytest '{claim}'`"
    known = list(_names(root))
    strange = [word for word in words if not any(word.lower() in name.lower() for name in known)]
    if not strange:
        return f"{seen}: its words are known, and no claim fits all of it; `pytest --collect-only -q` lists the claims"
    near = {word: near for word in strange if (near := nearest(word, known))}
    if not near:
        return f"{seen}: no claim has {', '.join(strange)}; topics are {', '.join(topics(root))}"
    meant = _WORD.sub(lambda found: near.get(found[0], [found[0]])[0], asked)
    others = [name for names in near.values() for name in names[1:]]
    return f"{seen}: did you mean -k {meant!r}?" + (f" There are also {', '.join(others)}" if others else "")


def for_path(argument: str, root: Path, here: Path) -> str:
    """One line on a path below claims/, or a bare name, that is not there; "" where nothing of the record is near."""
    name, _, function = argument.partition("::")
    path = Path(os.path.normpath(here / name))
    inside = path.is_relative_to(root / "claims")
    if function and inside:
        return _moved(argument, function, path, root)
    files = [file for topic in topics(root) for file in files_of(topic, root)]
    folders = [file.parent if file.parent.name != "claims" else file for file in files]
    places = {place.stem.removeprefix("test_"): Path(os.path.relpath(place, here)).as_posix() for place in folders}
    if not inside:
        near = nearest(name, places)
        return f"there is no {argument}: did you mean {places[near[0]]}, or -k {near[0]}?" if near else ""
    known = {file.stem: Path(os.path.relpath(file, here)).as_posix() for file in files} | places
    near = nearest(path.stem, known)
    if near:
        return f"there is no {argument}: did you mean {known[near[0]]}?"
    return f"there is no {argument}: topics are {', '.join(sorted(places.values()))}"


def _moved(argument: str, function: str, path: Path, root: Path) -> str:
    bare = function.partition("[")[0]
    homes = [topic for topic in topics(root) for file in files_of(topic, root) if bare in functions(file)]
    if homes:
        return f"there is no {argument}: {bare} is a claim of {homes[0]}, `pytest '{homes[0]}.{function}'`"
    return f"there is no {argument}: `pytest --collect-only -q` lists the claims"


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """Up to three names that are like `word`, the nearest first."""
    return difflib.get_close_matches(word.lower(), list(dict.fromkeys(known)), n=3, cutoff=_NEAR)


def _names(root: Path) -> Iterator[str]:
    """What -k can find: topics, models, and the words of the claims' names before the whole names."""
    found = [name for topic in topics(root) for file in files_of(topic, root) for name in functions(file)]
    yield from topics(root)
    yield from (*MINIS, *PACKAGED, *HUB, *PLANTED)
    yield from sorted({word for name in found for word in name.split("_") if len(word) > 3})
    yield from found
