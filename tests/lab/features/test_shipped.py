"""Dictionaries of the record: found by name, held to the hash in it, refused where they are others or not there."""

from __future__ import annotations

import shutil

import pytest

pytest.importorskip("sae_lens", reason="the extra `features` is not installed")

import torch

from mechlib.checkpoints.dictionaries import cards, dictionary
from mechlib.lab.features import shipped
from mechlib.lab.features.evaluation import dictionary_scores_on_prompts
from mechlib.lab.features.loading import OtherActivation
from mechlib.lab.features.shipped import NoDictionary, dictionary_of
from mechlib.lab.models.loading import load
from mechlib.prompts.texts import texts


def test_the_card_says_what_the_dictionary_does_on_texts_that_it_was_not_made_from() -> None:
    model = load("mini-0")
    found = dictionary_of(model, dictionary("mini-0"))
    scores = dictionary_scores_on_prompts(model, found, texts("mini-0", 50, "discovery"))
    unexplained = scores["squared error"].values.sum() / scores["squared deviation"].values.sum()
    assert unexplained == pytest.approx(found.card["unexplained"], rel=0.2)
    assert float(scores["L0"].values.mean()) == pytest.approx(found.card["l0"], rel=0.05)


def test_a_frozen_matrix_comes_again_from_its_seed() -> None:
    model = load("mini-0")
    one, other = (dictionary_of(model, dictionary("mini-0", seed=seed, frozen="decoder")) for seed in (0, 1))
    assert not torch.allclose(one.directions, other.directions)
    trained = dictionary_of(model, dictionary("mini-0"))
    assert one.directions.shape == trained.directions.shape


def test_what_was_never_made_is_refused() -> None:
    with pytest.raises(NoDictionary, match="mini-0@permuted has no dictionary after-2-seed-0: none was made"):
        dictionary_of(load("mini-0@permuted"), dictionary("mini-0@permuted"))


def test_other_weights_than_the_name_says_are_refused() -> None:
    with pytest.raises(NoDictionary, match="and 00000000 was asked for: make it again"):
        dictionary_of(load("mini-0"), "after-2-seed-0 00000000")


def test_weights_that_are_not_here_are_named_with_the_cure(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(shipped, "weights", lambda model, name: tmp_path / name)
    with pytest.raises(NoDictionary, match="the weights of after-15-seed-0 of mini-0 are not here: `make saes`"):
        dictionary_of(load("mini-0"), "after-15-seed-0 12345678")


def test_the_dictionary_of_another_model_is_refused_by_its_card(tmp_path, monkeypatch) -> None:
    shutil.copytree(cards("mini-1") / "after-2-seed-0", tmp_path / "after-2-seed-0")
    monkeypatch.setattr(shipped, "weights", lambda model, name: tmp_path / name)
    with pytest.raises(OtherActivation, match="is of mini-1"):
        dictionary_of(load("mini-0"), dictionary("mini-1"))
