"""The unit of a claim's number, as far as the record says it: of its estimate, its claim's code, its paper."""

from __future__ import annotations

import ast
import functools
import re
import textwrap

from mechlib.statistics.estimate import plural
from mechlib.verdicts.record import Record

# What a claim's last line calls that makes a number without the unit of what was measured.
_OF_CALLS = {
    "ratio": "of the whole",
    "share_kept": "of the whole",
    "overlap": "of both",
    "faithfulness": "of the model's",
    "correlation": "correlation",
}
_COUNTED = ("Clopper-Pearson", "Wilson", "Korn-Graubard", "paired shares", "unpaired shares")
_OF_WORDS = {
    "logit": "logits", "logits": "logits", "probability": "probability", "attention": "of attention",
    "loss": "nats per token", "pearson": "correlation", "rank": "correlation", "overlap": "of both",
    "faithfulness": "of the model's", "share": "as a share",
}  # fmt: skip


def unit_of(record: Record) -> str:
    """What stands behind the number: "logits", "nats per token", "of the whole", "of prompts"; "" where nothing says.

    A published sentence names its unit. Else a ratio is a share of its whole, whatever its parts were measured in; a
    counted number is a share of the units; all else has the unit that its quantity ends with, or begins with.
    """
    if record.comparison is None:
        return ""
    if record.reported is not None and record.reported.unit:
        return record.reported.unit
    estimate = record.comparison.estimate
    called = _called(record.code)
    for name, unit in _OF_CALLS.items():
        if name in called:
            return unit
    if "proportion" in called or estimate.method.startswith(_COUNTED):
        return f"of {plural(estimate.unit)}"
    ends = re.search(r", in ((?:logits|nats|nats per token))$", estimate.of)
    if ends:
        return ends[1]
    return _OF_WORDS.get(estimate.of.partition(" ")[0].strip(":").lower(), "")


@functools.lru_cache(maxsize=1024)
def _called(code: str) -> frozenset[str]:
    """The functions that the claim's last assert calls, and those whose values it names; empty for no code."""
    try:
        (function,) = ast.parse(textwrap.dedent(code)).body
    except (SyntaxError, ValueError):
        return frozenset()
    asserted = [node for node in ast.walk(function) if isinstance(node, ast.Assert)]
    if not asserted:
        return frozenset()
    found = set(_names(asserted[-1].test))
    held = {node.id for node in ast.walk(asserted[-1].test) if isinstance(node, ast.Name)}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and held & {t.id for t in node.targets if isinstance(t, ast.Name)}:
            found |= set(_outer(node.value))
    return frozenset(found)


def _names(tree: ast.AST) -> list[str]:
    return [n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]


def _outer(tree: ast.AST) -> list[str]:
    """The function whose value is named, or those of a list of them."""
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
        return [tree.func.id]
    if isinstance(tree, (ast.List, ast.Tuple)):
        return [name for element in tree.elts for name in _outer(element)]
    return _outer(tree.elt) if isinstance(tree, (ast.ListComp, ast.GeneratorExp)) else []
