"""Circuits as hypotheses: known answers, references, and how often a false one is supported."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import stats

from mechlib.measurement import Measurement
from mechlib.statistics import (
    RatioRefused,
    TooFew,
    above_null,
    correlation,
    difference,
    distance_correlation,
    equivalence,
    independence,
    mean,
    minimality,
    partial_necessity,
    sufficiency,
)
from mechlib.statistics.circuits.units import size, times
from mechlib.statistics.families import Family, every
from tests.helpers.samples import TEMPLATES, draws, ends, measured, shuffled


def scores(clusters: tuple[str, ...] = (), **columns: np.ndarray) -> Measurement:
    return measured(np.stack(list(columns.values()), axis=1), clusters, columns=tuple(columns))


def model_scores(seed: int = 0, n: int = 400) -> np.ndarray:
    """Of a model that is right on every prompt."""
    return draws(seed).uniform(2, 4, n)


# Estimates in other units.


def test_a_mirrored_estimate_is_that_of_mirrored_values():
    values = draws(1).exponential(size=300)
    turned, own = times(mean(measured(values)), -2), mean(measured(-2 * values))
    assert (turned.value, turned.low, turned.high, turned.se) == pytest.approx((own.value, own.low, own.high, own.se))
    assert (turned.distribution.minimum, turned.distribution.median) == pytest.approx(
        (own.distribution.minimum, own.distribution.median)
    )


def test_without_its_sign_an_interval_is_within_a_margin_exactly_if_it_was():
    for seed, margin in product(range(40), (0.1, 0.2)):
        e = mean(measured(draws(seed).normal(draws(seed).uniform(-0.3, 0.3), 1, 400)))
        inside, outside = -margin <= e.low and e.high <= margin, e.low > margin or e.high < -margin
        assert (size(e).high <= margin, size(e).low > margin) == (inside, outside)
    lopsided = replace(mean(measured(draws(1).normal(size=400))), value=0.1, low=-0.5, high=0.2)
    assert (ends(size(lopsided)), ends(size(times(lopsided, -1)))) == ((0, 0.5), (0, 0.5))


# Equivalence.


def test_the_model_is_equivalent_to_itself_however_it_was_computed():
    model = model_scores()
    for circuit in (model, model * (1 + 1e-6), model - 1e-5 * draws(1).random(400)):
        assert (every(equivalence(scores(model=model, circuit=circuit))) <= 1).word == "SUPPORTED"


def test_small_noise_around_zero_is_equivalent():
    model = model_scores()
    circuit = model + draws(2).normal(0, 0.1, 400)
    assert (every(equivalence(scores(model=model, circuit=circuit))) <= 1).word == "SUPPORTED"


@pytest.mark.parametrize(
    ("change", "decides"),
    [
        (lambda model, noise: 0 * model + 0.1 * noise, "how far apart"),  # the empty circuit
        (lambda model, noise: model + noise, "how far apart"),
        (lambda model, noise: model + 0.05 + 0.05 * noise, "which is ahead"),
        (lambda model, noise: model - 0.05 + 0.05 * noise, "which is ahead"),
    ],
    ids=["empty", "noisy", "a little better", "a little worse"],
)
def test_what_is_not_the_model_is_not_equivalent(change, decides):
    model = model_scores()
    verdict = every(equivalence(scores(model=model, circuit=change(model, draws(3).normal(size=400))))) <= 1
    refuting = {member.estimate.name for member in verdict.members if member.word == "REFUTED"}
    assert verdict.word == "REFUTED" and decides in refuting


@pytest.mark.parametrize(("off", "word"), [(1.0, "SUPPORTED"), (0.01, "INCONCLUSIVE")])
def test_equivalence_names_a_circuit_that_it_is_seen_to_tell_from_the_model(off, word):
    model = model_scores()
    noise = draws(2).normal(0, 0.1, 400)
    other = scores(model=model, circuit=model + off * draws(3).normal(size=400))
    verdict = every(equivalence(scores(model=model, circuit=model + noise), beside=other)).held_against((("<=", 1),))
    assert verdict.word == word
    assert [control.word for control in verdict.controls] == ["passed" if word == "SUPPORTED" else "weak"]


def test_equivalence_is_about_a_probability_and_not_about_the_mean_difference():
    """The mean difference is zero here, and yet the circuit is behind on nine prompts of ten."""
    model, behind = model_scores(), np.tile([0.9] + [-0.1] * 9, 40)
    m = scores(model=model, circuit=model + 0.5 * behind)
    ahead = equivalence(m)["which is ahead"]
    assert mean(m.less("circuit", "model")).value == pytest.approx(0)
    assert ahead.value == pytest.approx((0.9 - 0.5) / 0.1)
    assert (every(equivalence(m)) <= 1).word == "REFUTED"
    assert equivalence(m, ahead=0.2)["which is ahead"].value == pytest.approx(2)


def test_how_far_apart_is_a_ratio_of_means_in_units_of_its_margin():
    model = model_scores()
    off = draws(4).normal(0, 0.2, 400)
    m = scores(model=model, circuit=model + off)
    assert equivalence(m, apart=0.05)["how far apart"].value == pytest.approx(np.abs(off).mean() / model.mean() / 0.05)
    with pytest.raises(RatioRefused):
        equivalence(scores(model=model - model.mean(), circuit=model))


def supported(
    world: Callable[[np.random.Generator], Measurement], judged: Callable, bound: float, worlds: int
) -> float:
    """In what share of worlds `every(judged(world)) <= bound` is SUPPORTED; refusals support nothing."""
    rng, found = draws(7), 0
    for _ in range(worlds):
        try:
            found += (every(judged(world(rng))) <= bound).word == "SUPPORTED"
        except TooFew:
            pass
    return found / worlds


@pytest.mark.parametrize("clusters", [(), TEMPLATES], ids=["prompts", "templates"])
def test_a_circuit_on_the_margin_is_seldom_supported(clusters):
    def on_the_first_margin(rng):
        model, ahead = rng.uniform(2, 4, 320), rng.random(320) < 0.6
        return scores(clusters, model=model, circuit=model + np.where(ahead, 0.1, -0.1) * rng.random(320))

    def on_the_second(rng):
        model, sign = rng.uniform(2, 4, 320), rng.choice([-1, 1], 320)
        return scores(clusters, model=model, circuit=model + sign * rng.exponential(0.3, 320))

    for world in (on_the_first_margin, on_the_second):
        assert supported(world, equivalence, 1, 150 if clusters else 60) <= 0.05


# Independence.


def naive_distance_correlation(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Squared, bias-corrected and as first defined, from centred matrices as in the papers."""
    n, pairs = len(x), [np.abs(np.subtract.outer(part, part)) for part in (x, y)]
    unbiased, plain = [], []
    for a in pairs:
        rows, total = a.sum(axis=0), a.sum()
        u = a - rows / (n - 2) - rows[:, None] / (n - 2) + total / (n - 1) / (n - 2)
        np.fill_diagonal(u, 0)
        unbiased.append(u)
        plain.append(a - a.mean(axis=0) - a.mean(axis=1)[:, None] + a.mean())
    return tuple((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()) for a, b in (unbiased, plain))


