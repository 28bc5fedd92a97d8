"""Activations to disk: what writing them costs beside the forward pass alone, and that memory stays as tokens grow.

    MECHLIB_CACHE=... python benchmarks/bench_activations.py [mini-0] [smollm2-135m]

The same random rows of tokens on all sides, and one hook in the middle of the model. "Alone" is the library's own run,
stopped behind the same layer (`stop_at_layer`), on the same batches. The goal is 10 % over it at most, and a peak at
20,000 tokens that is that at 5,000, within 3 MiB. Beside it stands what one writes first, `run_with_cache` of the one
hook in a loop, its activations kept in a list: a whole run, since nothing stops it, and memory that grows.

Seen in November 2026 on one busy core, of mini-0 with 80,000 tokens in batches of 4,096: 8.9 % over the forward pass
alone; from 5,000 to 20,000 tokens the peak grows by 0.1 MiB, in the loop by 7.6.

Of a model that is not on this machine one line says so, and nothing is timed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import side_by_side as bench
from side_by_side import Side

FEW, MANY, LONG = 5_000, 20_000, 80_000
OVER = 1.10  # of the forward pass alone
FLAT = 3.0  # MiB that the peak may differ by
CLOSE = 2e-3  # of the largest activation, by which float16 and a whole run may differ
MODELS = ("mini-0", "smollm2-135m")


def work(name: str, together: int) -> dict[str, Callable[..., Any]]:
    """What either side does, on batches of `together` tokens: the forward pass alone, ours, and the loop in memory."""
    import numpy as np
    import torch

    from mechlib.lab import cache_activations, load, token_rows

    torch.set_num_threads(1)
    model = load(name)
    length = min(128, model.cfg.n_ctx)
    layer, batch = model.cfg.n_layers // 2, together // length
    hook = f"blocks.{layer}.hook_resid_post"
    drawn = np.random.default_rng(0).integers(5, model.cfg.d_vocab, (LONG // length + 1, length))

    def batches(tokens: int) -> list[torch.Tensor]:
        return list(torch.from_numpy(drawn[: tokens // length]).split(batch))

    def alone(tokens: int) -> int:
        with torch.no_grad():
            return sum(model(some, stop_at_layer=layer + 1).shape[0] for some in batches(tokens))

    def cached(tokens: int) -> np.ndarray:
        rows = token_rows(model, drawn[: tokens // length])
        with tempfile.TemporaryDirectory() as folder:
            return np.array(cache_activations(model, hook, rows, Path(folder) / "c", batch=batch).rows[-64:])

    def in_memory(tokens: int) -> np.ndarray:
        kept = []
        with torch.no_grad():
            for some in batches(tokens):
                _, cache = model.run_with_cache(some, names_filter=[hook])
                kept.append(cache[hook].flatten(0, 1))
        return torch.cat(kept)[-64:].numpy()

    return {"alone": alone, "cached": cached, "in memory": in_memory}


def timed(name: str) -> tuple[float, float, int]:
    """Processor seconds of the forward pass alone and of ours, in turn, the shortest of each, and how many tokens."""
    tokens, repeats = (LONG, 4) if name.startswith("mini") else (FEW, 3)  # of a mini a tenth of a second else
    with Side(work, name, 4096) as side:
        for what in ("alone", "cached"):
            side(what, FEW // 4)  # what is done once
        times = [(side("alone", tokens)[1], side("cached", tokens)[1]) for _ in range(repeats)]
    alone, cached = (min(several) for several in zip(*times, strict=True))
    return alone, cached, tokens


def peaks(name: str) -> tuple[dict[int, tuple[float, float]], float]:
    """By number of tokens, the peak memory of ours and of the loop, MiB; and how far apart their activations are, as a
    share of the largest."""
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"  # what is freed goes back: else a peak is of what was kept for later
    found: dict[int, tuple[float, float]] = {}
    with Side(work, name, 1024) as ours, Side(work, name, 1024) as naive:
        for side, what in ((ours, "cached"), (naive, "in memory")):
            side(what, FEW // 4)
            side("forget")
        for tokens in (FEW, MANY):
            mine, theirs = ours("cached", tokens)[0], naive("in memory", tokens)[0]
            found[tokens] = ours.memory(), naive.memory()
            for side in (ours, naive):
                side("forget")
    del os.environ["MALLOC_MMAP_THRESHOLD_"]
    return found, float(abs(mine - theirs).max() / abs(theirs).max())


def compare(name: str) -> bool:
    """Whether one model's row met both goals."""
    memory, apart = peaks(name)
    assert apart <= CLOSE, f"{name}: activations differ by {apart:.2g} of the largest"
    alone, cached, tokens = timed(name)
    grown = [memory[MANY][side] - memory[FEW][side] for side in (0, 1)]
    missed = f"memory grew by {grown[0]:.0f} MiB, wanted {FLAT:.0f} at most" if grown[0] > FLAT else ""
    return bench.record(
        f"caching, {name}", round(1 / OVER, 3), cached, alone, None, memory[MANY][0], memory[MANY][1], apart,
        f"{cached / alone - 1:+.1%} over the forward pass alone, {tokens / cached:,.0f} tokens a second; from {FEW:,} "
        f"to {MANY:,} tokens the peak grows by {grown[0]:.1f} MiB, in a loop in memory by {grown[1]:.1f}",
        missed,
    )  # fmt: skip


def main() -> None:
    from mechlib.checkpoints.checkpoint import WeightsMissing
    from mechlib.checkpoints.files import require_here
    from mechlib.checkpoints.resolve import checkpoint

    met = []
    for name in sys.argv[1:] or MODELS:
        try:
            require_here(checkpoint(name))
        except WeightsMissing as missing:
            print(f"skipped: {missing}")
            continue
        met.append(compare(name))
    if not all(met):
        sys.exit("a goal was missed")


if __name__ == "__main__":
    main()
