"""`mechlib plan MODEL` says what of a model would be measured, topic by topic, and how long that may take."""

from __future__ import annotations

import json

import pytest

from mechlib.checkpoints.resolve import checkpoint
from mechlib.evidence.question import Hashes, Question
from mechlib.judging.commands.forecasting import FACTORS, Forecast, Runs, added
from tests.helpers import toys
from tests.judging.test_planning import CHOSEN, LOOKING, OF_HEADS, claim, plan

__all__ = ["plan"]
GATED = """requires(mean(around(model, 0.8, 0.0, 50)) >= 0.5)
    assert mean(around(model, 0.8, 0.0, 100)) >= 0.5"""


def test_files_are_counted_by_what_they_are_of_and_claims_on_other_models_are_left_out(plan):
    two = LOOKING + claim(CHOSEN, '"mini-0", "mini-1"') + claim(models='"mini-1"').replace("test_it", "test_other")
    status, said = plan(two, "mini-0")
    assert status == 0 and said.startswith("1 verdict on mini-0: 0 evidence files are filed, 3 would be measured\n")
    lines = [line.split() for line in said.splitlines()]
    assert lines[1] == ["topic", "verdicts", "filed", "own", "discovery", "twins", "controls", "minutes", "MB"]
    assert ["topic", "1", "0", "0", "1", "2", "0", "unknown", "unknown"] in lines
    assert "at least: 1 verdict may ask for more" in said and "control runs: 1 verdict may need some" in said
    assert "2 verdicts on mini-1: " in plan(None, "mini-1")[1]


def test_behind_a_gate_that_is_not_measured_the_claim_is_asked_as_well(plan):
    said = plan(claim(GATED), "mini-0")[1]
    assert said.startswith("1 verdict on mini-0: 0 evidence files are filed, 6 would be measured\n")
    listed = plan(None)[1]
    assert all(f"n={n})" in listed for n in (50, 100))


def test_what_is_filed_is_counted_and_control_runs_are(plan):
    plan(OF_HEADS + claim("assert mean(of_heads(model, heads('1.3'), 100)) >= 0.5"), "--no-controls", first="pytest")
    said = plan(None, "mini-0")[1]
    assert said.startswith("1 verdict on mini-0: 3 evidence files are filed, 0 would be measured\n")
    assert "control runs: 1 part exchanged for 39 sets (`pytest --controls`)" in said


def test_files_of_a_model_that_is_not_here_are_counted_before_it_is_fetched(plan, monkeypatch, tmp_path):
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path / "none"))
    said = plan(claim(models='"smollm2-135m"'), "smollm2-135m")[1]
    assert "0 evidence files are filed, 3 would be measured" in said
    assert "smollm2-135m@permuted: `mechlib fetch smollm2-135m` brings it" in said
    assert "smollm2-135m takes about 2.07 GB of memory in each worker" in said


def test_a_name_that_no_claim_has_or_that_is_mistyped_is_told_the_cure(plan):
    status, said = plan(claim(), "mini-1")
    assert status == 2 and said.startswith("mechlib: no claim of this selection names mini-1: `mechlib plan --model=")
    assert plan(None, "minipilot") == (
        2,
        "mechlib: there is no model and no path minipilot: did you mean mini-pilot?\n",
    )


# The forecast


@pytest.fixture
def asked(tmp_path):
    """A function that asks of a model, with 5 prompts, and what the log of runs says of it."""

    def forecast(model: str, *logged: tuple[str, int, float], device: str = "cpu") -> Forecast:
        lines = [
            {
                "question": f"restored(model={of}, prompts=ioi(discovery, n={n}, seed=0))",
                "file": f"artifacts/evidence/ioi/restored--{of}--0.jsonl",
                "seconds": seconds,
                "device": device,
            }
            for of, n, seconds in logged
        ]
        path = tmp_path / "runs.jsonl"
        path.write_text("half a line\n" + "".join(json.dumps(line) + "\n" for line in lines))
        prompts, known = toys.prompts(5), {"model": checkpoint(model)}
        question = Question(
            "ioi", "restored", "", {"model": model, "prompts": prompts}, known, {"model": Hashes("", "", "")}
        )
        return Runs(path).forecast(question, tmp_path)

    return forecast


def middle(found: Forecast) -> float:
    assert found.basis != "unknown"
    assert found.high / found.low == pytest.approx(FACTORS[found.basis] ** 2)
    return (found.high * found.low) ** 0.5


def test_the_same_model_or_a_twin_of_it_costs_what_it_cost_by_the_number_of_prompts(asked):
    found = asked("smollm2-135m", ("smollm2-135m@permuted", 10, 60.0), ("gpt2-small", 10, 9999.0))
    assert found.basis == "logged" and middle(found) == pytest.approx(30)


def test_another_model_costs_by_its_parameters_and_a_large_one_says_more_than_a_small_one(asked):
    found = asked("qwen2.5-coder-0.5b", ("smollm2-135m", 5, 60.0), ("planted-ioi", 5, 1.0))
    assert found.basis == "scaled" and middle(found) == pytest.approx(60 * 630_167_424 / 134_515_008)
    assert asked("qwen2.5-coder-0.5b", ("planted-ioi", 5, 1.0)).basis == "small"


def test_what_no_run_of_this_device_says_is_unknown_and_in_no_sum(asked):
    assert asked("smollm2-135m") == Forecast() == asked("smollm2-135m", ("smollm2-135m", 5, 60.0), device="cuda")
    assert added([Forecast(), Forecast(10, 40, "logged"), Forecast(1, 2, "small")]) == (11, 42)