def test_distance_correlation_is_that_of_the_papers():
    rng = draws(5)
    x = rng.normal(size=60)
    for y in (x**2 + rng.normal(size=60), np.round(2 * x), rng.normal(size=60)):
        e = distance_correlation(measured(x), measured(y))
        assert e.value == pytest.approx(np.sqrt(max(0, naive_distance_correlation(x, y)[0])), abs=1e-12)


def test_its_jackknife_leaves_out_one_prompt_or_one_template():
    rng = draws(6)
    x, clusters = rng.normal(size=64), tuple(f"t{row % 8}" for row in range(64))
    y = np.abs(x) + rng.normal(size=64)
    root = np.sqrt(naive_distance_correlation(x, y)[1])
    for labels, clustered in ((np.arange(64), ()), (np.arange(64) % 8, clusters)):
        left = [
            np.sqrt(naive_distance_correlation(x[labels != label], y[labels != label])[1])
            for label in np.unique(labels)
        ]
        count = len(left)
        se = np.sqrt((count - 1) / count * np.sum((np.array(left) - np.mean(left)) ** 2))
        e = distance_correlation(measured(x, clustered), measured(y, clustered))
        assert e.high == pytest.approx(root + stats.t.ppf(0.975, count - 1) * se)
        wider = distance_correlation(measured(x, clustered), measured(y, clustered), family=2)
        assert wider.high == pytest.approx(root + stats.t.ppf(1 - 0.0125, count - 1) * se)


