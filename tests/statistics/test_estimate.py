"""Estimates and verdicts: three answers, none of which can be negated."""

import json
import math
import operator
import random

import numpy as np
import pytest
from scipy import stats

from mechlib.measurement import Measurement
from mechlib.statistics import mean, proportion
from mechlib.statistics.estimate import Estimate, plural
from mechlib.statistics.families import Family, every, some
from mechlib.statistics.intervals import tails
from mechlib.verdicts.verdict import Gated, Inconclusive, Refuted, Verdict, judging, requires
from tests.helpers.samples import TEMPLATES, draws, measured, yes_no


def between(low: float, high: float, name: str = "", **fields: object) -> Estimate:
    """An estimate in the middle of an interval, from 200 prompts."""
    value, se = (low + high) / 2, (high - low) / (2 * tails.t_quantile(0.975, 199))
    said = {"n": 200, "unit": "prompt", "across": "prompts", "method": "bootstrap-t", "df": 199, "name": name, **fields}
    return Estimate(value=value, low=low, high=high, se=se, **said)


WANTED = [
    (">=", 0.40, "SUPPORTED"),
    (">=", 0.50, "INCONCLUSIVE"),
    (">=", 0.60, "REFUTED"),
    ("<=", 0.60, "SUPPORTED"),
    ("<=", 0.50, "INCONCLUSIVE"),
    ("<=", 0.40, "REFUTED"),
    (">=", 0.45, "SUPPORTED"),  # the end itself belongs to the interval
    (">", 0.45, "INCONCLUSIVE"),
    (">=", 0.55, "INCONCLUSIVE"),
    (">", 0.55, "REFUTED"),
    ("<=", 0.55, "SUPPORTED"),
    ("<", 0.55, "INCONCLUSIVE"),
    ("<", 0.45, "REFUTED"),
]


def compared(left: object, sign: str, right: object) -> Verdict:
    return eval(f"left {sign} right", {"left": left, "right": right})


@pytest.mark.parametrize(("sign", "bound", "word"), WANTED)
def test_an_interval_is_on_one_side_on_the_other_or_on_both(sign, bound, word):
    assert compared(between(0.45, 0.55), sign, bound).word == word


@pytest.mark.parametrize("number", [float, np.float64, np.float32, lambda x: np.array(x)[()]])
def test_a_number_on_the_left_means_the_same(number):
    mirrored = {">=": "<=", "<=": ">=", ">": "<", "<": ">"}
    for sign, bound, word in WANTED:
        if bound in (0.40, 0.50, 0.60):  # float32 moves the others across the end
            verdict = compared(number(bound), mirrored[sign], between(0.45, 0.55))
            assert (verdict.word, verdict.bounds[0][0]) == (word, sign)


def test_a_verdict_is_true_or_raises():
    e = between(0.45, 0.55)
    assert bool(e >= 0.4) is True
    with pytest.raises(Refuted) as refuted:
        bool(e >= 0.6)
    with pytest.raises(Inconclusive):
        bool(e >= 0.5)
    assert refuted.value.verdict.word == "REFUTED"
    assert isinstance(refuted.value, AssertionError)


@pytest.mark.parametrize(
    "negation",
    [
        lambda e: not (e >= 0.6),
        lambda e: (e >= 0.6) or True,
        lambda e: any([e >= 0.6, True]),
        lambda e: "wrong" if (e >= 0.6) else "right",
        lambda e: all([e >= 0.6]) is False,
        lambda e: [1 for _ in [0] if not (e >= 0.6)],
    ],
)
def test_a_refutation_cannot_be_turned_into_a_pass(negation):
    with pytest.raises(Refuted):
        negation(between(0.45, 0.55))


def test_a_supported_verdict_cannot_be_negated_into_a_pass():
    with pytest.raises(AssertionError):
        assert not (between(0.45, 0.55) >= 0.4)


