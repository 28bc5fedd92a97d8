"""Bad input ends in one line that says what was seen and what to do, and nothing that is filed is lost."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mechlib import checkpoints
from mechlib.checkpoints.checkpoint import IncompleteModel
from mechlib.checkpoints.files import problems, require_here
from mechlib.checkpoints.resolve import checkpoint
from mechlib.verdicts.register import DamagedRegister, Judgement, Register
from tests.helpers.house import HEADER, build, records
from tests.helpers.toys import model as toy

CLAIM = """
@pytest.mark.parametrize("model", ["mini-0"])
def test_it(model):
    '''The level is at least a half.

    Source: made up for this test.
    '''
    assert {compared} >= 0.5
"""
LEVEL = "mean(around(model, 0.8, 0.0, 100))"


SHOWN = '''
from mechlib import Prompt, PromptSet
from mechlib.figures.plots import by_column, matrix

SUMS = PromptSet("sums", "confirmation", tuple(Prompt(str(n), "x", labels=(("carry", "carry"),)) for n in range(60)))


def by_prompt(model):
    return valued(model, SUMS)


@evidence
def valued(model: str, prompts: PromptSet) -> Measurement:
    """One for each prompt, on twins none."""
    return Measurement([float("@" not in model)] * len(prompts), tuple(row.fingerprint for row in prompts))
'''


def claim(compared: str = LEVEL) -> str:
    return CLAIM.format(compared=compared)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.jsonl")}


def evidence(root: Path) -> list[Path]:
    return sorted((root / "artifacts" / "evidence").rglob("*.jsonl"))


def said(result: pytest.RunResult) -> str:
    return result.stdout.str() + result.stderr.str()


# Weights


def carded(root: Path) -> Path:
    """mini-0 with a card that gives the sha256 of its weights."""
    folder = toy(root, "mini-0")
    sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    (folder / "card.json").write_text(json.dumps({"sha256": sha256}))
    return folder


def test_a_flipped_bit_in_a_minis_weights_is_damage_and_not_another_model(tmp_path):
    file = carded(tmp_path) / "model.safetensors"
    described = checkpoint("mini-0", tmp_path)
    assert not problems(described)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(
        IncompleteModel, match=r"fixtures/mini-0 is damaged: model.safetensors .*git checkout -- fixtures"
    ):
        require_here(described)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_a_truncated_file_beside_the_weights_is_damage(tmp_path, file):
    (carded(tmp_path) / file).write_text('{"model": {"vo')
    with pytest.raises(IncompleteModel, match=f"fixtures/mini-0 is damaged: {file} is damaged"):
        require_here(checkpoint("mini-0", tmp_path))


def test_the_minis_that_ship_are_what_their_cards_say():
    for name in checkpoints.MINIS:
        assert not problems(checkpoint(name))


def test_evidence_outlives_damaged_weights(house, pytester):
    house(claim())
    filed, register = contents(pytester.path / "artifacts" / "evidence"), Path("artifacts/register.jsonl").read_bytes()
    folder = pytester.path / "fixtures" / "mini-0"
    weights = bytearray((folder / "model.safetensors").read_bytes())
    (folder / "card.json").write_text(json.dumps({"sha256": hashlib.sha256(weights).hexdigest()}))
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    result = house(None)
    assert result.ret == 1 and "Traceback" not in said(result)
    result.stdout.fnmatch_lines(
        ["ERROR: fixtures/mini-0 is damaged: *restore it with `git checkout -- fixtures/mini-0`"]
    )
    assert contents(pytester.path / "artifacts" / "evidence") == filed
    assert Path("artifacts/register.jsonl").read_bytes() == register


def test_a_directory_that_is_no_model_is_refused_before_anything_runs(house, pytester):
    build(pytester.path, claim())
    (pytester.path / "empty").mkdir()
    result = house(None, "--model=./empty")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["ERROR: ./empty is incomplete: config.json is missing, *save_pretrained, as safetensors"]
    )
    (pytester.path / "empty" / "pytorch_model.bin").write_bytes(b"cos\nsystem\n")
    assert "is a pickle, which can run code, and is not opened" in said(house(None, "--model=./empty"))


# Claims


REFUSED = {
    "no_such_model": ("mean(around('mini-9', 0.8, 0.0, 100))", "no model 'mini-9': did you mean mini-"),
    "no_units": ("mean(around(model, 0.8, 0.0, 0))", "a measurement without units: nothing was measured"),
    "one_unit": ("mean(around(model, 0.8, 0.0, 1))", "n=1 sequences are too few for an interval"),
    "two_units": ("mean(around(model, 0.8, 0.0, 2))", "n=2 sequences are too few for an interval"),
    "no_column": ("mean(around(model, 0.8, 0.0, 100)['nothing'])", "no column nothing: there are value"),
    "nothing_selected": ("mean(around(model, 0.8, 0.0, 100)[[]])", "no columns were selected"),
    "a_share_of_nothing": (
        "ratio(around(model, 0.8, 0.0, 100), around(model, 0.8, 0.0, 100).less('value', 'value'))",
        "the denominator is 0",
    ),
    "not_a_number": ("mean(around(model, float('nan'), 0.0, 100))", "level of around is nan"),
    "a_list": ("mean(around([model], 0.8, 0.0, 100))", "model of around is a list: make it a tuple"),
    "an_unknown_label": ("mean(by_prompt(model).by('colour'))", "no label 'colour': this prompt has carry"),
    "a_label_of_no_prompts": ("mean(around(model, 0.8, 0.0, 100).by('carry'))", "sequence u0 is none of the prompts"),
    "an_unknown_stratum": (
        "mean(by_prompt(model).by('carry').stratum('maybe'))",
        "no stratum 'maybe': there are carry",
    ),
    "repeats": (
        "mean(PromptSet('same', 'confirmation', (Prompt('a', 'b'),) * 2))",
        "same has 1 distinct prompts among 2",
    ),
}


def test_what_mechlib_refuses_is_said_in_one_line_without_a_traceback(house, pytester):
    claims = [claim(compared).replace("test_it", f"test_{name}") for name, (compared, _) in REFUSED.items()]
    result = house("".join([SHOWN, *claims]))
    assert result.ret == 1 and "Traceback" not in said(result)
    found = records(pytester.path)
    assert {name: found[f"test_{name}/mini-0"]["verdict"] for name in REFUSED} == dict.fromkeys(REFUSED, "ERROR")
    for name, (_, line) in REFUSED.items():
        message = found[f"test_{name}/mini-0"]["message"]
        assert message.startswith(line) and "\n" not in message
        result.stdout.fnmatch_lines([f"ERROR: {line}*"])


NOT_SHOWN = {
    "measured_here": (
        "by_column, replace(by_prompt(model), source='')",
        "show draws evidence, and this measurement was",
    ),
    "an_array": (
        "by_column, by_prompt(model).array",
        "show(by_column, ...) is to draw a value of type Blinded: give it",
    ),
    "an_estimate": (
        "by_column, mean(by_prompt(model))",
        "show(by_column, ...) is to draw a value of type Estimate: give",
    ),
    "no_cells": ("matrix, {}", "show(matrix, ...) of no cells: there is nothing to draw"),
    "cells_without_columns": (
        "matrix, {'a': by_prompt(model)}",
        "show(matrix, ...) has a cell named 'a': name each by",
    ),
    "no_function": (
        "'by_column', by_prompt(model)",
        "show is to draw with 'by_column': give it a function of mechlib.f",
    ),
}


def test_what_cannot_be_shown_is_said_in_one_line_and_ends_no_other_claim(house, pytester):
    claims = [
        claim().replace("test_it", f"test_{name}").replace("    assert", f"    show({shown})\n    assert")
        for name, (shown, _) in NOT_SHOWN.items()
    ]
    result = house("".join(["from dataclasses import replace\n", SHOWN, *claims, claim()]))
    assert result.ret == 1 and "Traceback" not in said(result)
    found = records(pytester.path)
    assert found["test_it/mini-0"]["verdict"] == "SUPPORTED"
    for name, (_, line) in NOT_SHOWN.items():
        record = found[f"test_{name}/mini-0"]
        assert (record["verdict"], record["message"][: len(line)]) == ("ERROR", line)


def test_a_mistake_in_a_claims_own_code_is_shown_with_its_line(house):
    result = house(claim("mean(around(model, {}['a'], 0.0, 100))"))
    result.stdout.fnmatch_lines(["ERROR: KeyError: a", "*Traceback*", "*test_topic.py*in test_it*"])
    assert "judge.py" not in said(result)


def test_a_file_that_is_no_python_is_named_with_its_line(house, pytester):
    result = house("def broken((:\n    pass\n")
    assert result.ret == 2 and "rewrite.py" not in said(result)
    line = HEADER.count("\n") + 1
    result.stdout.fnmatch_lines([f"test_topic.py, line {line}: `def broken((:` is no Python: *"])


def test_a_mark_that_nobody_knows_is_refused_with_those_there_are(house):
    result = house("@pytest.mark.refutd('x')" + claim())
    assert result.ret == 2
    result.stdout.fnmatch_lines(["'refutd' not found in*@refuted, @open_question or @void*"])


# The command line


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--model", "mini-9"], "*no model 'mini-9'*"),
        (["--device", "gpu"], "*no device 'gpu': choose one of cpu, cuda, mps*"),
        (["--seed", "x"], "*'x' is no whole number*"),
        (["--results", "claims/test_topic.py/results.json"], "*results.json cannot be written to (*)*--results PATH"),
        (["--results", "claims"], "*cannot be written to (it is a folder)*--results PATH"),
    ],
    ids=["model", "device", "seed", "results", "folder"],
)
def test_options_are_checked_before_anything_runs(house, pytester, options, line):
    result = house(claim(), *options)
    assert result.ret == 4 and "Traceback" not in said(result)
    result.stderr.fnmatch_lines([line])
    assert not evidence(pytester.path)


def test_a_seed_in_the_environment_is_checked_like_one_on_the_command_line(house, monkeypatch):
    monkeypatch.setenv("MECHLIB_SEED", "x")
    result = house(claim())
    assert result.ret == 4 and "Traceback" not in said(result)
    result.stderr.fnmatch_lines(["*'x' is no whole number; --seed and MECHLIB_SEED take one"])


def test_results_may_go_to_a_folder_that_is_not_there_yet(house, pytester):
    assert house(claim(), "--results", "new/folder/results.json").ret == 0
    assert json.loads((pytester.path / "new/folder/results.json").read_text())["schema"] == 2


# What is filed


def test_damaged_evidence_is_named_and_left_alone(house, pytester):
    house(claim())
    file = next(path for path in evidence(pytester.path) if "mini-0--" in path.name)
    whole = file.read_bytes()
    for spoilt in (b"", whole[:-9], b"hello\n", whole[:300] + bytes([whole[300] ^ 1]) + whole[301:]):
        file.write_bytes(spoilt)
        before = contents(pytester.path / "artifacts" / "evidence")
        result = house(None)
        assert result.ret == 1 and "Traceback" not in said(result)
        result.stdout.fnmatch_lines([f"ERROR: artifacts/evidence/topic/{file.name} is damaged: *restore it with git*"])
        assert contents(pytester.path / "artifacts" / "evidence") == before
    file.write_bytes(whole)
    assert house(None).ret == 0


@pytest.mark.parametrize("tail", [b'{"claim": "x"', b"[]\n", b"\xff\n"], ids=["torn", "a list", "no utf-8"])
def test_a_damaged_register_stops_the_run_and_is_not_added_to(house, pytester, tail):
    build(pytester.path, claim())
    register = pytester.path / "artifacts" / "register.jsonl"
    register.parent.mkdir()
    register.write_bytes(tail)
    result = house(None)
    assert result.ret == 4 and "Traceback" not in said(result)
    result.stderr.fnmatch_lines(
        ["ERROR: artifacts/register.jsonl is damaged: *git checkout -- artifacts/register.jsonl*"]
    )
    assert register.read_bytes() == tail
    with pytest.raises(DamagedRegister):
        Register(register)


def test_a_register_with_an_id_of_before_stops_the_run_names_todays_and_is_left_alone(house, pytester):
    build(pytester.path, claim())
    register = pytester.path / "artifacts" / "register.jsonl"
    register.parent.mkdir()
    line = Judgement("claims/test_topic.py::test_it[mini-0]", ">= 0.4", "q", ("0123abcd",), "REFUTED").line()
    register.write_text(f"{line}\n")
    result = house(None)
    assert result.ret == 4 and "Traceback" not in said(result)
    result.stderr.fnmatch_lines(["ERROR: artifacts/register.jsonl, line 1, *today it is topic.test_it[[]mini-0]; *"])
    assert register.read_text() == f"{line}\n" and not evidence(pytester.path)


def test_evidence_of_the_old_schema_is_left_alone_and_measured_anew_beside(house, pytester):
    build(pytester.path, claim())
    left = pytester.path / "artifacts/evidence/topic/around--mini-0--00000000.jsonl"
    left.parent.mkdir(parents=True)
    question = "around(model=mini-0, level=0.8, on_twins=0.0, n=100)"
    left.write_text(json.dumps({"schema": 1, "question": question, "key": "0" * 64}) + "\n")
    before = left.read_bytes()
    assert house(None, "--frozen").ret == 1
    assert house(None).ret == 0
    assert left.read_bytes() == before and len(evidence(pytester.path)) == 4
    record = records(pytester.path)["test_it/mini-0"]
    assert (record["verdict"], record["measured"], record["history"]) == ("SUPPORTED", 3, [])


def test_an_old_register_and_a_damaged_map_hinder_no_judgement(house, pytester):
    build(pytester.path, claim())
    (pytester.path / "artifacts").mkdir()
    for name in ("bounds.jsonl", "refiled.jsonl"):
        (pytester.path / "artifacts" / name).write_text("{half a line\n")
    assert house(None).ret == 0  # `mechlib verify` finds them
    for name in ("bounds.jsonl", "refiled.jsonl"):
        assert (pytester.path / "artifacts" / name).read_text() == "{half a line\n"


def test_a_register_that_cannot_be_written_to_is_said_once(house, pytester):
    house(claim())
    register = pytester.path / "artifacts" / "register.jsonl"
    register.unlink()
    register.symlink_to("nowhere/register.jsonl")  # for root no file is read-only, but this one cannot be made
    result = house(None)
    assert "Traceback" not in said(result)
    result.stdout.fnmatch_lines(["NOT REGISTERED: 1 of 1 verdict artifacts/register.jsonl cannot be written to (*"])
    assert records(pytester.path)["test_it/mini-0"]["verdict"] == "SUPPORTED"


def test_nothing_is_measured_where_it_cannot_be_filed(house, pytester):
    build(pytester.path, claim())
    folder = pytester.path / "artifacts" / "evidence"
    folder.mkdir(parents=True)
    (folder / "topic").write_text("a file where the folder should be")
    result = house(None)
    assert result.ret == 1 and "measuring" not in said(result) and "Traceback" not in said(result)
    result.stdout.fnmatch_lines(["ERROR: artifacts/evidence/topic cannot be written to (*was not measured; make it*"])


def test_a_judgement_that_the_register_lacks_is_flagged_where_nothing_may_be_filed(house, pytester):
    house(claim())
    (pytester.path / "artifacts" / "register.jsonl").unlink()
    result = house(None, "--frozen")
    assert records(pytester.path)["test_it/mini-0"]["flags"] == ["NOT REGISTERED"]
    result.stdout.fnmatch_lines(["NOT REGISTERED: 1 of 1 verdict*run `pytest` and commit it"])
    assert not (pytester.path / "artifacts" / "register.jsonl").exists()


def test_another_comparison_or_other_evidence_is_shown_for_good(house, pytester):
    def history(compared: str) -> list[str]:
        house(claim(compared))
        return records(pytester.path)["test_it/mini-0"]["history"]

    assert history(LEVEL) == []
    (changed,) = history("mean(around(model, 0.8, 0.0, 100)['value'])")
    assert "compared expression changed" in changed and "SUPPORTED at" in changed
    fixtures = pytester.path / "fixtures" / "mini-0" / "model.safetensors"
    fixtures.write_bytes(fixtures.read_bytes()[:-1] + b"\x00")
    assert "measured anew" in history("mean(around(model, 0.8, 0.0, 100)['value'])")[-1]


# Stopping

SLOW = """
@evidence
def slowly(model: str, level: float, n: int) -> Measurement:
    '''Values that take a while.'''
    import time
    from pathlib import Path
    import numpy as np
    if level > 0.7:
        Path("measuring").touch()
        time.sleep(30)
    level = 0.0 if "@" in model else level
    return Measurement(level + np.linspace(-0.1, 0.1, n), units=tuple(f"u{i}" for i in range(n)), unit="sequence")


