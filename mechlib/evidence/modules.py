"""Modules as text: what source means, which modules it imports, and a hash for each, without importing anything.

So judging stays free of torch while it says by which instruments a number was measured. Whose a module is follows from
where it lies: `mechlib` itself, an installed library, or one's own, which is everything else.
"""

from __future__ import annotations

import ast
import atexit
import functools
import hashlib
import json
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeGuard

import platformdirs

from mechlib.checkpoints.reading import FileState, file_state

_SILENT_FIELDS = frozenset({"ctx", "type_params", "type_comment", "kind"})
_DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
PACKAGE = "mechlib"
ADDRESSES = {PACKAGE, f"{PACKAGE}.lab", f"{PACKAGE}.faces"}  # what stands there says where things are


def digest(value: object) -> str:
    """The sha256 of plain data, as 64 hexadecimal digits, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def normalised(node: ast.AST) -> list[Any]:
    """An AST as nested lists: equal for source that means the same, on Python 3.11 to 3.14.

    Left out are positions, docstrings, `ctx`, `type_params`, type comments and empty fields, which versions of
    Python fill differently.
    """
    if isinstance(node, ast.Constant):
        return ["Constant", type(node.value).__name__, repr(node.value)]
    parts: list[Any] = [type(node).__name__]
    for name, value in ast.iter_fields(node):
        if name in _SILENT_FIELDS or value is None or value == []:
            continue
        if name == "body" and isinstance(node, _DOCUMENTED):
            value = value[1:] if _is_docstring(value[0]) else value
        plain = _plain(value)
        parts.append([name, _joined(plain) if isinstance(node, ast.JoinedStr) else plain])
    return parts


def _joined(values: list[Any]) -> list[Any]:
    """The parts of an f-string without empty texts, which Python 3.12 puts behind nested fields."""
    return [value for value in values if value != ["Constant", "str", "''"]]


def _plain(value: Any) -> Any:
    if isinstance(value, ast.AST):
        return normalised(value)
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value if isinstance(value, (str, int)) else repr(value)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


# --- which modules ------------------------------------------------------------------------------------------------


def bound(node: ast.AST) -> list[tuple[str, str]]:
    """The names that an import statement binds, each with its dotted origin."""
    if isinstance(node, ast.Import):
        return [(alias.asname or alias.name.split(".")[0], alias.name) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        start = "." * node.level + (f"{node.module}." if node.module else "")
        return [(alias.asname or alias.name, f"{start}{alias.name}") for alias in node.names]
    return []


def imported_names(tree: ast.AST, parent: str) -> Iterator[str]:
    """Dotted names that import statements anywhere in `tree` could mean, relative ones seen from `parent`.

    Not those that only type checkers read: of a face these are all its names.
    """
    for node in _run(tree):
        for _, origin in bound(node):
            if name := absolute(origin, parent):
                yield name


def absolute(origin: str, parent: str) -> str:
    """A dotted name as seen from no package: ".deep" in the package "own" is "own.deep"; "" where that is nothing."""
    level = len(origin) - len(origin.lstrip("."))
    if not level:
        return origin
    start = parent.split(".")
    return ".".join([*start[: len(start) - level + 1], origin.lstrip(".")]) if parent else ""


def _run(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those below `if TYPE_CHECKING:`."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.orelse if _for_types_only(node) else ast.iter_child_nodes(node)


def _for_types_only(node: ast.AST) -> TypeGuard[ast.If]:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def package_folder(top: str) -> Path | None:
    """The folder that holds `mechlib`; None for any other name."""
    return Path(__file__).parents[2] if top == PACKAGE else None


def own_folder(name: str) -> Path | None:
    """The folder that holds a module or package of one's own; None for what is installed, built in, or `mechlib`."""
    top = name.split(".")[0]
    if not top or top == PACKAGE or top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return None
    return _own_folder(top, tuple(sys.path))


@functools.lru_cache(maxsize=256)
def _own_folder(top: str, path: tuple[str, ...]) -> Path | None:
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    places = [*(spec.submodule_search_locations or ()), spec.origin] if spec else []
    place = next((Path(place) for place in places if place and Path(place).exists()), None)
    if place is None or any(place.is_relative_to(folder) for folder in _installed()):
        return None
    return place.parent


@functools.cache
def _installed() -> tuple[Path, ...]:
    named = ("purelib", "platlib", "stdlib", "platstdlib")
    return tuple(
        {Path(sysconfig.get_path(name)).resolve() for name in named} | {Path(p) for p in sys.path if "-packages" in p}
    )


