"""What git knows of the order in which things were committed. Asked once a run, and only of ancestry, never of dates.

A commit comes before another where it is an ancestor of it; of two on parallel branches neither does.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mechlib.verdicts.lines import REFILED, REGISTER
from mechlib.verdicts.register import DamagedRegister, refiled_files

EVIDENCE = "artifacts/evidence"
_LOG = ("log", "--topo-order", "--reverse", "--relative", "--no-renames", "--diff-merges=first-parent")
_CLAIM = re.compile(r"^\+(?:async )?def (test_\w+)")
_FILE = re.compile(r"^\+\+\+ b/(claims/.*\.py)$")


class NoHistory(RuntimeError):
    """Git's history of the record is not at hand, or not whole."""


def git(root: Path, *arguments: str, given: bytes = b"") -> bytes:
    """What git says at `root`. Raises NoHistory where there is no git, or it refuses."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], input=given, capture_output=True, env=environment)
    except OSError:
        raise NoHistory("git is not installed") from None
    if done.returncode:
        raise NoHistory(done.stderr.decode(errors="replace").strip().splitlines()[-1] if done.stderr else "git failed")
    return done.stdout


def head(root: Path) -> str:
    """The commit that the working tree stands on; "" before the first, and without git."""
    try:
        return git(root, "rev-parse", "--verify", "-q", "HEAD").decode().strip()
    except NoHistory:
        return ""


def commits(root: Path) -> Commits:
    """Git's order for the record at `root`. Raises NoHistory where there is none, or where it is cut."""
    try:
        inside = git(root, "rev-parse", "--is-inside-work-tree").decode().strip() == "true"
    except NoHistory as error:
        none = "not a git repository" in str(error)
        raise NoHistory("this is no git repository" if none else f"git cannot be asked ({error})") from None
    if not inside:
        raise NoHistory("this is no git repository")
    if git(root, "rev-parse", "--is-shallow-repository").decode().strip() == "true":
        raise NoHistory("git's history is cut here: run `git fetch --unshallow`")
    if not head(root):
        return Commits(root, {})
    lines = git(root, "rev-list", "--parents", "HEAD").decode().splitlines()
    return Commits(root, {first: tuple(rest) for first, *rest in map(str.split, lines)})


@dataclass(frozen=True)
class Commits:
    """Every commit of the record's history with its parents, and when what came in."""

    root: Path
    parents: dict[str, tuple[str, ...]]
    _ancestors: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)

    def precedes(self, first: str, second: str) -> bool:
        """Whether a commit is an ancestor of another, and not that one itself."""
        if second not in self._ancestors:
            found: set[str] = set()
            waiting = list(self.parents.get(second, ()))
            while waiting:
                one = waiting.pop()
                if one not in found:
                    found.add(one)
                    waiting += self.parents.get(one, ())
            self._ancestors[second] = frozenset(found)
        return first in self._ancestors[second]

    def added(self, path: str) -> tuple[str, ...]:
        """The commits in which a file below artifacts/evidence came in, former keys first; () where none did."""
        former = self._former.get(path, ())
        return tuple(commit for name in (*former, path) for commit in self._added.get(name, ()))

    @property
    def paths(self) -> Iterable[str]:
        """Every file that ever lay below artifacts/evidence, by its name of today."""
        today = {old: new for new, several in self._former.items() for old in several}
        return dict.fromkeys(today.get(path, path) for path in self._added)

    @cached_property
    def _added(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for commit, lines in self._walk("--diff-filter=A", "--name-only", "--", EVIDENCE):
            for path in lines:
                found.setdefault(path, []).append(commit)
        return found

    @cached_property
    def _former(self) -> dict[str, tuple[str, ...]]:
        """Files from before the re-keying, by what they became."""
        try:
            return refiled_files(self.root / REFILED)
        except DamagedRegister:
            return {}  # said by `verify`

    @cached_property
    def claims(self) -> dict[tuple[str, str], str]:
        """The commit in which a claim first stood, by topic and function, whichever file it stood in."""
        found: dict[tuple[str, str], str] = {}
        for commit, lines in self._walk("-p", "-U0", "--", "claims"):
            topic = ""
            for line in lines:
                if line.startswith("+++ "):
                    file = _FILE.match(line)
                    parts = Path(file[1]).parts[1:] if file else ()
                    topic = parts[0] if len(parts) > 1 else (parts[0][:-3].removeprefix("test_") if parts else "")
                elif topic and (claim := _CLAIM.match(line)):
                    found.setdefault((topic, claim[1]), commit)
        return found

    def _walk(self, *options: str) -> Iterator[tuple[str, list[str]]]:
        """Each commit that touches what is named, ancestors first, with what git says of it."""
        if self.parents:
            said = git(self.root, *_LOG, "--format=%x00%H", *options).decode(errors="replace")
            for entry in said.split("\0")[1:]:
                commit, *lines = entry.split("\n")
                yield commit, [line for line in lines if line]

    # The register as it was.

    @cached_property
    def registers(self) -> dict[str, list[str]]:
        """The lines of the register in each commit that changed it, ancestors first."""
        if not self.parents:
            return {}
        name = REGISTER.as_posix()
        touched = git(self.root, "log", "--topo-order", "--reverse", "--full-history", "--format=%H", "--", name)
        found = touched.decode().split()
        return dict(zip(found, self.contents([f"{commit}:./{name}" for commit in found]), strict=True))

    @cached_property
    def lines(self) -> dict[str, str]:
        """The commit in which each line of the register came in."""
        found: dict[str, str] = {}
        for commit, lines in self.registers.items():
            for line in lines:
                found.setdefault(line, commit)
        return found

    @cached_property
    def first_parents(self) -> frozenset[str]:
        """The commits of the main line."""
        return frozenset(git(self.root, "rev-list", "--first-parent", "HEAD").decode().split() if self.parents else ())

    def contents(self, names: list[str]) -> list[list[str]]:
        """The lines of several objects, as "commit:./path"; [] where one is not there."""
        if not names:
            return []
        said = git(self.root, "cat-file", "--batch", given="".join(f"{name}\n" for name in names).encode())
        found: list[list[str]] = []
        at = 0
        for _ in names:
            end = said.index(b"\n", at)
            header = said[at:end].split()
            at = end + 1
            if header[-1] == b"missing":
                found.append([])
                continue
            size = int(header[2])
            found.append(_lines(said[at : at + size]))
            at += size + 1
        return found


@functools.lru_cache(maxsize=256)
def _lines(data: bytes) -> list[str]:
    return [line for line in data.decode(errors="replace").replace("\r\n", "\n").split("\n") if line.strip()]
