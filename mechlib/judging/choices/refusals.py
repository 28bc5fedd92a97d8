"""What a claim and its helpers may not do, because it would choose or make a number where no reader sees it.

What is measured they cannot read (mechlib.parts.blinding). This closes the ways around: heads made of text that was put
together, numbers out of nothing, and Python's own back doors.

Source: docs/STATISTICS.md, R34.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import FunctionType

from mechlib.judging.choices.source import is_helper, name_of, named_in, own_code, reads_evidence, without_docstring

_MADE_OF_TEXT = ("heads", "circuit", "Head", "Heads", "Selection", "Circuit")
_BACK_DOORS = ("eval", "exec", "compile", "vars", "globals", "locals", "setattr", "__import__", "open")
_HARMLESS = ("range", "tuple", "str", "map", "zip", "enumerate")


def refusal(function: FunctionType, tree: ast.FunctionDef) -> str:
    """Why a claim is refused, in one line with the cure; "" where it is not."""
    for owner, definition in own_code(function, tree).items():
        own = owner is function
        where = function.__name__ if own else f"{function.__name__} calls {owner.__name__}, which"
        given = {argument.arg for argument in (*definition.args.args, *definition.args.kwonlyargs)} if own else set()
        for node in without_docstring(definition):
            if said := _refused(node, owner, definition, own, given):
                return f"{where} {said}"
    return ""


def _refused(node: ast.AST, owner: FunctionType, tree: ast.FunctionDef, own: bool, given: set[str]) -> str:
    if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
        return f"reaches for `{_said(node)}`: a claim uses public names only"
    if isinstance(node, ast.Name) and node.id in _BACK_DOORS:
        return f"uses `{node.id}`: what a claim reads must stand in its source"
    if not isinstance(node, ast.Call) or _is_own(node.func, owner):
        return ""
    called = name_of(node.func)
    if called == "Measurement":
        return f"makes a `{_said(node)}` itself: return it from an evidence function, so that it is filed"
    if called in _MADE_OF_TEXT and not _is_literal(node, owner, tree, given):
        return (
            f"makes heads by `{_said(node)}`: text and numbers that are put together forget which prompts chose them; "
            "take the selection itself, a slice or a union of it, or write the heads out"
        )
    if called == "exact" and not own:
        return f"calls `{_said(node)}`: exact(...) stands in the claim, where a reader sees what is exact"
    if called == "exact" and not _is_measured(node, owner, tree):
        return f"asserts `{_said(node)}`, which judges nothing: the number comes from no evidence"
    return ""


def _said(node: ast.AST) -> str:
    """A node as it stands in the source, its first line."""
    return ast.unparse(node).splitlines()[0]


def _is_own(called: ast.expr, owner: FunctionType) -> bool:
    """Whether a name that mechlib has too is a function of one's own here."""
    return isinstance(called, ast.Name) and is_helper(owner.__globals__.get(called.id), owner)


def _is_literal(call: ast.Call, owner: FunctionType, tree: ast.FunctionDef, given: set[str]) -> bool:
    """Whether all that goes into a call was written down: literals, the claim's parameters, tables of the file."""
    values = named_in(owner)
    for node in _leaves(call, tree):
        if isinstance(node, ast.Call) and node is not call and name_of(node.func) not in (*_HARMLESS, "published"):
            return False
        if isinstance(node, ast.Name) and node.id not in (*given, *_HARMLESS) and node.id in _arguments(tree):
            return False
        if isinstance(node, ast.Name) and reads_evidence(values.get(node.id), owner):
            return False
    return True


def _is_measured(call: ast.Call, owner: FunctionType, tree: ast.FunctionDef) -> bool:
    """Whether some of what goes into a call comes from evidence."""
    values = named_in(owner)
    return any(
        isinstance(node, ast.Name) and reads_evidence(values.get(node.id), owner) for node in _leaves(call, tree)
    )


def _arguments(tree: ast.FunctionDef) -> set[str]:
    return {argument.arg for argument in (*tree.args.args, *tree.args.kwonlyargs)}


def _leaves(expression: ast.AST, tree: ast.FunctionDef) -> Iterator[ast.AST]:
    """Every node of an expression, and of those that its names were assigned from."""
    origins: dict[str, list[ast.AST]] = {}
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign)) and node.value is not None:
            targets, value = [node.target], node.value
        elif isinstance(node, (ast.For, ast.comprehension)):
            targets, value = [node.target], node.iter
        for target in targets:
            for inner in ast.walk(target):
                if isinstance(inner, ast.Name):
                    origins.setdefault(inner.id, []).append(value)
    waiting, seen = [expression], set()
    while waiting:
        for node in ast.walk(waiting.pop()):
            yield node
            if isinstance(node, ast.Name) and node.id not in seen:
                seen.add(node.id)
                waiting += origins.get(node.id, [])
