"""Error terms of units that share templates, names, operands: mathematics, other programs, simulated worlds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.stats.sandwich_covariance import cov_cluster, cov_cluster_2groups

from mechlib.measurement import Measurement
from mechlib.statistics import TooFew, correlation, difference, distance_correlation, mean, proportion, ratio
from mechlib.statistics.intervals.crossed import beside, design
from tests.helpers.factors import sentences, with_values, worlds, wrong

# --- simulated worlds: 2,000 each, so that limits are two standard errors (.5 points each) outside of 94 to 98 % -----

CELLS = {
    "as in the record": {},
    "8 names": {"names": 8, "pairs": 28},
    "12 names": {"names": 12, "pairs": 40},
    "40 names": {"names": 40, "pairs": 150},
    "100 names": {"names": 100, "pairs": 160},
    "8 templates": {"templates": 8},
    "100 templates": {"templates": 100, "rounds": 2},
    "three names a sentence": {"said": 3},
    "five names a sentence": {"said": 5},
    "names alone": {"clusters": False},
}
SPREADS = {"names": (0.3, 1.0), "both": (1.0, 1.0), "templates": (1.0, 0.0)}


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("cell", CELLS)
def test_means_are_covered_whatever_sentences_share(cell, spread):
    made = design(sentences(**CELLS[cell]))
    spreads = SPREADS[spread] if len(made.incidences) == 2 else (1.0,)
    above, below = wrong(made, worlds(made, spreads, 0.6, 2000))
    assert 0.93 <= 1 - np.mean(above | below) <= 0.99
    assert max(above.mean(), below.mean()) <= 0.045


@pytest.mark.parametrize("cell", CELLS)
def test_independent_sentences_are_covered_though_they_share_names(cell):
    made = design(sentences(**CELLS[cell]))
    above, below = wrong(made, worlds(made, (0.0,) * len(made.incidences), 1.0, 2000))
    assert np.mean(above | below) <= 0.06


def test_intervals_across_templates_alone_miss_where_names_matter():
    """The mistake that the rule exists to catch."""
    shared = sentences()
    alone = design(replace(shared, factors=()), "templates", equal=True)
    values = worlds(design(shared), (0.3, 1.0), 0.6, 500)
    above, below = wrong(alone, values)
    assert np.mean(above | below) >= 0.4


@pytest.mark.parametrize("skewed", ["names", "templates"])
@pytest.mark.parametrize("cell", ["as in the record", "40 names", "100 names", "five names a sentence"])
def test_skewed_levels_are_refused_more_often_than_false(cell, skewed):
    """By the rule of R30, on what levels score; a refusal supports nothing."""
    made = design(sentences(**CELLS[cell]))
    values = worlds(made, (0.5, 1.0), 0.6, 1000, skewed)
    above, below = wrong(made, values)
    for scores in (values, *made.scores(values).values()):
        about = scores - scores.mean(axis=0)
        g1, limit = np.mean(about**3, axis=0) / np.mean(about**2, axis=0) ** 1.5, np.sqrt(len(scores)) / 5
        above, below = above & (g1 >= -limit), below & (g1 <= limit)
    assert max(above.mean(), below.mean()) <= 0.06


def test_means_on_these_names_are_covered_across_templates():
    made = design(sentences(), "these names")
    assert made.scope.across == "templates on these names"
    above, below = wrong(made, worlds(made, (1.0,), 1.0, 2000))
    assert 0.93 <= 1 - np.mean(above | below) <= 0.98


@pytest.mark.parametrize("common", [0.0, 1.0])
def test_differences_of_samples_that_share_levels_are_covered(common):
    """Effects of names and templates that are the same in both samples cancel, others do not."""
    one = sentences()
    two = replace(one, units=tuple(f"v{unit}" for unit in one.units))
    joint, own = beside(design(one), one, design(two), two, None), design(one)
    rng = np.random.default_rng(2)
    values = 0.6 * rng.standard_normal((2, len(one), 2000))
    for levels in own.incidences.values():
        both = rng.standard_normal((levels.shape[1], 2000))
        for sample in values:
            apart = rng.standard_normal((levels.shape[1], 2000))
            sample += levels @ (common * both + 0.3 * apart)
    above, below = wrong(joint, values.reshape(-1, 2000))
    assert 0.93 <= 1 - np.mean(above | below) <= 0.99


# --- other programs, and the formula as it is written -----------------------------------------------------------------


def crossed(rng: np.random.Generator, n: int = 120) -> Measurement:
    """Units with one noun and one word each, in no order."""
    nouns, words = rng.integers(0, 12, n), rng.integers(0, 15, n)
    factors = (("noun", tuple((f"a{i:02d}",) for i in nouns)), ("word", tuple((f"b{i:02d}",) for i in words)))
    return with_values(factors, rng.normal(size=n) + 0.5 * nouns)


def test_two_factors_with_one_level_each_are_those_of_statsmodels():
    measured = crossed(np.random.default_rng(0))
    made, results = design(measured), sm.OLS(measured.array, np.ones(len(measured))).fit()
    groups = [np.unique([level for (level,) in levels], return_inverse=True)[1] for _, levels in measured.factors]
    both, first, second = (found.item() for found in cov_cluster_2groups(results, *groups, use_correction=False))
    residuals = made.residuals(measured.values) * made.weights[:, None]
    assert [(kind.variance(residuals) * kind.kept).item() for kind in made.kinds[:3]] == pytest.approx(
        [both, first, second], rel=1e-10
    )
    assert first == pytest.approx(cov_cluster(results, groups[0], use_correction=False).item(), rel=1e-10)


@pytest.mark.parametrize("said", [2, 5])
def test_the_variance_is_that_of_the_rule_written_out(said):
    """R29 over all pairs of units, in loops."""
    shared = sentences(said=said)
    values = np.random.default_rng(said).normal(size=len(shared))
    n, mine = len(shared), replace(shared, values=values[:, None])
    w, e = np.full(n, 1 / n), values - values.mean()
    levels = [tuple({f"{name} {one}" for one in own[u]} for name, own in shared.factors) for u in range(n)]
    kinds = {
        "all": lambda a, b: any(x & y for x, y in zip(a, b, strict=True)),
        "templates": lambda a, b: a[0] & b[0],
        "names": lambda a, b: a[1] & b[1],
        "pairs": lambda a, b: a[1] == b[1],
        "none": lambda a, b: a is b,
    }
    found = []
    for alike in kinds.values():
        s = np.array([[bool(alike(a, b)) for b in levels] for a in levels], dtype=float)
        found.append(sum(e[u] * s[u, v] * w[u] * w[v] * e[v] for u in range(n) for v in range(n)) / (1 - w @ s @ w))
    order = np.argsort(np.array([f"{c} {u}" for c, u in zip(shared.clusters, shared.units, strict=True)]))
    assert design(mine).variance(values[order][:, None]).item() == pytest.approx(max(found), rel=1e-10)


def test_degrees_of_freedom_are_satterthwaites_written_out():
    made, shared = design(sentences(rounds=4)), sentences(rounds=4)
    n = len(shared)
    order = np.argsort(np.array([f"{c} {u}" for c, u in zip(shared.clusters, shared.units, strict=True)]))
    w, m = np.full(n, 1 / n), np.eye(n) - np.full((n, n), 1 / n)
    z = {
        name: np.array([[level in own[u] for level in sorted({x for o in own for x in o})] for u in order], dtype=float)
        for name, own in shared.factors
    }
    s = sum(own @ own.T for own in z.values()) > 0
    a = m.T @ (s * np.outer(w, w)) @ m
    least = min(np.trace(a @ o) ** 2 / np.trace(a @ o @ a @ o) for o in (own @ own.T for own in z.values()))
    assert made.df == pytest.approx(least, rel=1e-9)


# --- identities -------------------------------------------------------------------------------------------------------


def filled(seed: int = 0, across: float = 1.0) -> Measurement:
    """The record's design with effects of names and templates, and a mean of 1."""
    shared = sentences()
    values = 1 + worlds(design(shared), (0.3, across), 0.6, seed + 1)[:, seed]
    order = np.argsort(np.array([f"{c} {u}" for c, u in zip(shared.clusters, shared.units, strict=True)]))
    placed = np.empty(len(shared))
    placed[order] = values
    return replace(shared, values=placed[:, None])


