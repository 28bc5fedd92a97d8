"""Published sentences: each has its outcome by the audit's rules, and the page says the paper's number beside ours."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

from mechlib.report.content.model_cards import called, quantised
from mechlib.report.content.published_sentences import NOT_ASKABLE, Published, Sentence
from mechlib.report.content.record_book import RecordBook
from mechlib.report.content.replications import STAGES, outcome, stage
from mechlib.report.outputs.markdown import RECORD
from mechlib.report.outputs.record_index import PUBLISHED
from mechlib.report.outputs.results import results
from mechlib.report.paper.committed import Committed
from mechlib.verdicts.controls import Control
from mechlib.verdicts.record import Member, Record
from mechlib.verdicts.reported import REPLICATION_MEANINGS, REPLICATIONS, Reported
from tests.helpers.forge import forge
from tests.helpers.pages import whole
from tests.helpers.published_sample import GEMMA, PASSED, QWEN, SEEN, SMOLLM, WANG, about, published_sample
from tests.helpers.published_sample import Published as Made
from tests.helpers.sample_record import HOSTILE, MINIS, estimate, sample
from tests.report.test_pages import Page

SENTENCE = "The lead is two logits."
PAPER = Reported(3.56, WANG, "logits")


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> RecordBook:
    root = tmp_path_factory.mktemp("published")
    return RecordBook(published_sample(root), root)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def published(book: RecordBook) -> Published:
    assert book.published is not None
    return book.published


def row(book: RecordBook, beginning: str) -> Sentence:
    (found,) = (one for one in published(book).sentences if one.text.startswith(beginning))
    return found


def on(made: Made, model: str, level: float, name: str = "it_leads", **more: object) -> Record:
    """The lead on one model, held against two logits."""
    return made.say(name, SENTENCE, model, estimate(about(level)) >= 2, reported=PAPER, **more)


def word_on(made: Made, model: str) -> tuple[str, str]:
    cell = published(RecordBook(made.records, made.root)).sentences[0].cells[model]
    return cell.word, cell.why


# Outcomes


def test_a_sentence_is_replicated_where_it_is_supported_and_controlled(made: Made) -> None:
    on(made, SMOLLM, 5, controls=[PASSED])
    on(made, GEMMA, 5)
    on(made, QWEN, 5, twin="silent")
    book = RecordBook(made.records, made.root)
    assert {m: c.word for m, c in published(book).sentences[0].cells.items()} == {
        SMOLLM: "REPLICATED", GEMMA: "REPLICATED", QWEN: "UNDECIDED"
    }  # fmt: skip
    assert published(book).sentences[0].cells[QWEN].why.startswith("UNCONTROLLED: on a twin the question")


@pytest.mark.parametrize("model", ["mini-0", "planted-ioi"])
def test_a_refutation_contradicts_only_with_both_kinds_of_proof_that_the_instrument_works(
    made: Made, model: str
) -> None:
    refuted = on(made, SMOLLM, 0.5)
    assert word_on(made, SMOLLM) == (
        "UNDECIDED",
        "refuted, but on no small or planted model does the same code support it",
    )
    refuted.controls = [SEEN]
    assert word_on(made, SMOLLM)[0] == "UNDECIDED"
    supported = on(made, model, 3, twin="by kind" if model.startswith("planted") else "controlled")
    assert word_on(made, SMOLLM) == (
        "CONTRADICTED",
        f"the same code supports it on {model}; layer 3 exceeds the bound here",
    )
    refuted.controls = [msgspec.structs.replace(SEEN, on_the_side=0, word="passed")]
    assert word_on(made, SMOLLM) == (
        "UNDECIDED",
        "refuted, but nothing in this model exceeds the bound for the same code",
    )
    refuted.controls = [msgspec.structs.replace(SEEN, word="error")]
    assert word_on(made, SMOLLM)[0] == "UNDECIDED", "an error has seen nothing"
    refuted.controls = [SEEN]
    supported.verdict = "REFUTED"
    assert word_on(made, SMOLLM)[0] == "UNDECIDED"


def test_what_other_parts_of_the_model_come_to_in_the_place_of_its_own_is_proof_or_none(made: Made) -> None:
    on(made, "mini-0", 3)
    exchanged = Control("heads of its layer", "23.3", 20, 2, word="void", evidence="controls/it.jsonl")
    refuted = on(made, SMOLLM, 0.5, controls=[exchanged])
    seen = "the same code supports it on mini-0; 2 of 20 others in the place of 23.3 exceed the bound here"
    assert word_on(made, SMOLLM) == ("CONTRADICTED", seen)
    refuted.controls = [msgspec.structs.replace(exchanged, on_the_side=0, word="passed")]
    none = "refuted, but none of 20 others in its place exceeds the bound for the same code"
    assert word_on(made, SMOLLM) == ("UNDECIDED", none)
    cure = "nothing is filed: `pytest --controls -k it_leads` measures it"
    refuted.controls = [Control("heads of its layer", "23.3", word="not measured", message=cure)]
    assert word_on(made, SMOLLM) == (
        "UNDECIDED", f"refuted, but what other parts of this model come to is not known: {cure}"
    )  # fmt: skip


SOME = msgspec.structs.replace(PAPER, exists=True)


def some(made: Made, **more: object) -> Record:
    return made.say("it_leads", SENTENCE, SMOLLM, estimate(about(0.5)) >= 2, reported=SOME, **more)


def test_that_some_part_does_it_is_not_contradicted_where_another_part_does(made: Made) -> None:
    on(made, "mini-0", 3)
    others = Control("heads of its layer", "23.3", 39, 2, word="weak", evidence="controls/it.jsonl")
    some(made, controls=[others])
    assert word_on(made, SMOLLM) == (
        "UNDECIDED",
        "refuted of the chosen part, but 2 of 39 others in the place of 23.3 exceed the bound here: "
        "the choice missed it",
    )


def test_that_some_part_does_it_is_contradicted_where_none_that_was_asked_does(made: Made) -> None:
    supported = on(made, "mini-0", 3)
    none = Control("heads of its layer", "23.3", 39, 0, word="passed", evidence="controls/it.jsonl")
    refuted = some(made, controls=[none])
    assert word_on(made, SMOLLM) == (
        "CONTRADICTED",
        "the same code supports it on mini-0; here none of 39 others in its place exceeds the bound for the same code",
    )
    refuted.reported = PAPER
    assert word_on(made, SMOLLM)[0] == "UNDECIDED", "of the chosen part nothing shows that the code sees in this model"
    refuted.reported, supported.verdict = SOME, "REFUTED"
    assert word_on(made, SMOLLM)[0] == "UNDECIDED", "nor is the code known to find it anywhere"


@pytest.mark.parametrize(
    "unknown",
    [
        [],
        [Control("heads of its layer", "23.3", word="not measured", message="nothing is filed")],
        [Control("no part", message="no part named")],
        [Control("control=", "the word before", 1, 0, word="passed")],
    ],
)
def test_that_some_part_does_it_stays_open_where_no_other_part_was_asked(made: Made, unknown: list[Control]) -> None:
    on(made, "mini-0", 3)
    some(made, controls=unknown)
    assert word_on(made, SMOLLM)[0] == "UNDECIDED"


def test_a_refuted_sentence_says_how_many_others_are_as_claimed_and_calls_nothing_void(made: Made) -> None:
    said = "2 of 20 in the place of 23.3 are as claimed (heads of its layer)"
    part = Control("heads of its layer", "23.3", 20, 2, word="void", evidence="controls/it.jsonl", message=said)
    on(made, SMOLLM, 0.5, controls=[part])
    text = forge(RecordBook(made.records, made.root))
    assert "| heads of its layer: 2 of 20 as claimed |" in text and "void, 2 of 20" not in text
    assert f"control: {said}".replace("(", "\\(") in text or f"control: {said}" in text


@pytest.mark.parametrize("level", [5, 0.5])
def test_nothing_is_replicated_or_contradicted_that_was_not_registered_before_it_was_measured(
    made: Made, level: float
) -> None:
    record = on(made, SMOLLM, level, controls=[SEEN] if level < 2 else [PASSED])
    on(made, "mini-0", 3)
    assert word_on(made, SMOLLM)[0] == ("CONTRADICTED" if level < 2 else "REPLICATED")
    record.registration, record.registration_why = "EXPLORATORY", "its line came in with its evidence"
    why = f"{record.verdict}, but EXPLORATORY: its line came in with its evidence"
    assert word_on(made, SMOLLM) == ("UNDECIDED", why)
    record.registration = "REGISTERED, PROMPTS SEEN"
    assert word_on(made, SMOLLM)[0] != "UNDECIDED"
    record.registered = ""
    assert word_on(made, SMOLLM)[1].endswith("but EXPLORATORY: no line of the register says it")


def test_support_of_other_code_or_without_a_control_does_not_stand_for_the_instrument(made: Made) -> None:
    on(made, SMOLLM, 0.5, controls=[SEEN])
    on(made, "mini-0", 3, name="another_function")
    on(made, "mini-1", 3, twin="silent")
    assert word_on(made, SMOLLM)[0] == "UNDECIDED"
    on(made, QWEN, 3)
    assert word_on(made, SMOLLM)[0] == "UNDECIDED", "another pretrained model is no known answer"


def test_a_member_or_another_case_that_is_as_claimed_shows_that_the_instrument_sees_in_this_model(made: Made) -> None:
    on(made, "mini-0", 3)
    refuted = on(made, SMOLLM, 0.5)
    assert word_on(made, SMOLLM)[0] == "UNDECIDED"
    other = on(made, SMOLLM, 5)
    other.id = other.id.replace("]", "-second]")
    same_code = [record for record in made.records if record.function == "test_it_leads"]
    assert outcome(refuted, "REFUTED", same_code) == (
        "CONTRADICTED", f"the same code supports it on mini-0; {SMOLLM}-second exceeds the bound here"
    )  # fmt: skip
    assert refuted.comparison is not None
    seen = Member("23.3", "SUPPORTED", refuted.comparison.estimate)
    refuted.comparison = msgspec.structs.replace(refuted.comparison, members=(seen,))
    assert outcome(refuted, "REFUTED", same_code[:2])[0] == "CONTRADICTED"
    unseen = msgspec.structs.replace(seen, word="INCONCLUSIVE")
    refuted.comparison = msgspec.structs.replace(refuted.comparison, members=(unseen,))
    assert outcome(refuted, "REFUTED", same_code[:2])[0] == "UNDECIDED"


@pytest.mark.parametrize(
    ("verdict", "word", "reached"),
    [
        ("NOT RUN", "NOT RUN", "not run"),
        ("GATED", "UNDECIDED", "gated"),
        ("ERROR", "UNDECIDED", "refused"),
        ("VOID", "UNDECIDED", "void"),
        ("INCONCLUSIVE", "UNDECIDED", "open"),
    ],
)
def test_whatever_ends_before_an_answer_is_undecided_or_was_not_run(
    made: Made, verdict: str, word: str, reached: str
) -> None:
    record = on(made, SMOLLM, 3)
    record.verdict = verdict  # type: ignore[assignment]
    assert outcome(record, "SUPPORTED", [record])[0] == word and stage(record) == reached


def test_holm_over_the_table_of_a_model_takes_back_what_one_sentence_among_many_said(made: Made) -> None:
    barely = np.random.default_rng(0).normal(0, 1, 400)
    barely = (barely - barely.mean()) / barely.std(ddof=1) + 2 + 2.2 / np.sqrt(400)  # 2.2 standard errors above 2
    made.say("it_leads", SENTENCE, SMOLLM, estimate(barely) >= 2, reported=PAPER)
    assert word_on(made, SMOLLM)[0] == "REPLICATED", "alone it is what it is"
    for place in range(4):
        made.say(f"other_{place}", f"Another sentence {place}.", SMOLLM, estimate(about(2)) >= 2, reported=PAPER)
        made.say(f"other_{place}", f"Another sentence {place}.", GEMMA, estimate(about(2)) >= 2, reported=PAPER)
    assert word_on(made, SMOLLM) == ("UNDECIDED", "SUPPORTED alone, not after Holm's correction over the table")


def test_claims_that_are_no_published_sentence_do_not_weigh_in_the_correction(made: Made) -> None:
    barely = np.random.default_rng(0).normal(0, 1, 400)
    barely = (barely - barely.mean()) / barely.std(ddof=1) + 2 + 2.2 / np.sqrt(400)
    made.say("it_leads", SENTENCE, SMOLLM, estimate(barely) >= 2, reported=PAPER)
    for place in range(4):
        made.say(f"other_{place}", f"A sentence {place} of our own.", SMOLLM, estimate(about(2)) >= 2)
    assert word_on(made, SMOLLM)[0] == "REPLICATED"


# Rows


def test_claims_that_give_one_sentence_share_its_row_and_others_do_not(book: RecordBook) -> None:
    shared = row(book, "Name movers attend")
    assert [one.function for one in shared.rows] == ["test_small_movers_look", "test_movers_look"]
    assert [record.model for record in shared.small] == ["mini-0"] and set(shared.cells) == {SMOLLM, GEMMA, QWEN}
    assert len(published(book).sentences) == 6 and not any("our own" in one.text for one in published(book).sentences)


def test_primary_sentences_stand_first_and_what_nobody_asks_last(book: RecordBook) -> None:
    ranks = [(one.reported.primary, bool(one.rows)) for one in published(book).sentences]
    assert ranks == [(True, True), (True, True), (False, True), (False, True), (False, False), (False, False)]


def test_a_primary_sentence_stands_before_a_secondary_one_that_is_read_first(made: Made) -> None:
    for made.line, (name, primary) in enumerate([("first", False), ("second", True)]):
        paper = Reported(3.56, WANG, primary=primary)
        made.say(name, f"The {name}.", SMOLLM, estimate(about(5)) >= 2, reported=paper)
    assert [one.text for one in published(RecordBook(made.records, made.root)).sentences] == [
        "The second.",
        "The first.",
    ]


def test_a_sentence_whose_claims_came_out_apart_is_undecided(made: Made) -> None:
    one = Reported(3.56, WANG, sentence="Both.")
    made.say("first", "The first.", SMOLLM, estimate(about(5)) >= 2, reported=one)
    made.say("second", "The second.", SMOLLM, estimate(about(5)) >= 2, reported=one)
    assert word_on(made, SMOLLM) == ("REPLICATED", "")
    made.say("third", "The third.", SMOLLM, estimate(about(2)) >= 2, reported=one)
    word, why = word_on(made, SMOLLM)
    assert word == "UNDECIDED" and why.startswith("its claims came out apart (REPLICATED, UNDECIDED): ")


def test_cases_of_a_claim_are_rows_of_their_own(made: Made) -> None:
    for case in ("zero", "mean"):
        record = on(made, SMOLLM, 5)
        record.id = record.id.replace("]", f"-{case}]")
    sentences = published(RecordBook(made.records, made.root)).sentences
    assert {one.text for one in sentences} == {f"{SENTENCE} ({case})" for case in ("zero", "mean")}
    assert len({one.anchor for one in sentences}) == 2


def test_the_small_networks_are_counted_and_their_numbers_span_what_they_came_to(book: RecordBook) -> None:
    lead = row(book, "The indirect object leads")
    assert (lead.held, lead.between) == ("5 of 5", "3.000 to 3.800")
    assert (row(book, "The cutoff").held, row(book, "The cutoff").between) == ("", "")


def test_a_model_of_the_hub_without_weights_has_no_column_and_is_named(book: RecordBook) -> None:
    assert published(book).models == (GEMMA, QWEN, SMOLLM) and published(book).unrun == ("gpt2-small",)


def test_what_cannot_be_asked_has_a_row_with_its_reason_or_fills_the_empty_cells_of_one(made: Made) -> None:
    on(made, SMOLLM, 5)
    on(made, GEMMA, 5).verdict = "INCONCLUSIVE"
    (made.root / "claims").mkdir()
    entry = '[[sentence]]\nsentence = "{}"\nwhere = "A paper 2024"\nwhy = "no operation"\n'
    (made.root / NOT_ASKABLE).write_text(
        entry.format(SENTENCE) + f'models = ["{QWEN}", "{GEMMA}"]\n' + entry.format("Ants.")
    )
    first, second = published(RecordBook(made.records, made.root)).sentences
    assert (first.cells[QWEN].word, first.cells[QWEN].why) == ("NOT ASKABLE", "no operation")
    assert first.cells[GEMMA].word == "UNDECIDED", "a claim asks it there"
    assert second.text == "Ants." and {c.word for c in second.cells.values()} == {"NOT ASKABLE"}
    assert set(second.cells) == {SMOLLM, GEMMA}


@pytest.mark.parametrize("text", ["[[sentence]", "sentence = 3", '[[sentence]]\nsentence = "A."', '[[other]]\na = "b"'])
def test_a_list_of_another_form_is_named_on_the_page_with_the_cure(made: Made, text: str) -> None:
    on(made, SMOLLM, 5)
    (made.root / "claims").mkdir()
    (made.root / NOT_ASKABLE).write_text(text)
    book = RecordBook(made.records, made.root)
    assert published(book).problem.startswith("claims/not_askable.toml cannot be read (")
    assert "an entry is [[sentence]] with sentence, where and why" in "".join(Page(whole(book)).text)


# The flow


def test_the_flow_loses_no_sentence(book: RecordBook) -> None:
    flow = {what: np.array(counts) for what, counts, _ in published(book).flow}
    names = list(flow)
    asked = flow["published sentences"] - flow["no claim asks it"] - flow["not askable"]
    assert (asked == flow["asked"]).all() and asked.sum() == 11
    ended = names[names.index("asked") + 1 : names.index("REPLICATED")]
    assert len(ended) == len(STAGES) and (sum(flow[name] for name in ended) == asked).all()
    assert (sum(flow[word] for word in REPLICATIONS[:3]) + flow["not run"] == asked).all()
    assert flow["gated: the model was not shown to do the task"].tolist() == [1, 0, 0]
    assert flow["supported, uncontrolled"].tolist() == [0, 0, 1] and flow["CONTRADICTED"].tolist() == [1, 1, 0]


# Outputs


def test_the_page_sets_the_paper_the_small_networks_and_each_model_side_by_side(book: RecordBook) -> None:
    parsed = Page(whole(book))
    text = " ".join(" ".join(parsed.text).split())
    assert "A model in which the sentences hold is missing here (no GPT-2)" in text
    for said in ("3.56 logits", WANG, "held in 5 of 5", "0.600 [0.550, 0.650]", "4.970 [4.920, 5.020]"):
        assert said in text
    for word, meaning in REPLICATION_MEANINGS.items():
        assert word in text and meaning in text
    assert "published" in parsed.ids and "#published" in parsed.links
    filters = {link for link in parsed.links if link.startswith("#verdict=")}
    assert {link[1:] for link in {*parsed.links} - filters if link.startswith("#")} <= set(parsed.ids)
    assert len(parsed.ids) == len(set(parsed.ids))


def test_a_sentence_in_the_words_of_its_claim_is_called_so_and_the_paper_s_is_not(book: RecordBook) -> None:
    own, paper = row(book, "The indirect object leads"), row(book, "Name movers attend")
    assert own.as_asked and not paper.as_asked
    assert not any(one.as_asked for one in published(book).sentences if not one.rows)
    section = whole(book).split('<section id="published">')[1].split("</section>")[0]
    asked = sum(one.as_asked for one in published(book).sentences)
    assert section.count('<span class="muted">as asked here</span>') == asked > 0
    text = forge(book)
    assert "average.](published.md#published.it_leads) (as asked here) |" in text.replace("\\", "")
    for said in (" ".join(Page(whole(book)).text), text.replace("\\", "")):
        assert "Rows of one sweep are not independent" in said and "skewness" in said


def test_exploratory_and_changed_cells_say_so_on_the_page(made: Made) -> None:
    record = on(made, SMOLLM, 5)
    section = '<section id="published">(.*?)</section>'

    def flags() -> list[str]:
        found = re.search(section, whole(RecordBook(made.records, made.root)), re.S)
        assert found
        return re.findall(r'<span class="flag">([^<]*)</span>', found[1])

    assert flags() == []
    record.registration, record.history = "EXPLORATORY", ["not as registered: the published number 3.5 -> 3.56"]
    assert flags() == ["exploratory", "changed"]


def test_the_paper_s_number_is_a_triangle_at_its_place_on_the_axis_of_the_estimates(made: Made) -> None:
    on(made, SMOLLM, 3.56)
    drawn = str(published(RecordBook(made.records, made.root)).sentences[0].drawn)
    triangle = re.search(
        r'<g class="m reported"><title>[^<]*3\.56 logits</title>.*?<path class="f" d="M([\d.]+) ', drawn
    )
    disc = re.search(r'<g class="m supported">.*?<circle class="f" cx="([\d.]+)"', drawn)
    assert triangle and disc and triangle[1] == disc[1]


def test_a_sentence_without_a_number_of_its_own_is_drawn_without_a_triangle(book: RecordBook) -> None:
    assert "reported" not in str(row(book, "Every chosen head").drawn) and row(book, "Adding is done").drawn is None


def test_report_md_has_the_table_and_nothing_that_hangs_on_this_machine(book: RecordBook) -> None:
    text = forge(book)
    section = Committed(book).record[RECORD / PUBLISHED]
    for table in re.findall(r"(?m)^\|.*\|$(?:\n^\|.*\|$)+", section):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    assert (
        "**primary** [The indirect object leads by at least 2 logits on average.](published.md#published.it_leads)"
        in section
    )
    assert "✗ CONTRADICTED 0.600" in section and "**asked** | 3 | 4 | 4 |" in section
    assert "mechlib fetch" not in section
    assert "Reported: 3.56 logits (Wang et al. 2022" in text


def test_machines_read_the_number_and_the_outcome(book: RecordBook) -> None:
    claims = {entry.id: entry for entry in results(book).claims}
    lead = {model: claims[f"published.test_it_leads[{model}]"] for model in (*MINIS, SMOLLM, GEMMA, QWEN)}
    assert all(entry.reported == Reported(3.56, WANG, "logits", primary=True) for entry in lead.values())
    assert [lead[m].replication for m in (SMOLLM, GEMMA, QWEN)] == ["REPLICATED", "CONTRADICTED", "UNDECIDED"]
    assert {lead[m].replication for m in MINIS} == {None}
    own = claims[f"published.test_nothing_published[{SMOLLM}]"]
    assert own.reported is None and own.replication is None
    assert json.loads(msgspec.json.encode(lead[SMOLLM]))["reported"]["value"] == 3.56


def test_the_row_of_a_claim_shows_the_paper_s_number(book: RecordBook) -> None:
    record = book.records[0]
    text = " ".join("".join(Page(whole(book)).text).split())
    assert record.reported is None or "Reported: 3.56 logits (Wang et al. 2022" in text
    assert "6 published sentences" in text


def test_hostile_text_is_text_in_the_table(made: Made) -> None:
    paper = Reported(1.0, HOSTILE + " 2022", HOSTILE, sentence=HOSTILE, primary=True)
    made.say("hostile", HOSTILE, SMOLLM, estimate(about(1)) >= 2, reported=paper, expected="REFUTED")
    book = RecordBook(made.records, made.root)
    parsed = Page(whole(book))
    assert parsed.tags["script"] == 1 and not parsed.handlers and len(parsed.ids) == len(set(parsed.ids))
    assert "<script" not in forge(book)


def test_a_record_without_published_sentences_says_nothing_of_them(tmp_path: Path) -> None:
    book = RecordBook(sample(tmp_path), tmp_path)
    assert book.published is None
    assert "Published sentences" not in forge(book) and 'id="published"' not in whole(book)
    assert {entry.replication for entry in results(book).claims} == {None}


def test_what_a_control_came_to_is_read_from_the_record_as_it_travels(made: Made) -> None:
    record = on(made, SMOLLM, 0.5, controls=[Control("control=", "layer 3", 1, 1, word="void")])
    assert Record.from_json(record.to_json()) == record


# How weights are stored


def test_rows_name_the_quantisation_and_what_each_model_is_stands_once(book: RecordBook) -> None:
    text, page = forge(book), whole(book)
    what = "SmolLM2-135M-Instruct, 4-bit values (Q4_1) in float32; nothing is said of the model before it was quantised"
    assert text.replace("\\", "").count(what) == 1 == " ".join(Page(page).text).count(what)
    rows = [line for line in text.replace("\\", "").splitlines() if line.startswith(f"| {SMOLLM}")]
    assert len(rows) > 3 and all(line.startswith(f"| {SMOLLM} (Q4_1)") for line in rows)
    heads = f"| sentence | paper | small networks | {GEMMA} (Q4_K_M) | {QWEN} (Q4_K_M) | {SMOLLM} (Q4_1) |"
    assert heads in text.replace("\\", "")
    for cell in ('<th scope="col">{}</th>', '<th scope="row">{}</th>'):
        assert cell.format(f"{SMOLLM} (Q4_1)") in page and cell.format(SMOLLM) not in page
    first = next(record for record in book.records if record.model == GEMMA)
    assert first.model == GEMMA and f"aria-expanded=false>{GEMMA} (Q4_K_M)</button>" in page
    assert "\n| mini-0 | ✓ SUPPORTED" in text


def test_a_twin_is_quantised_as_its_model_is_and_other_models_are_not() -> None:
    assert [quantised(model) for model in (f"{QWEN}@permuted", "gpt2-small", "mini-0", "")] == ["Q4_K_M", "", "", ""]
    assert [called(model) for model in (QWEN, "mini-0", "")] == [f"{QWEN} (Q4_K_M)", "mini-0", "no one model"]


# What did not run


def test_what_is_not_here_is_said_once_and_not_in_every_cell(made: Made) -> None:
    for name in ("it_leads", "it_leads_again", "it_leads_anew"):
        made.line += 1
        one = made.say(name, f"{SENTENCE} ({name})", SMOLLM, None, "NOT RUN", reported=PAPER)
        one.message = f"no evidence for {name}: run `mechlib fetch {SMOLLM}`, then `pytest -k it`"
    page = whole(RecordBook(made.records, made.root))
    found = re.search('<section id="published">(.*?)</section>', page, re.S)
    assert found
    text = " ".join(re.sub("<[^>]*>", "", found[1]).split())
    assert text.count("no evidence for") == 0 and text.count(f"mechlib fetch {SMOLLM}") == 1
    assert f"mechlib plan {SMOLLM} says what measuring takes" in text
    on(made, SMOLLM, 5, name="other")
    made.records[:] = made.records[3:]
    assert "mechlib fetch" not in whole(RecordBook(made.records, made.root))


def test_small_networks_that_ended_in_an_error_did_not_answer(made: Made) -> None:
    on(made, "mini-0", 3)
    made.say("it_leads", SENTENCE, "mini-1", None, "ERROR", reported=PAPER)
    assert published(RecordBook(made.records, made.root)).sentences[0].held == "1 of 1"
