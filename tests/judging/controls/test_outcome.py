"""k of m: the word against scipy's binomial, and which side a number is on."""

import pytest
from scipy.stats import binom

from mechlib.judging.controls.outcome import at_least, margin, on_the_side, word_of
from mechlib.verdicts.presence import claims_presence


@pytest.mark.parametrize("sets", [19, 20, 31, 39, 200])
def test_the_word_is_that_of_the_rule(sets):
    for held in range(sets + 1):
        p = (held + 1) / (sets + 1)
        tail = binom.sf(held - 1, sets, 0.05)
        assert at_least(held, sets) == pytest.approx(tail, abs=1e-12)
        wanted = "passed" if p <= 0.05 else "void" if tail <= 0.05 else "weak"
        assert word_of(held, sets) == wanted, (held, sets)


def test_the_numbers_that_the_rule_names():
    assert [word_of(held, 20) for held in range(5)] == ["passed", "weak", "weak", "weak", "void"]
    assert [word_of(held, 200) for held in (9, 10, 15, 16)] == ["passed", "weak", "weak", "void"]
    assert [word_of(held, 39) for held in (0, 1, 2, 4, 5)] == ["passed", "passed", "weak", "weak", "void"]


def test_more_than_half_of_the_layer_makes_it_void_whatever_the_rest_says():
    assert word_of(4, 200) == "passed"
    assert word_of(4, 200, in_layer=(4, 7)) == "void"
    assert word_of(3, 200, in_layer=(3, 7)) == "passed"


@pytest.mark.parametrize("sets", [0, 3, 18])
def test_with_eighteen_or_fewer_no_part_is_controlled(sets):
    assert word_of(0, sets) == "no set"


def test_more_on_the_side_than_there_are_is_refused():
    with pytest.raises(ValueError, match="5 of 4"):
        word_of(5, 4)


def test_a_presence_is_what_nothing_does_not_satisfy():
    present = [((">=", 0.4),), (("<=", -0.1),), ((">", 0.0),), ((">=", 0.1), ("<=", 0.2))]
    absent = [(("<=", 0.1),), ((">=", -0.05), ("<=", 0.05)), ((">=", 0.0),), (("<", 0.4),)]
    assert all(map(claims_presence, present))
    assert not any(map(claims_presence, absent))


def test_a_number_at_the_bound_but_for_rounding_is_on_its_side():
    assert on_the_side(0.1 + 0.2, ((">=", 0.3),))
    assert on_the_side(0.3, ((">=", 0.1 + 0.2),))
    assert not on_the_side(0.1 + 0.2, ((">", 0.3),))
    assert margin(0.5, ((">=", 0.2), ("<=", 0.6))) == pytest.approx(0.1)
    assert margin(-1.0, (("<=", -0.5),)) == pytest.approx(0.5)
