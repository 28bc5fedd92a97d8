"""`pytest --register`: each selected claim that is not measured yet gets its line in the register, and is not judged.

What it chooses heads by (evidence on discovery and reference prompts) is measured and filed with the line. Evidence on
confirmation prompts, or on none, is neither measured nor read: its numbers are what the claim predicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import pytest

from mechlib.checkpoints.checkpoint import IncompleteModel, NotPublished
from mechlib.evidence import EvidenceUse, NoEvidence, Store, using
from mechlib.evidence.decorator import answered_by
from mechlib.evidence.lookup import Body, plan
from mechlib.evidence.measuring import answer
from mechlib.evidence.modules import digest, module_hash, package_folder
from mechlib.evidence.prompt_files import called
from mechlib.evidence.question import Question, prompts_in
from mechlib.judging.claim import Claim
from mechlib.judging.collection import CLAIM, id_of
from mechlib.judging.registration.claimed import identity
from mechlib.judging.registration.commits import head
from mechlib.judging.registration.designs import DesignRefused, check_design, rows_known
from mechlib.judging.registration.seeds import seeds_of
from mechlib.judging.registration.unmeasured import Unmeasured, absorbing
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet
from mechlib.verdicts.register import REGISTER, Register
from mechlib.verdicts.registration import ANNOUNCED, MENDED, PARTS, Identity, Registration, seed_of
from mechlib.verdicts.verdict import judging


def answering(prompts: Iterable[PromptSet]) -> bool:
    """Whether evidence on these prompts answers: on confirmation prompts, or of weights alone."""
    splits = {one.split for one in prompts}
    return not splits or "confirmation" in splits


@dataclass
class Asked:
    """What a claim asks that is to answer it: questions that have evidence already and those that have none."""

    filed: list[Question] = field(default_factory=list)
    missing: list[Question] = field(default_factory=list)
    open: str = ""  # why the call ended before its assert

    @property
    def prompts(self) -> tuple[str, ...]:
        """All sets of confirmation prompts, as the register calls them."""
        sets = [one for question in (*self.filed, *self.missing) for one in prompts_in(question.arguments)]
        return tuple(sorted({called(one) for one in sets if one.split == "confirmation"}))

    @property
    def keys(self) -> tuple[str, ...]:
        """The first eight digits of the keys of what is to be measured, as the register writes them."""
        return tuple(sorted({question.key[:8] for question in self.missing if question.known}))


class NotRegistered(Exception):
    """Why a claim gets no line."""


class Registering:
    """Takes the place of the run: asks each claim what it is about, and measures what it chooses by."""

    def __init__(self, config: pytest.Config, store: Store) -> None:
        self.root, self.store, self.amend = config.rootpath, store, config.getoption("amend") or ""
        self.register = Register(self.root / REGISTER)
        self.said: list[str] = []
        self.written: list[str] = []  # the ids that have a new line
        self.refused = self.asked = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Registers the claims, once all are collected; where a file cannot be read pytest says so."""
        if session.testsfailed:
            return None
        for item in session.items:
            if CLAIM in item.stash:
                self.asked += 1
                arguments = dict(item.callspec.params) if hasattr(item, "callspec") else {}
                self._one(id_of(item), item.stash[CLAIM], arguments)
        return True

    def _one(self, name: str, claim: Claim, arguments: dict[str, Any]) -> None:
        try:
            line = self._line(name, claim, arguments)
            new = self.register.register(line)
        except (NotRegistered, OSError) as error:
            self.refused += 1
            self.said.append(f"{name}: {error}")
            return
        self.written += [name] * new
        how = "registered" if new else "registered already, as it stands"
        rest = f"; all that it asks is not known before: {line.versions['open']}" if line.open else ""
        self.said.append(f"{name}: {how}, {line.identity.bound}{rest}")

    def _line(self, name: str, claim: Claim, arguments: dict[str, Any]) -> Registration:
        today = identity(claim, arguments, name.partition("[")[2].removesuffix("]"))
        lines = self.register.registrations.get(name, [])
        last = lines[-1] if lines else None
        was = self._amended(name, last, today) if self.amend else ""
        same = last is not None and last.identity.digest == today.digest
        if same and last is not None:
            parent, seed = last.parent, last.seed
        elif last is not None and self.amend:
            parent, seed = last.parent, last.seed  # the same draw, measured by a mended function
        else:
            parent = head(self.root)
            seed = seed_of(name, today.question, parent)
        with seeds_of(name, self.root, seed):
            asked = ask(claim, arguments, self.store)
        if not asked.missing and not self.amend:
            if same and last is not None:
                return last
            what = "its evidence is filed already" if asked.filed else "it asks for nothing that is to be measured"
            raise NotRegistered(f"{what}, so that a line would prove nothing: it stays EXPLORATORY")
        versions = _versions() | ({"open": asked.open} if asked.open else {})
        return Registration(
            name, today, asked.prompts, asked.keys, bool(asked.open), parent, seed, self.amend, was, versions
        )

    def _amended(self, name: str, last: Registration | None, today: Identity) -> str:
        """The word that an amended claim had. Raises NotRegistered where more was changed than a measurement."""
        if last is None:
            raise NotRegistered("it was never registered, so there is nothing to amend")
        changed = last.identity.differences(today)
        if not set(changed) - {"expected"}:
            raise NotRegistered("it says what it said when it was registered: there is nothing to amend")
        if more := [PARTS[part] for part in changed if part not in MENDED | ANNOUNCED]:
            raise NotRegistered(f"{' and '.join(more)} changed, and --amend is for evidence functions: claim it anew")
        judged = self.register.latest.get(name)
        return judged.verdict if judged else ""

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Status 0 where every claim has its line, 1 where one has none, 5 where none was selected."""
        if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = 5 if not self.asked else int(self.refused > 0)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """What became of each claim, and what to do next."""
        for line in self.said:
            terminalreporter.write_line(line)
        if self.written:
            terminalreporter.write_line(
                f"{_counted(self.written)} registered in {REGISTER.as_posix()}: commit it with artifacts/evidence, "
                "then run `pytest`; what is measured before that commit is EXPLORATORY for good"
            )


def _counted(ids: Sequence[str]) -> str:
    """ "1 claim", "1 claim in 5 cases": a claim is a function, a case what pytest puts in brackets behind it."""
    from mechlib.report.content.summary import claims_of, plural

    claims = claims_of(ids)
    return plural(claims, "claim") + (f" in {len(ids)} cases" if len(ids) > claims else "")


def ask(claim: Claim, arguments: dict[str, Any], store: Store) -> Asked:
    """Calls a claim with everything that is to answer it unmeasured. Raises NotRegistered where it ends before that."""
    asked = Asked()
    place = Store(store.root, "measure", evidence_dir=store.evidence_dir)  # asked what it would do, and never to do it

    def note(body: Body, question: Question, reading: Store) -> EvidenceUse:
        if not answering(prompts_in(question.arguments)):
            return answer(body, question, reading)
        try:
            missing = plan(question, place).measure
        except (NoEvidence, IncompleteModel):
            missing = True  # the weights are elsewhere
        (asked.missing if missing else asked.filed).append(question)
        unknown = Unmeasured(rows_known(body, question, place))
        return EvidenceUse(question.function, question.model, "", "", cast(Measurement, unknown))

    with (
        using(store),
        judging(claim.chained, gates_open=True),
        answered_by(note),
        absorbing(claim.function, check_design),
    ):
        try:
            claim.function(**arguments)
        except (NoEvidence, NotPublished) as error:
            raise NotRegistered(f"what it chooses by cannot be measured here: {error}") from None
        except DesignRefused as refusal:
            raise NotRegistered(str(refusal)) from None
        except Exception as error:
            if not asked.filed and not asked.missing:
                raise NotRegistered(f"it ends with {type(error).__name__}: {error}") from None
            asked.open = f"{type(error).__name__}: {error}"
    return asked


def _versions() -> dict[str, str]:
    """What is shown beside a line: the version of mechlib, and a hash of its statistics."""
    folder = cast(Path, package_folder("mechlib")) / "mechlib" / "statistics"
    hashes = [module_hash(file, file.stem)[0] for file in sorted(folder.rglob("*.py"))]
    try:
        version = metadata.version("mechlib")
    except metadata.PackageNotFoundError:
        version = "not installed"
    return {"mechlib": version, "statistics": digest(hashes)[:16]}
