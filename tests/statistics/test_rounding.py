"""No rounding decides a verdict: constants are exactly what they are, and nothing is no extreme."""

from __future__ import annotations

import numpy as np
import pytest

from mechlib.measurement import Measurement
from mechlib.statistics import (
    across_seeds,
    correlation,
    difference,
    distance_correlation,
    exact,
    mean,
    proportion,
    ratio,
)
from mechlib.statistics.circuits.nulls import percentile_of, permutation_p, sign_flip_p
from mechlib.statistics.families import every
from mechlib.statistics.intervals.resampling import TooFew
from mechlib.statistics.multiplicity import benjamini_hochberg, holm

CONSTANTS = (0.1, 0.3, -0.7, 1 / 3, 1e-9, 123456.789)


def measured(values, clusters: int = 0, columns: tuple[str, ...] = ("value",), yes_no: bool = False) -> Measurement:
    values = np.asarray(values, dtype=float)
    labels = tuple(f"template {row % clusters}" for row in range(len(values))) if clusters else ()
    return Measurement(
        values, [f"u{row}" for row in range(len(values))], columns=columns, clusters=labels, yes_no=yes_no
    )


def holds_at(estimate, number: float) -> None:
    """The estimate is this number and no other, and compares with it so."""
    assert (estimate.value, estimate.low, estimate.high) == (number, number, number)
    assert (estimate >= number).word == (estimate <= number).word == "SUPPORTED"
    assert (estimate > number).word == (estimate < number).word == "REFUTED"


@pytest.mark.parametrize("number", CONSTANTS)
@pytest.mark.parametrize(
    ("n", "clusters", "across"), [(20, 0, None), (61, 0, None), (70, 7, None), (33, 7, "these templates")]
)
def test_the_mean_of_one_number_is_that_number(number, n, clusters, across):
    holds_at(mean(measured(np.full(n, number), clusters), across), number)


@pytest.mark.parametrize("number", CONSTANTS)
def test_a_difference_of_constants_is_their_difference_and_of_equals_nothing(number):
    one, other = measured(np.full(25, number)), Measurement(np.full(31, 0.2), [f"v{row}" for row in range(31)])
    holds_at(difference(one, other), number - 0.2)
    noisy = measured(np.random.default_rng(0).normal(size=25))
    holds_at(difference(noisy, measured(noisy.values * 3 / 3)), 0.0)
    both = measured(np.stack([noisy.array * 0.1 + noisy.array * 0.2, noisy.array * 0.3], axis=1), columns=("a", "b"))
    assert np.ptp(both["a"].array - both["b"].array) > 0, "rounding would be told from nothing"
    holds_at(mean(both.less("a", "b")), 0.0)


@pytest.mark.parametrize("number", CONSTANTS)
def test_the_mean_over_equal_trainings_is_what_each_has(number):
    holds_at(across_seeds([number] * 7), number)


def test_a_share_that_every_row_has_is_that_share():
    whole = np.random.default_rng(1).uniform(1, 2, 40)
    shares = measured(np.stack([0.3 * whole, whole], axis=1), columns=("part", "total"))
    for verdict in (ratio(shares) >= 0.3, ratio(shares) <= 0.3):
        assert verdict.word == "SUPPORTED"


@pytest.mark.parametrize("clusters", [3, 6, 7, 10, 49])
def test_a_proportion_of_all_is_one_and_of_a_tenth_a_tenth(clusters):
    all_yes = proportion(measured(np.ones(2 * clusters), clusters, yes_no=True), "these templates")
    assert (all_yes.value, all_yes.high) == (1.0, 1.0)
    assert proportion(measured([1.0, 1.0] + 18 * [0.0], yes_no=True)).value == 0.1


def test_a_number_that_only_rounding_tells_from_the_bound_is_the_bound():
    assert 0.1 + 0.2 > 0.3
    for estimate in (exact(0.1 + 0.2), mean(measured(np.full(20, 0.1 + 0.2)))):
        assert (estimate <= 0.3).word == (estimate >= 0.3).word == "SUPPORTED"
        assert (estimate > 0.3).word == "REFUTED"
        assert (estimate <= 0.3).p_supported == 0.0
        assert (estimate <= 0.3 - 1e-9).word == "REFUTED"
    assert (every([exact(0.1 + 0.2), exact(0.3)]) <= 0.3).word == "SUPPORTED"


def test_a_threshold_is_reached_up_to_rounding():
    assert 0.3 - 0.1 < 0.2
    assert measured([0.3 - 0.1, 0.2, 0.2 - 1e-9]).at_least(0.2).array.tolist() == [1, 1, 0]


def test_values_that_rounding_alone_tells_apart_correlate_with_nothing():
    rng = np.random.default_rng(2)
    other = measured(rng.normal(size=40))
    noise = measured(np.where(rng.random(40) < 0.5, 0.1 + 0.2, 0.3))
    assert np.ptp(noise.array) > 0
    for statistic in (correlation, distance_correlation):
        with pytest.raises(ValueError, match=r"is 0\.3 everywhere: nothing correlates"):
            statistic(noise, other)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("clusters", [0, 8])
