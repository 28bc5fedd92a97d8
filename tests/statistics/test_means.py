"""Statistics: every branch against an independent implementation, and against misuse."""

import itertools
import json

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from mechlib.measurement import Measurement
from mechlib.statistics import (
    RatioRefused,
    TooFew,
    across_seeds,
    correlation,
    difference,
    mean,
    proportion,
    ratio,
)
from tests.helpers.samples import TEMPLATES, draws, ends, halves, measured, nested, shuffled, yes_no

# Independent units.


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (19, 20), (20, 20), (30, 49), (45, 50), (396, 400), (400, 400)])
def test_rare_or_few_yes_have_the_exact_interval(hits, n):
    e = proportion(yes_no([1] * hits + [0] * (n - hits)))
    theirs = stats.binomtest(hits, n).proportion_ci(method="exact")
    assert (e.value, *ends(e)) == pytest.approx((hits / n, theirs.low, theirs.high), abs=1e-9)
    assert (e.method, e.clusters, e.across) == ("Clopper-Pearson", None, "prompts")


@pytest.mark.parametrize(("hits", "n"), [(25, 50), (12, 50), (88, 100), (360, 400)])
def test_common_yes_have_wilsons_interval(hits, n):
    e = proportion(yes_no([1] * hits + [0] * (n - hits)))
    theirs = stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert ends(e) == pytest.approx((theirs.low, theirs.high))
    assert e.method == "Wilson"


@pytest.mark.parametrize("n", [8, 20, 49, 50, 64, 100, 400])
def test_shares_are_covered_whatever_they_are(n):
    """Exact coverage, by enumeration: never below 93 %, nor wrong on one side in more than 5 % of samples."""
    found = [ends(proportion(yes_no([1] * hits + [0] * (n - hits)))) for hits in range(n + 1)]
    low, high = np.array(found).T
    shares = np.concatenate([np.geomspace(1e-5, 0.05, 150), np.linspace(0.05, 0.5, 250)])[:, None]
    chance = stats.binom.pmf(np.arange(n + 1), n, shares)
    assert (chance * ((low <= shares) & (shares <= high))).sum(axis=1).min() >= 0.93
    assert (chance * (low > shares)).sum(axis=1).max() <= 0.05
    assert (chance * (high < shares)).sum(axis=1).max() <= 0.05


# Clusters.


def test_across_clusters_it_is_t_on_cluster_means():
    values = nested(0)
    theirs = stats.ttest_1samp(values.reshape(16, 20).mean(axis=1), 0).confidence_interval(0.95)
    e = mean(measured(values, TEMPLATES))
    assert ends(e) == pytest.approx((theirs.low, theirs.high))
    assert (e.n, e.clusters, e.across, e.df, e.method) == (320, 16, "templates", 15, "t across clusters")


def test_clusters_of_unequal_size_count_the_same():
    clusters = ("a",) * 3 + ("b",) * 30 + ("c",) * 5 + ("d",) * 4 + ("e",) * 8
    values = draws(9).normal(size=50)
    means = [values[np.array(clusters) == name].mean() for name in "abcde"]
    assert mean(measured(values, clusters)).value == pytest.approx(np.mean(means))
    assert mean(measured(values, clusters), across="these templates").value == pytest.approx(np.mean(means))


def test_these_clusters_leave_out_what_lies_between_them():
    values = nested(1, between=3)
    fixed, drawn = mean(measured(values, TEMPLATES), across="these templates"), mean(measured(values, TEMPLATES))
    within = values.reshape(16, 20).var(axis=1, ddof=1).mean()
    assert fixed.se == pytest.approx(np.sqrt(within / 320))
    assert fixed.se < drawn.se / 4
    assert (fixed.method, fixed.across) == ("stratified bootstrap-t", "these templates")
    assert ends(fixed) == pytest.approx(
        (fixed.value - 1.97 * fixed.se, fixed.value + 1.97 * fixed.se), abs=0.1 * fixed.se
    )


def test_what_is_called_across_prompts_never_ignores_clusters():
    with pytest.raises(ValueError, match="not independent"):
        mean(measured(nested(2), TEMPLATES), across="prompts")
    with pytest.raises(ValueError, match="independent"):
        mean(measured(nested(2)), across="templates")


