"""What a claim was stays beside what it is: in the register, the terminal, the results and on every page."""

from __future__ import annotations

import html
import json
import re

import pytest

from tests.helpers import forge
from tests.helpers.house import records

CLAIM = """
@void({{'mini-0': 'of any network'}})
@pytest.mark.parametrize("model", ["mini-0"])
def test_it(model):
    '''The level is at least a half.
    Source: made up for this test.
    '''
    assert mean(around(model, 0.8, {twins}, 100){read}) >= {bound}
"""


def claim(twins: float = 0.0, read: str = "", bound: float = 0.5) -> str:
    text = CLAIM.format(twins=twins, read=read, bound=bound)
    return text if twins else text.replace("@void({'mini-0': 'of any network'})", "")


def filed(pytester) -> list[dict]:
    return [json.loads(line) for line in (pytester.path / "artifacts" / "register.jsonl").read_text().splitlines()]


def test_a_claim_that_ends_void_is_registered_void(house, pytester):
    assert house(claim(twins=0.9)).ret == 0
    (line,) = filed(pytester)
    assert (line["claim"], line["verdict"]) == ("topic.test_it[mini-0]", "VOID")


def test_a_void_claim_that_was_filed_as_supported_gets_a_line_of_its_own_once(house, pytester):
    house(claim(twins=0.9))
    register = pytester.path / "artifacts" / "register.jsonl"
    old = register.read_text().replace("VOID", "SUPPORTED")
    register.write_text(old)
    for _ in range(2):
        house(None)
        assert register.read_text() == old + old.replace("SUPPORTED", "VOID")
        (said,) = records(pytester.path)["test_it/mini-0"]["history"]
        assert said == "SUPPORTED -> VOID on the same question and evidence"


def test_a_claim_whose_twin_breaks_is_no_word_of_the_register(house, pytester):
    broken = claim(read="""[{"mini-0": "value"}[model]]""")
    assert house(broken).ret == 1
    assert records(pytester.path)["test_it/mini-0"]["verdict"] == "ERROR"
    assert records(pytester.path)["test_it/mini-0"]["comparison"]["word"] == "SUPPORTED"
    assert not (pytester.path / "artifacts" / "register.jsonl").exists()
    house(claim())
    before = filed(pytester)
    house(broken)
    assert filed(pytester) == before and before[0]["verdict"] == "SUPPORTED"
    assert records(pytester.path)["test_it/mini-0"]["history"] == []


def test_a_gate_that_closed_over_an_answer_says_which_it_was_and_files_nothing(house, pytester):
    house(claim())
    before = filed(pytester)
    house(claim().replace("    assert", "    requires(mean(around(model, 0.1, 0.0, 100)) >= 0.9)\n    assert"))
    assert filed(pytester) == before
    assert records(pytester.path)["test_it/mini-0"]["history"] == ["GATED now, it was SUPPORTED at >= 0.50"]


def test_a_shifted_seed_files_no_word_and_calls_none_unregistered(house, pytester):
    house(claim())
    before = filed(pytester)
    house(claim(bound=0.4), "--seed", "3")
    assert filed(pytester) == before
    assert not records(pytester.path)["test_it/mini-0"]["flags"]


# --- where it is shown --------------------------------------------------------------------------------------------

LINE = "bound >= 0.50 -> >= 0.90 after evidence (it was SUPPORTED)"


