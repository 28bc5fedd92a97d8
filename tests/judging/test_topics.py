"""A topic is a folder: ids say no file, addresses of before name today's, and files are read in the order given."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mechlib.evidence.code_hash import EvidenceRefused
from mechlib.evidence.question import topic_of
from mechlib.judging.commands.verify import read_records
from mechlib.report.content import titles
from tests.helpers.house import HEADER, build

ROOT = Path(__file__).resolve().parents[2]
HEAD = HEADER.partition("@evidence")[0]
SHARED = '"""Words about the topic.\n\nTo be read in this order: test_second,\ntest_first.\n"""\n' + HEADER
CLAIM = """
from claims.talk.measurements import around


@pytest.mark.parametrize("model", ["mini-0", "mini-1"])
{mark}
def test_{name}(model):
    '''The level is at least a half.

    Source: made up for this test.
    '''
    assert mean(around(model, {level}, 0.0, 100)) >= 0.5
"""


def claims(*names: str, level: float = 0.8, mark: str = "") -> str:
    return HEAD + "".join(CLAIM.format(name=name, level=level, mark=mark) for name in names)


@pytest.fixture
def talk(house, pytester, monkeypatch):
    """A house with a topic of two files; what runs pytest in it."""
    build(pytester.path, "")
    (pytester.path / "claims" / "test_topic.py").unlink()
    folder = pytester.path / "claims" / "talk"
    folder.mkdir()
    (folder / "measurements.py").write_text(SHARED)
    (folder / "test_first.py").write_text(claims("one", "two"))
    (folder / "test_second.py").write_text(claims("three"))
    monkeypatch.setenv("PYTHONPATH", str(pytester.path), prepend=":")
    return lambda *options: house(None, *options)


def rows(root: Path) -> list[dict]:
    return [json.loads(line) for line in (root / "records.jsonl").read_text().splitlines()]


def evidence(root: Path) -> set[str]:
    return {path.relative_to(root / "artifacts/evidence").parts[0] for path in (root / "artifacts").rglob("*--*.jsonl")}


# --- ids ----------------------------------------------------------------------------------------------------------


def test_an_id_is_topic_function_and_case_whatever_the_file(talk, pytester):
    assert talk().ret == 0
    wanted = {f"talk.test_{name}[mini-{n}]" for name in ("one", "two", "three") for n in (0, 1)}
    assert {row["id"] for row in rows(pytester.path)} == wanted
    assert {row["topic"] for row in rows(pytester.path)} == {"talk"} == evidence(pytester.path)
    register = (pytester.path / "artifacts" / "register.jsonl").read_bytes()
    (pytester.path / "claims/talk/test_second.py").rename(pytester.path / "claims/talk/test_third.py")
    assert talk("--frozen").ret == 0
    assert {row["id"] for row in rows(pytester.path)} == wanted
    assert not [row for row in rows(pytester.path) if row["flags"] or row["history"] or row["measured"]]
    assert (pytester.path / "artifacts" / "register.jsonl").read_bytes() == register


def test_two_claims_of_one_name_in_a_topic_are_refused_and_in_two_topics_are_not(talk, pytester):
    (pytester.path / "claims/talk/test_second.py").write_text(claims("one"))
    result = talk()
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["ERROR: claims/talk/test_first.py and claims/talk/test_second.py both claim test_one: in a topic a claim's *"]
    )
    assert not (pytester.path / "artifacts").exists()
    (pytester.path / "claims/other").mkdir()
    (pytester.path / "claims/talk/test_second.py").rename(pytester.path / "claims/other/test_second.py")
    assert talk().ret == 0
    assert {"talk.test_one[mini-0]", "other.test_one[mini-0]"} <= {row["id"] for row in rows(pytester.path)}


@pytest.mark.parametrize("name", ["prompts", "stamps"])
def test_a_topic_is_not_called_like_what_all_topics_share(tmp_path, name):
    file = tmp_path / "claims" / name / "test_it.py"
    file.parent.mkdir(parents=True)
    file.touch()
    with pytest.raises(EvidenceRefused, match=f"a topic called {name} would file .* give it another name"):
        topic_of(str(file))
    assert topic_of(str(file.parent)) == "notebook"


@pytest.mark.parametrize(
    ("file", "topic"),
    [
        ("claims/ioi/test_heads.py", "ioi"),
        ("claims/measurements.py", "measurements"),
        ("claims/test_alone.py", "alone"),
        ("elsewhere/test_it.py", "it"),
        ("my notes/a b.py", "a-b"),
    ],
)
def test_evidence_is_filed_by_topic(tmp_path, file, topic):
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    assert topic_of(str(tmp_path / file)) == topic


# --- addresses of before ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("claims/test_talk.py::test_three[mini-0]", "claims/talk/test_second.py::test_three[mini-0]"),
        ("claims/test_talk.py::test_one", "claims/talk/test_first.py::test_one"),
        ("claims/test_talk.py::test_gone[mini-0]", "claims/talk"),
        ("claims/test_talk.py", "claims/talk"),
        ("./claims/test_talk.py", "claims/talk"),
    ],
)
def test_an_old_address_names_the_new_one_and_runs_nothing(talk, pytester, asked, named):
    result = talk(asked)
    assert result.ret == 4
    (said,) = [line for line in result.stderr.lines if line.strip()]
    file = asked.partition("::")[0]
    assert said == f"ERROR: there is no {file} any more, topics are folders: run `pytest {named}`"
    assert not (pytester.path / "records.jsonl").exists() and not (pytester.path / "artifacts").exists()


def test_an_old_address_is_known_below_the_root_too_and_one_of_no_topic_names_those_there_are(talk, pytester):
    result = talk("--rootdir=.", f"{pytester.path}/claims/test_talk.py::test_one[mini-0]")
    result.stderr.fnmatch_lines(["*run `pytest claims/talk/test_first.py::test_one[[]mini-0]`"])
    result = talk("claims/test_nothing.py")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: there is no claims/test_nothing.py: topics are claims/talk"])


def test_an_old_address_with_backslashes_or_typed_inside_claims_is_known(talk, pytester, monkeypatch):
    result = talk("claims\\test_talk.py::test_one[mini-0]")
    result.stderr.fnmatch_lines(["*run `pytest claims/talk/test_first.py::test_one[[]mini-0]`"])
    monkeypatch.chdir(pytester.path / "claims")
    result = talk("test_talk.py::test_three", "-c", "../pyproject.toml")
    result.stderr.fnmatch_lines(
        ["ERROR: there is no test_talk.py any more*run `pytest talk/test_second.py::test_three`"]
    )


def test_an_old_address_that_is_deselected_names_the_new_one(talk, pytester):
    result = talk("--deselect", "claims/test_talk.py::test_one[mini-0]")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*run `pytest --deselect claims/talk/test_first.py::test_one[[]mini-0]`"])
    assert talk("--deselect", "claims/talk/test_first.py::test_one[mini-0]").ret == 0
    assert len(rows(pytester.path)) == 5


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "with a worker"])
def test_a_keyword_that_was_a_topics_file_and_selects_nothing_names_the_topic(talk, workers):
    result = talk("-k", "test_talk and mini-0", *workers)
    assert result.ret == 5
    result.stdout.fnmatch_lines(
        ["-k 'test_talk and mini-0' selects nothing, topics are folders: ask for -k 'talk and *"]
    )
    assert "topics are folders" not in talk("-k", "test_none", *workers).stdout.str()
    assert "topics are folders" not in talk("-k", "test_one or test_talk", *workers).stdout.str()


# --- ids as arguments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "with a worker"])
def test_a_claim_is_asked_for_by_its_id_and_that_is_a_selection(talk, pytester, workers):
    assert talk("talk.test_three[mini-0]", "talk.test_one", "--report", *workers).ret == 0
    assert sorted(row["id"] for row in rows(pytester.path)) == [
        "talk.test_one[mini-0]",
        "talk.test_one[mini-1]",
        "talk.test_three[mini-0]",
    ]
    assert (pytester.path / "artifacts/report/partial/report.html").is_file()
    assert not (pytester.path / "REPORT.md").exists()


def test_an_id_works_from_any_folder_and_of_a_topic_that_is_a_file(talk, pytester, monkeypatch):
    (pytester.path / "claims" / "test_alone.py").write_text(claims("single"))
    assert talk("alone.test_single[mini-1]").ret == 0
    assert [row["id"] for row in rows(pytester.path)] == ["alone.test_single[mini-1]"]
    monkeypatch.chdir(pytester.path / "claims")
    assert talk("talk.test_two[mini-0]").ret == 0
    assert [row["id"] for row in rows(pytester.path / "claims")] == ["talk.test_two[mini-0]"]


def test_an_id_of_no_claim_is_one_line(talk, pytester):
    for asked, said in (
        ("talk.test_thrice[mini-0]", "ERROR: the topic talk has no claim test_thrice: is it talk.test_three[?]"),
        (
            "talk.test_of_something_else",
            "ERROR: the topic talk has no claim test_of_something_else: `pytest --collect-only -q -k *",
        ),
        ("nowhere.test_one", "ERROR: file or directory not found: nowhere.test_one"),
    ):
        result = talk(asked)
        assert result.ret == 4 and not (pytester.path / "artifacts").exists()
        result.stderr.fnmatch_lines([said])


def test_a_file_that_is_there_is_no_old_address(talk, pytester):
    (pytester.path / "claims" / "test_talk.py").write_text(claims("alone"))
    assert talk("claims/test_talk.py::test_alone[mini-0]").ret == 0
    assert [row["id"] for row in rows(pytester.path)] == ["talk.test_alone[mini-0]"]


DOORS = "claims import from mechlib, mechlib.lab, mechlib.evidence, mechlib.figures, mechlib.prompts and " + (
    "mechlib.checkpoints: "
)


@pytest.mark.parametrize(
    ("old", "said"),
    [
        ("from mechlib.plots import bars", "No module named 'mechlib.plots'"),
        ("import mechlib.plots.bars", "No module named 'mechlib.plots'"),
        ("from mechlib import load", "load stands in mechlib.lab"),
        ("from mechlib.evidence import mean", "mean stands in mechlib"),
        ("from mechlib import anything", "mechlib has no anything"),
    ],
)
def test_an_import_of_before_is_one_line_that_says_where_claims_import_from(talk, pytester, old, said):
    (pytester.path / "claims/talk/test_first.py").write_text(f"{old}\n{claims('one')}")
    result = talk()
    assert result.ret == 2
    assert DOORS + said in result.stdout.lines and "Traceback" not in result.stdout.str()
    assert "stdout: ImportError while importing" not in result.stdout.str()


def test_another_module_that_is_missing_is_pytests_own_affair(talk, pytester):
    (pytester.path / "claims/talk/test_first.py").write_text(f"import nothing_of_this_name\n{claims('one')}")
    result = talk()
    assert result.ret == 2 and DOORS not in result.stdout.str()
    result.stdout.fnmatch_lines(["*No module named 'nothing_of_this_name'"])


def test_marks_are_described_where_they_live_and_there_is_none_that_opts_out_of_twins(talk):
    said = talk("--markers").stdout.str()
    for mark in ("refuted", "open_question", "void"):
        assert f"@pytest.mark.{mark}(reasons): a known outcome of a claim, see mechlib.judging.marks.{mark}" in said
    assert "no_twin" not in said


# --- the order to be read in --------------------------------------------------------------------------------------


def test_claims_are_to_be_read_in_the_order_of_files_that_the_topic_gives(talk, pytester):
    talk()
    by_place = sorted(rows(pytester.path), key=lambda row: (row["place"], row["id"]))
    assert [row["function"] for row in by_place[::2]] == ["test_three", "test_one", "test_two"]


def test_a_file_that_the_order_leaves_out_comes_last_and_without_an_order_lines_decide(tmp_path):
    folder = tmp_path / "claims" / "talk"
    folder.mkdir(parents=True)
    (folder / "measurements.py").write_text(SHARED)
    (tmp_path / "claims" / "test_alone.py").write_text('"""Alone."""\n')

    def place(file: str, line: int) -> int:
        return titles.reading_place(tmp_path, file, line)

    second, first, other = (f"claims/talk/test_{name}.py" for name in ("second", "first", "other"))
    assert place(second, 9) < place(second, 5000) < place(first, 1) < place(other, 1)
    assert place("claims/test_alone.py", 7) < place("claims/test_alone.py", 8)
    (folder / "measurements.py").write_text('"""Words."""\n')
    assert place(second, 9) == place(first, 9)


def test_the_order_is_no_part_of_what_introduces_a_topic(tmp_path):
    (tmp_path / "claims" / "talk").mkdir(parents=True)
    (tmp_path / "claims" / "talk" / "measurements.py").write_text(SHARED)
    assert titles.introduction(tmp_path, "claims/talk/test_first.py") == ["Words about the topic."]


TOPICS = sorted(path.parent for path in (ROOT / "claims").glob("*/measurements.py"))


@pytest.mark.parametrize("folder", TOPICS, ids=lambda folder: folder.name)
def test_every_topic_of_the_record_gives_an_order_of_all_its_files(folder):
    files = sorted(path.stem for path in folder.glob("test_*.py"))
    relative = f"claims/{folder.name}/{files[0]}.py"
    order = [titles.reading_place(ROOT, f"claims/{folder.name}/{stem}.py", 1) for stem in files]
    assert len(set(order)) == len(files), "some files are not in the order that measurements.py gives"
    said = re.search(r"To be read in this order:(.*?)(\n\n|\"\"\")", (folder / "measurements.py").read_text(), re.S)
    assert sorted(re.findall(r"test_\w+", said[1] if said else files[0])) == files, "no order, and more than one file"
    assert titles.introduction(ROOT, relative)


# --- marks that take patterns -------------------------------------------------------------------------------------


def test_a_pattern_marks_every_model_that_it_fits_and_no_other(talk, pytester):
    marked = claims("one", level=0.2, mark="@refuted({'mini-*': 'made so'})")
    (pytester.path / "claims/talk/test_first.py").write_text(marked)
    assert talk().ret == 0
    found = [row for row in rows(pytester.path) if row["function"] == "test_one"]
    assert [(row["verdict"], row["expected"], row["why"]) for row in found] == [("REFUTED", "REFUTED", "made so")] * 2
    (pytester.path / "claims/talk/test_first.py").write_text(marked.replace("mini-*", "*-1"))
    assert talk().ret == 1
    found = {row["id"]: row["ok"] for row in rows(pytester.path) if row["function"] == "test_one"}
    assert found == {"talk.test_one[mini-0]": False, "talk.test_one[mini-1]": True}


def test_a_pattern_that_fits_nothing_is_refused(talk, pytester):
    (pytester.path / "claims/talk/test_first.py").write_text(claims("one", mark="@refuted({'gpt2-*': 'made so'})"))
    result = talk()
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*@refuted of test_one names gpt2-[*], which it is not about*"])


# --- lines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0c", "\x1c"])
def test_a_character_that_only_looks_like_the_end_of_a_line_ends_none(house, pytester, separator):
    """Pasted from a browser into a sentence: records are read line by line, claims cut where they stand."""
    plain = CLAIM.removeprefix("\nfrom claims.talk.measurements import around\n").replace("is at", f"is{separator}at")
    claims = "".join(plain.format(name=name, level=0.8, mark="") for name in ("one", "two"))
    house(claims).assert_outcomes(passed=4)
    found = read_records(pytester.path / "records.jsonl")
    assert [record.function for record in found] == ["test_one", "test_one", "test_two", "test_two"]
    for record in found:
        assert " ".join(record.sentence.split()) == "The level is at least a half."
        assert record.code.startswith("@pytest.mark.parametrize(") and record.code.endswith(">= 0.5\n")
