"""From a notebook to a claim with twins: the blocks of docs/own-model.md, run as they stand in an empty folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from tests.docs.pages import ROOT

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[str]:
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(("MECHLIB", "PYTEST"))}
    surroundings |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, *command], cwd=folder, env=surroundings, capture_output=True, text=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of one's own, made as the page says."""
    folder = tmp_path_factory.mktemp("mine")
    notebook, claim, conftest = blocks("docs/own-model.md")
    (folder / "claims").mkdir()
    (folder / "notebook.py").write_text(notebook)
    (folder / "claims" / "test_copier.py").write_text(claim)
    (folder / "conftest.py").write_text(conftest)
    trained = run(folder, "-W", "ignore", "notebook.py")
    assert trained.returncode == 0, trained.stderr
    return folder


def judged(folder: Path, *options: str) -> tuple[int, dict, str]:
    """Exit status, the record of the one claim, and what was said."""
    done = run(folder, "-m", "pytest", "--records", "records.jsonl", *options)
    lines = (folder / "records.jsonl").read_text().splitlines()
    (record,) = (json.loads(line) for line in lines)
    return done.returncode, record, done.stdout


def test_a_toy_from_a_notebook_has_a_claim_that_no_twin_makes_void(repository):
    status, record, said = judged(repository)
    assert status == 0 and "1 SUPPORTED. Of the supported ones none is controlled, 1 UNCONTROLLED." in " ".join(
        said.split()
    ), said
    assert record["model"] == "toys/copier" and record["verdict"] == "SUPPORTED"
    filed = sorted(path.name.rpartition("--")[0] for path in repository.glob("artifacts/evidence/copier/*"))
    assert filed == ["carried--copier", "carried--copier-permuted", "carried--copier-untrained"]


def test_the_toy_has_learned_what_it_is_claimed_to_do(repository):
    script = (
        "import sys; sys.path.insert(0, 'claims'); from test_copier import repeats\n"
        "from mechlib.lab import answers_correctly, attention_to, load\n"
        "model = load('toys/copier')\n"
        "print(answers_correctly(model, repeats()).values.mean())\n"
        "print(attention_to(model, repeats(), 'after previous occurrence').values.mean(0).max())\n"
    )
    done = run(repository, "-W", "ignore", "-c", script)
    right, attention = map(float, done.stdout.split())
    assert right > 0.95 and attention > 0.5, "an induction head, in a model that copies"


def test_filed_evidence_of_a_toy_is_judged_without_its_weights_being_read(repository):
    judged(repository)
    status, record, said = judged(repository, "--frozen")
    assert status == 0 and record["verdict"] == "SUPPORTED", said


def test_an_audit_says_what_the_claim_came_to_on_the_model_that_it_names_by_an_id_of_its_own(repository):
    judged(repository)
    done = run(repository, "-m", "pytest", "--model=toys/copier")
    assert done.returncode == 0 and "toys/copier: 1 of 1 SUPPORTED" in done.stdout, done.stdout


def test_a_toy_that_was_trained_on_is_another_model(repository):
    judged(repository)
    file = repository / "toys" / "copier" / "model.safetensors"
    before, weights = file.read_bytes(), load_file(file)
    save_file(weights | {"unembed.weight": -weights["unembed.weight"]}, file)
    try:
        status, record, said = judged(repository)
        assert status == 1 and record["verdict"] == "REFUTED", said
    finally:
        file.write_bytes(before)


def test_the_readmes_lines_are_the_pages_own():
    lines = [line for block in blocks("docs/own-model.md") for line in block.splitlines()]
    (short,) = (block for block in blocks("README.md") if "toys/copier" in block)
    said = [line.replace(' [...]"""', "") for line in short.splitlines() if line and not line.startswith("#")]
    assert [line for line in said if line not in lines] == [] and "save(" in said[0]
    assert sum('"""' not in line for line in said) <= 10
