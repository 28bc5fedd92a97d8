"""Across trainings: a sentence about a recipe is counted over its trainings, and over nothing else."""

import random
import re
from pathlib import Path

import msgspec
import pytest

from mechlib.report.content.record_book import RecordBook
from mechlib.verdicts.record import Record
from tests.helpers.forge import forge
from tests.helpers.pages import whole

OUTCOMES = {
    "everywhere": ("SUPPORTED",) * 5,
    "mostly": ("SUPPORTED", "REFUTED", "SUPPORTED", "GATED", "INCONCLUSIVE"),
    "where_asked": ("SUPPORTED", "SUPPORTED", "SUPPORTED", "GATED", "GATED"),
    "nowhere": ("REFUTED", "VOID", "REFUTED", "GATED", "GATED"),
    "where_it_ran": ("SUPPORTED", "NOT RUN", "SUPPORTED", "ERROR", "SUPPORTED"),
    "on_two": ("SUPPORTED", "SUPPORTED"),
}


FIVE = tuple(f"mini-{n}" for n in range(5))


def made(models: tuple[str, ...] = FIVE, topic: str = "sums") -> list[Record]:
    return [
        Record(
            id=f"{topic}.test_{name}[{model}]",
            topic=topic,
            function=f"test_{name}",
            sentence=f"It holds {name.replace('_', ' ')}.",
            model=model,
            line=line,
            verdict=word,
        )
        for line, (name, words) in enumerate(OUTCOMES.items())
        for model, word in zip(models, words, strict=False)
    ]


def names(records: list[Record]) -> dict[str, list[tuple[str, str]]]:
    (recipe,) = RecordBook(records, Path("nowhere")).recipes
    return {
        group: [(claim.row.function.removeprefix("test_"), claim.held) for claim in claims]
        for group, claims in recipe.topics["sums"].items()
    }


def test_claims_are_grouped_by_the_trainings_in_which_they_hold():
    assert names(made()) == {
        "in all trainings": [("everywhere", "5 of 5"), ("where_it_ran", "3 of 3")],
        "in some": [("mostly", "2 of 5"), ("where_asked", "3 of 5")],
        "in none": [("nowhere", "0 of 5")],
    }
    shuffled = made()
    random.Random(1).shuffle(shuffled)
    assert names(shuffled) == names(made())
    assert RecordBook(made(), Path("nowhere")).recipes[0].summary == (
        "5 claims judged on at least 3 of the 5 trainings mini-0 to mini-4: 2 hold in all trainings, 2 hold in some, "
        "1 hold in none."
    )


def test_cases_of_one_claim_are_counted_as_cases_and_the_claim_once():
    both = [
        msgspec.structs.replace(one, id=f"{one.id[:-1]}-{case}]")
        for one in made()
        if one.function == "test_everywhere"
        for case in ("zero", "mean")
    ]
    for one in both:
        if one.id.endswith("-mean]"):
            one.verdict = "REFUTED"
    (recipe,) = RecordBook([*made(), *both], Path("nowhere")).recipes
    assert recipe.summary == (
        "7 cases of 5 claims, each judged on at least 3 of the 5 trainings mini-0 to mini-4: 3 hold in all trainings, "
        "2 hold in some, 2 hold in none."
    )


def test_other_words_are_counted_apart():
    (recipe,) = RecordBook(made(), Path("nowhere")).recipes
    (claim,) = recipe.topics["sums"]["in none"]
    assert (claim.words["REFUTED"], claim.words["VOID"], claim.words["GATED"], claim.words["SUPPORTED"]) == (2, 1, 2, 0)


@pytest.mark.parametrize(
    ("models", "found"),
    [
        (("mini-0", "mini-1", "mini-2", "mini-half", "gpt2-small"), [("mini-0", "mini-1", "mini-2")]),
        (("mini-9", "mini-10", "mini-11"), [("mini-9", "mini-10", "mini-11")]),
        (("a-1", "a-2", "a-3", "b-1", "b-2"), [("a-1", "a-2", "a-3")]),
        (("mini-0", "mini-1", "pythia-70m", "pythia-160m", "pythia-410m"), []),
        (("1", "2", "3"), []),
    ],
)
def test_trainings_of_a_recipe_differ_in_their_last_number_only(models, found):
    assert [recipe.models for recipe in RecordBook(made(models), Path("nowhere")).recipes] == found


def test_the_pages_and_the_committed_report_say_the_same(tmp_path: Path):
    records = made()
    page = whole(RecordBook(records, tmp_path))
    text = forge(RecordBook(records, tmp_path))
    said = RecordBook(records, Path("nowhere")).recipes[0].summary
    for shown in (page, text):
        assert said in shown
    order = [page.index(group) for group in ("Holds in all trainings", "Holds in some", "Holds in none")]
    assert order == sorted(order)
    assert "| topic | hold in all trainings | hold in some | hold in none |" in text and "| Sums | 2 | 2 | 1 |" in text
    assert "| [It holds mostly.](sums.md#sums.mostly) | 2 of 5 | ✓ | ✗ | ✓ | ‖ | ? |" in text
    assert "| [It holds on two.](sums.md#sums.on_two) |  | ✓ | ✓ |  |  |  |" in text
    assert re.search(r'href="#claim=sums.mostly">It holds mostly.</a></th><td class="nowrap">2 of 5<', page)


def test_a_record_without_a_recipe_says_nothing_of_trainings(tmp_path: Path):
    records = made(("mini-0", "mini-1"))
    for shown in (
        whole(RecordBook(records, tmp_path)),
        forge(RecordBook(records, tmp_path)),
    ):
        assert "Across trainings" not in shown and "trainings</" not in shown


def test_words_that_no_claim_came_out_with_have_no_column():
    (recipe,) = RecordBook(made(), Path("nowhere")).recipes
    assert recipe.words == ["REFUTED", "INCONCLUSIVE", "VOID", "GATED"]
    (recipe,) = RecordBook(
        [record for record in made() if record.function in ("test_everywhere", "test_where_asked")], Path("nowhere")
    ).recipes
    assert recipe.words == ["GATED"]
    page = whole(
        RecordBook([r for r in made() if r.function in ("test_everywhere", "test_where_asked")], Path("nowhere"))
    )
    assert 'title="GATED">‖ GATED</th>' in page and 'title="REFUTED">✗ REFUTED</th>' not in page
