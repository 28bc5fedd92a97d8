"""Path patching from each head to the logits: ours beside hooks of TransformerLens, on GPT-2 small's shape.

    python benchmarks/bench_paths.py

32 pairs of 16 tokens that differ everywhere. The peer has one forward pass for each sender, all other heads and all
MLPs held at what they were. It is timed on 12 senders, one a layer, and scaled to 144; FULL=1 times all.
"""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import side_by_side as bench
from side_by_side import FULL, HEADS, HIDDEN, LAYERS, LENGTH, PAIRS, TIMED, WIDTH, Side

GOAL, WITHIN, REPEATS = 80, 1e-4, 3


def ours(path: Path) -> dict[str, Callable[..., Any]]:
    from mechlib import all_heads
    from mechlib.lab import restored_by_path_patching

    model, prompts = bench.ours(path)

    def patched() -> dict[str, float]:
        found = restored_by_path_patching(model, prompts, all_heads(LAYERS, HEADS))
        return dict(zip(found.columns, found.values.mean(0).tolist(), strict=True))

    return {"patched": patched, "rate": bench.rate}


def peer(path: Path) -> dict[str, Callable[..., Any]]:
    import torch

    model, clean, other, words = bench.peers(path)
    known: dict[str, Any] = {}

    def metric(logits: torch.Tensor) -> float:
        answer, distractor = logits[:, -1].gather(1, words).unbind(1)
        return float((answer - distractor).mean())

    @torch.no_grad()
    def passes() -> float:
        logits, known["clean"] = model.run_with_cache(clean, names_filter=lambda name: name.endswith("hook_z"))
        frozen = ("hook_z", "hook_mlp_out")
        before, known["corrupted"] = model.run_with_cache(other, names_filter=lambda name: name.endswith(frozen))
        known["before"] = metric(before)
        return metric(logits) - known["before"]

    def frozen_but(sender: tuple[int, int]) -> Callable[..., torch.Tensor]:
        def hold(activation: torch.Tensor, hook: Any) -> torch.Tensor:
            held = known["corrupted"][hook.name]
            if hook.name == f"blocks.{sender[0]}.attn.hook_z":
                held = held.clone()
                held[:, :, sender[1]] = known["clean"][hook.name][:, :, sender[1]]
            return held

        return hold

    @torch.no_grad()
    def patched(senders: list[tuple[int, int]]) -> list[float]:
        made = []
        for sender in senders:
            hold = frozen_but(sender)
            logits = model.run_with_hooks(other, fwd_hooks=[(name, hold) for name in known["corrupted"]])
            made.append(metric(logits) - known["before"])
        return made

    return {"passes": passes, "patched": patched}


def main() -> None:
    path = bench.directory()
    try:
        met = compare(path)
    finally:
        shutil.rmtree(path)
    if not met:
        sys.exit("a goal was missed")


def compare(path: Path) -> bool:
    with Side(ours, path) as mine, Side(peer, path) as other:
        mine("patched")
        several = [(a, b) for a in range(LAYERS) for b in range(HEADS)] if FULL else TIMED
        rates, taken, slow = [mine("rate")[0]], [], 0.0
        total, cached = other("passes")
        theirs = {"total": total}
        for turn in range(REPEATS + 1):
            group = several[turn :: REPEATS + 1]
            effects, seconds = other("patched", group)
            theirs |= {f"{layer}.{head}": effect for (layer, head), effect in zip(group, effects, strict=True)}
            slow += seconds
            if turn < REPEATS:
                found, seconds = mine("patched")
                taken.append(seconds)
        rates.append(mine("rate")[0])
        off = max(abs(found[head] - one) for head, one in theirs.items())
        largest = max(abs(one) for one in theirs.values())
        assert off <= WITHIN * largest, f"effects of {largest:.3g} differ by {off:.2g}"
        whole = LENGTH * (2 * WIDTH * HIDDEN + 4 * WIDTH**2 + 2 * LENGTH * WIDTH)
        written = LAYERS * HEADS * WIDTH * WIDTH // HEADS
        return bench.record(
            "path patching",
            GOAL,
            statistics.median(taken),
            cached + slow * LAYERS * HEADS / len(several),
            2 * PAIRS * (2 * LAYERS * whole + written) / max(rates),
            mine.memory(),
            other.memory(),
            off,
            f"144 senders; the peer's two passes and {len(several)} senders"
            + ("" if FULL else ", scaled")
            + f"; effects up to {largest:.2g}; {max(rates) / 1e9:.0f} GFLOP/s",
        )


if __name__ == "__main__":
    main()
