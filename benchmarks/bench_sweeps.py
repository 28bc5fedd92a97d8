"""Sweeps over all heads: ours beside TransformerLens's `patching` utility, on GPT-2 small's shape.

    python benchmarks/bench_sweeps.py

Random weights, 32 clean/corrupted pairs of 16 tokens, the logit difference at the last position; ours gives it for
every prompt, the utility one mean. Both include their caching passes, and ours its check against hooks. The peer is
timed on 12 heads, one a layer, some before ours and some after, and scaled to 144; FULL=1 times all.
"""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import side_by_side as bench
from side_by_side import DIFFERING, FULL, HEADS, HIDDEN, LAYERS, LENGTH, PAIRS, TIMED, WIDTH, Side

GOALS = {"sweep all": 4.6, "sweep all ioi": 10, "sweep last": 45}
LIMIT = 1.15  # times the multiplications' own time, for all positions
WITHIN = 1e-4  # of the largest effect, for equal numbers


def ours(path: Path, differing: int | None) -> dict[str, Callable[..., Any]]:
    from mechlib import all_heads, heads
    from mechlib.lab import restored_by_patching
    from mechlib.lab.interventions import sweep as engine

    model, prompts = bench.ours(path, differing)

    def swept(positions: Any, few: bool = False) -> dict[str, float]:
        engine._RUNS.clear()  # as a first sweep: later ones of the same prompts are neither run nor checked again
        engine._SEEN.clear()
        some = heads(" ".join(f"{layer}.{head}" for layer, head in TIMED)) if few else all_heads(LAYERS, HEADS)
        found = restored_by_patching(model, prompts, some, positions)
        return dict(zip(found.columns, found.values.mean(0).tolist(), strict=True))

    return {"sweep": swept, "rate": bench.rate}


def peer(path: Path, differing: int | None) -> dict[str, Callable[..., Any]]:
    import pandas
    import torch
    from transformer_lens import patching

    model, clean, other, words = bench.peers(path, differing)
    known: dict[str, Any] = {}

    def metric(logits: torch.Tensor) -> torch.Tensor:
        answer, distractor = logits[:, -1].gather(1, words).unbind(1)
        return (answer - distractor).mean()

    @torch.no_grad()
    def passes() -> float:
        logits, known["cache"] = model.run_with_cache(clean)
        known["corrupted"] = float(metric(model(other)))
        return float(metric(logits)) - known["corrupted"]

    @torch.no_grad()
    def patched(several: list[tuple[int, int]], positions: Any) -> list[float]:
        # The utilities themselves go through all heads, and by position through all positions too: these are their
        # own functions on some.
        frame = pandas.DataFrame(several, columns=["layer", "head"])
        setter = patching.layer_head_vector_patch_setter
        if positions == -1:
            frame = pandas.DataFrame([(a, LENGTH - 1, b) for a, b in several], columns=["layer", "pos", "head"])
            setter = patching.layer_pos_head_vector_patch_setter
        made = patching.generic_activation_patch(model, other, known["cache"], metric, setter, "z", index_df=frame)
        return (made - known["corrupted"]).tolist()

    return {"passes": passes, "patched": patched}


def multiplications(first: int, last: bool) -> float:
    """Multiplications and additions of a sweep over all heads, and of the two runs that it starts from.

    Computed again: the MLP behind the patched head and all later layers, at positions from `first` on; of the last
    layer only keys, values and what the last position needs.
    """
    again = 1 if last else LENGTH - first
    mlp, attention, keys = 2 * WIDTH * HIDDEN, 4 * WIDTH**2, 2 * WIDTH**2
    looks = 2 * LENGTH * WIDTH
    layer = again * (mlp + attention + looks)
    end = again * keys + (mlp + attention - keys + looks)
    heads = [again * mlp + (LAYERS - 2 - at) * layer + end for at in range(LAYERS - 1)] + [mlp]
    whole = LENGTH * (mlp + attention + looks)
    cached = (LAYERS - 1) * (whole + (LENGTH - first) * (mlp + attention + looks)) + 2 * LENGTH * keys
    return 2.0 * PAIRS * (HEADS * sum(heads) + cached)


def compare(name: str, path: Path, differing: int | None, positions: Any) -> bool:
    with Side(ours, path, differing) as mine, Side(peer, path, differing) as other:
        mine("sweep", positions, True)  # what is done once for a model: weights are read, and reordered
        several = [(a, b) for a in range(LAYERS) for b in range(HEADS)] if FULL else TIMED
        repeats = 3 if positions == -1 else 1  # a short one is timed more often
        rates, taken, slow, theirs = [mine("rate")[0]], [], 0.0, {}
        theirs["total"], cached = other("passes")
        for turn in range(repeats + 1):
            group = several[turn :: repeats + 1]
            effects, seconds = other("patched", group, positions)
            theirs |= {f"{layer}.{head}": effect for (layer, head), effect in zip(group, effects, strict=True)}
            slow += seconds
            if turn < repeats:
                swept, seconds = mine("sweep", positions)
                taken.append(seconds)
        rates.append(mine("rate")[0])
        seconds = statistics.median(taken)
        off = max(abs(swept[head] - one) for head, one in theirs.items())
        largest = max(abs(one) for one in theirs.values())
        assert off <= WITHIN * largest, f"{name}: effects of {largest:.3g} differ by {off:.2g}"
        limit = multiplications(DIFFERING if differing else 0, positions == -1) / max(rates)
        beyond = positions == "all" and not differing and seconds > LIMIT * limit
        return bench.record(
            name,
            GOALS[name],
            seconds,
            cached + slow * LAYERS * HEADS / len(several),
            limit,
            mine.memory(),
            other.memory(),
            off,
            f"144 heads; the peer's two passes and {len(several)} heads"
            + ("" if FULL else ", scaled")
            + f"; effects up to {largest:.2g}; {max(rates) / 1e9:.0f} GFLOP/s",
            missed=f"more than {LIMIT} of the limit" if beyond else "",
        )


def main() -> None:
    path = bench.directory()
    try:
        met = [
            compare("sweep last", path, None, -1),
            compare("sweep all ioi", path, DIFFERING, "all"),
            compare("sweep all", path, None, "all"),
        ]
    finally:
        shutil.rmtree(path)
    if not all(met):
        sys.exit("a goal was missed")


if __name__ == "__main__":
    main()
