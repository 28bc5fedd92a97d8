"""Of large models one is in memory at a time, so that a twin never stands beside its model; of small ones several."""

import gc
import weakref
from collections.abc import Callable

import pytest
import torch

from mechlib.lab import attribution_patching, components, lost_by_patching
from mechlib.lab.models import loading
from mechlib.lab.models.loading import Model, load
from tests.helpers.tiny import directory, pairs


@pytest.fixture
def alive(monkeypatch) -> list[int]:
    """How many models, of those that were loaded since, are in memory whenever another one is made."""
    made: weakref.WeakSet[Model] = weakref.WeakSet()
    counted: list[int] = []
    boot: Callable[..., Model] = loading._boot

    def booted(*given: object) -> Model:
        counted.append(len(made))
        made.add(model := boot(*given))
        return model

    monkeypatch.setattr(loading, "_boot", booted)
    return counted


@pytest.fixture
def path(tmp_path) -> str:
    return str(directory(tmp_path / "m", "llama"))


@pytest.fixture
def large(monkeypatch) -> None:
    """A tiny model counts as a large one."""
    monkeypatch.setattr(loading, "SMALL", 1)


def test_before_a_twin_is_made_the_model_that_was_measured_is_gone(path, alive, large):
    for name in (path, f"{path}@untrained", f"{path}@permuted", path):
        for measure in (lost_by_patching, attribution_patching):  # both keep what they made of the weights
            measure(load(name), pairs(4), components(load(name)))
    assert alive == [0, 0, 0, 0]


def test_a_model_that_was_written_to_is_gone_before_it_is_loaded_afresh(path, alive, large):
    with torch.no_grad():
        next(iter(load(path).parameters())).add_(1)
    load(path)
    assert alive == [0, 0]


def test_a_large_model_that_somebody_holds_is_not_loaded_a_second_time(path, alive, large):
    model, twin = load(path), load(f"{path}@permuted")
    assert load(path) is model and load(f"{path}@permuted") is twin
    assert alive == [0, 1]


def test_of_small_models_those_that_were_used_last_are_kept(path, alive, monkeypatch):
    monkeypatch.setattr(loading, "KEPT", 2)
    monkeypatch.setattr(loading, "_KEPT", type(loading._KEPT)())
    for name in ("", "@untrained", "", "@permuted"):
        load(f"{path}{name}")
    gc.collect()  # as Python does at some time
    load(path)
    assert len(alive) == 3, "the model was used after its untrained twin"
    load(f"{path}@untrained")
    assert len(alive) == 4
