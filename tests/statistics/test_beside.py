"""What stands beside an estimate decides: controls make void, an absence has to be shown to see."""

import numpy as np
import pytest

from mechlib.measurement import Measurement
from mechlib.statistics import difference, mean, proportion, ratio
from mechlib.statistics.beside import named
from mechlib.statistics.deciding import word_of_named
from mechlib.statistics.families import every, some
from mechlib.verdicts.verdict import Inconclusive, Refuted, Void, judging

N = 100


def around(level, columns=("value",), source="topic/restored--mini-0--12345678.jsonl", units="p", yes_no=False):
    """Values around a level, of one prompt set; several levels are several columns."""
    rng = np.random.default_rng(len(columns))
    noise = 0.01 * rng.normal(size=(N, len(columns)))
    values = np.asarray(level, dtype=float) + noise - noise.mean(axis=0)
    if yes_no:
        values = (np.arange(N)[:, None] < np.asarray(level) * N) * 1.0
    return Measurement(values, tuple(f"{units}{n}" for n in range(N)), columns=columns, source=source, yes_no=yes_no)


ONE = around(1.0, source="topic/restored--mini-0--00000000.jsonl")


# --- control= -----------------------------------------------------------------------------------------------------

ESTIMATES = {
    "mean": lambda level, **beside: mean(around(level), **_made(beside)),
    "ratio": lambda level, **beside: ratio(around(level), ONE, **_made(beside)),
    "difference": lambda level, **beside: difference(around(level), around(0.0), **_made(beside)),
    "proportion": lambda level, **beside: proportion(around(level, yes_no=True), **_made(beside, yes_no=True)),
}


def _made(beside, yes_no=False):
    """Levels as measurements."""
    return {
        name: tuple(around(one, yes_no=yes_no) for one in level)
        if isinstance(level, tuple)
        else around(level, yes_no=yes_no)
        for name, level in beside.items()
    }


@pytest.mark.parametrize("estimate", ESTIMATES.values(), ids=ESTIMATES)
def test_a_claim_that_holds_of_its_control_as_well_is_void(estimate):
    with pytest.raises(Void, match=r"0\.7.*but of its control too, 0\.5"):
        bool(estimate(0.7, control=0.5) >= 0.4)
    assert estimate(0.7, control=0.1) >= 0.4
    assert (estimate(0.7, control=0.1) >= 0.4).controls[0].word == "passed"


def test_a_control_is_held_against_the_bound_by_its_point_estimate():
    """Were it by its interval, a noisy control would never be one."""
    wide = Measurement(
        np.linspace(-2.0, 3.0, N), tuple(f"p{n}" for n in range(N)), source=around(0).source
    )  # .5 +- .29: no word of its own against .4
    assert mean(wide).held_against(((">=", 0.4),)).word == "INCONCLUSIVE"
    assert (mean(around(0.7), control=wide) >= 0.4).voided


@pytest.mark.parametrize(
    ("held", "count", "word"),
    [
        (0, 1, "passed"), (1, 1, "void"), (0, 3, "passed"), (1, 3, "weak"), (2, 3, "void"), (1, 20, "weak"),
        (4, 20, "void"), (3, 20, "weak"), (0, 39, "passed"), (1, 39, "passed"), (2, 39, "weak"), (16, 200, "void"),
        (9, 200, "passed"), (10, 200, "weak"),
    ],
)  # fmt: skip
def test_of_many_controls_the_number_on_the_claimed_side_decides(held, count, word):
    assert word_of_named(held, count) == word
    control = (0.6,) * held + (0.1,) * (count - held)
    found = (ESTIMATES["mean"](0.7, control=control) >= 0.4).controls[0]
    assert (found.word, found.on_the_side, found.sets) == (word, held, count)


def test_the_word_for_many_is_that_of_exchanged_parts():
    from mechlib.judging.controls.outcome import word_of

    for count in (19, 20, 39, 40, 100, 200):
        assert [word_of_named(k, count) for k in range(count + 1)] == [word_of(k, count) for k in range(count + 1)]


def test_of_a_family_a_control_holds_where_every_or_some_member_does():
    three = ("1.0", "1.1", "1.2")
    made = around((0.7, 0.8, 0.9), three)
    partly, wholly = around((0.6, 0.1, 0.1), three), around((0.6, 0.6, 0.6), three)
    assert every(mean(made, control=partly)) >= 0.4
    with pytest.raises(Void):
        bool(every(mean(made, control=wholly)) >= 0.4)
    with pytest.raises(Void):
        bool(some(mean(made, control=partly)) >= 0.4)
    with pytest.raises(ValueError, match="a control of 1 columns for an estimate of 3: give one for each"):
        mean(made, control=around(0.5))


def test_a_control_leaves_a_refuted_claim_refuted():
    with pytest.raises(Refuted):
        bool(ESTIMATES["mean"](0.2, control=0.7) >= 0.4)


def test_a_control_by_another_evidence_function_is_refused():
    other = around(0.1, source="topic/lost--mini-0--12345678.jsonl")
    with pytest.raises(ValueError, match=r"control= was measured by topic/lost, the claim by topic/restored: name the"):
        mean(around(0.7), control=other)
    with pytest.raises(ValueError, match=r"control= was measured by no evidence function, the claim by topic/restored"):
        mean(around(0.7), control=around(0.1, source=""))
    for wrong in (0.1, [around(0.1)], (around(0.1), 0.1)):
        with pytest.raises(TypeError, match="control= takes a measurement, or a tuple of them, not "):
            mean(around(0.7), control=wrong)
    with pytest.raises(ValueError, match=r"control=\(\) names nothing"):
        mean(around(0.7), control=())


