"""Plain files of a task's prompts, JSON lines and CSV, for whoever wants them without the library.

The bytes are the same on every machine. Before anything is written it is checked, on the texts themselves, that no
two files share what the task's splits hold apart.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path
from typing import Final

from mechlib.prompts import world
from mechlib.prompts.addition import addition, trained
from mechlib.prompts.greater_than import greater_than
from mechlib.prompts.ioi import ioi
from mechlib.prompts.promptset import Prompt

Row = dict[str, str | int]
Files = dict[str, list[Row]]


def addition_files() -> Files:
    """`train`: the 4,040 pairs that training shows; `discovery`: 310 and `test`: 700 pairs, as in `addition()`.

    Columns: split, a, b, sum, carry (0 or 1, of the units), prompt, answer, distractor, corrupted.
    """
    shown: dict[str, Iterable[Prompt]] = {"train": trained()}
    held_out = {"discovery": addition(split="discovery"), "test": addition()}
    return {name: [_addition_row(name, prompt) for prompt in prompts] for name, prompts in (shown | held_out).items()}


def ioi_files() -> Files:
    """`discovery`: 160 and `test`: 320 sentences, as in `ioi()`. Columns: split, template, order, place, object, and
    prompt, answer, distractor, corrupted."""
    sets = {"discovery": ioi(split="discovery"), "test": ioi()}
    return {name: [_ioi_row(name, prompt) for prompt in prompts] for name, prompts in sets.items()}


def greater_than_files() -> Files:
    """`discovery`: 160 and `test`: 320 sentences, as in `greater_than()`. Columns: split, noun, century, start, and
    prompt, answer, distractor (one year that is right and one that is wrong, of many), corrupted."""
    sets = {"discovery": greater_than(split="discovery"), "test": greater_than()}
    return {name: [_greater_than_row(name, prompt) for prompt in prompts] for name, prompts in sets.items()}


def unordered_pair(row: Row) -> set[str]:
    """The operands that the prompt and its corrupted twin ask for, smaller first."""
    pairs = [sorted(map(int, re.findall(r"\d+", str(row[text])))) for text in ("prompt", "corrupted")]
    return {f"{a} + {b}" for a, b in pairs}


def template_and_names(row: Row) -> set[str]:
    """The template, and the names of the prompt and its corrupted twin."""
    names = {name for lexicon in world.LEXICA for name in world.NAMES[lexicon]}
    return {str(row["template"])} | names & {*str(row["prompt"]).split(), *str(row["corrupted"]).split()}


def noun_and_century(row: Row) -> set[str]:
    """The noun and the century, which the corrupted twin shares."""
    return {str(row["noun"]), str(row["century"])}


# What each task writes, and what of a row no other file may have.
TASKS: Final[dict[str, tuple[Callable[[], Files], Callable[[Row], set[str]]]]] = {
    "addition": (addition_files, unordered_pair),
    "ioi": (ioi_files, template_and_names),
    "greater_than": (greater_than_files, noun_and_century),
}


def export(task: str, folder: Path | str) -> dict[Path, int]:
    """Writes the task's files into a folder, which is made where it is missing; each path with its number of rows.

    Raises ValueError on an unknown task and where two files share what they must not; FileExistsError, having written
    nothing, where a file of one of these names holds something else.
    """
    if task not in TASKS:
        raise ValueError(f"no task {task!r} to export: choose one of {', '.join(TASKS)}")
    make, units = TASKS[task]
    folder, files = Path(folder), make()
    refuse_shared(files, units)
    contents = {folder / f"{name}.jsonl": _json_lines(rows).encode() for name, rows in files.items()}
    contents |= {folder / f"{name}.csv": _csv(rows).encode() for name, rows in files.items()}
    for path, content in contents.items():
        if path.exists() and path.read_bytes() != content:
            raise FileExistsError(f"{path} is there and holds something else: choose another folder, or move it away")
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in contents.items():
        unfinished = path.with_name(f".{path.name}.unfinished")
        unfinished.write_bytes(content)
        unfinished.replace(path)
    return {path: len(files[path.stem]) for path in sorted(contents)}


def refuse_shared(files: Files, units: Callable[[Row], set[str]]) -> None:
    """ValueError where two files have a unit in common, with the first of them."""
    found = {name: set().union(*map(units, rows)) for name, rows in files.items()}
    for one, other in combinations(found, 2):
        if shared := sorted(found[one] & found[other]):
            raise ValueError(
                f"{one} and {other} share {shared[0]!r}{f' and {len(shared) - 1} more' * (len(shared) > 1)}: "
                "nothing is written, for a test would not test"
            )


def _addition_row(split: str, prompt: Prompt) -> Row:
    a, b = int(prompt.label("a")), int(prompt.label("b"))
    row: Row = {"split": split, "a": a, "b": b, "sum": a + b, "carry": int(prompt.label("carry") == "carry")}
    return row | _texts(prompt)


def _ioi_row(split: str, prompt: Prompt) -> Row:
    return {"split": split, "template": prompt.cluster} | dict(prompt.labels) | _texts(prompt)


def _greater_than_row(split: str, prompt: Prompt) -> Row:
    row: Row = {"split": split, "noun": prompt.cluster, "century": prompt.label("century")}
    return row | {"start": int(prompt.label("year"))} | _texts(prompt)


def _texts(prompt: Prompt) -> Row:
    return {
        "prompt": prompt.clean,
        "answer": prompt.answer,
        "distractor": prompt.distractor,
        "corrupted": prompt.corrupted,
    }


def _json_lines(rows: list[Row]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _csv(rows: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
