"""What a control run asks, as text to read and as a key to file under."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from mechlib.evidence.code_hash import EVIDENCE
from mechlib.evidence.modules import PACKAGE, digest, normalised
from mechlib.evidence.question import topic_of
from mechlib.evidence.stamp import Stamp, name_of
from mechlib.evidence.store import Store
from mechlib.judging.claim import Claim
from mechlib.judging.controls.asking import Asked
from mechlib.judging.controls.exchanges import Matched, matched, more_sets
from mechlib.judging.controls.files import control_path
from mechlib.judging.controls.named import Part
from mechlib.parts.exchange import Exchange
from mechlib.parts.graphs import Graph


@dataclass(frozen=True)
class ControlQuestion:
    """The claim as it stands, the exchanges of each part that can be exchanged, and where the answer is filed.

    named    every part of the claim: those that are not exchanged are held
    skipped  keys of evidence that keeps its names, for the claim does not rest on it
    said     what the file's first line says of it
    stamps   today's instruments of each function that was read
    """

    claim: Claim
    arguments: dict[str, Any]
    model: str
    parts: tuple[Matched, ...]
    named: tuple[Part, ...]
    graph: Graph
    skipped: frozenset[str]
    said: dict[str, Any]
    path: Path
    stamps: dict[str, Stamp] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The hash of what is asked."""
        return str(self.said["key"])

    def more(self, one: Matched) -> Matched:
        """The same part with as many exchanges as there are at most, those of `one` first."""
        others = [other for other in self.named if other != one.part]
        return matched(one.part, others, self.graph, more_sets(one.part), self.skipped)


def control_question(
    claim: Claim,
    arguments: dict[str, Any],
    parts: tuple[Matched, ...],
    named: tuple[Part, ...],
    graph: Graph,
    found: Asked,
    place: Store,
) -> ControlQuestion:
    """The question about `parts` of a claim that was `found` to read and to name so much.

    Its key holds what the claim and its helpers say, its case, the keys of its evidence, and each part's first sets.
    """
    model, topic = str(arguments["model"]), topic_of(claim.function.__code__.co_filename)
    case = json.loads(json.dumps(arguments, default=str))
    sets = [[str(one.part), [_exact(name, exchange) for name, exchange in one.exchanges]] for one in parts]
    keys = sorted({use.key for use in found.read if use.path in found.sources})
    key = digest(
        {
            "claim": claim.question,
            "helpers": list(_helpers(claim.function)),
            "case": case,
            "evidence": keys,
            "sets": sets,
        }
    )
    said = {
        "claim": f"{topic}.{claim.name}",
        "case": case,
        "key": key,
        "stamps": {name: name_of(stamp) for name, stamp in sorted(found.stamps.items())},
        "parts": [{"part": str(one.part), "kind": one.kind, "in_layer": one.in_layer} for one in parts],
    }
    path = control_path(place.folder, topic, claim.name, model, key)
    return ControlQuestion(claim, arguments, model, parts, named, graph, skipped_by(found), said, path, found.stamps)


def _helpers(function: FunctionType, seen: set[FunctionType] | None = None) -> Iterator[str]:
    """What the functions say that a claim calls besides evidence, which has keys, and mechlib, which has stamps."""
    seen = {function} if seen is None else seen
    for name in _names(function.__code__):
        helper = function.__globals__.get(name)
        if isinstance(helper, FunctionType) and helper not in seen and not hasattr(helper, EVIDENCE):
            seen.add(helper)
            if helper.__module__.partition(".")[0] != PACKAGE:
                yield digest(normalised(ast.parse(textwrap.dedent(inspect.getsource(helper)))))
                yield from _helpers(helper, seen)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def skipped_by(found: Asked) -> frozenset[str]:
    """Keys of the evidence that a claim reads and does not rest on."""
    return frozenset(use.key for use in found.read if use.path not in found.sources)


def _exact(name: str, exchange: Exchange) -> str:
    return digest(sorted(map(repr, exchange.circuits.values())))[:16] if exchange.circuits else name
