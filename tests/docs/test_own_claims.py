"""docs/own-claims.md, followed to the letter: a repository of one's own, with a model of one's own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from tests.docs.pages import ROOT
from tests.helpers.house import records
from tests.helpers.tiny import word_tokenizer

LETTERS = ["<bos>", "<unk>", *"ABCDEFGHIJKLM"]


def toy(folder: Path, seed: int = 0) -> None:
    """A tiny random GPT-2 that knows the letters of the page."""
    import torch

    torch.manual_seed(seed)
    size = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 16, "vocab_size": len(LETTERS)}
    GPT2LMHeadModel(GPT2Config(**size, bos_token_id=0, eos_token_id=0)).save_pretrained(folder)
    word_tokenizer({letter: n for n, letter in enumerate(LETTERS)}).save_pretrained(folder)


def run(root: Path, *options: str, cwd: str = ".") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment.pop("MECHLIB_ROOT", None)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--records", str(root / "records.jsonl")]
    return subprocess.run(
        [*command, *options], cwd=root / cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The repository of the page, with a helper, measured once; and what that run printed."""
    root = tmp_path_factory.mktemp("own")
    text = (ROOT / "docs" / "own-claims.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    helped = block.replace("(load(model), prompts)", "(load(model), sooner(prompts))")
    helped = helped.replace("    from mechlib.lab", "    from helpers import sooner\n    from mechlib.lab")
    assert helped.count("sooner") == 2
    for name, content in {
        "pytest.ini": "",
        "conftest.py": re.search(r'pytest_plugins = \["mechlib.plugin"\]', text)[0] + "\n",
        "helpers.py": "def sooner(prompts):\n    return prompts\n",
        "claims/test_words.py": helped,
    }.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    toy(root / "models" / "toy")
    return root, run(root)


def evidence_of(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "artifacts" / "evidence" / "words").iterdir()}


def test_a_claim_in_a_repository_of_ones_own_is_measured_with_its_twins_and_judged(measured):
    root, done = measured
    (record,) = records(root).values()
    assert done.returncode in (0, 1) and "ERROR" not in done.stdout, done.stdout + done.stderr
    assert record["id"] == "words.test_the_toy_prefers_what_followed[toy]" and record["model"] == "models/toy"
    assert record["verdict"] in ("SUPPORTED", "REFUTED", "INCONCLUSIVE") and record["measured"] == 3
    assert [twin["model"] for twin in record["twins"]] == ["models/toy@untrained", "models/toy@permuted"]
    names = sorted(name.rpartition("--")[0] for name in evidence_of(root))
    assert names == ["differences--toy", "differences--toy-permuted", "differences--toy-untrained"]
    assert len((root / "artifacts" / "register.jsonl").read_text().splitlines()) == 1
    assert str(root) not in (root / "artifacts" / "register.jsonl").read_text() + str(evidence_of(root))


def test_it_is_judged_again_without_measuring_from_every_folder(measured):
    root, _ = measured
    before = evidence_of(root)
    for folder in (".", "claims", "models"):
        asked = ["../claims"] if folder == "models" else []
        done = run(root, "--frozen", *asked, cwd=folder)
        (record,) = records(root).values()
        assert record["measured"] == 0 and record["verdict"] != "ERROR", done.stdout
    assert evidence_of(root) == before


def test_an_edited_helper_is_measured_anew(measured, tmp_path):
    root = shutil.copytree(measured[0], tmp_path / "edited")
    (root / "helpers.py").write_text("def sooner(prompts):\n    same = prompts\n    return same\n")
    frozen = run(root, "--frozen")
    (record,) = records(root).values()
    assert (record["verdict"], frozen.returncode) == ("ERROR", 1)
    assert "since the function changed: run `pytest -k words`" in record["message"]
    run(root)
    (record,) = records(root).values()
    assert record["measured"] == 3 and len(evidence_of(root)) == 3
    assert evidence_of(root).keys().isdisjoint(evidence_of(measured[0]))


def test_it_has_a_report_of_its_own_and_an_audit(measured, tmp_path):
    root = shutil.copytree(measured[0], tmp_path / "reported")
    run(root, "--report")
    for name in ("REPORT.md", "artifacts/record", "artifacts/report/report.html", "artifacts/report/results.json"):
        assert (root / name).exists(), name
    toy(root / "models" / "other", seed=1)
    done = run(root, "--model=../models/other", cwd="claims")
    assert done.returncode == 0, done.stdout
    assert list(records(root)) == ["test_the_toy_prefers_what_followed/other"]
    assert re.search("models/toy: 1 of 1 (SUPPORTED|REFUTED|INCONCLUSIVE)", done.stdout), done.stdout
    assert (root / "artifacts" / "local" / "words").is_dir()


def test_a_root_that_pytest_takes_elsewhere_is_named_with_its_cure(measured, tmp_path):
    root = shutil.copytree(measured[0], tmp_path / "bigger" / "inner")
    (root / "pytest.ini").unlink()
    (tmp_path / "bigger" / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    done = run(root)
    assert done.returncode == 2
    assert "put an empty pytest.ini there, beside conftest.py" in " ".join(done.stdout.split())
