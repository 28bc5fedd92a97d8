"""What controls a claim stands in every output, and nothing that is UNCONTROLLED is in a headline."""

import json
import re
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from mechlib.report.content.claim_rows import record_anchor
from mechlib.report.content.claim_views import far_beside
from mechlib.report.content.record_book import RecordBook
from mechlib.report.content.summary import BY
from mechlib.report.outputs.results import results
from mechlib.report.outputs.terminal import cautions, verdict_table
from mechlib.statistics import exact
from mechlib.verdicts.controlled import CONTROLLED_BY, UNCONTROLLED, controlled, deciding
from mechlib.verdicts.controls import Control
from mechlib.verdicts.record import Comparison, Record
from tests.helpers.forge import forge
from tests.helpers.pages import rows, whole

MATCHED = Control("heads of the nearest layers", "2.3", 39, 0, word="passed", message="0 of 39 are as claimed")
WEAK = msgspec.structs.replace(MATCHED, on_the_side=3, word="weak", message="3 of 39 are as claimed")
NO_SET = msgspec.structs.replace(MATCHED, sets=3, word="no set", message="no set exists: 3 others of its kind")
NO_PART = Control("no part", message="no part named")
SEES = Control("beside=", "", 1, 1, word="passed", message="0.12")
OWN = Control("its own null", word="by kind")
PRESENCE, ABSENCE = ((">=", 0.4),), (("<=", 0.05),)

# verdict, bounds, twins, controls -> by what, its word
TABLE = [
    ("SUPPORTED", PRESENCE, "controlled", [NO_PART], "twins", "passed"),
    ("SUPPORTED", PRESENCE, "controlled", [], "twins", "passed"),
    ("SUPPORTED", PRESENCE, "silent", [NO_PART], UNCONTROLLED, UNCONTROLLED),
    ("SUPPORTED", PRESENCE, "silent", [MATCHED], "matched parts", "passed"),
    ("SUPPORTED", PRESENCE, "controlled", [MATCHED], "matched parts", "passed"),
    ("SUPPORTED", PRESENCE, "controlled", [MATCHED, WEAK], UNCONTROLLED, "weak"),
    ("SUPPORTED", PRESENCE, "controlled", [MATCHED, NO_SET], UNCONTROLLED, "no set"),
    ("SUPPORTED", PRESENCE, "controlled", [OWN], "its own null", "by kind"),
    ("SUPPORTED", PRESENCE, "controlled", [msgspec.structs.replace(MATCHED, kind="control=")], "control=", "passed"),
    ("SUPPORTED", PRESENCE, "none", [], UNCONTROLLED, UNCONTROLLED),
    ("SUPPORTED", PRESENCE, "by kind", [], "planted", "by kind"),
    ("SUPPORTED", ABSENCE, "shown", [SEES], "beside=", "passed"),
    ("SUPPORTED", ABSENCE, "shown", [], UNCONTROLLED, UNCONTROLLED),
    ("SUPPORTED", ABSENCE, "controlled", [MATCHED], UNCONTROLLED, UNCONTROLLED),  # of an absence neither decides
    ("SUPPORTED", ABSENCE, "by kind", [], "planted", "by kind"),
    ("VOID", PRESENCE, "void", [], "void", "void"),
    ("VOID", PRESENCE, "controlled", [msgspec.structs.replace(MATCHED, word="void")], "void", "void"),
    ("REFUTED", PRESENCE, "controlled", [], "", "none"),
    ("INCONCLUSIVE", ABSENCE, "shown", [msgspec.structs.replace(SEES, word="weak")], "", "weak"),
]


@pytest.mark.parametrize(("verdict", "bounds", "twin", "controls", "by", "word"), TABLE)
def test_what_controls_a_claim(verdict, bounds, twin, controls, by, word):
    found = controlled(verdict, bounds, twin, controls)
    assert (found.by, found.word) == (by, word)
    assert bool(found.why) is (by == UNCONTROLLED)


def test_of_several_parts_the_one_that_says_least_speaks_for_all():
    assert deciding([MATCHED, NO_SET, WEAK]) is NO_SET
    assert deciding([]) is None


def made(name: str, model: str, verdict, bounds, twin, controls) -> Record:
    comparison = Comparison.of(exact(0.8 if bounds is PRESENCE else 0.01).held_against(bounds).to_dict())
    record = Record(f"topic.test_{name}[{model}]", "topic", f"test_{name}", f"Sentence {name}.", model, twin=twin)
    record.verdict, record.comparison, record.controls = verdict, comparison, list(controls)
    record.controlled = controlled(verdict, bounds, twin, controls)
    record.flags = [UNCONTROLLED] * record.uncontrolled
    record.message, record.ok = comparison.text, verdict == "SUPPORTED"
    return record


