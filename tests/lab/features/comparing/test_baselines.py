"""Baselines keep as many numbers as the dictionary, and are fitted to the texts that they are given."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mechlib.lab.features.comparing.baselines import activations_on, baseline_of, mean_on
from mechlib.lab.features.dictionaries import random_dictionary
from mechlib.lab.models.loading import load
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import REFUSED, WORDS, directory, random_model
from tests.lab.features.hooked import HOOK, stream

CARD = {"recipe": {"kind": "topk", "k": 4}}


def written(n: int, seed: int, split: str = "confirmation") -> PromptSet:
    """Texts of five to nine random words."""
    rng = np.random.default_rng(seed)
    rows = (Prompt(" ".join(rng.choice(WORDS[3:], rng.integers(5, 10))), answer="") for _ in range(n))
    return PromptSet("written", split, tuple(rows), unit="sequence")


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("compared") / "one", "gpt2")))


def made(model, prompts: PromptSet, seed: int = 0, features: int = 60):
    """A dictionary whose card says that it keeps four."""
    rows = activations_on(model, prompts, HOOK)
    return replace(random_dictionary(rows, features, 4, seed, HOOK), card=CARD)


def test_activations_stand_text_after_text_as_hugging_face_computes_them(gpt2):
    prompts, theirs = written(6, 0), random_model("gpt2")
    rows = []
    for prompt in prompts:
        ids = torch.tensor([[0, *(WORDS.index(word) for word in prompt.clean.split())]])
        rows.append(stream(theirs, ids)[0, 1:])
    found = activations_on(gpt2, prompts, HOOK)
    np.testing.assert_allclose(found, torch.cat(rows), atol=2e-5)
    np.testing.assert_allclose(mean_on(gpt2, prompts, HOOK), found.mean(0), atol=1e-6)


@pytest.mark.parametrize("kind", ["components", "neurons", "random"])
def test_a_baseline_keeps_as_many_numbers_and_is_of_the_texts_that_fit_it(gpt2, kind):
    texts = written(20, 1, "discovery")
    own = made(gpt2, written(20, 2))
    found = baseline_of(gpt2, own, kind, texts)
    rows = torch.from_numpy(activations_on(gpt2, texts, HOOK))
    assert ((found.active(rows) != 0).sum(1) <= 4).all() and found.hook == HOOK
    np.testing.assert_allclose(found.mean, rows.mean(0), atol=1e-5)
    assert found.features == (60 if kind == "random" else 32)


def test_what_is_too_large_for_the_dictionary_neither_fits_a_baseline_nor_is_replaced_by_it(gpt2):
    texts = written(20, 1, "discovery")
    rows = activations_on(gpt2, texts, HOOK)
    sizes = np.linalg.norm(rows, axis=1)
    limit = float(np.median(sizes))
    found = baseline_of(gpt2, replace(made(gpt2, written(20, 2)), limit=limit), "neurons", texts)
    np.testing.assert_allclose(found.mean, rows[sizes <= limit].mean(0), atol=1e-5)
    assert found.limit == limit and not found.active(torch.from_numpy(rows[sizes > limit])).any()


def test_components_explain_most_of_what_as_many_orthogonal_directions_do(gpt2):
    texts = written(60, 3)
    own, rows = made(gpt2, texts), torch.from_numpy(activations_on(gpt2, texts, HOOK))

    def error(kind):
        one = baseline_of(gpt2, own, kind, texts)
        return float((one.decode(one.active(rows)) - rows).square().sum())

    assert error("components") < error("neurons")


def test_what_has_no_k_and_another_kind_are_refused(gpt2):
    own = made(gpt2, written(20, 2))
    with pytest.raises(ValueError, match=r"keeps no fixed number of features: equal L0 is at hand for topk alone"):
        baseline_of(gpt2, replace(own, card={"recipe": {"kind": "standard", "k": 4}}), "neurons", written(5, 1))
    with pytest.raises(REFUSED):
        baseline_of(gpt2, own, "axes", written(5, 1))
