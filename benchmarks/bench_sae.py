"""TopK autoencoders trained on a CPU: our step beside SAELens's, at equal loss, on one thread.

    python benchmarks/bench_sae.py

576 numbers a row, 4,608 features, 16 of them active, batches of 1,024: of the width of SmolLM2-135M, 8x. Rows are sums
of planted features. Both train from the same weights on the same rows, by SAELens's optimiser and schedule; SAELens
with its prefetching of batches. They take turns, some steps each, and processor seconds are counted.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

import side_by_side as bench  # sets one thread, before torch is imported

WIDTH, FEATURES, K, BATCH = 576, 4608, 16, 1024
FIRST, ROUNDS, STEPS = 2, 6, 4
GOAL, WITHIN = 2.5, 1e-3  # times as fast; of the loss, at the last step


def trainers() -> dict[str, Any]:
    import torch
    from sae_lens.training.prefetch import PrefetchingIterator

    from mechlib.lab.features.comparing.superposition import superposed
    from mechlib.lab.features.rows import shuffled, survey
    from mechlib.lab.features.training import saelens
    from mechlib.lab.features.training.recipes import Recipe

    torch.set_num_threads(1)
    rows = superposed(1000, WIDTH, rows=4 * BATCH, active=12, seed=0).rows
    scale, made = survey(rows).scale, {}
    for name, exact in (("ours", True), ("SAELens", False)):
        recipe = Recipe("topk", FEATURES, k=K, batch=BATCH, samples=BATCH * (FIRST + ROUNDS * STEPS), exact=exact)
        data: Iterator[Any] = shuffled(rows, BATCH, seed=0)
        data = data if exact else PrefetchingIterator(data)
        made[name] = saelens.trainer(saelens.blank(recipe, WIDTH), recipe, data, scale)
    return made


def steps(trainer: Any, n: int) -> tuple[float, float]:
    """Processor seconds a step, and the last loss."""
    began, loss = time.process_time(), 0.0
    for _ in range(n):
        loss = float(trainer.step(next(trainer.data_provider)).loss.detach())
        trainer.n_training_steps += 1
    return (time.process_time() - began) / n, loss


def main() -> int:
    made = trainers()
    for trainer in made.values():
        steps(trainer, FIRST)  # what is allocated at first
    seconds: dict[str, list[float]] = {name: [] for name in made}
    losses: dict[str, float] = {}
    for _, (name, trainer) in itertools.product(range(ROUNDS), made.items()):
        took, losses[name] = steps(trainer, STEPS)
        seconds[name].append(took)
    made["SAELens"].data_provider.close()
    ratios = [theirs / ours for theirs, ours in zip(seconds["SAELens"], seconds["ours"], strict=True)]
    ratio, apart = statistics.median(ratios), abs(losses["ours"] / losses["SAELens"] - 1)
    for name, each in seconds.items():
        took = statistics.median(each)
        print(f"{name:>8}: {took:.3f} s a step, {BATCH / took:,.0f} rows/s, loss {losses[name]:.4f}")
    print(f"{ratio:.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f}), goal {GOAL}; losses {apart:.1e} apart")
    return 0 if ratio >= GOAL and apart <= WITHIN else 1


if __name__ == "__main__":
    assert bench.ROOT.is_dir()
    sys.exit(main())
