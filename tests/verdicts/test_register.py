"""The register: what was claimed stays, and what became of ids and keys can be read off the record for good."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mechlib.verdicts.register import (
    BEFORE_ROOMS,
    FORMER,
    FROZEN,
    REFILED,
    REGISTER,
    DamagedRegister,
    Judgement,
    Register,
    address,
    past,
    refiled,
    translated,
)

ROOT = Path(__file__).resolve().parents[2]
FIRST = Judgement("toy.test_it[mini-0]", ">= 0.5", "q", ("0123abcd",), "SUPPORTED")


def lines(path: Path) -> list[str]:
    return (ROOT / path).read_bytes().replace(b"\r\n", b"\n").decode().split("\n")[:-1]


# --- the record's own past ----------------------------------------------------------------------------------------


def test_the_register_from_before_rooms_and_the_map_are_kept_byte_for_byte():
    for path, (digest, count) in FROZEN.items():
        data = (ROOT / path).read_bytes().replace(b"\r\n", b"\n")
        assert (hashlib.sha256(data).hexdigest(), data.count(b"\n")) == (digest, count)
    assert list(past(ROOT)) == []


def test_the_register_begins_with_the_old_one_translated():
    old, keys = lines(BEFORE_ROOMS), refiled(ROOT / REFILED)
    assert len(old) == 1379
    assert lines(REGISTER)[: len(old)] == [translated(line, keys).line() for line in old]


def test_a_translated_line_says_which_line_it_stands_for_and_a_line_of_today_stands_for_none():
    old = lines(BEFORE_ROOMS)
    was = [json.loads(line).get("was") for line in lines(REGISTER)]
    assert was[: len(old)] == [hashlib.sha256(line.encode()).hexdigest() for line in old]
    assert not set(was[len(old) :]) & set(was[: len(old)])  # a branch's own lines may follow, translated


def test_translating_makes_no_two_claims_one():
    old = {json.loads(line)["claim"] for line in lines(BEFORE_ROOMS)}
    assert len({address(node) for node in old}) == len(old)


def test_the_map_names_files_of_the_old_record_each_once_and_keeps_keys_apart():
    rows = [json.loads(line) for line in lines(REFILED)]
    assert len({row["from"] for row in rows}) == len(rows) == 2134
    for old, new in (("from", "old"), ("to", "new")):
        for row in rows:
            assert re.fullmatch(r"artifacts/evidence/\w+/[\w.-]+--[0-9a-f]{8}\.jsonl", row[old])
            assert row[old].endswith(f"--{row[new][:8]}.jsonl") and len(row[new]) == 64
    assert not [row["from"] for row in rows if (ROOT / row["from"]).exists()]
    became = {row["old"]: row["new"] for row in rows}
    assert len(became) == len({old[:8] for old in became}) == len({new[:8] for new in became.values()}) == 2089


def test_the_last_judgement_of_every_claim_stands_on_keys_that_the_map_knows():
    keys = refiled(ROOT / REFILED)
    last = {row["claim"]: row["evidence"] for row in map(json.loads, lines(BEFORE_ROOMS))}
    assert not [claim for claim, evidence in last.items() if set(evidence) - keys.keys()]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The record's register, the former one and the map, to be spoilt."""
    (tmp_path / BEFORE_ROOMS).parent.mkdir(parents=True)
    for path in (REGISTER, BEFORE_ROOMS, REFILED):
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


