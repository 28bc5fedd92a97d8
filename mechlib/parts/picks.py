"""Whether an evidence function picks parts by what it measured: it returns the whole column instead.

`argmax` inside an evidence function chooses a head on the prompts that judge it, where no claim can see it. So an
evidence function whose source, or a helper's, names a function that finds the largest of several is asked on discovery
prompts only. What is largest over something else than parts is said in the source, behind the line or above it,

    gap = far.abs().amax(dim=-1)  # no choice of parts: over the residual stream's dimensions

and shown beside every claim that reads it.

Source: docs/STATISTICS.md, R34.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Any

from mechlib.parts.blinding import for_looking
from mechlib.parts.chosen import DoubleDipping

PICKS = frozenset(
    {
        "argmax", "argmin", "nanargmax", "nanargmin", "argsort", "argpartition", "lexsort", "argwhere", "topk",
        "kthvalue", "sort", "msort", "sorted", "max", "min", "amax", "amin", "aminmax", "nanmax", "nanmin",
        "nlargest", "nsmallest", "most_common", "strongest", "above", "strongest_circuit", "circuit_above",
    }
)  # fmt: skip
_EXCUSE = re.compile(r"#\s*no choice of parts:\s*(\S.*)")


def picks_in(node: ast.AST, lines: list[str]) -> Iterator[tuple[str, str]]:
    """Every name in a function's source that finds the largest, with the reason why it chooses no part; "" without one.

    lines  the whole file's, where reasons stand
    """
    for inner in ast.walk(node):
        names = {getattr(inner, "attr", None), getattr(inner, "id", None)}
        if isinstance(inner, ast.ImportFrom):
            names = {alias.name for alias in inner.names}
        for name in sorted(PICKS & names):
            at = getattr(inner, "end_lineno", 0)
            near = (lines[line - 1] for line in (at, at - 1) if 0 < line <= len(lines))
            reasons = [found[1].strip() for line in near if (found := _EXCUSE.search(line))]
            yield name, reasons[0] if reasons else ""


def refuse_picking(function: str, picks: Iterable[tuple[str, str]], prompts: tuple[Any, ...]) -> None:
    """Raises DoubleDipping where a function that picks without a reason is asked on other prompts than discovery's."""
    unexcused = [name for name, reason in picks if not reason]
    if unexcused and not for_looking(prompts):
        where = f"on {prompts[0]!r}" if prompts else "without prompts"
        raise DoubleDipping(
            f"{function} names {unexcused[0]} and is asked {where}: return the whole column and choose parts by "
            "strongest(...) on discovery prompts; if it is largest over something else, say over what behind the line, "
            f"`# no choice of parts: over positions`"
        )
