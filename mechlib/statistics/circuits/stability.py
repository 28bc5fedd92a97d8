"""Stability: whether other prompts of the same kind would have chosen the same components (docs/STATISTICS.md, R22).

Scores are a measurement with a column for each component, by prompt; a component's score is its mean, as in `mean`.
"""

from __future__ import annotations

import numpy as np

from mechlib.measurement import Measurement
from mechlib.statistics.assembly import identity
from mechlib.statistics.estimate import Estimate, plural
from mechlib.statistics.intervals import resampling
from mechlib.statistics.intervals.interval import check_enough
from mechlib.statistics.intervals.sample import Sample, sample
from mechlib.statistics.intervals.tails import LEVEL

TIMES = 100  # resamples, or halvings


def overlap(scores: Measurement, k: int, signed: bool = False, across: str | None = None) -> Estimate:
    """How much of the `k` strongest components stays when prompts are resampled: the mean Jaccard index, 0 to 1.

    signed  rank by value; by default by size, as `strongest_circuit` does
    across  as in `mean`: clusters are resampled where they are random, prompts within them where they are fixed

    Each of 100 bootstrap samples chooses anew, and its choice is compared with that on all prompts: those in both over
    those in either. The interval is where 95 % of the samples lie. It is wide where selections differ, however many
    samples are drawn, so that `overlap(scores, k=10) >= 0.8` speaks of nearly every sample and not of their mean.

    Raises ValueError unless 0 < k < the number of components, TooFew below twenty prompts or five clusters.
    """
    if not 0 < k < len(scores.columns):
        raise ValueError(f"{k} of {len(scores.columns)} components: a choice leaves some of them out, and takes some")
    drawn = _sampled(scores, across)
    means = _resampled_means(drawn)
    chosen = _strongest(means, k, signed)
    observed = _strongest(drawn.combined(drawn.rows)[None], k, signed)
    shared = (chosen & observed).sum(axis=1)
    of = f"overlap (Jaccard) of the {k} strongest of {len(scores.columns)} between resamples"
    return _spread(shared / (2 * k - shared), scores, drawn, of, "bootstrap samples")


def agreement_of_halves(scores: Measurement, across: str | None = None) -> Estimate:
    """The rank correlation (Spearman) of components' scores between halves of the prompts, over 100 random halvings.

    across  as in `mean`: clusters are divided where they are random, the prompts of each where they are fixed

    The value is the mean over halvings, the interval where 95 % of them lie. Half the prompts know less than all: it
    errs downward. Of an odd number one prompt, another each time, is left out.

    Raises ValueError below three components or where all score the same, TooFew as `overlap` does.
    """
    if len(scores.columns) < 3:
        raise ValueError(f"{len(scores.columns)} components have no order to agree on: at least 3")
    drawn = _sampled(scores, across)
    first, second = (ranks(means) for means in _means_of_halves(drawn))
    spread = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    if (spread == 0).any():
        raise ValueError("all components score the same on one half of the prompts: they have no order to agree on")
    of = f"rank correlation of {len(scores.columns)} components between halves of the {plural(scores.unit)}"
    return _spread((first * second).sum(axis=1) / spread, scores, drawn, of, "random halvings")


def _sampled(scores: Measurement, across: str | None) -> Sample:
    drawn = sample(scores, across)
    check_enough(drawn)
    return drawn


def _resampled_means(drawn: Sample) -> np.ndarray:
    """The scores in every bootstrap sample: samples x components."""
    means = np.zeros((TIMES, drawn.rows.shape[1]))
    for stream, (start, length, share) in enumerate(zip(drawn.starts, drawn.sizes, drawn.shares, strict=True)):
        counts = resampling.counts(length, stream)[:TIMES].astype(np.float64)
        means += share / length * (counts @ drawn.rows[start : start + length])
    return means


def _means_of_halves(drawn: Sample) -> tuple[np.ndarray, np.ndarray]:
    """The scores in either half, halvings x components each; every stratum is divided by itself."""
    halves = np.zeros((2, TIMES, drawn.rows.shape[1]))
    for stream, (start, length, share) in enumerate(zip(drawn.starts, drawn.sizes, drawn.shares, strict=True)):
        places = np.argsort(resampling.generator(length, stream, 1).random((TIMES, length)), axis=1)
        size = length // 2
        for half in range(2):
            member = (places >= half * size) & (places < (half + 1) * size)
            halves[half] += share / size * (member.astype(np.float64) @ drawn.rows[start : start + length])
    return halves[0], halves[1]


def _strongest(means: np.ndarray, k: int, signed: bool) -> np.ndarray:
    """Which components are among the `k` strongest, samples x components; the first of equals."""
    order = np.argsort(-(means if signed else np.abs(means)), axis=1, kind="stable")
    chosen = np.zeros(means.shape, dtype=bool)
    np.put_along_axis(chosen, order[:, :k], True, axis=1)
    return chosen


def ranks(means: np.ndarray) -> np.ndarray:
    """Ranks within each row, less their mean; equals share theirs."""
    found = np.empty(means.shape)
    for row, values in enumerate(means):
        _, place, count = np.unique(values, return_inverse=True, return_counts=True)
        found[row] = (np.cumsum(count) - (count - 1) / 2)[place]
    return found - found.mean(axis=1, keepdims=True)


def _spread(found: np.ndarray, scores: Measurement, drawn: Sample, of: str, noun: str) -> Estimate:
    """The mean over samples, with the interval in which 95 % of them lie."""
    ordered = np.sort(found)
    (low, below), (high, above) = (resampling.order_statistic(ordered, q) for q in (LEVEL / 2, 1 - LEVEL / 2))
    said = identity(scores, drawn, "value") | {"of": of}
    note = f"the interval holds 95 % of {len(found)} {noun}"
    return Estimate(
        value=min(max(float(ordered.mean()), low), high), low=low, high=high, se=float(ordered.std(ddof=1)),
        monte_carlo=max(below, above), method=f"95 % of {noun}", notes=(note,), **said,
    )  # fmt: skip
