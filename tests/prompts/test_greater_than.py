"""Greater-than: what the prompts promise holds for every row, and agrees with a published set of such prompts."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from mechlib.prompts import world
from mechlib.prompts.greater_than import greater_than, on_one_side
from mechlib.prompts.promptset import Prompt
from tests.helpers.asked import pinned

SPLITS = ("discovery", "confirmation", "reference")
ANSWERED = ("discovery", "confirmation")
CORRUPTIONS = ("lowest", "lower")
STYLES = ("world", "natural")
OWN = {"discovery": "discovery", "reference": "discovery", "confirmation": "confirmation"}
SENTENCE = re.compile(r"The (\w+) lasted from the year (\d\d) ?(\d\d) to the year (\d\d)$")


def said(text: str) -> tuple[str, str, int, str]:
    """Noun, century, start, and the century again, read off a text whatever stands in front."""
    found = SENTENCE.search(text)
    assert found is not None, text
    noun, century, start, again = found.groups()
    return noun, century, int(start), again


def fillers(prompt: Prompt) -> list[str]:
    return prompt.clean[: SENTENCE.search(prompt.clean).start()].split()


# The texts


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("split", SPLITS)
def test_the_sentence_says_noun_century_and_start_and_asks_for_the_same_century(split, style):
    for prompt in greater_than(split=split, style=style):
        noun, century, start, again = said(prompt.clean)
        assert (str(start), century) == (prompt.label("year"), prompt.label("century")) and century == again
        assert noun in world.NOUNS[OWN[split]] and century in world.CENTURIES[OWN[split]]
        assert prompt.cluster == ("" if split == "reference" else noun)
        assert prompt.glue == (" " if style == "world" else "")
        low, high = map(int, prompt.label("start").split(" to "))
        assert low <= start <= high < low + 10


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("split", SPLITS)
def test_the_answer_is_as_far_above_the_cutoff_as_the_distractor_below(split, style):
    for prompt in greater_than(split=split, style=style):
        start, answer, distractor = (int(word) for word in (prompt.label("year"), prompt.answer, prompt.distractor))
        assert world.FIRST_YEAR < distractor <= start < answer <= world.LAST_YEAR
        assert answer - start == start + 1 - distractor


def test_distances_are_drawn_evenly_among_those_that_fit():
    rows = [row for row in greater_than(4000) if 30 <= int(row.label("year")) <= 80]
    starts, answers = (np.array([int(value) for value in values]) for values in zip(
        *((row.label("year"), row.answer) for row in rows), strict=True
    ))  # fmt: skip
    most = np.minimum(99 - starts, starts - 10)
    places = (answers - starts - 0.5) / most  # evenly spread from 0 to 1
    assert len(places) > 2000 and (answers - starts == most).any() and (answers - starts == 1).any()
    assert np.abs(np.histogram(places, bins=4, range=(0, 1))[0] / len(places) - 0.25).max() < 0.04


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("corrupt", CORRUPTIONS)
@pytest.mark.parametrize("split", ANSWERED)
def test_only_the_start_is_corrupted_and_the_distractor_is_right_after_it(split, corrupt, style):
    for prompt in greater_than(split=split, corrupt=corrupt, style=style):
        clean, corrupted = said(prompt.clean), said(prompt.corrupted)
        assert clean[:2] + clean[3:] == corrupted[:2] + corrupted[3:]
        assert len(prompt.clean) == len(prompt.corrupted) and len(prompt.clean.split()) == len(prompt.corrupted.split())
        assert corrupted[2] < int(prompt.distractor) <= clean[2]
        if corrupt == "lowest":
            assert corrupted[2] == (world.FIRST_YEAR if style == "world" else 1)
        else:
            assert corrupted[2] >= world.FIRST_YEAR


def test_lower_starts_are_drawn_evenly():
    """After a distractor of 21 to 30, the place of the corrupted start among the years below it."""
    rows = [row for row in greater_than(5000, corrupt="lower") if 20 < int(row.distractor) <= 30]
    places = [(said(row.corrupted)[2] - 10) / (int(row.distractor) - 11) for row in rows]
    assert len(places) > 300 and min(places) == 0 and max(places) == 1
    assert abs(sum(places) / len(places) - 0.5) < 0.06


@pytest.mark.parametrize("corrupt", CORRUPTIONS)
def test_the_clean_texts_are_the_same_for_every_corruption(corrupt):
    for style in STYLES:
        found, wanted = greater_than(corrupt=corrupt, style=style), greater_than(style=style)
        assert [(row.clean, row.answer, row.distractor) for row in found] == [
            (row.clean, row.answer, row.distractor) for row in wanted
        ]


def test_every_word_is_in_the_vocabulary_and_every_prompt_fits_the_minis():
    for split in SPLITS:
        for prompt in greater_than(split=split, corrupt="lower"):
            for text in (prompt.clean, prompt.corrupted, prompt.answer, prompt.distractor):
                assert all(word in world.IDS for word in text.split())
            assert len(prompt.clean.split()) + 2 <= 64


def test_the_sentence_is_the_one_of_training():
    for prompt in greater_than(40):
        noun, century, start, _ = said(prompt.clean)
        whole = world.GREATER_THAN.format(noun=noun, century=century, start=start, end=prompt.answer)
        assert f"{prompt.clean} {prompt.answer}" == " ".join([*fillers(prompt), whole])


@pytest.mark.parametrize("split", SPLITS)
def test_a_natural_text_has_no_fillers_and_avoids_years_of_one_token(split):
    for corrupt in CORRUPTIONS:
        for prompt in greater_than(2000, split=split, style="natural", corrupt=corrupt):
            assert prompt.clean.startswith("The ")
            years = [re.search(r"from the year (\d+) to", text)[1] for text in (prompt.clean, prompt.corrupted) if text]
            years += [f"{prompt.label('century')}{year}" for year in (prompt.answer, prompt.distractor)]
            assert all(len(year) == 4 and year not in ("1280", "1440") for year in years)


# Balance


@pytest.mark.parametrize(("split", "n", "each"), [("discovery", 160, 10), ("confirmation", 320, 20)])
def test_there_are_sixteen_nouns_each_as_often_as_the_others(split, n, each):
    assert set(Counter(row.cluster for row in greater_than(split=split)).values()) == {each}
    assert len(greater_than(split=split)) == n == 16 * each


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("split", SPLITS)
def test_every_start_century_and_number_of_fillers_is_as_often_up_to_one(split, style):
    rows = greater_than(split=split, style=style).rows
    starts = Counter(row.label("year") for row in rows)
    assert set(map(int, starts)) == set(range(11, 99)) and max(starts.values()) - min(starts.values()) <= 1
    if style == "world":
        for found in (Counter(row.label("century") for row in rows), Counter(len(fillers(row)) for row in rows)):
            assert max(found.values()) - min(found.values()) <= 1
        assert {len(fillers(row)) for row in rows} == set(range(9))


# Sets


@pytest.mark.parametrize("style", STYLES)
def test_no_text_stands_twice_whatever_its_answer(style):
    assert len({row.clean for row in greater_than(2000, style=style)}) == 2000


def test_the_splits_share_no_prompt_and_confirmation_no_noun_or_century():
    for one, other in combinations(SPLITS, 2):
        assert not greater_than(split=one).members & greater_than(split=other).members
    words = {split: {word for row in greater_than(split=split) for word in said(row.clean)[:2]} for split in SPLITS}
    assert not words["confirmation"] & (words["discovery"] | words["reference"])
    assert words["discovery"] == words["reference"]


def test_the_reference_has_every_length_that_the_others_have_and_no_corrupted_text():
    lengths = {split: {len(row.clean.split()) for row in greater_than(split=split)} for split in SPLITS}
    assert lengths["confirmation"] <= lengths["reference"] and lengths["discovery"] <= lengths["reference"]
    assert all(row.corrupted == "" for row in greater_than(split="reference"))


def test_fewer_prompts_are_the_first_of_more():
    for corrupt in CORRUPTIONS:
        assert greater_than(33, corrupt=corrupt).rows == greater_than(corrupt=corrupt).rows[:33]


def test_sets_that_differ_do_not_read_alike():
    settings = [{}, {"corrupt": "lower"}, {"style": "natural"}, {"seed": 1}, {"split": "discovery"}]
    assert len({repr(greater_than(**chosen)) for chosen in settings}) == len(settings)
    assert len({greater_than(**chosen).fingerprint for chosen in settings}) == len(settings)
    assert repr(greater_than()) == "greater_than(confirmation, n=320, corrupt='lowest', seed=0)"


def test_the_prompts_are_the_same_on_every_machine_and_python():
    found = [pinned(greater_than(split=split, style=style)) for style in STYLES for split in SPLITS]
    found += [pinned(greater_than(corrupt="lower", style=style)) for style in STYLES]
    assert " ".join(found) == (
        "a5b4a9fe2821 f73dab0fcec7 076f179685d0 23100905ad6e f935170c3068 bacc6e1f698c 59e60d268802 c8d2885a8979"
    )


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({"split": "test"}, "no split 'test': choose one of discovery, confirmation, reference"),
        ({"corrupt": "higher"}, "no corruption 'higher': choose one of lowest, lower"),
        ({"style": "plain"}, "no style 'plain': choose one of world, natural"),
        ({"n": 0}, "0 prompts of greater_than were asked for: ask for at least one"),
        ({"n": 1.5}, "1.5 prompts of greater_than were asked for"),
        ({"n": 60000, "style": "natural"}, r"greater_than has \d+ distinct prompts, 60000 asked for"),
    ],
)
def test_bad_input_is_named(asked, wanted):
    with pytest.raises(ValueError, match=wanted):
        greater_than(**asked)


def test_another_pair_on_one_side_of_the_start_is_as_far_apart_and_says_nothing_of_it():
    prompts = greater_than(160, seed=2)
    moved = on_one_side(prompts)
    theirs = {(row.answer, row.distractor) for row in prompts}
    sides = []
    for before, after in zip(prompts, moved, strict=True):
        assert (after.clean, after.corrupted, after.factors) == (before.clean, before.corrupted, before.factors)
        assert (after.answer, after.distractor) in theirs
        high, low, start = int(after.answer), int(after.distractor), int(after.label("year"))
        assert low < high and (low > start or high <= start)
        sides.append(low > start)
    assert 0.3 < np.mean(sides) < 0.7
    assert moved.fingerprint != prompts.fingerprint


def test_where_all_pairs_stand_around_the_start_it_is_refused():
    with pytest.raises(ValueError, match="no other row has two years on one side of"):
        on_one_side(greater_than(1))


# Against prompts that others published


@pytest.mark.external
def test_the_published_prompts_are_built_as_ours():
    """hannamw/EAP-IG: the same sentence, the same century twice, the start replaced by 01, the label the start."""
    folder = Path(os.environ.get("MECHLIB_EXTERNAL") or Path(__file__).parents[3] / "shared" / "external")
    file = folder / "data_ioi_and_friends" / "greater_than_data.csv"
    if not file.is_file():
        pytest.skip(f"no {file.name} in {file.parent}: set MECHLIB_EXTERNAL")
    with file.open(newline="") as lines:
        published = list(csv.DictReader(lines))
    assert len(published) == 1000
    for row in published:
        clean, corrupted = said(row["clean"]), said(row["corrupted"])
        assert clean[1] == clean[3] and clean[2] == int(row["label"])
        assert corrupted == (*clean[:2], 1, clean[3])
    years = {"".join((said(row["clean"])[1], f"{said(row['clean'])[2]:02}")) for row in published}
    ours = {"".join((said(row.clean)[1], row.label("year"))) for row in greater_than(style="natural")}
    assert not {"1280", "1440"} & (years | ours), "they leave these out too"
