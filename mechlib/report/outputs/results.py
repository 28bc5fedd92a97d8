"""Verdicts for machines: results.json, results.csv, a LaTeX table, and the difference between two runs."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mechlib.figures.svg.elements import number
from mechlib.report.content.claim_rows import claim_rows
from mechlib.verdicts.record import Record

SCHEMA = 1
_COLUMNS = (
    "id", "topic", "function", "sentence", "model", "verdict", "twin", "estimate", "low", "high", "n", "clusters",
    "method", "bound", "flags",
)  # fmt: skip
_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "−": "-", "–": "--", "—": "---", "…": r"\ldots{}", "≥": r"$\geq$",
    "≤": r"$\leq$", "\n": " ",
}  # fmt: skip


def results(records: Sequence[Record]) -> dict[str, Any]:
    """results.json as data, schema 1: one entry a claim and model, null where there is no number."""
    return {"schema": SCHEMA, "claims": [_entry(record) for row in claim_rows(records) for record in row.records]}


def _entry(record: Record) -> dict[str, Any]:
    compared = record.comparison
    estimate = compared.estimate if compared else None
    entry = {
        "id": record.id,
        "topic": record.topic,
        "function": record.function,
        "sentence": record.sentence,
        "model": record.model,
        "verdict": record.verdict,
        "twin": record.twin,
        "estimate": estimate.value if estimate else None,
        **{name: getattr(estimate, name, None) for name in ("low", "high", "n", "clusters", "method")},
        "bound": compared.bound if compared else None,
        "flags": list(record.flags),
    }
    return {name: entry[name] for name in _COLUMNS}


def write_results(records: Sequence[Record], path: Path) -> None:
    """Writes results.json. Raises ValueError on NaN and infinity: neither is JSON."""
    save(path, json.dumps(results(records), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_results(path: Path) -> dict[str, Any] | None:
    """An earlier results.json; None where there is none of this schema."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == SCHEMA else None


def as_csv(records: Sequence[Record]) -> str:
    """The entries of results.json as CSV: empty where there is no number, flags joined by "; "."""
    page = io.StringIO()
    writer = csv.DictWriter(page, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for entry in results(records)["claims"]:
        row = {**entry, "flags": "; ".join(entry["flags"])}
        writer.writerow({name: _for_a_sheet(value) for name, value in row.items()})
    return page.getvalue()


def _for_a_sheet(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula is quoted."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def as_latex(records: Sequence[Record]) -> str:
    """A longtable (packages longtable, booktabs) of every claim and model, one line each, text escaped."""
    head = r"Claim & Model & Estimate & 95\,\% interval & Bound & Verdict \\"
    lines = [r"\begin{longtable}{p{0.38\linewidth}lrlll}", r"\toprule", head, r"\midrule", r"\endhead"]
    for row in claim_rows(records):
        for place, record in enumerate(row.records):
            entry = _entry(record)
            sentence = tex(row.first.sentence + (f" ({row.told})" if row.variant else "")) if place == 0 else ""
            interval = (
                f"[{_tex_number(entry['low'])}, {_tex_number(entry['high'])}]" if entry["low"] is not None else "--"
            )
            bound = tex(str(entry["bound"] or "–"))
            cells = (sentence, tex(record.model), _tex_number(entry["estimate"]), interval, bound, tex(record.verdict))
            lines.append(" & ".join(cells) + r" \\")
        lines.append(r"\addlinespace")
    return "\n".join([*lines, r"\bottomrule", r"\end{longtable}", ""])


def tex(text: str) -> str:
    """Text for LaTeX: every character with a meaning there is escaped."""
    return "".join(_TEX.get(letter, letter) for letter in text)


def _tex_number(value: float | None) -> str:
    return "--" if value is None else f"${number(value).replace('−', '-')}$"


def difference(old_results: dict[str, Any], new_records: Sequence[Record], whole: bool = True) -> list[str]:
    """What a run says otherwise than an earlier results.json: one line a claim whose verdict, bound or number moved.

    Claims that only one of the two judged are listed unless the run is a selection (`whole` false).
    """
    old = {entry["id"]: entry for entry in old_results.get("claims", [])}
    new = {entry["id"]: entry for entry in results(new_records)["claims"]}
    lines = []
    for name, entry in new.items():
        before = old.get(name)
        if before is None:
            lines += [f"new: {_short(name)} is {entry['verdict']}"] if whole else []
        elif changes := _changes(before, entry):
            lines.append(f"{_short(name)}: {'; '.join(changes)}")
    gone = [f"gone: {_short(name)} was {entry['verdict']}" for name, entry in old.items() if name not in new]
    return lines + gone if whole else lines


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    changes = []
    for name in ("verdict", "twin", "bound"):
        if before.get(name) != after[name]:
            changes.append(f"{'twins' if name == 'twin' else name} {before.get(name)} -> {after[name]}")
    numbers = [(entry.get("estimate"), entry.get("low"), entry.get("high")) for entry in (before, after)]
    was, now = (f"{number(value)} [{number(low)}, {number(high)}]" for value, low, high in numbers)
    if was != now:  # as shown: another number of threads moves the sixteenth digit
        changes.append(f"{was} -> {now}")
    return changes


def _short(name: str) -> str:
    return name.rsplit("::", 1)[-1].removeprefix("test_")


def save(path: Path, text: str) -> None:
    """Writes text whole or not at all, with the same line ends on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
