"""The induction task: what its prompts promise holds for every row."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from mechlib.prompts import sampling as draws
from mechlib.prompts import world
from mechlib.prompts.induction import induction, repeats
from mechlib.prompts.promptset import Prompt
from tests.helpers.asked import pinned

SPLITS = ("discovery", "confirmation", "reference")
HALF = {"discovery": "discovery", "reference": "discovery", "confirmation": "confirmation"}


def parts(prompt: Prompt) -> tuple[list[str], list[str]]:
    """Fillers, and the words after them."""
    words = prompt.clean.split()
    lead = next(place for place, word in enumerate(words) if word not in world.FILLERS)
    return words[:lead], words[lead:]


@pytest.mark.parametrize("split", SPLITS)
def test_exactly_one_word_recurs_and_the_answer_followed_it(split):
    for prompt in induction(split=split):
        _, words = parts(prompt)
        assert [word for word, n in Counter(words).items() if n > 1] == [words[-1]]
        first = words.index(words[-1])
        assert words[first + 1] == prompt.answer
        assert 3 <= len(words) - 1 - first
        assert len(set(words)) == len(words) - 1


@pytest.mark.parametrize("split", SPLITS)
def test_clean_and_corrupted_differ_in_the_word_after_the_first_occurrence_alone(split):
    for prompt in induction(split=split):
        clean, corrupted = prompt.clean.split(), prompt.corrupted.split()
        places = [place for place, pair in enumerate(zip(clean, corrupted, strict=True)) if pair[0] != pair[1]]
        assert places == [clean.index(clean[-1]) + 1]
        assert corrupted[places[0]] == prompt.distractor
        assert prompt.distractor not in clean
        assert prompt.answer not in corrupted


@pytest.mark.parametrize("split", SPLITS)
def test_the_previous_word_can_be_corrupted_instead_and_nothing_else_is_another(split):
    usual, previous = induction(split=split), induction(split=split, corrupt="previous")
    assert (usual.members, len(usual)) == (previous.members, len(previous))
    assert repr(previous) == f"induction({split}, n={len(usual)}, seed=0, corrupt='previous')"
    own = set(world.INDUCTION_TOKENS[HALF[split]])
    for one, other in zip(usual, previous, strict=True):
        clean, corrupted = other.clean.split(), other.corrupted.split()
        assert replace(one, corrupted=other.corrupted) == other
        places = [place for place, pair in enumerate(zip(clean, corrupted, strict=True)) if pair[0] != pair[1]]
        assert places == [clean.index(clean[-1])]
        assert clean[places[0] + 1] == other.answer
        assert corrupted[places[0]] in own - {*clean, other.distractor}
        assert corrupted.count(clean[-1]) == 1
        assert other.distractor not in (*clean, *corrupted)


def test_the_usual_corruption_is_what_evidence_was_filed_under():
    assert induction(corrupt="answer") == induction() == induction(400, "confirmation", 0)
    assert "corrupt" not in repr(induction())
    with pytest.raises(ValueError, match="no corruption 'A': choose answer or previous"):
        induction(corrupt="A")


@pytest.mark.parametrize("task", [induction, repeats])
@pytest.mark.parametrize("split", SPLITS)
def test_words_come_from_the_half_of_the_split_and_fillers_stand_in_front(task, split):
    own = set(world.INDUCTION_TOKENS[HALF[split]])
    for prompt in task(split=split):
        fillers, words = parts(prompt)
        assert set(words) <= own
        assert len(fillers) <= 8 and len(set(fillers)) == len(fillers)
        assert {prompt.answer, prompt.distractor} - {""} <= own


def test_no_word_of_confirmation_is_seen_in_discovery_or_reference():
    def seen(split: str) -> set[str]:
        return {word for task in (induction, repeats) for row in task(split=split) for word in row.clean.split()}

    fillers = set(world.FILLERS)
    assert not (seen("confirmation") - fillers) & ((seen("discovery") | seen("reference")) - fillers)


@pytest.mark.parametrize("task", [induction, repeats])
def test_the_splits_share_no_prompt(task):
    for one, other in (("discovery", "confirmation"), ("discovery", "reference"), ("reference", "confirmation")):
        assert not task(split=one).members & task(split=other).members


@pytest.mark.parametrize(("split", "n"), [("discovery", 200), ("confirmation", 400), ("reference", 200)])
def test_each_split_has_its_size(split, n):
    assert len(induction(split=split)) == len(repeats(split=split)) == n


def test_lengths_are_12_to_40_with_the_fillers_each_as_often_as_the_others():
    lengths = Counter(len(prompt.clean.split()) for prompt in induction(290))
    assert lengths == dict.fromkeys(range(12, 41), 10)


@pytest.mark.parametrize("split", SPLITS)
def test_repeats_say_a_sequence_of_different_words_twice(split):
    for prompt in repeats(split=split):
        _, words = parts(prompt)
        half = int(prompt.label("half"))
        assert words[:half] == words[half:]
        assert len(set(words)) == half


def test_repeats_have_every_length_with_every_number_of_fillers():
    shapes = Counter((int(prompt.label("half")), len(parts(prompt)[0])) for prompt in repeats(153))
    assert shapes == {(half, lead): 1 for half in range(8, 25) for lead in range(9)}


def test_repeats_of_one_shape_have_it_and_do_not_read_like_others():
    fixed = repeats(100, half=16, fillers=4)
    assert {(prompt.label("half"), len(parts(prompt)[0])) for prompt in fixed} == {("16", 4)}
    assert len({repr(repeats(100, **settings)) for settings in ({}, {"half": 16}, {"fillers": 4})} | {repr(fixed)}) == 4


@pytest.mark.parametrize(("settings", "said"), [({"half": 25}, "half is 25"), ({"fillers": 9}, "fillers is 9")])
def test_shapes_that_training_never_saw_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        repeats(**settings)


@pytest.mark.parametrize("task", [induction, repeats])
def test_the_reference_set_reaches_as_far_as_the_longest_prompt(task):
    longest = {split: max(len(prompt.clean.split()) for prompt in task(split=split)) for split in SPLITS}
    assert longest["reference"] >= max(longest.values())
    assert max(longest.values()) + 1 <= 64  # with BOS in the context of the minis


def test_labels_say_how_far_the_first_occurrence_lies_back():
    for prompt in induction():
        _, words = parts(prompt)
        distance = len(words) - 1 - words.index(words[-1])
        assert prompt.label("distance") == ("short" if distance < 8 else "medium" if distance < 16 else "long")
        assert prompt.label("length") == str(len(prompt.clean.split()))
    assert min(Counter(prompt.label("distance") for prompt in induction()).values()) >= 100


def test_no_position_gives_the_answer_away():
    """Neither counted from the front nor from the end is the answer in one place for more than one in ten."""
    places = [(words.index(row.answer), len(words)) for row in induction() for words in [row.clean.split()]]
    for counted in (Counter(place for place, _ in places), Counter(length - place for place, length in places)):
        assert max(counted.values()) <= 40


def test_words_are_answers_as_often_as_distractors():
    """A model that prefers words by themselves scores zero on average: neither role has favourites."""
    rows = induction(2000)
    answers, distractors = Counter(row.answer for row in rows), Counter(row.distractor for row in rows)
    words = world.INDUCTION_TOKENS["confirmation"]
    squares = sum((answers[word] - distractors[word]) ** 2 / (answers[word] + distractors[word]) for word in words)
    assert squares < 150  # chi-squared with about 100 degrees of freedom exceeds this once in a thousand


def test_every_word_of_the_prompts_is_in_the_vocabulary():
    for task in (induction, repeats):
        for split in SPLITS:
            for prompt in task(split=split):
                assert all(word in world.IDS for text in (prompt.clean, prompt.corrupted) for word in text.split())


def test_the_same_call_gives_the_same_prompts_and_another_seed_others():
    assert induction() is induction()
    assert induction(400, "confirmation", 0) == induction()
    assert not induction(seed=1).members & induction().members


def test_the_prompts_are_the_same_on_every_machine_and_python():
    found = {(task.__name__, split): pinned(task(split=split)) for task in (induction, repeats) for split in SPLITS}
    assert found == {
        ("induction", "discovery"): "36f4a0e731b8",
        ("induction", "confirmation"): "e5ca5afa6eb3",
        ("induction", "reference"): "7d767242493b",
        ("repeats", "discovery"): "9d2cf94fa773",
        ("repeats", "confirmation"): "fd5d4db21380",
        ("repeats", "reference"): "9ac62360cc69",
    }


@pytest.mark.parametrize("task", [induction, repeats])
@pytest.mark.parametrize("n", [0, -1])
def test_no_prompts_at_all_are_refused(task, n):
    with pytest.raises(ValueError, match=f"{n} prompts of {task.__name__} were asked for: ask for at least one"):
        task(n)


@pytest.mark.parametrize("task", [induction, repeats])
def test_an_unknown_split_is_refused(task):
    with pytest.raises(ValueError, match="no split 'test': choose one of discovery, confirmation, reference"):
        task(split="test")


def test_fewer_distinct_prompts_than_asked_for_are_refused():
    stream = draws.generator("pairs", "discovery", 0)

    def draw() -> Prompt:
        return Prompt(str(draws.below(stream, 48)), answer="x")

    assert len(draws.distinct("pairs", "discovery", 48, draw, seed=0)) == 48
    with pytest.raises(
        ValueError, match="pairs has 48 distinct prompts, 400 asked for: repeats would shrink the interval"
    ):
        draws.distinct("pairs", "discovery", 400, draw, seed=0)


def test_draws_are_uniform_and_without_repetition():
    stream = draws.generator("draws", "discovery", 0)
    counts = Counter(tuple(draws.several(stream, "abc", 2)) for _ in range(6000))
    assert len(counts) == 6
    assert (
        sum((n - 1000) ** 2 / 1000 for n in counts.values()) < 20.5
    )  # chi-squared, 5 degrees of freedom, one in a thousand
    with pytest.raises(ValueError, match="4 different items were asked for, there are 3"):
        draws.several(stream, "abc", 4)
