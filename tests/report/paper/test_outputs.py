"""What comes out of a text: REPORT.md, references, macros, a PDF; and what is filed is held against what should be."""

import builtins
import re
from pathlib import Path

import pytest

from mechlib.judging.commands.verify import report
from mechlib.report.content.claim_rows import claim_rows
from mechlib.report.content.record_book import RecordBook
from mechlib.report.outputs import markdown
from mechlib.report.outputs.writing import write
from mechlib.report.paper.committed import Committed, write_paper
from mechlib.report.paper.counting import Number
from mechlib.report.paper.macros import macro_name, numbers_tex
from mechlib.report.paper.printing import for_paper, pages, pdf
from mechlib.report.paper.references import References
from mechlib.report.paper.text import LARGEST
from mechlib.report.paper.typesetting import Picture, quoted, typst_source
from tests.helpers.published_sample import SMOLLM
from tests.report.paper.conftest import ARABIC, BIB

VALUE = f'{{{{ value("published.test_it_leads[{SMOLLM}]", "SUPPORTED") }}}}'
TEXT = f"""# Title

A line below.

## Abstract

It leads by {VALUE} {{{{ cite("wang2022") }}}}.

{{{{ table("verdicts") }}}}
"""


# References


def test_a_work_that_is_cited_is_listed_with_its_link(written):
    paper = written(TEXT, whole=True)
    assert paper.problems == ()
    assert "[Wang et al. 2022](#ref-wang2022)" in paper.markdown
    assert (
        '## References\n\n- <a id="ref-wang2022"></a>Kevin Wang, Alexandre Variengien, Arthur Conmy (2022). '
        "Interpretability in the Wild. [arXiv:2211.00593](https://arxiv.org/abs/2211.00593)\n" in paper.markdown
    )
    assert paper.bib == BIB.partition("\n")[2], "the entry as it stands"


@pytest.mark.parametrize(
    ("bib", "said"),
    [
        (BIB + BIB.partition("\n")[2].replace("wang2022", "other2020"), "other2020 is never cited"),
        (BIB + BIB, "wang2022 stands there twice"),
        (BIB.replace("  eprint = {2211.00593}\n", ""), "wang2022 has no doi, eprint or url"),
        (BIB.replace("  year = {2022},\n", ""), "wang2022 has no year"),
        (BIB + "\n@article{torn,\n  title = {No end}\n", "docs/references.bib:9: no entry of the form"),
    ],
)
def test_what_is_wrong_with_the_references_is_a_line(made, written, bib, said):
    (made.root / "docs/references.bib").write_text(bib, encoding="utf-8")
    assert any(said in found and "\n" not in found for found in written(TEXT, whole=True).problems)


@pytest.mark.parametrize(
    ("author", "label"),
    [
        ("Nanda, Neel", "Nanda 2022"),
        ("Hewitt, John and Liang, Percy", "Hewitt and Liang 2022"),
        ("Olsson, Catherine and others", "Olsson and others 2022"),
        ("A, B and C, D and others", "A et al. 2022"),
    ],
)
def test_a_work_is_named_by_its_authors(tmp_path, author, label):
    path = tmp_path / "references.bib"
    path.write_text(re.sub("author = {.*}", f"author = {{{author}}}", BIB), encoding="utf-8")
    assert References.read(path).known["wang2022"].label == label


# Macros


def test_a_number_has_one_macro_with_a_name_of_letters(written):
    text = numbers_tex(written(f"{VALUE} and again {VALUE} of {{{{ claims() }}}}").numbers)
    lines = text.splitlines()[2:]
    name = r"\PublishedItLeadsSmollmTwoOneThreeFiveMValue"
    assert [line for line in lines if line] == [
        rf"\newcommand{{{name}}}{{4.970}} % published.test_it_leads[smollm2-135m] value",
        r"\newcommand{\TheRecordClaims}{8} % the record claims",
    ]
    assert all(re.fullmatch(r"\\newcommand\{\\[A-Za-z]+\}\{[^{}]*\} % .*", line) for line in lines if line)


