"""Circuits: heads as sets, selections that remember, random sets that match."""

import math

import pytest

from mechlib.parts.heads import EmptySelection, Head, Heads, Selection, all_heads, heads, singly_and_jointly
from mechlib.parts.random_sets import ALL_THERE_ARE, random_sets


def test_heads_are_read_in_both_spellings_and_sorted():
    assert heads("9.9, L9H6 10.0") == Heads((Head(9, 6), Head(9, 9), Head(10, 0)))
    assert str(heads("10.0 9.9 9.9")) == "9.9 10.0"
    assert eval(repr(heads("1.2 0.7"))) == heads("0.7 1.2")


@pytest.mark.parametrize("text", ["9", "a.b", "9.9.1", "L9", "-1.0", "9,9"])
def test_what_is_no_head_is_named(text):
    with pytest.raises(ValueError, match="is no head"):
        heads(text)


def test_heads_are_a_set():
    some, others = heads("0.1 1.2"), heads("1.2 3.0")
    assert some | others == heads("0.1 1.2 3.0")
    assert some - others == heads("0.1")
    assert (some | others).in_layer(1) == heads("1.2")
    assert (Head(0, 1) in some, Head(3, 0) in some) == (True, False)
    assert str(heads("")) == "no heads"


def test_all_heads_are_layers_times_heads():
    everything = all_heads(4, 8)
    assert len(everything) == 32
    assert len(everything.in_layer(3)) == 8
    assert len(everything - heads("3.7 0.0")) == 30


def test_a_selection_keeps_its_order_and_its_prompts():
    chosen = Selection((Head(5, 1), Head(0, 3), Head(2, 2)), frozenset({"a"}))
    assert chosen[:2].ranked == (Head(5, 1), Head(0, 3))
    assert chosen[0].ranked == (Head(5, 1),)
    assert chosen[1:].chosen_on == {"a"}
    joined = chosen[:2] | Selection((Head(0, 3), Head(7, 7)), frozenset({"b"}))
    assert joined.ranked == (Head(5, 1), Head(0, 3), Head(7, 7))
    assert joined.chosen_on == {"a", "b"}
    assert chosen.heads == heads("0.3 2.2 5.1")


def test_an_empty_selection_speaks_up_when_it_is_used():
    nothing = Selection((), frozenset())
    assert len(nothing) == 0
    for use in (lambda: nothing.heads, lambda: list(nothing)):
        with pytest.raises(EmptySelection, match="no head was selected"):
            use()


def test_random_sets_match_layers_and_leave_out_the_selection():
    like, among = heads("1.0 1.3 2.5"), all_heads(4, 16)
    drawn = random_sets(like, among, n=200)
    assert (len(drawn), len(set(drawn)), drawn.exhaustive) == (200, 200, False)
    for control in drawn:
        assert [head.layer for head in control] == [1, 1, 2]
        assert not set(control) & set(like)
    assert drawn.matched == "layer, kind and size; 200 drawn of 1,365"


def test_random_sets_depend_on_their_seed_only():
    like, among = heads("1.0 1.3"), all_heads(4, 16)
    assert random_sets(like, among, n=50, seed=1).sets == random_sets(like, among, n=50, seed=1).sets
    assert random_sets(like, among, n=50, seed=1).sets != random_sets(like, among, n=50, seed=2).sets


def test_few_matched_sets_are_all_listed():
    drawn = random_sets(heads("1.0 1.1"), all_heads(2, 9), n=200)  # 7 others in the layer: 21 pairs
    assert drawn.matched.endswith(ALL_THERE_ARE)
    assert (len(drawn), len(set(drawn)), drawn.exhaustive) == (math.comb(7, 2), 21, True)


def test_the_layer_is_never_given_up_however_few_sets_that_leaves():
    drawn = random_sets(heads("1.0 1.1 1.2"), all_heads(4, 8), n=200)
    assert (len(drawn), drawn.exhaustive, drawn.matched) == (10, True, "layer, kind and size; 10, all there are")
    assert {head.layer for control in drawn for head in control} == {1}


def test_a_null_needs_something_to_match_and_something_to_draw_from():
    with pytest.raises(EmptySelection):
        random_sets(heads(""), all_heads(2, 2))
    with pytest.raises(EmptySelection, match="2 heads of layer 0 leave 0 others there"):
        random_sets(heads("0.0 0.1 1.0"), all_heads(2, 2))


def test_heads_are_taken_one_by_one_and_all_together():
    assert singly_and_jointly(heads("1.2 0.3")) == {
        "0.3": heads("0.3"),
        "1.2": heads("1.2"),
        "together": heads("0.3 1.2"),
    }
    with pytest.raises(EmptySelection, match="an empty set has neither"):
        singly_and_jointly(heads(""))
