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
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from mechlib.verdicts import lines
from mechlib.verdicts.lines import REFILED as REFILED
from mechlib.verdicts.lines import REGISTER as REGISTER
from mechlib.verdicts.lines import DamagedRegister as DamagedRegister
from mechlib.verdicts.lines import Judgement as Judgement
from mechlib.verdicts.registration import Identity, Registration, differences
from mechlib.verdicts.verdict import Outcome

BEFORE_ROOMS = Path("artifacts") / "register" / "before-rooms.jsonl"
FORMER = Path("artifacts") / "bounds.jsonl"
# The words that are filed: an ERROR is no answer, and neither is a claim that was not asked.
ANSWERS: tuple[Outcome, ...] = ("SUPPORTED", "REFUTED", "INCONCLUSIVE", "VOID")
# What became of the record once, and is never written again: sha256 and number of lines.
FROZEN = {
    BEFORE_ROOMS: ("97e676fcf9325aea371f9419c98879f887e4d01a1ce5524313b75b464b704f8d", 1379),
    REFILED: ("5d6f1a305ecef9b95a90e3bae42cddff3160be6d1c71d509a17e5ac4ad9e9c7a", 2134),
}
_NODE = re.compile(r"claims/test_(\w+)\.py::(\w+)(\[.*\])?")


