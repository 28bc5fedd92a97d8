"""How far log-odds lean to the profession of the own gender, and what of it comes of features."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mechlib.lab.features.dictionaries import Dictionary, spanning
from mechlib.lab.features.shortcut import log_odds
from mechlib.lab.features.shortcut.classifier import fitted
from mechlib.lab.features.shortcut.study import by_name_and_group
from mechlib.lab.models.loading import load
from mechlib.measurement import Measurement
from mechlib.prompts.people import people
from tests.lab.features.shortcut.planted import PAIR, WIDTH, activations, basis, rectified, signed


@pytest.fixture
def planted(monkeypatch):
    """The study's texts, read without a model."""
    biased = activations(people(240, "discovery", PAIR, "biased", "first"), 0)
    tested = activations(people(240, "discovery", PAIR, half="second"), 1)
    made = SimpleNamespace(biased=biased, test=tested)
    both = {id(one.prompts): one for one in (made.biased, made.test)}
    monkeypatch.setattr(log_odds, "read_biographies", lambda model, prompts, layer: both[id(prompts)])
    return made


def leaning(planted, **dictionaries: Dictionary) -> Measurement:
    return log_odds.gender_in_log_odds(
        load("mini-pilot"), 0, planted.biased.prompts, planted.test.prompts, dictionaries
    )


def test_the_mean_is_half_the_difference_of_log_odds_between_women_and_men(planted):
    found = leaning(planted)["total"].array
    odds = fitted(planted.biased).log_odds(planted.test.pooled()).numpy()
    women = np.array(planted.test.label("gender")) == "woman"
    assert PAIR[0] > PAIR[1]  # so that log-odds are of the profession that women have in training
    assert found.mean() == pytest.approx((odds[women].mean() - odds[~women].mean()) / 2, rel=1e-6)
    assert found.mean() > 1


def test_each_text_leans_from_the_mean_that_the_classifier_was_fitted_on(planted):
    classifier = fitted(planted.biased)
    odds, trained = (classifier.log_odds(one.pooled()).numpy() for one in (planted.test, planted.biased))
    sign = np.where(np.array(planted.test.label("gender")) == "woman", 1, -1)
    assert abs(trained.mean()) > 1e-3
    assert leaning(planted)["total"].array == pytest.approx(sign * (odds - trained.mean()), abs=1e-4)


def test_a_dictionary_that_loses_nothing_has_all_of_it_and_one_without_gender_has_none(planted):
    found = leaning(planted, whole=signed(), neurons=spanning(torch.eye(WIDTH)), others=spanning(basis()[1:]))
    assert np.allclose(found["whole"].array, found["total"].array, atol=1e-4)
    assert np.allclose(found["neurons"].array, found["total"].array, atol=1e-4)
    assert abs(found["others"].array.mean()) < 0.05 * found["total"].array.mean()


def test_half_of_a_direction_has_half_of_it(planted):
    halved = rectified(0.5**0.5 * signed().directions)
    found = leaning(planted, half=halved)
    assert np.allclose(2 * found["half"].array, found["total"].array, atol=1e-4)


def test_rows_by_name_and_group_are_means_of_their_texts(planted):
    found = leaning(planted)
    rows = by_name_and_group(found)
    assert len(rows) == 24 and set(rows.strata) == set(found.strata) and set(rows.clusters) == set(found.clusters)
    for place, (name, group) in enumerate(zip(rows.clusters, rows.strata, strict=True)):
        own = [one == name and other == group for one, other in zip(found.clusters, found.strata, strict=True)]
        assert rows.values[place] == pytest.approx(found.values[own].mean(axis=0))
    with pytest.raises(ValueError, match="these prompt data have no names and groups: measure prompts of `people`"):
        by_name_and_group(Measurement(np.ones(20), tuple(map(str, range(20)))))
