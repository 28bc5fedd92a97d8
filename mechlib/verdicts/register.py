"""The register of bounds: what was claimed when a claim was first judged, and every change since.

`artifacts/register.jsonl` is committed. One line says: this claim, asked so, was held against this bound on
this evidence, and ended with this word. A line is never edited; a later judgement that asks otherwise, or ends
otherwise, is appended, and the report shows the difference beside the claim for good.

Its first lines are those of the register before claims had ids without files and evidence its present keys, translated,
each with the hash of the line that it stands for; that register is kept as it was in
`artifacts/register/before-rooms.jsonl`, and `artifacts/refiled.jsonl` says which key became which.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

from mechlib.verdicts.verdict import Outcome

REGISTER = Path("artifacts") / "register.jsonl"
BEFORE_ROOMS = Path("artifacts") / "register" / "before-rooms.jsonl"
REFILED = Path("artifacts") / "refiled.jsonl"
FORMER = Path("artifacts") / "bounds.jsonl"
# The words that are filed: an ERROR is no answer, and neither is a claim that was not asked.
ANSWERS: tuple[Outcome, ...] = ("SUPPORTED", "REFUTED", "INCONCLUSIVE", "VOID")
# What became of the record once, and is never written again: sha256 and number of lines.
FROZEN = {
    BEFORE_ROOMS: ("97e676fcf9325aea371f9419c98879f887e4d01a1ce5524313b75b464b704f8d", 1379),
    REFILED: ("5d6f1a305ecef9b95a90e3bae42cddff3160be6d1c71d509a17e5ac4ad9e9c7a", 2134),
}
_MARKERS = ("<<<<<<<", "=======", ">>>>>>>")
_NODE = re.compile(r"claims/test_(\w+)\.py::(\w+)(\[.*\])?")


class DamagedRegister(ValueError):
    """The register of bounds cannot be read, so nothing may be added to it."""


@dataclass(frozen=True)
class Judgement:
    """One line of the register.

    question  hashes what is compared; `evidence` lists keys of the files
    verdict   the claim's final word, one of ANSWERS. Lines from before twins were heard have the comparison's
    was       the sha256 of the line that this one is translated from; "" of a line of its own
    """

    claim: str
    bound: str
    question: str
    evidence: tuple[str, ...]
    verdict: str
    was: str = ""

    @property
    def said(self) -> tuple[str, str, tuple[str, ...], str]:
        """What makes two judgements the same: what was asked, and the word that came out."""
        return self.bound, self.question, self.evidence, self.verdict

    def line(self) -> str:
        """The judgement as a line of the register."""
        said = asdict(self)
        if not self.was:
            del said["was"]
        return json.dumps(said, ensure_ascii=False)


class Register:
    """The register, read once and appended to. `writable=False` remembers what is new without filing it.

    Raises DamagedRegister. `unwritten` says why the last new line could not be filed; "" where it was.
    """

    def __init__(self, path: Path, writable: bool = True) -> None:
        self.path = path
        self.writable = writable
        self.unwritten = ""
        self._known: dict[str, list[Judgement]] = {}
        for number, line in enumerate(_lines(path), start=1):
            judgement = _read(line, path, number)
            if _NODE.fullmatch(judgement.claim):
                raise DamagedRegister(
                    f"{_shown(path)}, line {number}, is about {judgement.claim}, an id from before topics had folders: "
                    f"today it is {address(judgement.claim)}; translate the line (mechlib.verdicts.register.translated)"
                )
            self._known.setdefault(judgement.claim, []).append(judgement)

    @property
    def latest(self) -> dict[str, Judgement]:
        """The last judgement of each claim."""
        return {claim: judgements[-1] for claim, judgements in self._known.items()}

    @property
    def all(self) -> list[Judgement]:
        """Every judgement, those of one claim in their order."""
        return [judgement for judgements in self._known.values() for judgement in judgements]

    def add(self, judgement: Judgement) -> tuple[list[str], bool]:
        """Files a judgement if it says anything new; returns the history to show, and whether it was known.

        Raises ValueError where the claim has no answer to be filed (ERROR, GATED, NOT RUN).
        """
        if judgement.verdict not in ANSWERS:
            raise ValueError(f"{judgement.claim} ended {judgement.verdict}: the register has {', '.join(ANSWERS)} only")
        earlier = self._known.setdefault(judgement.claim, [])
        known = bool(earlier) and earlier[-1].said == judgement.said
        if not known:
            earlier.append(judgement)
            if self.writable:
                try:
                    _append(self.path, judgement)
                except OSError as error:
                    self.unwritten = error.strerror or str(error)
        return _history(earlier), known

    def history(self, claim: str, word: str = "") -> list[str]:
        """What is shown of the former judgements of a claim, which today ends in `word`, if in none of ANSWERS."""
        earlier = self._known.get(claim, [])
        former = [f"{word} now, it was {earlier[-1].verdict} at {earlier[-1].bound}"] if earlier and word else []
        return [*_history(earlier), *former]


def _history(judgements: list[Judgement]) -> list[str]:
    lines = []
    for old, new in pairwise(judgements):
        if new.bound != old.bound:
            lines.append(f"bound {old.bound} -> {new.bound} after evidence (it was {old.verdict})")
        if new.question != old.question:
            lines.append(f"the compared expression changed after evidence (it was {old.verdict} at {old.bound})")
        elif new.evidence != old.evidence:
            was = f"it was {old.verdict} at {old.bound}"
            lines.append(f"measured anew after a change of prompts, code or weights ({was})")
        elif new.bound == old.bound and new.verdict != old.verdict:
            lines.append(f"{old.verdict} -> {new.verdict} on the same question and evidence")
    return lines


# --- what became of ids and keys ----------------------------------------------------------------------------------


def address(node: str) -> str:
    """The id of a claim from the node id that it had while topics were files; other ids as they are.

    "claims/test_ioi.py::test_x[mini-0]" -> "ioi.test_x[mini-0]"
    """
    found = _NODE.fullmatch(node)
    return f"{found[1]}.{found[2]}{found[3] or ''}" if found else node


def translated(line: str, keys: Mapping[str, str]) -> Judgement:
    """A line of the former register in today's ids and keys (eight digits to eight digits); unknown keys stay."""
    old = _read(line, FORMER, 0)
    evidence = tuple(sorted({keys.get(key, key) for key in old.evidence}))
    return replace(old, claim=address(old.claim), evidence=evidence, was=hashlib.sha256(line.encode()).hexdigest())


