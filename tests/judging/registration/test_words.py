"""What the order of commits shows of a claim: ancestry decides, whatever dates say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mechlib.judging.commands.verify import checked, read_records
from mechlib.judging.registration.commits import NoHistory, commits
from mechlib.judging.registration.words import registrations
from tests.helpers.committed import ONE

ID = "topic.test_it[mini-0]"
OTHER = ONE.replace("test_it", "test_other").replace("at least a half", "at least .4").replace(">= 0.5", ">= 0.4")


def word(committed, name: str = ID) -> str:
    return committed.judged()[name]["registration"]


def test_a_line_that_is_an_ancestor_of_all_evidence_registers_a_claim(committed):
    committed.registered(ONE)
    record = committed.measured()[ID]
    assert record["registration"] == "REGISTERED"
    assert record["registration_why"] == "its line was committed before any of its prompts had evidence on this model"
    assert committed.verify() == []


def test_a_claim_that_nobody_registered_is_exploratory(committed):
    committed.write(ONE)
    committed.commit()
    record = committed.measured()[ID]
    assert record["registration"] == "EXPLORATORY"
    assert record["registration_why"] == (
        "nobody registered it before it was measured; its claim was committed before its evidence"
    )


def test_a_line_that_is_committed_with_its_evidence_proves_nothing_and_neither_does_one_that_is_not_committed(
    committed,
):
    committed.write(ONE)
    committed.run("--register")
    committed.run()
    assert word(committed) == "EXPLORATORY"  # nothing is committed
    committed.commit()
    assert word(committed) == "EXPLORATORY"
    (said,) = checked(committed.root, committed.root / "records.jsonl")[1]
    assert said.startswith(
        f"1 verdict is registered and EXPLORATORY all the same, first {ID}: its line came in with, or "
    )


def test_dates_decide_nothing(committed, monkeypatch):
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2031-01-01T00:00:00")
    monkeypatch.setenv("GIT_AUTHOR_DATE", "2031-01-01T00:00:00")
    committed.registered(ONE)
    for name in ("GIT_COMMITTER_DATE", "GIT_AUTHOR_DATE"):
        monkeypatch.setenv(name, "2001-01-01T00:00:00")
    assert committed.measured()[ID]["registration"] == "REGISTERED"


def test_a_line_on_another_branch_than_the_evidence_does_not_come_before_it(committed):
    committed.write(ONE)
    committed.commit("claimed")
    committed.git("checkout", "-q", "-b", "measured")
    committed.run()
    committed.commit("measured")
    committed.git("checkout", "-q", "main")
    committed.run("--register")
    committed.commit("registered")
    committed.git("checkout", "-q", "-b", "both")
    text = committed.register.read_text()
    committed.git("merge", "-q", "-X", "ours", "--no-edit", "measured")
    assert text in committed.register.read_text()
    assert word(committed) == "EXPLORATORY"


@pytest.mark.parametrize(
    ("prompts", "wanted"),
    [
        ("letters()", "REGISTERED, PROMPTS SEEN"),
        ('letters(corrupted="LM")', "REGISTERED, PROMPTS SEEN"),  # the same texts, corrupted otherwise
        ("letters(seed=1)", "REGISTERED"),
        ("letters(), 0.7", "REGISTERED, PROMPTS SEEN"),
    ],
)
def test_prompts_are_seen_where_any_claim_on_this_model_had_evidence_on_one_of_their_texts(committed, prompts, wanted):
    committed.registered(ONE)
    committed.measured()
    new = OTHER.replace("letters(), 0.8", f"{prompts.removesuffix(', 0.7')}, 0.7")
    committed.registered(ONE + new)
    found = committed.measured()
    assert found["topic.test_other[mini-0]"]["registration"] == wanted
    assert found[ID]["registration"] == "REGISTERED"


def test_prompts_that_were_seen_on_another_model_are_not_seen_on_this_one(committed):
    committed.registered(ONE)
    committed.measured()
    committed.registered(ONE + OTHER.replace('["mini-0"]', '["mini-1"]'))
    assert committed.measured()["topic.test_other[mini-1]"]["registration"] == "REGISTERED"


def test_prompts_of_evidence_that_was_deleted_since_were_seen(committed):
    committed.write(OTHER.replace("0.8", "0.7"))
    committed.run()
    committed.commit("looked")
    committed.git("rm", "-r", "-q", "artifacts")
    committed.commit("forgotten")
    committed.registered(ONE)
    record = committed.measured()[ID]
    assert record["registration"] == "REGISTERED, PROMPTS SEEN"
    assert record["registration_why"].startswith("prompts of it had evidence before its line (topic/scored--mini-0--")


def test_a_claim_that_moves_to_another_file_with_its_helpers_stays_registered(committed):
    committed.registered(ONE.replace('scored(model, letters(), 0.8)["value"]', "level(model)") + HELPER)
    committed.measured()
    text = committed.file.read_text()
    committed.file.unlink()
    (committed.root / "claims" / "topic").mkdir()
    (committed.root / "claims" / "topic" / "test_elsewhere.py").write_text("# moved\n" + text)
    committed.commit("moved")
    assert word(committed) == "REGISTERED"


def test_two_branches_that_both_register_and_measure_are_merged_without_a_conflict_and_without_a_loss(committed):
    (committed.root / ".gitattributes").write_text((Path(__file__).parents[3] / ".gitattributes").read_text())
    committed.registered(ONE)
    committed.git("checkout", "-q", "-b", "branch")
    committed.measured()
    committed.git("checkout", "-q", "main")
    (committed.root / "claims" / "topic").mkdir()
    (committed.root / "claims" / "topic" / "test_other.py").write_text(
        committed.file.read_text().replace("test_it", "test_other").replace("mini-0", "mini-1")
    )
    committed.run("--register")
    committed.commit("registered")
    committed.measured("-k", "test_other")
    committed.git("merge", "-q", "--no-edit", "branch")
    assert committed.verify() == []
    words = {name: record["registration"] for name, record in committed.words().items()}
    assert words == {ID: "REGISTERED", "topic.test_other[mini-1]": "REGISTERED"}


def test_who_claims_after_evidence_of_that_task_and_model_may_have_looked_whatever_the_draw(committed):
    committed.registered(ONE)
    committed.measured()
    other = OTHER.replace("letters()", "letters(seed=1)")
    committed.registered(ONE + other + other.replace("test_other", "test_third").replace("mini-0", "mini-1"))
    committed.measured()
    records = read_records(committed.root / "records.jsonl")
    for record in records:
        record.named = ["NAMED BY HAND: 0.1"]
    registrations(committed.root, records)
    late = {record.id for record in records if record.named == ["NAMED BY HAND, AFTER LOOKING: 0.1"]}
    assert late == {"topic.test_other[mini-0]"}


HELPER = """
def level(model):
    return scored(model, letters(), 0.8)["value"]
