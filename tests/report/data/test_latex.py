"""Tables for LaTeX say every verdict, hold nothing that is not escaped, and compile."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mechlib.report.content.record_book import RecordBook
from mechlib.report.data.latex import ALL, tables, tex, write_tables
from mechlib.report.paper.counting import Number
from mechlib.report.paper.macros import numbers_tex
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

WITH_TEX = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="no pdflatex on this machine: nothing for LaTeX is compiled"
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


NUMBERS = [
    *(Number(f"zz.test_{n}[mini-{n}]", which, text) for n, text in enumerate(HOSTILE) for which in ("value", text)),
    Number("a.test_b[x-1]", "value", "1 %"), Number("a.test_b[x1]", "value", "2_3"), Number("a", "value", "five of 5‡"),
    Number("a", "interval", "−0.1 ≥ [−0.2,\u00a00.3]†§¶"), Number("the record", "claims", "269"),
]  # fmt: skip
MACRO = re.compile(r"\\newcommand\{\\([A-Za-z]+)\}\{(.*)\} % [^\n]*")
# What a number is made of: letters without a meaning, a sign that is escaped, a command that is known, a group, a sum.
PART = re.compile(
    r"[^\\{}$&#^_%~]|~|\\[%&#_{}$'`\"^~]|\\([A-Za-z]+)(?:\{\})?|\{(?:[A-Za-z]|U\+[0-9A-F]+)\}|\$\\[a-z]+\$"
)
MARKS = {"textdagger", "textdaggerdbl", "S", "P"}


def macros(text: str) -> dict[str, str]:
    """What numbers.tex defines, by name. Fails on a line that is neither a comment nor one whole definition."""
    found: dict[str, str] = {}
    for line in filter(None, text.split("\n")):
        if not line.startswith("%"):
            read = MACRO.fullmatch(line)
            assert read, f"no definition: {line[:200]}"
            assert read[1] not in found, f"defined twice: {read[1]}"
            found[read[1]] = read[2]
    return found


def left_over(body: str) -> str:
    """What of a macro's body LaTeX would not take for text, for what is escaped, or for a command that is known."""
    unknown = {found[1] for found in PART.finditer(body) if found[1]} - KNOWN - MARKS
    return PART.sub("", body) + "".join(sorted(unknown))


def test_every_macro_has_a_name_of_its_own_and_holds_nothing_that_is_not_escaped() -> None:
    text = numbers_tex(NUMBERS)
    found = macros(text)
    assert len(found) == len({(one.of, one.which) for one in NUMBERS})
    for name, body in found.items():
        assert body.isascii() and left_over(body) == "", name
    assert left_over(r"\input{/etc/passwd}") and left_over("5%") and left_over("a{b") and left_over(r"\foo{}")
    with pytest.raises(AssertionError, match="defined twice"):
        macros("\\newcommand{\\A}{1} % a\n\\newcommand{\\A}{2} % b\n")
    with pytest.raises(AssertionError, match="no definition"):
        macros("\\newcommand{\\A1}{1} % a\n")


def compiled(folder: Path, name: str) -> str:
    """What pdflatex says of a document that it takes without an error."""
    command = ["pdflatex", "-draftmode", "-interaction=nonstopmode", "-halt-on-error", name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "LaTeX Warning" not in done.stdout.replace("LaTeX Warning: Table widths have changed", "")
    return done.stdout


@pytest.mark.external
@WITH_TEX
def test_the_document_compiles_as_it_is(book: RecordBook, tmp_path: Path) -> None:
    write_tables(book, tmp_path)
    compiled(tmp_path, ALL)


@pytest.mark.external
@WITH_TEX
def test_each_table_compiles_alone_with_the_packages_that_it_names(book: RecordBook, tmp_path: Path) -> None:
    write_tables(book, tmp_path)
    for topic in book.topics:
        said = (tmp_path / f"{topic}.tex").read_text(encoding="utf-8").partition("\n")[0]
        (packages,) = re.findall(r"\\usepackage\{([a-z,]+)\}", said)
        lines = [r"\documentclass{article}", rf"\usepackage{{{packages}}}", r"\begin{document}"]
        text = "\n".join([*lines, rf"\input{{{topic}}}", r"\end{document}", ""])
        (tmp_path / "alone.tex").write_text(text, encoding="utf-8")
        compiled(tmp_path, "alone.tex")


@pytest.mark.external
@WITH_TEX
def test_every_macro_compiles_and_is_used(tmp_path: Path) -> None:
    text = numbers_tex(NUMBERS)
    (tmp_path / "numbers.tex").write_text(text, encoding="utf-8")
    used = "\n\n".join(f"\\{name}{{}}" for name in macros(text))
    document = "\\documentclass{article}\n\\input{numbers}\n\\begin{document}\n" + used + "\n\\end{document}\n"
    (tmp_path / "used.tex").write_text(document, encoding="utf-8")
    compiled(tmp_path, "used.tex")
