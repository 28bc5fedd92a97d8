"""Baselines: what they keep, against scikit-learn and by hand."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from mechlib.lab.features.dictionaries import (
    DeadDictionary,
    Dictionary,
    active_counts,
    neurons,
    principal_components,
    random_dictionary,
)


def drawn(n: int = 400, width: int = 6) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((n, width)) @ rng.standard_normal((width, width)) + 3).astype(np.float32)


def error(dictionary: Dictionary, rows: np.ndarray) -> float:
    x = torch.from_numpy(rows)
    return float((dictionary.decode(dictionary.active(x)) - x).square().sum(1).mean())


@pytest.mark.parametrize("k", [1, 3, 6])
def test_principal_components_are_scikit_learns_with_the_largest_coefficients_of_each_row(k):
    rows = drawn()
    theirs = PCA().fit(rows)
    codes = theirs.transform(rows)
    for row in codes:
        row[np.argsort(abs(row))[: 6 - k]] = 0
    ours = principal_components(rows, k)
    x = torch.from_numpy(rows)
    np.testing.assert_allclose(ours.decode(ours.active(x)), theirs.inverse_transform(codes), atol=1e-4)
    assert ((ours.active(x) != 0).sum(1) == k).all()


def test_neurons_keep_the_coordinates_that_are_farthest_from_their_means():
    rows = drawn()
    mean = rows.mean(0)
    made = neurons(rows, 2)
    for row, seen in zip(rows, made.decode(made.active(torch.from_numpy(rows))).numpy(), strict=True):
        kept = np.argsort(-abs(row - mean))[:2]
        wanted = mean.copy()
        wanted[kept] = row[kept]
        np.testing.assert_allclose(seen, wanted, atol=1e-5)


@pytest.mark.parametrize("baseline", [principal_components, neurons])
def test_a_baseline_that_keeps_everything_loses_nothing(baseline):
    assert error(baseline(drawn(), 6), drawn()) < 1e-8


def test_random_directions_have_the_topk_encoder_and_the_length_that_reconstructs_best():
    rows = drawn()
    made = random_dictionary(rows, 40, k=3, seed=5)
    lengths = made.directions.norm(dim=1)
    assert torch.allclose(lengths, lengths[:1])
    active, x = made.active(torch.from_numpy(rows)), torch.from_numpy(rows)
    products = (x - made.offset) @ (made.directions / lengths[:, None]).T
    assert torch.equal(active != 0, (products >= products.topk(3, dim=1).values[:, -1:]) & (products > 0))
    torch.testing.assert_close(active, torch.where(active != 0, products, 0.0))

    def at(gain: float) -> float:
        return float((active @ made.directions * gain + made.offset - x).square().sum())

    assert at(1.0) < min(at(0.98), at(1.02))


def test_random_directions_follow_from_their_seed():
    rows = drawn()
    one, same, other = (random_dictionary(rows, 40, 3, seed).directions for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.allclose(one, other)


def test_an_activation_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"^2 neurons is for activations 6 wide, and these are 5: take"):
        neurons(drawn(), 2).active(torch.zeros(3, 5))


@pytest.mark.parametrize("k", [0, 7])
def test_more_coefficients_than_there_are_and_none_are_refused(k):
    with pytest.raises(ValueError, match=f"^{k} of 6 coefficients: keep 1 to 6$"):
        principal_components(drawn(), k)


def test_the_census_counts_rows_and_a_dictionary_that_died_is_one_line():
    rows = drawn(30)
    made = neurons(rows, 2)
    counts = active_counts(made, rows)
    assert counts.sum() == 60
    assert torch.equal(counts, (made.active(torch.from_numpy(rows)) != 0).sum(0))
    dead = Dictionary("it", torch.zeros_like, torch.eye(6), torch.zeros(6))
    with pytest.raises(DeadDictionary, match=r"^no feature of it is active on any of 30 rows: every one died; train"):
        active_counts(dead, rows)
