"""The store: where evidence is filed, and what may be done when it is missing."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import filelock

from mechlib import checkpoints
from mechlib.evidence import prompt_files, sealed
from mechlib.evidence.question import Hashes, Question
from mechlib.prompts.promptset import PromptSet
from mechlib.verdicts.lines import append

Mode = Literal["measure", "frozen", "fresh", "replace"]
PATIENCE = 3600.0  # seconds that one process waits for another's measurement; then it goes on without the lock


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _this_run() -> str:
    return os.environ.get("PYTEST_XDIST_TESTRUNUID") or f"{os.getpid()}-{time.time_ns()}"


@dataclass(eq=False)
class Store:
    """Where evidence is filed, and what may be done when it is missing.

    mode          "measure" what is missing, "frozen" nothing, "fresh" all, to compare, "replace" all, to file
    device        as asked for on the command line, for the log of runs
    evidence_dir  default root/artifacts/evidence
    say           receives each line of progress; default: standard error
    run           the same in all processes of a run, so that none measures again what another just has
    interactive   in a notebook prompts are edited under the same name; among claims that is refused
    record        read where it has the answer and never written to, as exploring reads what claims filed
    notice        said once, before anything is measured
    controls      whether control runs are measured that are not filed; they are dear
    sample, draw  of evidence of twins and of control files "fresh" measures one in `sample`, below 1 this share of all
                  files; `draw` says which
    """

    root: Path
    mode: Mode = "measure"
    device: str | None = None
    evidence_dir: Path | None = None
    say: Callable[[str], None] = field(default=_print, repr=False)
    run: str = field(default_factory=_this_run)
    interactive: bool = False
    record: Store | None = None
    notice: str = ""
    controls: bool = True
    sample: float = 1
    draw: str = ""
    _settled: set[str] = field(default_factory=set, repr=False)
    _asked: dict[str, Any] = field(default_factory=dict, repr=False)
    _models: dict[str, tuple[checkpoints.Checkpoint, Hashes]] = field(default_factory=dict, repr=False)
    _sets: dict[str, tuple[str, bool]] = field(default_factory=dict, repr=False)
    _members: set[str] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ValueError(f"no mode {self.mode!r}: choose one of {', '.join(get_args(Mode))}")

    @property
    def folder(self) -> Path:
        """Where evidence lies, a folder a topic."""
        return self.evidence_dir or self.root / "artifacts" / "evidence"

    @property
    def known(self) -> dict[str, tuple[checkpoints.Checkpoint, Hashes]] | None:
        """Models that were hashed in this run; in a notebook files may change between two cells, and None is known."""
        return None if self.interactive else self._models

    @property
    def models(self) -> Path:
        """The folder whose fixtures/ are meant, in keys and when models are loaded."""
        named = "MECHLIB_ROOT" in os.environ or not (self.root / "fixtures").is_dir()
        return checkpoints.repository() if named else self.root

    def shown(self, path: Path) -> str:
        """A path as messages give it: relative to the root where it lies below it."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def asked_for(self, question: Question) -> Store:
        """The store to ask: the record where it has the answer, or where a model's files are missing; else this."""
        if self.record is None:
            return self
        filed = not question.known or question.path(self.record.folder).is_file()
        return self.record if filed else self

    def announce(self) -> None:
        """Says the notice, once; what is explored in a repository is none of git's business."""
        if self.notice:
            self.say(self.notice)
            self.notice = ""
            if self.folder.parent.name == "scratch":
                sealed.write(self.folder.parent / ".gitignore", b"*\n")

    # What this run has done already.

    def again(self, key: str, controls: bool = False) -> bool:
        """Whether this run still has to measure this key again, in whichever process.

        controls  it is evidence of a twin, or a control file: "fresh" measures a sample of these
        """
        if self.mode not in ("fresh", "replace") or key in self._settled:
            return False
        if (controls or self.sample < 1) and self.mode == "fresh" and not self._drawn(key):
            return False
        mark = self._lock(key, "settled")
        return not (mark.is_file() and mark.read_text(encoding="utf-8") == self.run)

    def _drawn(self, key: str) -> bool:
        share = self.sample if self.sample < 1 else 1 / self.sample
        return int(hashlib.sha256(f"{self.draw} {key}".encode()).hexdigest()[:8], 16) < share * 16**8

    def settle(self, key: str) -> None:
        """Remembers that this run has measured this key."""
        self._settled.add(key)
        if self.mode in ("fresh", "replace"):
            with suppress(OSError):  # another process of this run then measures it once more
                sealed.write(self._lock(key, "settled"), self.run.encode())

    @contextmanager
    def lock(self, question: Question) -> Iterator[None]:
        """Holds the lock of a question, waiting for another process that measures it.

        Only an optimisation: who comes second reads instead of measuring again. The operating system lets go of the
        lock when its process ends, however it ends; where files cannot be locked, nobody waits.
        """
        path = self._lock(question.key, "lock")
        held = None
        with suppress(OSError, NotImplementedError):
            path.parent.mkdir(parents=True, exist_ok=True)
            held = filelock.FileLock(path)
            try:
                held.acquire(blocking=False)
            except filelock.Timeout:
                self.say(f"waiting for another process, which is measuring {question.name}")
                with suppress(filelock.Timeout):
                    held.acquire(timeout=PATIENCE)
        try:
            yield
        finally:
            if held is not None:
                held.release()

    def _lock(self, key: str, ending: str) -> Path:
        return self.folder.parent / ".locks" / f"{key[:16]}.{ending}"

    # What may not be asked, and which prompts were.

    def refuse_namesakes(self, question: Question) -> None:
        """Raises ValueError where two questions read the same and differ: their files would replace each other."""
        if self.interactive:
            return
        meaning = self._asked.setdefault(f"{question.topic}.{question.function}", question.meaning)
        if meaning != question.meaning:
            raise ValueError(
                f"two evidence functions of the topic {question.topic} are called {question.function}: give one "
                "another name, or the evidence of each takes the other's place"
            )
        asked = self._asked.setdefault(f"{question.topic}.{question.text}", question.parts["arguments"])
        if asked != question.parts["arguments"]:
            raise ValueError(
                f"{question.name}: two sets of prompts read the same, as in {question.text}: give one another name "
                "or other settings, or the evidence for each takes the other's place"
            )

    def file_members(self, sets: Iterable[PromptSet]) -> None:
        """Files which texts sets of confirmation prompts have, so that others can be told from them for good."""
        if self.mode == "frozen" or self.folder != self.root / "artifacts" / "evidence":
            return
        path = self.root / prompt_files.MEMBERS
        for prompts in sets:
            name = prompt_files.called(prompts)
            if prompts.split == "confirmation" and name not in self._members:
                self._members |= prompt_files.members(path).keys()
                if name not in self._members:
                    with suppress(OSError):  # `mechlib verify` says what is missing
                        append(path, prompt_files.member_line(prompts))
                self._members.add(name)

    def file_prompts(self, prompts: PromptSet) -> bool:
        """Files what the statistics know of a set of prompts, where that is not what is filed; whether it is now.

        The set that a task makes today counts, whatever is filed: clusters, labels and factors are no part of a
        measurement.
        """
        name, digest = prompt_files.prompts_name(prompts), prompt_files.rows_of(prompts).digest
        known = self._sets.get(name)
        if known is not None and known[0] == digest:
            return known[1]
        if known is not None and not self.interactive:
            raise ValueError(
                f"two sets of prompts, {prompts!r}, differ in clusters, labels or factors alone: make them one set, or "
                "give one another name, or pages would show the clusters and labels of one of them for both"
            )
        path, data = prompt_files.prompts_path(self.folder, name), prompt_files.encode_prompts(prompts)
        same = path.is_file() and path.read_bytes().replace(b"\r\n", b"\n") == data
        if not same and self.mode != "frozen":
            with suppress(OSError):  # judging goes on with the set in hand
                sealed.write(path, data)
                same = True
        self._sets[name] = (digest, same)
        return same
