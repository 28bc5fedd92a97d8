"""Tables for LaTeX say every verdict, hold nothing that is not escaped, and compile."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mechlib.report.content.record_book import RecordBook
from mechlib.report.data.latex import ALL, tables, tex, write_tables
from mechlib.verdicts.record import Record
from tests.helpers.sample_record import sample

HOSTILE = (
    "وجدنا أن الرأس ينقل الاسم. " * 8,
    "a\u2028b\u2029c\x07\x00 ∅ ✓ “x” é ß Ångström ő ŉ ſ 中",
    "x" * 500,
    r"\input{/etc/passwd} $^_%&#~{}|<> \end{longtable} %",
)
# What a table may say besides letters: nothing that a sentence brings is among it.
KNOWN = set(
    "begin end caption toprule midrule endhead bottomrule endfoot addlinespace linewidth sim geq leq times pm to "
    "textbackslash textasciitilde textasciicircum textless textgreater textbar texttt allowbreak ldots ss o ae l "
    "O AE L r c v".split()
)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> RecordBook:
    root = tmp_path_factory.mktemp("house")
    hostile = [
        Record(f"zz.test_{n}[mini_0]", "zz", f"test_{n}", said, "mini_0", verdict="NOT RUN")
        for n, said in enumerate(HOSTILE)
    ]
    return RecordBook([*sample(root), *hostile], root)


def test_each_topic_has_a_table_with_every_verdict_and_one_document_has_them_all(book: RecordBook) -> None:
    made = dict(tables(book))
    assert set(made) == {ALL, *(f"{topic}.tex" for topic in book.topics)}
    for topic, rows in book.topics.items():
        lines = [line for line in made[f"{topic}.tex"].splitlines() if re.search(r"\S & .*\\\\$|^ & .*\\\\$", line)]
        assert len(lines) == 1 + sum(len(row.records) for row in rows)
        assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {5}
        assert f"\\input{{{topic}.tex}}" in made[ALL]


def test_nothing_that_a_sentence_brings_is_taken_for_a_command(book: RecordBook) -> None:
    for name, text in tables(book):
        assert text.isascii() and "\x07" not in text and "\x00" not in text
        bare = re.sub(r"\\[\\&%$#_{}^~'`\",]", "", text.partition("\\begin{")[2])
        assert bare.count("{") == bare.count("}") - 1, name  # the one of \\begin is cut off
        if name != ALL:
            assert set(re.findall(r"\\([A-Za-z]+)", bare)) <= KNOWN, name
            assert (text.count("\\begin{"), text.count("\\end{")) == (1, 1), name
    assert tex("é") == r"\'{e}" and tex("ا") == r"\texttt{U+0627}\allowbreak{}" and tex("a\u2028b") == "a b"


def test_what_nothing_controls_and_what_was_explored_is_marked(book: RecordBook, tmp_path: Path) -> None:
    explored = Record("t.test_a[m]", "t", "test_a", "S.", "m", registration="EXPLORATORY")
    assert "ERROR$^{e}$" in dict(tables(RecordBook([explored], tmp_path)))["t.tex"]
    uncontrolled = sum(record.uncontrolled for record in book.records)
    rows = [text.partition(r"\endfoot")[2] for name, text in tables(book) if name != ALL]
    assert uncontrolled and sum(text.count(r"SUPPORTED$^{\sim}$") for text in rows) == uncontrolled


@pytest.mark.external
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine: tables are not compiled")
def test_the_document_compiles_as_it_is(book: RecordBook, tmp_path: Path) -> None:
    write_tables(book, tmp_path)
    command = ["pdflatex", "-draftmode", "-interaction=nonstopmode", "-halt-on-error", ALL]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "LaTeX Warning" not in done.stdout.replace("LaTeX Warning: Table widths have changed", "")
