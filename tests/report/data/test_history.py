"""What a claim came to is read off the pages that each commit of the main line has, and off nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mechlib.report.content import history as at
from mechlib.report.content.history import GONE, Point, history

MINI, TEN, QWEN = (f"ioi.test_it_reads[{case}]" for case in ("mini-1-zero", "mini-10-zero", "qwen2.5-coder-0.5b-zero"))
PAGE = """# The record

| verdict | claims x models |
| --- | ---: |
| ✓ SUPPORTED | 2 |

## Indirect objects

<a id="ioi.it_reads-zero"></a>

### It reads \\*both\\* names. (how zero)

`test_it_reads`. Claimed: ≥ 0.40. n = 160 in 16 templates. Source: a paper. Of 1999.

| model | verdict | estimate | 95 % interval | controlled by |
|-|-|-:|-|-|
| mini-1 | {first} | parts \\| 3 |
| mini-10 | ✗ REFUTED | −1.5 | \\[−2.0, −1e-05\\] | |
| qwen2.5-coder-0.5b (Q4\\_K\\_M), gpt2-small | – NOT RUN | | | |

- all: marked REFUTED: 0.9

## Models

| model | verdict |
| --- | --- |
| mini-1 | ✗ REFUTED |
"""
BY_CASES = """# Indirect objects

<a id="ioi.it_reads"></a>

### It reads both names.

[`test_it_reads`](../../claims/ioi/test_x.py). n = 160. Source: a paper

| case | model | verdict | estimate | 95 % interval | claimed |
|-|-|-|-|-|-|
| <a id="ioi.it_reads-mean"></a>how mean | mini-1 | ✗ REFUTED | 9 | exact | ≥ 10 |
| <a id="ioi.it_reads-zero"></a>how zero | mini-10 | ✗ REFUTED | −1.5 | \\[−2.0, −1e-05\\] | ≥ 0.40 |
|  | mini-1 | ✓ SUPPORTED | 0.466 | \\[0.431, 0.500\\] | ≥ 0.40 |
"""
ALONE = BY_CASES.partition("| <a")[0].replace("</a>", '</a><a id="ioi.it_reads-zero"></a>').replace("| case | ", "| ")
HELD, FELL = "✓ SUPPORTED | 0.466 | \\[0.431, 0.500\\]", "? INCONCLUSIVE | 0.4 | exact"


class Repository:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *who, *arguments], cwd=self.root, check=True, capture_output=True)

    def commit(self, subject: str, pages: dict[str, str | None]) -> None:
        for name, text in pages.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if text is None else path.write_text(text, encoding="utf-8")
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def numbers(points: list[Point]) -> list[tuple]:
    return [(one.subject, one.verdict, one.value, one.low, one.high) for one in points]


def test_a_point_stands_where_something_else_is_said(repository: Repository) -> None:
    repository.commit("first", {"REPORT.md": PAGE.format(first=HELD)})
    repository.commit("another file", {"README.md": "x"})
    repository.commit("a word elsewhere", {"REPORT.md": PAGE.format(first=HELD).replace("both", "all")})
    repository.commit("it fell", {"REPORT.md": PAGE.format(first=FELL)})
    found = history(repository.root, [MINI, TEN, QWEN, "ioi.test_no_such[mini-1]"])
    assert numbers(found[MINI]) == [
        ("first", "SUPPORTED", 0.466, 0.431, 0.5),
        ("it fell", "INCONCLUSIVE", 0.4, None, None),
    ]
    assert {point.bound for point in found[MINI]} == {"≥ 0.40"}
    assert numbers(found[TEN]) == [("first", "REFUTED", -1.5, -2.0, -1e-05)]
    assert numbers(found[QWEN]) == [("first", "NOT RUN", None, None, None)]
    assert found["ioi.test_no_such[mini-1]"] == []


def test_pages_by_topic_carry_on_and_what_is_withdrawn_is_gone(repository: Repository) -> None:
    repository.commit("first", {"REPORT.md": PAGE.format(first=HELD)})
    repository.commit("a paper", {"REPORT.md": "# Paper\n", "artifacts/record/ioi.md": PAGE.format(first=HELD)})
    assert len(history(repository.root, [MINI])[MINI]) == 1
    repository.commit("withdrawn", {"artifacts/record/ioi.md": None})
    assert numbers(history(repository.root, [MINI])[MINI])[1:] == [("withdrawn", GONE, None, None, None)]


def test_a_page_that_has_the_cases_of_a_claim_in_one_table_says_the_same(repository: Repository) -> None:
    repository.commit("first", {"REPORT.md": PAGE.format(first=HELD)})
    repository.commit("moved", {"REPORT.md": "# Paper\n", "artifacts/record/ioi.md": BY_CASES})
    found = history(repository.root, [MINI, TEN, "ioi.test_it_reads[mini-1-mean]"])
    assert len(found[MINI]) == len(found[TEN]) == 1
    (mean,) = found["ioi.test_it_reads[mini-1-mean]"]
    assert (mean.value, mean.low, mean.bound) == (9, None, "≥ 10")
    alone = f"{ALONE}| mini-1 | ? INCONCLUSIVE | 0.4 | exact | ≥ 0.40 |\n"
    repository.commit("one case", {"artifacts/record/ioi.md": alone})
    assert history(repository.root, [MINI])[MINI][-1].verdict == "INCONCLUSIVE"


def test_what_lies_on_a_branch_counts_from_when_it_is_merged(repository: Repository) -> None:
    repository.commit("first", {"REPORT.md": PAGE.format(first=HELD)})
    repository.git("switch", "-q", "-c", "aside")
    repository.commit("tried", {"REPORT.md": PAGE.format(first="✗ REFUTED | 0.1 | \\[0.0, 0.2\\]")})
    repository.commit("kept", {"REPORT.md": PAGE.format(first=FELL)})
    repository.git("switch", "-q", "main")
    repository.git("merge", "-q", "--no-ff", "-m", "merged", "aside")
    assert [subject for subject, *_ in numbers(history(repository.root, [MINI])[MINI])] == ["first", "merged"]


def test_without_git_there_is_no_history_and_no_word_about_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert history(tmp_path, [MINI]) == {MINI: []}
    monkeypatch.setenv("PATH", "")
    assert history(tmp_path, [MINI]) == {MINI: []}
    assert capfd.readouterr() == ("", "")


def test_git_is_asked_for_pages_once_a_commit(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.commit("first", {"REPORT.md": PAGE.format(first=HELD)})
    asked: list[str] = []
    whole = at._git
    monkeypatch.setattr(at, "_git", lambda root, *said, **given: asked.append(said[0]) or whole(root, *said, **given))
    history(repository.root, [MINI])
    history(repository.root, [TEN])
    assert asked == ["rev-parse", "log", "cat-file", "rev-parse"]