@pytest.fixture(scope="module")
def book() -> RecordBook:
    records = [made(f"case_{n}", "mini-0", *case[:4]) for n, case in enumerate(TABLE)]
    return RecordBook(records, Path("/nonexistent"))


def test_every_output_counts_by_what_claims_are_controlled(book):
    counts = Counter(by for *_, by, _ in TABLE)
    assert book.controls == [(BY[by], counts[by]) for by in CONTROLLED_BY]
    assert f"{counts[UNCONTROLLED]} UNCONTROLLED." in book.headline
    page, shown = forge(book), whole(book)
    for by in CONTROLLED_BY:
        assert f"| {BY[by]} | {counts[by]} |" in page
        assert f"<b>{counts[by]}</b>{BY[by]}</li>" in shown


def test_uncontrolled_is_a_word_beside_the_verdict_in_every_output(book):
    many = sum(record.uncontrolled for record in book.records)
    assert many == 6
    page = forge(book)
    assert page.count("| UNCONTROLLED") == many + 1 and page.count(f"({'✓'})") == many
    assert "UNCONTROLLED: no set exists: 3 others of its kind" in page
    cells = rows(whole(book))
    for record in book.records:
        assert (f"<span class=flag>{UNCONTROLLED}" in cells[record_anchor(record)]) is record.uncontrolled
    table = verdict_table(book, width=120)
    assert table.count("SUPPORTED~") == many and "supported, UNCONTROLLED (~):" in table
    assert any(line.startswith(f"{UNCONTROLLED}: {many} of {len(TABLE)} verdicts") for line in cautions(book.records))


def test_results_for_machines_say_what_decides(book):
    for case, claim in zip(
        TABLE, sorted(results(book).claims, key=lambda c: int(re.findall(r"\d+", c.id)[0])), strict=True
    ):
        assert claim.controlled_by == case[4]
        assert (claim.control is None) is (not case[4] and not case[3])
        if claim.control is not None:
            assert claim.control.word == case[5]
    control = json.loads(msgspec.json.encode(results(book).claims[4]))["control"]
    assert set(control) == {"kind", "sets", "on_the_side", "word"}


def test_a_claim_that_is_uncontrolled_does_not_count_as_held_across_trainings():
    good = [made("held", f"mini-{n}", *TABLE[4][:4]) for n in range(5)]
    mixed = [made("mixed", f"mini-{n}", *TABLE[4 if n else 5][:4]) for n in range(5)]
    (recipe,) = RecordBook([*good, *mixed], Path("/nonexistent")).recipes
    claims = {claim.row.function: claim for group in recipe.topics["topic"].values() for claim in group}
    assert {name: (claim.held, claim.group) for name, claim in claims.items()} == {
        "test_held": ("5 of 5", "in all trainings"),
        "test_mixed": ("4 of 5", "in some"),
    }
    assert recipe.words == [UNCONTROLLED]


def beside(*values: float, seen: int, bounds=ABSENCE, model: str = "mini-0") -> Record:
    control = Control("beside=", "", len(values), seen, word="passed", values=values)
    return made("far", model, "SUPPORTED", bounds, "shown", [control])


@pytest.mark.parametrize(
    ("values", "seen", "bounds", "far"),
    [
        ((0.9,), 1, ABSENCE, 18),
        ((0.12,), 1, ABSENCE, None),  # 2.4 bounds
        ((0.12, 0.9), 2, ABSENCE, None),  # the nearest speaks
        ((0.06, 0.9), 1, ABSENCE, 18),  # whose interval is not beyond the bound shows nothing
        ((-0.9,), 1, ABSENCE, None),  # on the claimed side
        ((-0.5,), 1, ((">=", -0.05), ("<=", 0.05)), 10),
    ],
)
def test_an_effect_beside_an_absence_is_far_from_three_bounds_on(values, seen, bounds, far):
    found = far_beside(beside(*values, seen=seen, bounds=bounds))
    assert found is None if far is None else found == pytest.approx(far)


def test_how_many_bounds_away_is_said_on_the_pages_and_in_the_terminal_and_only_where_it_is_far():
    near, far = beside(0.12, seen=1), [beside(0.9, seen=1), beside(0.5, seen=1, model="mini-1")]
    said, silent = (RecordBook(records, Path("/nonexistent")) for records in (far, [near]))
    assert "| beside= is 18 bounds away |" in forge(said) and "beside= is 18 bounds away" in whole(said)
    table = verdict_table(said, width=120).splitlines()
    begin = table.index("supported, beside= is more than 3 bounds away:")
    assert table[begin + 1] == "  far (mini-0, mini-1): beside= is 10 to 18 bounds away"
    assert all("bounds away" not in text for text in (forge(silent), verdict_table(silent, width=120)))
