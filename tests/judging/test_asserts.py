"""An assert that compares no estimate judges nothing, whether it holds or not, and says what to compare."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.house import build, records

BEGIN = """
@pytest.mark.parametrize("model", ["mini-0"])
def test_{name}(model):
    '''A sentence.
    Source: made up for this test.
    '''
    values = around(model, 0.8, 0.0, 100)
    level = mean(values)
    length = len("abc")
    held(level >= 0.5) if {above} else None
    {body}
"""
NO_ESTIMATE = {
    "float_true": "assert length >= 2",
    "float_false": "assert length >= 4",
    "value_true": "assert level.value >= 0.5",
    "value_false": "assert level.value >= 0.9",
    "value_on_the_right": "assert 0.9 <= level.value",
    "numpy_true": "assert values.values.mean() >= 0.5",
    "numpy_false": "assert values.values.mean() >= 0.9",
    "array": "assert values.values >= 0.5",
    "text": "assert model >= 0.5",
    "several": "assert (level, level) >= 0.5",
    "chained_true": "assert 0.1 <= level.value <= 0.9",
    "chained_false": "assert 0.1 <= level.value <= 0.5",
    "measurement": "assert values >= 0.5",
    "measurement_on_the_right": "assert 0.5 < values",
    "measurement_chained": "assert 0.1 <= values <= 0.9",
}
# A verdict was asked for its truth already, so that there is one; the assert is about something else all the same.
BESIDE = {"beside_true": "assert level.value >= 0.1", "beside_false": "assert level.value >= 0.9"}
FINE = {
    "fine": "assert level >= 0.5",
    "fine_in_lines": "assert (\n        level\n        >= 0.5\n    )",
    "fine_margin": "assert 0.7 <= level <= 0.9",
    "fine_of_several": "assert every((level, level)) >= 0.5",
}
HELPER = """
def held(verdict):
    return bool(verdict)
"""


@pytest.fixture(scope="module", params=["rewrite", "plain"])
def judged(request, tmp_path_factory):
    """What pytest printed, and the records by name, with either way of reading asserts."""
    text = "".join(
        BEGIN.format(name=name, body=body, above=name in BESIDE)
        for name, body in {**NO_ESTIMATE, **BESIDE, **FINE}.items()
    )
    root = build(tmp_path_factory.mktemp(request.param), HELPER + text)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-m", "pytest", "--records", "records.jsonl", f"--assert={request.param}"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout, records(root)


@pytest.mark.parametrize("name", [*NO_ESTIMATE, *BESIDE])
def test_an_assert_on_no_estimate_is_an_error_with_the_same_cure_whether_it_holds_or_not(judged, name):
    record = judged[1][f"test_{name}/mini-0"]
    assert record["verdict"] == "ERROR"
    assert "mean(measurement) >= 0.4" in record["message"] and "\n" not in record["message"]


def test_no_such_error_shows_a_traceback(judged):
    assert "Traceback" not in judged[0] and "AssertionError" not in judged[0]


@pytest.mark.parametrize("name", FINE)
def test_an_assert_on_an_estimate_is_judged(judged, name):
    assert judged[1][f"test_{name}/mini-0"]["verdict"] == "SUPPORTED"


def test_an_assertion_of_a_helper_keeps_its_traceback(house, pytester):
    text = "def checked(level):\n    assert level < 0, 'a bug'\n    return level\n"
    result = house(text + BEGIN.format(name="it", body="assert checked(length) >= 0.5", above=False))
    assert records(pytester.path)["test_it/mini-0"]["message"].startswith("AssertionError: a bug")
    result.stdout.fnmatch_lines(["*Traceback*", "*in checked*"])