def test_scaling_or_reordering_moves_no_distance_correlation():
    x, y = draws(7).normal(size=(2, 50))
    first, second = measured(x), measured(y)
    e = distance_correlation(first, second)
    assert ends(distance_correlation(measured(3 * x + 1), measured(-y))) == pytest.approx(ends(e))
    assert ends(distance_correlation(shuffled(first), shuffled(second, 1))) == ends(e)


def test_it_sees_what_rank_correlation_does_not():
    x = draws(8).normal(size=200)
    m = scores(model=x, without=x**2)
    ranks, distances = independence(m)
    assert ranks.value < 0.2 and distances.low > 0.2
    assert (every(independence(m)) <= 0.2).word == "REFUTED"


@pytest.mark.parametrize(
    ("without", "word"),
    [
        (lambda model, noise: 0 * model, "SUPPORTED"),
        (lambda model, noise: 1 + 1e-5 * model, "SUPPORTED"),  # constant but for arithmetic
        (lambda model, noise: 0.1 * noise, "SUPPORTED"),
        (lambda model, noise: 0.5 * model, "REFUTED"),
        (lambda model, noise: -model + noise, "REFUTED"),
    ],
    ids=["constant", "as good as constant", "noise", "half the model", "against the model"],
)
def test_what_is_left_depends_on_the_model_or_not(without, word):
    model = model_scores(n=400)
    m = scores(model=model, without=without(model, draws(9).normal(size=400)))
    assert (every(independence(m)) <= 0.2).word == word


def test_independence_is_of_a_model_that_varies():
    with pytest.raises(ValueError, match="everywhere"):
        independence(scores(model=np.ones(50), without=draws(1).normal(size=50)))
    with pytest.raises(ValueError, match="everywhere"):
        independence(scores(model=np.ones(50), without=np.ones(50)))


def test_a_rank_correlation_keeps_its_interval_without_its_sign():
    model = model_scores()
    m = scores(model=model, without=draws(2).normal(0, 2, 400) - model)
    signed = correlation(m["without"], m["model"], "spearman").widened(2)
    assert (signed.value, ends(signed)) < (0, (0, 0))
    assert ends(independence(m)["rank correlation, without sign"]) == (-signed.high, -signed.low)


def test_dependence_on_the_margin_is_seldom_called_independence():
    """Normal values with a distance correlation of 0.2, and the bias of the textbook estimate that hides none of it."""

    def world(rng):
        x = rng.normal(size=100)
        return scores(model=x, without=0.2237 * x + np.sqrt(1 - 0.2237**2) * rng.normal(size=100))

    rng, high, low = draws(10), 0, 0
    for _ in range(300):
        m = world(rng)
        e = distance_correlation(m["without"], m["model"])
        high, low = high + (e.high < 0.2), low + (e.low > 0.2)
    assert high <= 0.04 * 300 and low <= 0.055 * 300


# Minimality.


def losses(seed: int = 0, **means: float) -> Measurement:
    rng = draws(seed)
    return scores(**{name: rng.normal(level, 0.2, 400) for name, level in means.items()})


def inflated(m: int = 200, spread: float = 0.1, seed: int = 1) -> Measurement:
    return Measurement(
        draws(seed).normal(0, spread, m), [f"circuit {row}" for row in range(m)], unit="inflated circuit"
    )


