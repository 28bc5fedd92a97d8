"""Exploring: what is asked outside pytest is read from the record, and never written to it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mechlib
from mechlib.evidence import Store, uses, using
from mechlib.evidence.decorator import _scratch_around
from tests.helpers.toys import module, prompts
from tests.helpers.toys import root as root  # a fixture

SCORES = """
@evidence
def scores(model: str, prompts: PromptSet) -> Measurement:
    return Measurement(np.arange(float(len(prompts))) / 3, units=tuple(str(n) for n in range(len(prompts))))
"""


def everything_below(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def toy(root):
    """Evidence in a house whose record has one answer, to the first twenty prompts."""
    _scratch_around.cache_clear()
    loaded = module(root / "claims", SCORES)
    with using(Store(root, say=lambda line: None)):
        loaded.scores("mini-0", prompts())
    return loaded


def test_exploring_reads_the_record(toy, root):
    before = everything_below(root / "artifacts")
    with uses() as used:
        toy.scores("mini-0", prompts())
    assert not used[0].measured
    assert everything_below(root / "artifacts") == before


def test_what_is_measured_outside_pytest_goes_to_scratch_and_one_line_says_so(toy, root, capsys):
    before = everything_below(root / "artifacts")
    with uses() as used:
        toy.scores("mini-0", prompts(start=1))
        toy.scores("mini-0", prompts(start=1))
        toy.scores("mini-0", prompts(start=2))  # prompts are edited under one name, as in a notebook
    assert [use.measured for use in used] == [True, False, True]
    after = everything_below(root / "artifacts")
    assert {file: after[file] for file in before} == before
    scratch = root / "artifacts" / "scratch"
    assert all(file.is_relative_to(scratch) for file in after.keys() - before.keys())
    assert (scratch / "evidence" / used[-1].path).is_file() and (scratch / ".gitignore").read_text() == "*\n"
    lines = capsys.readouterr().err.splitlines()
    assert lines.count("exploring: what is measured here goes to artifacts/scratch, and nothing into the record") == 1
    assert lines[0].startswith("exploring: ")


def test_exploring_inside_a_run_files_nothing_in_its_store(toy, root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    before = everything_below(root / "artifacts")
    with using(Store(root, say=lambda line: None)), mechlib.exploring(tmp_path / "mine") as store, uses() as used:
        toy.scores("mini-0", prompts(start=1))
        toy.scores("mini-0", prompts())
    assert [use.measured for use in used] == [True, False]
    assert (tmp_path / "mine" / "evidence" / used[0].path).is_file() and store.folder == tmp_path / "mine" / "evidence"
    assert everything_below(root / "artifacts") == before


def test_evidence_typed_into_a_repl_far_from_any_repository_goes_to_the_cache(tmp_path):
    body = "    return Measurement([1.0] * n, units=[str(i) for i in range(n)])"
    cell = (
        "import linecache\nfrom mechlib import Measurement\nfrom mechlib.evidence import evidence\n"
        f"text = '@evidence\\ndef one(n: int) -> Measurement:\\n{body}\\n'\n"
        "linecache.cache['<cell>'] = (len(text), None, text.splitlines(True), '<cell>')\n"
        "exec(compile(text, '<cell>', 'exec'))\n"
        "one(3)\n"
    )
    (tmp_path / "far").mkdir()
    environment = {
        **os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "HOME": str(tmp_path),
    }  # fmt: skip
    environment.pop("MECHLIB_ROOT", None)
    command = [sys.executable, "-c", cell]
    done = subprocess.run(command, cwd=tmp_path / "far", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stderr.splitlines()[0]
    filed = [path for path in tmp_path.rglob("one--*.jsonl") if path.is_file()]
    assert len(filed) == 1 and not list((tmp_path / "far").iterdir())
