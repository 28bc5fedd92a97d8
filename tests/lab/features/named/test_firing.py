"""Firing: counts against loops over single tokens, the chosen threshold against all of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mechlib.lab.batching import batches
from mechlib.lab.features.dictionaries import random_dictionary
from mechlib.lab.features.evaluation import activations_at
from mechlib.lab.features.named import firing
from mechlib.lab.features.named.concepts import where_told
from mechlib.lab.features.named.firing import MLP, SIZES, STREAM, Detector, activity, best_detectors, fired
from mechlib.lab.hooks import run
from mechlib.lab.models.loading import load
from mechlib.prompts.induction import repeats

HOOK, CONCEPT = "blocks.1.hook_resid_post", "said-before"
PROMPTS = repeats(8, split="discovery")


@pytest.fixture(scope="module")
def model():
    return load("mini-pilot")


@pytest.fixture(scope="module")
def own(model):
    tokens = torch.cat([batch.tokens[:, :9] for batch in batches(model, PROMPTS, alone=True)])
    return random_dictionary(activations_at(model, tokens, HOOK), 40, k=6, hook=HOOK)


@pytest.fixture(autouse=True)
def named_own(own, monkeypatch):
    monkeypatch.setattr(firing, "dictionary_of", lambda model, sae: own)


def tokens_of(model, pool):
    """How active each number of a pool is on each token that is asked, and whether the token is it: one by one."""
    rows, marks = [], []
    for batch in batches(model, PROMPTS, alone=True):
        kept, where = run(model, batch.tokens, keep=(pool.hook,))[1][pool.hook], where_told(batch, CONCEPT)
        for row in range(len(batch.tokens)):
            for place in range(batch.tokens.shape[1]):
                if where[row, place] >= 0:
                    rows.append(pool.active(kept[row, place][None])[0].numpy())
                    marks.append(bool(where[row, place]))
    return np.array(rows), np.array(marks)


def own_pool(model):
    return firing.pool_of(model, f"{STREAM}ours")


def f1(fires, marks) -> float:
    return 2 * (fires & marks).sum() / (fires.sum() + marks.sum())


@pytest.mark.parametrize("kind", ["", STREAM, MLP])
def test_the_best_detectors_are_those_that_a_loop_over_numbers_and_thresholds_finds(model, kind):
    found = best_detectors(model, PROMPTS, CONCEPT, [f"{kind}ours"], keep=3)
    rows, marks = tokens_of(model, firing.pool_of(model, f"{kind}ours"))
    sizes = [0.0, *SIZES] if not kind else [0.0, *SIZES, *(-size for size in SIZES)]
    best = []
    for number in range(rows.shape[1]):
        ways = [f1(rows[:, number] > size, marks) for size in sizes]
        if kind:
            ways += [f1(rows[:, number] < size, marks) for size in sizes]
        best.append(max(ways))
    assert found.values[0] == pytest.approx(sorted(best, reverse=True)[:3], abs=1e-6)
    for name, value in zip(found.columns, found.values[0], strict=True):
        one = Detector.parse(name)
        fires = rows[:, one.number] > one.threshold if one.above else rows[:, one.number] < one.threshold
        assert f1(fires, marks) == pytest.approx(value, abs=1e-6)


def test_what_stands_at_its_threshold_does_not_fire(model, own, monkeypatch):
    at = torch.tensor([0.4, 0.5, 0.6])
    assert Detector("ours", 0, True, 0.5).fires(at).tolist() == [False, False, True]
    assert Detector("ours", 0, False, 0.5).fires(at).tolist() == [True, False, False]
    whole = replace(own, encode=lambda x: own.encode(x).round())  # 1, 2 and 4 are thresholds too
    monkeypatch.setattr(firing, "dictionary_of", lambda model, sae: whole)
    found = best_detectors(model, PROMPTS, CONCEPT, ["ours"], keep=40)
    rows, marks = tokens_of(model, whole)
    best = [max(f1(rows[:, number] > size, marks) for size in (0.0, *SIZES)) for number in range(rows.shape[1])]
    assert found.values[0] == pytest.approx(sorted(best, reverse=True), abs=1e-6)
    for name, value in zip(found.columns, found.values[0], strict=True):
        one = Detector.parse(name)
        assert f1(rows[:, one.number] > one.threshold, marks) == pytest.approx(value, abs=1e-6)


def test_tokens_that_are_not_asked_count_nowhere(model):
    found, (_, marks) = fired(model, PROMPTS, CONCEPT, f"{STREAM}ours: 3 > -1000"), tokens_of(model, own_pool(model))
    assert found["fired"].array.sum() == len(marks)
    assert found["wrong"].array.sum() == (~marks).sum()


def test_coordinates_of_the_stream_are_about_their_means(model, own):
    kept = run(model, batches(model, PROMPTS, alone=True)[0].tokens, keep=(HOOK,))[1][HOOK]
    mean = own.offset if own.mean is None else own.mean
    assert mean.abs().max() > 0
    assert torch.allclose(firing.pool_of(model, f"{STREAM}ours").active(kept), kept - mean)


def test_what_a_detector_fires_on_is_counted_token_by_token(model):
    detector = "ours: 7 > 0.5"
    found = fired(model, PROMPTS, CONCEPT, detector)
    rows, marks = tokens_of(model, firing.pool_of(model, "ours"))
    fires = rows[:, 7] > 0.5
    counted = [(fires & marks).sum(), fires.sum(), marks.sum(), (fires != marks).sum()]
    assert found.values.sum(axis=0) == pytest.approx(counted)
    assert found.columns == ("hits", "fired", "there", "wrong")
    assert found.units == tuple(row.fingerprint for row in PROMPTS)
    half = [int(row.label("half")) for row in PROMPTS]
    assert found["there"].array == pytest.approx(half)


def test_activity_is_the_mean_over_prompts_at_the_position(model, own):
    last, many = [], repeats(40, split="discovery")
    for batch in batches(model, many, alone=True):
        last += [own.active(run(model, batch.tokens, keep=(HOOK,))[1][HOOK][:, -1])]
    assert any(len(one) > 1 for one in last)
    assert activity(model, many, own).values[0] == pytest.approx(torch.cat(last).mean(0).numpy(), abs=1e-5)


def test_a_detector_is_its_text_and_other_text_is_none():
    for text in ("after-2-seed-0 1a2b3c4d: 17 > 0.5", "stream of x y: 3 < -1.414", "MLP of x: 0 > 0"):
        assert str(Detector.parse(text)) == text
    with pytest.raises(ValueError, match="'17' is no detector"):
        Detector.parse("17")


def test_prompts_that_have_it_nowhere_are_refused(model):
    with pytest.raises(ValueError, match="on every token that is asked, or on none"):
        best_detectors(model, PROMPTS, "pronoun-of-a-woman", ["ours"])
