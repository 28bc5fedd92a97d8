"""Matched sets: as many heads in each layer, nearest layers first, the same whatever else is asked for."""

from collections import Counter

import pytest

from mechlib.parts.heads import EmptySelection, Group, Head, all_heads, heads
from mechlib.parts.matched_sets import matched_groups, matched_sets, rank_among

MINI = all_heads(4, 8)


def layers(found):
    return Counter(head.layer for head in found)


def test_one_head_is_matched_by_every_other_head_of_its_layer_and_then_by_the_nearest():
    found = matched_sets(heads("2.3"), MINI)
    assert len(found) == 31  # all there are
    assert found.in_layer == 7
    assert {str(one) for one in found.sets[:7]} == {f"2.{head}" for head in range(8) if head != 3}
    assert [one.members[0].layer for one in found.sets[7:23]] == [1, 3] * 8  # by turns
    assert {one.members[0].layer for one in found.sets[23:]} == {0}


def test_sets_of_several_heads_have_as_many_in_each_layer():
    claimed = heads("0.0 0.4 2.6")
    found = matched_sets(claimed, MINI)
    assert len(found) == 39
    assert found.in_layer == 0
    assert all(layers(one) == layers(claimed) for one in found)
    assert not any(set(one) & set(claimed) for one in found)
    assert len(set(found)) == 39


def test_where_a_layer_has_too_few_sets_those_of_the_nearest_layers_follow():
    found = matched_sets(heads("1.0 1.1 1.2 1.3 1.4 1.5"), MINI)  # two others in the layer: one set is too large
    assert {frozenset(layers(one).values()) for one in found} == {frozenset({6})}
    assert {head.layer for one in found for head in one} == {0, 2}
    turns = [one.members[0].layer for one in found.sets[:6]]
    assert turns == [0, 2] * 3


def test_a_longer_list_begins_with_the_shorter_one():
    for claimed in ("2.3", "0.0 0.4 0.6", "0.1 1.1 2.1 3.1"):
        assert matched_sets(heads(claimed), MINI, 200).sets[:39] == matched_sets(heads(claimed), MINI, 39).sets


def test_what_else_a_claim_names_is_in_no_set():
    found = matched_sets(heads("2.3"), MINI, but_not=heads("2.4 1.0"))
    assert len(found) == 29
    assert not {Head(2, 4), Head(1, 0)} & {head for one in found for head in one}


def test_heads_that_are_not_there_and_no_heads_are_refused():
    with pytest.raises(ValueError, match="none of the 32 heads there are"):
        matched_sets(heads("7.0"), MINI)
    with pytest.raises(EmptySelection):
        matched_sets(heads(""), MINI)


def test_a_rank_counts_ties_against_the_claim():
    assert rank_among(3.0, [1.0, 2.0]) == 1
    assert rank_among(3.0, [3.0, 4.0, 2.0]) == 3


def test_a_group_is_matched_by_the_others_of_its_layer_and_then_by_the_nearest():
    found = matched_groups((Group(2, 1),), n_layers=30, n_groups=3)
    assert found[:2] == ((Group(2, 0),), (Group(2, 2),))
    assert [other.layer for (other,) in found[2:8]] == [1, 3, 1, 3, 1, 3]
    assert len(set(found)) == 39 and (Group(2, 1),) not in found
    held = matched_groups((Group(2, 1),), 30, 3, but_not=(Group(2, 0), Group(1, 1)))
    assert held[0] == (Group(2, 2),) and (Group(1, 1),) not in held


def test_a_layer_without_another_group_is_named():
    with pytest.raises(ValueError, match=r"^layer 7 has 1 key/value group, 1 of them claimed: no other of its layer"):
        matched_groups((Group(7, 0),), n_layers=18, n_groups=1)
    with pytest.raises(ValueError, match="layer 1 has 2 key/value groups, 2 of them claimed"):
        matched_groups((Group(1, 0), Group(1, 1)), n_layers=24, n_groups=2)
    with pytest.raises(ValueError, match="layer 1 has 2 key/value groups, 1 of them claimed"):
        matched_groups((Group(1, 0),), 24, 2, but_not=(Group(1, 1),))
