"""The table of verdicts that a run prints."""

from __future__ import annotations

import shutil
import textwrap

from mechlib.report.content.record_book import RecordBook
from mechlib.report.outputs.results import FormerResults, difference
from mechlib.verdicts.record import WORDS

MOST_CHANGES = 20


def verdict_table(
    book: RecordBook,
    former: FormerResults | None = None,
    width: int | None = None,
    partial: bool = False,
) -> str:
    """The terminal's table: claims as rows, models as columns, one word a cell; then counts, then what changed.

    `former` is an earlier results.json; a `partial` run does not report what it left out. Where the terminal is
    too narrow for the table each claim gets lines of its own. Plain text: words, no colours.
    """
    if width is None:
        width = shutil.get_terminal_size((100, 24)).columns
    cells = {model: len(model or "-") + 2 for model in book.models}
    for record in book.records:
        cells[record.model] = max(cells[record.model], len(record.verdict) + 2)
    room = width - sum(cells.values())
    lines = _as_table(book, cells, room) if book.records and room >= 26 else _as_list(book, width)
    lines += ["", *textwrap.wrap(book.headline, width)]
    changes = difference(former, book, whole=not partial) if former is not None else []
    if changes:
        lines += ["", "changed since the last report:", *(f"  {line}" for line in changes[:MOST_CHANGES])]
    if len(changes) > MOST_CHANGES:
        lines.append(f"  and {len(changes) - MOST_CHANGES} more")
    return "\n".join(lines)


def _as_table(book: RecordBook, cells: dict[str, int], room: int) -> list[str]:
    room = min(room, 2 + max(len(row.name) for row in book.rows) + 2)
    lines = []
    for topic, rows in book.topics.items():
        heads = (f"{model or '-':<{wide}}" for model, wide in cells.items())
        lines.append(f"{topic[: room - 2]:<{room}}" + "".join(heads))
        for row in rows:
            name, *rest = _folded(row.name, room - 4)
            by_model = {record.model: record.verdict for record in row.records}
            words = (f"{by_model.get(model, ''):<{wide}}" for model, wide in cells.items())
            lines += [f"  {name:<{room - 2}}" + "".join(words), *(f"    {more}" for more in rest)]
    return [line.rstrip() for line in lines]


def _as_list(book: RecordBook, width: int) -> list[str]:
    lines = []
    for topic, rows in book.topics.items():
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
