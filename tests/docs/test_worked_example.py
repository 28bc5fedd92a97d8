"""CONTRIBUTING.md's example, followed to the letter in a repository of its own, for one of its five models.

Matched parts are asked for by the page and not here: they take forty times as long.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.helpers.house import records

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
LOOK, CLAIM = re.findall(r"^```python\n(.*?)^```$", PAGE.partition("## A new claim")[0], re.MULTILINE | re.DOTALL)
MODEL = "mini-1"  # in which it is open
SETTINGS = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    around = {name: value for name, value in os.environ.items() if not name.startswith(("MECHLIB", "PYTEST", "GIT_"))}
    around |= {**SETTINGS, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "120"}
    return subprocess.run(command, cwd=root, env=around, capture_output=True, text=True, check=False)


def commit(root: Path, said: str) -> None:
    for words in (["add", "--all"], ["commit", "--quiet", "--message", said]):
        done = run(root, "git", *words)
        assert done.returncode == 0, done.stderr


def judged(root: Path, line: str) -> tuple[int, dict, str]:
    """A line of the page, of one model: exit status, its record, what was printed."""
    assert re.search(rf"^    {re.escape(line)}( +#.*)?$", PAGE, re.MULTILINE), f"the page has no {line!r}"
    *words, expression = line.split()[1:]
    kept = [] if "--register" in words else ["--records", "records.jsonl"]
    done = run(root, sys.executable, "-m", "pytest", *kept, *words, f"{expression} and {MODEL}")
    found = records(root) if kept else {}
    return done.returncode, next(iter(found.values()), {}), done.stdout + done.stderr


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The topic of the example in a repository of its own, without evidence."""
    root = tmp_path_factory.mktemp("example")
    (root / "claims" / "ioi").mkdir(parents=True)
    for name in ("models.py", "measurements.py", "ioi/measurements.py"):
        shutil.copy(ROOT / "claims" / name, root / "claims" / name)
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    (root / "fixtures").symlink_to(ROOT / "fixtures")
    (root / ".gitignore").write_text(
        "records.jsonl\n.pytest_cache/\nfixtures\nartifacts/.locks/\nartifacts/runs.jsonl\n"
    )
    assert run(root, "git", "init", "--quiet").returncode == 0
    commit(root, "The record")
    (root / "claims" / "ioi" / "test_two_heads.py").write_text(CLAIM, encoding="utf-8")
    commit(root, "Claim: two heads restore two thirds")
    return root


def test_the_look_prints_what_the_page_says(repository):
    done = run(repository, sys.executable, "-W", "ignore", "-c", LOOK)
    (said,) = re.findall(r"# (total .*)$", LOOK, re.MULTILINE)
    assert " ".join(done.stdout.split()) == said.replace(",", ""), done.stderr
    assert not (repository / "artifacts" / "evidence").exists(), "looking files nothing into the record"


def test_from_the_register_to_the_mark(repository):
    status, _, said = judged(repository, "pytest --register -k two_heads_restore_two_thirds")
    assert status == 0 and "registered, >= 0.67" in said, said
    commit(repository, "Registered")

    status, record, said = judged(repository, "pytest -k two_heads_restore_two_thirds")
    assert (status, record["verdict"]) == (1, "INCONCLUSIVE") and "by the order of commits: 1 REGISTERED" in said, said
    assert [twin["model"] for twin in record["twins"]] == [f"{MODEL}@untrained", f"{MODEL}@permuted"]
    commit(repository, "Measured")

    (mark,) = re.findall(r"^    (@open_question.*)$", PAGE, re.MULTILINE)
    file = repository / "claims" / "ioi" / "test_two_heads.py"
    marked = CLAIM.replace("@pytest.mark.parametrize", f"{mark}\n@pytest.mark.parametrize")
    file.write_text(marked.replace("import proportion", "import open_question, proportion"), encoding="utf-8")
    commit(repository, "Marked")
    status, record, said = judged(repository, "pytest -k two_heads_restore_two_thirds")
    assert (status, record["verdict"], record["measured"]) == (0, "INCONCLUSIVE", 0), said
    assert "by the order of commits: 1 REGISTERED" in said and "0.664, from 0.605 to 0.723" in mark
    value = record["comparison"]["estimate"]
    assert [round(value[name], 3) for name in ("value", "low", "high")] == [0.664, 0.605, 0.723]