def test_every_edge_that_matters_makes_a_circuit_minimal_and_one_idle_edge_does_not():
    null = inflated()
    assert (every(minimality(losses(a=0.5, b=0.4, c=0.9), null)) > 0).word == "SUPPORTED"
    verdict = every(minimality(losses(a=0.5, b=0.4, idle=0.0), null)) > 0
    assert (verdict.word, verdict.estimate.name) == ("REFUTED", "idle")


def test_rounding_of_an_idle_edge_is_nothing_to_judge():
    rounding = np.zeros(24)
    rounding[3] = -1e-6  # of one prompt alone: no interval of a mean is honest where numbers lie so
    lost = scores(a=draws(0).normal(9, 0.2, 24), idle=rounding)
    verdict = every(minimality(lost, inflated(spread=1e-6))) > 0
    assert (verdict.word, verdict.estimate.name) == ("REFUTED", "idle")


def test_an_edge_is_held_against_the_90th_percentile_of_the_null():
    lost, null = losses(a=0.5, b=0.4), inflated()
    percentile = np.quantile(null.array, 0.9, method="inverted_cdf")
    for e, own in zip(minimality(lost, null), mean(lost), strict=True):
        assert e.value == pytest.approx(own.value - percentile)
        assert e.value - e.low > own.value - own.low and e.simultaneous
        assert "90th percentile" in e.method and "inflated circuits" in e.notes[-1]
    exact = minimality(lost, null, exhaustive=True)["a"]
    assert exact.high - exact.low == pytest.approx(mean(lost)["a"].high - mean(lost)["a"].low)


def test_at_the_95th_percentile_one_edge_is_above_null():
    lost, null = losses(a=0.5), inflated()
    (one,) = minimality(lost, null, percentile=0.95)
    assert isinstance(minimality(lost, null), Family) and one.name == "a"
    assert (one.value, ends(one)) == (above_null(lost, null).value, ends(above_null(lost, null)))


def test_where_nothing_added_costs_anything_an_idle_edge_is_not_above():
    null = replace(inflated(), values=np.zeros((200, 1)))
    idle = scores(a=draws(3).normal(0.5, 0.2, 400), idle=np.zeros(400))
    assert (every(minimality(idle, null)) > 0).word == "REFUTED"


def test_a_null_of_few_inflated_circuits_is_refused():
    with pytest.raises(TooFew, match="90th percentile"):
        minimality(losses(a=0.5), inflated(30))
    with pytest.raises(ValueError, match="columns"):
        minimality(losses(a=0.5), losses(a=0.5, b=0.4))


def test_an_edge_at_the_percentile_is_seldom_called_necessary():
    rng, edge = draws(11), stats.norm.ppf(0.9) * 0.1
    worlds = [
        every(minimality(scores(a=rng.normal(1, 0.2, 100), b=rng.normal(edge, 0.2, 100)), inflated(seed=seed))) > 0
        for seed in range(60)
    ]
    assert np.mean([verdict.word == "SUPPORTED" for verdict in worlds]) <= 0.05


# Sufficiency and partial necessity.


def others(column: str, means: np.ndarray, model: float) -> Measurement:
    values = np.stack([np.full(len(means), model), means], axis=1)
    units = [f"circuit {row}" for row in range(len(means))]
    return Measurement(values, units, unit="random circuit", columns=("model", column))


def test_a_circuit_is_sufficient_if_it_beats_nine_of_ten_random_ones():
    model = model_scores()
    middle, kept = model.mean(), 0.9 * model
    random = others("circuit", np.concatenate([np.full(196, 0.2), np.full(4, middle)]), middle)
    e = sufficiency(scores(model=model, circuit=kept), random)
    assert (e.value, e.n, e.across) == (0.98, 200, "random circuits")
    theirs = stats.binomtest(196, 200).proportion_ci(method="exact")
    assert ends(e) == pytest.approx((theirs.low, theirs.high))
    assert (e >= 0.9).word == "SUPPORTED"
    for own, other in ((0.9, 1.05), (1.1, 0.95)):  # a gap is a gap on either side
        closer = others("circuit", np.full(200, other * middle), middle)
        assert sufficiency(scores(model=model, circuit=own * model), closer).value == 0