def test_a_change_after_evidence_is_said_in_the_terminal_in_the_line_the_table_the_failure_and_the_count(
    house, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")  # a line is not broken
    house(claim())
    result = house(claim(bound=0.9), "-v")
    result.stdout.fnmatch_lines([
        "*test_it[[]mini-0[]] REFUTED (changed after evidence)*",
        f"*{LINE}",
        "topic*mini-0",
        "  it *REFUTED[*]",
        "changed after evidence ([*]):",
        f"  it (mini-0): {LINE}",
        "*1 changed after evidence was seen (the bound of 1)*",
    ])  # fmt: skip


def test_a_change_after_evidence_is_in_every_output(house, pytester):
    house(claim())
    house(claim(bound=0.9), "--report", "--results", "results.json")
    folder = pytester.path / "artifacts" / "report"
    (said,) = json.loads((pytester.path / "results.json").read_text())["claims"]
    assert said["history"] == [LINE]
    assert LINE in (folder / "results.csv").read_text()
    (script,) = (folder / "topics").glob("*.js")
    assert html.escape(LINE) in script.read_text()
    (row,) = re.findall(r"<tr class=row.*?</tr>", (folder / "report.html").read_text(), re.DOTALL)
    assert "<span class=flag>changed: bound</span>" in row  # in sight, before it is opened
    assert LINE.replace(">", "&gt;") in forge.filed(pytester.path)


def test_a_claim_without_a_history_says_nothing_of_one(house):
    house(claim())
    said = house(claim(), "-v").stdout.str()
    assert "after evidence" not in said and "SUPPORTED*" not in said


# --- measured again, resampled again ------------------------------------------------------------------------------

SHIFTED = """
@evidence
def shifted(model: str, n: int) -> Measurement:
    '''Values around 0.8, elsewhere where the environment says so.'''
    import os
    import numpy as np
    level = float(os.environ.get("LEVEL", 0.8)) if model == "mini-0" else 0.1
    return Measurement(level + np.linspace(-0.1, 0.1, n), units=tuple(f"u{i}" for i in range(n)))
"""


def test_fresh_says_how_many_evidence_files_were_reproduced(house, monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_TESTRUNUID", raising=False)  # each call is a run of its own
    text = (
        SHIFTED
        + claim()
        + claim().replace("test_it", "test_shifted").replace("around(model, 0.8, 0.0, 100)", "shifted(model, 50)")
    )
    house(text)
    house(None, "--fresh").stdout.fnmatch_lines(["--fresh: 6 of 6 evidence files reproduced"])
    house(None, "--fresh", "-k", "test_it").stdout.fnmatch_lines(["--fresh: 3 of 3 evidence files reproduced"])
    monkeypatch.setenv("LEVEL", "0.7")
    result = house(None, "--fresh")
    result.stdout.fnmatch_lines(["--fresh: 3 of 4 evidence files reproduced; not topic.shifted(mini-0)"])
    assert result.ret == 1


def test_fresh_tells_what_is_measured_for_the_first_time_from_what_is_reproduced(house):
    house(claim())
    more = claim() + claim().replace("test_it", "test_more").replace("100)", "90)")
    house(more, "--fresh").stdout.fnmatch_lines(
        ["--fresh: 3 of 3 evidence files reproduced; 3 measured for the first time"]
    )


def test_of_what_controls_a_sample_is_measured_again_and_of_the_model_everything(house, monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_TESTRUNUID", raising=False)  # each call is a run of its own
    other = claim().replace("around(model, 0.8, 0.0, 100)", "shifted(model, 50)").replace("test_it", "test_other")
    house(SHIFTED + claim() + other)
    rule = "of twins and of control files one in 1000000 is measured, others at each commit"
    house(None, "--fresh", "--sample", "1000000").stdout.fnmatch_lines(
        [f"--fresh: 2 of 2 evidence files reproduced; 4 read only: {rule}"]
    )
    house(None, "--fresh", "--sample", "1").stdout.fnmatch_lines(["--fresh: 6 of 6 evidence files reproduced"])
    house(None, "--fresh", "--sample", ".000001").stdout.fnmatch_lines([
        "--fresh: 0 of 0 evidence files reproduced; 6 read only: 0% of all is measured, others at each commit"
    ])  # fmt: skip
    monkeypatch.setenv("LEVEL", "0.7")
    assert house(None, "--fresh", "--sample", "1000000").ret == 1


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        (("--sample", "4"), "--sample is for --fresh: `pytest --fresh --sample 4`"),
        *(
            (
                ("--fresh", "--sample", n),
                f"--sample {n} measures nothing: one in 1 is all, one in 4 a quarter, .1 a tenth",
            )
            for n in ("0", "-0.1", "nan")
        ),
    ],
)
def test_a_sample_of_nothing_is_refused(house, options, refusal):
    result = house(claim(), *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {refusal}" in result.stderr.str()


def test_a_shifted_seed_says_what_it_is(house):
    house(claim())
    house(None, "--seed", "3").stdout.fnmatch_lines([
        "resampling seed shifted by 3: a Monte-Carlo check; no evidence is measured again, the register is not written"
    ])  # fmt: skip
    assert "resampling" not in house(None).stdout.str()