@pytest.mark.parametrize(
    ("misuse", "hint"),
    [
        (lambda e: bool(e), "did you mean estimate >= 0.4"),
        (lambda e: e == 0, "-0.05 <= estimate <= 0.05"),
        (lambda e: e != 0, "did you mean estimate >= margin"),
        (lambda e: 0 == e, "-0.05 <= estimate <= 0.05"),
        (lambda e: e > between(0.1, 0.2), r"difference\(a, b\) > 0"),
        (lambda e: e >= every([e]), "difference"),
        (lambda e: e >= (e >= 0.4), "two claims"),
        (lambda e: e >= True, "did you mean a number"),
        (lambda e: e >= "0.4", "did you mean a number"),
        (lambda e: e >= np.array([0.1, 0.2]), "did you mean a number"),
        (lambda e: float(e), "estimate.value"),
        (lambda e: Family((e,)) >= 0.4, r"every\(estimates\) >= b"),
        (lambda e: bool(Family((e,))), r"every\(estimates\) >= b"),
        (lambda e: bool(every([e])), r"every\(estimates\) >= 0.4"),
        (lambda e: every([e]) == 0, "margin"),
        (lambda e: every(e), "compare it as it is"),
        (lambda e: every([e >= 0.4]), r"every\(estimates\) >= 0.4"),
        (lambda e: some([0.4]), r"mean\(...\)"),
        (lambda e: requires(e), r"requires\(estimate >= 0.9\)"),
        (lambda e: requires(True), r"requires\(estimate >= 0.9\)"),
    ],
)
def test_misuse_is_refused_with_what_was_meant(misuse, hint):
    with pytest.raises(TypeError, match=hint):
        misuse(between(0.45, 0.55))


@pytest.mark.parametrize("bound", [math.nan, math.inf, -math.inf])
def test_a_bound_that_decides_nothing_is_refused(bound):
    with pytest.raises(ValueError, match="finite"):
        _ = between(0.45, 0.55) >= bound


def test_an_estimate_without_a_number_is_refused():
    with pytest.raises(ValueError, match="nan"):
        between(math.nan, 0.5)
    with pytest.raises(ValueError, match="upside down"):
        between(0.5, 0.4)
    with pytest.raises(ValueError, match="selection is empty"):
        every([])


@pytest.mark.parametrize(
    ("low", "high", "word"), [(-0.01, 0.02, "SUPPORTED"), (-0.06, 0.02, "INCONCLUSIVE"), (0.06, 0.09, "REFUTED")]
)
def test_a_chain_is_one_verdict_over_the_margin(low, high, word):
    e = between(low, high)
    with judging(chained=True) as judged:
        try:
            assert -0.05 <= e <= 0.05
        except (Refuted, Inconclusive):
            pass
    assert [verdict.word for verdict in judged.verdicts] == [word]
    assert judged.asserted is judged.verdicts[0]
    assert len(judged.asserted.bounds) == 2


def test_a_chain_written_from_above_is_the_same():
    with judging(chained=True) as judged:
        assert 0.05 >= between(-0.01, 0.02) >= -0.05
    assert str(judged.asserted).startswith("-0.05 <= 0.005 [-0.010, 0.020] n=200 <= 0.05")


def test_a_chain_is_one_verdict_without_pytests_rewriting_too():
    for low, word in ((-0.05, "SUPPORTED"), (0.01, "INCONCLUSIVE"), (0.03, "REFUTED")):
        with judging(chained=True) as judged:
            try:
                eval("low <= e <= 0.05", {"e": between(-0.01, 0.02), "low": low})
                judged.asserted or eval("bool(low <= e <= 0.05)", {"e": between(-0.01, 0.02), "low": low})
            except (Refuted, Inconclusive):
                pass
        assert [verdict.word for verdict in judged.verdicts][-1] == word
        assert len(judged.asserted.bounds) == 2


def test_an_earlier_comparison_of_the_same_estimate_is_no_half_of_a_chain():
    e = between(-0.01, 0.02)
    with judging(chained=True) as judged:
        _ = e <= 0.9
        requires(e <= 0.8)
        assert -0.05 <= e <= 0.05
    assert [verdict.bound for verdict in judged.verdicts] == ["<= 0.90", "<= 0.80", "within -0.05 and 0.05"]


