"""Shuffled pairs: the same texts, the same corrupted texts, each with another's."""

from collections import Counter
from dataclasses import replace
from itertools import dropwhile, pairwise

import pytest

from mechlib.prompts import addition, induction, ioi, repeats, world
from mechlib.prompts.shuffled import shuffled_answers, shuffled_distractors, shuffled_pairs, shuffled_repeats


def ending(text: str) -> str:
    """A text without the fillers that it begins with."""
    return " ".join(dropwhile(world.FILLERS.__contains__, text.split()))


@pytest.mark.parametrize("prompts", [ioi(64), addition(60)], ids=["ioi", "addition"])
def test_each_text_gets_the_corrupted_text_of_another_row_of_its_cluster(prompts):
    found = shuffled_pairs(prompts)
    theirs = {(row.cluster, ending(row.corrupted), row.distractor) for row in prompts}
    for before, after in zip(prompts, found, strict=True):
        assert (after.clean, after.answer, after.cluster) == (before.clean, before.answer, before.cluster)
        assert after.corrupted not in (before.corrupted, before.clean)
        assert after.distractor != after.answer
        assert (after.cluster, ending(after.corrupted), after.distractor) in theirs
    assert found.fingerprint != prompts.fingerprint
    assert repr(found) != repr(prompts)


@pytest.mark.parametrize("prompts", [ioi(), addition(300)], ids=["ioi", "addition"])
def test_shuffled_pairs_are_aligned_by_the_word_up_to_their_fillers(prompts):
    for row in shuffled_pairs(prompts):
        clean, corrupted = row.clean.split(), row.corrupted.split()
        assert len(clean) == len(corrupted)
        assert len(ending(row.clean).split()) == len(ending(row.corrupted).split())


def test_another_seed_pairs_otherwise():
    first, second = shuffled_pairs(addition(60)), shuffled_pairs(addition(60), seed=1)
    assert sum(one.corrupted != other.corrupted for one, other in zip(first, second, strict=True)) > 50
    assert max(Counter(row.corrupted for row in first).values()) <= 3


def test_where_no_pair_can_be_made_it_is_refused():
    rows = addition(4).rows
    with pytest.raises(ValueError, match="no pair to shuffle"):
        shuffled_pairs(replace(addition(4), rows=tuple(replace(row, corrupted="") for row in rows)))
    with pytest.raises(ValueError, match="no other corrupted text"):
        shuffled_pairs(addition(4).take(1))


SETS = pytest.mark.parametrize("prompts", [ioi(), ioi(160), addition(300), induction(200)], ids=repr)
WORDS = pytest.mark.parametrize(
    ("shuffled", "which"), [(shuffled_answers, "answer"), (shuffled_distractors, "distractor")]
)


@SETS
@WORDS
def test_each_text_gets_a_word_that_is_neither_right_nor_wrong_nor_said_in_it(prompts, shuffled, which):
    found = shuffled(prompts)
    for before, after in zip(prompts, found, strict=True):
        word = getattr(after, which)
        assert word not in (before.answer, before.distractor)
        assert word not in before.clean.split()
        assert replace(after, **{which: getattr(before, which)}) == before
    assert found.fingerprint != prompts.fingerprint
    assert repr(found) != repr(prompts)


@SETS
@WORDS
def test_what_is_written_whatever_the_text_says_is_not_told_from_it(prompts, shuffled, which):
    """Within a cluster words only change places: the mean over rows of any value of the words alone is the same."""
    before, after = (Counter((row.cluster, getattr(row, which)) for row in one) for one in (prompts, shuffled(prompts)))
    assert before == after


def test_another_seed_gives_other_answers():
    first, second = shuffled_answers(addition(60)), shuffled_answers(addition(60), seed=1)
    assert sum(one.answer != other.answer for one, other in zip(first, second, strict=True)) > 50


def test_where_no_other_answer_is_to_be_had_it_is_refused():
    rows = tuple(replace(row, answer="seven") for row in addition(4))
    with pytest.raises(ValueError, match="no other answer of the set fits"):
        shuffled_answers(replace(addition(4), rows=rows))
    with pytest.raises(ValueError, match="no other answer of cluster"):
        shuffled_answers(ioi(4))
    with pytest.raises(ValueError, match="no other distractor"):
        shuffled_distractors(replace(addition(4), rows=tuple(replace(row, distractor="") for row in addition(4))))


@pytest.mark.parametrize("prompts", [repeats(60), repeats(60, half=12, fillers=2, style="pretrained")], ids=repr)
def test_a_shuffled_repeat_has_the_same_words_and_nothing_of_their_order(prompts):
    for before, after in zip(prompts, shuffled_repeats(prompts), strict=True):
        half, own, other = int(before.label("half")), before.clean.split(), after.clean.split()
        assert own[:-half] == other[:-half] and Counter(own) == Counter(other)
        said, again = own[-half:], other[-half:]
        assert said[0] == again[0] and all(one != two for one, two in zip(said[1:], again[1:], strict=True))
        assert not set(pairwise(said)) & set(pairwise(again))


def test_what_is_no_repeat_is_not_shuffled():
    with pytest.raises(ValueError, match="does not end in 3 words, three or more, said twice"):
        shuffled_repeats(
            replace(repeats(1), rows=(replace(repeats(1).rows[0], clean="a b c a c b", labels=(("half", "3"),)),))
        )
