"""The record that ships, judged once for all tests that look at it, in whichever process they run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import pytest

from mechlib.judging.commands.verify import read_records
from mechlib.judging.registration.words import registrations

ROOT = Path(__file__).resolve().parents[2]
MEASURING = ("torch", "transformers", "transformer_lens", "sklearn")
PYTEST = f"""
import sys
import pytest
status = pytest.main(sys.argv[1:])
loaded = sorted(set({MEASURING}) & sys.modules.keys())
print("loaded:", *loaded)
sys.exit(status)
"""


def judged(*options: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Judges filed evidence in a process of its own, which says at the end what it loaded to measure."""
    command = [sys.executable, "-c", PYTEST, "--frozen", "-q", "-p", "no:cacheprovider", *options]
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    settings.pop("PYTHONDONTWRITEBYTECODE", None)  # whoever judges for the second time need not compile again
    return subprocess.run(command, cwd=cwd, env=settings, capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class Whole:
    """One frozen run of everything: its exit status, what it printed, and where its records are."""

    status: int
    printed: str
    path: Path
    words: dict[str, str]  # what the order of commits says of each, which records that travel have not asked

    @property
    def records(self) -> list[dict[str, Any]]:
        read = (json.loads(line) for line in self.path.read_text(encoding="utf-8").split("\n") if line)
        return [{**record, "registration": self.words[record["id"]]} for record in read]


@pytest.fixture(scope="session")
def whole_record(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The whole record, judged by the process that asks first."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    path, printed = folder / "whole.jsonl", folder / "whole.json"
    with filelock.FileLock(folder / "whole.lock"):
        if not printed.is_file():
            result = judged("--records", str(path))
            records = read_records(path)
            registrations(ROOT, records)
            words = {record.id: record.registration for record in records}
            printed.write_text(json.dumps([result.returncode, result.stdout + result.stderr, words]))
    status, said, words = json.loads(printed.read_text())
    return Whole(status, said, path, words)
