"""`control=` and `beside=` in the source of a claim, read before it runs: one obvious line in its assert."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from mechlib.evidence.code_hash import EVIDENCE
from mechlib.verdicts.presence import claims_presence
from mechlib.verdicts.verdict import Bound, Sign

KEYWORDS = ("control", "beside")
_SIGNS: dict[type[ast.cmpop], Sign] = {ast.GtE: ">=", ast.Gt: ">", ast.LtE: "<=", ast.Lt: "<"}
_MIRROR: dict[Sign, Sign] = {">=": "<=", ">": "<", "<=": ">=", "<": ">"}


def misplaced(claim: ast.FunctionDef, comparison: ast.Compare, known: Mapping[str, Any]) -> str:
    """What is wrong with the controls that a claim names, as the end of a sentence about it; "" where nothing is.

    `known` has the names of its file, to tell evidence functions from helpers: what a helper returns, the run says.
    """
    inside = {id(node) for node in ast.walk(comparison)}
    for call in (node for node in ast.walk(claim) if isinstance(node, ast.Call)):
        named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg in KEYWORDS}
        if not named:
            continue
        if id(call) not in inside:
            return f"names a {next(iter(named))}= outside of its assert: write it into the estimate that is compared"
        if len(named) == 2:
            return "names a control= and a beside=: the one belongs to a presence, the other to an absence"
        (keyword, value), *_ = named.items()
        wrong = _of_the_other_kind(str(keyword), comparison)
        wrong = wrong or _by_another(str(keyword), call, value, claim, known)
        if wrong:
            return wrong
    return ""


def _of_the_other_kind(keyword: str, comparison: ast.Compare) -> str:
    bounds = list(_bounds(comparison))
    if len(bounds) < len(comparison.ops):  # a bound that parametrize gives: the verdict says it
        return ""
    presence = claims_presence(bounds)
    if presence and keyword == "beside":
        return "says that something is there, beside=: give it a control= that it must not hold of"
    if not presence and keyword == "control":
        return "holds where nothing happens, control=: give it a beside= that its instrument must see"
    return ""


def _bounds(comparison: ast.Compare) -> Iterator[Bound]:
    """The bounds that stand in the comparison as numbers, each as of `estimate sign bound`."""
    sides = [comparison.left, *comparison.comparators]
    for left, op, right in zip(sides, comparison.ops, sides[1:], strict=False):
        sign = _SIGNS[type(op)]
        for side, seen in ((right, sign), (left, _MIRROR[sign])):
            try:
                number = ast.literal_eval(side)
            except ValueError:
                continue
            yield seen, float(number)


def _by_another(keyword: str, call: ast.Call, value: ast.expr, claim: ast.FunctionDef, known: Mapping[str, Any]) -> str:
    """A control by another function than the claim's own evidence is, where both are there to be read."""
    own = _asked(call.args[0], claim) if call.args else ""
    for other in value.elts if isinstance(value, ast.Tuple) else [value]:
        theirs = _asked(other, claim)
        if own != theirs and all(hasattr(known.get(name), EVIDENCE) for name in (own, theirs)):
            return (
                f"names the {keyword}= `{ast.unparse(other)}` by {theirs}, and claims something of {own}: "
                "name the same evidence function with other arguments"
            )
    return ""


def _asked(node: ast.expr, claim: ast.FunctionDef) -> str:
    """The function that a measurement comes from, through columns, methods and one name; "" where that is not said."""
    while isinstance(node, ast.Subscript) or (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        node = node.value if isinstance(node, ast.Subscript) else node.func.value  # type: ignore[attr-defined]
    if isinstance(node, ast.Name):
        assigned = [
            one.value
            for one in claim.body
            if isinstance(one, ast.Assign) and [ast.unparse(target) for target in one.targets] == [node.id]
        ]
        return _asked(assigned[0], claim) if len(assigned) == 1 and not isinstance(assigned[0], ast.Name) else ""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
