"""Audits of real weights under the record's claims, as the README has them."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from mechlib.verdicts.register import Register
from tests.helpers.house import records
from tests.helpers.tiny import edit_json

ROOT = Path(__file__).resolve().parents[2]
KEPT = ("claims", "conftest.py", "pyproject.toml", "fixtures", "artifacts/evidence", "artifacts/register.jsonl")


@pytest.fixture
def record(tmp_path):
    """A folder with the record's claims, register and models, in which an audit may write."""
    (tmp_path / "artifacts").mkdir()
    for name in KEPT:
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    environment.pop("MECHLIB_ROOT", None)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--records", "records.jsonl", *words]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def test_a_mini_under_another_name_gets_its_own_verdicts(record):
    shutil.copytree(ROOT / "fixtures" / "mini-3", record / "renamed")
    (record / "renamed" / "card.json").unlink()
    asked = "induction and (some_head_looks or looks_there_too or carriers_look_at or mlps_write_most)"
    done = run(record, "--model=renamed", "-k", asked)
    assert done.returncode == 0, done.stdout + done.stderr
    latest = Register(ROOT / "artifacts" / "register.jsonl", writable=False).latest
    found = {row["id"].replace("renamed", "mini-3"): row["verdict"] for row in records(record).values()}
    # An audit exchanges no parts: what is VOID because others stand for them is SUPPORTED there.
    filed = {id_: latest[id_].verdict.replace("VOID", "SUPPORTED") for id_ in found if id_ in latest}
    assert len(filed) >= 4 and len(set(filed.values())) >= 2
    assert {id_: found[id_] for id_ in filed} == filed
    # Evidence too is what the record's is: the key has hashes and no name.
    local = {path.name.rpartition("--")[2] for path in (record / "artifacts" / "local").glob("*/*--renamed--*")}
    assert local <= {path.name.rpartition("--")[2] for path in (ROOT / "artifacts" / "evidence").glob("*/*--mini-3--*")}


def tiny_gpt2(folder: Path) -> None:
    """A random GPT-2 of one layer whose tokenizer is the minis'."""
    config = json.loads((ROOT / "fixtures" / "mini-0" / "config.json").read_text())
    size = {"n_layer": 1, "n_head": 2, "n_embd": 16, "vocab_size": config["vocab_size"], "n_positions": 128}
    GPT2LMHeadModel(GPT2Config(**size, bos_token_id=0, eos_token_id=0)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(ROOT / "fixtures" / "mini-0" / name, folder / name)


def test_from_a_directory_to_an_audit_as_the_readme_has_it(record):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^    pytest (--model=path/to/my_model -k \w+)", readme, re.MULTILINE)
    tiny_gpt2(record / "path" / "to" / "my_model")
    before = {path: (ROOT / path).stat().st_mtime_ns for path in ("artifacts/register.jsonl", "artifacts/evidence")}
    done = run(record, *shlex.split(line))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"audit of my_model: up to \d+ measurements, 0 filed already; about \d+ s by", done.stdout)
    assert re.search(
        r"my_model +REFUTED +-?0\.\d+ \[.*\] n=\d+.* >= 4\.00\n +mini-0 to mini-4: 5 of 5 SUPPORTED", done.stdout
    )
    assert "my_model: " in done.stdout and " ERROR" not in done.stdout and "Traceback" not in done.stdout
    assert all(len(line) <= 100 for line in done.stdout.split("- audit -")[1].splitlines())
    assert {path: (ROOT / path).stat().st_mtime_ns for path in before} == before


def test_a_word_that_a_tokenizer_lacks_is_not_asked_and_no_error(record):
    tiny_gpt2(record / "other")
    model = json.loads((record / "other" / "tokenizer.json").read_text())["model"]
    model["vocab"]["23x"] = model["vocab"].pop("23")
    edit_json(record / "other" / "tokenizer.json", model=model)
    done = run(record, "--model=other", "-k", "small_and_large_sums or some_head_looks")
    assert " ERROR" not in done.stdout, done.stdout
    assert re.search(r"NOT ASKED: \d+ verdicts?\n( .*\n)* +\d+  other does not know '23' in", done.stdout), done.stdout
