"""What a claim says, in hashes: its sentence and bound, what is compared, and everything of one's own that it reads.

A claim's own source is not all: a helper may hold the bound, a constant the heads. So each function, class and constant
that is reached from the claim counts, however deep and in whichever file of one's own; of an evidence function what it
means (mechlib.evidence.code_hash). Names of files and modules do not count, and neither does mechlib.
"""

from __future__ import annotations

import ast
import functools
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from mechlib.evidence.code_hash import EVIDENCE
from mechlib.evidence.modules import closure, digest, imported_names, normalised, own_folder
from mechlib.judging.claim import Claim
from mechlib.prompts.promptset import PromptSet
from mechlib.verdicts.registration import Identity
from mechlib.verdicts.verdict import bound_text

_SIGNS = {ast.GtE: ">=", ast.Gt: ">", ast.LtE: "<=", ast.Lt: "<"}
_TURNED = {">=": "<=", ">": "<", "<=": ">=", "<": ">"}


def identity(claim: Claim, arguments: Mapping[str, Any], case: str = "") -> Identity:
    """What a claim says of one case, today."""
    behind = reached(claim.function)
    return Identity(
        sentence=claim.sentence,
        bound=_bound(claim.comparison, arguments),
        question=claim.question,
        arguments=json.dumps(dict(arguments), sort_keys=True),
        helpers=behind.own,
        functions=dict(behind.functions),
        expected=claim.mark(str(arguments.get("model", "")), case)[0],
        reported=claim.reported.counts_as if claim.reported else "",
    )


def _bound(comparison: ast.Compare, arguments: Mapping[str, Any]) -> str:
    """The bound as a verdict writes it, read off the assert: ">= 0.60", "within -0.05 and 0.05"."""
    sides = [comparison.left, *comparison.comparators]
    numbers = [_number(side, arguments) for side in sides]
    if len(sides) == 3:
        ends = sorted(number for number in numbers if number is not None)
        return f"within {' and '.join(map(bound_text, ends))}"
    sign = _SIGNS[type(comparison.ops[0])]
    if numbers[0] is not None:
        return f"{_TURNED[sign]} {bound_text(numbers[0])}"
    return f"{sign} {bound_text(numbers[1] or 0.0)}"


def _number(node: ast.expr, arguments: Mapping[str, Any]) -> float | None:
    if isinstance(node, ast.Name):
        given = arguments.get(node.id)
        return float(given) if isinstance(given, (int, float)) and node.id != "model" else None
    try:
        return float(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError):
        return None


# --- what is reached ----------------------------------------------------------------------------------------------


class _Reach(NamedTuple):
    own: str  # a hash of all functions, classes and constants
    functions: tuple[tuple[str, str], ...]  # evidence functions, each with its meaning
    readers: tuple[FunctionType, ...]  # the claim, and every function of one's own that it reaches


def nested(function: FunctionType) -> tuple[FunctionType, ...]:
    """A function and every function of one's own that it reaches."""
    return reached(function).readers


@functools.cache
def reached(function: FunctionType) -> _Reach:
    """All that is one's own behind a function.

    Of the function itself only what it imports inside counts here: what it compares is the claim's question.
    """
    own: dict[str, str] = {}
    functions: dict[str, str] = {}
    waiting: list[FunctionType] = [function]
    readers: list[FunctionType] = []
    seen: set[int] = set()
    while waiting:
        readers.append(reader := waiting.pop())
        own |= _imported_inside(reader)
        for name, value in _read_by(reader):
            if id(value) in seen:
                continue
            body = getattr(value, EVIDENCE, None)
            value = inspect.unwrap(value) if callable(value) and body is None else value
            if body is not None:
                functions[body.call.__name__] = body.meaning[:16]
            elif isinstance(value, FunctionType):
                if not _is_own(value, reader):
                    continue
                own[f"{name}:{_code(value)}"] = ""
                waiting.append(value)
            elif isinstance(value, type):
                if _is_own_module(value.__module__, reader):
                    own[f"{name}:{_code(value)}"] = ""
                    waiting += [entry for entry in vars(value).values() if isinstance(entry, FunctionType)]
            elif not isinstance(value, ModuleType) and not callable(value):
                own[f"{name}={_said(value)}"] = ""
            seen.add(id(value))
    return _Reach(digest(sorted(own.items()))[:16] if own else "", tuple(sorted(functions.items())), tuple(readers))


def _read_by(reader: FunctionType) -> Iterator[tuple[str, Any]]:
    """The globals that a function may read, what it takes from modules of one's own, its defaults, what it closes
    over."""
    names = {name for code in _nested(reader.__code__) for name in code.co_names if not name.startswith("@")}
    for name in sorted(names & reader.__globals__.keys()):
        value = reader.__globals__[name]
        yield name, value
        if isinstance(value, ModuleType) and own_folder(value.__name__):
            yield from ((inner, vars(value)[inner]) for inner in sorted(names & vars(value).keys()))
    for given in (*(reader.__defaults__ or ()), *(reader.__kwdefaults__ or {}).values()):
        yield "default", given
    for name, cell in zip(reader.__code__.co_freevars, reader.__closure__ or (), strict=True):
        yield name, cell.cell_contents


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _is_own(value: FunctionType, reader: FunctionType) -> bool:
    return value.__globals__ is reader.__globals__ or own_folder(value.__module__ or "") is not None


def _is_own_module(name: str, reader: FunctionType) -> bool:
    return name == reader.__module__ or own_folder(name) is not None


def _imported_inside(reader: FunctionType) -> dict[str, str]:
    """Modules of one's own that are imported inside a function, whole, with those that they import."""
    package = reader.__globals__.get("__package__") or ""
    return closure(imported_names(_tree(reader), package), own_folder, whole=True)


@functools.cache
def _tree(value: FunctionType | type) -> ast.AST:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(value)))
    except (OSError, SyntaxError):  # a lambda within a statement of several lines: nothing is imported there
        return ast.Module([], [])


def _code(value: FunctionType | type) -> str:
    """What a function or a class says, wherever it stands."""
    tree = _tree(value)
    if isinstance(tree, ast.Module) and tree.body:
        return digest(normalised(tree))
    code = getattr(value, "__code__", None)
    return digest([repr(constant) for constant in code.co_consts] if code else [])


def _said(value: Any) -> str:
    """A constant as text that changes with it."""
    if isinstance(value, PromptSet):
        return f"{value!r} {value.fingerprint}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_said(key)}: {_said(entry)}' for key, entry in value.items())}}}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_said, value))})"
    if isinstance(value, (set, frozenset)):
        return f"{{{', '.join(sorted(map(_said, value)))}}}"
    if isinstance(value, np.ndarray):
        return digest([value.dtype.str, list(value.shape), value.tobytes().hex()])
    said = repr(value)
    return type(value).__qualname__ if " at 0x" in said else said
