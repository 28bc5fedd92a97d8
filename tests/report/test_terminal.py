"""The terminal says of what was not asked why, one line a model and reason, and of what changed what it was."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mechlib.report.content.record_book import RecordBook
from mechlib.report.content.summary import claims_of
from mechlib.report.outputs.terminal import MOST_CHANGES, cautions, fitted, onward, verdict_table
from mechlib.verdicts.controlled import Controlled
from mechlib.verdicts.record import Record

COUNTED = re.compile(r"\b(\d+) claims?\b")
GATE = "the gate stays closed, refuted: 0.097 [0.061, 0.144] n=200 >= 0.40"


def record(function: str, model: str, verdict, message: str = "", history: tuple[str, ...] = ()) -> Record:
    return Record(
        f"topic.test_{function}[{model}]", "topic", f"test_{function}", "A sentence.", model, verdict=verdict,
        message=message, history=list(history), ok=True,
    )  # fmt: skip


def missing(what: str, model: str) -> str:
    return f"no evidence for topic.{what}({model}): run `mechlib fetch {model}`, then `pytest -k topic`"


def printed(records: list[Record], width: int = 200) -> list[str]:
    return verdict_table(RecordBook(records, Path("nowhere")), width=width).splitlines()


def test_many_rows_that_did_not_run_are_one_line_a_model_with_what_to_fetch():
    hub = [record(f"c{n}", "gpt2-small", "NOT RUN", missing(f"f{n % 2}", "gpt2-small")) for n in range(30)]
    other = [record("c0", "pythia-70m", "NOT RUN", missing("f0", "pythia-70m"))]
    said = printed([*hub, *other])
    begin = said.index("not asked:")
    assert said[begin + 1 : begin + 4] == [
        "  NOT RUN gpt2-small, 30 claims: no evidence: run `mechlib fetch gpt2-small`, then `pytest -k gpt2-small`",
        f"  NOT RUN pythia-70m, 1 claim: {missing('f0', 'pythia-70m')}",
        "",
    ]


def test_a_closed_gate_gives_its_numbers_once_a_model_and_another_gate_its_own():
    same = [record(f"c{n}", "mini-0", "GATED", GATE) for n in range(12)]
    other = [record("d", "mini-0", "GATED", GATE.replace("0.40", "0.90")), record("c0", "mini-1", "GATED", GATE)]
    said = printed([*same, *other])
    begin = said.index("not asked:")
    assert said[begin + 1 : begin + 5] == [
        f"  GATED mini-0, 12 claims: {GATE}",
        f"  GATED mini-0, 1 claim: {GATE.replace('0.40', '0.90')}",
        f"  GATED mini-1, 1 claim: {GATE}",
        "",
    ]


def test_reasons_that_differ_and_name_no_one_model_to_fetch_are_all_said():
    reasons = ["no heads are published for gpt2-small", missing("f", "gpt2-small")]
    said = printed([record(f"c{n}", "gpt2-small", "NOT RUN", reason) for n, reason in enumerate(reasons)])
    assert [line for line in said if line.startswith("  NOT RUN")] == [
        f"  NOT RUN gpt2-small, 1 claim: {reason}" for reason in reasons
    ]


def test_what_changed_is_said_once_a_claim_with_its_models_and_marked_in_the_table():
    line = "bound >= 0.60 -> >= 0.40 after evidence (it was SUPPORTED)"
    changed = [record("c", model, "SUPPORTED", history=(line, line)) for model in ("mini-0", "mini-1")]
    said = printed([*changed, record("c", "mini-2", "REFUTED")])
    assert "SUPPORTED*  SUPPORTED*  REFUTED" in said[1]
    assert f"  c (mini-0, mini-1): {line}" in said
    assert "2 changed after evidence was seen (the bound of 2), as is said beside each" in " ".join(said)
    narrow = printed([*changed, record("c", "mini-2", "REFUTED")], width=40)
    assert "    SUPPORTED    mini-0* mini-1*" in narrow and max(map(len, narrow)) <= 40


def test_of_many_lines_the_first_are_shown_and_the_others_counted():
    many = [record(f"c{n:02}", "mini-0", "SUPPORTED", history=(f"bound {n}",)) for n in range(MOST_CHANGES + 3)]
    said = printed(many)
    begin = said.index("changed after evidence (*):")
    assert said[begin + MOST_CHANGES + 1 : begin + MOST_CHANGES + 3] == ["  and 3 more: `--report` has all", ""]


def test_a_topics_name_is_whole_where_its_claims_have_short_ones():
    assert printed([record("c", "mini-0", "SUPPORTED")])[0].split() == ["topic", "mini-0"]


def test_a_claim_is_counted_once_whatever_cases_and_models_it_is_asked_of():
    records = [
        Record(f"{topic}.test_a[{model}-{case}]", topic, "test_a", "S.", model, verdict="GATED", message=GATE)
        for topic in ("first", "second")
        for model in ("mini-0", "mini-1", "mini-2")
        for case in ("zero", "mean")
    ]
    book = RecordBook(records, Path("nowhere"))
    assert claims_of(record.id for record in records) == 2
    assert book.headline.startswith("2 claims on 3 models, 12 verdicts: 12 GATED.")
    assert RecordBook([record("a", "", "GATED")], Path("nowhere")).headline.startswith("1 claim, 1 verdict: 1 GATED.")
    said = verdict_table(book, width=200)
    assert COUNTED.findall(said) == ["2"] * 4, said
    assert not COUNTED.findall("\n".join(cautions([*records, record("b", "mini-0", "GATED")])))


@pytest.mark.parametrize("width", [40, 80])
def test_cautions_keep_the_width_and_an_id_is_whole_to_be_copied(width: int):
    records = [record(f"a_claim_with_a_name_that_is_longer_than_forty_{n}", "mini-0", "SUPPORTED") for n in range(3)]
    for one in records:
        one.flags = ["UNCONTROLLED", "OLDER INSTRUMENTS", "NOT REGISTERED", "PROMPTS NOT FILED"]
    said = [*cautions(records, fresh=True, seed=3), *onward(records)]
    assert len(said) == 7
    for line in said:
        parts = fitted(line, width)
        assert " ".join(part.strip() for part in parts) == line, "no word is cut or lost"
        wide = [part for part in parts if len(part) > width]
        assert all(len(part.split()) == 1 and ".test_a_claim" in part for part in wide), wide
        assert len(parts) == 1 or len(line) > width
    assert any(len(fitted(line, width)) > 1 for line in said)
    assert fitted("", width) == [""]


def test_what_to_type_next_is_said_once_where_nothing_failed():
    fine = [record("a", "mini-0", "SUPPORTED"), record("b", "mini-0", "REFUTED", history=("it was SUPPORTED",))]
    (line,) = onward(fine)
    assert line.startswith("next: `pytest 'topic.test_b[mini-0]'` judges one claim, `mechlib history 'topic.test_b[")
    fine[0].ok = False
    assert list(onward(fine)) == [] and list(onward([record("a", "mini-0", "NOT RUN")])) == []


def test_the_headline_reads_whatever_controls_what_is_supported():
    def controlled(*by: str) -> str:
        found = [record(f"c{n}", "mini-0", "SUPPORTED") for n, _ in enumerate(by)]
        for one, what in zip(found, by, strict=True):
            one.controlled = Controlled(what)
        return RecordBook(found, Path("nowhere")).headline

    said = controlled("matched parts", "twins", "matched parts", "UNCONTROLLED")
    assert "Of the supported ones 3 are controlled (1 by both twins, 2 by matched parts), 1 UNCONTROLLED." in said
    assert "Of the supported ones 1 are controlled (1 by both twins), 0 UNCONTROLLED." in controlled("twins")
    assert "Of the supported ones none is controlled, 1 UNCONTROLLED." in controlled("UNCONTROLLED")
