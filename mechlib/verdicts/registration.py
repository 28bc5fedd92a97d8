"""What was registered before it was measured: a claim as it stood, in words and hashes, one line of the register.

A registration is compared with what the claim says today, part by part. Moving a file changes none of them, and
neither does a change of mechlib, which is shown beside and is no part of what is claimed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise

# What a reader calls the parts of a claim.
PARTS = {
    "sentence": "the sentence",
    "bound": "the bound",
    "question": "the compared expression",
    "arguments": "the arguments",
    "helpers": "a helper",
    "functions": "an evidence function",
    "expected": "the mark",
    "reported": "the published number",
}
ANNOUNCED = frozenset({"expected", "reported"})  # said in the line, and no part of what is claimed
MENDED = frozenset({"functions"})  # all that an amendment may change


@dataclass(frozen=True)
class Identity:
    """What a claim says of one case.

    sentence   the docstring's first paragraph
    bound      as text, ">= 0.60"
    question   hash of everything that is compared but the bound, `control=` and `beside=` included
    arguments  the case: what parametrize gives, as JSON
    helpers    hash of every function, class and constant of one's own that the claim reads, through helpers
    functions  the evidence functions that it reaches, each with the hash of what it does
    expected   the word that a mark announces; "" without one
    reported   what it counts as beside a paper: number, rank, sentence; "" where it is no published sentence
    """

    sentence: str
    bound: str
    question: str
    arguments: str
    helpers: str
    functions: Mapping[str, str]
    expected: str = ""
    reported: str = ""

    def differences(self, other: Identity) -> list[str]:
        """The parts in which two differ, by their names here."""
        return [part for part in PARTS if getattr(self, part) != getattr(other, part)]

    @property
    def digest(self) -> str:
        """The sha256 of all parts but those that are announced and not claimed."""
        said = {part: getattr(self, part) for part in PARTS if part not in ANNOUNCED}
        return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True)
class Registration:
    """One line of the register: this claim, before it was measured.

    prompts   the sets that it is to be judged on, each with the first digits of its fingerprint
    evidence  keys of what was still to be measured for it; `open` where not all of it can be known before
    seed      for `registered_seed()`, from this line and `parent`, the commit that it was written on
    amended   why an evidence function was mended; "" of a first line. `was` is the word before
    versions  of mechlib and of its statistics: shown, and no part of what is claimed
    """

    claim: str
    identity: Identity
    prompts: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    open: bool = False
    parent: str = ""
    seed: int = 0
    amended: str = ""
    was: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def said(self) -> tuple[object, ...]:
        """What makes two registrations of a claim the same."""
        return self.identity, self.prompts, self.evidence if self.open else (), self.open

    def line(self) -> str:
        """The registration as a line of the register."""
        row = {name: value for name, value in asdict(self).items() if value}  # an empty part says nothing
        del row["claim"]
        identity = {part: said for part, said in row.pop("identity").items() if said or part != "reported"}
        return json.dumps({"registered": self.claim, **identity, **row}, ensure_ascii=False)

    @classmethod
    def of(cls, row: Mapping[str, object]) -> Registration:
        """The registration of a line. Raises KeyError and TypeError where it is none."""
        rest = {key: value for key, value in row.items() if key != "registered"}
        reported = rest.pop("reported", "")  # which lines from before papers were held beside do not have
        parts = {part: rest.pop(part) for part in PARTS if part != "reported"}
        identity = Identity(**parts, reported=reported)  # type: ignore[arg-type]
        rest |= {name: tuple(rest[name]) for name in ("prompts", "evidence") if name in rest}  # type: ignore[arg-type]
        return cls(claim=str(row["registered"]), identity=identity, **rest)  # type: ignore[arg-type]

    @property
    def named(self) -> str:
        """Sixteen digits that the line is known by."""
        return hashlib.sha256(self.line().encode()).hexdigest()[:16]


def seed_of(claim: str, question: str, parent: str) -> int:
    """The seed of a draw that nobody can know before the claim is written: of the claim and the commit it stands on.

    The same for all cases of a function that are registered together.
    """
    said = json.dumps([claim.partition("[")[0], question, parent])
    return int(hashlib.sha256(said.encode()).hexdigest()[:8], 16)


def differences(lines: Sequence[Registration], today: Identity) -> list[str]:
    """What is shown for good beside a claim that was registered: each change from line to line, and since the last."""
    said = []
    for old, new in pairwise(lines):
        why = f": {new.amended} (it was {new.was or 'not judged'})" if new.amended else ""
        verb = "amended" if new.amended else "registered again"
        changed = _changes(old.identity, new.identity)
        if changed or old.prompts != new.prompts or old.identity.reported == new.identity.reported:
            said.append(f"{verb} with {changed or 'other prompts'}{why}")
    if lines and (changed := _changes(lines[-1].identity, today)):
        said.append(f"not as registered: {changed}")
    return said


def _changes(old: Identity, new: Identity) -> str:
    """ "the bound >= 0.50 -> >= 0.40, a helper changed"; not a mark where none was announced, for what came out is
    marked, nor a paper's number that was found later, unless it makes the claim a primary one."""
    said = []
    for part in old.differences(new):
        was, now = getattr(old, part), getattr(new, part)
        if part in ANNOUNCED and not was and "; primary" not in now:
            continue
        if part in ("bound", "sentence", *ANNOUNCED):
            said.append(f"{PARTS[part]} {was or 'none'} -> {now or 'none'}")
        else:
            said.append(f"{PARTS[part]} changed")
    return ", ".join(said)