def test_a_bound_of_a_branch_that_git_merged_into_the_kept_register_is_named(tmp_path):
    """Git takes the old register for renamed: no conflict, and the line is in no register that anybody reads."""
    if shutil.which("git") is None:
        pytest.skip("no git")

    def git(*arguments: str) -> None:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    git("init", "-b", "main")
    (tmp_path / FORMER).parent.mkdir()
    shutil.copy(ROOT / BEFORE_ROOMS, tmp_path / FORMER)
    git("add", ".")
    git("commit", "-m", "before")
    git("checkout", "-b", "branch")
    bound = replace(FIRST, claim="claims/test_toy.py::test_it[mini-0]")
    with (tmp_path / FORMER).open("a", encoding="utf-8", newline="\n") as file:
        file.write(bound.line() + "\n")
    git("commit", "-am", "a bound")
    git("checkout", "main")
    (tmp_path / BEFORE_ROOMS).parent.mkdir()
    git("mv", FORMER.as_posix(), BEFORE_ROOMS.as_posix())
    for path in (REGISTER, REFILED):
        shutil.copy(ROOT / path, tmp_path / path)
    git("add", ".")
    git("commit", "-m", "rooms")
    assert list(past(tmp_path)) == []
    git("merge", "branch", "-m", "both")
    assert not (tmp_path / FORMER).exists()
    (said,) = past(tmp_path)
    assert said == (
        "artifacts/register/before-rooms.jsonl has 1 line more than the register had, from a branch that was merged: "
        "translate it (CONTRIBUTING.md), append it to artifacts/register.jsonl, restore the file with "
        "`git checkout main -- artifacts/register/before-rooms.jsonl`"
    )
    with (tmp_path / REGISTER).open("a", encoding="utf-8", newline="\n") as file:
        file.write(translated(bound.line(), {}).line() + "\n")
    shutil.copy(ROOT / BEFORE_ROOMS, tmp_path / BEFORE_ROOMS)
    assert list(past(tmp_path)) == []
    assert Register(tmp_path / REGISTER).latest["toy.test_it[mini-0]"].bound == ">= 0.5"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.read_bytes()[:-1].rfind(b"\n") + 1])


def edited(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"SUPPORTED", b"REFUTED", 1).replace(b'"to"', b'"to" ', 1))


@pytest.mark.parametrize("spoil", [Path.unlink, cut, edited])
@pytest.mark.parametrize("spoilt", [BEFORE_ROOMS, REFILED], ids=["register", "map"])
def test_what_never_changes_and_is_missing_cut_or_edited_is_named_with_the_cure(copied, spoil, spoilt):
    spoil(copied / spoilt)
    (said,) = past(copied)
    assert said.startswith(f"{spoilt.as_posix()} is ")
    assert said.endswith(f"restore it with `git checkout main -- {spoilt.as_posix()}`")


def test_a_translated_line_that_was_changed_or_moved_is_named(copied):
    register, whole = copied / REGISTER, (copied / REGISTER).read_bytes().splitlines(keepends=True)
    other = whole[7].replace(b"SUPPORTED", b"REFUTED")
    for lines_, number in (
        ([*whole[:7], other, *whole[8:]], 8),
        ([*whole[:7], *whole[8:]], 8),
        ([FIRST.line().encode() + b"\n", *whole], 1),
        ([whole[1], whole[0], *whole[2:]], 1),
        (whole[:1378], 1379),
    ):
        register.write_bytes(b"".join(lines_))
        (said,) = past(copied)
        assert said.startswith(f"artifacts/register.jsonl, line {number}, is not line {number} of ")
    register.write_bytes(b"".join(whole) + FIRST.line().encode() + b"\n")
    assert list(past(copied)) == []


def test_line_ends_of_windows_change_nothing_and_a_record_without_a_past_needs_none(copied, tmp_path):
    for path in (REGISTER, BEFORE_ROOMS, REFILED):
        (copied / path).write_bytes((copied / path).read_bytes().replace(b"\n", b"\r\n"))
    assert list(past(copied)) == []
    new = tmp_path / "new"
    assert list(past(new)) == []
    Register(new / REGISTER).add(FIRST)
    assert list(past(new)) == []


# --- ids and keys -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "id_"),
    [
        ("claims/test_ioi.py::test_x[mini-0]", "ioi.test_x[mini-0]"),
        ("claims/test_greater_than.py::test_x[mini-0-0.5]", "greater_than.test_x[mini-0-0.5]"),
        ("claims/test_ioi.py::test_x", "ioi.test_x"),
        ("ioi.test_x[mini-0]", "ioi.test_x[mini-0]"),
        ("claims/ioi/test_heads.py::test_x", "claims/ioi/test_heads.py::test_x"),
    ],
)
def test_an_id_says_topic_function_and_case_and_no_file(node, id_):
    assert address(node) == id_


