"""What a function means, read off its source text.

The meaning of an evidence function is part of the key under which its evidence is filed, so comments,
docstrings, line breaks and versions of Python must not move it, and anything that can change a number must.
What the source cannot show (a closure, a global constant, another decorator) is refused, with the cure.
"""

from __future__ import annotations

import ast
import dis
import functools
import inspect
import linecache
from collections.abc import Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple, TypeGuard

from mechlib.evidence.modules import absolute, bound, closure, digest, imported_names, normalised, own_folder
from mechlib.faces import by_face
from mechlib.parts.picks import picks_in

_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
SEVERAL = ", "  # between the origins of a name that stands for several, as `import a.x` and `import a.y` make
EVIDENCE = "__evidence__"  # set on what the decorator returns: the body, with what it means


class EvidenceRefused(TypeError):
    """A function, or an argument of one, under which evidence cannot be filed honestly."""


# --- the source of a function -------------------------------------------------------------------------------------


class Source(NamedTuple):
    """The file that defines a function, as it was when the function was made."""

    file: str
    text: str


def source_of(function: FunctionType) -> Source:
    """The file that defines a function, as it is now: take it when the function is made.

    Later the file may have been edited, and would no longer be what runs. Works for notebook cells too.
    """
    name = function.__code__.co_filename
    linecache.checkcache(name)
    text = "".join(linecache.getlines(name, function.__globals__))
    if not text:
        raise EvidenceRefused(
            f"{function.__name__} has no source: define it in a file, so that its meaning can be hashed"
        )
    return Source(name, text)


class _File(NamedTuple):
    functions: dict[tuple[str, int], ast.FunctionDef | ast.AsyncFunctionDef]
    imports: dict[str, str]  # name in the file -> what it was imported as; several with SEVERAL between them


@functools.lru_cache(maxsize=64)
def _parsed(source: Source) -> _File:
    tree = ast.parse(source.text)
    functions = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            # A code object starts at the first decorator, a definition at its `def`.
            functions[node.name, min([node.lineno, *(entry.lineno for entry in node.decorator_list)])] = node
    imports: dict[str, str] = {}
    for statement in _outside_functions(tree):
        for name, origin in bound(statement):
            dotted = isinstance(statement, ast.Import) and name in imports and origin.startswith(f"{name}.")
            imports[name] = SEVERAL.join(sorted({*imports[name].split(SEVERAL), origin})) if dotted else origin
    return _File(functions, imports)


def _outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node
            yield from _outside_functions(node)


def _definition(function: FunctionType, source: Source) -> ast.FunctionDef | ast.AsyncFunctionDef:
    place = (function.__code__.co_name, function.__code__.co_firstlineno)
    if function.__code__.co_filename != source.file:
        source = source_of(function)  # a helper in another cell of a notebook
    try:
        return _parsed(source).functions[place]
    except KeyError:
        raise EvidenceRefused(
            f"{function.__name__} is not where its file says: the file was edited while it ran; run again"
        ) from None


# --- what may be evidence -----------------------------------------------------------------------------------------


def check(function: object, source: Source) -> None:
    """Raises EvidenceRefused, naming the cure, unless the source shows all that the function can depend on."""
    assert isinstance(function, FunctionType)
    name = function.__name__
    if name == "<lambda>":
        raise EvidenceRefused("@evidence was given a lambda: write it as a function, whose name the evidence can carry")
    if function.__code__.co_freevars:
        names = ", ".join(function.__code__.co_freevars)
        raise EvidenceRefused(
            f"{name} closes over {names}: make it an argument, so that evidence is filed under its value"
        )
    if function.__qualname__ != name:
        raise EvidenceRefused(
            f"{function.__qualname__} is a method or a function inside another: move it to the top of its file"
        )
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise EvidenceRefused(f"{name} is async: measure in a plain function that returns a Measurement")
    if inspect.isgeneratorfunction(function):
        raise EvidenceRefused(f"{name} is a generator: collect the values and return one Measurement")
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise EvidenceRefused(f"{name} takes {parameter}: name every argument, evidence is filed under their names")
    if len(_definition(function, source).decorator_list) > 1:
        raise EvidenceRefused(f"{name} has another decorator beside @evidence: call what it does inside the function")
    _reach(function, source)


class _Reach(NamedTuple):
    helpers: list[tuple[FunctionType, Source]]  # functions of the same file or of one's own package, however deep
    imported: dict[str, str]  # names that the file imports, with their origins
    called: dict[str, str]  # helpers that are called by another name than their own


def _reach(function: FunctionType, source: Source) -> _Reach:
    """Everything outside itself that a function names, through its helpers. Raises EvidenceRefused."""
    helpers: dict[FunctionType, Source] = {}
    imported: dict[str, str] = {}
    called: dict[str, str] = {}
    waiting = [(function, source)]
    while waiting:
        reader, text = waiting.pop()
        for name in sorted(_globals_read(reader)):
            if name.startswith("@") or name not in reader.__globals__:
                continue  # what pytest puts into a file that asserts; builtins; a name that is defined further down
            value = reader.__globals__[name]
            if not _is_helper(value, reader):
                origin = _origin(reader, name, value, text)  # two files may mean two things by one name
                imported[name if imported.get(name, origin) == origin else f"{reader.__module__}:{name}"] = origin
                continue
            if name != value.__name__:
                called[f"{reader.__name__}:{name}"] = f"{value.__module__}.{value.__name__}"
            if value is not function and value not in helpers:
                own = text if value.__globals__ is reader.__globals__ else source_of(value)
                _check_helper(reader, name, value, own)
                helpers[value] = own
                waiting.append((value, own))
    return _Reach(list(helpers.items()), imported, called)


