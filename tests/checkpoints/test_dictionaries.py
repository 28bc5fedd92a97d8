"""Dictionaries by name: what is shipped is what its cards say, and a name says which weights are meant."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mechlib.checkpoints.checkpoint import parent
from mechlib.checkpoints.dictionaries import CARD, NOT_MADE, WEIGHTS, card, cards, dictionary, main_layer, named
from mechlib.checkpoints.resolve import file_name, kind_of

pytest.importorskip("sae_lens", reason="the extra `features` is not installed")

from fixtures.saes import make

MODELS = (*make.MINIS, *(f"{name}@untrained" for name in make.MINIS))
HERE = Path(make.__file__).parent


def shipped() -> list[tuple[str, str]]:
    return [(model, named(*point)) for model in MODELS for point in make.points(model)]


def said(model: str, name: str) -> dict[str, Any]:
    return json.loads((cards(model) / name / CARD).read_text(encoding="utf-8"))


def test_what_the_script_makes_is_what_ships_and_nothing_else() -> None:
    there = {(folder.parent.name, folder.name) for folder in HERE.glob("*/*") if folder.is_dir()}
    expected = {(file_name(model), name) for model, name in shipped()}
    expected |= {(make.SMOL, named(*point)) for point in make.points(make.SMOL)}
    assert {one for one in there if "__pycache__" not in one} == expected


def test_all_dictionaries_together_take_at_most_15_megabytes() -> None:
    assert sum(file.stat().st_size for file in HERE.rglob("*") if file.is_file()) <= 15e6


@pytest.mark.parametrize(("model", "name"), shipped())
def test_the_card_is_of_these_weights_this_model_and_the_recipe_of_the_script(model: str, name: str) -> None:
    own, folder = said(model, name), cards(model) / name
    assert own["weights_sha256"] == hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    assert own["model"] == model
    assert own["stored"] == "float16"
    assert own["command"] == f"python fixtures/saes/make.py {model}"
    seed, frozen = own["recipe"]["seed"], own["recipe"]["frozen"]
    assert own["recipe"] == asdict(make.MINI) | {"seed": seed, "frozen": frozen}
    assert name == named(int(own["hook"].split(".")[1]), seed, frozen)


def test_nothing_of_a_frozen_matrix_is_stored() -> None:
    sizes = {frozen: (cards("mini-0") / named(2, 0, frozen) / WEIGHTS).stat().st_size for frozen in make.FROZEN}
    assert sizes["decoder"] < 0.6 * sizes[""]
    assert sizes["encoder"] < 0.6 * sizes[""]


def test_a_name_has_the_hash_of_its_weights_and_a_twin_has_dictionaries_of_its_own() -> None:
    own, twins = dictionary("mini-0"), dictionary("mini-0@untrained", seed=1, frozen="decoder")
    assert own == f"after-2-seed-0 {said('mini-0', 'after-2-seed-0')['weights_sha256'][:8]}"
    assert twins.split()[0] == "after-2-seed-1-decoder"
    assert twins.split()[1] == said("mini-0@untrained", "after-2-seed-1-decoder")["weights_sha256"][:8]


def test_the_permuted_twin_has_none_and_a_model_without_one_says_so() -> None:
    assert dictionary("mini-0@permuted") == f"after-2-seed-0 {NOT_MADE}"
    assert card("mini-0@permuted", "after-2-seed-0") is None
    with pytest.raises(FileNotFoundError, match="mini-1 has no dictionary 'after-0-seed-0': it has after-2"):
        dictionary("mini-1", 0)
    with pytest.raises(FileNotFoundError, match="gemma3-270m has no dictionaries of features"):
        dictionary("gemma3-270m")


def test_the_main_layer_is_the_one_with_frozen_twins() -> None:
    assert {main_layer(model) for model in make.MINIS} == {2}
    assert {parent(model) for model in MODELS} == set(make.MINIS)
    assert {kind_of(model) for model in MODELS} == {"mini"}
