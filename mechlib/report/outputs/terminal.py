"""The table of verdicts that a run prints."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from typing import Any

from mechlib.report.content.claim_rows import by_topic, claim_rows, headline, models_of
from mechlib.report.outputs.results import difference
from mechlib.verdicts.record import WORDS, Record

MOST_CHANGES = 20


def verdict_table(
    records: Sequence[Record],
    former: dict[str, Any] | None = None,
    width: int | None = None,
    partial: bool = False,
) -> str:
    """The terminal's table: claims as rows, models as columns, one word a cell; then counts, then what changed.

    `former` is an earlier results.json; a `partial` run does not report what it left out. Where the terminal is
    too narrow for the table each claim gets lines of its own. Plain text: words, no colours.
    """
    if width is None:
        width = shutil.get_terminal_size((100, 24)).columns
    models = models_of(records)
    cells = {
        model: max(len(model or "-"), *(len(r.verdict) for r in records if r.model == model)) + 2 for model in models
    }
    room = width - sum(cells.values())
    lines = _as_table(records, models, cells, room) if records and room >= 26 else _as_list(records, width)
    lines += ["", *textwrap.wrap(headline(records), width)]
    changes = difference(former, records, whole=not partial) if former is not None else []
    if changes:
        lines += ["", "changed since the last report:", *(f"  {line}" for line in changes[:MOST_CHANGES])]
    if len(changes) > MOST_CHANGES:
        lines.append(f"  and {len(changes) - MOST_CHANGES} more")
    return "\n".join(lines)


def _as_table(records: Sequence[Record], models: list[str], cells: dict[str, int], room: int) -> list[str]:
    room = min(room, 2 + max(len(row.name) for row in claim_rows(records)) + 2)
    lines = []
    for topic, rows in by_topic(records).items():
        lines.append(f"{topic[: room - 2]:<{room}}" + "".join(f"{model or '-':<{cells[model]}}" for model in models))
        for row in rows:
            wrapped = _folded(row.name, room - 4)
            words = (row.by_model[m].verdict if m in row.by_model else "" for m in models)
            lines.append(
                f"  {wrapped[0]:<{room - 2}}" + "".join(f"{w:<{cells[m]}}" for m, w in zip(models, words, strict=True))
            )
            lines += [f"    {rest}" for rest in wrapped[1:]]
    return [line.rstrip() for line in lines]


def _as_list(records: Sequence[Record], width: int) -> list[str]:
    lines = []
    for topic, rows in by_topic(records).items():
        lines.append(topic)
        for row in rows:
            lines += [
                f"  {part}" if place == 0 else f"    {part}" for place, part in enumerate(_folded(row.name, width - 4))
            ]
            for word in WORDS:
                models = [record.model or "-" for record in row.records if record.verdict == word]
                if models:
                    lines += textwrap.wrap(
                        f"{word:<13}{' '.join(models)}", width, initial_indent="    ", subsequent_indent=" " * 17
                    )
    return lines


def _folded(name: str, width: int) -> list[str]:
    """A long name in lines, broken after underscores."""
    return [line.replace("_ ", "_") for line in textwrap.wrap(name.replace("_", "_ "), max(width, 8))]
