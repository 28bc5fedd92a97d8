"""With several workers, one alone is given the claims of a model that would not fit into each of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mechlib.checkpoints.described.memory import Memory
from mechlib.judging import running
from tests.helpers.house import build

CLAIM = """
@pytest.mark.parametrize("model", ["mini-0", "mini-1"])
def test_it_NUMBER(model):
    '''The level is at least a half.
    Source: made up for this test.
    '''
    import time
    time.sleep(0.02)
    assert mean(around(model, 0.8, 0.0, 100)) >= 0.5
"""
LARGE = """
import mechlib.judging.running as running
running.too_large = lambda workers, root: ("mini-1",) * (workers == 2)
"""


@pytest.fixture
def workers(tmp_path):
    """A function that judges eight claims on two models with two workers: which workers had which model."""
    build(tmp_path, "".join(CLAIM.replace("NUMBER", str(n)) for n in range(8)))
    conftest = tmp_path / "conftest.py"
    conftest.write_text(conftest.read_text() + LARGE)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}

    def run(*options: str) -> dict[str, set[str]]:
        command = [sys.executable, "-m", "pytest", "-v", "-n", "2", *options]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        found = re.findall(r"\[(gw\d)\].*SUPPORTED.*\[(mini-\d)\]", done.stdout)
        assert len(found) == 16, done.stdout
        return {model: {worker for worker, of in found if of == model} for model in ("mini-0", "mini-1")}

    return run


def test_a_large_model_goes_to_one_worker_and_where_nothing_is_measured_to_all(workers):
    assert len(workers()["mini-1"]) == 1
    assert {len(had) for had in workers("--frozen").values()} == {2}


@pytest.mark.parametrize(
    ("count", "free", "large"), [(2, 23e9, ()), (2, 20e9, ("qwen",)), (1, 20e9, ()), (1, 0, ("qwen", "small"))]
)
def test_what_is_large_hangs_on_how_many_workers_hold_it_with_its_twin_in_half_of_what_is_free(
    monkeypatch, tmp_path, count, free, large
):
    """2.5 GB of weights twice and .5 of activations make 5.5 in each worker."""
    sizes = {"qwen": Memory(625_000_000, 2_500_000_000, 500_000_000), "small": Memory(1, 4, 4)}
    monkeypatch.setattr(running, "PACKAGED", sizes)
    monkeypatch.setattr(running, "HUB", {"absent": None})
    monkeypatch.setattr(running, "checkpoint", lambda name, root: Named(name))
    monkeypatch.setattr(running, "is_here", lambda model: model.name in sizes)
    monkeypatch.setattr(running, "memory", lambda model: sizes[model.name])
    monkeypatch.setattr(running, "_free", lambda: free)
    assert running.too_large(count, tmp_path) == large


class Named:
    def __init__(self, name: str) -> None:
        self.name = name


def test_the_system_says_how_much_is_free_or_nothing_is_taken_for_free(monkeypatch):
    if Path("/proc/meminfo").is_file():
        assert 1e7 < running._free() < 1e14
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "MemTotal: 3 kB\n")
    assert running._free() == 0
