"""What `mechlib models` says fits this machine, beside what a model takes when it runs."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mechlib import cli
from mechlib.checkpoints.resolve import checkpoint
from mechlib.judging.commands import fitting
from mechlib.judging.commands.fitting import LIBRARIES, needed
from mechlib.lab.models.loading import load

SEEN = argparse.Namespace(batch=32, length=128)
ROOT = Path(__file__).resolve().parents[3]
FORGET = Path("/proc/self/clear_refs")
# In a process of its own: what others left free on the heap of this one would be taken without anybody noticing.
MEASURED = """
import sys
from pathlib import Path
import torch
from mechlib.lab.hooks import run
from mechlib.lab.models.loading import load

def memory(which):
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[which].split()[0]) * 1024

torch.set_num_threads(1)
model, tokens = load("mini-0"), torch.zeros(int(sys.argv[1]), int(sys.argv[2]), dtype=torch.long)
run(model, tokens[:2])
Path("/proc/self/clear_refs").write_text("5")
before = memory("VmRSS")
run(model, tokens)
print(memory("VmHWM") - before)
"""


@pytest.mark.skipif(not FORGET.exists(), reason="a process's peak memory is forgotten on Linux alone")
@pytest.mark.parametrize("batch, length", [(256, 64), (512, 16)])
def test_a_forward_pass_takes_what_was_estimated_within_a_half_and_twice(batch, length):
    command = [sys.executable, "-c", MEASURED, str(batch), str(length)]
    settings = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}  # what is freed is given back at once
    taken = int(subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=True).stdout)
    estimate = needed(checkpoint("mini-0"), batch, length).activations
    assert estimate / 2 <= taken <= 2 * estimate


def test_weights_are_four_bytes_or_two_and_activations_grow_with_batch_and_length():
    mini = checkpoint("mini-0")
    whole, half = (needed(mini, 32, 64, dtype) for dtype in ("float32", "bfloat16"))
    assert whole.weights == 2 * half.weights
    assert whole.weights == pytest.approx(sum(4 * one.numel() for one in load("mini-0").parameters()), rel=0.01)
    assert half.activations < whole.activations
    assert half.loading == whole.loading == whole.weights, "weights are read in float32 before they are rounded"
    assert needed(mini, 64, 64).activations == 2 * whole.activations
    assert needed(mini, 32, 32).activations < whole.activations / 2 + 1
    assert whole.total == LIBRARIES + whole.weights + whole.activations


@pytest.mark.parametrize("name", ["gpt2-small", "planted-ioi", "mini-0@permuted", "qwen2.5-3b"])
def test_models_that_are_not_here_and_those_without_files_are_estimated_too(name, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert needed(checkpoint(name)).activations > 0


@pytest.mark.parametrize("free, said", [("lots", "float32"), ("between", "bfloat16"), ("little", "no"), (None, "")])
def test_the_first_dtype_that_fits_what_is_free_is_named(monkeypatch, free, said):
    whole, half = (needed(checkpoint("mini-0"), 32, 64, dtype).total for dtype in ("float32", "bfloat16"))
    there = {"lots": whole, "between": (whole + half) // 2, "little": half - 1, None: None}[free]
    monkeypatch.setattr(fitting, "free_memory", lambda: there)
    assert fitting.fits("mini-0", None, SEEN)["in"] == said


def test_a_text_is_no_longer_than_the_context(monkeypatch):
    assert fitting.fits("mini-0", None, SEEN)["length"] == 64
    assert fitting.fits("mini-0", None, argparse.Namespace(batch=1, length=7))["length"] == 7


def test_a_containers_limit_counts_where_it_is_lower(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("3000\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert fitting._left_in_container(tmp_path) == 2000
    (tmp_path / "memory.max").write_text("max\n")
    assert fitting._left_in_container(tmp_path) is None
    monkeypatch.setattr(fitting, "_left_in_container", lambda: 2000)
    assert fitting.free_memory() == 2000
    monkeypatch.setattr(fitting, "_left_in_container", lambda: None)
    monkeypatch.setattr(fitting, "_available", lambda: 9)
    assert fitting.free_memory() == 9


def test_the_listing_says_what_fits_and_one_model_says_it_by_dtype(monkeypatch, capsys):
    monkeypatch.setattr(fitting, "free_memory", lambda: 4 * 10**9)
    assert cli.main(["models", "--batch", "8", "--length", "32"]) == 0
    said = capsys.readouterr().out
    rows = {line.split()[0]: line for line in said.splitlines() if line}
    assert "  float32  training seed 0" in rows["mini-0"] and "  no       Qwen/Qwen2.5-3B" in rows["qwen2.5-3b"]
    assert "a forward pass over 8 texts of 32 tokens" in said and "4 GB are free" in said
    assert cli.main(["models", "mini-0", "--batch", "8"]) == 0
    said = capsys.readouterr().out
    assert "\n  float32       4.71 MB of weights, " in said and " for 8 texts of 64 tokens, " in said
    assert "\n  bfloat16      2.36 MB of weights, " in said and said.count(": fits") == 2
    assert cli.main(["models", "mini-0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)[0]["fits"]
    assert found["in"] == "float32" and found["float32"]["weights"] == 2 * found["bfloat16"]["weights"]


def test_a_batch_of_nothing_is_refused(capsys):
    with pytest.raises(SystemExit):
        cli.main(["models", "--batch", "0"])
    assert "0: give 1 or more" in capsys.readouterr().err