def _globals_read(function: FunctionType) -> set[str]:
    names = set()
    for code in _nested(function.__code__):
        if not set(code.co_names) & set(function.__globals__):
            continue  # reading instructions is slow, and this code can name no global
        for instruction in dis.get_instructions(code):
            if instruction.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                raise EvidenceRefused(f"{function.__name__} sets the global {instruction.argval}: return it instead")
            if instruction.opname in _LOADS:
                names.add(instruction.argval)
    return names


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _is_helper(value: object, reader: FunctionType) -> TypeGuard[FunctionType]:
    """Whether a function is written in the reader's file, or elsewhere among one's own."""
    if not isinstance(value, FunctionType) or hasattr(value, EVIDENCE):
        return False
    if value.__globals__ is reader.__globals__:
        return True
    plain = not value.__code__.co_freevars and not hasattr(value, "__wrapped__") and value.__name__ != "<lambda>"
    return plain and own_folder(value.__module__ or "") is not None


def _check_helper(reader: FunctionType, name: str, helper: FunctionType, source: Source) -> None:
    if helper.__code__.co_freevars or helper.__name__ == "<lambda>" or _definition(helper, source).decorator_list:
        raise EvidenceRefused(
            f"{reader.__name__} calls {name}, which is a lambda, a closure or decorated: write it as a plain function, "
            "so that its source says what it does"
        )


def _package(function: FunctionType) -> str:
    """The package that relative imports in a function's file are seen from; "" in a file of none."""
    return function.__globals__.get("__package__") or ""


def _origin(reader: FunctionType, name: str, value: object, source: Source) -> str:
    """Where an imported module, function or class comes from, as the file's import statement has it."""
    if hasattr(value, EVIDENCE):
        raise EvidenceRefused(
            f"{reader.__name__} calls {name}, which is evidence itself: call it in the claim and hand the heads over"
        )
    if isinstance(value, ModuleType):
        return absolute(_parsed(source).imports.get(name, value.__name__), _package(reader))
    if callable(value) and name in _parsed(source).imports:
        return absolute(_parsed(source).imports[name], _package(reader))
    own = getattr(value, "__module__", None) == reader.__globals__.get("__name__")
    if isinstance(value, (FunctionType, BuiltinFunctionType, type)) and not own:
        return by_face(f"{value.__module__}.{value.__qualname__}")  # of another cell of a notebook, or by a star
    if isinstance(value, type):
        raise EvidenceRefused(
            f"{reader.__name__} reads the class {name} of its own file: move it into a module, import it"
        )
    raise EvidenceRefused(
        f"{reader.__name__} reads the global {name}: make it an argument, so that evidence is filed under its value"
    )


# --- the hash -----------------------------------------------------------------------------------------------------


def meaning(function: FunctionType, source: Source) -> str:
    """The sha256 of what a function and its helpers do, and of where its imported names come from.

    A helper is a function of the same file, or one that the file imports from one's own package; a module of one's own
    that is imported inside a function counts whole, with those of one's own that it imports.
    """
    reach = _reach(function, source)
    parts: dict[str, Any] = {
        "function": _undecorated(_definition(function, source)),
        "helpers": sorted(digest(normalised(_definition(helper, text))) for helper, text in reach.helpers),
        "imports": reach.imported,
    }
    # What most functions have nothing of is left out, so that no key moved when it was thought of.
    seldom = {
        "own": own_modules(*reached(function, source)),
        "called": reach.called,
        "defaults": {helper.__name__: said for helper, text in reach.helpers if (said := _defaults(helper, text))},
    }
    return digest(parts | {name: value for name, value in seldom.items() if value})


def _defaults(helper: FunctionType, source: Source) -> list[str]:
    """The values of a helper's defaults where its source gives a name for one, which may come to mean another value."""
    arguments = _definition(helper, source).args
    given = [default for default in (*arguments.defaults, *arguments.kw_defaults) if default is not None]
    if not any(isinstance(node, ast.Name) for default in given for node in ast.walk(default)):
        return []
    values = [*(helper.__defaults__ or ()), *(helper.__kwdefaults__ or {}).values()]
    for value in values:
        if not isinstance(value, (type(None), bool, int, float, str, tuple)):
            raise EvidenceRefused(
                f"{helper.__name__} has the default {value!r}: give it as an argument, so that it is part of the key"
            )
    return [repr(value) for value in values]


def picks(function: FunctionType, source: Source) -> tuple[tuple[str, str], ...]:
    """What of a function and its helpers finds the largest of several, with the reason why that chooses no part."""
    return tuple(
        found
        for entry, text in ((function, source), *_reach(function, source).helpers)
        for found in picks_in(_definition(entry, text), text.text.splitlines())
    )


def _undecorated(node: ast.AST) -> list[Any]:
    return [part for part in normalised(node) if part[0] != "decorator_list"]


def reached(function: FunctionType, source: Source) -> tuple[list[str], list[str]]:
    """What a function and its helpers import inside themselves, and the origins of the imported names they use."""
    reach = _reach(function, source)
    inside = [
        name
        for entry, text in ((function, source), *reach.helpers)
        for name in imported_names(_definition(entry, text), _package(entry))
    ]
    return inside, [origin for said in reach.imported.values() for origin in said.split(SEVERAL)]


def own_modules(inside: list[str], origins: list[str]) -> dict[str, str]:
    """Modules of one's own that are named there, and those that they import, each with a hash of what it does."""
    # What is imported at the top of a file is either a helper, which counts by itself, or no function at all.
    return closure([*inside, *(name for name in origins if not _is_face(name))], own_folder, whole=True)


def _is_face(name: str) -> bool:
    return name.split(".")[0] == "mechlib"
