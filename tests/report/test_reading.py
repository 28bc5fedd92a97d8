"""What makes a long record readable: names for people, what is the same said once, what is long folded."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mechlib.evidence import files, sealed
from mechlib.report.content.claim_rows import claim_rows
from mechlib.report.content.record_book import RecordBook
from mechlib.report.content.summary import failures
from mechlib.report.content.titles import topic_title, variant_label
from mechlib.report.pages.page import pages
from mechlib.verdicts.record import Record
from tests.helpers.forge import forge
from tests.helpers.pages import details, whole
from tests.helpers.sample_record import Sample, estimate, heads_measurement, sample

# Names for readers


@pytest.mark.parametrize(
    ("docstring", "wanted"),
    [
        ("Indirect objects: when Mary and John", "Indirect objects"),
        ("Two-digit addition. Which parts", "Two-digit addition"),
        ("A sentence that says so much that nobody would take it for a title: it is not one", "Two words"),
        ("No colon and no full stop", "Two words"),
    ],
)
def test_a_topic_is_called_what_its_file_calls_itself(docstring: str, wanted: str, tmp_path: Path) -> None:
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims/test_two_words.py").write_text(f'"""{docstring}\n\nMore.\n"""\n')
    assert topic_title(tmp_path, "two_words", "claims/test_two_words.py") == wanted
    assert topic_title(tmp_path, "two_words", "claims/test_gone.py") == "Two words"


def test_pages_head_a_topic_with_its_title_and_link_it_by_its_name(tmp_path: Path) -> None:
    records = sample(tmp_path)
    file = tmp_path / records[0].file
    file.parent.mkdir(exist_ok=True)
    file.write_text('"""What comes again: a claim file."""\n')
    page = whole(RecordBook(records, tmp_path))
    anchor = f"topic-{records[0].topic}"
    assert f'<a href="#{anchor}">What comes again</a>' in page and f'<section id="{anchor}" class="topic"' in page
    assert "<h2>What comes again <span" in page
    assert "\n# What comes again\n" in forge(RecordBook(records, tmp_path))


@pytest.mark.parametrize(
    ("variant_", "decorators", "wanted"),
    [
        ("zero", ['("model", MINIS)', '("how", ["zero", "mean"])'], "how zero"),
        ("0", ['("layer", [0, 3])'], "layer 0"),
        ("addition-ioi", ['("heads_of, task", PAIRS)'], "heads of addition, task ioi"),
        ("addition-ioi", ['(("heads_of", "task"), PAIRS)'], "heads of addition, task ioi"),
        ("x-0", ['("layer", [0, 3])', '("model, kind", PAIRS)'], "kind x, layer 0"),
        ("two-parts", ['("kind", KINDS)'], "kind two-parts"),
        ("a-b-c", ['("one, two", PAIRS)'], "a-b-c"),
        ("said", ['("kind", KINDS, ids=["said"])'], "said"),
        ("zero", ["(ARGUMENTS, VALUES)"], "zero"),
        ("", ['("model", MINIS)'], ""),
    ],
)
def test_a_variant_names_its_arguments_where_the_code_does(variant_: str, decorators: list[str], wanted: str) -> None:
    code = "".join(f"@pytest.mark.parametrize{inside}\n" for inside in decorators) + "def test_it(): ...\n"
    assert variant_label(variant_, code) == wanted
    assert variant_label(variant_, "this is no code") == variant_


def test_arguments_are_named_in_the_order_of_pytests_own_ids(tmp_path: Path) -> None:
    code = """import pytest
