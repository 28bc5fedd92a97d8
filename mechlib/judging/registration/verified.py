"""What `mechlib verify` asks of the register: is it whole, was it only added to, is every claim of it still there?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mechlib.evidence import prompt_files
from mechlib.judging.registration.commits import Commits, NoHistory, commits
from mechlib.judging.registration.seeds import registered_seed
from mechlib.judging.registration.words import EXPLORATORY, registrations
from mechlib.verdicts.lines import lines_of, read_line
from mechlib.verdicts.record import Record
from mechlib.verdicts.register import BEFORE_ROOMS, FORMER, REFILED, REGISTER, Judgement, Register, past, refiled
from mechlib.verdicts.registration import seed_of

NAME = REGISTER.as_posix()


def register(root: Path) -> Iterator[str]:
    """One line where the register of bounds, the map of keys or what is kept of the past is not whole, and where a
    former register is back."""
    unread = []
    for read, path in ((Register, REGISTER), (refiled, REFILED)):
        try:
            read(root / path)
        except ValueError as error:
            unread.append(str(error))
    yield from unread or past(root)
    if (root / FORMER).exists():
        yield (
            f"{FORMER.as_posix()} is the register from before topics had folders: translate what it has beyond "
            f"{BEFORE_ROOMS.as_posix()} (mechlib.verdicts.register.translated), append it to {NAME}, and delete it"
        )


def withdrawn(root: Path, judged: Sequence[Record]) -> Iterator[str]:
    """Lines of the register whose claim is gone without a word: a prediction stays, whatever came out, and so does one
    that nobody measured yet. What is retracted is named in CHANGELOG.md, with why; its lines stay."""
    try:
        kept = Register(root / REGISTER, writable=False)
    except ValueError:
        return  # said by `register`
    claimed = {record.id for record in judged}
    retracted = _named_in(root / "CHANGELOG.md")
    for claim, judgement in kept.latest.items():
        if claim not in claimed and _function(claim) not in retracted:
            yield (
                f"{claim} was judged {judgement.verdict} at {judgement.bound} and is claimed no longer: bring it back, "
                "marked as it came out, or retract it by name in CHANGELOG.md, with why"
            )
    for claim, lines in kept.registrations.items():
        if claim not in claimed and claim not in kept.latest and _function(claim) not in retracted:
            yield f"{claim} was registered at {lines[-1].identity.bound} and is claimed no longer: bring it back"


def retracted(root: Path, judged: Sequence[Record]) -> set[str]:
    """The ids of claims that the register knows, nobody makes, and CHANGELOG.md names."""
    try:
        kept = Register(root / REGISTER, writable=False)
    except ValueError:
        return set()  # said by `register`
    gone = set(kept.latest) - {record.id for record in judged}
    named = _named_in(root / "CHANGELOG.md")
    return {claim for claim in gone if _function(claim) in named}


def _named_in(changelog: Path) -> set[str]:
    """Every word of the CHANGELOG: a claim is retracted by its function's name, with or without `test_`."""
    words = re.findall(r"\w+", changelog.read_text(encoding="utf-8")) if changelog.is_file() else []
    return {word.removeprefix("test_") for word in words}


def _function(claim: str) -> str:
    return claim.partition("[")[0].rpartition(".")[2].removeprefix("test_")


