"""`mechlib paper` says what is wrong with the text, and builds what it is asked for."""

import pytest

from mechlib import cli
from tests.helpers.published_sample import SMOLLM

GOOD = f'It leads by {{{{ value("published.test_it_leads[{SMOLLM}]", "SUPPORTED") }}}}, {{{{ cite("wang2022") }}}}.\n'


@pytest.fixture
def paper(made, monkeypatch):
    """The command in the record's folder, with a text and on filed records: its exit status."""
    (made.root / "pytest.ini").write_text("[pytest]\n")
    records = made.root / "records.jsonl"
    records.write_text("".join(record.to_json() + "\n" for record in made.records))
    monkeypatch.chdir(made.root)

    def run(text, *options):
        if text is not None:
            (made.root / "docs/paper.md").write_text(text, encoding="utf-8")
        return cli.main(["paper", "--records", str(records), *options])

    return run


def test_a_text_that_is_wrong_is_told_line_by_line_and_nothing_is_written(paper, made, capsys):
    assert paper(GOOD + "\n0.94\n" + GOOD.replace("SUPPORTED", "VOID")) == 1
    first, second, count = capsys.readouterr().out.splitlines()
    assert first.startswith("docs/paper.md:3: the number in '0.94'") and count == "2 problems"
    assert second.startswith("docs/paper.md:4: published.test_it_leads[smollm2-135m] is SUPPORTED now")
    assert not (made.root / "REPORT.md").exists() and not (made.root / "artifacts/record").exists()


def test_checking_writes_nothing(paper, made, capsys):
    assert paper(GOOD, "--check") == 0
    assert capsys.readouterr().out == "no problems\n" and not (made.root / "REPORT.md").exists()


def test_a_text_that_is_right_is_built(paper, made, capsys):
    assert paper(GOOD) == 0
    assert (made.root / "REPORT.md").read_text().startswith("It leads by [4.970](artifacts/record/published.md#")
    built = made.root / "artifacts"
    assert (built / "record/README.md").is_file() and (built / "report/numbers.tex").is_file()
    assert "paper" in capsys.readouterr().out


def test_another_text_leaves_what_is_committed_alone(paper, made, tmp_path):
    other = made.root / "other.md"
    other.write_text(GOOD, encoding="utf-8")
    assert paper(None, "--text", str(other), "--out", str(tmp_path / "aside")) == 0
    assert (tmp_path / "aside/REPORT.md").is_file() and not (made.root / "REPORT.md").exists()


def test_what_is_not_there_is_one_line(paper, capsys):
    assert paper(None, "--text", "nowhere.md") == 2
    assert capsys.readouterr().err == "mechlib: there is no text nowhere.md\n"
    assert paper(None) == 0
    assert "there is no docs/paper.md" in capsys.readouterr().err
