"""A registration: a line that is read back as it was written, and that says in which part a claim changed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mechlib.verdicts.lines import DamagedRegister, Judgement, read_line
from mechlib.verdicts.register import REGISTER, Register, tried
from mechlib.verdicts.registration import ANNOUNCED, PARTS, Identity, Registration, differences, seed_of

SAID = Identity("At least a half.", ">= 0.50", "q", '{"model": "mini-0"}', "h", {"scored": "f"})
LINE = Registration("toy.test_it[mini-0]", SAID, ("letters 0123",), ("0123abcd",), parent="c", seed=7)
JUDGED = Judgement("toy.test_it[mini-0]", ">= 0.50", "q", ("0123abcd",), "SUPPORTED", prompts=("letters 0123",))
OTHER = {
    "sentence": "Always.", "bound": ">= 0.40", "question": "r", "arguments": "{}", "helpers": "i",
    "functions": {"scored": "g"}, "expected": "REFUTED", "reported": "3.5 logits",
}  # fmt: skip


@pytest.mark.parametrize(
    "line", [LINE, replace(LINE, open=True, amended="a sign", was="VOID", versions={"mechlib": "1"}), JUDGED]
)
def test_a_line_is_read_back_as_it_was_written(line):
    assert read_line(line.line(), REGISTER, 1) == line


def test_empty_parts_are_left_out_and_a_judgement_has_no_field_of_a_registration():
    assert not {"open", "amended", "was", "versions"} & json.loads(LINE.line()).keys()
    assert set(json.loads(replace(JUDGED, prompts=()).line())) == {"claim", "bound", "question", "evidence", "verdict"}


@pytest.mark.parametrize("part", PARTS)
def test_each_part_that_changes_is_named_and_but_for_what_is_announced_makes_another_claim(part):
    changed = replace(SAID, **{part: OTHER[part]})
    assert SAID.differences(changed) == [part]
    assert (changed.digest == SAID.digest) == (part in ("expected", "reported"))
    said = differences([LINE], changed)
    assert (said == []) if part in ANNOUNCED else (len(said) == 1 and PARTS[part] in said[0])


def test_a_published_number_that_changes_after_the_line_is_shown_and_so_is_a_rank_that_comes_later():
    announced = replace(LINE, identity=replace(SAID, reported="3.56 logits"))
    assert differences([announced], replace(SAID, reported="3.5 logits")) == [
        "not as registered: the published number 3.56 logits -> 3.5 logits"
    ]
    assert differences([announced], SAID) == ["not as registered: the published number 3.56 logits -> none"]
    assert differences([LINE], replace(SAID, reported="3.56 logits; primary")) == [
        "not as registered: the published number none -> 3.56 logits; primary"
    ]
    assert differences([announced], announced.identity) == []
    assert differences([LINE, announced], announced.identity) == [], "a number that was found later, registered again"
    assert differences([LINE, replace(announced, prompts=())], announced.identity) == [
        "registered again with other prompts"
    ]


def test_a_line_from_before_papers_were_held_beside_stays_the_line_it_was():
    assert "reported" not in json.loads(LINE.line())
    told = replace(LINE, identity=replace(SAID, reported="no number; primary"))
    assert json.loads(told.line())["reported"] == "no number; primary"
    assert read_line(told.line(), REGISTER, 1) == told and told.named != LINE.named


def test_a_change_from_line_to_line_is_said_whatever_the_claim_says_today():
    again = replace(LINE, identity=replace(SAID, bound=">= 0.40"))
    back = replace(LINE, prompts=("letters 4567",))
    assert differences([LINE, again, back], SAID) == [
        "registered again with the bound >= 0.50 -> >= 0.40",
        "registered again with the bound >= 0.40 -> >= 0.50",
    ]


def test_the_register_keeps_both_kinds_of_lines_apart_and_adds_what_is_new(tmp_path):
    path = tmp_path / "register.jsonl"
    register = Register(path)
    assert register.register(LINE) and not register.register(replace(LINE, versions={"mechlib": "2"}))
    register.add(JUDGED)
    assert register.register(replace(LINE, identity=replace(SAID, helpers="i")))
    kept = Register(path)
    assert [len(kept.registrations[LINE.claim]), len(kept.all)] == [2, 1]
    assert kept.line_of(LINE.claim, replace(SAID, expected="REFUTED")) == LINE
    assert kept.line_of(LINE.claim, replace(SAID, bound=">= 0.40")) is None


def test_a_registration_that_lacks_a_part_is_named_with_the_cure(tmp_path):
    row = json.loads(LINE.line())
    del row["question"]
    with pytest.raises(DamagedRegister, match=r"line 3 is no judgement .*restore it with `git checkout"):
        read_line(json.dumps(row), tmp_path / "artifacts" / "register.jsonl", 3)


def test_other_draws_are_counted_once_each_by_their_last_word():
    draws = [replace(JUDGED, prompts=(f"letters {seed}",), verdict="REFUTED") for seed in range(37)]
    assert tried([*draws, JUDGED]) == "38 other draws were judged: 1 SUPPORTED, 37 REFUTED"
    assert tried([]) == ""


def test_a_seed_is_one_for_all_cases_of_a_function_and_another_for_each_commit_and_question():
    seeds = {seed_of("toy.test_it[mini-0]", q, c) for q in "qr" for c in "cd"}
    assert len(seeds) == 4
    assert seed_of("toy.test_it[mini-1]", "q", "c") == seed_of("toy.test_it[mini-0]", "q", "c")