def permuted(measured: Measurement, order: np.ndarray) -> Measurement:
    return replace(
        measured,
        values=measured.values[order],
        units=tuple(measured.units[row] for row in order),
        clusters=tuple(measured.clusters[row] for row in order),
        factors=tuple((name, tuple(levels[row] for row in order)) for name, levels in measured.factors),
    )


def test_the_order_of_rows_moves_no_digit():
    measured = filled()
    one, other = mean(measured), mean(permuted(measured, np.random.default_rng(0).permutation(len(measured))))
    assert (one.value, one.low, one.high, one.df, one.variance) == (
        other.value, other.low, other.high, other.df, other.variance
    )  # fmt: skip


def test_names_of_levels_do_not_matter_and_intervals_scale_with_values():
    measured = filled()
    other = tuple(
        (name, tuple(tuple(f"another {level}" for level in own) for own in levels)) for name, levels in measured.factors
    )
    one = mean(measured)
    renamed = mean(replace(measured, factors=other, clusters=tuple(level for (level,) in other[0][1])))
    larger = mean(replace(measured, values=1000 * measured.values))
    for found in (renamed, replace(larger, value=larger.value / 1000, low=larger.low / 1000, high=larger.high / 1000)):
        assert (found.value, found.low, found.high) == pytest.approx((one.value, one.low, one.high), rel=1e-12)