def test_many_clusters_are_resampled():
    clusters = tuple(f"n{i // 5}" for i in range(200))
    values = draws(10).exponential(size=200)
    e = mean(measured(values, clusters), across="names")
    by_name = mean(measured(np.add.reduceat(values[np.argsort(clusters, kind="stable")], np.arange(0, 200, 5)) / 5))
    assert (e.method, e.clusters, e.across) == ("cluster bootstrap-t", 40, "names")
    assert ends(e) == pytest.approx(ends(by_name))


def test_clustered_shares_that_vary_between_clusters_have_the_interval_of_korn_and_graubard():
    values = (draws(11).random((16, 20)) < draws(12).beta(0.5, 0.5, 16)[:, None]).astype(float)
    p, means = values.mean(), values.mean(axis=1)
    effective = min(320, p * (1 - p) / (means.var(ddof=1) / 16))
    effective *= (stats.t.ppf(0.975, 319) / stats.t.ppf(0.975, 15)) ** 2
    low = stats.beta.ppf(0.025, p * effective, effective * (1 - p) + 1)
    high = stats.beta.ppf(0.975, p * effective + 1, effective * (1 - p))
    e = proportion(yes_no(values.ravel(), TEMPLATES))
    assert ends(e) == pytest.approx((low, high), abs=0.002)  # a little wider, so that no more yes lowers a limit
    assert e.low <= low + 1e-9
    assert e.high >= high - 1e-9
    assert (e.method, e.trials) == ("Korn-Graubard", pytest.approx(effective, rel=0.01))


def test_where_clusters_agree_they_may_yet_be_correlated():
    """At a correlation of .2, 320 answers in 16 templates are worth 67."""
    e = proportion(yes_no(np.ones(320), TEMPLATES))
    assert e.trials == pytest.approx(320 / (1 + 19 * 0.2))
    assert ends(e) == pytest.approx((stats.beta.ppf(0.025, e.trials, 1), 1))
    assert e.notes == (
        "on these templates 1.000 [0.989, 1.000]",
        "no variation seen between clusters",
        "[0.794, 1.000] if the 16 templates were one trial each",
    )


def answers(right: list[int], size: int) -> Measurement:
    """As many yes in each cluster, of `size` units."""
    values = np.concatenate([np.arange(size) < yes for yes in right]).astype(float)
    return yes_no(values, tuple(f"t{cluster:02d}" for cluster in range(len(right)) for _ in range(size)))


@pytest.mark.parametrize(("clusters", "size"), [(5, 5), (5, 20), (8, 10), (16, 20)])
def test_one_more_yes_never_lowers_a_limit(clusters, size):
    """It can widen the spread between clusters, by which Korn and Graubard's limit falls: 100 of 100 had .79 once."""
    rng = draws(clusters + size)
    for _ in range(40):
        right = np.array(rng.binomial(size, rng.beta(*rng.uniform(0.3, 3, 2), clusters)))
        if right.min() == size:
            continue
        more = right.copy()
        more[rng.choice(np.flatnonzero(right < size))] += 1
        before, after = (proportion(answers(list(given), size)) for given in (right, more))
        assert after.low >= before.low - 1e-12
        assert after.high >= before.high - 1e-12


def test_limits_climb_from_no_yes_to_all():
    lows = [
        proportion(answers([20] * full + [part] + [0] * (15 - full), 20)).low for full in range(16) for part in (7, 20)
    ]
    assert lows == sorted(lows)
    assert proportion(answers([19] + [20] * 15, 20)).low < proportion(answers([20] * 16, 20)).low


def test_a_share_is_the_same_seen_from_no_as_from_yes():
    right = [20, 19, 20, 3, 17, 20, 11, 20]
    e, mirrored = proportion(answers(right, 20)), proportion(answers([20 - yes for yes in right], 20))
    assert ends(mirrored) == pytest.approx((1 - e.high, 1 - e.low))


def test_clusters_of_unequal_size_are_worth_less_than_equal_ones():
    sizes = [1] * 8 + [39] * 8
    labels = tuple(f"t{cluster:02d}" for cluster, size in enumerate(sizes) for _ in range(size))
    e = proportion(yes_no(np.ones(320), labels))
    assert e.trials == pytest.approx(16**2 / sum(0.8 / size + 0.2 for size in sizes))