class Register:
    """The register, read once and appended to. `writable=False` remembers what is new without filing it.

    Raises DamagedRegister. `unwritten` says why the last new line could not be filed; "" where it was.
    """

    def __init__(self, path: Path, writable: bool = True) -> None:
        self.path = path
        self.writable = writable
        self.unwritten = ""
        self._known: dict[str, list[Judgement]] = {}
        self.registrations: dict[str, list[Registration]] = {}
        for number, line in enumerate(lines.lines_of(path), start=1):
            judgement = lines.read_line(line, path, number)
            if isinstance(judgement, Registration):
                self.registrations.setdefault(judgement.claim, []).append(judgement)
                continue
            if _NODE.fullmatch(judgement.claim):
                raise DamagedRegister(
                    f"{lines.shown(path)}, line {number}, is about {judgement.claim}, an id from before topics had "
                    f"folders: today it is {address(judgement.claim)}; translate the line "
                    "(mechlib.verdicts.register.translated)"
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

    def judgements(self, claim: str) -> list[Judgement]:
        """The judgements of one claim, in their order."""
        return self._known.get(claim, [])

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
                    lines.append(self.path, judgement.line())
                except OSError as error:
                    self.unwritten = error.strerror or str(error)
        return _history(earlier), known

    def register(self, registration: Registration) -> bool:
        """Files what is claimed before it is measured, if it differs from the claim's last line; whether it did.

        Raises OSError where it cannot be written.
        """
        earlier = self.registrations.setdefault(registration.claim, [])
        if earlier and earlier[-1].said == registration.said:
            return False
        lines.append(self.path, registration.line())
        earlier.append(registration)
        return True

    def since_registered(self, claim: str, today: Identity) -> list[str]:
        """How a claim that was registered changed since, from line to line; shown for good."""
        return differences(self.registrations.get(claim, ()), today)

    def line_of(self, claim: str, today: Identity) -> Registration | None:
        """The last registration that says what the claim says today; a mark may have come since."""
        found = [line for line in self.registrations.get(claim, ()) if line.identity.digest == today.digest]
        return found[-1] if found else None

    def draws(self, claim: str, prompts: tuple[str, ...]) -> list[Judgement]:
        """The judgements of this claim on other draws of prompts than these, the last of each draw."""
        others = {one.prompts: one for one in self._known.get(claim, ()) if one.prompts and one.prompts != prompts}
        return list(others.values())

    def history(self, claim: str, word: str = "") -> list[str]:
        """What is shown of the former judgements of a claim, which today ends in `word`, if in none of ANSWERS."""
        earlier = self._known.get(claim, [])
        former = [f"{word} now, it was {earlier[-1].verdict} at {earlier[-1].bound}"] if earlier and word else []
        return [*_history(earlier), *former]


def tried(draws: list[Judgement]) -> str:
    """ "38 other draws were judged: 1 SUPPORTED, 37 REFUTED"; "" without any."""
    if not draws:
        return ""
    words = Counter(draw.verdict for draw in draws)
    counted = ", ".join(f"{words[word]} {word}" for word in ANSWERS if words[word])
    return f"{len(draws)} other {'draw was' if len(draws) == 1 else 'draws were'} judged: {counted}"


def _history(judgements: list[Judgement]) -> list[str]:
    said = []
    for old, new in pairwise(judgements):
        if new.bound != old.bound:
            said.append(f"bound {old.bound} -> {new.bound} after evidence (it was {old.verdict})")
        if new.question != old.question:
            said.append(f"the compared expression changed after evidence (it was {old.verdict} at {old.bound})")
        elif new.evidence != old.evidence:
            was = f"it was {old.verdict} at {old.bound}"
            said.append(f"measured anew after a change of prompts, code or weights ({was})")
        elif new.bound == old.bound and new.verdict != old.verdict:
            said.append(f"{old.verdict} -> {new.verdict} on the same question and evidence")
    return said


# --- what became of ids and keys ----------------------------------------------------------------------------------


def address(node: str) -> str:
    """The id of a claim from the node id that it had while topics were files; other ids as they are.

    "claims/test_ioi.py::test_x[mini-0]" -> "ioi.test_x[mini-0]"
    """
    found = _NODE.fullmatch(node)
    return f"{found[1]}.{found[2]}{found[3] or ''}" if found else node


def translated(line: str, keys: Mapping[str, str]) -> Judgement:
    """A line of the former register in today's ids and keys (eight digits to eight digits); unknown keys stay."""
    old = lines.read_line(line, FORMER, 0)
    assert isinstance(old, Judgement), "no claim was registered in the former register"
    evidence = tuple(sorted({keys.get(key, key) for key in old.evidence}))
    return replace(old, claim=address(old.claim), evidence=evidence, was=hashlib.sha256(line.encode()).hexdigest())


def refiled(path: Path) -> dict[str, str]:
    """Which key became which, each by its first eight digits. Raises DamagedRegister for a map that cannot be read,
    or that says two things of one file."""
    keys: dict[str, str] = {}
    said: dict[str, str] = {}
    for number, line in enumerate(lines.lines_of(path), start=1):
        try:
            row = json.loads(line)
            old, new, source, target = row["old"][:8], row["new"][:8], str(row["from"]), str(row["to"])
        except (ValueError, TypeError, KeyError) as error:
            raise DamagedRegister(lines.damaged(path, f"line {number} maps no key ({error})", "the map")) from None
        if keys.setdefault(old, new) != new or said.setdefault(source, target) != target:
            raise DamagedRegister(
                f"{lines.shown(path)}, line {number}: {source} became {target} here and another file before: the "
                "record was re-keyed twice, on two branches; keep the lines of the one whose evidence is filed"
            )
    return keys


def refiled_files(path: Path) -> dict[str, tuple[str, ...]]:
    """The files from before the re-keying, by the file that they became. Raises DamagedRegister."""
    found: dict[str, tuple[str, ...]] = {}
    for row in map(json.loads, lines.lines_of(path) if refiled(path) else ()):
        found[row["to"]] = (*found.get(row["to"], ()), row["from"])
    return found


def past(root: Path) -> Iterator[str]:
    """What is wrong with what the register at `root` keeps of the time before rooms, one line each.

    A register that was never translated keeps nothing, and needs neither the former register nor the map.
    """
    path = root / BEFORE_ROOMS
    register = lines.lines_of(root / REGISTER)
    if not path.exists() and not (register and register[0].startswith('{"claim"') and '"was": ' in register[0]):
        return
    wrong = [line for line in (_thawed(root, kept) for kept in FROZEN) if line]
    yield from wrong
    if wrong:
        return
    keys = refiled(root / REFILED)
    for number, old in enumerate(lines.lines_of(path)):
        if register[number : number + 1] != [translated(old, keys).line()]:
            name = lines.shown(REGISTER)
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
    kept = (root / path).read_bytes().replace(b"\r\n", b"\n").splitlines(keepends=True)
    if hashlib.sha256(b"".join(kept)).hexdigest() == digest:
        return ""
    more = len(kept) - count
    if path == BEFORE_ROOMS and more > 0 and hashlib.sha256(b"".join(kept[:count])).hexdigest() == digest:
        what, them = ("1 line", "it") if more == 1 else (f"{more} lines", "them")
        return (
            f"{name} has {what} more than the register had, from a branch that was merged: translate {them} "
            f"(CONTRIBUTING.md), append {them} to {REGISTER.as_posix()}, restore the file with {cure}"
        )
    return f"{name} is not what it was ({len(kept)} lines, it had {count}), and never changes: restore it with {cure}"
