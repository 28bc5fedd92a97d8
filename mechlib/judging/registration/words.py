"""In a word, what the order of commits shows of a claim: whether it was there before its evidence.

REGISTERED                its line is an ancestor of all evidence that it was judged by, and no prompt of it had
                          confirmation evidence, of any claim on this model, before the line
REGISTERED, PROMPTS SEEN  its line came before its own evidence, and some of its prompts had been seen
AMENDED                   registered so, and an evidence function was mended since, with the reason
EXPLORATORY               no line came before the evidence, for good
CLAIM FIRST, TOGETHER, EVIDENCE FIRST
                          of claims from before there were lines: what the commits of claim and evidence show
ORDER UNKNOWN             git's history is not at hand, or is cut
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mechlib.evidence import files, prompt_files
from mechlib.judging.choices.named import after_looking
from mechlib.judging.registration.commits import EVIDENCE, Commits, NoHistory, commits
from mechlib.verdicts.record import Record
from mechlib.verdicts.register import ANSWERS, REGISTER, Register
from mechlib.verdicts.words import BY_HAND

REGISTERED, SEEN, AMENDED, EXPLORATORY = "REGISTERED", "REGISTERED, PROMPTS SEEN", "AMENDED", "EXPLORATORY"
CLAIM_FIRST, TOGETHER, EVIDENCE_FIRST, UNKNOWN = "CLAIM FIRST", "TOGETHER", "EVIDENCE FIRST", "ORDER UNKNOWN"
WORDS = (REGISTERED, SEEN, AMENDED, EXPLORATORY, CLAIM_FIRST, TOGETHER, EVIDENCE_FIRST, UNKNOWN)


def registrations(root: Path, records: Iterable[Record], register: Register | None = None) -> None:
    """Gives each judged record its word, and what the word rests on. Asks git once; reads nothing that is measured."""
    kept = register or Register(root / REGISTER, writable=False)
    try:
        order = _Order(commits(root), kept)
    except NoHistory as error:
        order, why = None, str(error)
    for record in records:
        if record.verdict in ANSWERS:
            record.registration, record.registration_why = order.word(record) if order else (UNKNOWN, why)
            if order and any(line.startswith(BY_HAND) for line in record.named) and order.looked(record):
                record.named = after_looking(record.named)


def told(records: Iterable[Record]) -> Iterator[str]:
    """What a run says of the words, below its table: how many of each, and of each claim what other draws came to."""
    judged = [record for record in records if record.registration]
    counted = Counter(record.registration for record in judged)
    if set(counted) - {UNKNOWN}:
        said = "; ".join(f"{counted[word]} {word}" for word in WORDS if counted[word])  # some have a comma
        cure = f"; `pytest --register` before measuring, or it stays {EXPLORATORY}" if counted[EXPLORATORY] else ""
        yield f"by the order of commits: {said}{cure}"
    drawn: dict[tuple[str, str], list[str]] = {}
    for record in judged:
        if record.tried:
            claim, _, case = record.id.removesuffix("]").partition("[")
            drawn.setdefault((claim, record.tried), []).append(case)
    for (claim, tried), cases in drawn.items():
        yield claim + (f"[{', '.join(cases)}]" if any(cases) else "") + f": {tried}"


@dataclass(frozen=True)
class _Seen:
    """What one file of confirmation evidence was measured on."""

    model: str
    prompts: frozenset[str]


@dataclass(frozen=True)
class _Order:
    commits: Commits
    register: Register
    _overlaps: dict[tuple[str, str], bool] = field(default_factory=dict, repr=False)

    @property
    def folder(self) -> Path:
        return self.commits.root / EVIDENCE

    def word(self, record: Record) -> tuple[str, str]:
        """The word for one claim, and a sentence."""
        lines = self.register.registrations.get(record.id, [])
        if not lines:
            return self._unregistered(record)
        line = next((line for line in reversed(lines) if line.named == record.registered), None)
        if line is None:
            return EXPLORATORY, "it was registered, and says another thing today"
        first = lines[0] if line.amended else line
        commit = self.commits.lines.get(first.line())
        if commit is None:
            return EXPLORATORY, "its line in the register is not committed, and its evidence is measured"
        if line.amended:
            measured = [path for path in self.commits.paths if path.rpartition("--")[2][:8] in first.evidence]
            if self._before(commit, measured):
                return EXPLORATORY, "its evidence came before its line"
            return AMENDED, f"an evidence function was mended: {line.amended} (it was {line.was or 'not judged'})"
        if early := self._before(commit, self._asserted(record)):
            return EXPLORATORY, f"its line came in with, or after, its evidence ({early[0]})"
        seen = self._seen_before(commit, record)
        if seen:
            return SEEN, f"prompts of it had evidence before its line ({seen})"
        return REGISTERED, "its line was committed before any of its prompts had evidence on this model"

    def _asserted(self, record: Record) -> list[str]:
        """The evidence behind the asserted number, or all of it where none was reached."""
        compared = record.comparison
        sources: list[str] = []
        if compared is not None:
            estimates = [compared.estimate, *(member.estimate for member in compared.members)]
            sources = [source for estimate in estimates for source in estimate.sources]
        return [f"{EVIDENCE}/{source}" for source in dict.fromkeys(sources or record.evidence)]

    def _before(self, commit: str, paths: Iterable[str]) -> list[str]:
        """Those of some files that came in with this commit, before it, or on a branch beside it."""
        return [path for path in paths if not self._all_after(commit, path)]

    def _all_after(self, commit: str, path: str) -> bool:
        return all(self.commits.precedes(commit, added) for added in self.commits.added(path))

    def _unregistered(self, record: Record) -> tuple[str, str]:
        order, why = self._commit_order(record)
        if any(one.was for one in self.register.judgements(record.id)):
            return order, why
        return EXPLORATORY, f"nobody registered it before it was measured; {why}"

    def _commit_order(self, record: Record) -> tuple[str, str]:
        """What the commits of a claim and of its evidence show, and nothing more."""
        claim = self.commits.claims.get((record.topic, record.function))
        added = [commit for path in self._asserted(record) for commit in self.commits.added(path)[:1]]
        if claim is None or not added:
            return TOGETHER, "its claim, or its evidence, is not committed"
        later = sum(self.commits.precedes(claim, commit) for commit in added)
        earlier = sum(self.commits.precedes(commit, claim) for commit in added)
        if later == len(added):
            return CLAIM_FIRST, "its claim was committed before its evidence"
        if earlier == len(added):
            return EVIDENCE_FIRST, "its evidence is older than its claim"
        if earlier:
            return TOGETHER, f"of its {len(added)} evidence files {earlier} are older than its claim"
        return TOGETHER, "its claim and its evidence were committed together"

    # Which prompts had been seen.

    def looked(self, record: Record) -> bool:
        """Whether evidence on confirmation prompts of this task and model does not come after the claim."""
        lines = self.register.registrations.get(record.id, [])
        line = next((line for line in lines if line.named == record.registered), None)
        commit = (
            self.commits.lines.get(line.line()) if line else self.commits.claims.get((record.topic, record.function))
        )
        tasks = {name.rpartition(" ")[0] for name in record.prompts}
        return any(
            commit is None or not self._all_after(commit, path)
            for path, seen in self._confirmed.items()
            if seen.model == record.model and tasks & {name.rpartition(" ")[0] for name in seen.prompts}
        )

    def _seen_before(self, commit: str, record: Record) -> str:
        """A file of evidence on one of a claim's prompts that does not come after its line; "" where there is none."""
        own, models = set(record.prompts), {record.model, *(model.name for model in record.models)}
        for path, seen in self._confirmed.items():
            if seen.model not in models or not any(self._overlap(one, two) for one in own for two in seen.prompts):
                continue
            if not self._all_after(commit, path):
                return path.removeprefix(f"{EVIDENCE}/")
        return ""

    @cached_property
    def _confirmed(self) -> dict[str, _Seen]:
        """Every file of evidence on confirmation prompts that ever was committed."""
        firsts = {path: files.first_line(self.commits.root / path) for path in self.commits.paths}
        gone = [path for path, first in firsts.items() if not first and path.endswith(".jsonl")]
        names = [f"{self.commits.added(path)[0]}:./{path}" for path in gone]
        firsts |= {path: _header(lines) for path, lines in zip(gone, self.commits.contents(names), strict=True)}
        found = {}
        for path, first in firsts.items():
            prompts = frozenset(prompt_files.named_in(first.get("arguments", {}), "confirmation"))
            if prompts:
                found[path] = _Seen(str(first.get("model", "")), prompts)
        return found

    def _overlap(self, one: str, two: str) -> bool:
        """Whether two sets share a text; of one whose texts nobody knows any more, whether they are of one task."""
        if one == two:
            return True
        if (one, two) not in self._overlaps:
            texts, (task, other) = self._members, (name.rpartition(" ")[0] for name in (one, two))
            known = one in texts and two in texts
            self._overlaps[one, two] = bool(texts[one] & texts[two]) if known else task == other
        return self._overlaps[one, two]

    @cached_property
    def _members(self) -> Mapping[str, frozenset[str]]:
        return prompt_files.members(self.commits.root / prompt_files.MEMBERS)


def _header(lines: list[str]) -> dict[str, Any]:
    try:
        first = json.loads(lines[0]) if lines else {}
    except ValueError:
        return {}
    return first if isinstance(first, dict) else {}
