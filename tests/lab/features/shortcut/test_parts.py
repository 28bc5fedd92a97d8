"""Dictionaries, choices and the classifier, each by itself, against what they are by definition."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch
from scipy.linalg import orth

from mechlib.lab.features.dictionaries import spanning
from mechlib.lab.features.shortcut.biographies import Biographies
from mechlib.lab.features.shortcut.choosing import carriers, difference_of_genders, gender_scores, random_sets, written
from mechlib.lab.features.shortcut.classifier import fitted
from mechlib.lab.features.shortcut.removal import pooled_features, pooled_without
from mechlib.prompts.people import people
from tests.lab.features.shortcut.planted import GENDER, PAIR, WIDTH, activations, rectified, signed

READ = activations(people(96, "discovery", PAIR), 0)
DISCOVERY = activations(people(96, "discovery", half="first"), 1)
OVERCOMPLETE = rectified(torch.randn(20, WIDTH, generator=torch.Generator().manual_seed(3)))


def uneven(read: Biographies) -> Biographies:
    """Texts of 1 to 6 tokens."""
    keep = torch.tensor([place % 6 <= int(text) % 6 for place, text in enumerate(read.text)])
    return Biographies(read.prompts, read.tokens[keep], read.text[keep])


def test_a_mean_is_over_each_texts_own_tokens():
    read = uneven(READ)
    wanted = torch.stack([read.tokens[read.text == number].mean(0) for number in range(96)])
    assert {int((read.text == number).sum()) for number in range(96)} == {1, 2, 3, 4, 5, 6}
    assert torch.allclose(read.pooled(), wanted, atol=1e-6)
    features = OVERCOMPLETE.encode(read.tokens)
    wanted = torch.stack([features[read.text == number].mean(0) for number in range(96)])
    assert torch.allclose(pooled_features(OVERCOMPLETE, read), wanted, atol=1e-6)


def test_what_is_taken_out_of_means_is_what_is_taken_out_of_every_token():
    """Of a dictionary that reconstructs nothing like the activation: its error stays."""
    read, level = uneven(READ), torch.linspace(-1, 1, 20)
    assert (OVERCOMPLETE.decode(OVERCOMPLETE.encode(read.tokens)) - read.tokens).abs().max() > 1
    for which in ((0,), (3, 7, 19)):
        found = pooled_without(OVERCOMPLETE, read, [which], level)[0]
        features = OVERCOMPLETE.encode(read.tokens)
        held = features.clone()
        held[:, list(which)] = level[list(which)]
        changed = read.tokens + OVERCOMPLETE.decode(held) - OVERCOMPLETE.decode(features)
        assert torch.allclose(found, read.pooled(changed), atol=1e-5)


def test_what_is_computed_some_tokens_at_a_time_is_the_same(monkeypatch):
    whole = pooled_features(OVERCOMPLETE, READ)
    monkeypatch.setattr("mechlib.lab.features.shortcut.removal.CHUNK", 7)
    assert torch.allclose(pooled_features(OVERCOMPLETE, READ), whole, atol=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_directions_span_what_they_are_made_of_and_begin_along_the_first(sign):
    vectors = sign * torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(0))
    found = spanning(vectors).directions.double()
    assert torch.allclose(found @ found.T, torch.eye(3).double(), atol=1e-6)
    assert torch.allclose(found[0], vectors[0].double() / vectors[0].norm(), atol=1e-6)
    span = orth(vectors.T.double().numpy())
    assert np.allclose(found.T.numpy() @ found.numpy(), span @ span.T, atol=1e-5)
    without = pooled_without(spanning(vectors), READ, [(0, 1, 2)], torch.zeros(3))[0]
    assert (without @ vectors.T).abs().max() < 1e-5
    for spoilt in (torch.zeros(1, WIDTH), torch.stack([vectors[0], 2 * vectors[0]]), torch.randn(WIDTH + 1, WIDTH)):
        with pytest.raises(ValueError, match="directions of which one is zero or made of the others: leave it out"):
            spanning(spoilt)


def test_scores_by_difference_are_lengths_of_what_is_written_more():
    features = pooled_features(OVERCOMPLETE, DISCOVERY)
    women = DISCOVERY.where("gender", "woman")
    for number, score in enumerate(gender_scores(OVERCOMPLETE, DISCOVERY)):
        more = float(features[women, number].mean() - features[~women, number].mean())
        assert float(score) == pytest.approx(abs(more) * float(OVERCOMPLETE.directions[number].norm()), rel=1e-4)


def test_gender_stands_in_the_two_features_where_it_was_put():
    classifier = fitted(activations(people(480, "discovery", PAIR, "biased", "first"), 5))
    for by in ("difference", "attribution"):
        chosen = carriers(gender_scores(signed(), DISCOVERY, by, classifier), 2)
        assert set(chosen) == {GENDER, WIDTH + GENDER}


@pytest.mark.parametrize("pair", [PAIR, PAIR[::-1]])
def test_attributions_are_what_the_difference_of_log_odds_loses_without_each_feature(pair):
    """To the last digit, whichever profession women have; and what a dictionary loses nothing of adds up to all."""
    classifier = fitted(activations(people(96, "discovery", pair, "biased", "first"), 5))
    scores = gender_scores(OVERCOMPLETE, DISCOVERY, "attribution", classifier)
    whole = gap(classifier, DISCOVERY.pooled())
    assert (whole > 0) == (pair == PAIR)  # the log-odds are of the profession that comes last by the alphabet
    for number, score in enumerate(scores):
        without = pooled_without(OVERCOMPLETE, DISCOVERY, [(number,)], torch.full((20,), 0.7))[0]
        assert float(score) == pytest.approx(abs(whole) - gap(classifier, without) * np.sign(whole), abs=1e-4)
    complete = gender_scores(signed(), DISCOVERY, "attribution", classifier)
    assert float(complete.sum()) == pytest.approx(abs(whole), rel=1e-4)
    with pytest.raises(ValueError, match="attribution is to a classifier's log-odds: give the classifier"):
        gender_scores(OVERCOMPLETE, DISCOVERY, "attribution")


def gap(classifier, pooled) -> float:
    odds = classifier.log_odds(pooled).unsqueeze(1)
    return float(difference_of_genders(odds, DISCOVERY))


def test_carriers_are_the_largest_and_none_that_carries_nothing():
    scores = torch.tensor([0.1, 0.0, 3.0, -5.0, 2.0])
    assert carriers(scores, 2) == (2, 4) and carriers(scores, 3) == (2, 4, 0)
    with pytest.raises(ValueError, match=r"4 features were asked for, 3 of 5 differ .*: ask for 1 to 3"):
        carriers(scores, 4)


def test_random_sets_are_others_that_are_active_and_write_as_much():
    sizes = torch.cat([torch.linspace(1, 100, 200), torch.zeros(50)])
    chosen = (10, 100, 190)
    sets = random_sets(sizes, chosen, 40)
    assert len(set(sets)) > 30 and all(len(set(one)) == 3 and not set(one) & set(chosen) for one in sets)
    for one in sets:
        assert all(abs(float(sizes[a] - sizes[b])) < 4 for a, b in zip(one, chosen, strict=True))
    assert len({feature for one in sets for feature in one}) > 25
    assert random_sets(sizes, chosen, 5) == sets[:5] != random_sets(sizes, chosen, 5, seed=1)
    with pytest.raises(
        ValueError, match="3 features were chosen, and 2 others are active: there is no random set of as"
    ):
        random_sets(torch.tensor([1.0, 2, 3, 4, 5, 0, 1e-9]), (0, 1, 2), 1)


def test_random_sets_are_those_of_a_comparison_for_each_pair():
    """Drawn as they were before, ties included, of sizes where many are equal."""
    sizes = (torch.rand(300, generator=torch.Generator().manual_seed(0)) * 40).round() / 7
    chosen = (0, 17, 250)
    wanted = []
    for number in range(6):
        stream = Random(f"random features:0:{number}")
        free = [n for n in range(300) if n not in chosen and sizes[n] > 1e-6 * sizes.max()]
        drawn = []
        for feature in chosen:
            free.sort(key=lambda other, feature=feature: abs(float(sizes[other] - sizes[feature])))
            drawn.append(free.pop(int(stream.random() * min(10, len(free)))))
        wanted.append(tuple(drawn))
    assert random_sets(sizes, chosen, 6) == wanted


def test_how_much_is_written_counts_a_feature_of_either_sign():
    both = written(spanning(torch.eye(WIDTH)), DISCOVERY)
    assert torch.allclose(both, DISCOVERY.pooled().abs().mean(0), atol=1e-6)
    longer = rectified(2 * OVERCOMPLETE.directions)
    assert torch.allclose(written(longer, DISCOVERY), 4 * written(OVERCOMPLETE, DISCOVERY), rtol=1e-4)


def test_weights_are_of_the_activations_themselves():
    """Scaled or moved activations get other weights and the same log-odds."""
    moved = Biographies(READ.prompts, READ.tokens * torch.linspace(0.1, 10, WIDTH) + 5, READ.text)
    one, other = fitted(READ), fitted(moved)
    assert torch.allclose(one.log_odds(READ.pooled()), other.log_odds(moved.pooled()), atol=1e-3)
    assert one.professions == ("cook", "doctor")
    toward = one.log_odds(READ.pooled())[READ.where("profession", "doctor")].mean()
    assert toward > 0 > one.log_odds(READ.pooled())[READ.where("profession", "cook")].mean()
