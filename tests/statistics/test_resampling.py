"""Resampling: the bootstrap against loops and scipy, families, and numbers that nothing but the rows can move."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from mechlib.measurement import Measurement
from mechlib.statistics import TooFew, correlation, difference, mean, proportion, ratio, set_seed_offset
from mechlib.statistics.families import Family, every
from mechlib.statistics.intervals import resampling
from mechlib.statistics.intervals.resampling import bca_of_means, counts, critical_values, weighted_sums
from tests.helpers.samples import TEMPLATES, draws, ends, halves, measured, nested, shuffled, yes_no


def test_the_studentised_bootstrap_is_the_textbook_one():
    """Against a plain loop over indices that are drawn here, with other random numbers."""
    values = draws(1).gamma(4, size=60)
    rng, t = draws(2), []
    for _ in range(20_000):
        again = values[rng.integers(0, 60, 60)]
        t.append((again.mean() - values.mean()) / (again.std(ddof=1) / np.sqrt(60)))
    se = values.std(ddof=1) / np.sqrt(60)
    low, high = values.mean() - np.quantile(t, [0.975, 0.025]) * se
    e = mean(measured(values))
    assert e.method == "bootstrap-t"
    assert (e.value, e.se) == pytest.approx((values.mean(), se))
    assert ends(e) == pytest.approx((low, high), abs=0.06 * se)


def test_the_studentised_bootstrap_of_normal_values_is_nearly_t():
    values = draws(3).normal(size=400)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    e = mean(measured(values))
    assert ends(e) == pytest.approx((theirs.low, theirs.high), abs=0.08 * e.se)


def test_skewed_values_reach_further_towards_their_tail():
    e = mean(measured(draws(4).lognormal(size=300)))
    assert e.high - e.value > 1.2 * (e.value - e.low)


def test_bca_is_scipys_on_the_same_resamples():
    values = draws(5).lognormal(size=(80, 3))
    for column in range(3):
        theirs = stats.bootstrap(
            (values[:, column],), np.mean, n_resamples=10_000, method="BCa", rng=np.random.default_rng(7)
        )
        indices = np.random.default_rng(7).integers(0, 80, (10_000, 80))
        drawn = np.stack([np.bincount(row, minlength=80) for row in indices]).astype(np.uint8)
        low, high, _ = bca_of_means(values[:, [column]], drawn)
        assert (low[0], high[0]) == pytest.approx(theirs.confidence_interval, rel=1e-12)


def test_bca_with_our_own_resamples_is_scipys_within_monte_carlo_error():
    values = draws(6).lognormal(size=(300, 4))
    low, high, error = bca_of_means(values)
    for column in range(4):
        theirs = stats.bootstrap((values[:, column],), np.mean, n_resamples=10_000, method="BCa", rng=1, batch=1000)
        assert (low[column], high[column]) == pytest.approx(theirs.confidence_interval, abs=5 * error[column])


def test_a_constant_column_has_no_bca():
    with pytest.raises(TooFew, match="constant"):
        bca_of_means(np.ones((50, 1)))


def test_counts_are_multinomial():
    drawn = counts(50).astype(int)
    assert drawn.shape == (10_000, 50)
    assert (drawn.sum(axis=1) == 50).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(50), abs=0.06)
    assert drawn.var() == pytest.approx(1 - 1 / 50, rel=0.02)
    pairs = np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]
    assert pairs == pytest.approx(-1 / 49, abs=0.04)


def test_weighted_sums_are_the_matrix_product():
    values = draws(8).normal(size=(50, 3))
    assert weighted_sums(values, counts(50)) == pytest.approx((counts(50) @ values).T)


def test_critical_values_do_not_depend_on_scale():
    values = draws(13).normal(size=(100, 2))
    values -= values.mean(axis=0)
    first, second = (critical_values(values * factor, None, (100,), (1.0,)) for factor in (1.0, 1e-9))
    assert np.array(first) == pytest.approx(np.array(second))


def test_judging_imports_no_scipy():
    code = "import sys, mechlib.statistics; assert not any(name.startswith('scipy') for name in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# Families.


def test_a_family_is_wider_than_its_members_and_is_the_bootstrap_of_their_maximum():
    values = draws(10).normal(size=(200, 10))
    family = mean(measured(values, columns=[f"0.{head}" for head in range(10)]))
    alone = mean(measured(values[:, 3]))
    assert all(e.simultaneous for e in family)
    assert family["0.3"].value == alone.value
    reach = (family["0.3"].high - family["0.3"].value) / alone.se
    assert stats.norm.ppf(0.975) < 2.5 < reach < 3.2  # ten independent columns at Bonferroni: 2.84


def test_columns_that_move_together_cost_nothing():
    column = draws(11).normal(size=200)
    family = mean(measured(np.stack([column, 3 * column + 1, 0.1 * column], axis=1), columns="abc"))
    alone = mean(measured(column))
    assert ends(family.estimates[0]) == pytest.approx(ends(alone))
    assert ends(family.estimates[1]) == pytest.approx((3 * alone.low + 1, 3 * alone.high + 1))


def test_families_hold_together():
    """All of eight correlated means are covered in about 95 % of worlds; pointwise intervals would manage 75 %."""
    rng, worlds, together, apart = draws(12), 300, 0, 0
    for _ in range(worlds):
        values = rng.normal(size=(60, 8)) + 0.5 * rng.normal(size=(60, 1))
        family = mean(measured(values, columns="abcdefgh"))
        together += all(e.low <= 0 <= e.high for e in family)
        apart += all(abs(e.value) <= 1.96 * e.se for e in family)
    assert 0.92 <= together / worlds <= 0.985
    assert apart / worlds < 0.85


def test_families_of_shares_and_of_few_clusters_are_bonferronis():
    values = (draws(13).random((100, 5)) < 0.5).astype(float)
    family = proportion(yes_no_columns(values))
    theirs = stats.binomtest(int(values[:, 2].sum()), 100).proportion_ci(1 - 0.05 / 5, "wilson")
    assert ends(family["c"]) == pytest.approx((theirs.low, theirs.high))
    clustered = mean(measured(draws(14).normal(size=(320, 5)), TEMPLATES, columns="abcde"))
    reach = (clustered["a"].high - clustered["a"].value) / clustered["a"].se
    assert reach == pytest.approx(stats.t.ppf(1 - 0.025 / 5, 15))


def yes_no_columns(values: np.ndarray) -> Measurement:
    return measured(values, columns="abcdefgh"[: values.shape[1]], yes_no=True)


def test_a_head_without_any_effect_does_not_spoil_its_family():
    values = draws(15).normal(1, 1, size=(100, 3))
    values[:, 1] = 0.0
    family = mean(measured(values, columns="abc"))
    assert ends(family["b"]) == (0.0, 0.0)
    assert "no variation seen" in family["b"].notes[0]
    assert (every(family) >= 0).word == "SUPPORTED"


def test_a_family_is_what_several_columns_give():
    assert isinstance(mean(measured(draws(0).normal(size=(50, 2)), columns="ab")), Family)


# A pure function of the rows.


def every_estimate(seed: int = 0) -> list[tuple[str, object]]:
    """One call of each branch, as a function of what is done to the measurements first."""
    part, whole = halves(seed, 320, TEMPLATES)
    alone, all_alone = halves(seed, 320)
    family = measured(draws(seed).normal(size=(320, 4)), columns="abcd")
    coins = (draws(seed + 1).random(320) < 0.8).astype(float)
    return [
        ("mean", lambda do: mean(do(alone))),
        ("clusters", lambda do: mean(do(part))),
        ("these", lambda do: mean(do(part), across="these templates")),
        ("ratio", lambda do: ratio(do(alone), all_alone)),
        ("clustered ratio", lambda do: ratio(do(part), whole)),
        ("these ratio", lambda do: ratio(do(part), whole, across="these templates")),
        ("share", lambda do: proportion(do(yes_no(coins)))),
        ("clustered share", lambda do: proportion(do(yes_no(coins, TEMPLATES)))),
        ("difference", lambda do: difference(do(alone), all_alone)),
        ("correlation", lambda do: correlation(do(alone), all_alone)),
        ("family", lambda do: mean(do(family))["b"]),
    ]


@pytest.mark.parametrize(("name", "made"), every_estimate())
def test_the_order_of_rows_never_moves_a_number(name, made):
    first, second = made(lambda m: m).to_dict(), made(shuffled).to_dict()
    assert first == second


@pytest.mark.parametrize(("name", "made"), every_estimate())
def test_what_was_estimated_before_never_moves_a_number(name, made):
    fresh = made(lambda m: m).to_dict()
    resampling._known.clear()
    resampling._counts.clear()
    counts(17)
    mean(measured(draws(99).normal(size=320)))
    assert made(lambda m: m).to_dict() == fresh


def test_another_process_finds_the_same_numbers():
    code = (
        "import numpy as np; from mechlib.measurement import Measurement; from mechlib.statistics import mean;"
        "e = mean(Measurement(np.sin(np.arange(60.)), [str(i) for i in range(60)]));"
        "print(repr((e.low, e.high)))"
    )
    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    e = mean(Measurement(np.sin(np.arange(60.0)), [str(i) for i in range(60)]))
    assert theirs == repr(ends(e))


@pytest.mark.parametrize(("scale", "shift"), [(1000.0, 0.0), (1.0, 5.0), (1e-6, 1e-3)])
def test_intervals_move_with_the_unit_of_measurement(scale, shift):
    for m in (measured(nested(5)), measured(nested(5), TEMPLATES)):
        moved = Measurement(scale * m.values + shift, m.units, clusters=m.clusters)
        before, after = mean(m), mean(moved)
        expected = [scale * end + shift for end in (before.value, *ends(before))]
        assert (after.value, *ends(after)) == pytest.approx(expected, rel=1e-9, abs=1e-9 * scale)


def test_a_seed_offset_moves_ends_by_monte_carlo_error_only():
    m = measured(draws(3).gamma(2, size=300))
    here = mean(m)
    shifts = []
    try:
        for offset in range(1, 13):
            set_seed_offset(offset)
            there = mean(m)
            assert there.value == here.value
            shifts.append([there.low - here.low, there.high - here.high])
    finally:
        set_seed_offset(0)
    moved = np.array(shifts).std(axis=0)
    assert ends(mean(m)) == ends(here)
    assert (moved > 0).all()
    assert 0.4 * here.monte_carlo < moved.max() < 2 * here.monte_carlo


def test_the_same_estimate_is_not_resampled_twice(monkeypatch):
    m = measured(draws(4).normal(size=123))
    first = mean(m)
    monkeypatch.setattr(resampling, "weighted_sums", None)
    assert ends(mean(shuffled(m))) == ends(first)