"""


def test_where_history_is_cut_or_missing_the_order_is_unknown_and_verify_says_so(committed, tmp_path_factory):
    committed.registered(ONE)
    committed.measured()
    cut = tmp_path_factory.mktemp("cut") / "clone"
    committed.git("clone", "-q", "--depth", "1", f"file://{committed.root}", str(cut))
    with pytest.raises(NoHistory, match=r"git's history is cut here: run `git fetch --unshallow`"):
        commits(cut)
    records = read_records(committed.root / "records.jsonl")
    registrations(cut, records)
    assert [record.registration for record in records] == ["ORDER UNKNOWN"]
    found, cautions = checked(cut, committed.root / "records.jsonl")
    assert not [line for line in found if "register" in line]
    assert cautions == [
        "git's history is cut here: run `git fetch --unshallow`: whether claims came before their evidence, and "
        "artifacts/register.jsonl was only added to, is not known"
    ]
    subprocess.run(["rm", "-rf", str(cut / ".git")], check=True)
    registrations(cut, records)
    assert records[0].registration_why == "this is no git repository"


def test_the_words_of_this_record_are_what_the_commits_of_its_claims_show(whole_record):
    """The figures of a reading by other means: three functions whose evidence is older than the claim."""
    from tests.helpers.judged import ROOT

    try:
        commits(ROOT)
    except NoHistory as error:
        pytest.skip(str(error))
    records = read_records(whole_record.path)
    registrations(ROOT, records)
    older = {record.function for record in records if record.registration == "EVIDENCE FIRST"}
    assert older <= {
        "test_each_carrier_alone_costs_a_tenth_under_other_ablations",
        "test_every_planted_edge_loses_much_when_removed_alone",
        "test_no_number_makes_up_a_tenth_of_the_wrong_answers",
    }
    assert sum(record.registration == "CLAIM FIRST" for record in records) > 400