def test_a_translated_line_has_todays_id_and_keys_and_is_otherwise_what_it_was():
    old = replace(FIRST, claim="claims/test_toy.py::test_it[mini-0]", evidence=("00000000", "11111111", "22222222"))
    new = translated(old.line(), {"00000000": "ffffffff", "11111111": "aaaaaaaa"})
    assert new == replace(
        FIRST, evidence=("22222222", "aaaaaaaa", "ffffffff"), was=hashlib.sha256(old.line().encode()).hexdigest()
    )


# --- reading and adding -------------------------------------------------------------------------------------------


def test_what_is_known_is_not_added_again_and_what_is_new_is_shown_for_good(tmp_path):
    path = tmp_path / "register.jsonl"
    register = Register(path)
    moved = replace(FIRST, bound=">= 0.4")
    anew = replace(moved, evidence=("99999999",), verdict="REFUTED")
    other = replace(anew, question="r")
    assert register.add(FIRST) == ([], False) and register.add(FIRST) == ([], True)
    assert register.add(moved) == (["bound >= 0.5 -> >= 0.4 after evidence (it was SUPPORTED)"], False)
    for judgement, said in (
        (anew, "measured anew after a change of prompts, code or weights (it was SUPPORTED at >= 0.4)"),
        (other, "the compared expression changed after evidence (it was REFUTED at >= 0.4)"),
    ):
        history, known = register.add(judgement)
        assert (history[-1], known) == (said, False)
    assert [json.loads(line)["claim"] for line in path.read_text().splitlines()] == [FIRST.claim] * 4
    assert Register(path).add(other) == (history, True)


def test_another_word_on_the_same_question_is_filed_and_shown_and_the_old_line_stays_byte_for_byte(tmp_path):
    """A claim that was SUPPORTED, filed before its twins were heard, and is VOID."""
    path = tmp_path / "register.jsonl"
    path.write_text(FIRST.line() + "\n")
    void = replace(FIRST, verdict="VOID")
    said = ["SUPPORTED -> VOID on the same question and evidence"]
    assert Register(path).add(void) == (said, False)
    assert path.read_text().splitlines() == [FIRST.line(), void.line()]
    assert Register(path).add(void) == (said, True)


@pytest.mark.parametrize("word", ["ERROR", "GATED", "NOT RUN", "silent"])
def test_a_word_that_answers_nothing_is_never_filed_and_shows_what_stood_there(tmp_path, word):
    path = tmp_path / "register.jsonl"
    register = Register(path)
    register.add(FIRST)
    with pytest.raises(ValueError, match=f"toy.test_it.* ended {word}: the register has SUPPORTED, REFUTED"):
        register.add(replace(FIRST, verdict=word))
    assert Register(path).all == [FIRST]
    assert register.history(FIRST.claim, word) == [f"{word} now, it was SUPPORTED at >= 0.5"]
    assert register.history(FIRST.claim) == register.history("another", word) == []


def test_a_translated_judgement_is_the_same_question_as_its_claim_asks_today(tmp_path):
    path = tmp_path / "register.jsonl"
    path.write_text(replace(FIRST, was="0" * 64).line() + "\n")
    assert Register(path).add(FIRST) == ([], True)
    assert "was" not in json.loads(FIRST.line())


def test_the_lines_of_two_branches_are_read_in_their_order(tmp_path):
    path = tmp_path / "register.jsonl"
    path.write_text("".join(f"{row.line()}\n" for row in (FIRST, FIRST, replace(FIRST, bound=">= 0.6"))))
    assert Register(path).latest[FIRST.claim].bound == ">= 0.6"


def test_a_register_that_is_not_writable_remembers_and_files_nothing(tmp_path):
    path = tmp_path / "register.jsonl"
    register = Register(path, writable=False)
    assert register.add(FIRST) == ([], False) and register.add(FIRST) == ([], True)
    assert not path.exists() and not register.unwritten


@pytest.mark.parametrize("line", ["{", "[]", "1", '{"claim": "a"}', '{"evidence": []}'])
def test_a_line_that_is_no_judgement_is_named_with_the_cure(tmp_path, line):
    path = tmp_path / "artifacts" / "register.jsonl"
    path.parent.mkdir()
    path.write_text(f"{FIRST.line()}\n{line}\n")
    with pytest.raises(
        DamagedRegister,
        match=r"^artifacts/register.jsonl is damaged: line 2 .* `git checkout -- artifacts/register.jsonl`; the regi",
    ):
        Register(path)


