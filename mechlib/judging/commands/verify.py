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

from mechlib.checkpoints.checkpoint import parent
from mechlib.checkpoints.hub import HUB
from mechlib.checkpoints.packaged.table import PACKAGED
from mechlib.evidence import files, prompt_files, sealed, stamp
from mechlib.evidence.lookup import OLDER, UNFILED
from mechlib.evidence.question import CONTROLS
from mechlib.evidence.stamp import filed_stamp
from mechlib.judging.controls.checking import damaged_control, unread_controls
from mechlib.judging.registration import verified
from mechlib.judging.registration.verified import judged_on
from mechlib.judging.registration.words import registrations
from mechlib.verdicts.record import Record
from mechlib.verdicts.register import REFILED, REGISTER, refiled

LIMIT, ENOUGH = 80_000_000, 72_000_000  # bytes of artifacts/evidence: more is refused, more is a word of caution
_FIGURE = re.compile(r"(?<!\\)\]\(([^)\s]+\.svg)\)")  # shown, or linked


class NotJudged(RuntimeError):
    """The claims could not be judged, so nothing can be said about what they read."""


def verify(root: Path, records: Path | None = None) -> list[str]:
    """Everything that is wrong with the record at `root`, as `checked` finds it; empty where it is whole."""
    return checked(root, records)[0]


def checked(root: Path, records: Path | None = None) -> tuple[list[str], list[str]]:
    """What is wrong with the record at `root`, one line each, and words of caution beside it. Raises NotJudged.

    records   one Record a line, as `pytest --report` writes; without it the claims are judged now (seconds)
    """
    folder = root / "artifacts" / "evidence"
    found = [*damaged(folder), *verified.register(root)]
    judged = read_records(records) if records else judge_frozen(root)
    whole = not any(verified.register(root))
    if whole:  # records that travelled have not asked git; outcomes of sentences and marks hang on it
        registrations(root, judged)
    found += [
        *over_budget(folder, judged),
        *unreadable(judged),
        *verified.withdrawn(root, judged),
        *verified.unfiled(root, judged),
        *unfiled(judged),
        *outdated(judged),
        *orphans(folder, judged),
        *unread_controls(folder, judged),
        *(report(root, judged) if whole else ()),
    ]
    against, unknown = verified.ordered(root)
    late = verified.late(root, judged) if whole else []
    return [*found, *against], [*cautions(root, judged), *unknown, *late]


def cautions(root: Path, judged: Sequence[Record]) -> list[str]:
    """One line where evidence nears its budget."""
    folder = root / "artifacts" / "evidence"
    size = sum(_sizes(folder).values())
    if not ENOUGH < size <= LIMIT:
        return []
    return [f"artifacts/evidence has {_megabytes(size)} of {_megabytes(LIMIT)}; {dearest(folder, judged)}"]


def damaged(folder: Path) -> Iterator[str]:
    """Evidence files that their own hash gives away, and files that are no evidence; one line for all older."""
    older = []
    for path in _files(folder):
        name = path.relative_to(folder.parents[1]).as_posix()
        kind = path.relative_to(folder).parts[0]
        if path.suffix != (".json" if kind == stamp.STAMPS else sealed.ENDING):
            why = "was left by a run that was killed" if path.suffix == ".tmp" else "is no evidence"
            yield f"{name} {why}: delete it"
            continue
        try:
            if kind == prompt_files.PROMPTS:
                prompt_files.load_prompts(folder, path.stem)
            elif kind == CONTROLS:
                yield from damaged_control(path, name)
            elif kind == stamp.STAMPS:
                if filed_stamp(folder, path.stem) is None:
                    yield f"{name} is damaged: it is not what its name says; restore it with git"
            else:
                files.load(path)
        except sealed.OlderEvidence:
            older.append(path)
        except sealed.DamagedEvidence as error:
            yield str(error).replace(path.name, name, 1)
    if older:
        yield _older(older, folder.parents[1])


def _older(paths: Sequence[Path], root: Path) -> str:
    """What became of evidence from before the record was re-keyed, which a branch may bring."""
    try:
        known = refiled(root / REFILED)
    except ValueError:
        known = {}  # said by `register`
    moved = sum(_key(path) in known for path in paths)
    said = []
    if moved:
        said.append(f"{moved} {_are(moved)} filed under new keys ({REFILED.as_posix()}) and can go")
    if len(paths) > moved:
        rest = len(paths) - moved
        said.append(f"{rest} {_are(rest)} filed under none: `pytest` measures again what claims need")
    files_ = "1 file" if len(paths) == 1 else f"{len(paths)} files"
    return f"artifacts/evidence has {files_} of the old form: {', '.join(said)}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _key(path: Path) -> str:
    """The digits of its key that a file's name ends with, as the register gives them."""
    return path.stem.rpartition("--")[2]


def over_budget(folder: Path, judged: Sequence[Record]) -> Iterator[str]:
    """One line where the evidence has outgrown its budget, with the claims that are dearest."""
    size = sum(_sizes(folder).values())
    if size > LIMIT:
        yield (
            f"artifacts/evidence has {_megabytes(size)}, the budget is {_megabytes(LIMIT)}: file one row a cluster for "
            f"null sets and grids; {dearest(folder, judged)}"
        )


