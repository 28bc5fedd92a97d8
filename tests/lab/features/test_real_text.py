"""An autoencoder of real text: trained on TinyStories, read by the Llama that was trained on them, which nobody here
made; judged on stories that it was not trained on."""

from __future__ import annotations

import pytest

pytest.importorskip("sae_lens", reason="the extra `features` is not installed")

import torch

from mechlib.lab.activation_cache.caching import cache_activations
from mechlib.lab.activation_cache.rows import token_rows
from mechlib.lab.features.dictionaries import random_dictionary
from mechlib.lab.features.evaluation import dictionary_scores
from mechlib.lab.features.loading import load_sae
from mechlib.lab.features.training.recipes import Recipe
from mechlib.lab.features.training.storing import Source, key_of
from mechlib.lab.features.training.training import train
from mechlib.measurement import Measurement
from tests.house.test_external import storyteller as storyteller  # fixtures
from tests.lab.activation_cache.test_real_text import POST
from tests.lab.activation_cache.test_real_text import stories as stories

pytestmark = pytest.mark.external

FEATURES, K = 256, 8


def unexplained(scores: Measurement) -> float:
    return float(scores["squared error"].values.sum() / scores["squared deviation"].values.sum())


def test_an_autoencoder_of_stories_explains_stories_that_it_was_not_trained_on(storyteller, stories, tmp_path):
    model, _ = storyteller
    length = min(map(len, stories))
    seen, unseen = stories[:-3], torch.tensor([row[:length] for row in stories[-3:]])
    cache = cache_activations(model, POST, token_rows(model, seen), tmp_path / "cache")
    said = cache.header["model"]
    source = Source(said["name"], key_of(said["weights"], said["processing"]), cache.hook, "a test")
    out = train(cache.rows, Recipe("topk", FEATURES, k=K, samples=40_000, batch=256), tmp_path / "sae", source)
    made = load_sae(out, model, POST)

    own = dictionary_scores(model, made, unseen)
    drawn = dictionary_scores(model, random_dictionary(cache.rows, FEATURES, K, hook=POST), unseen)
    assert float(own["L0"].values.max()) <= K
    assert unexplained(own) < 0.45 < unexplained(drawn)
    assert float(own["recovered"].values.sum()) > 0.65 * float(own["to recover"].values.sum())
