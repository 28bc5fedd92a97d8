"""Cheats: how somebody would make a claim come out, each tried. What ends refused, what is shown for good, what only
measuring again sees.

Others stand where their rule is tested: heads picked by argmax, on confirmation prompts or inside an evidence function,
in tests of selection.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

import mechlib
from mechlib.evidence.stamp import behind
from tests.helpers.committed import ONE

ID = "topic.test_it[mini-0]"


@pytest.fixture
def judged_once(committed):
    """A claim that was registered, measured and SUPPORTED, all committed."""
    committed.registered(ONE)
    assert committed.measured()[ID]["verdict"] == "SUPPORTED"
    return committed


def again(committed, old: str, new: str) -> dict:
    """The claim's record once its file was edited and judged again, all committed."""
    committed.edit(old, new)
    return committed.measured()[ID]


# --- shown for good -----------------------------------------------------------------------------------------------


def test_a_bound_that_moved_and_moved_back_is_shown_for_good(judged_once):
    moved = again(judged_once, ">= 0.5", ">= 0.7")
    assert moved["registration"] == "EXPLORATORY"
    assert "not as registered: the bound >= 0.50 -> >= 0.70" in moved["history"]
    back = again(judged_once, ">= 0.7", ">= 0.5")
    assert back["history"] == [
        "bound >= 0.50 -> >= 0.70 after evidence (it was SUPPORTED)",
        "bound >= 0.70 -> >= 0.50 after evidence (it was SUPPORTED)",
    ]


def test_registering_again_after_evidence_cures_nothing(judged_once):
    judged_once.edit(">= 0.5", ">= 0.7")
    result = judged_once.run("--register")
    assert result.ret == 1 and len(judged_once.lines) == 2
    result.stdout.fnmatch_lines([f"*{ID[:13]}*its evidence is filed already, so that a line would prove nothing*"])


def test_a_sentence_made_stronger_is_shown_with_what_it_was(judged_once):
    record = again(judged_once, "The level is at least a half.", "The level is always at least a half.")
    assert record["registration"] == "EXPLORATORY"
    said = "not as registered: the sentence The level is at least a half. -> The level is always at least a half."
    assert record["history"] == [said]


HELPED = (
    ONE.replace('mean(scored(model, letters(), 0.8)["value"])', "proportion(enough(model))")
    + """
ENOUGH = 0.5


def enough(model):
    return reaching(scored(model, letters(), 0.8)["value"])


def reaching(measured):
    return measured.at_least(ENOUGH)
"""
)


@pytest.mark.parametrize(
    ("old", "new"), [("ENOUGH = 0.5", "ENOUGH = 0.4"), ("at_least(ENOUGH)", "at_least(ENOUGH / 2)")]
)
def test_a_bound_in_a_helper_or_in_a_constant_that_it_reads_is_registered_too(committed, old, new):
    committed.registered(HELPED)
    first = committed.measured()[ID]
    assert (first["registration"], first["history"]) == ("REGISTERED", []), first["message"]
    record = again(committed, old, new)
    assert record["registration"] == "EXPLORATORY"
    assert record["history"][-1] == "not as registered: a helper changed"


def test_an_evidence_function_that_is_edited_after_a_void_is_shown_with_the_void(committed):
    text = ONE.replace("scored(model, letters(), 0.8)", "scored(model.partition('@')[0], letters(), 0.8)")
    committed.registered(text)
    assert committed.measured()[ID]["verdict"] == "VOID"
    record = again(committed, "scored(model.partition('@')[0], letters(), 0.8)", "scored(model, letters(), 0.8)")
    assert (record["verdict"], record["registration"]) == ("SUPPORTED", "EXPLORATORY")
    assert record["history"] == [
        "the compared expression changed after evidence (it was VOID at >= 0.50)",
        "not as registered: the compared expression changed",
    ]


def test_a_control_that_is_removed_after_a_void_is_shown_with_the_void(committed):
    measured, other = (f'scored(model, letters(), 0.8)["{column}"]' for column in ("value", "first"))
    committed.registered(ONE.replace(f"mean({measured})", f"mean({measured}, control={other})"))
    assert committed.measured()[ID]["verdict"] == "VOID"  # of the other the same is true
    record = again(committed, f", control={other}", "")
    assert (record["verdict"], record["registration"]) == ("SUPPORTED", "EXPLORATORY")
    assert record["history"] == [
        "the compared expression changed after evidence (it was VOID at >= 0.50)",
        "not as registered: the compared expression changed",
    ]


