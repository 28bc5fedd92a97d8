"""The benchmark on a pretrained model: equal numbers before any ratio, and one line where the model is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    """The benchmark as a module; nothing that it records goes to a file."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(threads, "1")  # which the import sets for good
    import bench_pretrained  # type: ignore[import-not-found]

    monkeypatch.setattr(bench_pretrained.bench, "record", lambda *row: row)
    return bench_pretrained


class Peer:
    """A peer's process, as far as a row asks for it."""

    def memory(self) -> float:
        return 100.0


def test_a_missing_model_is_one_line_and_nothing_is_timed(bench, tmp_path):
    nowhere = {**os.environ, "MECHLIB_CACHE": str(tmp_path)}
    command = [sys.executable, str(BENCHMARKS / "bench_pretrained.py")]
    made = subprocess.run(command, env=nowhere, capture_output=True, text=True, check=True)
    wanted = [f"skipped: {name} is not on this machine: run `mechlib fetch {name}`" for name in bench.PEERS]
    assert made.stdout.splitlines() == wanted and len(wanted) == 2


@pytest.mark.parametrize(("off", "equal"), [(0.9e-4, True), (1.1e-4, False), (float("nan"), False)])
def test_no_ratio_is_told_of_numbers_that_differ_by_more_than_a_share_of_the_heads_spread(bench, off, equal):
    found = {"0.0": -0.5, "0.1": 0.5, "total": 100.0}
    theirs = {"one": found, "other": found | {"0.1": found["0.1"] + off}}
    slow = {"one": 9.0, "other": 6.0}
    arguments = ("a-model", "attribution", found, 2.0, None, 50.0, dict.fromkeys(slow, Peer()), theirs, slow, "all")
    if not equal:
        with pytest.raises(AssertionError, match="attribution, other: effects spread over 1 differ by"):
            bench.told(*arguments)
        return
    name, goal, seconds, peer_seconds, *_, note = bench.told(*arguments)
    assert (name, goal, seconds, peer_seconds) == ("attribution, a-model", 2, 2.0, 6.0)  # the fastest peer's
    assert note == "all; effects spread over 1; beside one 4.5x at 100 MiB, other 3.0x at 100 MiB"


def test_the_products_of_a_sweep_are_counted_layer_by_layer(bench):
    given = ([[1, 2, 3], [1, 2, 4]], [[1, 5, 3], [1, 2, 9]], [])
    shape = {"layers": 2, "heads": 3, "groups": 4, "width": 6, "hidden": 10}
    mlp = 3 * 6 * 10
    whole = mlp + (6 * 6 + 2 * 4 * 6 + 6 * 6) + 2 * 3 * 6  # queries, keys and values, outputs; scores and mixing
    runs = 2 * whole * 3 + 2 * whole * 2  # three positions, and two from the first word on that differs
    sweeps = 3 * (mlp + whole) + 3 * mlp
    assert bench.multiplications(given, shape) == 2 * 2 * (runs + sweeps)