def dearest(folder: Path, judged: Sequence[Record], n: int = 5) -> str:
    """The claims whose evidence is largest, over all their models and twins, each with its size."""
    sizes = _sizes(folder)
    read: dict[str, set[str]] = {}
    for record in judged:
        read.setdefault(f"{record.topic}.{record.function}", set()).update(record.evidence, record.twin_evidence)
    each = {name: sum(sizes.get(folder / path, 0) for path in paths) for name, paths in read.items()}
    most = sorted(each, key=lambda name: each[name], reverse=True)[:n]
    return "dearest are " + ", ".join(f"{name} {_megabytes(each[name])}" for name in most)


def _sizes(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in _files(folder)}


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def unreadable(judged: Sequence[Record]) -> Iterator[str]:
    """Claims that ended in ERROR: what they would have read is unknown."""
    for record in judged:
        if record.verdict == "ERROR":
            yield f"{record.id} ended in ERROR ({record.message}): run `pytest --frozen` on it"


def outdated(judged: Sequence[Record]) -> Iterator[str]:
    """One line on claims on models that ship which rest on instruments whose change nothing bears out.

    What is fetched may be elsewhere: its rows are settled where the weights are.
    """
    fetched = (*HUB, *PACKAGED)
    shipped = (record for record in judged if not any(parent(model.name) in fetched for model in record.models))
    found = [record.id for record in shipped if OLDER in record.flags]
    if found:
        many = f"{len(found)} verdicts, first {found[0]}, rest" if len(found) > 1 else f"{found[0]} rests"
        cure = f"run `pytest --fresh --sample .1` and commit what it stamps and artifacts/{stamp.WITNESSES}"
        yield f"{many} on {OLDER}: {cure}; where few files use an instrument, `pytest --fresh` on the rest"


def unfiled(judged: Sequence[Record]) -> Iterator[str]:
    """One line where clusters, labels or factors of prompts are not what is filed: pages would show those that are."""
    found = [record.id for record in judged if UNFILED in record.flags]
    if found:
        yield (
            f"artifacts/evidence/{prompt_files.PROMPTS} is not what the tasks make today (so say {len(found)} "
            f"verdict{'s' * (len(found) > 1)}, first {found[0]}): run `pytest` and commit what it files"
        )


def orphans(folder: Path, judged: Sequence[Record]) -> Iterator[str]:
    """Evidence that no claim reads, neither for its model nor for a twin.

    What a claim was judged on is not to be deleted: the claim comes back, or git keeps what was replaced. Where a claim
    ended in ERROR nobody knows what it would have read, and nothing is to be deleted before that is mended.
    """
    unread = list(_unread(folder, judged))
    if unread and any(record.verdict == "ERROR" for record in judged):
        several = f"{len(unread)} of the files in artifacts/evidence"
        unread = [f"{several} may be read by claims that ended in ERROR: mend these first, delete none"]
    yield from unread


def _unread(folder: Path, judged: Sequence[Record]) -> Iterator[str]:
    latest, ever = judged_on(folder.parents[1] / REGISTER)
    retracted = verified.retracted(folder.parents[1], judged)
    read = {path for record in judged for path in (*record.evidence, *record.twin_evidence)}
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        kind = path.relative_to(folder).parts[0]
        if path.suffix != sealed.ENDING or kind in (prompt_files.PROMPTS, CONTROLS) or name in read:
            continue
        if files.first_line(path).get("schema", sealed.SCHEMA) != sealed.SCHEMA:
            continue  # `damaged` says what an older one is
        said = f"artifacts/evidence/{name} is read by no claim"
        if latest.get(_key(path)) in retracted:
            yield f"{said}: {latest[_key(path)]} was judged on it and is retracted; `git rm` keeps it in history"
        elif _key(path) in latest:
            yield f"{said}, and {latest[_key(path)]} was judged on it: bring back that claim as it measured"
        elif _key(path) in ever:
            yield f"{said} any more, and {ever[_key(path)]} was judged on it before: `git rm` keeps it in history"
        else:
            yield f"{said}: delete it"
    named = [files.first_line(folder / name) for name in read]
    of_controls = (files.first_line(path).get("stamps", {}) for path in (folder / CONTROLS).rglob(f"*{sealed.ENDING}"))
    stamps = {name for found in of_controls for name in found.values()}
    for kind, field, ending in ((prompt_files.PROMPTS, "prompts", sealed.ENDING), (stamp.STAMPS, "stamp", ".json")):
        wanted = {first.get(field) for first in named} | (stamps if kind == stamp.STAMPS else set())
        for path in sorted((folder / kind).glob(f"*{ending}")):
            if path.stem not in wanted:
                yield f"artifacts/evidence/{kind}/{path.name} is named by no evidence: delete it"


def report(root: Path, judged: Sequence[Record]) -> Iterator[str]:
    """A line for each file of REPORT.md and artifacts/record that is not what evidence and text say, for what is wrong
    with the text, and for each figure that they lack."""
    from mechlib.report.content.record_book import RecordBook
    from mechlib.report.paper.committed import CURE, Committed

    made = Committed(RecordBook(judged, root))
    yield from made.differing()
    for path in made.paths:
        text = (root / path).read_text(encoding="utf-8") if (root / path).is_file() else ""
        for figure in dict.fromkeys(_FIGURE.findall(text)):
            if not (root / path.parent / figure).is_file():
                yield f"{path.as_posix()} shows {figure}, which is missing: {CURE}"


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
        return [Record.from_json(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    except (OSError, ValueError, TypeError) as error:
        raise NotJudged(f"{path} holds no records ({error}): `pytest --frozen --records {path}` writes them") from error


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