def closure(names: Iterable[str], folder_of: Callable[[str], Path | None], whole: bool = False) -> dict[str, str]:
    """The modules behind dotted names, and those that they import in turn: each with a hash of what it does.

    folder_of  where the top package of a name lies, None where its modules do not count
    whole      whether import statements count as well, and the packages that a module lies in; in mechlib their
               __init__ files hold addresses only
    """
    return dict(sorted(_walked(names, folder_of, whole)[0].items()))


def packages_behind(names: Iterable[str], folder_of: Callable[[str], Path | None]) -> set[str]:
    """The top packages that modules behind dotted names import, those that do not count among them: "sklearn"."""
    return {dotted.partition(".")[0] for dotted in _walked(names, folder_of, False)[1]}


def _walked(
    names: Iterable[str], folder_of: Callable[[str], Path | None], whole: bool
) -> tuple[dict[str, str], set[str]]:
    """The modules of `closure`, and every dotted name that was met."""
    waiting = list(names)
    seen: set[str] = set()
    found: dict[str, str] = {}
    while waiting:
        dotted = waiting.pop()
        if dotted in seen:
            continue
        seen.add(dotted)
        folder = folder_of(dotted.partition(".")[0])
        way = _on_the_way(folder, dotted) if folder else []
        for name, file in way if whole else way[-1:]:
            if name not in found and name not in ADDRESSES:
                found[name], further = module_hash(file, name, whole)
                waiting += further
    return found, seen


_ways: dict[tuple[Path, str], list[tuple[str, Path]]] = {}


def _on_the_way(folder: Path, dotted: str) -> list[tuple[str, Path]]:
    """The modules that a dotted name leads through, each with its file: of "a.b.c" those of a, a.b and a.b.c there are.

    Remembered where there are any: what a process has found stays where it is.
    """
    known = _ways.get((folder, dotted))
    if known is not None and all(file.is_file() for _, file in known[-1:]):
        return known
    parts = dotted.split(".")
    way = []
    for end in range(1, len(parts) + 1):
        base = os.path.join(folder, *parts[:end])
        file = next((path for path in (f"{base}.py", os.path.join(base, "__init__.py")) if os.path.isfile(path)), None)
        if file is not None:
            way.append((".".join(parts[:end]), Path(file)))
    if way:
        _ways[folder, dotted] = way
    return way


def module_hash(file: Path, name: str, whole: bool = False) -> tuple[str, tuple[str, ...]]:
    """Sixteen digits for what a module does, and the dotted names that it imports."""
    return _module_hash(file, name, whole, file_state(file.stat()))


@functools.lru_cache(maxsize=1024)
def _module_hash(file: Path, name: str, whole: bool, state: FileState) -> tuple[str, tuple[str, ...]]:
    text = file.read_bytes()
    parent = name if file.name == "__init__.py" else name.rpartition(".")[0]
    known = _remembered()
    key = hashlib.sha256(f"{_form()} {parent} {whole} ".encode() + text).hexdigest()
    if key not in known:
        tree = ast.parse(text)
        imported = list(imported_names(tree, parent))
        known[key] = [digest(normalised(tree if whole else _without_imports(tree)))[:16], imported]
        _remember_at_the_end()
    hash_, imported = known[key]
    return hash_, tuple(imported)


# Reading 100 modules takes a second, so what came out is remembered on this machine, under the bytes that were read.


@functools.cache
def _form() -> str:
    """What this file says: an entry that another version of it wrote counts for nothing."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


@functools.cache
def _memory() -> Path:
    return Path(platformdirs.user_cache_dir("mechlib", appauthor=False)) / "sources.json"


@functools.cache
def _remembered() -> dict[str, list[Any]]:
    try:
        known = json.loads(_memory().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) and len(known) < 20_000 else {}


@functools.cache
def _remember_at_the_end() -> None:
    atexit.register(_remember)


def _remember() -> None:
    temporary = _memory().with_name(f".{os.getpid()}.tmp")
    with suppress(OSError):  # a machine on which nothing can be remembered reads again
        temporary.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(_remembered()), encoding="utf-8")
        temporary.replace(_memory())


class _WithoutImports(ast.NodeTransformer):
    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if _for_types_only(node) and not node.orelse else self.generic_visit(node)


def _without_imports(tree: ast.AST) -> ast.AST:
    return _WithoutImports().visit(tree)