def test_a_line_with_an_id_of_before_is_named_with_the_id_of_today(tmp_path):
    path = tmp_path / "artifacts" / "register.jsonl"
    path.parent.mkdir()
    path.write_text(f"{FIRST.line()}\n{replace(FIRST, claim='claims/test_ioi.py::test_x[mini-0]').line()}\n")
    before = path.read_bytes()
    with pytest.raises(DamagedRegister) as raised:
        Register(path)
    assert str(raised.value) == (
        "artifacts/register.jsonl, line 2, is about claims/test_ioi.py::test_x[mini-0], an id from before topics had "
        "folders: today it is ioi.test_x[mini-0]; translate the line (mechlib.verdicts.register.translated)"
    )
    assert path.read_bytes() == before


# --- the map ------------------------------------------------------------------------------------------------------

ROW = {"from": "artifacts/evidence/a/f--m--00000000.jsonl", "old": "0" * 64}
ROW |= {"to": "artifacts/evidence/b/f--m--11111111.jsonl", "new": "1" * 64}
TWICE = {**ROW, "from": "artifacts/evidence/c/f--m--00000000.jsonl"}  # one key, filed under two topics


def mapped(folder: Path, *rows: object) -> dict[str, str]:
    path = folder / "artifacts" / "refiled.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return refiled(path)


def test_the_map_leads_from_keys_to_keys_and_may_say_a_thing_twice(tmp_path):
    assert mapped(tmp_path, ROW, TWICE, ROW) == {"00000000": "11111111"}
    assert refiled(tmp_path / "nowhere.jsonl") == {}


NO_LINES = ["{", "[]", "1", "{}", {**ROW, "old": None}, {**ROW, "new": 7}]


@pytest.mark.parametrize("spoilt", [*NO_LINES, *({key: ROW[key] for key in ROW if key != out} for out in ROW)])
def test_a_line_that_maps_nothing_is_named_with_the_cure(tmp_path, spoilt):
    with pytest.raises(
        DamagedRegister,
        match=r"^artifacts/refiled.jsonl is damaged: line 2 maps no key .* `git checkout -- artifacts/refiled.jsonl`",
    ):
        mapped(tmp_path, ROW, spoilt)


@pytest.mark.parametrize(
    "other",
    [
        {"to": "artifacts/evidence/b/f--m--22222222.jsonl", "new": "2" * 64},
        {"to": "artifacts/evidence/other/f--m--11111111.jsonl"},
        {"from": TWICE["from"], "to": "artifacts/evidence/b/f--m--22222222.jsonl", "new": "2" * 64},
    ],
    ids=["another key", "another file", "another key under another topic"],
)
def test_a_record_re_keyed_on_two_branches_is_refused_and_says_what_to_keep(tmp_path, other):
    with pytest.raises(DamagedRegister, match=r"line 2: artifacts/.* re-keyed twice, on two branches; keep the line"):
        mapped(tmp_path, ROW, {**ROW, **other})


MERGED = "<<<<<<< HEAD\n{0}\n=======\n{0}\n>>>>>>> branch\n"


def test_conflict_marks_say_what_happened_and_how_to_go_on(tmp_path):
    path = tmp_path / "artifacts" / "refiled.jsonl"
    path.parent.mkdir()
    path.write_text(f"{json.dumps(ROW)}\n" + MERGED.format(json.dumps(ROW)))
    with pytest.raises(
        DamagedRegister,
        match=r"conflict marks, first in line 2: the record was re-keyed on two branches: .* `git checkout --ours -- "
        r"artifacts/refiled.jsonl` or `git checkout --theirs -- artifacts/refiled.jsonl`$",
    ):
        refiled(path)
    path = tmp_path / "artifacts" / "register.jsonl"
    path.write_text(MERGED.format(FIRST.line()))
    with pytest.raises(
        DamagedRegister,
        match=r"^artifacts/register.jsonl has .* in line 1: claims were judged on two branches: delete the marks and k",
    ):
        Register(path)