def test_the_model_is_sufficient_and_the_empty_circuit_is_not():
    model = model_scores()
    middle, some = model.mean(), draws(1).uniform(0, 1, 200)
    assert (sufficiency(scores(model=model, circuit=model), others("circuit", some, middle)) >= 0.9).word == "SUPPORTED"
    as_large = others("circuit", np.full(200, middle), middle)  # random circuits of its size are all the model
    assert sufficiency(scores(model=model, circuit=model), as_large).value == 1
    as_small = others("circuit", np.zeros(200), middle)
    assert (sufficiency(scores(model=model, circuit=0 * model), as_small) >= 0.9).word == "REFUTED"


def test_a_circuit_is_partly_necessary_if_its_removal_costs_more_than_that_of_others():
    model = model_scores()
    middle = model.mean()
    removed = scores(model=model, without=0.1 * model)
    assert (
        partial_necessity(removed, others("without", np.full(200, 0.9 * middle), middle)) >= 0.9
    ).word == "SUPPORTED"
    assert partial_necessity(removed, others("without", np.zeros(200), middle)).value == 0
    nothing = scores(model=model, without=model)  # the empty circuit, among empty circuits
    assert partial_necessity(nothing, others("without", np.full(200, middle), middle)).value == 0


def test_necessity_by_an_error_is_necessity_by_its_score():
    """The error is 5 less the score: what the removal costs is the same, and of the other sign."""
    model = model_scores()
    scored = scores(model=model, without=0.4 * model)
    rest = others("without", draws(11).uniform(0, model.mean(), 200), model.mean())
    error, errors = (replace(m, values=5 - m.values) for m in (scored, rest))
    wanted, found = partial_necessity(scored, rest), partial_necessity(error, errors, lower_is_better=True)
    assert 0.1 < wanted.value < 0.9
    assert (found.value, found.low, found.high) == (wanted.value, wanted.low, wanted.high)
    assert partial_necessity(error, errors).value == pytest.approx(1 - wanted.value)


def test_random_circuits_of_other_prompts_are_refused():
    model = model_scores()
    with pytest.raises(ValueError, match=r"beside random circuit circuit 0: measure both on the same prompts"):
        sufficiency(scores(model=model, circuit=model), others("circuit", np.zeros(200), 1.1 * model.mean()))
    with pytest.raises(KeyError, match="no column circuit"):
        sufficiency(scores(model=model, without=model), others("circuit", np.zeros(200), model.mean()))


# All of them.


def test_no_hypothesis_depends_on_the_order_of_rows():
    rng, model = draws(12), model_scores(n=320)
    m = scores(TEMPLATES, model=model, circuit=model + rng.normal(0, 0.3, 320), without=rng.normal(size=320))
    for judged in (equivalence, independence, lambda m: minimality(m[["circuit", "without"]], inflated())):
        for clustered in (m, replace(m, clusters=())):
            assert [ends(e) for e in judged(clustered)] == [ends(e) for e in judged(shuffled(clustered))]


def test_a_family_names_all_evidence_that_went_into_it():
    model = model_scores()
    m = replace(scores(model=model, circuit=model, without=0 * model), source="a.npz")
    random = replace(others("circuit", np.zeros(200), model.mean()), source="b.npz")
    assert {e.sources for e in (*equivalence(m), *independence(m))} == {("a.npz",)}
    assert sufficiency(m, random).sources == ("a.npz", "b.npz")
    assert minimality(m[["model"]], replace(inflated(), source="b.npz"))["model"].sources == ("a.npz", "b.npz")


def test_which_is_ahead_is_half_the_paired_difference_of_two_shares():
    rng, model = draws(13), model_scores()
    off = rng.choice([-0.1, 0, 0.1], 400, p=[0.3, 0.3, 0.4])
    up, down = (measured((off * sign > 0).astype(float), yes_no=True) for sign in (1, -1))
    e, own = equivalence(scores(model=model, circuit=model + off))["which is ahead"], difference(up, down).widened(2)
    assert ends(e) == pytest.approx((max(0, 5 * own.low), 5 * own.high))