@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize("second, third", [("c", "d")])
def test_it(first, second, third): ...
"""
    (tmp_path / "test_order.py").write_text(code)
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "test_order.py"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    inside = re.search(r"\[(.*)\]", found)
    assert inside and variant_label(inside[1], code.partition("\n")[2]) == "second c, third d, first a"


# What is long is folded, what is the same is said once


def test_many_changes_are_folded_and_a_few_are_not() -> None:
    records = [
        Record(id="claims/test_a.py::test_b[mini-0]", topic="a", function="test_b", sentence="s", model="mini-0")
    ]
    few = whole(RecordBook(records, Path("nowhere")), changes=[f"line {n}" for n in range(12)])
    many = whole(RecordBook(records, Path("nowhere")), changes=[f"line {n}" for n in range(13)])
    assert "<details><summary>13 lines</summary>" in many and "12 lines</summary>" not in few
    assert all(f"<li>line {n}</li>" in many for n in range(13))


def test_models_that_were_only_not_run_have_no_column_and_are_named() -> None:
    words = {"mini-0": "SUPPORTED", "gpt2-small": "NOT RUN", "pythia-70m": "NOT RUN", "pythia-1b": "NOT RUN"}
    records = [
        Record(id=f"t.py::test_b[{m}]", topic="a", function="test_b", sentence="It is so.", model=m, verdict=word)
        for m, word in words.items()
    ]
    records.append(
        Record(id="t.py::test_c[gpt2-small]", topic="a", function="test_c", sentence="Too.", model="gpt2-small",
               line=9, verdict="NOT RUN")
    )  # fmt: skip
    text = forge(RecordBook(records, Path("nowhere")))
    assert "| A | mini-0 | – NOT RUN |" in text
    assert "| [It is so.](a.md#a.b) | ✓ | 3 models |" in text and "| [Too.](a.md#a.c) |  | gpt2-small |" in text
    assert "– NOT RUN, every claim about: gpt2-small, pythia-1b, pythia-70m." in text
    (drawn,) = re.findall(r'<svg class="map".*?</svg>', pages(RecordBook(records, Path("nowhere"))).html)
    assert "mini-0" in drawn and "pythia" not in drawn and "gpt2" not in drawn, "no line of their own"


def test_a_remark_that_is_true_of_several_models_stands_once() -> None:
    records = [
        Record(id=f"t.py::test_b[mini-{n}]", topic="a", function="test_b", sentence="It is so.", model=f"mini-{n}",
               verdict="REFUTED", expected="REFUTED", why="one reason" if n < 3 else "another")
        for n in range(5)
    ]  # fmt: skip
    text = forge(RecordBook(records, Path("nowhere")))
    assert "- mini-0, mini-1, mini-2: marked REFUTED: one reason\n- mini-3, mini-4: marked REFUTED: another" in text
    (failure,) = failures(claim_rows(records))
    assert failure.reasons == [("mini-0, mini-1, mini-2", "one reason"), ("mini-3, mini-4", "another")]
    for record in records:
        record.why = "one reason"
    assert "- all: marked REFUTED: one reason" in forge(RecordBook(records, Path("nowhere")))


def test_the_code_and_the_figures_of_a_claim_stand_once_whatever_row_opens(tmp_path: Path) -> None:
    book = RecordBook(sample(tmp_path), tmp_path)
    made = pages(book)
    assert "def test_claim(model)" not in made.html, "it comes when somebody asks"
    for text in made.topics.values():
        found = details(text)
        assert not any("def test_claim(model)" in html for html in found["rows"].values())
        assert all(html.count("def test_claim(model)") <= 1 for html in found["claims"].values())
    assert whole(made).count("<summary>Code of the claim</summary>") == len(
        {(r.topic, r.function) for r in book.records if r.code}
    )


def test_what_only_chose_the_heads_of_a_claim_is_drawn_besides(tmp_path: Path) -> None:
    made = Sample(tmp_path)
    data = heads_measurement(0, {"1.4": 0.8}, spread=0.2)
    paths = [made.file("patched", "mini-0", data), made.file("chosen", "mini-0", data)]
    file = tmp_path / "artifacts/evidence" / paths[1]
    first, measurement = files.load(file)
    first["question"] = first["question"].replace("confirmation", "discovery")
    sealed.write(file, files.encode({k: v for k, v in first.items() if k not in ("sha256", "schema")}, measurement))
    made.add("test_a", "s", "mini-0", estimate(data["1.4"].array) >= 0.4, evidence=paths)
    assert whole(RecordBook(made.records, tmp_path)).count("head map of") == 2