def test_what_lies_on_a_line_correlates_by_one(sign, clusters):
    x = np.random.default_rng(3).normal(size=40)
    holds_at(correlation(measured(x, clusters), measured(sign * 3 * x + 0.1, clusters)), sign)


def test_a_correlation_that_one_cluster_carries_is_refused():
    x = np.zeros(40)
    x[::8] = [1, 2, 3, 4, 5]  # all of one template
    with pytest.raises(TooFew, match="without one of the templates nothing varies"):
        correlation(measured(x, 8), measured(np.random.default_rng(4).normal(size=40), 8))


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_a_correlation_that_one_row_carries_is_refused(method):
    """Resamples without the row do not vary, and rounding in them would correlate anyhow."""
    x = np.full(40, 0.1)
    x[3] = 1
    with pytest.raises(TooFew, match="undefined in some resamples"):
        correlation(measured(x), measured(np.random.default_rng(4).normal(size=40)), method)


def test_a_distance_correlation_of_rows_that_one_row_tells_apart_is_a_number():
    """Without that row one measurement is constant, and a constant depends on nothing."""
    x = np.zeros(30)
    x[0] = 1
    found = distance_correlation(measured(x), measured(np.random.default_rng(5).normal(size=30)))
    assert 0 <= found.low <= found.value <= found.high <= 1


# p-values


@pytest.mark.parametrize("unit", [0.1, 1e-9, 1e306, 1 / 3])
@pytest.mark.parametrize("n", [3, 8, 12, 13, 20])
def test_a_sign_flip_p_does_not_depend_on_the_unit(n, unit):
    """Of integers sums are exact, and so is p: also where they cancel, and in tenths would not."""
    rng = np.random.default_rng([6, n])
    for trial in range(40):
        whole = rng.integers(-9, 10, n)
        if trial % 2:
            whole[-1] = -whole[:-1].sum()
        assert sign_flip_p(whole * unit) == sign_flip_p(whole.astype(float))
        if n <= 12:
            sums = np.abs((1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)) @ whole)
            assert sign_flip_p(whole * unit) == np.mean(sums >= abs(whole.sum()))


def test_a_sum_beyond_all_floats_has_the_p_of_its_unit():
    assert sign_flip_p([1e308] * 5) == sign_flip_p([1.0] * 5) == 2 / 32


def test_a_sum_that_cancels_is_no_evidence():
    for values in ([1, 2, -3], [0.1, 0.2, -0.3], [0.7, 0.1, -0.8], [1e-9, 2e-9, -3e-9], [0.0, 0.0]):
        assert sign_flip_p(values) == 1.0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([np.nan, 1, 2], "nan at place 0"), ([np.nan] + [1] * 19, "nan at place 0"),
        ([-1, np.inf, 2], "inf at place 1"), ([], "is empty"), (np.ones((3, 4)), "2 dimensions"),
    ],
)  # fmt: skip
def test_what_has_no_p_is_refused(given, said):
    for of in (sign_flip_p, lambda null: permutation_p(1.0, null), percentile_of):
        with pytest.raises(ValueError, match=said) as raised:
            of(given)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("observed", [np.nan, np.inf, -np.inf])
def test_what_was_not_observed_has_no_p(observed):
    with pytest.raises(ValueError, match="was observed: no share of a null lies beyond it"):
        permutation_p(observed, [1, 2, 3])


def test_a_null_value_that_rounding_makes_smaller_counts_as_reached():
    assert permutation_p(0.1 + 0.2, [0.3, 0.2]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_levels_that_are_no_p_values_are_refused(adjust):
    assert adjust([]) == []
    for bad in (np.nan, -0.1, 1.5):
        with pytest.raises(ValueError, match="p-value 1 is"):
            adjust([0.01, bad, 0.5])


# Notes go with the columns they are about


def test_a_note_stands_beside_every_estimate_of_its_column_and_no_other():
    rng = np.random.default_rng(7)
    values = measured(rng.normal(5, 1, size=(40, 3)), columns=("0.0", "0.1", "intact"))
    noted = values._with(notes=(("0.1", "it is dead"),))
    dead = "0.1: it is dead"
    assert dead in mean(noted["0.1"]).notes
    assert dead not in mean(noted["0.0"]).notes
    assert [dead in one.notes for one in mean(noted)] == [False, True, False]
    assert dead in mean(noted.less("intact", "0.1")).notes
    assert dead not in mean(noted.less("intact", "0.0")).notes
    assert dead in difference(noted["intact"], noted["0.1"]).notes
    assert dead in ratio(noted["0.1"], noted["intact"]).notes
    assert dead in mean(noted.interaction("intact", ["0.0", "0.1"])).notes
    assert dead in proportion(noted["0.1"].at_least(5)).notes
    assert dead in (mean(noted["0.1"]) >= 0).remarks