def test_a_gate_may_be_a_chain_in_a_chained_claim():
    with judging(chained=True) as judged:
        requires(-0.05 <= between(-0.01, 0.02) <= 0.05)
        assert -0.05 <= between(-0.01, 0.03) <= 0.05
    assert [len(verdict.bounds) for verdict in judged.gates] == [2]
    assert [len(verdict.bounds) for verdict in judged.verdicts] == [2, 2]


def test_outside_a_chained_claim_the_first_half_decides():
    with pytest.raises(Refuted), judging(chained=False):
        assert 0.6 <= between(0.45, 0.55) <= 0.7


def test_half_a_chain_decides_nothing():
    with judging(chained=True) as judged:
        bool(between(0.45, 0.55) >= 0.6)
    assert judged.asserted is None
    with pytest.raises(TypeError, match="half a chain"), judging(chained=True):
        _ = bool(between(0.45, 0.55) >= 0.6)
        _ = bool(between(0.45, 0.55) >= 0.4)


def test_a_margin_must_have_two_sides_and_room():
    with pytest.raises(ValueError, match="turn the margin round"), judging(chained=True):
        assert 0.05 <= between(0.0, 0.01) <= -0.05
    with pytest.raises(TypeError, match="one side"), judging(chained=True):
        e = between(0.0, 0.01)
        assert (e >= -0.05) and (e >= -0.04)


def test_every_comparison_is_recorded():
    e = between(0.45, 0.55)
    with judging() as judged:
        _ = e >= 0.1
        requires(e >= 0.2)
        _ = every([e, e]) >= 0.3
        assert e >= 0.4
    assert [verdict.bounds[0][1] for verdict in judged.verdicts] == [0.1, 0.2, 0.3, 0.4]
    assert [verdict.bounds[0][1] for verdict in judged.gates] == [0.2]
    assert judged.asserted is judged.verdicts[-1]


def test_judgements_do_not_leak_into_one_another():
    with judging() as outer:
        with judging() as inner:
            _ = between(0.45, 0.55) >= 0.1
        _ = between(0.45, 0.55) >= 0.2
    assert (len(outer.verdicts), len(inner.verdicts)) == (1, 1)


def test_a_gate_opens_only_on_supported():
    e = between(0.45, 0.55)
    requires(e >= 0.4)
    for bound in (0.5, 0.6):
        with pytest.raises(Gated, match=r"0\.500 \[0\.450, 0\.550\]|0\.500 \[0\.45"):
            requires(e >= bound)
    with judging(gates_open=True) as judged:
        requires(e >= 0.6)
    assert len(judged.gates) == 1


@pytest.mark.parametrize(
    ("group", "bound", "word"),
    [
        (every, 0.1, "SUPPORTED"),
        (every, 0.3, "INCONCLUSIVE"),  # one supported, one straddles
        (every, 0.5, "REFUTED"),  # one supported, one wholly below
        (some, 0.5, "SUPPORTED"),
        (some, 0.7, "INCONCLUSIVE"),
        (some, 0.9, "REFUTED"),  # all upper ends below
    ],
)
def test_groups_have_the_word_of_their_worst_or_best_member(group, bound, word):
    family = Family((between(0.2, 0.4, "1.0"), between(0.6, 0.8, "1.1")))
    verdict = group(family) >= bound
    assert verdict.word == word
    assert [member.estimate.name for member in verdict.members] == ["1.0", "1.1"]
    assert verdict.estimate.name == ("1.0" if group is every else "1.1")


def test_a_margin_holds_for_every_member():
    family = Family((between(-0.01, 0.02), between(0.03, 0.06)))
    with pytest.raises(Inconclusive), judging(chained=True) as judged:
        assert -0.05 <= every(family) <= 0.05
    assert [verdict.word for verdict in judged.verdicts] == ["INCONCLUSIVE"]


