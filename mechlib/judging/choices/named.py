"""Which parts a claim names by hand, and whether a paper named them first.

A head that somebody typed was found somewhere. Where `Source:` gives a paper's table, figure or section it was found
there; otherwise nobody knows, and the claim is shown NAMED BY HAND: AFTER LOOKING where evidence of the model on the
prompts that judge it is older than the claim.

Source: docs/STATISTICS.md, R34.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any

from mechlib.evidence import EvidenceUse
from mechlib.judging.choices.source import name_of, named_in, own_code, without_docstring
from mechlib.parts.circuits import Circuit
from mechlib.parts.heads import Head, Heads
from mechlib.verdicts.words import AFTER_LOOKING, BY_HAND

_PART = re.compile(r"(?:(?:mlp|attention|head|layer|neuron|position) ?\d+|\d+\.\d+|[Ll]\d+[Hh]\d+)(?:->.*)?|input->.*")
_PLACES = ("layer", "layers", "head", "heads", "part", "parts", "node", "edge", "neuron", "position")
_YEAR, _PLACE = r"\b(?:19|20)\d\d\b|arXiv|doi", r"\b(?:tables?|figures?|fig\.|sections?|appendix)\b|§"
_PAPER = re.compile(rf"(?:{_YEAR}).*(?:{_PLACE})|(?:{_PLACE}).*(?:{_YEAR})", re.IGNORECASE | re.DOTALL)


def words(
    function: FunctionType, tree: ast.FunctionDef, arguments: dict[str, Any], source: str, looked: bool = False
) -> tuple[str, ...]:
    """What is said beside a claim that names parts by hand: "NAMED BY HAND, AFTER LOOKING: 5.1, mlp 2"; or nothing.

    arguments  what the claim is called with
    source     what its docstring says behind `Source:`
    looked     whether confirmation evidence of this model and task is older than the claim, as its history shows
    """
    parts = tuple(dict.fromkeys(_parts(function, tree, arguments)))
    if not parts or _PAPER.search(source):
        return ()
    said = (f"{BY_HAND}: {', '.join(parts)}",)
    return tuple(after_looking(said)) if looked else said


def after_looking(said: Iterable[str]) -> list[str]:
    """The same words where it turned out that confirmation evidence is older than the claim."""
    return [line.replace(f"{BY_HAND}:", f"{BY_HAND}, {AFTER_LOOKING}:", 1) for line in said]


def picks(read: Iterable[EvidenceUse]) -> tuple[str, ...]:
    """What is said of evidence functions that find the largest of several, with the reason why it chooses no part."""
    found = ((use.function, name, reason) for use in read for name, reason in use.picks if reason)
    return tuple(dict.fromkeys(f"{function} uses {name}: {reason}" for function, name, reason in found))


def _parts(function: FunctionType, tree: ast.FunctionDef, arguments: dict[str, Any]) -> Iterator[str]:
    for name, value in arguments.items():
        if name != "model" and value is not None and (name in _PLACES or _is_part(value)):
            yield str(value) if isinstance(value, str) else f"{name} {value}"
    for owner, definition in own_code(function, tree).items():
        published = _published(definition)
        for node in without_docstring(definition):
            if node not in published:
                yield from _written(node)
        names = {node.id for node in without_docstring(definition) if isinstance(node, ast.Name)}
        cited = {node.id for node in published if isinstance(node, ast.Name)}
        for name in sorted((names - cited) & set(named_in(owner))):
            yield from map(str, _parts_in(owner.__globals__[name]))


def _published(tree: ast.FunctionDef) -> set[ast.AST]:
    """Everything inside `published(...)`: a table of a paper, which says so where it stands."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and name_of(node.func) == "published")
    return {inner for call in calls for inner in ast.walk(call)}


def _written(node: ast.AST) -> Iterator[str]:
    """Parts that a piece of source names."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from (word for word in _pieces(node.value) if _is_part(word))
    if isinstance(node, ast.keyword) and node.arg in _PLACES and isinstance(node.value, ast.Constant):
        yield from [f"{node.arg} {node.value.value}"] if type(node.value.value) is int else []
    if isinstance(node, ast.Call) and name_of(node.func) in ("in_layer", "Head"):
        literal = [str(entry.value) for entry in node.args if isinstance(entry, ast.Constant)]
        yield from [(".".join(literal) if len(literal) > 1 else f"layer {literal[0]}")] if literal else []


def _pieces(text: str) -> list[str]:
    """A text that is one part, or several, as heads("9.9 9.6") and circuit("0.3, mlp 1") write them."""
    several = [piece.strip() for piece in text.split(",")] if "," in text else text.split()
    return [text] if _is_part(text) else several if all(map(_is_part, several)) else []


def _is_part(value: object) -> bool:
    return isinstance(value, str) and _PART.fullmatch(value) is not None


def _parts_in(value: object) -> Iterator[object]:
    """Heads and circuits that a global of a claim's file holds."""
    if isinstance(value, (Head, Heads, Circuit)):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _parts_in(entry)
    elif isinstance(value, (tuple, list)):
        for entry in value:
            yield from _parts_in(entry)
