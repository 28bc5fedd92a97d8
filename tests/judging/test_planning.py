"""`mechlib plan` says what claims would measure, and measures nothing."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.house import HEADER, build

CLAIM = """
@pytest.mark.parametrize("model", [{models}])
def test_it(model):
    '''The level is at least a half.
    Source: made up for this test.
    '''
    {body}
"""
LEVEL = "assert mean(around(model, 0.8, 0.0, 100)) >= 0.5"
# The second question is asked on what the first one says: on a model that is not measured nobody knows it.
LOOKING = """
@evidence
def looked_at(model: str, prompts: PromptSet) -> Measurement:
    '''0.8 for each prompt.'''
    return Measurement([0.8] * len(prompts), units=tuple(prompt.fingerprint for prompt in prompts))

WORDS = PromptSet("words", "discovery", tuple(Prompt(str(n), "x") for n in range(60)))
"""
CHOSEN = """values = looked_at(model, WORDS)
    n = 30 + int(round(100 * values.array.mean()))
    assert mean(around(model, 0.8, 0.0, n)) >= 0.5"""
PROMPTS = """
from mechlib import Prompt, PromptSet

WORDS = PromptSet("words", "confirmation", tuple(Prompt(str(n), "x") for n in range(60)))

@evidence
def by_prompt(model: str, prompts: PromptSet) -> Measurement:
    '''One for each prompt.'''
    import no_such_library
    return no_such_library.measured(model, prompts)
"""


def claim(body: str = LEVEL, models: str = '"mini-0"') -> str:
    return CLAIM.format(body=body, models=models)


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Writes claims and runs `mechlib plan` in a process of its own; its status, and what it printed."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.delenv("MECHLIB_ROOT", raising=False)

    def run(claims: str | None, *arguments: str, first: str = "plan") -> tuple[int, str]:
        if claims is not None and not (tmp_path / "claims").exists():
            build(tmp_path, claims)
        elif claims is not None:
            (tmp_path / "claims" / "test_topic.py").write_text(HEADER + claims)
        command = [sys.executable, "-m", *([first] if first == "pytest" else ["mechlib", first]), *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ})
        return done.returncode, done.stdout + done.stderr

    return run


def test_what_is_not_filed_is_listed_with_its_twins_and_nothing_is_measured_or_written(plan, tmp_path):
    status, said = plan(claim())
    assert status == 0, said
    assert said.startswith("1 verdict: 1 would measure; 0 evidence files are filed, 3 would be measured\n")
    for model in ("mini-0", "mini-0@untrained", "mini-0@permuted"):
        assert f"topic.around(model={model}, level=0.8, on_twins=0.0, n=100)" in said
    assert said.count("nothing is filed") == 3 and "together: rows unknown, seconds unknown, kB unknown" in said
    assert not (tmp_path / "artifacts").exists()


def test_what_is_filed_is_not_measured_and_an_edited_function_is(plan):
    spread = """
@evidence
def spread(model: str, n: int) -> Measurement:
    import numpy as np
    return Measurement(np.linspace(0.7, 0.9, n), units=tuple(f"u{i}" for i in range(n)))
"""
    text = spread + claim("assert mean(spread(model, 100)) >= 0.5")
    plan(text, first="pytest")
    assert plan(None)[1] == "1 verdict: 0 would measure; 3 evidence files are filed, 0 would be measured\n"
    said = plan(text.replace("0.7", "0.6"))[1]
    assert said.startswith("1 verdict: 1 would measure; 0 evidence files are filed, 3 would be measured\n")
    assert said.count("the function changed") == 3


def test_rows_are_the_prompts_and_seconds_and_size_those_of_the_same_function_elsewhere(plan, tmp_path):
    plan(claim(), first="pytest")
    size = next((tmp_path / "artifacts" / "evidence" / "topic").glob("around--mini-0--*")).stat().st_size
    said = plan(claim(models='"mini-0", "mini-1"'))[1]
    row = next(line for line in said.splitlines() if "model=mini-1, level" in line)
    assert row.split()[-6:-4] == ["100", "0.0"] and abs(int(row.split()[-4]) - size / 1000) < 1
    assert "together: 300 rows, 0 seconds" in said
    said = plan(PROMPTS + claim("assert mean(by_prompt(model, WORDS)) >= 0.5"))[1]
    row = next(line for line in said.splitlines() if "by_prompt(model=mini-0, " in line)
    assert row.split()[-6:] == ["60", "unknown", "unknown", "nothing", "is", "filed"]


def test_a_claim_that_chooses_by_what_is_missing_may_ask_for_more_as_it_does_elsewhere(plan):
    plan(LOOKING + claim(CHOSEN), first="pytest")
    said = plan(LOOKING + claim(CHOSEN, '"mini-0", "mini-1"'))[1]
    assert said.startswith("2 verdicts: 1 would measure; ")
    assert "1 verdict may ask for more, once what is missing is there: up to 1 file of the model, as elsewhere" in said


OF_HEADS = """
@evidence
def of_heads(model: str, heads: Heads, n: int) -> Measurement:
    '''0.8 for the head 1.3 of a trained model.'''
    import numpy as np
    level = 0.8 if "1.3" in map(str, heads) and "@" not in model else 0.1
    return Measurement(level + np.linspace(-0.1, 0.1, n), units=tuple(f"u{i}" for i in range(n)))