def test_unrelated_estimates_are_widened_as_bonferroni_says():
    given = [between(0.45, 0.55), between(0.45, 0.55), between(0.45, 0.55)]
    wide = (every(given) >= 0.1).estimate
    factor = stats.t.ppf(1 - 0.025 / 3, 199) / stats.t.ppf(0.975, 199)
    assert wide.high - wide.value == pytest.approx(factor * 0.05)
    assert (every([given[0]]) >= 0.1).estimate.high == 0.55
    assert (every(Family(tuple(given))) >= 0.1).estimate.high == 0.55


def test_a_widened_share_is_the_interval_at_the_smaller_level():
    share = Estimate(0.9, *tails.wilson(0.9, 200), 200, "prompt", "prompts", "Wilson", 0.02, trials=200.0)
    wide = (every([share] * 5) >= 0.1).estimate
    expected = stats.binomtest(180, 200).proportion_ci(0.99, "wilson")
    assert (wide.low, wide.high) == pytest.approx((expected.low, expected.high))


def test_the_line_of_a_refutation_is_as_in_the_design():
    e = Estimate(0.473, 0.446, 0.5, 200, "prompt", "prompts", "bootstrap-t", 0.0137)
    assert str(e >= 0.6) == "0.473 [0.446, 0.500] n=200 >= 0.60"
    assert str(e >= 0.44599) == "0.47300 [0.44600, 0.50000] n=200 >= 0.44599"


def test_no_end_is_printed_as_the_bound_that_it_is_not():
    assert str(between(0.5996, 0.71) >= 0.6).startswith("0.6548 [0.5996, 0.7100]")


def test_clusters_are_named_in_the_line():
    random_ones = between(0.4, 0.5, n=320, clusters=16, across="templates")
    fixed = between(0.4, 0.5, n=320, clusters=16, across="these templates")
    assert str(random_ones).endswith("n=320 in 16 templates")
    assert str(fixed).endswith("n=320 on these 16 templates")
    assert (random_ones.sample, random_ones.sampled) == (16, "templates")
    assert (fixed.sample, fixed.sampled) == (320, "prompts")


def test_the_sample_that_would_decide_has_power_of_eighty_percent():
    e = between(0.45, 0.55)
    verdict = e >= 0.48
    needed = verdict.n_to_decide
    se = e.se * math.sqrt(200 / needed)
    power = stats.norm.sf(1.96 - 0.02 / se)
    assert power == pytest.approx(0.80, abs=0.005)
    assert verdict.detectable == pytest.approx((1.959964 + 0.841621) * e.se, rel=1e-6)
    assert f"{needed:,} fresh prompts would decide it" in str(verdict)


def test_a_hopeless_plan_says_so():
    verdict = between(0.45, 0.55) >= 0.5
    assert verdict.n_to_decide is None
    assert "more than 100x as many prompts" in str(verdict)


def test_what_decides_a_group_is_its_slowest_or_fastest_member():
    family = Family((between(0.45, 0.55), between(0.42, 0.52)))  # straddle .48 by .02 and by .01
    assert (every(family) >= 0.48).n_to_decide == (family.estimates[1] >= 0.48).n_to_decide
    assert (some(family) >= 0.48).n_to_decide == (family.estimates[0] >= 0.48).n_to_decide


def test_a_bound_within_monte_carlo_error_of_an_end_counts_as_straddled():
    assert (between(0.45, 0.55, monte_carlo=0.001) >= 0.4485).word == "INCONCLUSIVE"
    assert (between(0.45, 0.55, monte_carlo=0.001) >= 0.4475).word == "SUPPORTED"
    assert (between(0.45, 0.55, monte_carlo=0.001) >= 0.5515).word == "INCONCLUSIVE"
    assert (between(0.45, 0.55, monte_carlo=0.001) >= 0.5525).word == "REFUTED"


def test_trainings_are_counted_beside_their_mean():
    strip = tuple((str(seed), 1, value) for seed, value in enumerate((0.5, 0.6, 0.7, 0.8, 0.9)))
    e = between(0.55, 0.85, n=5, unit="training", across="trainings", strip=strip)
    assert "in 5 of 5 trainings (at least 48 %)" in str(e >= 0.5)
    assert "in 4 of 5 trainings (at least 28 %)" in str(e >= 0.55)
    assert stats.binomtest(5, 5).proportion_ci(method="exact").low == pytest.approx(0.478, abs=5e-4)


