"""A record in a git repository of its own: claims that need no torch, committed and measured step by step."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mechlib.judging.commands.verify import read_records, verify
from mechlib.judging.registration.words import registrations
from tests.helpers.house import build, import_what_judges

LETTERS = """
def letters(split="confirmation", seed=0, corrupted="KLM"):
    first, second = {"confirmation": ("ABCDE", "FGHIJ"), "discovery": ("PQRST", "UVWXY")}[split]
    pairs = [(f"{seed} {a} {b} {a}", b, f"{seed} {a} {corrupted[0]} {a}", corrupted[0]) for a in first for b in second]
    rows = tuple(Prompt(*pair) for pair in pairs)
    return PromptSet("letters", split, rows, (("seed", seed),))


@evidence
def scored(model: str, prompts: PromptSet, level: float) -> Measurement:
    '''Values around a level, the other way round on a twin; by head where heads are asked for.'''
    import numpy as np
    middle = -level if "@" in model else level
    values = middle + np.linspace(-0.1, 0.1, len(prompts))[:, None] * np.ones((1, 3)) + np.array([[0.0, 0.01, 0.02]])
    return Measurement(values, units=tuple(row.fingerprint for row in prompts), columns=("value", "first", "second"))
"""
ONE = """
@pytest.mark.parametrize("model", ["mini-0"])
def test_it(model):
    '''The level is at least a half.

    Source: made up for this test.
    '''
    assert mean(scored(model, letters(), 0.8)["value"]) >= 0.5
"""


class Committed:
    """A repository at `root`; `run` runs pytest there in this process, `commit` commits all that lies there."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.pytester, self.monkeypatch = pytester.path, pytester, monkeypatch
        self.git("init", "-q", "-b", "main")
        build(self.root, LETTERS)
        self.root.joinpath(".gitignore").write_text("*.pyc\nrecords.jsonl\nartifacts/.locks/\nartifacts/runs.jsonl\n")
        self.commit("models")

    def git(self, *arguments: str, root: Path | None = None) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
        done = subprocess.run(command, cwd=root or self.root, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, message: str = "a step") -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)

    @property
    def file(self) -> Path:
        return self.root / "claims" / "test_topic.py"

    def write(self, claims: str) -> None:
        """The file of claims, with what they measure."""
        header = self.file.read_text().partition("def letters")[0]
        self.file.write_text(header + LETTERS.lstrip() + claims)

    def edit(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    def run(self, *options: str) -> pytest.RunResult:
        for name in [name for name in sys.modules if name.split(".")[0] == "claims"]:
            self.monkeypatch.delitem(sys.modules, name)
        records = () if "--register" in options else ("--records", "records.jsonl")
        return self.pytester.runpytest_inprocess("-q", *records, *options)

    def registered(self, claims: str) -> None:
        """Claims that are written and registered, in one commit."""
        self.write(claims)
        assert self.run("--register").ret == 0
        self.commit("registered")

    def measured(self, *options: str) -> dict[str, dict[str, Any]]:
        """The records of a run that measures what is missing, by id, once what was measured is committed."""
        self.run(*options)
        self.commit("measured")
        return self.words()

    def judged(self) -> dict[str, dict[str, Any]]:
        """The records on what is filed, by id."""
        self.run("--frozen")
        return self.words()

    def words(self) -> dict[str, dict[str, Any]]:
        """The records of the last run, by id, with the words that git gives them now."""
        records = read_records(self.root / "records.jsonl")
        registrations(self.root, records)
        return {record.id: json.loads(record.to_json()) for record in records}

    @property
    def register(self) -> Path:
        return self.root / "artifacts" / "register.jsonl"

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.register.read_text().splitlines()]

    def verify(self) -> list[str]:
        """What `mechlib verify` finds, but that there is no REPORT.md and no artifacts/record."""
        self.run("--frozen")
        found = verify(self.root, self.root / "records.jsonl")
        return [line for line in found if not line.startswith(("REPORT.md", "artifacts/record/"))]


@pytest.fixture
def committed(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Committed:
    import_what_judges()
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    monkeypatch.delenv("MECHLIB_ROOT", raising=False)
    return Committed(pytester, monkeypatch)
