"""The source of a claim and of the functions that it calls, short of evidence functions and of mechlib."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from mechlib.evidence.code_hash import EVIDENCE
from mechlib.evidence.modules import own_folder


@functools.lru_cache(maxsize=1024)  # of every case of a claim it is asked, and twice
def own_code(function: FunctionType, tree: ast.FunctionDef) -> dict[FunctionType, ast.FunctionDef]:
    """The claim and its helpers, however deep, each with its definition: what runs while it is judged.

    Evidence functions are none of them, nor what they call: those see numbers, and are filed under their meaning.
    """
    found = {function: tree}
    waiting = [function]
    while waiting:
        reader = waiting.pop()
        for helper in named_in(reader).values():
            if is_helper(helper, reader) and helper not in found and (definition := _definition(helper)):
                found[helper] = definition
                waiting.append(helper)
    return found


def named_in(function: FunctionType) -> dict[str, Any]:
    """The globals that a function names, with their values."""
    names = (name for code in _nested(function.__code__) for name in code.co_names)
    return {name: function.__globals__[name] for name in names if name in function.__globals__}


def is_helper(value: object, reader: FunctionType) -> bool:
    """Whether this is a function of the reader's file or of one's own package, and no evidence."""
    if not isinstance(value, FunctionType) or hasattr(value, EVIDENCE):
        return False
    return value.__globals__ is reader.__globals__ or own_folder(value.__module__ or "") is not None


def reads_evidence(function: object, reader: FunctionType, seen: frozenset[object] = frozenset()) -> bool:
    """Whether this is evidence, or a helper that calls some."""
    if hasattr(function, EVIDENCE):
        return True
    if not isinstance(function, FunctionType) or function in seen or not is_helper(function, reader):
        return False
    return any(reads_evidence(value, function, seen | {function}) for value in named_in(function).values())


def name_of(node: ast.expr) -> str:
    """The last part of a dotted name."""
    return str(getattr(node, "attr", getattr(node, "id", "")))


def without_docstring(tree: ast.FunctionDef) -> Iterator[ast.AST]:
    """Every node of a function's body but its docstring, decorators and signature."""
    body = tree.body[1:] if ast.get_docstring(tree) is not None else tree.body
    return (node for statement in body for node in ast.walk(statement))


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


@functools.lru_cache(maxsize=1024)
def _definition(function: FunctionType) -> ast.FunctionDef | None:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, SyntaxError):
        return None
    return tree if isinstance(tree, ast.FunctionDef) else None
