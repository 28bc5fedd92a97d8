"""Trainings, exact numbers, nulls, many comparisons, chosen heads."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mechlib.measurement import Measurement
from mechlib.parts.heads import DoubleDipping, EmptySelection, Head, all_heads, heads
from mechlib.parts.random_sets import random_sets
from mechlib.prompts.promptset import Prompt, PromptSet
from mechlib.statistics import (
    TooFew,
    above,
    above_null,
    across_seeds,
    exact,
    mean,
    permutation_p,
    ratio,
    sign_flip_p,
    strongest,
)
from mechlib.statistics.multiplicity import adjusted, benjamini_hochberg, holm
from tests.helpers.samples import draws, ends, halves, measured

# Trainings, exact numbers, nulls.


def test_a_mean_over_trainings_is_t_on_four_degrees():
    values = [0.5, 0.52, 0.58, 0.49, 0.55]
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    e = across_seeds([exact(value, name=f"mini-{seed}") for seed, value in enumerate(values)])
    assert ends(e) == pytest.approx((theirs.low, theirs.high))
    assert (e.df, e.n, e.across, e.strip[2]) == (4, 5, "trainings", ("mini-2", 1, 0.58))
    assert ends(across_seeds(values)) == ends(across_seeds(values[::-1]))
    assert "in 5 of 5 trainings (at least 48 %)" in str(e >= 0.4)


def test_trainings_must_be_several_numbers():
    with pytest.raises(TooFew, match="at least 3"):
        across_seeds([0.5, 0.6])
    with pytest.raises(ValueError, match="nan"):
        across_seeds([0.5, float("nan"), 0.6])
    assert "no variation seen" in across_seeds([0.5] * 5).notes[0]


def test_an_exact_number_is_of_this_checkpoint():
    e = exact(np.float32(0.25), of="share of power")
    assert (e.value, *ends(e), e.across, e.of) == (0.25, 0.25, 0.25, "this checkpoint", "share of power")
    with pytest.raises(ValueError, match="nan"):
        exact(float("nan"))


def test_a_permutation_p_counts_itself():
    assert permutation_p(3, [1, 2, 3, 4]) == pytest.approx(3 / 5)
    assert permutation_p(9, range(9)) == pytest.approx(1 / 10)


def test_sign_flips_are_scipys_permutation_test():
    for n in (9, 40):
        values = draws(n).normal(0.3, 1, n)
        theirs = stats.permutation_test(
            (values, np.zeros(n)), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples",
            vectorized=True, n_resamples=20_000, rng=1,
        )  # fmt: skip
        assert sign_flip_p(values) == pytest.approx(theirs.pvalue, abs=0.015 if n > 12 else 1e-9)


def null_of(m: int, seed: int = 0, spread: float = 1.0) -> Measurement:
    values = draws(seed).normal(0, spread, m)
    return Measurement(values, [f"set {row}" for row in range(m)], unit="set of heads")


def test_a_selection_is_held_against_the_95th_percentile_of_its_null():
    effect, null = measured(draws(1).normal(3, 1, 400)), null_of(200)
    e = above_null(effect, null)
    assert e.value == pytest.approx(effect.array.mean() - np.quantile(null.array, 0.95, method="inverted_cdf"))
    assert "p = 0.005, at best 0.005" in e.notes[-1]
    own = mean(effect)
    assert e.value - e.low > own.value - own.low
    assert (e >= 0).word == "SUPPORTED"


def test_the_percentile_of_a_drawn_null_is_covered():
    effect = measured(draws(2).normal(3, 0.01, 400))
    truth = effect.array.mean() - stats.norm.ppf(0.95)
    found = [above_null(effect, null_of(200, seed)) for seed in range(300)]
    assert np.mean([e.low <= truth <= e.high for e in found]) >= 0.92


def test_a_null_of_all_sets_has_no_error_of_its_own():
    effect, null = measured(draws(3).normal(3, 1, 400)), null_of(31)
    e, own = above_null(effect, null, exhaustive=True), mean(effect)
    assert e.high - e.low == pytest.approx(own.high - own.low)
    assert "31 sets of heads, all there are; p = 0.031, at best 0.031" in e.notes[-1]


def test_a_null_is_drawn_unless_it_says_that_it_has_all_sets():
    """However few it has: 105 sets that were drawn are no 105 of 105."""
    effect, null = measured(draws(3).normal(3, 1, 400)), null_of(105)
    drawn = above_null(effect, null)
    assert "105 sets of heads drawn" in drawn.notes[-1]
    for matched in (random_sets(heads("0.1 0.4 1.1"), all_heads(2, 8)), random_sets(heads("0.1"), all_heads(1, 106))):
        said = above_null(effect, replace(null, of=f"restored, in logits ({matched.matched})"))
        assert ends(said) == ends(above_null(effect, null, exhaustive=True)) != ends(drawn)
    some = random_sets(heads("0.1 0.4"), all_heads(1, 40), n=105)
    assert ends(above_null(effect, replace(null, of=f"restored, in logits ({some.matched})"))) == ends(drawn)
    with pytest.raises(TooFew, match="31 random sets"):
        above_null(effect, null_of(31))


@pytest.mark.parametrize("m", [20, 73, 100, 199])
def test_a_selection_at_the_percentile_of_a_drawn_null_is_seldom_above_it(m):
    """Taken for all there are, nulls of so few sets supported it in 59 to 14 % of worlds."""
    effect, supported = measured(draws(2).normal(stats.norm.ppf(0.95), 0.01, 400)), 0
    for seed in range(400):
        try:
            supported += (above_null(effect, null_of(m, 1000 + seed)) >= 0).word == "SUPPORTED"
        except TooFew:
            assert m == 20
    assert supported / 400 <= 0.0297 + 3 * np.sqrt(0.025 * 0.975 / 400)


def test_a_null_may_be_of_shares():
    part, whole = halves(7)
    effect = measured(np.concatenate([part.values, whole.values], axis=1), columns=("cost", "total"))
    null = draws(4).normal(0.1, 0.1, 200)
    e = above_null(
        effect,
        Measurement(
            np.stack([2 * null, np.full(200, 2.0)], axis=1), [str(i) for i in range(200)], columns=("cost", "total")
        ),
    )
    assert e.value == pytest.approx(ratio(part, whole).value - np.quantile(null, 0.95, method="inverted_cdf"))
    with pytest.raises(ValueError, match="columns"):
        above_null(effect, null_of(200))


# Many comparisons.


def test_holm_and_benjamini_hochberg_are_statsmodels():
    for seed in range(5):
        levels = draws(seed).random(30) ** 3
        levels[3] = levels[7]
        assert holm(levels.tolist()) == pytest.approx(multipletests(levels, method="holm")[1])
        assert benjamini_hochberg(levels.tolist()) == pytest.approx(multipletests(levels, method="fdr_bh")[1])
    assert holm([]) == []


def test_adjusted_verdicts_lose_what_luck_could_have_given():
    strong = mean(measured(draws(5).normal(1, 1, 400))) >= 0.5
    weak = mean(measured(draws(6).normal(0.11, 1, 400))) >= 0
    wrong = mean(measured(draws(7).normal(0, 1, 400))) >= 0.5
    open_one = mean(measured(draws(8).normal(0, 1, 400))) >= 0.02
    assert [v.word for v in (strong, weak, wrong, open_one)] == ["SUPPORTED", "SUPPORTED", "REFUTED", "INCONCLUSIVE"]
    rows = adjusted([v.to_dict() for v in [strong, weak, wrong, *[open_one] * 20]])
    assert [row["holm"] for row in rows[:4]] == ["SUPPORTED", "INCONCLUSIVE", "REFUTED", "INCONCLUSIVE"]
    assert rows[1]["p_holm"] == pytest.approx(min(1, 22 * rows[1]["p"]))
    assert [row["word"] for row in adjusted([weak.to_dict()])] == [adjusted([weak.to_dict()])[0]["holm"]]


# Choosing heads.


def looked_at(split: str = "discovery") -> Measurement:
    prompts = PromptSet("toy", split, tuple(Prompt(f"prompt {i}", "yes") for i in range(6)))
    values = draws(12).normal(0, 0.01, (6, 4)) + np.array([0.1, 0.9, 0.5, 9.0])
    return Measurement(values, [str(i) for i in range(6)], columns=("0.0", "1.3", "1.2", "total"), prompts=(prompts,))


def test_the_strongest_heads_remember_their_prompts():
    m = looked_at()
    chosen = strongest(m, 2)
    assert chosen.ranked == (Head(1, 3), Head(1, 2))
    assert chosen.chosen_on == m.prompts[0].members
    assert strongest(m, but_not=heads("1.3")).ranked == (Head(1, 2),)
    assert above(m, 0.4).ranked == (Head(1, 3), Head(1, 2))
    assert not above(m, 2).ranked
    with pytest.raises(EmptySelection):
        m[above(m, 2)]


@pytest.mark.parametrize("split", ["confirmation", "reference"])
def test_heads_are_chosen_on_discovery_prompts_only(split):
    for choose in (strongest, lambda m: above(m, 0.4)):
        with pytest.raises(DoubleDipping, match=split):
            choose(looked_at(split))


def test_heads_are_chosen_from_evidence_only():
    with pytest.raises(DoubleDipping, match="evidence function"):
        strongest(Measurement(np.ones((3, 1)), "abc", columns=("0.0",)))
    with pytest.raises(ValueError, match="3 to choose from"):
        strongest(looked_at(), 4)
    with pytest.raises(ValueError, match="no column is a head"):
        strongest(looked_at()[["total"]])
