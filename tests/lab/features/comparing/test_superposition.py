"""Superposition made on purpose, and what counts as found."""

import numpy as np
import pytest
import torch

from mechlib.lab.features.comparing.superposition import (
    Planted,
    explained,
    features_recovered,
    planted_recovered,
    superposed,
)
from mechlib.lab.features.dictionaries import Dictionary


def test_rows_are_sums_of_a_few_planted_unit_features():
    made = superposed(features=60, width=20, rows=4000, active=3, seed=1)
    np.testing.assert_allclose(np.linalg.norm(made.directions, axis=1), 1)
    np.testing.assert_allclose(made.active @ made.directions, made.rows, atol=1e-5)
    present = made.active[made.active > 0]
    assert abs((made.active > 0).sum(1).mean() - 3) < 0.1 and present.min() >= 0.5 and present.max() <= 1.5
    assert np.array_equal(superposed(60, 20, 4000, 3, 1).rows, made.rows)
    assert not np.array_equal(superposed(60, 20, 4000, 3, 2).rows, made.rows)


def test_planted_features_are_found_in_any_order_and_length_and_opposites_are_not():
    made = superposed(30, 10, 5, 2)
    rng = np.random.default_rng(0)
    order = rng.permutation(30)
    learnt = torch.from_numpy(made.directions[order] * rng.uniform(0.1, 9, (30, 1)))
    assert features_recovered(learnt, made).cosine == pytest.approx(1) and features_recovered(learnt, made).share == 1
    half = learnt.clone()
    half[:15] *= -1
    assert features_recovered(half, made).share == 0.5
    strangers = features_recovered(torch.from_numpy(rng.standard_normal((30, 10))), made)
    assert strangers.cosine < 0.8 and strangers.share < 0.2


def test_a_direction_is_matched_with_one_feature_alone():
    """Of two planted features that are nearly the same one direction finds one, however near it is to both."""
    near = np.array([[1, 0, 0], [0.95, np.sqrt(1 - 0.95**2), 0], [0, 0, 1]])
    made = Planted(near, np.zeros((1, 3)), np.zeros((1, 3)))
    learnt = torch.tensor([[1, 0.1, 0], [0, 0, 1.0], [0, 0, -1]])
    assert features_recovered(learnt, made).share == pytest.approx(2 / 3)
    assert features_recovered(torch.cat([learnt, learnt]), made).share == 1


@pytest.mark.parametrize("directions", [torch.zeros(29, 10), torch.zeros(30, 9)], ids=["too few", "other width"])
def test_directions_that_cannot_be_matched_are_refused(directions):
    with pytest.raises(ValueError, match=r"directions of width .* for 30 planted features of width 10: want as many"):
        features_recovered(directions, superposed(30, 10, 5, 2))


@pytest.mark.parametrize(("features", "width", "active"), [(10, 10, 2), (10, 12, 2), (30, 10, 0), (30, 10, 31)])
def test_what_is_no_superposition_is_refused(features, width, active):
    with pytest.raises(ValueError, match=r"superposition has more features than dimensions"):
        superposed(features, width, 5, active)


def test_every_world_has_features_of_its_own_and_a_frozen_decoder_finds_what_it_had_before():
    pytest.importorskip("sae_lens", reason="the extra `features` is not installed")
    free, frozen = (planted_recovered("topk", (3, 5), how, steps=150) for how in ("", "decoder"))
    assert free.units == ("world 3", "world 5") and free.unit == "world"
    assert len(set(free["share"].array)) == 2 and (free["share"].array > free["random"].array + 0.3).all()
    assert (frozen["explained"].array < free["explained"].array).all()
    np.testing.assert_array_equal(planted_recovered("topk", (5,), steps=150).values[0], free.values[1])


def test_random_is_what_the_decoder_has_found_before_training():
    """In three dimensions 40 random directions find some of eight features, in each world others."""
    pytest.importorskip("sae_lens", reason="the extra `features` is not installed")
    small = {"features": 8, "width": 3, "active": 2, "learnt": 40, "steps": 20}
    free, frozen = (planted_recovered("topk", range(4), how, **small) for how in ("", "decoder"))
    np.testing.assert_array_equal(frozen["share"].array, frozen["random"].array)
    np.testing.assert_array_equal(frozen["random"].array, free["random"].array)
    assert len(set(free["random"].array)) > 1 and free["random"].array.min() > 0.2


def test_explained_is_of_other_rows_and_about_their_mean():
    rows = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) + 3
    mean = Dictionary("the mean", lambda x: torch.zeros(len(x), 1), torch.zeros(1, 4), rows.mean(0))
    nothing = Dictionary("zeros", lambda x: torch.zeros(len(x), 1), torch.zeros(1, 4), torch.zeros(4))
    assert explained(mean, rows) == pytest.approx(0, abs=1e-6) and explained(nothing, rows) < -1
