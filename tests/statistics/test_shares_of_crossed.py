"""Shares of units that share names besides templates: R29's variance is in their interval."""

from dataclasses import replace

import numpy as np
import pytest

from mechlib.measurement import Measurement
from mechlib.statistics import proportion
from mechlib.statistics.intervals.crossed import design
from mechlib.statistics.intervals.ordering import by_label_and_unit
from tests.helpers.factors import sentences, worlds

MADE = sentences()


def answered(values: np.ndarray) -> Measurement:
    return replace(MADE, values=values[:, None], yes_no=True)


def without_names(measured: Measurement) -> Measurement:
    return replace(measured, factors=())


def latent(names: float, noise: float, count: int) -> np.ndarray:
    made = design(MADE)
    spreads = [names if name == "names" else 0.0 for name in made.incidences]
    found = np.empty((len(MADE), count))
    found[by_label_and_unit(MADE.clusters, MADE.units)] = worlds(made, spreads, noise, count)
    return found


def test_a_share_that_goes_with_names_has_their_variance():
    measured = answered((latent(1.0, 0.2, 1)[:, 0] > 0) * 1.0)
    share, alone = proportion(measured), proportion(without_names(measured))
    (variance,) = design(measured).variance(measured.values[by_label_and_unit(measured.clusters, measured.units)])
    assert share.trials == pytest.approx(share.value * (1 - share.value) / variance)
    assert share.trials < alone.trials and share.value == alone.value
    assert share.low < alone.low and share.high > alone.high


def test_where_names_decide_the_truth_is_covered_and_without_them_it_is_not():
    missed = {True: 0, False: 0}
    for values in ((latent(1.0, 0.2, 150) > 0) * 1.0).T:  # the truth is a half
        for own in missed:
            share = proportion(answered(values) if own else without_names(answered(values)))
            missed[own] += not share.low <= 0.5 <= share.high
    assert missed[True] <= 15 < missed[False]


@pytest.mark.parametrize("wrong", [0, 1])
def test_names_change_nothing_where_next_to_nothing_varies(wrong):
    values = np.ones(len(MADE))
    values[:wrong] = 0
    share, alone = proportion(answered(values)), proportion(without_names(answered(values)))
    assert (share.low, share.high) == pytest.approx((alone.low, alone.high))


def test_a_gate_asks_of_these_templates_whatever_names_there_are():
    measured = answered((latent(1.0, 0.2, 1)[:, 0] > -0.5) * 1.0)
    share, alone = proportion(measured), proportion(without_names(measured))
    assert share.of_units_at_hand().low == alone.of_units_at_hand().low > share.low
