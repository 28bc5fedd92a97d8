"""Evidence files: one line of provenance, then one JSON line a unit. Written whole or not at all.

    {"schema": 2, "question": "scores(mini-0, induction(confirmation, n=400))", ..., "sha256": "..."}
    ["0.3", [0.912345, 0.003]]

The hash in the first line covers everything else in the file, so damage anywhere is seen. Rows hold the unit's name,
the numbers of its cluster and stratum where there are any (the first line lists their names), then the values, rounded
to six significant digits: what is judged is what is filed.

Where units are the prompts of a set, in its order, rows hold the values alone. Names, clusters and labels of the set's
rows stand once, in prompts/<first digits of its fingerprint>.jsonl (mechlib.evidence.prompt_files): what the statistics
know of a prompt is no part of what was measured on it.

Where an instrument refuses a twin, its refusal is the answer: the first line holds it, and there are no rows.

    {"schema": 2, "question": ..., "refused": "no head: name at least one", "raised": "EmptySelection", "rows": 0, ...}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mechlib.checkpoints.reading import file_state
from mechlib.evidence.prompt_files import PROMPTS, Rows, load_prompts, prompts_name, rows_of
from mechlib.evidence.sealed import SCHEMA, DamagedEvidence, opened, sealed
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet

BY_PROMPT = "by prompt"  # clusters that are the prompts' own
REFUSED, RAISED = "refused", "raised"  # in a first line: what an instrument said, and the name of the error


class InstrumentRefused(ValueError):
    """What an instrument said of a twin that it cannot measure, now or when it was filed."""


@dataclass(frozen=True)
class Refusal:
    """An instrument's refusal: what it said, and the name of the error that it raised."""

    said: str
    raised: str


def encode_refusal(provenance: dict[str, Any], refusal: Refusal) -> bytes:
    """The bytes of a file that holds a refusal in its first line, and no rows."""
    return sealed({"schema": SCHEMA, **provenance, REFUSED: refusal.said, RAISED: refusal.raised, "rows": 0}, ())


def refusal_in(first: Mapping[str, Any]) -> Refusal | None:
    """The refusal that a first line holds; None where something was measured."""
    return Refusal(first[REFUSED], first[RAISED]) if REFUSED in first else None


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
        **({"notes": [list(note) for note in measurement.notes]} if measurement.notes else {}),
        "rows": len(measurement),
    }
    if own is None:
        columns = [[json.dumps(unit, ensure_ascii=False) for unit in measurement.units], *columns]
    lines = []
    for row, values in enumerate(measurement.values.tolist()):
        numbers = f"[{','.join(f'{value:.6g}' for value in values)}]"
        lines.append(f"[{','.join([*(column[row] for column in columns), numbers])}]\n" if columns else f"{numbers}\n")
    return sealed(first, lines)


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
    first, body = opened(data, name)
    if refusal_in(first):  # what nobody estimates from: `@evidence` raises what it says
        return first, Measurement(np.ones(1), ("network",), "network", (REFUSED,), yes_no=True, of=REFUSED)
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
        factors=rows.named if rows is not None else (),
        yes_no=first["yes_no"],
        of=first["of"],
        notes=tuple((column, sentence) for column, sentence in first.get("notes", ())),
    )


_filed: dict[Path, tuple[tuple[Any, ...], dict[str, Any], Measurement]] = {}


def load(path: Path, given: Mapping[str, PromptSet] | None = None) -> tuple[dict[str, Any], Measurement]:
    """The first line and the measurement of an evidence file, kept in memory until the file changes.

    given   sets of prompts by the name that they are filed under, whose clusters, labels and factors of today count;
            who gives none (the report) takes what was read before

    Raises FileNotFoundError, or DamagedEvidence.
    """
    status = path.stat()
    state = file_state(status)
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