def judged_on(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The keys of evidence that claims were judged on, the last time and ever, each with a claim."""
    try:
        kept = Register(path, writable=False)
    except ValueError:
        return {}, {}  # said by `register`
    latest = {key: judgement.claim for judgement in kept.latest.values() for key in judgement.evidence}
    return latest, {key: judgement.claim for judgement in kept.all for key in judgement.evidence}


def unfiled(root: Path, judged: Sequence[Record]) -> Iterator[str]:
    """One line where judgements, or the texts of prompts that claims were judged on, are not filed."""
    missing = [record.id for record in judged if "NOT REGISTERED" in record.flags]
    if missing:
        yield f"{NAME} lacks {len(missing)} judgements, first that of {missing[0]}: run `pytest` and commit it"
    known = prompt_files.members(root / prompt_files.MEMBERS).keys()
    lacking = sorted({name for record in judged for name in record.prompts} - known)
    if lacking:
        yield (
            f"{prompt_files.MEMBERS.as_posix()} lacks {len(lacking)} sets of prompts, first {lacking[0]}: run `pytest` "
            "and commit it"
        )


def late(root: Path, judged: Sequence[Record]) -> list[str]:
    """One line on claims whose line in the register proves nothing, for it came with their evidence or after it."""
    kept = Register(root / REGISTER, writable=False)
    own = [record for record in judged if record.id in kept.registrations]
    registrations(root, own, kept)
    found = [record for record in own if record.registration == EXPLORATORY]
    if not found:
        return []
    many = f"{len(found)} verdicts are" if len(found) > 1 else "1 verdict is"
    return [f"{many} registered and {EXPLORATORY} all the same, first {found[0].id}: {found[0].registration_why}"]


def ordered(root: Path) -> tuple[list[str], list[str]]:
    """What git's history says against the register, and a caution where there is none or it is cut."""
    try:
        order = commits(root)
    except NoHistory as error:
        return [], [f"{error}: whether claims came before their evidence, and {NAME} was only added to, is not known"]
    try:
        return [*_removed(order), *_unfounded_seeds(order)], []
    except NoHistory as error:
        return [], [f"git: {error}: whether {NAME} was only added to is not known"]


def _removed(order: Commits) -> Iterator[str]:
    """Lines that ever stood in the register, on any branch, and do not stand there now; else whether it has them in
    another order than the main line had."""
    now = lines_of(order.root / REGISTER)
    here = set(now)
    gone = {line: commit for line, commit in order.lines.items() if line not in here}
    yield from (_gone(line, commit) for line, commit in gone.items())
    for commit, lines in order.registers.items() if not gone else ():
        rest = iter(now)
        if commit in order.first_parents and not all(line in rest for line in lines):
            yield f"{NAME} has its lines in another order than in {commit[:8]}: the last of a claim counts; restore it"
            return


def _gone(line: str, commit: str) -> str:
    try:
        row = read_line(line, REGISTER, 0)
    except ValueError:
        return f"{NAME} lacks a line that came in with {commit[:8]}: restore it, for a line is never removed or edited"
    word = f"judged {row.verdict} at {row.bound}" if isinstance(row, Judgement) else f"registered {row.identity.bound}"
    return (
        f"{NAME} lacks the line about {row.claim}, {word}, that came in with {commit[:8]}: a line is never removed or "
        f"edited; restore what `git log -S'{row.claim}' -- {NAME}` finds"
    )


def _unfounded_seeds(order: Commits) -> Iterator[str]:
    """Registrations whose seed is not that of what they say, or of a commit that does not come before them.

    A rebase moves the commit before. It says nothing of a claim in whose topic no prompts are drawn by the seed.
    """
    kept = Register(order.root / REGISTER, writable=False)
    for claim, lines in kept.registrations.items():
        asked = _draws_by_its_seed(order.root, claim.partition(".")[0])
        for line in lines:
            commit = order.lines.get(line.line())
            drawn = line.seed == seed_of(line.claim, line.identity.question, line.parent)
            founded = not asked or commit is None or not line.parent or order.precedes(line.parent, commit)
            if not line.amended and not (drawn and founded):
                yield f"{line.claim} is registered with a seed that is not of its line and a commit before: {line.seed}"


def _draws_by_its_seed(root: Path, topic: str) -> bool:
    files = (*(root / "claims").glob("*.py"), *(root / "claims" / topic).glob("*.py"))
    return any(registered_seed.__name__ in path.read_text(encoding="utf-8") for path in files)
