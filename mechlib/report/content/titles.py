"""What topics and variants are called for readers. Ids and links keep the names of files and of arguments' values."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from mechlib.checkpoints.reading import FileState, file_state

LONGEST = 40  # characters of a title
INTRODUCTION = "measurements.py"  # of a topic that is cut into files: what all its claims share
_ORDER = "To be read in this order:"
_LINES = 100_000  # more than a file has


def introduction(root: Path, file: str) -> list[str]:
    """What introduces the topic of a claim file, in paragraphs; empty where there is nothing, or it does not parse.

    The docstring of the folder's measurements.py where there is one, else of the file.
    """
    return [part for part in _paragraphs(_source(root, file)) if not part.startswith(_ORDER)]


def reading_place(root: Path, file: str, line: int) -> int:
    """Where a claim stands in its topic: in the order of files that the introduction gives, then by line."""
    said = next((part for part in _paragraphs(_source(root, file)) if part.startswith(_ORDER)), "")
    files = re.findall(r"test_\w+", said)
    stem = Path(file).stem
    return (files.index(stem) if stem in files else len(files)) * _LINES + line


def _source(root: Path, file: str) -> Path | None:
    if not file:
        return None
    beside = (root / file).with_name(INTRODUCTION)
    return beside if beside.is_file() and Path(file).parent.name != "claims" else root / file


def _paragraphs(path: Path | None) -> list[str]:
    if path is None or not path.is_file():
        return []
    return _read(path, file_state(path.stat()))


@functools.lru_cache(maxsize=256)
def _read(path: Path, state: FileState) -> list[str]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return []
    return [part for part in inspect.cleandoc(ast.get_docstring(tree) or "").split("\n\n") if part.strip()]


def topic_title(root: Path, topic: str, file: str) -> str:
    """What stands before the first colon or full stop of the introduction, where that is short; else its name."""
    first = " ".join(introduction(root, file)[:1])
    found = re.match(rf"([^:.\n]{{1,{LONGEST}}})[:.]", first)
    return found.group(1).strip() if found else topic.replace("_", " ").capitalize()


@functools.cache
def variant_label(variant: str, code: str) -> str:
    """A variant with the names of its arguments: "how zero" for "zero"; as it is where the code does not say them."""
    names = list(_arguments(code)) if variant else []
    values = variant.split("-") if len(names) > 1 else [variant]
    if not names or len(names) != len(values) or not all(values):
        return variant
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in zip(names, values, strict=True))


def _arguments(code: str) -> Iterator[str]:
    """Arguments besides the model, in the order in which pytest puts their values into an id."""
    try:
        (function,) = ast.parse(textwrap.dedent(code)).body
    except (SyntaxError, ValueError):
        return
    for call in reversed(getattr(function, "decorator_list", [])):
        if not (isinstance(call, ast.Call) and ast.unparse(call.func).endswith("parametrize") and call.args):
            continue
        if any(keyword.arg == "ids" for keyword in call.keywords):
            continue
        try:
            said = ast.literal_eval(call.args[0])
        except ValueError:
            continue
        named = said.split(",") if isinstance(said, str) else map(str, said)
        yield from (name for name in map(str.strip, named) if name != "model")
