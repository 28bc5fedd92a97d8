"""What a primary sentence comes to after noise of a quantisation step stands beside its number on every page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from mechlib.report.content.claim_views import WITH_NOISE, dithered_text
from mechlib.report.content.record_book import RecordBook
from mechlib.report.outputs.results import as_csv, results
from mechlib.verdicts.record import NOT_MEASURED, Comparison, Record, TwinOutcome
from mechlib.verdicts.reported import Reported
from tests.helpers.forge import forge
from tests.helpers.pages import whole
from tests.helpers.published_sample import GEMMA, PASSED, QWEN, SMOLLM, WANG, about
from tests.helpers.published_sample import Published as Made
from tests.helpers.sample_record import estimate

PAPER = Reported(3.56, WANG, "logits", primary=True)
HOLDS, DOES_NOT = "2.610 [2.560, 2.660], holds", "0.610 [0.560, 0.660], does not hold"


def noisy(model: str, level: float, word: str) -> TwinOutcome:
    compared = Comparison.of((estimate(about(level)) >= 2).to_dict())
    return TwinOutcome(f"{model}@dithered", word, compared.text, compared)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> RecordBook:
    """Supported so on one model, not so on the next, not measured on the last."""
    made = Made(tmp_path_factory.mktemp("dithered"))
    for model, outcome in (
        (SMOLLM, noisy(SMOLLM, 2.61, "SUPPORTED")),
        (GEMMA, noisy(GEMMA, 0.61, "REFUTED")),
        (QWEN, TwinOutcome(f"{QWEN}@dithered", NOT_MEASURED, "nothing is filed: `pytest --controls -k it`")),
    ):
        verdict = estimate(about(4)) >= 2
        made.say("it_leads", "It leads.", model, verdict, reported=PAPER, controls=[PASSED], dithered=outcome)
    return RecordBook(made.records, made.root)


def plain(page: str) -> str:
    return " ".join(re.sub("<[^>]*>", "", page).split())


def test_its_text_has_the_number_and_says_whether_the_sentence_holds(book: RecordBook) -> None:
    told = {record.model: dithered_text(record) for record in book.records}
    assert told == {SMOLLM: HOLDS, GEMMA: DOES_NOT, QWEN: NOT_MEASURED}
    word = {"INCONCLUSIVE": "left open", "GATED": "its gate is closed", "silent": "cannot be asked"}
    for name, said in word.items():
        record = msgspec.structs.replace(book.records[0], dithered=TwinOutcome("x@dithered", name))
        assert dithered_text(record) == said


def test_the_published_page_and_the_report_have_it_in_each_cell_and_outcomes_are_as_without(book: RecordBook) -> None:
    page, text = plain(whole(book)), forge(book).replace("\\", "")
    for said in (HOLDS, DOES_NOT, NOT_MEASURED):
        assert f"{WITH_NOISE}: {said}" in page and f"{WITH_NOISE} {said}" in text
    assert page.count("was moved by uniform noise of half its own step either way. It decides nothing") == 1
    cells = book.published.sentences[0].cells if book.published else {}
    assert {model: found.word for model, found in cells.items()} == dict.fromkeys((SMOLLM, GEMMA, QWEN), "REPLICATED")


def test_the_claims_own_lines_have_it(book: RecordBook) -> None:
    opened = plain(whole(book))
    assert f"{WITH_NOISE} ({SMOLLM}@dithered): {HOLDS}" in opened
    assert f"{WITH_NOISE} ({QWEN}@dithered): {NOT_MEASURED} nothing is filed" in opened


def test_a_record_without_it_says_nothing_of_it(book: RecordBook) -> None:
    without = [msgspec.structs.replace(record, dithered=None) for record in book.records]
    bare = RecordBook(without, book.root)
    assert WITH_NOISE not in whole(bare).lower() and WITH_NOISE not in forge(bare)
    assert [entry.dithered for entry in results(bare).claims] == [None] * 3


def test_results_for_machines_have_model_word_and_numbers(book: RecordBook) -> None:
    entries = {entry.model: entry.dithered for entry in results(book).claims}
    own = entries[GEMMA]
    assert own is not None and (own.model, own.word) == (f"{GEMMA}@dithered", "REFUTED")
    assert own.low is not None and own.low < 0.61 < (own.high or 0)
    assert json.loads(msgspec.json.encode(entries[QWEN])) == {
        "model": f"{QWEN}@dithered", "word": NOT_MEASURED, "estimate": None, "low": None, "high": None
    }  # fmt: skip
    assert re.search(r"2\.61 \[2\.\d+, 2\.\d+\] SUPPORTED", as_csv(book)) and NOT_MEASURED in as_csv(book)


def test_it_travels_with_the_record(book: RecordBook, tmp_path: Path) -> None:
    for record in book.records:
        assert Record.from_json(record.to_json()) == record