def test_shares_on_these_clusters_are_those_of_as_many_trials():
    values = (draws(13).random(320) < 0.7).astype(float)
    assert ends(proportion(yes_no(values, TEMPLATES), across="these templates")) == ends(proportion(yes_no(values)))


def test_four_clusters_stand_for_themselves_only():
    clusters = tuple("abcd"[i // 20] for i in range(80))
    for estimate in (mean, lambda m: proportion(Measurement(m.values > 0, m.units, clusters=clusters, yes_no=True))):
        with pytest.raises(TooFew, match="across='these templates'"):
            estimate(measured(draws(14).normal(size=80), clusters))
    assert mean(measured(draws(14).normal(size=80), clusters), across="these templates").clusters == 4


# Ratios.


def test_a_ratio_is_the_ratio_of_means_and_not_the_mean_of_ratios():
    part, whole = halves(0)
    e = ratio(part, whole)
    assert e.value == pytest.approx(part.array.mean() / whole.array.mean())
    assert abs((part.array / whole.array).mean() - 0.5) > 5 * abs(e.value - 0.5)


def test_numerator_and_denominator_are_resampled_together():
    _, whole = halves(1)
    own = ratio(whole, Measurement(2 * whole.values, whole.units))
    assert (own.value, own.high - own.low) == (pytest.approx(0.5), pytest.approx(0, abs=1e-9))


def test_every_resample_of_a_ratio_has_its_own_standard_error():
    """Against a plain loop; the numerator has an intercept, so that its residuals go with the denominator."""
    rng, n, t = draws(2), 60, []
    y = draws(3).gamma(2, size=n)
    x = 3 - 0.7 * y + draws(4).normal(0, 0.3, n)
    r = x.mean() / y.mean()
    for _ in range(20_000):
        rows = rng.integers(0, n, n)
        again = x[rows].mean() / y[rows].mean()
        se = (x[rows] - again * y[rows]).std(ddof=1) / np.sqrt(n) / y[rows].mean()
        t.append((again - r) / se)
    se = (x - r * y).std(ddof=1) / np.sqrt(n) / y.mean()
    e = ratio(measured(x), measured(y))
    assert e.se == pytest.approx(se)
    assert ends(e) == pytest.approx(tuple(r - np.quantile(t, [0.975, 0.025]) * se), abs=0.07 * se)


def test_a_clustered_ratio_is_t_on_linearised_residuals():
    part, whole = halves(3, 320, TEMPLATES)
    x, y = (m.array.reshape(16, 20).mean(axis=1) for m in (part, whole))
    r = x.mean() / y.mean()
    reach = stats.t.ppf(0.975, 15) * (x - r * y).std(ddof=1) / np.sqrt(16) / y.mean()
    assert ends(ratio(part, whole)) == pytest.approx((r - reach, r + reach))


def test_a_ratio_on_these_clusters_is_near_the_independent_one_where_they_are_alike():
    part, whole = halves(4, 320, TEMPLATES)
    fixed, free = ratio(part, whole, across="these templates"), ratio(*halves(4, 320))
    assert fixed.value == pytest.approx(free.value)
    assert ends(fixed) == pytest.approx(ends(free), abs=0.3 * free.se)


def test_a_ratio_takes_its_columns_by_name_or_by_order():
    part, whole = halves(5)
    values = np.concatenate([part.values, whole.values], axis=1)
    expected = ends(ratio(part, whole))
    assert ends(ratio(measured(values, columns=("restored", "to restore")))) == expected
    both = measured(np.concatenate([values[:, ::-1], values[:, :1]], axis=1), columns=("total", "1.0", "1.1"))
    assert ends(ratio(both[["1.0", "total"]])) == expected
    assert [e.name for e in ratio(both)] == ["1.0", "1.1"]
    with pytest.raises(ValueError, match="numerator and denominator"):
        ratio(part)


@pytest.mark.parametrize("level", [0.05, 0.0, -2.0])
def test_a_share_of_nothing_is_refused(level):
    """Also where the denominator's mean is above zero, but not beyond doubt."""
    part, _ = halves(6)
    with pytest.raises(RatioRefused, match="not wholly above zero"):
        ratio(part, measured(level + stats.norm.ppf((np.arange(400) + 0.5) / 400)))
    assert ratio(part, measured(0.15 + stats.norm.ppf((np.arange(400) + 0.5) / 400))).n == 400
    with pytest.raises(RatioRefused):
        ratio(part, measured(np.zeros(400)))


def test_a_ratio_of_other_units_is_refused():
    part, whole = halves(8)
    other = Measurement(whole.values, tuple(f"w{row}" for row in range(400)))
    with pytest.raises(ValueError, match="not the same"):
        ratio(part, other)


# Differences and correlations.


def test_a_difference_on_the_same_units_is_paired_whatever_their_order():
    first = measured(draws(0).normal(size=100))
    second = measured(first.array + draws(1).normal(0.1, 0.1, 100))
    e = difference(first, shuffled(second))
    assert ends(e) == ends(mean(measured(first.array - second.array)))
    assert e.high - e.low < 0.05


def test_a_difference_between_samples_is_welchs():
    first = measured(draws(2).normal(0.5, 1, 300))
    second = Measurement(draws(3).normal(0, 3, 200), tuple(f"v{row}" for row in range(200)))
    theirs = stats.ttest_ind(first.array, second.array, equal_var=False)
    e = difference(first, second)
    assert e.value == pytest.approx(first.array.mean() - second.array.mean())
    assert ends(e) == pytest.approx(tuple(theirs.confidence_interval(0.95)), abs=0.12 * e.se)
    clusters = [tuple(f"{name}{i // 20}" for i in range(200)) for name in "ab"]
    first, second = (
        Measurement(m.array[:200], m.units[:200], clusters=c) for m, c in zip((first, second), clusters, strict=True)
    )
    theirs = stats.ttest_ind(
        *(m.array.reshape(10, 20).mean(axis=1) for m in (first, second)), equal_var=False
    ).confidence_interval(0.95)
    assert ends(difference(first, second)) == pytest.approx((theirs.low, theirs.high))


def test_other_prompts_of_the_same_templates_are_paired_by_template():
    first = measured(nested(3, between=3), TEMPLATES)
    second = Measurement(
        first.array + draws(4).normal(size=320), tuple(f"v{i}" for i in range(320)), clusters=TEMPLATES
    )
    pairs = (first.array - second.array).reshape(16, 20).mean(axis=1)
    theirs = stats.ttest_1samp(pairs, 0).confidence_interval(0.95)
    assert ends(difference(first, second)) == pytest.approx((theirs.low, theirs.high))


def test_half_shared_units_are_neither_paired_nor_apart():
    first = measured(np.arange(40.0))
    with pytest.raises(ValueError, match="20 of 40 and 40"):
        difference(first, Measurement(np.arange(40.0), tuple(f"u{row:05d}" for row in range(20, 60))))


def test_two_shares_that_never_differ_still_have_an_interval():
    e = difference(yes_no([1] * 40 + [0] * 10), yes_no([1] * 40 + [0] * 10))
    assert e.value == 0
    assert -0.08 < e.low < -0.03
    assert e.high == -e.low


def test_paired_shares_are_covered():
    """Exact, over all outcomes of n = 50 pairs with few disagreements."""
    n, covered = 50, 0.0
    for up, down in itertools.product(range(20), range(20)):
        chance = stats.multinomial.pmf([up, down, n - up - down], n, [0.10, 0.04, 0.86])
        first = [1] * up + [0] * down + [1] * (n - up - down)
        second = [0] * up + [1] * down + [1] * (n - up - down)
        e = difference(yes_no(first), yes_no(second))
        covered += chance * (e.low <= 0.06 <= e.high)
    assert 0.93 <= covered <= 0.99


def test_two_shares_of_different_units_have_newcombes_interval():
    first, second = (
        yes_no([1] * 80 + [0] * 20),
        Measurement([1] * 30 + [0] * 30, tuple(f"v{i}" for i in range(60)), yes_no=True),
    )
    theirs = confint_proportions_2indep(80, 100, 30, 60, method="newcomb")
    assert ends(difference(first, second)) == pytest.approx(theirs)


def test_one_column_is_compared_with_each_of_several():
    best = measured(draws(5).normal(1, 1, 100))
    others = measured(draws(6).normal(size=(100, 3)), columns=("1.0", "1.1", "1.2"))
    family = difference(best, others)
    assert [e.name for e in family] == ["1.0", "1.1", "1.2"]
    assert family["1.1"].value == pytest.approx(best.array.mean() - others.values[:, 1].mean())


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_correlations_are_scipys(method):
    rng = draws(7)
    x = rng.normal(size=120).round(1)  # with ties
    y = 0.6 * x + rng.normal(size=120)
    theirs = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}[method](x, y)
    e = correlation(measured(x), shuffled(measured(y)), method)
    assert e.value == pytest.approx(theirs.statistic)
    assert e.method == "BCa"
    again = stats.bootstrap(
        (x, y),
        lambda a, b: {"pearson": stats.pearsonr, "spearman": stats.spearmanr}[method](a, b).statistic,
        paired=True, vectorized=False, n_resamples=1000, method="BCa", rng=1,
    ).confidence_interval  # fmt: skip
    assert ends(e) == pytest.approx(tuple(again), abs=0.03)


def test_a_correlation_across_clusters_leaves_out_whole_clusters():
    rng = draws(8)
    x = (rng.normal(size=16)[:, None] + rng.normal(size=(16, 20))).ravel()
    y = (rng.normal(size=16)[:, None] + rng.normal(size=(16, 20))).ravel() + 0.5 * x
    e, alone = correlation(measured(x, TEMPLATES), measured(y, TEMPLATES)), correlation(measured(x), measured(y))
    assert e.value == pytest.approx(stats.pearsonr(x, y).statistic)
    assert e.high - e.low > 1.5 * (alone.high - alone.low)
    assert e.df == 15
    fixed = correlation(measured(x, TEMPLATES), measured(y, TEMPLATES), across="these templates")
    assert fixed.value == pytest.approx(e.value)


def test_nothing_correlates_with_a_constant():
    with pytest.raises(ValueError, match="everywhere"):
        correlation(measured(np.ones(50)), measured(draws(9).normal(size=50)))


# Refusals and bad input.


@pytest.mark.parametrize("n", [1, 2, 19])
def test_a_handful_of_units_has_no_interval(n):
    with pytest.raises(TooFew, match=f"n={n} prompts are too few"):
        mean(measured(draws(0).normal(size=n)))


def test_a_mean_that_hangs_on_one_unit_is_refused():
    values = np.zeros(400)
    values[7] = 1.0
    with pytest.raises(TooFew, match="no variation at all"):
        mean(measured(values))


def test_a_constant_sample_has_no_width_and_says_so():
    e = mean(measured(np.full(100, 0.1)))
    assert ends(e) == pytest.approx((0.1, 0.1))
    assert (e.method, e.se) == ("constant", 0.0)
    assert "no variation seen in 100 prompts" in e.notes[0]
    json.dumps((e >= 0.05).to_dict(), allow_nan=False)


def test_yes_or_no_is_no_mean_and_a_mean_no_share():
    with pytest.raises(TypeError, match="did you mean proportion"):
        mean(yes_no([0, 1] * 50))
    with pytest.raises(TypeError, match="did you mean mean"):
        proportion(measured(draws(2).normal(size=100)))


# What stands beside a number.


def test_the_distribution_stands_beside_the_mean():
    values = draws(9).normal(0.5, 1, 101)
    e = mean(measured(values))
    assert e.distribution.median == pytest.approx(np.median(values))
    assert e.distribution.lower_quartile == pytest.approx(np.percentile(values, 25))
    assert e.distribution.wrong_sign == pytest.approx((values < 0).mean())
    part, whole = halves(10)
    shares = ratio(part, whole)
    assert shares.distribution.median == pytest.approx(np.median(part.array) / whole.array.mean())


def test_the_strip_has_strata_or_else_clusters():
    values = np.arange(40.0)
    strata = tuple(str(8 + row % 4) for row in range(40))
    strip = mean(measured(values, strata=strata)).strip
    assert strip == tuple((str(8 + k), 10, values[k::4].mean()) for k in range(4))  # 8 9 10 11, not 10 11 8 9
    assert [label for label, *_ in mean(measured(nested(6), TEMPLATES)).strip] == sorted(set(TEMPLATES))


def test_sources_are_carried_along():
    part, whole = halves(11)
    part, whole = (Measurement(m.values, m.units, source=f"{name}.jsonl") for m, name in ((part, "a"), (whole, "b")))
    for e in (ratio(part, whole), difference(part, whole), correlation(part, whole)):
        assert e.sources == ("a.jsonl", "b.jsonl")
    assert across_seeds([mean(part), mean(whole), mean(part)]).sources == ("a.jsonl", "b.jsonl")