def test_p_is_one_in_twenty_where_the_bound_is_the_end():
    rng = random.Random(0)
    for _ in range(20):
        low, high = sorted(rng.uniform(-1, 1) for _ in range(2))
        e = Estimate(low + rng.random() * (high - low), low, high, 50, "prompt", "prompts", "bootstrap-t", 0.1, df=49)
        assert (e >= low).p_supported == pytest.approx(0.05)
        assert (e <= high).p_supported == pytest.approx(0.05)
        assert (e >= high).p_refuted == pytest.approx(0.05)


def test_p_of_a_symmetric_interval_is_that_of_the_t_test():
    values = np.random.default_rng(0).normal(0.5, 1, 30)
    test = stats.ttest_1samp(values, 0.2)
    low, high = test.confidence_interval(0.95)
    e = Estimate(values.mean(), low, high, 30, "prompt", "prompts", "t", stats.sem(values), df=29)
    assert (e >= 0.2).p_supported == pytest.approx(test.pvalue)
    assert (e <= 0.2).p_refuted == pytest.approx(test.pvalue)
    assert (e <= 0.2).p_supported == 1.0


@pytest.mark.parametrize("hits", [0, 3, 150, 197, 200])
def test_p_of_a_share_is_that_of_its_own_test(hits):
    share, test = hits / 200, stats.binomtest(hits, 200)
    exact = Estimate(share, *tails.clopper_pearson(share, 200), 200, "p", "p", "Clopper-Pearson", 0.02, trials=200.0)
    score = Estimate(share, *tails.wilson(share, 200), 200, "p", "p", "Wilson", 0.02, trials=200.0)
    for bound in (0.1, 0.5, 0.9, 0.97):
        one_sided = stats.binomtest(hits, 200, bound, "greater").pvalue
        if share > bound:
            assert (exact >= bound).p_supported == pytest.approx(min(1, 2 * one_sided))
            z = (share - bound) / math.sqrt(bound * (1 - bound) / 200)
            assert (score >= bound).p_supported == pytest.approx(2 * stats.norm.sf(z))
    assert test.n == 200


def test_p_of_a_chain_is_the_larger_and_against_it_the_smaller():
    e = between(0.45, 0.55)
    with judging(chained=True):
        chain = e.held_against(((">=", 0.4), ("<=", 0.56)))
    assert chain.p_supported == (e <= 0.56).p_supported
    outside = e.held_against(((">=", 0.1), ("<=", 0.4)))
    assert outside.p_refuted == (e <= 0.4).p_refuted


def test_p_agrees_with_the_word_for_groups():
    rng = random.Random(1)
    for _ in range(200):
        members = tuple(between(*sorted(rng.uniform(0, 1) for _ in range(2))) for _ in range(3))
        for group in (every, some):
            verdict = group(Family(members)) >= rng.uniform(0, 1)
            assert (verdict.p_supported <= 0.05) == (verdict.word == "SUPPORTED")
            assert (verdict.p_refuted <= 0.05) == (verdict.word == "REFUTED")


def test_an_exact_number_has_no_doubt():
    e = Estimate(0.3, 0.3, 0.3, 1, "checkpoint", "this checkpoint", "exact", 0.0)
    assert (e >= 0.3).word == "SUPPORTED"
    assert (e > 0.3).word == "REFUTED"
    assert (e >= 0.2).p_supported == 0.0
    assert (e >= 0.4).p_refuted == 0.0
    assert str(e >= 0.2) == "0.3 exactly >= 0.20"


def test_everything_a_report_prints_is_plain_json():
    members = Family((between(0.2, 0.4, "1.0", df=np.int64(7), strip=(("a", 3, 0.1),)), between(0.6, 0.8, "1.1")))
    for verdict in (every(members) >= 0.3, between(0.45, 0.55) >= 0.5, between(0.45, 0.55) <= 0.9):
        plain = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
        assert plain["text"] == str(verdict)
        assert plain["word"] == verdict.word
        assert plain["estimate"]["low"] == verdict.estimate.low


