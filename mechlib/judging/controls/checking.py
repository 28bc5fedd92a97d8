"""What `mechlib verify` asks of control files: whole, small, named by their key, and of a claim that stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mechlib.evidence.question import CONTROLS
from mechlib.evidence.sealed import ENDING, DamagedEvidence
from mechlib.judging.controls.files import LARGEST, load
from mechlib.verdicts.record import Record


def damaged_control(path: Path, name: str) -> Iterator[str]:
    """One line for a control file that is not what its name says, or larger than one may be. Raises DamagedEvidence."""
    said = load(path).said
    if path.stem.rpartition("--")[2] != str(said["key"])[:8]:
        yield f"{name} is named for another question than it answers: delete it and run `pytest`"
    if path.stat().st_size > LARGEST:
        yield f"{name} has {path.stat().st_size:,} bytes, a control file at most {LARGEST:,}: file fewer means by level"


def unread_controls(folder: Path, judged: Sequence[Record]) -> Iterator[str]:
    """One line for each control file of a claim that is judged no longer, or of an earlier version of it."""
    claims = {f"{record.topic}.{record.function}" for record in judged}
    latest: dict[tuple[str, str], list[Path]] = {}
    for path in sorted((folder / CONTROLS).rglob(f"*{ENDING}")):
        name = path.relative_to(folder.parents[1]).as_posix()
        try:
            said = load(path).said
        except DamagedEvidence:
            continue  # `damaged` says so
        if said["claim"] not in claims:
            yield f"{name} is of {said['claim']}, which is claimed no longer: `git rm` keeps it in history"
        latest.setdefault((said["claim"], str(said["case"])), []).append(path)
    for (claim, _), paths in latest.items():
        if len(paths) > 1:
            yield f"{len(paths)} control files answer one case of {claim}, first {paths[0].name}: keep that of today"
