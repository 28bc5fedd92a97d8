"""What pytest makes of a claim: the word, the exit status, the twins, the record."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.house import build, records

ONE = """
@pytest.mark.parametrize("model", ["mini-0"])
def test_it(model):
    '''The level is at least a half.
    Source: made up for this test.
    '''
    assert mean(around(model, {level}, {twins}, 100)) >= 0.5
"""


def claim(level: float, twins: float = 0.0, marks: str = "") -> str:
    return marks + ONE.format(level=level, twins=twins)


OUTCOMES = {  # level, level on the twins, mark -> word, whether the exit status may be 0, what became of the twins
    "supported": (0.8, 0.0, "", "SUPPORTED", True, "controlled"),
    "refuted": (0.2, 0.0, "", "REFUTED", False, "controlled"),
    "inconclusive": (0.5, 0.0, "", "INCONCLUSIVE", False, "controlled"),
    "void": (0.8, 0.9, "", "VOID", False, "void"),
    "marked_refuted": (0.2, 0.0, "@refuted({'mini-0': 'as measured'})", "REFUTED", True, "controlled"),
    "marked_refuted_but_supported": (0.8, 0.0, "@refuted({'mini-0': 'a guess'})", "SUPPORTED", False, "controlled"),
    "marked_refuted_but_open": (0.5, 0.0, "@refuted({'mini-0': 'a guess'})", "INCONCLUSIVE", False, "controlled"),
    "marked_open": (0.5, 0.0, "@open_question({'mini-0': 'too few'})", "INCONCLUSIVE", True, "controlled"),
    "marked_void": (0.8, 0.9, "@void({'mini-0': 'of any network'})", "VOID", True, "void"),
}


def outcome(name: str) -> str:
    """The claim of this name in OUTCOMES."""
    level, twins, mark, *_ = OUTCOMES[name]
    return claim(level, twins, mark).replace("test_it", f"test_{name}")


def test_a_claim_ends_in_a_word_and_a_status(house, pytester):
    result = house("".join(map(outcome, OUTCOMES)))
    found = records(pytester.path)
    ended = {n: (found[f"test_{n}/mini-0"]["verdict"], found[f"test_{n}/mini-0"]["ok"]) for n in OUTCOMES}
    assert ended == {n: (word, ok) for n, (_, _, _, word, ok, _) in OUTCOMES.items()}, result.stdout.str()
    assert {n: found[f"test_{n}/mini-0"]["twin"] for n in OUTCOMES} == {n: row[-1] for n, row in OUTCOMES.items()}
    result.assert_outcomes(passed=1, failed=5)  # pytest counts the other words apart
    assert result.ret == 1


def test_the_status_is_0_where_everything_came_out_as_claimed_or_marked(house):
    fine = [name for name, row in OUTCOMES.items() if row[4]]
    assert house("".join(map(outcome, fine))).ret == 0


# Claims that are judged in one run, for what each of them ends in. NAME is theirs.
BEGIN = """
@pytest.mark.parametrize("model", ["mini-0"])
def test_NAME(model):
    '''A sentence.
    Source: made up for this test.
    '''
    """
ODD = {
    "of_any_network": "assert mean(attention_to_first(model, 200)) >= 0.4",
    "gated_on_twins": """requires(mean(around(model, 0.95, 0.0, 100)) >= 0.9)
    assert mean(around(model, 0.8, 0.7, 100)) >= 0.5""",
    "nothing_selected_on_twins": """chosen = around(model, 0.8, 0.0, 100)
    assert mean(chosen[["value"] if "@" not in model else []]) >= 0.5""",
    "nothing_selected": "assert mean(around(model, 0.8, 0.0, 100)[[]]) >= 0.5",
    "broken_on_twins": """assert mean(around(model, 0.8, 0.0, 100)[{"mini-0": "value"}[model]]) >= 0.5""",
    "no_estimate": """three = len("abc")
    assert three >= 2""",
    "a_gate_for_a_verdict": """level = mean(around(model, 0.8, 0.0, 100))
    requires(level >= 0.5)
    assert len("abc") >= 2""",
    "asked_before": """tried(mean(around(model, 0.8, 0.0, 100)) >= 0.1)
    assert mean(around(model, 0.8, 0.0, 100)) >= 0.5""",
    "refuted_before": """tried(mean(around(model, 0.2, 0.0, 100)) >= 0.9)
    assert mean(around(model, 0.8, 0.0, 100)) >= 0.5""",
    "skipped_before": """skipping()
    assert mean(around(model, 0.8, 0.0, 100)) >= 0.5""",
    "caught": """level = mean(around(model, 0.2, 0.0, 100))
    tried(level >= 0.5)
    assert len("abc") >= 2""",
    "margin_0": "assert -0.05 <= mean(around(model, 0.0, 1.0, 100)) <= 0.05",
    "margin_above": "assert -0.05 <= mean(around(model, 0.3, 1.0, 100)) <= 0.05",
    "margin_on_the_edge": "assert -0.05 <= mean(around(model, 0.045, 1.0, 100)) <= 0.05",
    "margin_below": "assert -0.05 <= mean(around(model, -0.3, 1.0, 100)) <= 0.05",
}
HELPERS = """
def tried(verdict):
    try:
        return bool(verdict)
    except AssertionError:
        return False

