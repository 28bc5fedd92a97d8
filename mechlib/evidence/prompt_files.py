"""Files of prompts: what the statistics know of a set of prompts, filed once for all evidence on it.

    ["1f0c5a9be2d4", "9b1e0c77d2aa", "template 3", {"order": "ABBA"}, {"template": [], "name": ["Susan", "David"]}]

Each row has a prompt's name, the key by which it is sorted, its cluster, its labels, and the levels of its factors, if
it has any: none of the one that is the cluster. None of it is part of what was measured: what a task says today counts,
and the file follows.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mechlib.checkpoints.reading import FileState, file_state
from mechlib.evidence.sealed import ENDING, SCHEMA, DamagedEvidence, opened, sealed
from mechlib.prompts.promptset import Factors, PromptSet

PROMPTS = "prompts"  # the folder beside the topics
MEMBERS = Path("artifacts") / "register" / "members.jsonl"  # by which overlap with a set of long ago is found
_SET = re.compile(r"(.*)\((discovery|confirmation|reference), n=\d+.*\) ([0-9a-f]{64})", re.DOTALL)


@dataclass(frozen=True)
class Rows:
    """What the statistics know of a set of prompts: of each row its name, its place, cluster, labels, factors."""

    units: tuple[str, ...]
    order: tuple[str, ...]
    clusters: tuple[str, ...]
    labels: tuple[tuple[tuple[str, str], ...], ...]
    factors: tuple[Factors, ...]

    @cached_property
    def shared(self) -> dict[str, tuple[str, ...]]:
        """The labels that all rows have, each with its value in every row."""
        tables = [dict(own) for own in self.labels]
        names = [name for name in (tables[0] if tables else ()) if all(name in table for table in tables)]
        return {name: tuple(table[name] for table in tables) for name in names}

    @cached_property
    def named(self) -> tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]:
        """The factors, each with the levels of every row, as a measurement has them."""
        return _by_factor(self.factors)

    @cached_property
    def digest(self) -> str:
        """Sixteen digits for clusters, labels and factors: other ones may mean other means, intervals and strata."""
        said = json.dumps([self.clusters, self.labels, self.factors], ensure_ascii=False)
        return hashlib.sha256(said.encode()).hexdigest()[:16]


def rows_of(prompts: PromptSet) -> Rows:
    """The rows of a set as a task makes them today. Computed once a set."""
    known = prompts.__dict__.get("_rows")
    if known is None:
        known = Rows(
            tuple(row.fingerprint for row in prompts),
            tuple(row.sort_key for row in prompts),
            tuple(row.cluster for row in prompts) if all(row.cluster for row in prompts) else (),
            tuple(row.labels for row in prompts),
            tuple(row.factors for row in prompts),
        )
        prompts.__dict__["_rows"] = known
    return known


def factors_of(
    units: tuple[str, ...], sets: Iterable[PromptSet]
) -> tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]:
    """What units that are prompts of these sets have in common: each factor with every unit's levels.

    () where a unit is none of the prompts, and where prompts of several sets have other factors.
    """
    known: dict[str, Factors] = {row.fingerprint: row.factors for prompts in sets for row in prompts}
    return _by_factor([known.get(unit, ()) for unit in units])


def _by_factor(rows: Sequence[Factors]) -> tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]:
    names = [name for name, _ in rows[0]]
    if any([name for name, _ in row] != names for row in rows):
        return ()
    return tuple((name, tuple(row[place][1] for row in rows)) for place, name in enumerate(names))


def prompts_name(prompts: PromptSet) -> str:
    """What a set of prompts is filed under: the first digits of its fingerprint."""
    return prompts.fingerprint[:16]


def called(prompts: PromptSet) -> str:
    """A set as the register calls it: its task, and what it is filed under."""
    return f"{prompts.name} {prompts_name(prompts)}"


def encode_prompts(prompts: PromptSet) -> bytes:
    """The bytes of a file of prompts."""
    rows = rows_of(prompts)
    clusters = rows.clusters or ("",) * len(rows.units)
    lines = []
    for unit, order, cluster, labels, factors in zip(
        rows.units, rows.order, clusters, rows.labels, rows.factors, strict=True
    ):
        levels = {name: [] if own == (cluster,) else own for name, own in factors}
        line = [unit, order, cluster, dict(labels), *([levels] if levels else [])]
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    first = {"schema": SCHEMA, "prompts": prompts.name, "split": prompts.split, "rows": len(lines)}
    return sealed(first, lines)


def load_prompts(folder: Path, name: str) -> Rows:
    """The rows in a file of prompts below `folder`. Raises DamagedEvidence, also where it is missing."""
    path = prompts_path(folder, name)
    try:
        status = path.stat()
    except OSError:
        raise DamagedEvidence(
            f"{PROMPTS}/{path.name} is missing, which names the rows: restore it with git, or run `pytest`"
        ) from None
    state = file_state(status)
    kept = _prompts.get(path)
    if kept is None or kept[0] != state:
        _, body = opened(path.read_bytes(), f"{PROMPTS}/{path.name}")
        rows = json.loads(f"[{body[:-1].replace(chr(10), ',')}]")
        clusters = tuple(row[2] for row in rows)
        found = Rows(
            tuple(row[0] for row in rows),
            tuple(row[1] for row in rows),
            clusters if all(clusters) else (),
            tuple(tuple(row[3].items()) for row in rows),
            tuple(_levels(*row[2:]) for row in rows),
        )
        kept = _prompts[path] = (state, found)
    return kept[1]


def _levels(cluster: str, _: dict[str, str], factors: dict[str, list[str]] | None = None) -> Factors:
    """A row's factors, as its line says them."""
    return tuple((name, tuple(own) or (cluster,)) for name, own in (factors or {}).items())


def prompts_path(folder: Path, name: str) -> Path:
    """Where a set of prompts is filed, by its name, below the evidence in `folder`."""
    return folder / PROMPTS / f"{name}{ENDING}"


_prompts: dict[Path, tuple[FileState, Rows]] = {}


# --- which texts a set had, whatever became of it -----------------------------------------------------------------


def named_in(arguments: Any, split: str) -> Iterator[str]:
    """The sets of one split among the arguments that a first line gives, however deep, each as "task name"."""
    if isinstance(arguments, str):
        if (found := _SET.fullmatch(arguments)) and found[2] == split:
            yield f"{found[1]} {found[3][:16]}"
    elif isinstance(arguments, (list, dict)):
        for value in arguments.values() if isinstance(arguments, dict) else arguments:
            yield from named_in(value, split)


def members(path: Path) -> Mapping[str, frozenset[str]]:
    """The texts of each set of confirmation prompts that evidence was ever filed on, as digests, by how it is called.

    {} where the file is missing.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    except (OSError, ValueError):
        return {}
    return {name: frozenset(texts[at : at + 8] for at in range(0, len(texts), 8)) for name, texts in rows}


def member_line(prompts: PromptSet) -> str:
    """The line that says which texts a set has: its name, and eight digits a text."""
    return json.dumps([called(prompts), "".join(sorted(one[:8] for one in prompts.members))])
