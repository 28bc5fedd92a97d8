"""Evidence files: one line of provenance, then one JSON line a unit. Written whole or not at all.

    {"schema": 2, "question": "scores(mini-0, induction(confirmation, n=400))", ..., "sha256": "..."}
    ["0.3", [0.912345, 0.003]]

The hash in the first line covers everything else in the file, so damage anywhere is seen. Rows hold the unit's name,
the numbers of its cluster and stratum where there are any (the first line lists their names), then the values, rounded
to six significant digits: what is judged is what is filed.

Where units are the prompts of a set, in its order, rows hold the values alone. Names, clusters and labels of the set's
rows stand once, in prompts/<first digits of its fingerprint>.jsonl beside the topics: what the statistics know of a
prompt is no part of what was measured on it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet

SCHEMA = 2
ENDING = ".jsonl"
PROMPTS, STAMPS = "prompts", "stamps"  # folders beside the topics
_BEFORE_HASH = b'"sha256": "'
_AFTER_HASH = b'"}'
BY_PROMPT = "by prompt"  # clusters that are the prompts' own


class DamagedEvidence(RuntimeError):
    """An evidence file whose contents do not match its own hash. It is never used."""


class OlderEvidence(DamagedEvidence):
    """An evidence file of a schema that this mechlib no longer reads."""


# --- rows of prompts ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """What the statistics know of a set of prompts: of each row its name, how it is sorted, its cluster, its labels."""

    units: tuple[str, ...]
    order: tuple[str, ...]
    clusters: tuple[str, ...]
    labels: tuple[tuple[tuple[str, str], ...], ...]

    @cached_property
    def shared(self) -> dict[str, tuple[str, ...]]:
        """The labels that all rows have, each with its value in every row."""
        tables = [dict(own) for own in self.labels]
        names = [name for name in (tables[0] if tables else ()) if all(name in table for table in tables)]
        return {name: tuple(table[name] for table in tables) for name in names}

    @cached_property
    def digest(self) -> str:
        """Sixteen digits for clusters and labels: other ones may mean other means and other strata."""
        said = json.dumps([self.clusters, self.labels], ensure_ascii=False)
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
        )
        prompts.__dict__["_rows"] = known
    return known


def prompts_name(prompts: PromptSet) -> str:
    """What a set of prompts is filed under: the first digits of its fingerprint."""
    return prompts.fingerprint[:16]


def encode_prompts(prompts: PromptSet) -> bytes:
    """The bytes of a file of prompts."""
    rows = rows_of(prompts)
    clusters = rows.clusters or ("",) * len(rows.units)
    lines = [
        json.dumps([unit, order, cluster, dict(labels)], ensure_ascii=False) + "\n"
        for unit, order, cluster, labels in zip(rows.units, rows.order, clusters, rows.labels, strict=True)
    ]
    first = {"schema": SCHEMA, "prompts": prompts.name, "split": prompts.split, "rows": len(lines)}
    return _sealed(first, lines)


def load_prompts(folder: Path, name: str) -> Rows:
    """The rows in a file of prompts below `folder`. Raises DamagedEvidence, also where it is missing."""
    path = prompts_path(folder, name)
    try:
        status = path.stat()
    except OSError:
        raise DamagedEvidence(
            f"{PROMPTS}/{path.name} is missing, which names the rows: restore it with git, or run `pytest`"
        ) from None
    state = (status.st_mtime_ns, status.st_size)
    kept = _prompts.get(path)
    if kept is None or kept[0] != state:
        _, body = _opened(path.read_bytes(), f"{PROMPTS}/{path.name}")
        rows = json.loads(f"[{body[:-1].replace(chr(10), ',')}]")
        clusters = tuple(row[2] for row in rows)
        found = Rows(
            tuple(row[0] for row in rows),
            tuple(row[1] for row in rows),
            clusters if all(clusters) else (),
            tuple(tuple(row[3].items()) for row in rows),
        )
        kept = _prompts[path] = (state, found)
    return kept[1]


def prompts_path(folder: Path, name: str) -> Path:
    """Where a set of prompts is filed, by its name, below the evidence in `folder`."""
    return folder / PROMPTS / f"{name}{ENDING}"


_prompts: dict[Path, tuple[tuple[int, int], Rows]] = {}


# --- measurements -------------------------------------------------------------------------------------------------


def encode(provenance: dict[str, Any], measurement: Measurement, prompts: Iterable[PromptSet] = ()) -> bytes:
    """The bytes of an evidence file: a pure function of what it says, the same on every machine.

    prompts  the sets that were measured: where units are the rows of one of them, the file says so and names none
    """
    own = next((given for given in prompts if _is_of(measurement, rows_of(given))), None)
    said, columns = _labels(measurement, own)
    first = {
        "schema": SCHEMA,
        **provenance,
        "unit": measurement.unit,
        "of": measurement.of,
        "yes_no": measurement.yes_no,
        "columns": list(measurement.columns),
        **said,
        "rows": len(measurement),
    }
    if own is None:
        columns = [[json.dumps(unit, ensure_ascii=False) for unit in measurement.units], *columns]
    lines = []
    for row, values in enumerate(measurement.values.tolist()):
        numbers = f"[{','.join(f'{value:.6g}' for value in values)}]"
        lines.append(f"[{','.join([*(column[row] for column in columns), numbers])}]\n" if columns else f"{numbers}\n")
    return _sealed(first, lines)


def _is_of(measurement: Measurement, rows: Rows) -> bool:
    return measurement.units == rows.units and measurement.order in ((), rows.order)


def _labels(measurement: Measurement, own: PromptSet | None) -> tuple[dict[str, Any], list[list[str]]]:
    """What the first line says of clusters and strata, and the columns of those that the prompts do not give."""
    rows = rows_of(own) if own else None
    said: dict[str, Any] = {PROMPTS: prompts_name(own)} if own else {}
    columns = []
    if own is None and measurement.order:
        said["sorted"] = True
        columns.append([json.dumps(key) for key in measurement.order])
    for field, given in (("clusters", measurement.clusters), ("strata", measurement.strata)):
        by_prompt = _given_by(field, given, rows)
        if by_prompt is not None:
            said[field] = by_prompt
            continue
        names = {label: number for number, label in enumerate(dict.fromkeys(given))}
        said[field] = list(names)
        if given:
            columns.append([str(names[label]) for label in given])
    return said, columns


def _given_by(field: str, given: tuple[str, ...], rows: Rows | None) -> str | None:
    """How a file says that labels are the prompts': "by prompt", or the name of a label; None where they are not.

    Prompts without clusters give those that they have later.
    """
    if rows is None:
        return None
    if field == "clusters":
        return BY_PROMPT if given == rows.clusters else None
    return next((name for name, values in rows.shared.items() if values == given), None)


def decode(
    data: bytes, name: str, folder: Path | None = None, given: Mapping[str, PromptSet] | None = None
) -> tuple[dict[str, Any], Measurement]:
    """The first line and the measurement of a file's bytes. Raises DamagedEvidence, naming the file.

    given   sets of prompts by the name that they are filed under; others are read below the evidence in `folder`
    """
    first, body = _opened(data, name)
    prompts = first.get(PROMPTS)
    rows = None
    if prompts and given and prompts in given:
        rows = rows_of(given[prompts])
    elif prompts:
        assert folder is not None
        rows = load_prompts(folder, prompts)
    return first, _measurement(first, json.loads(f"[{body[:-1].replace(chr(10), ',')}]"), rows, name)


def _measurement(first: dict[str, Any], lines: list[Any], rows: Rows | None, name: str) -> Measurement:
    def labels(field: str) -> tuple[str, ...]:
        said = first[field]
        if isinstance(said, list):
            return tuple(said[line[place[field]]] for line in lines) if said else ()
        assert rows is not None
        # Today's: a set that had no clusters may have some, and one that lost a label gives no strata.
        return rows.clusters if field == "clusters" else rows.shared.get(said, ())

    listed = [field for field in ("clusters", "strata") if isinstance(first[field], list) and first[field]]
    ahead = 0 if rows else 2 if first.get("sorted") else 1
    place = {field: ahead + number for number, field in enumerate(listed)}
    alone = rows is not None and not listed
    values = np.array(lines if alone else [line[-1] for line in lines], dtype=np.float64)
    values.flags.writeable = False  # read once and shared by every claim of the process
    if rows is not None and len(rows.units) != len(lines):
        raise DamagedEvidence(f"{name} has {len(lines)} rows, its prompts {len(rows.units)}: measure it again")
    return Measurement(
        values=values,
        units=rows.units if rows is not None else tuple(line[0] for line in lines),
        unit=first["unit"],
        columns=tuple(first["columns"]),
        clusters=labels("clusters"),
        strata=labels("strata"),
        order=rows.order if rows is not None else tuple(line[1] for line in lines) if first.get("sorted") else (),
        yes_no=first["yes_no"],
        of=first["of"],
    )


_filed: dict[Path, tuple[tuple[Any, ...], dict[str, Any], Measurement]] = {}


def load(path: Path, given: Mapping[str, PromptSet] | None = None) -> tuple[dict[str, Any], Measurement]:
    """The first line and the measurement of an evidence file, kept in memory until the file changes.

    given   sets of prompts by the name that they are filed under, whose clusters and labels of today count; who gives
            none (the report) takes what was read before

    Raises FileNotFoundError, or DamagedEvidence.
    """
    status = path.stat()
    state = (status.st_mtime_ns, status.st_size)
    kept = _filed.get(path)
    if kept is None or kept[0] != (*state, _rows_today(kept[1], path.parents[1], given)):
        first, measurement = decode(path.read_bytes(), path.name, path.parents[1], given)
        kept = _filed[path] = ((*state, _rows_today(first, path.parents[1], given)), first, measurement)
    return kept[1], kept[2]


def _rows_today(first: dict[str, Any], folder: Path, given: Mapping[str, PromptSet] | None) -> str:
    """The digest of the rows that a first line names, as they are today; "" where it names none."""
    name = first.get(PROMPTS, "")
    if not name:
        return ""
    return (rows_of(given[name]) if given and name in given else load_prompts(folder, name)).digest


def first_line(path: Path) -> dict[str, Any]:
    """The first line alone, not checked against the rows; {} where it is unreadable."""
    try:
        with path.open("rb") as file:
            first = json.loads(file.readline())
    except (OSError, ValueError):
        return {}
    return first if isinstance(first, dict) else {}


# --- bytes --------------------------------------------------------------------------------------------------------


def _sealed(first: dict[str, Any], lines: Iterable[str]) -> bytes:
    head = json.dumps(first, ensure_ascii=False, allow_nan=False)[:-1].encode() + b", " + _BEFORE_HASH
    tail = _AFTER_HASH + b"\n" + "".join(lines).encode()
    return head + hashlib.sha256(head + tail).hexdigest().encode() + tail


def _opened(data: bytes, name: str) -> tuple[dict[str, Any], str]:
    """The first line and the text below it. Raises DamagedEvidence."""
    if b"\r" in data:  # a checkout on Windows may have changed the line ends; JSON has no others
        data = data.replace(b"\r\n", b"\n")
    start = data.find(_BEFORE_HASH) + len(_BEFORE_HASH)
    digest, rest = data[start : start + 64], data[start + 64 :]
    whole = hashlib.sha256(data[:start])
    whole.update(rest)
    if whole.hexdigest().encode() != digest:
        raise DamagedEvidence(
            f"{name} is damaged: its contents do not match its own hash; restore it with git, "
            "or delete it and run `pytest` to measure again"
        )
    text, _, body = data.decode().partition("\n")
    first = json.loads(text)
    if first["schema"] < SCHEMA:
        raise OlderEvidence(
            f"{name} has schema {first['schema']}, from before the record was re-keyed, and this mechlib reads "
            f"{SCHEMA}: artifacts/refiled.jsonl says what became of it; what is not listed `pytest` measures again"
        )
    if first["schema"] > SCHEMA:
        raise DamagedEvidence(f"{name} has schema {first['schema']}, this mechlib reads {SCHEMA}: update mechlib")
    return first, body


def write(path: Path, data: bytes) -> None:
    """Files bytes under a temporary name, flushes them to the disk, and renames: never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def refuse_unwritable(folder: Path) -> None:
    """Raises OSError unless a file can be made in this folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".{os.getpid()}.tmp"
    probe.touch()
    probe.unlink()


def append(path: Path, entry: dict[str, Any]) -> None:
    """One line, in one write to a file opened for appending, so that two processes never tear each other's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, (json.dumps(entry, ensure_ascii=False) + "\n").encode())
    finally:
        os.close(descriptor)
