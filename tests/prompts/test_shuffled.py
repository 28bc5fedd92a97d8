"""Shuffled pairs: the same texts, the same corrupted texts, each with another's."""

from collections import Counter
from dataclasses import replace

import pytest

from mechlib.prompts import addition, ioi
from mechlib.prompts.shuffled import shuffled_pairs


@pytest.mark.parametrize("prompts", [ioi(64), addition(60)], ids=["ioi", "addition"])
def test_each_text_gets_the_corrupted_text_of_another_row_of_its_cluster(prompts):
    found = shuffled_pairs(prompts)
    theirs = {(row.cluster, row.corrupted, row.distractor) for row in prompts}
    for before, after in zip(prompts, found, strict=True):
        assert (after.clean, after.answer, after.cluster) == (before.clean, before.answer, before.cluster)
        assert after.corrupted not in (before.corrupted, before.clean)
        assert after.distractor != after.answer
        assert (after.cluster, after.corrupted, after.distractor) in theirs
    assert found.fingerprint != prompts.fingerprint
    assert repr(found) != repr(prompts)


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
