"""`@reported`: a claim says which published sentence it asks, and the register says what it counts as."""

from __future__ import annotations

import json

import pytest

from mechlib import reported
from mechlib.judging.claim import Claim, NoClaim
from mechlib.judging.registration.claimed import identity
from mechlib.verdicts.record import Record
from mechlib.verdicts.reported import Reported
from tests.helpers.committed import ONE

WHERE = "Wang et al. 2022, arXiv:2211.00593, section 2"
MARK = f'@reported(3.56, "{WHERE}", unit="logits")\n'


def claim_of(tmp_path, marks: str, source: str = "\n    Source: a pilot.") -> Claim:
    path = tmp_path / "test_written.py"
    path.write_text(f'{marks}def test_it(model):\n    """A sentence.{source}"""\n    assert mean(x) >= 0.4\n')
    names: dict = {"reported": reported}
    exec(compile(path.read_text(), str(path), "exec"), names)
    return Claim(names["test_it"])


def test_the_number_and_its_place_are_read_off_the_claim_and_change_nothing_that_is_compared(tmp_path):
    plain, marked = claim_of(tmp_path, ""), claim_of(tmp_path, MARK)
    assert plain.reported is None
    assert marked.reported == Reported(3.56, WHERE, "logits") and marked.reported.number == "3.56 logits"
    assert marked.question == plain.question
    before, after = (identity(claim, {"model": "mini-0"}) for claim in (plain, marked))
    assert before.digest == after.digest and (before.reported, after.reported) == ("", "3.56 logits")


def test_the_paper_is_the_source_where_the_docstring_gives_none(tmp_path):
    assert claim_of(tmp_path, MARK).source == "a pilot."
    assert claim_of(tmp_path, MARK, source="").source == WHERE
    with pytest.raises(NoClaim, match="has no source"):
        claim_of(tmp_path, "", source="")


def test_a_mark_says_that_some_part_does_it(tmp_path):
    mark = MARK.replace(")\n", ", exists=True)\n")
    assert claim_of(tmp_path, mark).reported == Reported(3.56, WHERE, "logits", exists=True)


def test_two_numbers_are_no_claim_s(tmp_path):
    with pytest.raises(NoClaim, match="test_it has two @reported: a claim stands beside one number, give the other"):
        claim_of(tmp_path, MARK + MARK.replace("3.56", "3.5"))


@pytest.mark.parametrize("value", ["3.56", True, float("nan"), float("inf"), [3.56]])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match="@reported takes the number that the paper gives, or None"):
        reported(value, WHERE)


@pytest.mark.parametrize("where", ["", "Wang et al.", "arXiv:2211.00593", 2022])
def test_a_paper_without_its_year_is_refused(where):
    with pytest.raises(TypeError, match=r'as in "Wang et al\. 2022, section 2"; got '):
        reported(3.56, where)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Reported(None, WHERE), "no number"),
        (Reported(0.993, WHERE), "0.993"),
        (Reported(-3.4, WHERE, "logits", primary=True), "-3.4 logits; primary"),
        (Reported(3, WHERE, "of 144 heads", "Three heads do it.", True), "3 of 144 heads; primary; Three heads do it."),
        (Reported(None, WHERE, exists=True, sentence="A head does it."), "no number; of some part; A head does it."),
    ],
)
def test_what_a_claim_counts_as(found, said):
    assert found.counts_as == said


def test_the_register_says_what_a_claim_counts_as_and_the_record_carries_it(committed):
    committed.write("from mechlib import reported\n" + ONE.replace("@pytest", MARK + "@pytest", 1))
    assert committed.run("--register").ret == 0
    assert committed.lines[0]["reported"] == "3.56 logits"
    committed.commit("registered")
    committed.run("--records", "records.jsonl")
    (line,) = (committed.root / "records.jsonl").read_text().splitlines()
    record = Record.from_json(line)
    assert record.verdict == "SUPPORTED" and record.reported == Reported(3.56, WHERE, "logits")
    assert record.history == []


def test_a_number_that_is_mended_after_the_evidence_is_shown_beside_the_claim(committed):
    text = "from mechlib import reported\n" + ONE.replace("@pytest", MARK + "@pytest", 1)
    committed.write(text)
    committed.run("--register")
    committed.commit("registered")
    committed.run()
    committed.commit("measured")
    committed.write(text.replace("3.56", "0.8"))
    committed.run("--records", "records.jsonl")
    (line,) = (committed.root / "records.jsonl").read_text().splitlines()
    assert json.loads(line)["history"] == ["not as registered: the published number 3.56 logits -> 0.8 logits"]
    assert json.loads(line)["registration"] != "EXPLORATORY"