def test_a_control_in_a_chain_is_held_against_both_ends():
    for control, void in ((0.5, True), (0.9, False), (0.1, False)):
        with judging(chained=True) as judged:
            estimate = ESTIMATES["mean"](0.7, control=control)
            first, second = 0.4 <= estimate, estimate <= 0.8  # as pytest's rewritten asserts compare them
            if void:
                with pytest.raises(Void):
                    bool(first)
            else:
                assert first and second
        assert [one.word for one in judged.asserted.controls] == ["void" if void else "passed"]


# --- beside= ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimate", ESTIMATES.values(), ids=ESTIMATES)
def test_an_absence_needs_an_effect_that_the_instrument_sees(estimate):
    with pytest.raises(Inconclusive, match=r"not shown to see: what stands beside it, 0\.2.*does not exceed the bound"):
        bool(estimate(0.02, beside=0.2) <= 0.3)
    verdict = estimate(0.02, beside=0.6) <= 0.3
    assert verdict and verdict.controls[0].word == "passed" and "the instrument sees 0.6 beside it" in str(verdict)


def test_one_of_several_effects_that_is_seen_is_enough_and_the_smallest_is_said():
    verdict = ESTIMATES["mean"](0.0, beside=(0.02, 0.12, 0.9)) <= 0.05
    assert verdict.word == "SUPPORTED" and verdict.remarks[-1] == "the instrument sees 0.12 beside it"


def test_an_effect_of_more_than_three_bounds_is_allowed_and_said():
    said = str(ESTIMATES["mean"](0.0, beside=0.9) <= 0.05)
    assert "the instrument sees 0.9 beside it, 18 bounds away, where one to 3 show more" in said


def test_an_effect_that_only_its_point_estimate_puts_beyond_the_bound_shows_nothing():
    wide = Measurement(np.linspace(-2.0, 3.0, N), tuple(f"p{n}" for n in range(N)), source=around(0).source)
    assert (mean(around(0.0), beside=wide) <= 0.4).word == "INCONCLUSIVE"


def test_of_an_absence_that_is_not_shown_no_larger_sample_and_no_correction_speaks():
    verdict = ESTIMATES["mean"](0.0, beside=0.0) <= 0.05
    assert (verdict.n_to_decide, verdict.p_supported) == (None, 1.0)


def test_what_stands_beside_an_absence_is_measured_on_the_same_prompts_or_on_a_planted_model():
    with pytest.raises(ValueError, match="beside= was measured on other prompt data than the claim"):
        mean(around(0.0), beside=around(0.9, units="q"))
    planted = around(0.9, units="q", source="topic/restored--planted-ioi--12345678.jsonl")
    assert mean(around(0.0), beside=planted) <= 0.5


def test_a_presence_takes_a_control_and_an_absence_what_stands_beside_it():
    with pytest.raises(ValueError, match=r">= 0\.40 says that something is there: give it a control=, not a beside="):
        bool(ESTIMATES["mean"](0.7, beside=0.9) >= 0.4)
    with pytest.raises(ValueError, match=r"<= 0\.40 holds where nothing happens: give it a beside=, not a control="):
        bool(ESTIMATES["mean"](0.1, control=0.9) <= 0.4)


# --- the whole ----------------------------------------------------------------------------------------------------


def test_claim_and_control_above_95_percent_of_the_whole_are_not_told_apart():
    for control in (0.97, 0.96):  # on the claimed side, and not
        with pytest.raises(Inconclusive, match=r"saturated: claim and control, 0\.99 and 0\.9.* lie above 95% of the"):
            bool(ESTIMATES["ratio"](0.99, control=control) >= 0.965)
    with pytest.raises(Void):
        bool(ESTIMATES["ratio"](0.99, control=0.94) >= 0.9)
    with pytest.raises(Inconclusive, match="saturated"):
        bool(mean(around(9.9), control=around(9.8), whole=around(10.0)) >= 9.0)
    with pytest.raises(Void):
        bool(mean(around(9.9), control=around(9.8)) >= 9.0)  # where the whole is not known


def test_two_sides_of_a_difference_above_95_percent_of_the_whole_are_not_told_apart():
    with pytest.raises(Inconclusive, match=r"saturated: the two sides, 0\.99 and 0\.96, lie above 95% of the whole"):
        bool(difference(around(0.99), around(0.96), whole=1.0) >= 0.01)
    assert difference(around(0.99), around(0.9), whole=1.0) >= 0.01
    assert difference(around(0.99), around(0.96)) >= 0.01


def test_a_whole_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"whole=0\.0: there is nothing to lie near it"):
        mean(around(0.5), control=around(0.1), whole=0.0)


def test_what_stands_beside_changes_no_number():
    plain, held = mean(around(0.7)), mean(around(0.7), control=around(0.1), whole=2.0)
    assert {**held.to_dict(), "whole": None} == plain.to_dict()
    assert named(plain, around(0.7), mean) is plain