"""


def test_control_runs_that_are_not_filed_are_counted(plan):
    text = OF_HEADS + claim("assert mean(of_heads(model, heads('1.3'), 100)) >= 0.5")
    counted = "control runs: 1 part exchanged for up to 39 sets, each of which costs the claim's evidence again"
    assert "control runs" not in plan(text)[1]  # nobody knows yet whether one is due
    plan(None, "--no-controls", first="pytest")
    assert plan(None, "--controls")[1].splitlines()[1:] == [counted]
    plan(None, first="pytest")
    assert "control runs" not in plan(None)[1]


def test_weights_that_are_not_here_are_said_once_with_what_fetches_them(plan, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "none"))
    status, said = plan(claim(models='"gpt2-small"'))
    assert status == 0
    assert "0 would be measured" in said.splitlines()[0]
    assert said.splitlines()[-1].endswith("gpt2-small@permuted: `mechlib fetch gpt2-small` brings it")


def test_a_selection_is_pytests_and_what_selects_nothing_is_told_what_is_near(plan):
    two = claim() + claim().replace("test_it", "test_other")
    assert plan(two, "-k", "other")[1].startswith("1 verdict: ")
    assert plan(None, "topic.test_it[mini-0]")[1].startswith("1 verdict: ")
    assert "around(model=mini-1, " in plan(None, "--model", "mini-1")[1]
    assert plan(None, "-k", "topik") == (2, "mechlib: -k 'topik' selects nothing: did you mean -k 'topic'?\n")
    status, said = plan(None, "--model", "mini-9")
    assert status == 2 and "no model 'mini-9'" in said and "Traceback" not in said
    status, said = plan("import no_such_module")
    assert status == 2 and "no_such_module" in said and "Traceback" not in said


def test_planning_loads_no_torch(plan, tmp_path):
    build(tmp_path, claim())
    asks = "import sys; from mechlib.cli import main; status = main(['plan']); sys.exit(17 * ('torch' in sys.modules))"
    (tmp_path / "torch.py").touch()
    assert subprocess.run([sys.executable, "-c", asks], cwd=tmp_path, capture_output=True).returncode == 0
    file = tmp_path / "claims" / "test_topic.py"
    file.write_text("import torch\n" + file.read_text())
    assert subprocess.run([sys.executable, "-c", asks], cwd=tmp_path, capture_output=True).returncode == 17


def test_the_package_runs_as_the_command_does_and_says_its_version(plan, tmp_path):
    build(tmp_path, claim())
    assert plan(None, first="--version") == (0, f"mechlib {importlib.metadata.version('mechlib')}\n")
    status, said = plan(None, first="unknown")
    assert status == 2 and said.startswith("usage: mechlib ")


def test_a_plan_is_of_the_record_around_the_working_directory_from_any_folder_in_it(plan, tmp_path):
    build(tmp_path, claim())
    command = [sys.executable, "-m", "mechlib", "plan", "test_topic.py"]
    done = subprocess.run(command, cwd=tmp_path / "claims", capture_output=True, text=True, check=False)
    assert done.stdout.startswith("1 verdict: 1 would measure"), done.stderr