def refiled(path: Path) -> dict[str, str]:
    """Which key became which, each by its first eight digits. Raises DamagedRegister for a map that cannot be read,
    or that says two things of one file."""
    keys: dict[str, str] = {}
    said: dict[str, str] = {}
    for number, line in enumerate(_lines(path), start=1):
        try:
            row = json.loads(line)
            old, new, source, target = row["old"][:8], row["new"][:8], str(row["from"]), str(row["to"])
        except (ValueError, TypeError, KeyError) as error:
            raise DamagedRegister(_damaged(path, f"line {number} maps no key ({error})", "the map")) from None
        if keys.setdefault(old, new) != new or said.setdefault(source, target) != target:
            raise DamagedRegister(
                f"{_shown(path)}, line {number}: {source} became {target} here and another file before: the "
                "record was re-keyed twice, on two branches; keep the lines of the one whose evidence is filed"
            )
    return keys


def past(root: Path) -> Iterator[str]:
    """What is wrong with what the register at `root` keeps of the time before rooms, one line each.

    A register that was never translated keeps nothing, and needs neither the former register nor the map.
    """
    path = root / BEFORE_ROOMS
    register = _lines(root / REGISTER)
    if not path.exists() and not (register and '"was": ' in register[0]):
        return
    wrong = [line for line in (_thawed(root, kept) for kept in FROZEN) if line]
    yield from wrong
    if wrong:
        return
    keys = refiled(root / REFILED)
    for number, old in enumerate(_lines(path)):
        if register[number : number + 1] != [translated(old, keys).line()]:
            name = _shown(REGISTER)
            yield (
                f"{name}, line {number + 1}, is not line {number + 1} of {BEFORE_ROOMS.as_posix()} translated, and was "
                f"when it was written: restore it with `git checkout main -- {name}`, and append new lines at its end"
            )
            return


def _thawed(root: Path, path: Path) -> str:
    """How a file that never changes has changed; "" where it has not."""
    name, (digest, count) = path.as_posix(), FROZEN[path]
    cure = f"`git checkout main -- {name}`"
    if not (root / path).exists():
        return f"{name} is missing, which joins the register to its past: restore it with {cure}"
    lines = (root / path).read_bytes().replace(b"\r\n", b"\n").splitlines(keepends=True)
    if hashlib.sha256(b"".join(lines)).hexdigest() == digest:
        return ""
    more = len(lines) - count
    if path == BEFORE_ROOMS and more > 0 and hashlib.sha256(b"".join(lines[:count])).hexdigest() == digest:
        what, them = ("1 line", "it") if more == 1 else (f"{more} lines", "them")
        return (
            f"{name} has {what} more than the register had, from a branch that was merged: translate {them} "
            f"(CONTRIBUTING.md), append {them} to {REGISTER.as_posix()}, restore the file with {cure}"
        )
    return f"{name} is not what it was ({len(lines)} lines, it had {count}), and never changes: restore it with {cure}"


# --- lines --------------------------------------------------------------------------------------------------------


def _read(line: str, path: Path, number: int) -> Judgement:
    try:
        row = json.loads(line)
        return Judgement(**{**row, "evidence": tuple(row["evidence"])})
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedRegister(_damaged(path, f"line {number} is no judgement ({error})")) from None


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    try:
        lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DamagedRegister(_damaged(path, f"it cannot be read ({error})")) from None
    marker = next((number for number, line in enumerate(lines, start=1) if line.startswith(_MARKERS)), None)
    if marker is not None:
        raise DamagedRegister(_merged(path, marker))
    return lines


def _merged(path: Path, number: int) -> str:
    seen = f"{_shown(path)} has git's conflict marks, first in line {number}"
    if path.name == REFILED.name:
        return (
            f"{seen}: the record was re-keyed on two branches: keep the map of the one whose evidence is filed, with "
            f"`git checkout --ours -- {_shown(path)}` or `git checkout --theirs -- {_shown(path)}`"
        )
    return f"{seen}: claims were judged on two branches: delete the marks and keep the lines of both sides"


def _shown(path: Path) -> str:
    return "/".join(path.parts[-2:])


def _damaged(path: Path, seen: str, what: str = "the register") -> str:
    why = (
        "the proof that bounds came before evidence" if what == "the register" else "what joins the record to its past"
    )
    return f"{_shown(path)} is damaged: {seen}: restore it with `git checkout -- {_shown(path)}`; {what} is {why}"


def _append(path: Path, judgement: Judgement) -> None:
    """One write on a file opened for appending, so that two runs never tear each other's lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
    try:
        os.write(descriptor, (judgement.line() + "\n").encode())
    finally:
        os.close(descriptor)
