"""Stability of what was chosen: under other prompts, and between halves of them."""

import numpy as np
import pytest
from scipy import stats

from mechlib.measurement import Measurement
from mechlib.statistics import TooFew, agreement_of_halves, overlap, set_seed_offset
from mechlib.statistics.circuits.stability import ranks
from mechlib.statistics.intervals.resampling import counts
from tests.helpers.samples import TEMPLATES, draws, ends, measured, shuffled

NAMES = tuple(f"0.{head}" for head in range(40))


def scored(
    levels: np.ndarray, noise: float, n: int = 100, clusters: tuple[str, ...] = (), between: float = 0.0, seed: int = 3
) -> Measurement:
    rng = draws(seed)
    common = np.repeat(rng.normal(0, between, (len(set(clusters)), len(levels))), 20, axis=0) if clusters else 0
    return measured(levels + rng.normal(0, noise, (n, len(levels))) + common, clusters, columns=NAMES[: len(levels)])


LEVELS = np.linspace(-1, 0.9, 40)


def test_what_stands_out_is_chosen_from_any_prompts():
    levels = np.zeros(40)
    levels[[3, 7, 20]] = (2, -3, 4)
    m = scored(levels, noise=0.5)
    assert (overlap(m, 3).value, *ends(overlap(m, 3))) == (1, 1, 1)
    assert (overlap(m, 2, signed=True).value, overlap(m, 3, signed=True).high) == (1, 1)
    assert overlap(m, 3, signed=True).low < 1  # the third by value is one of many


def test_choosing_among_equals_is_choosing_at_random():
    """Two resamples of noise share what was strongest by luck on all prompts, and little else."""
    m = scored(np.zeros(40), noise=1)
    e = overlap(m, 5)
    assert 0.1 < e.value < 0.7 and (e >= 0.8).word == "REFUTED"
    noise = [agreement_of_halves(scored(np.zeros(40), noise=1, seed=seed)).value for seed in range(20)]
    assert np.mean(noise) == pytest.approx(0, abs=0.12)


def test_overlap_is_the_jaccard_index_of_resampled_choices():
    m = scored(LEVELS, noise=3, n=60)

    def strongest(values, weights):
        return {i for i, _ in sorted(enumerate(weights @ values), key=lambda pair: -abs(pair[1]))[:6]}

    whole, found = strongest(m.values, np.ones(60)), []
    for row in counts(60)[:100].astype(float):
        chosen = strongest(m.values, row)
        found.append(len(chosen & whole) / len(chosen | whole))
    e = overlap(m, 6)
    assert e.value == pytest.approx(np.mean(found))
    ordered = np.sort(found)
    assert ends(e) == pytest.approx((ordered[1], ordered[98]))  # of 100, the second and the last but one
    assert "95 % of 100 bootstrap samples" in e.notes[0] and e.across == "prompts"


def test_halves_agree_as_spearman_says():
    m = scored(LEVELS, noise=3, n=61)
    e = agreement_of_halves(m)
    rng, found = draws(9), []
    for _ in range(100):
        order = rng.permutation(61)
        halves = [m.values[order[start : start + 30]].mean(axis=0) for start in (0, 30)]
        found.append(stats.spearmanr(*halves).statistic)
    assert e.value == pytest.approx(np.mean(found), abs=4 * np.std(found) / 10)
    assert ends(e) == pytest.approx(np.quantile(found, (0.025, 0.975)), abs=1.5 * np.std(found))


def test_equal_scores_share_their_rank():
    rows = draws(1).integers(0, 5, size=(20, 12)).astype(float)
    theirs = np.stack([stats.rankdata(row) for row in rows])
    assert ranks(rows) == pytest.approx(theirs - 6.5)
    with pytest.raises(ValueError, match="no order to agree on"):
        agreement_of_halves(measured(np.ones((40, 5)), columns=NAMES[:5]))


def test_templates_that_differ_make_a_choice_unstable_and_fixed_ones_do_not():
    m = scored(LEVELS, noise=0.3, n=320, clusters=TEMPLATES, between=1.5)
    drawn, fixed = (overlap(m, 5, across=across) for across in (None, "these templates"))
    assert (drawn.across, drawn.clusters, fixed.across) == ("templates", 16, "these templates")
    assert drawn.value < fixed.value - 0.2
    halves = [agreement_of_halves(m, across=across).value for across in (None, "these templates")]
    assert halves[0] < halves[1] - 0.1


def test_halves_hold_every_template_or_different_ones():
    """Scores that are their template's alone are the same on both halves where templates are fixed."""
    by_template = np.repeat(draws(5).normal(size=(16, 12)), 20, axis=0)
    m = measured(by_template, TEMPLATES, columns=NAMES[:12])
    assert agreement_of_halves(m, across="these templates").low == 1
    assert abs(agreement_of_halves(m).value) < 0.5


def test_stability_is_a_function_of_rows_and_not_of_their_order():
    for clusters, across in (((), None), (TEMPLATES, None), (TEMPLATES, "these templates")):
        m = scored(LEVELS, noise=3, n=320, clusters=clusters)
        for judged in (
            lambda m, across: overlap(m, 6, across=across),
            lambda m, across: agreement_of_halves(m, across),
        ):
            first, second = judged(m, across), judged(shuffled(m), across)
            assert (first.value, *ends(first)) == (second.value, *ends(second))


def test_another_seed_draws_others():
    m = scored(LEVELS, noise=3, n=60)
    own = overlap(m, 6).value, agreement_of_halves(m).value
    set_seed_offset(1)
    try:
        other = overlap(m, 6).value, agreement_of_halves(m).value
    finally:
        set_seed_offset(0)
    assert own[0] != other[0] and own[1] != other[1]
    assert own == pytest.approx(other, abs=0.1)


@pytest.mark.parametrize("k", [0, 40, 50])
def test_a_choice_takes_some_and_leaves_some(k):
    with pytest.raises(ValueError, match=f"{k} of 40 components"):
        overlap(scored(LEVELS, 1), k)


def test_few_prompts_show_no_stability():
    few = Measurement(draws(1).normal(size=(10, 4)), [str(row) for row in range(10)], columns=NAMES[:4])
    for judged in (lambda m: overlap(m, 2), agreement_of_halves):
        with pytest.raises(TooFew, match="n=10 prompts"):
            judged(few)
    with pytest.raises(ValueError, match="at least 3"):
        agreement_of_halves(scored(np.arange(2.0), 1))
