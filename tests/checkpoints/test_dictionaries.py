"""Dictionaries by name: what is shipped is what its cards say, and a name says which weights are meant."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mechlib.checkpoints.checkpoint import parent
from mechlib.checkpoints.dictionaries import CARD, NOT_MADE, WEIGHTS, Frozen, card, cards, dictionary, main_layer, named
from mechlib.checkpoints.resolve import file_name, kind_of

pytest.importorskip("sae_lens", reason="the extra `features` is not installed")

import torch

from fixtures.saes import make

MODELS = (*make.MINIS, *(f"{name}@untrained" for name in make.MINIS))
FETCHED = (make.SMOL, f"{make.SMOL}@untrained")
HERE = Path(make.__file__).parent


def shipped() -> list[tuple[str, str]]:
    return [(model, named(*point)) for model in MODELS for point in make.points(model)]


def said(model: str, name: str) -> dict[str, Any]:
    return json.loads((cards(model) / name / CARD).read_text(encoding="utf-8"))


def test_what_the_script_makes_is_what_ships_and_nothing_else() -> None:
    there = {(folder.parent.name, folder.name) for folder in HERE.glob("*/*") if folder.is_dir()}
    expected = {(file_name(model), name) for model, name in shipped()}
    expected |= {(file_name(model), named(*point)) for model in FETCHED for point in make.points(model)}
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


@pytest.mark.parametrize(("model", "point"), [(model, point) for model in FETCHED for point in make.points(model)])
def test_the_card_of_a_fetched_models_dictionary_is_of_the_recipe_of_the_script(
    model: str, point: tuple[int, int, Frozen]
) -> None:
    own = said(model, named(*point))
    assert own["recipe"] == asdict(make.LARGE) | {"seed": point[1], "frozen": point[2]}
    assert own["model"] == model
    assert own["command"] == f"python fixtures/saes/make.py {model}"
    assert own["hook"] == said(make.SMOL, named(*point))["hook"]


class _Texts:
    """A tokenizer of letters, of which 0 is BOS, and rows of five words each of which comes twice, without end."""

    tokenizer = SimpleNamespace(decode=lambda ids: " ".join(str(one) for one in ids), unk_token=None)

    def __init__(self) -> None:
        self.reads: list[int] = []

    def read(self, start: int, stop: int) -> list[list[int]]:
        self.reads.append(start)
        return [[0] if at % 3 == 0 else [0, *range(at // 2, at // 2 + 5)] for at in range(start, stop)]


def test_texts_to_judge_on_are_no_training_texts_come_once_and_no_more_are_written_than_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _Texts()
    monkeypatch.setattr(make, "sampled_rows", lambda model, seed: model)
    monkeypatch.setattr(make, "cards", lambda name: tmp_path)
    monkeypatch.setattr(make, "MANY", {"one": 40})
    make.filed(cast(Any, model), "one", {"1 2 3 4 5"})
    held = json.loads((tmp_path / "texts.json").read_text(encoding="utf-8"))["texts"]
    assert held["discovery"][:2] == ["0 1 2 3 4", "2 3 4 5 6"]
    assert {split: len(set(texts)) for split, texts in held.items()} == {"discovery": 40, "confirmation": 40}
    assert not set(held["discovery"]) & set(held["confirmation"])
    assert model.reads == [0, 0, 128], "64 texts are in the first 128 rows, and discovery has 40 of them"


def test_training_texts_are_whole_batches_until_there_are_tokens_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _Texts()
    monkeypatch.setattr(make, "sampled_rows", lambda model, seed: model)
    monkeypatch.setattr(make, "load", lambda name: model)
    monkeypatch.setattr(make, "TOKENS", 1000)
    rows = make.texts_of("one", tmp_path)
    assert model.reads == [0, 128, 256]
    assert rows == [row for row in model.read(0, 384) if len(row) > 2]
    assert make.texts_of("one", tmp_path) == rows
    assert len(model.reads) == 4, "what was written is read again"


def test_a_dictionary_that_is_there_is_not_trained_again_and_its_card_is_filed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, one = torch.get_num_threads(), named(2)
    there = cards("mini-pilot") / one
    monkeypatch.setattr(make, "weights", lambda model, name: there)
    monkeypatch.setattr(make, "cards", lambda model: tmp_path)
    assert make.trained(tmp_path, ("mini-pilot", 2, 0, "")).startswith("mini-pilot after-2-seed-0: l0 1")
    torch.set_num_threads(threads)
    assert (tmp_path / one / CARD).read_bytes() == (there / CARD).read_bytes()
    assert sorted(tmp_path.rglob("*.*")) == [tmp_path / one / CARD], "nothing is cached for it"


def test_none_side_by_side_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make.options(["mini-0", "--together", "0"])
    assert capsys.readouterr().err.splitlines()[-1].endswith("error: --together 0: train one or more side by side")


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
