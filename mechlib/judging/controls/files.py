"""Control files: what a claim came to with its parts exchanged, all sets of one claim on one model in one file.

    {"schema": 2, "claim": "ioi.test_one_head_...", "case": {"model": "mini-0"}, "key": ..., "stamps": {...},
     "parts": [{"part": "2.3", "kind": "heads of its layer, then of the nearest", "in_layer": 7}],
     "levels": ["template 1", ...], "sha256": ...}
    [0,"2.0",160,0.0123,[0.01,0.02,...]]
    [0,"2.1",160,null,"no estimate: ..."]

A row has the number of its part, the set that took its place, n, the point estimate with it (null where there was
none, and why) and, of the first sets, the mean at each level (template, noun) that the estimate is across, from which a
reader recomputes it. Judging reads the estimates; nothing is resampled. They lie in controls/<topic>/, named as
evidence is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mechlib.checkpoints import file_name
from mechlib.evidence import sealed
from mechlib.evidence.question import CONTROLS, LONGEST_NAME

LARGEST = 10_000  # bytes of one file
LEVELS_OF = 40  # sets whose means by level are filed, where there is room


@dataclass(frozen=True)
class ControlRow:
    """What a claim came to with one set in the place of one part; `value` is None where it came to no estimate.

    levels  (label, n, mean) of each level that the estimate is across
    """

    part: int
    other: str
    n: int = 0
    value: float | None = None
    levels: tuple[tuple[str, int, float], ...] = ()
    why: str = ""


@dataclass(frozen=True)
class ControlFile:
    """A control file: what its first line says, and its rows."""

    said: Mapping[str, Any]
    rows: tuple[ControlRow, ...] = field(repr=False)

    def of(self, part: int) -> list[ControlRow]:
        """The rows of one part, in order."""
        return [row for row in self.rows if row.part == part]


def control_path(folder: Path, topic: str, function: str, model: str, key: str) -> Path:
    """Where it lies: controls/<topic>/<function>--<model>--<first 8 digits of the key>.jsonl"""
    named = file_name(model)
    stem = f"{function[: LONGEST_NAME - len(named) - 20]}--{named}--{key[:8]}"
    return folder / CONTROLS / topic / f"{stem}{sealed.ENDING}"


def encode(file: ControlFile) -> bytes:
    """The bytes of a file, a pure function of what it says. Means by level are left out where they have no room."""
    levels = next((tuple(name for name, _, _ in row.levels) for row in file.rows if row.levels), ())
    counts = next(([count for _, count, _ in row.levels] for row in file.rows if row.levels), [])
    for filed in (levels, ()):
        first = {"schema": sealed.SCHEMA, **file.said, "levels": list(filed), "counts": counts if filed else []}
        data = sealed.sealed(first, (_line(row, filed, number) for number, row in enumerate(file.rows)))
        if len(data) <= LARGEST:
            return data
    return data


def _line(row: ControlRow, levels: tuple[str, ...], number: int) -> str:
    if row.value is None:
        return json.dumps([row.part, row.other, row.n, None, row.why[:60]], ensure_ascii=False) + "\n"
    kept = bool(levels) and number < LEVELS_OF and tuple(name for name, _, _ in row.levels) == levels
    means = f",[{','.join(f'{mean:.4g}' for _, _, mean in row.levels)}]" if kept else ""
    return f"[{row.part},{json.dumps(row.other)},{row.n},{row.value:.6g}{means}]\n"


def load(path: Path) -> ControlFile:
    """The file at this path, checked by its own hash. Raises DamagedEvidence, FileNotFoundError."""
    first, body = sealed.opened(path.read_bytes(), path.name)
    try:
        counts = list(zip(first["levels"], first["counts"], strict=True))
        return ControlFile(first, tuple(_row(json.loads(line), counts) for line in body.split("\n") if line))
    except (KeyError, TypeError, ValueError) as error:
        raise sealed.DamagedEvidence(f"{path.name} is no control file ({error}): delete it and run `pytest`") from None


def _row(line: list[Any], counts: list[tuple[str, int]]) -> ControlRow:
    part, other, n, value, *rest = line
    if value is None:
        return ControlRow(part, other, n, None, (), rest[0])
    means = rest[0] if rest else []
    levels = tuple((name, count, mean) for (name, count), mean in zip(counts, means, strict=False))
    return ControlRow(part, other, n, float(value), levels)


def superseded(path: Path, said: Mapping[str, Any]) -> Iterable[Path]:
    """Files beside this one that say the same of an earlier version of the claim."""
    for other in sorted(path.parent.glob(f"{path.name.rpartition('--')[0]}--*{sealed.ENDING}")):
        if other != path and all(_first(other).get(name) == said[name] for name in ("claim", "case")):
            yield other


def _first(path: Path) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8") as file:
            found = json.loads(file.readline())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