def test_a_mark_that_was_announced_and_is_taken_away_is_shown(committed):
    announced = ONE.replace("def test_it", "@refuted({'mini-0': 'published, and not believed'})\ndef test_it")
    committed.registered(announced)
    assert committed.measured()[ID]["ok"] is False  # it is SUPPORTED, and only what is marked satisfies a mark
    record = again(committed, "@refuted({'mini-0': 'published, and not believed'})\n", "")
    assert record["history"] == ["not as registered: the mark REFUTED -> none"]


def test_marking_what_came_out_is_no_change(committed):
    committed.registered(ONE.replace("0.8", "0.2"))
    assert committed.measured()[ID]["verdict"] == "REFUTED"
    record = again(committed, "def test_it", "@refuted({'mini-0': 'as measured'})\ndef test_it")
    assert (record["ok"], record["history"], record["registration"]) == (True, [], "REGISTERED")


def test_seeds_that_were_tried_are_counted_beside_the_one_that_is_left(committed):
    by_seed = ONE.replace('scored(model, letters(), 0.8)["value"]', "lucky(model, letters(seed=0))")
    by_seed += """
def lucky(model, prompts):
    return scored(model, prompts, 0.8 if dict(prompts.settings)["seed"] == 3 else 0.2)["value"]
"""
    committed.write(by_seed)
    for seed in range(3):
        again(committed, f"seed={seed}", f"seed={seed + 1}")
    record = committed.words()[ID]
    assert (record["verdict"], record["registration"]) == ("SUPPORTED", "EXPLORATORY")
    assert record["tried"] == "2 other draws were judged: 2 REFUTED"
    committed.git("rm", "-q", "-r", "artifacts/evidence")
    committed.run()
    committed.commit("only the one that came out")
    assert committed.words()[ID]["tried"] == "2 other draws were judged: 2 REFUTED"


def test_evidence_that_is_older_than_its_claim_is_exploratory_whatever_is_registered(judged_once):
    """A claim of what is known, with a gate that is not, so that there is something to register."""
    known = ONE.replace("test_it", "test_known").replace(
        "    assert", "    requires(mean(scored(model, letters(), 0.9)['value']) >= 0.1)\n    assert"
    )
    judged_once.registered(ONE + known)
    record = judged_once.measured()["topic.test_known[mini-0]"]
    assert record["registration"] == "EXPLORATORY"
    assert record["registration_why"].startswith("its line came in with, or after, its evidence (artifacts/evidence/")


# --- named by verify, or refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, 1], ids=["registered", "judged"])
def test_a_line_of_the_register_that_is_deleted_is_named(judged_once, which):
    lines = judged_once.register.read_text().splitlines(keepends=True)
    judged_once.register.write_text("".join(line for number, line in enumerate(lines) if number != which))
    said = ["registered >= 0.50", "judged SUPPORTED at >= 0.50"][which]
    for _ in range(2):  # before the deletion is committed, and after
        found = judged_once.verify()
        assert any(f"lacks the line about {ID}, {said}, that came in with " in line for line in found), found
        judged_once.commit("tidied")
    judged_once.register.write_text("".join(lines))
    assert judged_once.verify() == []


def test_a_line_that_is_edited_or_moved_is_named(judged_once):
    judged_once.edit(">= 0.5", ">= 0.7")
    judged_once.measured()
    text = judged_once.register.read_text()
    judged_once.register.write_text(text.replace('"bound": ">= 0.50", "question"', '"bound": ">= 0.70", "question"', 1))
    assert any("lacks the line about" in line for line in judged_once.verify())
    first, second, third = text.splitlines(keepends=True)
    judged_once.register.write_text(first + third + second)
    assert any("its lines in another order than in " in line for line in judged_once.verify())


def test_a_function_that_is_renamed_loses_its_line_and_the_line_its_claim(judged_once):
    judged_once.edit("test_it", "test_it_anew")
    record = judged_once.measured()["topic.test_it_anew[mini-0]"]
    assert record["registration"] == "EXPLORATORY"
    (said,) = [line for line in judged_once.verify() if "claimed no longer" in line]
    assert said.startswith(f"{ID} was judged SUPPORTED at >= 0.50 and is claimed no longer: bring it back")


def test_a_prediction_that_was_registered_and_never_measured_cannot_be_dropped(judged_once):
    judged_once.registered(ONE + ONE.replace("test_it", "test_bold").replace("0.8", "0.2"))
    judged_once.write(ONE)
    (said,) = judged_once.verify()
    assert said == "topic.test_bold[mini-0] was registered at >= 0.50 and is claimed no longer: bring it back"


