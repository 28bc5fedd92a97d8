"""What stands beside a claim decides with it: twins of presences, beside= of absences, control=, exchanged parts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.house import build, records

HEADS = """
@evidence
def lost(model: str, part: str, level: float, on_twins: float = 0.0) -> Measurement:
    '''Values around `level`: of any part on the model, around `on_twins` on a twin.'''
    import numpy as np
    middle = on_twins if "@" in model else level
    return Measurement(middle + np.linspace(-0.01, 0.01, 100), units=tuple(f"u{i}" for i in range(100)))


@evidence
def gained(model: str, part: str, level: float) -> Measurement:
    import numpy as np
    return Measurement(level + np.linspace(-0.01, 0.01, 100), units=tuple(f"u{i}" for i in range(100)))


@evidence
def by_head(model: str, alike: bool) -> Measurement:
    '''A column a head: 2.3 by itself, or all of them alike.'''
    import numpy as np
    names = tuple(f"{layer}.{head}" for layer in range(4) for head in range(12))
    level = np.array([0.0 if "@" in model else 0.8 if alike or name == "2.3" else 0.1 for name in names])
    values = level + 0.01 * np.random.default_rng(0).normal(size=(100, len(names)))
    return Measurement(values, units=tuple(f"u{i}" for i in range(100)), columns=names)


@evidence
def total(model: str, level: float) -> Measurement:
    import numpy as np
    return Measurement(level + np.linspace(-0.001, 0.001, 100), units=tuple(f"u{i}" for i in range(100)))
"""
CLAIM = '''
@pytest.mark.parametrize("model", ["mini-0"])
def test_NAME(model):
    """A sentence.
    Source: made up for this test.
    """
    assert '''
# name -> the comparison, (verdict, twin, controlled by)
CASES = {
    "presence": ('mean(lost(model, "all", 0.8)) >= 0.5', ("SUPPORTED", "controlled", "twins")),
    "presence_below_zero": ('mean(lost(model, "all", -0.8)) <= -0.5', ("SUPPORTED", "controlled", "twins")),
    "presence_on_a_twin": ('mean(lost(model, "all", 0.8, 0.7)) >= 0.5', ("VOID", "void", "void")),
    "silent": (
        'ratio(lost(model, "all", 0.8), lost(model, "all", 1.0)) >= 0.5', ("SUPPORTED", "silent", "UNCONTROLLED")
    ),
    "absence": ('mean(lost(model, "all", 0.02)) <= 0.05', ("SUPPORTED", "shown", "UNCONTROLLED")),
    "margin": ('-0.05 <= mean(lost(model, "all", 0.02)) <= 0.05', ("SUPPORTED", "shown", "UNCONTROLLED")),
    "absence_beside": (
        'mean(lost(model, "all", 0.02), beside=lost(model, "one", 0.12)) <= 0.05', ("SUPPORTED", "shown", "beside="),
    ),
    "absence_not_shown": (
        'mean(lost(model, "all", 0.02), beside=lost(model, "one", 0.04)) <= 0.05', ("INCONCLUSIVE", "shown", ""),
    ),
    "absence_refuted": ('mean(lost(model, "all", 0.2)) <= 0.05', ("REFUTED", "shown", "")),
    "control": (
        'mean(lost(model, "one", 0.8), control=lost(model, "two", 0.1)) >= 0.5', ("SUPPORTED", "controlled", "control=")
    ),
    "control_void": (
        'mean(lost(model, "one", 0.8), control=lost(model, "two", 0.7)) >= 0.5', ("VOID", "controlled", "void")
    ),
    "controls_weak": (
        'mean(lost(model, "one", 0.8), control=(lost(model, "two", 0.7), lost(model, "3", 0.1), lost(model, "4", 0.2)))'
        ' >= 0.5',
        ("SUPPORTED", "controlled", "UNCONTROLLED"),
    ),
    "control_when_silent": (
        'ratio(lost(model, "one", 0.8), total(model, 1.0), control=lost(model, "two", 0.1)) >= 0.5',
        ("SUPPORTED", "controlled", "control="),
    ),
    "head": ('mean(by_head(model, False)["2.3"]) >= 0.5', ("SUPPORTED", "controlled", "matched parts")),
    "any_head": ('mean(by_head(model, True)["2.3"]) >= 0.5', ("VOID", "controlled", "void")),
    "any_head_saturated": (
        'ratio(by_head(model, True)["2.3"], total(model, 0.82)) >= 0.5', ("INCONCLUSIVE", "controlled", "")
    ),
    "planted": (
        'mean(lost("planted-ioi", "one", 0.8)) >= 0.5', ("SUPPORTED", "by kind", "planted")
    ),
    "several": (
        'across_seeds(mean(lost(name, "one", level)) for name, level in '
        '(("mini-0", 0.8), ("mini-1", 0.81), ("mini-0", 0.82))) >= 0.5',
        ("SUPPORTED", "none", "UNCONTROLLED"),
    ),
}  # fmt: skip
WITHOUT_MODEL = ("planted", "several")


def written(name: str) -> str:
    text = CLAIM.replace("NAME", name) + CASES[name][0] + "\n"
    if name in WITHOUT_MODEL:
        text = text.replace('@pytest.mark.parametrize("model", ["mini-0"])\n', "").replace("(model):", "():")
    return text


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The records of the cases by name, what pytest printed, and results.json."""
    root = build(tmp_path_factory.mktemp("controls"), HEADS + "".join(map(written, CASES)))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-m", "pytest", "-v", "--records", "records.jsonl", "--results=results.json"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    found = {name.partition("/")[0].removeprefix("test_"): record for name, record in records(root).items()}
    assert set(found) == set(CASES), done.stdout
    return found, done.stdout, root