def test_names_that_differ_in_signs_alone_are_told_apart():
    text = numbers_tex([Number("a.test_b[x-1]", "value", "1 %"), Number("a.test_b[x1]", "value", "2_3")])
    names = re.findall(r"newcommand\{\\([A-Za-z]+)\}", text)
    assert len(set(names)) == 2 and all(name.startswith("ABXOneValue") for name in names)
    assert r"{1 \%}" in text and r"{2\_3}" in text
    assert macro_name("0.3 é") == "ZeroThree"


def test_macros_hold_what_any_latex_takes():
    text = numbers_tex([Number("a", "interval", "−0.1 ≥ [−0.2,\u00a00.3]†‡§¶")])
    assert r"{-0.1 $\geq$ [-0.2,~0.3]\textdagger{}\textdaggerdbl{}\S{}\P{}}" in text and text.isascii()


# The PDF


def test_hostile_sentences_come_out_inert_and_whole(made, committed):
    """Markup of Markdown, HTML, LaTeX and Typst, Arabic, U+2028, five hundred characters."""
    text = committed('{{ table("verdicts") }}\n').record[markdown.RECORD / "published.md"]
    sentence = next(line for line in text.splitlines() if line.startswith("### &lt;script"))
    assert ARABIC in sentence and sentence.count("and so on,") == 40 and "<script" not in text
    assert "\u2028" not in text
    source = typst_source(sentence, lambda path: Picture("x.svg", 1, 1))
    (heading,) = re.findall(r"#heading\(level: 3\)\[(.*)\]", source)
    said = re.sub(r'\\(["\\])', r"\1", "".join(re.findall(r'#(?:raw\()?"((?:[^"\\]|\\.)*)"\)?;', heading)))
    assert ARABIC in said and "#eval(1) ]; $x$ @ref <label>" in said
    assert re.sub(r'#(?:raw\()?"(?:[^"\\]|\\.)*"\)?;', "", heading) == "", "nothing stands outside of a string"


@pytest.mark.parametrize(("rows", "whole"), [(3, True), (8, True), (9, False), (30, False)])
def test_a_short_table_stays_on_its_page(rows, whole):
    line = f"| {'a long sentence, ' * 9} | 1 |\n"
    source = typst_source(f"| a | b |\n| --- | --- |\n{line * rows}", lambda path: Picture("x.svg", 1, 1))
    assert ("#block(breakable: false)[#table(" in source) == whole and source.count("#table(") == 1


def test_a_string_of_typst_holds_what_it_was_given():
    assert quoted('a "b" \\ #c\nd') == '"a \\"b\\" \\\\ #c d"'


def test_a_drawing_for_paper_has_no_variables_and_no_media_queries():
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg"><style>\n:root { --ink: #111; }\n'
        "@media print { :root { --ink: #000; } }\n"
        '.a { fill: var(--ink); font-family: system-ui, serif; }\n</style><rect style="fill: var(--ink)"/></svg>'
    )
    drawn = for_paper(svg)
    assert "var(" not in drawn and "@media" not in drawn and ":root" not in drawn and "system-ui" not in drawn
    assert ".a { fill: #111;" in drawn and 'style="fill: #111"' in drawn
    assert for_paper("<svg/>") == "<svg/>"


def test_the_paper_is_printed_with_its_figure_the_same_each_time(made, committed):
    pytest.importorskip("typst")
    write(RecordBook(made.records, made.root), made.root / "out")
    (figure, *_) = sorted(path.stem for path in (made.root / "artifacts/figures").glob("*.svg"))
    text = committed(TEXT + f'\n{{{{ figure("{figure}", "All claims.") }}}}\n').report
    first, second = pdf(text, made.root), pdf(text, made.root)
    assert first.startswith(b"%PDF") and first == second
    (only,) = pages(text, made.root, ppi=20)
    assert only.startswith(b"\x89PNG")
    assert pdf(text.replace("All claims", "Each claim"), made.root) != first


def test_every_letter_of_the_paper_is_printed_though_it_is_markup(made, committed):
    pytest.importorskip("typst")
    sentence = next(record.sentence for record in made.records if record.function == "test_worst")
    assert pdf(f"# {markdown.escaped(sentence)}\n\n{markdown.escaped(sentence)}\n", made.root).startswith(b"%PDF")


