"""What selects nothing is told what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from mechlib.judging.commands.suggestions import for_keyword, for_path, topics

CLAIM = """
@pytest.mark.parametrize("model", ["mini-0"])
def test_it(model):
    '''The level is at least a half.
    Source: made up for this test.
    '''
    assert mean(around(model, 0.8, 0.0, 100)) >= 0.5
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for file, name in (
        ("induction/test_heads", "heads_look_back"),
        ("ioi/test_paths", "a_path_is_there"),
        ("test_sums", "x"),
    ):
        path = tmp_path / "claims" / f"{file}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"def test_{name}(model):\n    pass\n")
    return tmp_path


def test_topics_are_folders_and_files_that_stand_alone(root):
    assert topics(root) == ["induction", "ioi", "sums"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("inducton", "did you mean -k 'induction'?"),
        ("not inducton and mini-0", "did you mean -k 'not induction and mini-0'?"),
        ("gtp2-small", "did you mean -k 'gpt2-small'?"),
        ("test_heads_lookback", "did you mean -k 'test_heads_look_back'?"),
        ("xyzzy", "no claim has xyzzy; topics are induction, ioi, sums"),
        (
            "ioi and heads",
            "its words are known, and no claim fits all of it; `pytest --collect-only -q` lists the claims",
        ),
        (
            "ioi.test_a_path_is_there[mini-0]",
            "a claim is asked for by its id without -k, `pytest 'ioi.test_a_path_is_there[mini-0]'`",
        ),
    ],
)
def test_a_keyword_that_selects_nothing_names_what_is_near(root, asked, said):
    assert for_keyword(asked, root) == f"-k {asked!r} selects nothing: {said}"


@pytest.mark.parametrize(
    ("asked", "here", "said"),
    [
        ("claims/io", ".", "did you mean claims/ioi?"),
        ("claims/inducton/", ".", "did you mean claims/induction?"),
        ("io", "claims", "did you mean ioi?"),
        ("ioi", ".", "did you mean claims/ioi, or -k ioi?"),
        ("claims/ioi/test_path.py", ".", "did you mean claims/ioi/test_paths.py?"),
        ("claims/xyzzy", ".", "topics are claims/induction, claims/ioi, claims/test_sums.py"),
        ("claims/ioi/test_old.py::test_heads_look_back[mini-0]", ".",
         "test_heads_look_back is a claim of induction, `pytest 'induction.test_heads_look_back[mini-0]'`"),
        ("claims/ioi/test_old.py::test_gone", ".", "`pytest --collect-only -q` lists the claims"),
    ],
)  # fmt: skip
def test_a_path_that_is_not_there_names_what_is_near(root, asked, here, said):
    assert for_path(asked, root, root / here) == f"there is no {asked}: {said}"


def test_a_path_that_has_nothing_to_do_with_the_record_is_left_to_pytest(root):
    assert for_path("tests/helpers", root, root) == for_path("xyzzy", root, root) == ""


def test_pytest_says_it_and_says_nothing_where_claims_were_selected_or_could_not_be_read(house, pytester):
    result = house(CLAIM, "-k", "topik")
    assert result.ret == 5
    result.stdout.fnmatch_lines(["-k 'topik' selects nothing: did you mean -k 'topic'?"])
    assert "selects nothing" not in house(None, "-k", "topic").stdout.str()
    result = house(None, "claims/test_topik.py")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: there is no claims/test_topik.py: did you mean claims/test_topic.py?"])
    assert "selects nothing" not in house("import nothing_of_this_name", "-k", "topik").stdout.str()
    (pytester.path / "test_elsewhere.py").write_text("def test_topik():\n    pass\n")
    assert "selects nothing" not in house(None, "test_elsewhere.py", "-k", "topik").stdout.str()  # that are no claims