def test_what_is_retracted_by_name_may_go_and_its_lines_stay(judged_once):
    judged_once.edit("test_it", "test_it_anew")
    judged_once.measured()
    changelog = judged_once.root / "CHANGELOG.md"
    changelog.write_text("* `topic.it_is_something_else`: retracted.\n")
    assert any("claimed no longer" in line for line in judged_once.verify())
    changelog.write_text("* `topic.it`: retracted; any network does that.\n")
    assert not any("claimed no longer" in line for line in judged_once.verify())
    assert "topic.test_it[" in judged_once.register.read_text()


def test_seeds_that_were_cases_and_are_deleted_are_claimed_no_longer(committed):
    seeds = ONE.replace('"model", ["mini-0"]', '"model,seed", [("mini-0", 1), ("mini-0", 2)]')
    committed.write(seeds.replace("def test_it(model)", "def test_it(model, seed)").replace("()", "(seed=seed)", 1))
    committed.measured()
    committed.edit(', ("mini-0", 2)', "")
    committed.measured()
    assert any(
        line.startswith("topic.test_it[mini-0-2] was judged SUPPORTED at >= 0.50 and is claimed no longer")
        for line in committed.verify()
    )


def test_a_judgement_that_is_not_filed_fails_frozen_and_verify(judged_once):
    judged_once.edit(">= 0.5", ">= 0.7")
    before = judged_once.register.read_bytes()
    assert judged_once.run("--frozen").ret == 1
    assert judged_once.register.read_bytes() == before
    said = f"artifacts/register.jsonl lacks 1 judgements, first that of {ID}: run `pytest` and commit it"
    assert said in judged_once.verify()


def test_a_number_out_of_nothing_is_refused_before_anything_is_registered(committed):
    """As no claim where its form says so, else as nothing that is to be measured."""
    committed.write(ONE.replace('mean(scored(model, letters(), 0.8)["value"])', "exact(0.99)"))
    result = committed.run("--register")
    assert result.ret in (1, 2) and not committed.register.exists()
    said = result.stdout.str()
    assert "it asks for nothing that is to be measured, so that a line would prove nothing" in said or "exact(" in said


# --- what only measuring again sees -------------------------------------------------------------------------------


def test_rows_that_were_shifted_with_the_hash_recomputed_are_seen_by_measuring_again_and_by_nothing_else(judged_once):
    from mechlib.evidence import sealed

    (path,) = (judged_once.root / "artifacts/evidence/topic").glob("scored--mini-0--*.jsonl")
    first, *rows = path.read_text().splitlines()
    forged = [json.dumps([round(value + 0.1, 6) for value in json.loads(row)]) + "\n" for row in rows]
    header = {key: value for key, value in json.loads(first).items() if key not in ("sha256", "schema")}
    path.write_bytes(sealed.sealed({"schema": sealed.SCHEMA, **header}, forged))
    judged_once.commit("forged")
    assert judged_once.verify() == []
    result = judged_once.run("--fresh")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*topic.scored(mini-0) is not reproduced: 25 of 25 prompts differ*"])


BROKEN = {
    "circuits": ("parts/circuits.py", ("prune", "circuit_scores", "random_circuit_scores", "lost_by_part", "grid")),
    "random circuits": ("parts/random_circuits.py", ("random_circuit_scores", "greedy_knockout", "under_knockouts")),
    "random sets": ("parts/random_sets.py", ("restored_by_random_sets", "under_ablation_of_random_sets")),
    "graphs": ("parts/graphs.py", ("edge_scores", "random_circuit_scores", "prune")),
}


@pytest.mark.parametrize("what", BROKEN)
def test_an_instrument_that_is_broken_is_in_the_stamp_of_what_it_measures(tmp_path: Path, what):
    file, names = BROKEN[what]
    package = Path(mechlib.__file__).parent
    shutil.copytree(package, tmp_path / "mechlib", ignore=shutil.ignore_patterns("__pycache__"))
    before = {name: behind(f"mechlib.lab.{name}", tmp_path) for name in names}
    assert before == {name: behind(f"mechlib.lab.{name}") for name in names}
    spoilt = tmp_path / "mechlib" / file
    spoilt.write_text(spoilt.read_text() + "\n\nBROKEN = 1\n")
    assert not {name for name in names if behind(f"mechlib.lab.{name}", tmp_path) == before[name]}


def test_a_forged_line_would_have_to_be_older_than_the_evidence(judged_once):
    """A line that is written by hand behind the evidence says what the claim says, and comes too late."""
    judged_once.edit("at least a half", "at least a half, and more")
    line = {**judged_once.lines[0], "sentence": "The level is at least a half, and more."}
    with judged_once.register.open("a") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
    judged_once.commit("forged")
    record = judged_once.measured()[ID]
    assert record["registration"] == "EXPLORATORY"
    assert hashlib.sha256(json.dumps(line, ensure_ascii=False).encode()).hexdigest()[:16] == record["registered"]
