"""BCa intervals of 144 means: ours beside scipy's, equal numbers first.

    python benchmarks/bench_bootstrap.py

What a user would call otherwise is `scipy.stats.bootstrap(..., method="BCa")`, at whichever batch size is fastest here.
Goal: a tenth of scipy's time, below 600 MiB, with the resamples of this n drawn before: a process draws them once,
for all claims on so many rows. The first call, which draws them, is printed beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import side_by_side as bench
from side_by_side import Side

MEANS, UNITS = 144, 500
GOAL, MEMORY = 10, 600  # times, MiB
WITHIN = 1e-12  # of equal ends, relative


def values() -> np.ndarray:
    return np.random.default_rng(1).lognormal(size=(UNITS, MEANS))


def ours() -> dict[str, Callable[..., Any]]:
    from mechlib.measurement import Measurement
    from mechlib.statistics import mean
    from mechlib.statistics.intervals import resampling
    from mechlib.statistics.intervals.resampling import RESAMPLES, bca_of_means

    given = values()

    def on_scipys_resamples(seed: int) -> np.ndarray:
        """Given the rows that scipy draws with this seed."""
        rng = np.random.default_rng(seed)
        drawn = [np.bincount(rng.integers(0, UNITS, UNITS), minlength=UNITS) for _ in range(RESAMPLES)]
        return np.stack(bca_of_means(given, np.stack(drawn).astype(np.uint8))[:2])

    def from_nothing() -> None:
        """With the drawing of resamples, which a process does once for each number of rows."""
        resampling._counts.clear()
        bca_of_means(given)

    def judged() -> None:
        """What a claim over all columns costs: simultaneous studentised intervals."""
        resampling._known.clear()
        mean(Measurement(given, [str(unit) for unit in range(UNITS)], columns=[str(one) for one in range(MEANS)]))

    return {
        "first": from_nothing,
        "again": lambda: bca_of_means(given)[:2],
        "judged": judged,
        "same": on_scipys_resamples,
    }


def scipys() -> dict[str, Callable[..., Any]]:
    from scipy import stats

    from mechlib.statistics.intervals.resampling import RESAMPLES

    columns = values().T  # they are rows there

    def ends(batch: int, seed: int = 0) -> np.ndarray:
        rng, n = np.random.default_rng(seed), RESAMPLES
        found = stats.bootstrap((columns,), np.mean, axis=1, n_resamples=n, method="BCa", batch=batch, rng=rng)
        return np.stack([found.confidence_interval.low, found.confidence_interval.high])

    return {"ends": ends}


def main() -> None:
    with Side(ours) as mine, Side(scipys) as peer:
        first = min(mine("first")[1] for _ in range(3))
        peer_seconds, again, batch = float("inf"), float("inf"), 0
        for size in (10, 30, 100, 300):  # in turn with ours
            found, taken = peer("ends", size)
            if taken < peer_seconds:
                theirs, peer_seconds, batch = found, taken, size
            again = min(again, *(mine("again")[1] for _ in range(5)))
        judged = min(mine("judged")[1] for _ in range(3))
        memory = mine.memory()
        off = float(np.abs(mine("same", 0)[0] / theirs - 1).max())
        assert off <= WITHIN, f"the ends differ by {off:.2g} of themselves"
        met = bench.record(
            "bootstrap",
            GOAL,
            again,
            peer_seconds,
            None,
            memory,
            peer.memory(),
            off,
            f"{MEANS} means, n = {UNITS}; scipy's best batch is {batch}; with the drawing {first:.2f} s, "
            f"{peer_seconds / first:.1f}x; simultaneous bootstrap-t {judged:.2f} s",
            missed=f"more than {MEMORY} MiB" if memory > MEMORY else "",
        )
        if not met:
            sys.exit("a goal was missed")


if __name__ == "__main__":
    main()
