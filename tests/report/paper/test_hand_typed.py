"""A number that nobody looked up is found by its line; names, code, links and numbers of headings are let through."""

import pytest

from mechlib.report.paper.filling import by_hand, filled_in
from mechlib.report.paper.hand_typed import hand_typed


@pytest.mark.parametrize(
    "text",
    [
        "0.94 of them", "in 5 models", "n=200", "95 %", "three of ٥", "x²", "½ of it", "a-0.94", "2026", "(1)",
        "SmolLM2-135M scores .9", "GPT-2.5", "mini-07", "layer-12", "section 9.9", "[0.94](artifacts/x.md)", "**7**",
        "## The 3 heads", "- 4 heads", "| 5 |", "> 6", "a <b>7</b>", "e.g.8", "`x` 9", "GPT-20",
    ],
)  # fmt: skip
def test_a_digit_in_the_prose_is_found(text):
    assert [line for line, _ in hand_typed(f"Words.\n{text}\n", ["mini-0"])] == [2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("refuted in all five networks", "all five"), ("in two of them", "in two"), ("All\nthree add", "All three"),
        ("four of the five", "four of the five"), ("and none of ten", "none of ten"), ("In none, then", "In none"),
        ("in one of three models", "in one"), ("and in\ntwo models", "in two"), ("open in three.", "in three"),
    ],
)  # fmt: skip
def test_a_count_in_words_is_found(text, words):
    assert (2, words) in list(hand_typed(f"Words.\n{text}\n", ["mini-0"]))


@pytest.mark.parametrize(
    "text",
    [
        "two heads", "in one wording", "in three splits", "of three fifths", "the three that look", "half of all names",
        "both of them", "in the one model that adds", "all one sees", "a bound of one", "in tenths of a second",
    ],
)  # fmt: skip
def test_ordinary_speech_is_no_count(text):
    assert list(hand_typed(text)) == []


def test_what_was_looked_up_between_two_words_makes_them_no_count():
    text = 'It holds in {{ counted("a", "SUPPORTED", of=3, n=3) }} models, and of {{ value("x") }} five remain.'
    assert list(by_hand(text)) == []
    assert list(by_hand("It holds\nin all three.")) == [(2, "all three")]


@pytest.mark.parametrize(
    "text",
    [
        "SmolLM2-135M, GPT-2 and Gemma 3 270M.", "SmolLM2-135M-Instruct", "mini-0's heads", "`n = 200`", "two heads",
        "[its page](https://arxiv.org/abs/2211.00593)", "## 3. Method", "### 6.1 Addition", "1. first", "float32",
        "<https://doi.org/10.1000/1>", "![alt](artifacts/figures/x--1.svg)", "as section 6.1 says",
    ],
)  # fmt: skip
def test_names_code_links_and_numbers_of_headings_are_no_results(text):
    assert list(hand_typed(f"### 6.1 Addition\n\n{text}\n", ["mini-0"])) == []


def test_what_jinja_reads_is_no_prose_and_lines_stay_as_they_are():
    text = '{# 1\n2 #}\n{%- set x = "3" -%}\n{{ given(\n"512", "why") }} and 7\n'
    assert list(by_hand(text)) == [(5, "7")]


@pytest.mark.parametrize("inside", ['"0.94"', "0.94", "1 + 1", 'value("x") ~ "0.94"', "x", 'value("x") | upper', "x.y"])
def test_double_braces_hold_one_call_and_nothing_else(inside):
    _, wrong = filled_in(f"A.\n{{% set x = '0.94' %}}{{{{ {inside} }}}}", {"value": lambda claim: "1"})
    assert (2, "double braces hold one call, as in {{ value(id, word) }}, and nothing else") in wrong


def test_a_macro_prints_calls_only():
    source = '{% macro m(x) %}{{ x }}{% endmacro %}{{ m("0.94") }}'
    assert [line for line, _ in filled_in(source, {})[1]] == [1]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("A.\n{{ value( }}", "Jinja cannot read it"),
        ("A.\n{% if %}", "Jinja cannot read it"),
        ("A.\n{{ gone() }}", "there is no function gone: value"),
        ("A.\n{{ value(gone) }}", "'gone' is undefined"),
    ],
)
def test_a_text_that_jinja_cannot_read_is_told_by_line(source, said):
    _, wrong = filled_in(source, {"value": lambda claim: claim.upper()})
    assert wrong[0][0] == 2 and any(said in problem for _, problem in wrong)