def test_levels_that_no_two_units_share_change_nothing():
    rng = np.random.default_rng(0)
    plain = with_values((), rng.normal(size=60))
    own = replace(plain, factors=(("word", tuple((f"w{row}",) for row in range(60))),))
    assert str(mean(own)) == str(mean(plain)) and mean(own).method == "bootstrap-t"


def test_one_factor_with_one_level_a_unit_is_a_cluster():
    rng = np.random.default_rng(0)
    labels = tuple(f"w{row % 12}" for row in range(60))
    clustered = with_values((), rng.normal(size=60), labels)
    named = replace(clustered, clusters=(), factors=(("word", tuple((label,) for label in labels)),))
    one, other = mean(clustered, across="words"), mean(named)
    assert (one.low, one.high, one.across, one.method) == (other.low, other.high, "words", "t across clusters")


def test_an_interval_is_never_narrower_than_that_of_independent_units_or_of_one_factor():
    measured = filled(across=0.0)
    both = design(measured)
    order = np.argsort(np.array([f"{c} {u}" for c, u in zip(measured.clusters, measured.units, strict=True)]))
    values = measured.values[order]
    single = values.var(ddof=1) / len(values)
    templates = values.reshape(16, -1).mean(axis=1).var(ddof=1) / 16
    assert both.variance(values).item() >= max(single, templates) * (1 - 1e-12)


def test_what_these_names_do_is_no_error_on_these_names():
    measured = filled()
    shift = np.array([sum(float(name[1:]) for name in own) for own in dict(measured.factors)["name"]])
    on_these = mean(measured, across="these names")
    moved = mean(replace(measured, values=measured.values + shift[:, None]), across="templates, these names")
    assert moved.se == pytest.approx(on_these.se, rel=1e-9)
    assert mean(measured).se > 1.5 * on_these.se
    assert on_these.across == "templates on these names" and "in 16 templates on these 20 names" in str(on_these)


def test_all_that_is_shared_may_be_held_fixed():
    held = mean(filled(), across="these templates and these names")
    assert held.across == "these templates and these names" and held.df > 200
    assert held.sampled == "prompts" and held.se < mean(filled(), across="these names").se


def test_a_ratio_to_a_constant_is_a_mean():
    measured = filled()
    one, other = mean(measured), ratio(measured, replace(measured, values=np.full((len(measured), 1), 4.0)))
    assert [4 * end for end in (other.value, other.low, other.high)] == pytest.approx([one.value, one.low, one.high])
    assert other.variance == one.variance


def test_a_paired_difference_is_the_mean_of_differences():
    one, two = filled(0), filled(1)
    apart = mean(replace(one, values=one.values - two.values))
    assert str(difference(one, two)) == str(apart) and apart.method == "t, all that is shared"


def test_what_two_samples_share_cancels_in_their_difference():
    """Other sentences with the same names and templates: effects of both are in either mean."""
    one = filled()
    two = replace(one, units=tuple(f"v{unit}" for unit in one.units), values=one.values + 0.5)
    apart = difference(two, one)
    assert apart.value == pytest.approx(0.5) and apart.n == 640
    assert apart.se < 0.5 * mean(one).se
    unlike = replace(two, factors=two.factors[:1])
    with pytest.raises(ValueError, match="compare like with like"):
        difference(unlike, one)


def test_a_difference_of_answers_is_never_narrower_than_of_independent_ones():
    shared = sentences(clusters=False)
    rng = np.random.default_rng(0)
    one, two = (replace(shared, values=rng.integers(0, 2, (len(shared), 1)), yes_no=True) for _ in range(2))
    plain = [replace(answers, factors=()) for answers in (one, two)]
    shared_ends, own = difference(one, two), difference(*plain)
    assert shared_ends.low <= own.low and shared_ends.high >= own.high
    assert shared_ends.across == "names"