@pytest.mark.parametrize("level", [0.6, 0.65, 0.75])
@pytest.mark.parametrize("model", ["mini-0"])
def test_it(model, level):
    '''The level is at least a half.

    Source: made up for this test.
    '''
    assert mean(slowly(model, level, 100)) >= 0.5
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "with a worker"])
def test_ctrl_c_keeps_what_was_measured_and_says_how_to_go_on(house, pytester, workers):
    build(pytester.path, SLOW)
    report = pytester.path / "REPORT.md"
    report.write_text("the whole record\n")
    command = [sys.executable, "-m", "pytest", "-q", "--report", *workers]
    process = subprocess.Popen(
        command, cwd=pytester.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not (pytester.path / "measuring").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)  # for the worker's verdicts to arrive
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 2, out
    assert out.splitlines()[-1] == (
        "interrupted: 2 of 3 verdicts reached; what was measured is filed; run the same command to go on"
    )
    assert "Traceback" not in out
    assert len(evidence(pytester.path)) == 2 * 3  # of the model and of both twins
    assert len(Path("artifacts/register.jsonl").read_text().splitlines()) == 2
    assert not list(pytester.path.rglob("*.tmp"))
    folder = pytester.path / "artifacts" / "report"
    assert (folder / "partial" / "report.html").exists() and (folder / "partial" / "run.html").exists()
    assert not (folder / "report.html").exists() and not (folder / "run.html").exists()
    assert report.read_text() == "the whole record\n"
    assert len((folder / "records.jsonl").read_text().splitlines()) == 2