def test_plurals_are_english():
    words = ("prompt", "set of heads", "entry", "class", "batch", "key", "pair")
    assert [plural(word) for word in words] == [
        "prompts", "sets of heads", "entries", "classes", "batches", "keys", "pairs"
    ]  # fmt: skip


@pytest.mark.parametrize("df", [1, 4, 15, 29, 399, 10_000, None])
def test_t_is_scipys(df):
    theirs = stats.norm if df is None else stats.t(df)
    for p in (0.6, 0.975, 1 - 0.025 / 144):
        assert tails.t_quantile(p, df) == pytest.approx(theirs.ppf(p), rel=1e-10)
    for t in (-2.0, 0.0, 0.3, 3.3, 6.0):
        assert tails.t_tail(t, df) == pytest.approx(theirs.sf(t), rel=1e-9)


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (2, 5), (390, 3.5), (200, 200), (2, 0.5), (1, 700)])
def test_beta_is_scipys(a, b):
    for x in (1e-8, 0.01, 0.3, 0.5, 0.97, 0.9999):
        assert tails.beta_cdf(x, a, b) == pytest.approx(stats.beta.cdf(x, a, b), rel=1e-9, abs=1e-14)
    for p in (1e-4, 0.025, 0.5, 0.975):
        assert tails.beta_quantile(p, a, b) == pytest.approx(stats.beta.ppf(p, a, b), rel=1e-9)


@pytest.mark.parametrize("n", [1, 7, 49, 50, 400])
def test_shares_have_scipys_intervals(n):
    for hits in {0, 1, n // 3, n // 2, n - 1, n}:
        for level in (0.05, 0.05 / 32):
            theirs = stats.binomtest(hits, n).proportion_ci(1 - level, "exact")
            assert tails.clopper_pearson(hits / n, n, level) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
            theirs = stats.binomtest(hits, n).proportion_ci(1 - level, "wilson")
            assert tails.wilson(hits / n, n, level) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize("calculate", [operator.add, operator.sub, operator.mul, operator.truediv])
def test_estimates_are_not_calculated_with_and_the_error_names_difference_and_ratio(calculate):
    estimate = between(0.45, 0.55)
    for sides in ((estimate, between(0.1, 0.2)), (estimate, 0.5), (np.float64(0.5), estimate)):
        with pytest.raises(TypeError, match=r"did you mean difference\(a, b\), ratio\(a, b\), or another bound"):
            calculate(*sides)
    for one in (operator.neg, abs):
        with pytest.raises(TypeError, match="did you mean"):
            one(estimate)


def test_a_gate_asks_about_the_prompts_at_hand_and_a_claim_about_all_templates():
    """So that a model that gets 320 of 320 right is not gated for what templates might show that nobody wrote."""
    right = proportion(Measurement(np.ones(320), [str(row) for row in range(320)], clusters=TEMPLATES, yes_no=True))
    for subject in (right, every([right]), every([right, right])):
        verdict = subject >= 0.95
        assert verdict.word == "INCONCLUSIVE"
        requires(verdict)
        with judging() as judged:
            requires(subject >= 0.95)
        assert [gate.word for gate in judged.gates] == ["SUPPORTED"]
        assert judged.verdicts == judged.gates
        with pytest.raises(Gated, match="on these 16 templates"):
            requires(subject >= 0.99)


def test_what_is_no_share_across_clusters_is_the_same_for_a_gate():
    e = mean(measured(draws(1).normal(size=40)))
    assert e.of_units_at_hand() is e
    fixed = proportion(yes_no(np.ones(320), TEMPLATES), across="these templates")
    assert fixed.of_units_at_hand() is fixed


def test_p_of_a_clustered_share_is_one_in_twenty_where_the_bound_is_the_end():
    e = proportion(yes_no(np.r_[np.zeros(25), np.ones(295)], TEMPLATES))
    assert e.level(e.low, above=True) == pytest.approx(0.05)
    assert e.level(e.high, above=False) == pytest.approx(0.05)
    assert (e.level(1, above=False), e.level(0, above=True)) == (0, 0)