def test_a_proportion_is_about_clusters_as_before():
    shared = sentences()
    answers = replace(shared, values=np.random.default_rng(0).integers(0, 2, (len(shared), 1)), yes_no=True)
    found = proportion(answers)
    assert (found.across, found.clusters, found.levels) == ("templates", 16, ())
    assert dict(found.variance).keys() == {"templates", "names", "names together"}


# --- correlations -----------------------------------------------------------------------------------------------------


def test_the_error_of_a_correlation_is_that_of_its_influence():
    """Of Fisher's z in closed form: (xy - r (x^2 + y^2) / 2) / (1 - r^2) of standardised x and y."""
    one, two = filled(0), filled(1)
    two = replace(two, values=0.6 * one.values + two.values)
    found = correlation(one, two)
    x, y = ((m.array - m.array.mean()) / m.array.std() for m in (one, two))
    r = float(np.mean(x * y))
    influence = replace(one, values=((x * y - r * (x**2 + y**2) / 2) / (1 - r**2))[:, None])
    assert found.value == pytest.approx(r) and found.across == "templates and names"
    assert found.se / (1 - r**2) == pytest.approx(mean(influence).se, rel=0.05)


def test_dependence_carried_by_names_is_less_sure_than_by_sentences():
    one, two = filled(0), filled(1)
    alone = [replace(part, clusters=(), factors=()) for part in (one, two)]
    assert distance_correlation(one, two).high > distance_correlation(*alone).high


# --- refusals and sentences -------------------------------------------------------------------------------------------


def test_units_that_nearly_all_share_a_name_are_refused():
    with pytest.raises(TooFew, match=r"templates and names: too many .* \(k = 1\.00, at most 0\.85\).*'these names'"):
        mean(sentences(names=7, pairs=21, said=5))


def test_too_few_levels_are_refused_by_name():
    shared = crossed(np.random.default_rng(0))
    nouns = tuple((f"a{row % 4}",) for row in range(len(shared)))
    few = replace(shared, factors=(("noun", nouns), shared.factors[1]))
    with pytest.raises(TooFew, match=r"4 nouns have \d\.\d degrees of freedom.*these nouns"):
        mean(few, across="nouns and words")


def test_a_factor_of_few_levels_that_nobody_names_is_held_fixed_and_said():
    shared = crossed(np.random.default_rng(0))
    centuries = tuple((f"{12 + row % 4}",) for row in range(len(shared)))
    found = mean(replace(shared, factors=(*shared.factors, ("century", centuries))), across="nouns")
    assert found.across == "nouns and words on these centuries"
    assert found.shown().endswith("words on these 4 centuries")
    assert ("these centuries", 4) in found.levels


def test_naming_one_factor_leaves_the_others_in_the_error():
    assert str(mean(filled(), across="templates")) == str(mean(filled()))


@pytest.mark.parametrize("across", ["nouns", "these nouns", "templates and nouns"])
def test_what_units_do_not_share_is_refused(across):
    with pytest.raises(ValueError, match="these prompts share templates and names"):
        mean(filled(), across=across)


def test_a_mean_says_all_that_it_generalises_over_and_what_limits_it():
    found = mean(filled())
    assert found.across == "templates and names"
    assert found.levels == (("names", 20), ("templates", 16))
    assert (found.sample, found.sampled) == (20, "names")
    assert str(found).endswith("n=320 in 20 names and 16 templates")


def test_several_columns_hold_together():
    measured = filled()
    family = mean(replace(measured, values=np.repeat(measured.values, 3, axis=1), columns=("a", "b", "c")))
    one = mean(measured)
    assert all(member.se == one.se and member.low < one.low and member.simultaneous for member in family)


def test_a_column_without_variation_is_constant():
    found = mean(replace(sentences(), values=np.full((320, 1), 0.1)))
    assert (found.low, found.high, found.method) == (0.1, 0.1, "constant")


# --- shares of variance -----------------------------------------------------------------------------------------------


def test_shares_of_variance_are_adjusted_r_squares():
    measured = filled()
    found = dict(mean(measured).variance)
    for name, levels in (*measured.factors, ("names together", [(" ".join(sorted(own)),) for own in
                                                                dict(measured.factors)["name"]])):  # fmt: skip
        known = sorted({level for own in levels for level in own})
        dummies = np.array([[float(level in own) for level in known] for own in levels])
        expected = sm.OLS(measured.array, sm.add_constant(dummies[:, 1:])).fit().rsquared_adj
        assert found[name if name in found else f"{name}s"] == pytest.approx(max(0.0, expected), abs=1e-4)


def test_names_that_carry_the_variance_are_seen_to():
    found = dict(mean(filled()).variance)
    assert found["names"] > 0.5 > 0.2 > found["templates"]
