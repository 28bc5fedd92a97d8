"""Curves by size: shares of what a model has, the areas CPR and CMD, their intervals."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy import stats

from mechlib.measurement import Measurement
from mechlib.parts.heads import EmptySelection
from mechlib.statistics import RatioRefused, cmd, cpr, faithfulness, gap, mean, ratio, share_kept
from mechlib.statistics.circuits.faithfulness import sizes_of
from mechlib.statistics.estimate import Estimate
from tests.helpers.samples import TEMPLATES, draws, ends, measured, shuffled

SIZES = ("1", "2", "5", "10", "20", "50", "100", "200")


def curve(
    kept: np.ndarray, sizes: tuple[str, ...] = SIZES, n: int = 320, seed: int = 0, clusters: tuple[str, ...] = (),
    noise: float = 0.3, between: float = 0.0,
) -> Measurement:  # fmt: skip
    """Circuits that keep a share of what the model has above the empty circuit, each with noise of its own."""
    rng = draws(seed)
    common = np.repeat(rng.normal(0, between, (len(set(clusters)), len(sizes))), 20, axis=0) if clusters else 0
    model, empty = rng.normal(3, 0.5, n), rng.normal(0.5, 0.3, n)
    circuits = empty[:, None] + (model - empty)[:, None] * kept + rng.normal(0, noise, (n, len(sizes))) + common
    values = np.concatenate([np.stack([model, empty], axis=1), circuits], axis=1)
    return measured(values, clusters, columns=("model", "empty", *sizes))


KEPT = 1 - np.exp(-np.array([float(size) for size in SIZES]) / 15)


# What each share is.


def test_shares_are_ratios_of_means():
    m = curve(KEPT)
    model, empty, *circuits = m.values.mean(axis=0)
    for name, circuit in zip(SIZES, circuits, strict=True):
        assert faithfulness(m)[name].value == pytest.approx((circuit - empty) / (model - empty))
        assert share_kept(m)[name].value == pytest.approx(circuit / model)
        assert gap(m)[name].value == pytest.approx(abs(model - circuit))
    assert [e.name for e in faithfulness(m)] == list(SIZES) and faithfulness(m)["5"].simultaneous


def test_the_model_is_wholly_faithful_and_the_empty_circuit_not_at_all():
    m = curve(np.array([0.0, 1.0]), ("nothing", "all"), noise=0)
    assert faithfulness(m)["nothing"].value == pytest.approx(0)
    assert faithfulness(m)["all"].value == pytest.approx(1)


def test_one_circuit_has_one_number_and_what_is_left_without_it_is_no_circuit():
    m = curve(np.array([0.8, 0.1]), ("circuit", "without"))
    for judged in (faithfulness, share_kept, gap):
        assert isinstance(judged(m), Estimate)
    own = ratio(m.less("circuit", "empty"), m.less("model", "empty"))
    assert ends(faithfulness(m)) == ends(own)
    with pytest.raises(EmptySelection):
        faithfulness(m[["model", "empty"]])


def test_a_gap_has_no_sign():
    short, beyond = (curve(np.array([kept]), ("circuit",), noise=0) for kept in (0.8, 1.2))
    signed = mean(beyond.less("model", "circuit"))
    assert ends(gap(beyond)) == (-signed.high, -signed.low)
    assert gap(short).value == pytest.approx(gap(beyond).value)


def test_a_share_of_nothing_is_refused():
    m = curve(KEPT)
    for judged in (faithfulness, cpr, lambda m: cpr(m, 400), lambda m: cmd(m, 400)):
        with pytest.raises((RatioRefused, ValueError)):
            judged(replace(m, values=m.values[:, [1, 0, *range(2, 10)]]))
    with pytest.raises(KeyError, match="no column empty"):
        faithfulness(m.without(["empty"]))


def error(m: Measurement, whole: np.ndarray) -> Measurement:
    """The same circuits by an error: as much is missing to `whole` as was scored."""
    return replace(m, values=whole[:, None] - m.values)


@pytest.mark.parametrize("judged", [faithfulness, partial(cpr, whole=400), partial(cmd, whole=400)])
def test_an_error_of_which_nothing_is_perfect_has_the_numbers_of_its_score(judged):
    """KL is 0 for the model: shares are of the empty circuit's error, and nothing is divided by the model's."""
    m = curve(KEPT)
    perfect = error(m, m["model"].array)
    assert not perfect["model"].array.any()
    wanted, found = judged(m), judged(perfect, lower_is_better=True)
    for one, other in zip(*([e] if isinstance(e, Estimate) else e for e in (wanted, found)), strict=True):
        assert (other.value, *ends(other)) == pytest.approx((one.value, *ends(one)))
    loss = error(m, m["model"].array + 0.7)  # the model's own loss is not 0
    some = judged(loss, lower_is_better=True)
    assert [e.value for e in ([some] if isinstance(some, Estimate) else some)] == pytest.approx(
        [e.value for e in ([wanted] if isinstance(wanted, Estimate) else wanted)]
    )


def test_a_score_taken_for_an_error_is_refused_and_an_error_taken_for_a_score():
    m = curve(np.array([0.8]), ("circuit",))
    perfect = error(m, m["model"].array)
    with pytest.raises(RatioRefused, match="of an error say lower_is_better=True"):
        faithfulness(perfect)
    with pytest.raises(RatioRefused, match="this is no error, leave lower_is_better out"):
        faithfulness(m, lower_is_better=True)
    with pytest.raises(RatioRefused, match=r"scores 0 on every row.*lower_is_better=True"):
        share_kept(perfect)
    assert gap(perfect).value == pytest.approx(gap(m).value)


# Areas.


@pytest.mark.parametrize("clusters", [(), TEMPLATES], ids=["prompts", "templates"])
def test_areas_are_trapezoids_over_the_share_of_edges(clusters):
    m = curve(KEPT, clusters=clusters)
    found = np.array([e.value for e in faithfulness(m)] + [1])
    places = np.array([float(size) for size in SIZES] + [400]) / 400
    assert cpr(m, 400).value == pytest.approx(np.trapezoid(found, places))
    assert cmd(m, 400).value == pytest.approx(np.trapezoid(np.abs(1 - found), places))


def test_shares_of_edges_need_no_whole():
    shares = ("0.001", "0.01", "0.1", "0.5", "1")
    m = curve(np.array([0.1, 0.3, 0.6, 1.1, 1.0]), shares, noise=0)
    assert cpr(m).value == pytest.approx(np.trapezoid([0.1, 0.3, 0.6, 1.1, 1.0], [float(share) for share in shares]))
    counted = replace(m, columns=("model", "empty", "1", "10", "100", "500", "all"))
    assert ends(cpr(counted, 1000)) == ends(cpr(m)) and ends(cmd(counted, 1000)) == ends(cmd(m))


def test_the_model_closes_a_curve_that_was_not_measured_to_its_end():
    open_end = curve(np.array([0.2, 0.7]), ("10", "100"), noise=0)
    closed = open_end.with_columns({name: open_end[name].array for name in open_end.columns} | {
        "all": open_end["model"].array
    })  # fmt: skip
    assert ends(cpr(open_end, 1000)) == ends(cpr(closed, 1000)) and ends(cmd(open_end, 1000)) == ends(cmd(closed, 1000))


def test_columns_may_come_in_any_order():
    m = curve(KEPT)
    other = m[["20", "model", *SIZES[5:], "empty", *SIZES[:4]]]
    assert list(sizes_of(other, 400)) == list(SIZES)
    assert ends(cpr(other, 400)) == pytest.approx(ends(cpr(m, 400)))
    assert ends(cmd(other, 400)) == pytest.approx(ends(cmd(m, 400)))


def test_a_perfect_curve_has_no_area_above_it():
    m = curve(np.ones(2), ("1", "10"), noise=0)
    exact = m.with_columns({name: m["model" if name != "empty" else name].array for name in m.columns})
    e = cmd(exact, 100)
    assert (e.value, *ends(e), e.method) == (0, 0, 0, "constant")
    assert cpr(exact, 100).value == pytest.approx(0.99)


@pytest.mark.parametrize(
    ("columns", "whole", "match"),
    [
        (("1", "ten"), 100, "size 'ten' of 100 edges"),
        (("1", "200"), 100, "size '200' of 100 edges"),
        (("0", "1"), 100, "size '0'"),
        (("10", "20"), 1, "give `whole`"),
        (("10", "10.0"), 100, "two circuits of one size"),
        (("10", "nan"), 100, "size 'nan'"),
    ],
)
def test_columns_that_are_no_sizes_are_named(columns, whole, match):
    with pytest.raises(ValueError, match=match):
        cpr(curve(np.array([0.2, 0.7]), columns), whole)


def test_one_size_makes_no_curve():
    with pytest.raises(ValueError, match="at least two besides the whole model"):
        cpr(curve(np.array([0.2]), ("10",)), 100)
    with pytest.raises(ValueError, match="at least two"):
        cmd(curve(np.array([0.2, 1]), ("10", "all")), 100)


# Intervals.


def test_the_intervals_of_areas_are_about_those_of_scipys_bca():
    m = curve(np.array([0.2, 0.7]), ("10", "100"), n=300)
    places = np.array([10, 100, 1000]) / 1000

    def area_of(missed):
        def area(model, empty, first, second, axis=-1):
            model, empty, first, second = (part.mean(axis=axis) for part in (model, empty, first, second))
            kept = np.stack([(part - empty) / (model - empty) for part in (first, second, model)])
            return np.trapezoid(np.abs(1 - kept) if missed else kept, places, axis=0)

        return area

    for judged, missed in ((cpr, False), (cmd, True)):
        theirs = stats.bootstrap(
            tuple(m.values.T), area_of(missed), paired=True, vectorized=True, n_resamples=5000, rng=1
        ).confidence_interval
        e = judged(m, 1000)
        assert (e.method, ends(e)) == (
            "bootstrap-t",
            pytest.approx((theirs.low, theirs.high), abs=0.1 * (e.high - e.low)),
        )


def test_where_no_circuit_exceeds_the_model_cmd_is_what_cpr_leaves():
    m = curve(KEPT[:5], SIZES[:5])
    area, missed, width = cpr(m, 400), cmd(m, 400), 1 - 1 / 400
    assert missed.value == pytest.approx(width - area.value)
    assert ends(missed) == pytest.approx((width - area.high, width - area.low), abs=0.03 * (area.high - area.low))


def test_what_exceeds_the_model_is_missed_as_what_falls_short():
    short, beyond = (curve(np.array([0.5, kept]), ("10", "100"), noise=0) for kept in (0.8, 1.2))
    assert ends(cmd(short, 1000)) == pytest.approx(ends(cmd(beyond, 1000)))


def test_noise_about_the_model_is_no_distance_from_it():
    """Forty circuits that are the model but for noise: the area adds their noise up, its lower end does not."""
    sizes = tuple(str(size) for size in range(1, 41))
    for seed in range(5):
        e = cmd(curve(np.ones(40), sizes, seed=seed), 40)
        assert e.value > 4 * e.se and e.low == 0
    part = cmd(curve(np.array([0.5, *np.ones(39)]), sizes), 40)
    assert 0.005 < part.low < 0.00625 < part.value  # half a unit of faithfulness over half a step of forty


def test_across_templates_areas_are_t_on_linearised_residuals():
    m = curve(KEPT, clusters=TEMPLATES, between=0.3)
    by_template = m.values.reshape(16, 20, -1).mean(axis=1)
    model, empty, circuits = by_template[:, :1], by_template[:, 1:2], by_template[:, 2:]
    places = np.array([*map(float, SIZES), 400]) / 400
    area = np.trapezoid(np.concatenate([circuits, model], axis=1) - empty, places, axis=1)
    base = (model - empty)[:, 0]
    residuals = (area - area.mean() / base.mean() * base) / base.mean()
    reach = stats.t.ppf(0.975, 15) * residuals.std(ddof=1) / 4
    e = cpr(m, 400)
    assert (e.df, e.clusters, e.method) == (15, 16, "t across clusters")
    assert ends(e) == pytest.approx((e.value - reach, e.value + reach))
    assert cpr(m, 400, across="these templates").se < e.se / 2


def test_areas_are_functions_of_rows_and_not_of_their_order():
    for clusters, across in (((), None), (TEMPLATES, None), (TEMPLATES, "these templates")):
        m = curve(KEPT, clusters=clusters)
        for judged in (cpr, cmd):
            assert ends(judged(m, 400, across=across)) == ends(judged(shuffled(m), 400, across=across))


@pytest.mark.parametrize(("clusters", "worlds"), [((), 80), (TEMPLATES, 200)], ids=["prompts", "templates"])
def test_areas_are_covered_and_a_curve_on_its_bound_is_seldom_supported(clusters, worlds):
    kept = np.array([0.3, 0.8])
    truth = np.trapezoid([*(1 - kept), 0], [0.01, 0.1, 1])
    covered, below = 0, 0
    for seed in range(worlds):
        m = curve(kept, ("10", "100"), n=len(clusters) or 60, seed=seed, clusters=clusters, between=0.3)
        e = cmd(m, 1000)
        covered, below = covered + (e.low <= truth <= e.high), below + (e.high < truth)
    assert covered >= 0.9 * worlds and below <= 0.06 * worlds
