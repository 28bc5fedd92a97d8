"""Whether the committed record is whole: its evidence sound and read by some claim, its report what the evidence says.

Which evidence the claims read is not guessed from names: they are judged once, frozen, in a process of their own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mechlib.bounds import Bounds
from mechlib.checkpoints import HUB, parent
from mechlib.evidence import store
from mechlib.evidence.filing import OLDER
from mechlib.record import Record

BUDGET = 34_000_000  # bytes of artifacts/evidence with these topics; 40 million are the limit ever
_FIGURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")


class NotJudged(RuntimeError):
    """The claims could not be judged, so nothing can be said about what they read."""


def verify(root: Path, records: Path | None = None) -> list[str]:
    """Everything that is wrong with the record at `root`, one line each; empty where it is whole.

    records   one Record a line, as `pytest --report` writes; without it the claims are judged now (seconds)

    Raises NotJudged.
    """
    folder = root / "artifacts" / "evidence"
    found = [*damaged(folder), *over_budget(folder), *register(root)]
    judged = read_records(records) if records else judge_frozen(root)
    return [
        *found,
        *unreadable(judged),
        *withdrawn(root, judged),
        *outdated(judged),
        *orphans(folder, judged),
        *report(root, judged),
    ]


def damaged(folder: Path) -> Iterator[str]:
    """Evidence files that their own hash gives away, and files that are no evidence."""
    for path in _files(folder):
        name = path.relative_to(folder.parents[1]).as_posix()
        if path.suffix != store.ENDING:
            why = "was left by a run that was killed" if path.suffix == ".tmp" else "is no evidence"
            yield f"{name} {why}: delete it"
            continue
        try:
            store.load(path)
        except store.DamagedEvidence as error:
            yield str(error).replace(path.name, name, 1)


def over_budget(folder: Path) -> Iterator[str]:
    """One line where the evidence has outgrown its budget, with the largest files."""
    sizes = {path: path.stat().st_size for path in _files(folder)}
    if sum(sizes.values()) > BUDGET:
        largest = sorted(sizes, key=lambda path: sizes[path], reverse=True)[:3]
        shown = ", ".join(f"{path.relative_to(folder).as_posix()} {sizes[path] / 1e6:.1f} MB" for path in largest)
        yield (
            f"artifacts/evidence has {sum(sizes.values()) / 1e6:.1f} MB, the budget is {BUDGET / 1e6:.0f} MB: file one "
            f"row a cluster for null sets and grids; the largest are {shown}"
        )


def register(root: Path) -> Iterator[str]:
    """One line where the register of bounds cannot be read."""
    try:
        Bounds(root / "artifacts" / "bounds.jsonl", writable=False)
    except ValueError as error:
        yield str(error)


def unreadable(judged: Sequence[Record]) -> Iterator[str]:
    """Claims that ended in ERROR: what they would have read is unknown."""
    for record in judged:
        if record.verdict == "ERROR":
            yield f"{record.id} ended in ERROR ({record.message}): run `pytest --frozen` on it"


def withdrawn(root: Path, judged: Sequence[Record]) -> Iterator[str]:
    """Judgements of the register whose claim is gone: a prediction stays, whatever came out."""
    try:
        filed = Bounds(root / "artifacts" / "bounds.jsonl", writable=False).latest
    except ValueError:
        return  # said by `register`
    claimed = {record.id for record in judged}
    for claim, judgement in filed.items():
        if claim not in claimed:
            yield (
                f"{claim} was judged {judgement.verdict} at {judgement.bound} and is claimed no longer: bring it back, "
                "marked as it came out"
            )


def outdated(judged: Sequence[Record]) -> Iterator[str]:
    """Claims on models that ship whose evidence was measured with other instruments than today's.

    A Hub model's weights may be elsewhere, so there the flag stays a flag.
    """
    for record in judged:
        hub = any(parent(entry["name"]) in HUB for entry in record.models)
        if OLDER in record.flags and not hub:
            yield f"{record.id} rests on {OLDER}: run `pytest --fresh` on it and commit the new stamps"


def orphans(folder: Path, judged: Sequence[Record]) -> Iterator[str]:
    """Evidence that no claim reads, neither for its model nor for a twin."""
    read = {path for record in judged for path in (*record.evidence, *record.twin_evidence)}
    unsure = " (or a claim that ended in ERROR would)" if any(record.verdict == "ERROR" for record in judged) else ""
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if path.suffix == store.ENDING and name not in read:
            yield f"artifacts/evidence/{name} is read by no claim{unsure}: delete it"


def report(root: Path, judged: Sequence[Record]) -> Iterator[str]:
    """One line where REPORT.md is not what the evidence says, and one for each figure that it lacks."""
    from mechlib.report.markdown import report_md

    cure = "run `pytest --report`, read it, commit it"
    try:
        filed = (root / "REPORT.md").read_text(encoding="utf-8")
    except FileNotFoundError:
        yield f"REPORT.md is missing: {cure}"
        return
    wanted = report_md(sorted(judged, key=lambda record: record.id), root)
    if filed != wanted:
        lines = zip(f"{filed}\n".splitlines(), f"{wanted}\n".splitlines(), strict=False)
        first = next((number for number, (is_, should) in enumerate(lines, start=1) if is_ != should), None)
        where = f"from line {first} on" if first else "at its end"
        yield f"REPORT.md is not what the evidence says, {where}: {cure}"
    for figure in dict.fromkeys(_FIGURE.findall(filed)):
        if not (root / figure).is_file():
            yield f"REPORT.md shows {figure}, which is missing: {cure}"


def judge_frozen(root: Path) -> list[Record]:
    """The records of all claims at `root`, judged now on filed evidence alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.jsonl"
        command = [sys.executable, "-m", "pytest", "--frozen", "-q", "-p", "no:cacheprovider", f"--records={path}"]
        environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
        run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
        if run.returncode not in (0, 1) or not path.is_file():
            last = "\n".join((run.stdout + run.stderr).strip().splitlines()[-12:])
            raise NotJudged(
                f"the claims cannot be judged, `pytest --frozen` ends with status {run.returncode}:\n{last}"
            )
        return read_records(path)


def read_records(path: Path) -> list[Record]:
    """The records in a file, one a line. Raises NotJudged where it is missing or damaged."""
    try:
        return [Record.from_json(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise NotJudged(f"{path} holds no records ({error}): `pytest --frozen --records {path}` writes them") from error


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
