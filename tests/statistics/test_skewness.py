"""Skewness: refused where it endangers the side that is claimed, at the comparison, and nowhere else."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from mechlib.measurement import Measurement
from mechlib.statistics import above_null, difference, mean, ratio
from mechlib.statistics.circuits.units import size, times
from mechlib.statistics.estimate import Estimate
from mechlib.statistics.families import every, some
from mechlib.statistics.intervals.skewness import Skewness, skewness_of
from mechlib.verdicts.verdict import Inconclusive, judging
from tests.helpers.samples import draws, measured


def lognormal(n: int, sigma: float = 1.0) -> np.ndarray:
    """Quantiles: no draw decides what is refused."""
    return stats.lognorm(sigma).ppf((np.arange(n) + 0.5) / n)


def outside(e: Estimate, above: bool, times_as_far: float = 1.5) -> float:
    """A bound beyond an end."""
    return e.value + times_as_far * ((e.low if above else e.high) - e.value)


def test_skewness_is_scipys():
    values = draws(0).lognormal(size=(50, 3))
    assert [one.value for one in skewness_of(values, "prompts")] == pytest.approx(stats.skew(values).tolist())
    assert skewness_of(np.full((9, 1), 0.1), "prompts")[0].value == 0


@pytest.mark.parametrize("n", [40, 100, 150])
def test_a_right_tail_is_refused_at_most_and_not_at_least(n):
    e = mean(measured(lognormal(n)))
    assert (e >= outside(e, above=True)).word == "SUPPORTED"
    doubted = e <= outside(e, above=False)
    assert doubted.word == "INCONCLUSIVE"
    assert re.search(rf"{n} prompts with skewness .* lies below a bound: measure at least", str(doubted))
    mirrored = mean(measured(-lognormal(n)))
    assert (mirrored <= outside(mirrored, above=False)).word == "SUPPORTED"
    doubted = mirrored >= outside(mirrored, above=True)
    assert doubted.word == "INCONCLUSIVE"
    assert re.search("above a bound", str(doubted))


def test_either_tail_is_refused_in_a_margin():
    for sign in (1, -1):
        e = mean(measured(sign * lognormal(60)))
        with judging(chained=True), pytest.raises(Inconclusive, match="skewness"):
            assert outside(e, above=True) <= e <= outside(e, above=False)


def test_the_threshold_grows_like_the_root_of_n_without_a_step():
    for n in (20, 49, 50, 199, 200, 400, 10_000):
        edge = np.sqrt(n) / 5
        assert not Skewness(edge * 0.999, n, "prompts").endangers(above=False)
        assert Skewness(edge * 1.001, n, "prompts").endangers(above=False)
        assert Skewness(-edge * 1.001, n, "prompts").endangers(above=True)


def test_what_would_do_is_said_and_does():
    one = Skewness(2.3, 60, "prompts")
    wanted = int(one.refusal(above=False).split("at least ")[1].split(",")[0])
    assert not replace(one, n=wanted).endangers(above=False)


def test_a_bound_that_is_far_away_is_out_of_the_tails_reach():
    e = mean(measured(lognormal(100)))
    assert (e <= outside(e, above=False, times_as_far=4.05)).word == "SUPPORTED"
    doubted = e <= outside(e, above=False, times_as_far=3.95)
    assert doubted.word == "INCONCLUSIVE"


def test_what_is_not_supported_is_not_refused():
    e = mean(measured(lognormal(100)))
    assert (e <= e.low - 1).word == "REFUTED"
    assert (e <= e.value).word == "INCONCLUSIVE"


def test_fewer_than_twelve_levels_do_not_show_whether_they_are_skewed():
    for levels, refused in ((8, True), (12, False)):
        clusters = tuple(f"t{level:02d}" for level in range(levels) for _ in range(10))
        e = mean(measured(draws(3).normal(size=10 * levels), clusters))
        if refused:
            doubted = e >= outside(e, above=True)
            assert doubted.word == "INCONCLUSIVE"
            assert re.search(r"8 templates do not show .* across='these templates'", str(doubted))
        else:
            assert (e >= outside(e, above=True)).word == "SUPPORTED"


def test_clusters_are_what_is_skewed_where_they_are_drawn():
    clusters = tuple(f"t{level:02d}" for level in range(16) for _ in range(20))
    e = mean(measured(np.repeat(lognormal(16), 20) + draws(4).normal(size=320) / 10, clusters))
    assert (e.skewness[0].n, e.skewness[0].of) == (16, "templates")
    doubted = e <= outside(e, above=False)
    assert doubted.word == "INCONCLUSIVE"
    assert re.search("16 templates with skewness", str(doubted))


def test_a_member_that_every_needs_is_refused_by_name_and_some_takes_another():
    values = np.stack([lognormal(100) + 1, draws(5).normal(1.5, 0.5, 100)], axis=1)
    family = mean(measured(values, columns=("1.6", "1.7")))
    bound = outside(family["1.6"], above=False)
    assert bound > family["1.7"].high
    doubted = every(family) <= bound
    assert doubted.word == "INCONCLUSIVE"
    assert re.search(r"100 prompts with skewness", str(doubted))
    verdict = some(family) <= bound
    assert verdict.word == "SUPPORTED"
    doubted = some([family["1.6"]]) <= bound + 1e-9
    assert doubted.word == "INCONCLUSIVE"
    assert re.search("skewness", str(doubted))
    assert (every(family) <= -1).word == "REFUTED"


def test_what_is_taken_away_is_skewed_to_the_other_side():
    other = Measurement(lognormal(60), [f"v{row}" for row in range(60)])
    e = difference(measured(np.linspace(0, 0.1, 60)), other)
    assert e.skewness[0].value < -1
    doubted = e >= outside(e, above=True)
    assert doubted.word == "INCONCLUSIVE"
    assert re.search("above a bound", str(doubted))


def test_a_ratio_and_a_null_are_skewed_as_their_numerator_is():
    whole = measured(draws(6).normal(5, 0.1, 80))
    share = ratio(measured(lognormal(80)), whole)
    doubted = share <= outside(share, above=False)
    assert doubted.word == "INCONCLUSIVE"
    assert re.search("skewness", str(doubted))
    null = Measurement(draws(7).normal(size=200), [str(row) for row in range(200)], unit="set of heads")
    assert above_null(measured(lognormal(80)), null).skewness == mean(measured(lognormal(80))).skewness


def test_turned_round_the_other_side_is_in_danger_and_without_a_sign_both_are():
    e = mean(measured(lognormal(60)))
    assert times(e, -1).skewness[0].value == -e.skewness[0].value
    assert {one.endangers(above=False) for one in size(mean(measured(-lognormal(60)))).skewness} == {True, False}
