"""Lines of the register: reading them, and appending one. A line is a judgement or a registration."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from mechlib.verdicts.registration import Registration

REGISTER = Path("artifacts") / "register.jsonl"
REFILED = Path("artifacts") / "refiled.jsonl"
_MARKERS = ("<<<<<<<", "=======", ">>>>>>>")


class DamagedRegister(ValueError):
    """The register of bounds cannot be read, so nothing may be added to it."""


@dataclass(frozen=True)
class Judgement:
    """One line of the register.

    question  hashes what is compared; `evidence` lists keys of the files
    verdict   the claim's final word, one of ANSWERS. Lines from before twins were heard have the comparison's
    was       the sha256 of the line that this one is translated from; "" of a line of its own
    prompts   the sets that were judged on, by name; () in lines from before draws were counted
    """

    claim: str
    bound: str
    question: str
    evidence: tuple[str, ...]
    verdict: str
    was: str = ""
    prompts: tuple[str, ...] = ()

    @property
    def said(self) -> tuple[str, str, tuple[str, ...], str]:
        """What makes two judgements the same: what was asked, and the word that came out."""
        return self.bound, self.question, self.evidence, self.verdict

    def line(self) -> str:
        """The judgement as a line of the register."""
        said = {name: value for name, value in asdict(self).items() if value or name not in ("was", "prompts")}
        return json.dumps(said, ensure_ascii=False)


def read_line(line: str, path: Path, number: int) -> Judgement | Registration:
    """What a line says. Raises DamagedRegister."""
    try:
        row = json.loads(line)
        if "registered" in row:
            return Registration.of(row)
        lists = {name: tuple(row[name]) for name in ("evidence", "prompts") if name in row}
        return Judgement(**{**row, **lists})
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedRegister(damaged(path, f"line {number} is no judgement ({error})")) from None


def lines_of(path: Path) -> list[str]:
    """The lines of the register, or of the map; none where it is missing. Raises DamagedRegister."""
    if not path.exists():
        return []
    try:
        lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DamagedRegister(damaged(path, f"it cannot be read ({error})")) from None
    marker = next((number for number, line in enumerate(lines, start=1) if line.startswith(_MARKERS)), None)
    if marker is not None:
        raise DamagedRegister(_merged(path, marker))
    return lines


def _merged(path: Path, number: int) -> str:
    seen = f"{shown(path)} has git's conflict marks, first in line {number}"
    if path.name == REFILED.name:
        return (
            f"{seen}: the record was re-keyed on two branches: keep the map of the one whose evidence is filed, with "
            f"`git checkout --ours -- {shown(path)}` or `git checkout --theirs -- {shown(path)}`"
        )
    return f"{seen}: claims were judged on two branches: delete the marks and keep the lines of both sides"


def shown(path: Path) -> str:
    """A path as errors give it."""
    return "/".join(path.parts[-2:])


def damaged(path: Path, seen: str, what: str = "the register") -> str:
    """What is said of a register, or a map, that cannot be read."""
    why = (
        "the proof that bounds came before evidence" if what == "the register" else "what joins the record to its past"
    )
    return f"{shown(path)} is damaged: {seen}: restore it with `git checkout -- {shown(path)}`; {what} is {why}"


def append(path: Path, line: str) -> None:
    """One write on a file opened for appending, so that two runs never tear each other's lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
    try:
        os.write(descriptor, (line + "\n").encode())
    finally:
        os.close(descriptor)