def skipping():
    pytest.skip("not today")

@evidence
def attention_to_first(model: str, n: int) -> Measurement:
    '''Causal uniform attention with a sink at the first position: no learned weight has a part in it.'''
    import numpy as np
    rng = np.random.default_rng(len(model))
    scores = rng.normal(size=(n, 12)); scores[:, 0] += 3
    share = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return Measurement(share[:, 0], units=tuple(f"s{i}" for i in range(n)), unit="sequence")
"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """What pytest printed of the odd claims, its status, and their records by name."""
    root = build(
        tmp_path_factory.mktemp("odd"),
        HELPERS + "".join(BEGIN.replace("NAME", name) + body + "\n" for name, body in ODD.items()),
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-m", "pytest", "--records", "records.jsonl"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    found = records(root)
    assert len(found) == len(ODD)
    return done.stdout, {name: found[f"test_{name}/mini-0"] for name in ODD}


def test_attention_to_the_first_token_is_true_of_any_network_and_ends_void(odd):
    assert odd[1]["of_any_network"]["verdict"] == "VOID"
    assert "does not need what was learned" in odd[0]


def test_a_closed_gate_skips_with_its_numbers_and_nothing_judged_is_no_success(house, pytester):
    text = """
    @pytest.mark.parametrize("model", ["mini-0"])
    def test_it(model):
        '''The level is at least a half.
        Source: made up for this test.
        '''
        requires(mean(around(model, 0.3, 0.0, 100)) >= 0.9)
        assert mean(around(model, 0.8, 0.0, 100)) >= 0.5
    """
    result = house(text)
    record = records(pytester.path)["test_it/mini-0"]
    assert record["verdict"] == "GATED" and record["gates"][0]["word"] == "REFUTED"
    assert "0.3" in record["message"]
    assert result.ret == 5
    result.stdout.fnmatch_lines(["*no claim was judged*1 GATED*"])


def test_gates_are_open_on_twins(odd):
    assert odd[1]["gated_on_twins"]["verdict"] == "VOID"


def test_an_empty_selection_is_an_error_on_the_model_and_silent_on_a_twin(odd):
    silent = odd[1]["nothing_selected_on_twins"]
    assert (silent["verdict"], silent["twin"]) == ("SUPPORTED", "silent")
    assert odd[1]["nothing_selected"]["verdict"] == "ERROR"


def test_any_other_exception_on_a_twin_is_an_error(odd):
    record = odd[1]["broken_on_twins"]
    assert record["verdict"] == "ERROR" and "twin mini-0@untrained" in record["message"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_estimate", "judged nothing"),
        ("a_gate_for_a_verdict", "judged nothing"),
        ("asked_before", "a claim asks once"),
        ("refuted_before", "a claim asks once"),
        ("skipped_before", "pytest's own Skipped"),
        ("caught", "caught it on its way"),
    ],
)
def test_neither_a_gate_nor_a_helper_gets_a_claim_past_its_assert(odd, name, words):
    assert odd[1][name]["verdict"] == "ERROR" and words in odd[1][name]["message"]


def test_a_chain_is_one_verdict_with_a_margin(odd):
    found = [odd[1][f"margin_{name}"] for name in ("0", "above", "on_the_edge", "below")]
    assert [record["verdict"] for record in found] == ["SUPPORTED", "REFUTED", "INCONCLUSIVE", "REFUTED"]
    assert not any(record["others"] for record in found)


def test_a_claim_about_a_model_under_another_name_has_no_twins_and_is_an_error(house, pytester):
    text = claim(0.8).replace('"model"', '"network"').replace("(model", "(network")
    assert house(text).ret == 1
    assert "takes no `model`" in records(pytester.path)["test_it"]["message"]


def test_no_claim_opts_out_of_its_twins(house):
    result = house("@pytest.mark.no_twin('a reason')" + claim(0.8))
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*'no_twin' not found in `markers`*outcomes are marked @refuted, @open_question*"])


@pytest.mark.parametrize("mark", ["xfail", "skip"])
def test_pytests_own_marks_are_refused(house, mark):
    result = house(f"@pytest.mark.{mark}" + claim(0.2))
    assert result.ret == 2
    result.stdout.fnmatch_lines([f"*decorated with @pytest.mark.{mark}*"])


def test_a_claim_file_that_skips_itself_is_an_error(house):
    assert house("pytest.importorskip('no_such_module')\n" + claim(0.8)).ret == 2


@pytest.mark.parametrize("options", [("--ignore", "claims/test_other.py"), ("--seed", "3")], ids=["ignore", "seed"])
def test_a_run_that_leaves_something_out_or_shifts_a_number_does_not_write_report_md(house, pytester, options):
    house(claim(0.8), "--report", *options)
    assert not (pytester.path / "REPORT.md").exists()


def test_a_hub_model_without_weights_is_not_run(house, pytester, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    result = house(claim(0.8).replace("mini-0", "gpt2-small"))
    record = records(pytester.path)["test_it/gpt2-small"]
    assert (record["verdict"], result.ret) == ("NOT RUN", 5)
    assert "mechlib fetch gpt2-small" in record["message"]


def test_a_mark_on_a_model_that_did_not_run_is_no_failure(house, pytester, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    marked = claim(0.8, marks="@refuted({'gpt2-small': 'expected'})").replace('["mini-0"]', '["mini-0", "gpt2-small"]')
    assert house(marked).ret == 0


def test_frozen_measures_nothing(house, pytester):
    result = house(claim(0.8), "--frozen")
    assert result.ret == 1
    assert not list((pytester.path / "artifacts").rglob("*.jsonl"))
    assert "run `pytest -k topic`" in records(pytester.path)["test_it/mini-0"]["message"]
    assert house(None).ret == 0
    assert house(None, "--frozen").ret == 0
    assert records(pytester.path)["test_it/mini-0"]["measured"] == 0


def test_a_bound_moved_after_evidence_is_shown_for_good(house, pytester):
    house(claim(0.8))
    register = pytester.path / "artifacts" / "register.jsonl"
    assert len(register.read_text().splitlines()) == 1
    house(claim(0.8))
    assert len(register.read_text().splitlines()) == 1
    house(claim(0.8).replace("0.5", "0.4"))
    history = records(pytester.path)["test_it/mini-0"]["history"]
    assert len(history) == 1 and "0.5" in history[0] and "0.4" in history[0] and "SUPPORTED" in history[0]
    house(claim(0.8).replace("0.5", "0.4"))
    assert records(pytester.path)["test_it/mini-0"]["history"] == history
    house(claim(0.8))
    assert len(records(pytester.path)["test_it/mini-0"]["history"]) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def test_it(tmp_path):\n    '''S.\n    Source: s.'''\n    assert mean(x) >= 1", "fixture tmp_path"),
        (
            "class TestIt:\n    def test_it(self):\n        '''S.\n    Source: s.'''\n        assert mean(x) >= 1",
            "class",
        ),
        (
            "def test_it():\n    '''S.\n    Source: s.'''\n    assert not mean(x) >= 1",
            "compare one estimate with a number",
        ),
        ("def test_it():\n    '''S.\n    Source: s.'''\n    pass", "a claim is one assert"),
        (
            "@pytest.mark.parametrize('model', ['<b>'], ids=['<b>'])\ndef test_it(model):\n"
            "    '''S.\n    Source: s.'''\n    assert mean(x) >= 1",
            "letters, digits",
        ),
    ],
    ids=["a fixture", "a class", "a negation", "no assert", "an id that is markup"],
)
def test_what_is_no_claim_is_refused_at_collection(house, text, words):
    result = house("\n" + text)
    assert result.ret == 2
    result.stdout.fnmatch_lines([f"*{words}*"])


def test_without_assertion_rewriting_a_refutation_is_still_a_failure(house):
    assert house(claim(0.2), "--assert=plain").ret == 1


def test_python_without_asserts_is_refused(house, pytester, monkeypatch):
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    result = house(claim(0.2), process=True)
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*strips asserts*"])


def test_workers_change_no_number(house, pytester):
    text = "".join(claim(0.45 + 0.01 * i).replace("test_it", f"test_it_{i}") for i in range(8))
    house(text)
    alone = records(pytester.path)
    result = house(None, "-n", "2")
    together = records(pytester.path)
    assert result.ret == 1
    assert {k: v["comparison"] for k, v in alone.items()} == {k: v["comparison"] for k, v in together.items()}
    assert len(together) == 8


def test_two_workers_measure_the_same_evidence_without_loss(house, pytester):
    text = "".join(claim(0.8).replace("test_it", f"test_it_{i}") for i in range(8))
    result = house(text, "-n", "4")
    assert result.ret == 0, result.stdout.str()
    assert len(list((pytester.path / "artifacts" / "evidence").rglob("*.jsonl"))) == 3
    assert len((pytester.path / "artifacts" / "register.jsonl").read_text().splitlines()) == 8


def test_ones_own_model_comes_under_everybodys_claims(house, pytester):
    house(claim(0.8).replace('["mini-0"]', '["mini-0", "mini-1"]'))
    own = pytester.path / "my model"
    (pytester.path / "fixtures" / "mini-1").rename(own)
    result = house(None, "--model", "my model", "--report")
    assert result.ret == 0, result.stdout.str()
    assert records(pytester.path)["test_it/my-model"]["id"].endswith("[my-model]")
    assert len(list((pytester.path / "artifacts" / "local").rglob("*--my-model*.jsonl"))) == 3
    assert (pytester.path / "artifacts" / "report" / "partial" / "report.html").exists()
    assert len((pytester.path / "artifacts" / "register.jsonl").read_text().splitlines()) == 2


def test_a_model_that_does_not_exist_is_named(house, pytester):
    result = house(claim(0.8), "--model", "mini-9")
    assert result.ret != 0
    assert "no model 'mini-9'" in result.stdout.str() + result.stderr.str()


def test_the_whole_record_and_a_selection_are_reported_apart(house, pytester):
    both = claim(0.8) + claim(0.2).replace("test_it", "test_other")
    assert house(both, "--report").ret == 1
    folder = pytester.path / "artifacts" / "report"
    assert (folder / "report.html").exists() and (folder / "run.html").exists()
    assert (pytester.path / "REPORT.md").exists()
    whole = (folder / "report.html").read_text()
    assert house(None, "--report", "-k", "test_it").ret == 0
    assert (folder / "report.html").read_text() == whole
    assert "PARTIAL" in (folder / "partial" / "report.html").read_text()


def test_a_paper_that_cites_what_is_no_longer_so_is_told_and_the_report_stays(house, pytester):
    pytester.mkdir("docs")
    text = pytester.path / "docs" / "paper.md"
    text.write_text('It is {{ value("topic.test_it[mini-0]", "SUPPORTED") }}.\n')
    house(claim(0.8), "--report")
    said = (pytester.path / "REPORT.md").read_text()
    assert said.startswith("It is [0.800](artifacts/record/topic.md#topic.it)")
    result = house(claim(0.2), "--report")
    result.stdout.fnmatch_lines([
        "docs/paper.md:1: topic.test_it[[]mini-0[]] is REFUTED now, and the text relies on SUPPORTED: *",
        "REPORT.md stays as it was, 1 to mend in its text",
    ])  # fmt: skip
    assert (pytester.path / "REPORT.md").read_text() == said


def test_plain_pytest_writes_no_report(house, pytester):
    house(claim(0.8))
    assert not (pytester.path / "REPORT.md").exists()
    assert not (pytester.path / "artifacts" / "report").exists()


def test_results_have_the_schema(house, pytester):
    house(claim(0.8), "--results", "results.json")
    results = json.loads((pytester.path / "results.json").read_text())
    assert results["schema"] == 2
    assert set(results["claims"][0]) >= {
        "id", "topic", "function", "sentence", "model", "verdict", "twin", "estimate", "low", "high", "n", "clusters",
        "method", "bound", "flags",
    }  # fmt: skip
    assert results["claims"][0]["topic"] == "topic"


def test_the_resampling_seed_moves_the_interval_and_not_the_value(house, pytester):
    house(claim(0.8))
    one = records(pytester.path)["test_it/mini-0"]["comparison"]
    house(None, "--seed", "1")
    other = records(pytester.path)["test_it/mini-0"]["comparison"]
    assert one["estimate"]["value"] == other["estimate"]["value"]
    assert 0 < abs(one["estimate"]["low"] - other["estimate"]["low"]) < 0.002


def test_modes_exclude_each_other(house):
    assert house(claim(0.8), "--fresh", "--frozen").ret == 4


TORCHLESS = """
import sys
import pytest
status = pytest.main(["-q", "--frozen", "-p", "no:cacheprovider"])
sys.exit(17 if "torch" in sys.modules else status)
"""


def test_claims_are_judged_without_torch_and_this_would_show_it(house, pytester):
    house(claim(0.8))
    (pytester.path / "torch.py").touch()  # a torch that costs nothing
    assert subprocess.run([sys.executable, "-c", TORCHLESS], cwd=pytester.path, capture_output=True).returncode == 0
    file = pytester.path / "claims" / "test_topic.py"
    file.write_text("import torch\n" + file.read_text())
    assert subprocess.run([sys.executable, "-c", TORCHLESS], cwd=pytester.path, capture_output=True).returncode == 17
