"""Every word and sign that a row can show has its definition on the page; counts add up and are written in one way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

from mechlib.evidence import lookup
from mechlib.judging import session
from mechlib.judging.registration import words
from mechlib.report.content.claim_views import twin_texts
from mechlib.report.content.record_book import RecordBook
from mechlib.report.content.summary import SIGNS, change
from mechlib.report.pages.claims import HISTORIES, claims_of
from mechlib.report.pages.page import pages
from mechlib.report.pages.reading import definitions
from mechlib.verdicts.controlled import CONTROLLED_BY
from mechlib.verdicts.controls import CONTROL_WORDS
from mechlib.verdicts.lines import Judgement
from mechlib.verdicts.register import Register, tried
from mechlib.verdicts.registration import PARTS, Identity, Registration, differences
from mechlib.verdicts.reported import Reported
from mechlib.verdicts.words import AFTER_LOOKING, BY_HAND
from tests.helpers.sample_record import Sample, estimate, sample
from tests.report.pages.conftest import made_values

FIRST = Judgement("a.test_b", ">= 0.40", "q", ("k",), "SUPPORTED", prompts=("induction 0",))
IDENTITY = Identity("s", ">= 0.40", "q", "a", "h", {"f": "1"})
LINE = Registration("a.test_b", IDENTITY)


def flags() -> set[str]:
    """The flags that evidence and a run give a record: constants in capitals, of words in capitals."""
    found = {name: said for module in (lookup, session) for name, said in vars(module).items() if name.isupper()}
    return {said for said in found.values() if isinstance(said, str) and re.fullmatch(r"[A-Z]+( [A-Z]+)+", said)}


def histories(folder: Path) -> Iterator[tuple[str, str]]:
    """(what changed, a line of a history) as the register writes them, each kind once."""
    for what, other in {
        "bound": replace(FIRST, bound=">= 0.50"),
        "question": replace(FIRST, question="other"),
        "evidence": replace(FIRST, evidence=("other",)),
        "word": replace(FIRST, verdict="VOID"),
    }.items():
        register = Register(folder / "none.jsonl", writable=False)
        register.add(FIRST)
        yield from ((what, line) for line in register.add(other)[0])
    again = replace(LINE, identity=replace(IDENTITY, helpers="other"))
    mended = replace(LINE, identity=replace(IDENTITY, functions={"f": "2"}), amended="a sign was wrong")
    yield from (("text", line) for line in differences([LINE, again], again.identity))
    yield from (("text", line) for line in differences([LINE, replace(LINE, prompts=("other",))], IDENTITY))
    yield from (("evidence", line) for line in differences([LINE, mended], mended.identity))
    for part in PARTS:
        today = replace(IDENTITY, **{part: {} if part == "functions" else "other"})
        yield from (("text", line) for line in differences([LINE], today))


def test_each_line_of_a_history_is_told_by_what_changed(tmp_path: Path) -> None:
    found = list(histories(tmp_path))
    assert {what for what, _ in found} == {"bound", "question", "evidence", "text", "word"} and len(found) >= 12
    assert {line: change(line) for _, line in found} == {line: what for what, line in found}


def test_every_word_of_register_and_history_that_a_row_can_show_is_defined(tmp_path: Path) -> None:
    made, drawn = Sample(tmp_path), tried([FIRST])
    assert {"OLDER INSTRUMENTS", "NOT REGISTERED"} < flags() and len(words.WORDS) >= 8
    rest = [{"registration": word} for word in words.WORDS] + [{"flags": [flag]} for flag in flags()]
    rest += [{"history": [line]} for _, line in histories(tmp_path)] + [{"tried": drawn}]
    for number, more in enumerate(rest):
        made.add(f"test_{number}", "s", "mini-0", estimate(made_values(number)) >= 0.4, twin="controlled", **more)
    page = pages(RecordBook(made.records, tmp_path)).html
    cells = [row.rpartition("<td>")[2] for row in re.findall(r"<tr class=row.*?</tr>", page, re.DOTALL)]
    shown = {" ".join(unescape(re.sub(r"<[^>]+>", " ", cell)).split()) for cell in cells}
    shown = {"other draws" if one == drawn else one for one in shown}
    reading = page.partition('<section id="reading">')[2]
    defined = {" ".join(unescape(word).split()) for word in re.findall(r"<dt>(.*?)</dt><dd>[^<]{15,}</dd>", reading)}
    assert len(shown) >= len(words.WORDS) + len(flags()) + 6 and shown <= defined, shown - defined


def test_every_filter_of_histories_finds_what_it_names(tmp_path: Path) -> None:
    made = Sample(tmp_path)
    for number, word in enumerate(words.WORDS):
        made.add(f"test_{number}", "s", "mini-0", None, registration=word)
    (topic,) = RecordBook(made.records, tmp_path).topics.values()
    found = {case.rows[0].record.registration: case.rows[0].histories for c in claims_of(topic) for case in c.cases}
    assert all(len(one) == 1 and one[0] in HISTORIES for one in found.values())
    others = {word for word, one in found.items() if one == ["other-order"]}
    assert others == {words.TOGETHER, words.EVIDENCE_FIRST, words.UNKNOWN}


def test_whatever_controls_a_claim_or_fails_to_is_defined() -> None:
    unsaid = {"passed", "none", "by kind"}  # which the column leaves out
    assert {*CONTROLLED_BY, *CONTROL_WORDS} - unsaid == set(definitions()["Controlled by"])
    assert {BY_HAND, AFTER_LOOKING} < set(definitions()["Cautions"])


def test_every_sign_of_a_row_is_defined(tmp_path: Path) -> None:
    records = sample(tmp_path)
    signs = {sign for record in records for sign, *_ in twin_texts(record)}
    assert signs == {"○", "◇"} and signs <= set(definitions()["Marks"])
    reading = pages(RecordBook(records, tmp_path)).html.partition('<section id="reading">')[2]
    assert all(sign in reading for sign in (*signs, *SIGNS.values()))


# Counts


def published(folder: Path) -> RecordBook:
    """Three sentences of papers: two asked of one model, one of another."""
    made = Sample(folder)
    for number, model in enumerate(("gemma3-270m", "gemma3-270m", "smollm2-135m")):
        said = Reported(0.5, "Wang et al. 2022, arXiv:2211.00593", "logits")
        verdict = estimate(made_values(number)) >= 0.4
        made.add(f"test_{number}", f"Sentence {number}.", model, verdict, reported=said)
    return RecordBook(made.records, folder)


def test_a_models_published_sentences_add_up_to_all_of_them(tmp_path: Path) -> None:
    page = pages(published(tmp_path)).html
    table = re.search(r'<table class="plain sentences">(.*?)</table>', page, re.DOTALL)
    assert table is not None and "3 published sentences" in table[1] and "no claim asks" in table[1]
    rows = re.findall(r"<tr>(.*?)</tr>", table[1], re.DOTALL)[1:]
    assert len(rows) == 2
    for row in rows:
        assert sum(map(int, re.findall(r"<td[^>]*>(\d+)</td>", row))) == 3, row


def test_the_headline_writes_thousands_with_a_comma_and_changes_nothing_else(tmp_path: Path) -> None:
    made = Sample(tmp_path)
    for number in range(1001):
        made.add(f"test_{number}", "s", f"mini-{number}", None)
    book = RecordBook(made.records, tmp_path)
    page = pages(book).html
    (head,) = re.findall(r'<p class="meta">(.*?)</p>', page)[:1]
    assert "1,001 claims on 1,001 models, 1,001 verdicts" in head and not re.search(r"\d{4}", head)
    assert head.replace(",", "") == book.headline.replace(",", "")