@pytest.mark.parametrize("name", CASES)
def test_a_claim_ends_with_a_word_its_twins_and_what_controls_it(run, name):
    record = run[0][name]
    assert (record["verdict"], record["twin"], record["controlled"]["by"]) == CASES[name][1], record["message"]
    assert ("UNCONTROLLED" in record["flags"]) is (CASES[name][1][2] == "UNCONTROLLED")


def test_the_twins_of_an_absence_are_shown_with_their_values(run):
    twins = run[0]["absence"]["twins"]
    assert [twin["word"] for twin in twins] == ["SUPPORTED", "SUPPORTED"]
    assert [round(twin["comparison"]["estimate"]["value"], 6) for twin in twins] == [0.0, 0.0]


def test_a_void_verdict_says_what_made_it_void(run):
    assert "on mini-0@untrained: the claim does not need what was learned" in run[0]["presence_on_a_twin"]["message"]
    assert "but of its control too, 0.700" in run[0]["control_void"]["message"]
    assert "39 of 39 in the place of 2.3 are as claimed" in run[0]["any_head"]["message"]
    assert "saturated: claim and exchanged parts" in run[0]["any_head_saturated"]["message"]


def test_uncontrolled_is_a_word_in_the_terminal_and_counted_apart(run):
    said = " ".join(run[1].split())
    assert "SUPPORTED, UNCONTROLLED" in said  # behind each claim
    assert "supported, UNCONTROLLED (~):" in said and "SUPPORTED~" in said
    assert "absence (mini-0): an absence, and no beside= says what the instrument sees" in said
    many = sum(case[1][2] == "UNCONTROLLED" for case in CASES.values())
    assert f"{many} UNCONTROLLED." in said and f"UNCONTROLLED: {many} of {len(CASES)} verdicts" in said


def test_the_register_files_the_final_word_of_a_control(run):
    lines = (run[2] / "artifacts/register.jsonl").read_text().splitlines()
    for name in ("control_void", "any_head"):
        assert [line for line in lines if f".test_{name}[" in line and '"VOID"' in line], lines


NOT_SO = {
    "a control by another function": (
        'mean(lost(model, "a", 0.8), control=gained(model, "b", 0.1)) >= 0.5',
        "*names the control= `gained(model, 'b', 0.1)` by gained, and claims something of lost: name the same*",
    ),
    "a control for an absence": (
        'mean(lost(model, "a", 0.0), control=lost(model, "b", 0.1)) <= 0.5', "*holds where nothing happens, control=*",
    ),
    "a beside for a presence": (
        'mean(lost(model, "a", 0.8), beside=lost(model, "b", 0.1)) >= 0.5', "*says that something is there, beside=*",
    ),
    "both": (
        'mean(lost(model, "a", 0.8), beside=lost(model, "b", 0.1), control=lost(model, "c", 0.1)) >= 0.5',
        "*names a control= and a beside=*",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("comparison", "words"), NOT_SO.values(), ids=NOT_SO)
def test_a_control_that_cannot_be_one_is_refused_at_collection(house, comparison, words):
    result = house(HEADS + CLAIM.replace("NAME", "it") + comparison + "\n")
    assert result.ret == 2
    result.stdout.fnmatch_lines([words])


def test_a_control_stands_in_the_assert_and_nowhere_else(house):
    text = CLAIM.replace("NAME", "it").replace(
        "    assert ",
        '    level = mean(lost(model, "a", 0.8), control=lost(model, "b", 0.1))\n    assert level >= 0.5\n',
    )
    result = house(HEADS + text)
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*names a control= outside of its assert*"])


def test_a_control_by_another_function_is_found_behind_names_columns_and_methods(house):
    body = CLAIM.replace("NAME", "it").replace(
        "    assert ",
        '    found = lost(model, "a", 0.8)\n    other = gained(model, "b", 0.1)\n'
        '    assert mean(found["value"], control=other.by_cluster()["value"]) >= 0.5\n',
    )
    result = house(HEADS + body)
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*by gained, and claims something of lost*"])


def test_what_only_the_run_can_tell_of_a_control_is_an_error_of_the_claim(house, pytester):
    """Behind a helper the source does not say which evidence it is: the same is fine, another is an ERROR."""
    helper = "\ndef some_control(model):\n    return gained(model, 'b', 0.1)\n"
    body = CLAIM.replace("NAME", "it") + 'mean(lost(model, "a", 0.8), control=some_control(model)) >= 0.5\n'
    assert house(HEADS + helper + body).ret == 1
    record = records(pytester.path)["test_it/mini-0"]
    assert record["verdict"] == "ERROR"
    assert "control= was measured by topic/gained, the claim by topic/lost: name the same" in record["message"]
    assert house(HEADS + helper.replace("gained", "lost") + body).ret == 0
    assert records(pytester.path)["test_it/mini-0"]["controlled"]["by"] == "control="


def test_a_bound_of_the_wrong_kind_that_parametrize_gives_is_an_error_of_the_claim(house, pytester):
    body = (
        CLAIM.replace("NAME", "it")
        .replace("(model):", "(model, bound):")
        .replace(
            '@pytest.mark.parametrize("model"',
            '@pytest.mark.parametrize("bound", [0.0])\n@pytest.mark.parametrize("model"',
        )
    )
    assert house(HEADS + body + 'mean(lost(model, "a", -0.8), control=lost(model, "b", 0.1)) <= bound\n').ret == 1
    (record,) = records(pytester.path).values()
    assert record["verdict"] == "ERROR" and "give it a beside=, not a control=" in record["message"]