def test_without_typst_one_line_says_so_and_the_rest_is_written(made, committed, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "typst":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    out = tmp_path / "out"
    out.mkdir()
    (out / "paper.pdf").write_bytes(b"of yesterday")
    (line,) = write_paper(committed(TEXT), out)
    assert "typst or markdown-it-py is missing: `pip install -e '.[paper]'" in line
    assert sorted(path.name for path in out.iterdir()) == ["numbers.tex", "references.bib"]


# What is committed


def test_a_text_that_is_wrong_leaves_the_report_and_says_why(made, committed):
    good, out = committed(TEXT), made.root / "out"
    good.write()
    before = (made.root / "REPORT.md").read_bytes()
    committed(TEXT.replace("SUPPORTED", "REFUTED"))
    first, second = write(RecordBook(made.records, made.root), out)
    assert first.startswith("docs/paper.md:7: ") and second == "REPORT.md stays as it was, 1 to mend in its text"
    assert (made.root / "REPORT.md").read_bytes() == before and not (out / "paper.pdf").exists()
    assert any(line == first for line in report(made.root, made.records))


def test_what_is_filed_is_what_should_be_or_it_is_said(made, committed):
    good = committed(TEXT)
    good.write()
    assert list(Committed(good.book).differing()) == []
    page, index = made.root / "artifacts/record/published.md", made.root / "artifacts/record/README.md"
    page.write_text(page.read_text().replace("SUPPORTED", "REFUTED", 1))
    index.unlink()
    (made.root / "artifacts/record/old.md").write_text("of a topic that is gone")
    (made.root / "REPORT.md").write_text(good.report + "more\n")
    said = list(Committed(good.book).differing())
    assert [line.split()[0] for line in said] == [
        "REPORT.md", "artifacts/record/README.md", "artifacts/record/published.md", "artifacts/record/old.md",
    ]  # fmt: skip
    assert "is not what the evidence says, from line" in said[2] and "is missing" in said[1]
    good.write()
    assert list(Committed(good.book).differing()) == [] and not (made.root / "artifacts/record/old.md").exists()


def test_a_report_that_a_forge_would_cut_is_refused(written):
    (found,) = written("word " * (LARGEST // 5 + 1)).problems
    assert "REPORT.md would have" in found and "shorten it" in found


def test_a_text_that_is_no_text_is_a_line(made):
    (made.root / "docs/paper.md").write_bytes(b"\xff\xfe\x00")
    assert Committed(RecordBook(made.records, made.root)).problems == ("docs/paper.md is no text in UTF-8",)


def test_without_a_text_the_report_is_the_index_of_the_record(made):
    report = Committed(RecordBook(made.records, made.root)).report
    links = re.findall(r"(?<!\\)\]\((artifacts/[^)#]+)", report)
    made_of_it = Committed(RecordBook(made.records, made.root))
    made_of_it.write()
    assert links and all((made.root / link).is_file() for link in links)


def test_a_topic_that_is_too_large_is_cut_between_claims_and_every_link_still_leads(made, monkeypatch):
    monkeypatch.setattr(markdown, "LARGEST", 6_000)
    cut = markdown.Pages(RecordBook(made.records, made.root))
    assert len(cut.texts) > 1 and list(cut.texts)[:2] == ["published.md", "published-2.md"]
    for row in claim_rows(made.records):
        assert f'<a id="{row.anchor}"></a>' in cut.texts[cut.file(row.anchor)]
    assert "[published-2.md](published-2.md)" in cut.texts["published.md"]
    assert sum(text.count("\n### ") for text in cut.texts.values()) == 8


def test_the_same_record_gives_the_same_bytes(made, committed):
    first, second = committed(TEXT), Committed(RecordBook(made.records[::-1], made.root))
    assert first.report == second.report and first.record == second.record


def test_the_style_of_the_paper_travels_with_the_package():
    import mechlib.report.paper

    assert (Path(mechlib.report.paper.__file__).parent / "paper.typ").is_file()
