"""Sentences that share templates and names, as the tasks' prompts do, with values of a known make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mechlib.measurement import Measurement
from mechlib.statistics.intervals.crossed import Design
from mechlib.statistics.intervals.tails import t_quantile


def sentences(
    names: int = 20, templates: int = 16, rounds: int = 10, pairs: int = 57, said: int = 2, clusters: bool = True
) -> Measurement:
    """Each template in turn with one pair of names, twice; `said` names in all. The values are 0."""
    rng = np.random.default_rng(0)
    every = [(one, two) for one in range(names) for two in range(one)]
    known = [every[place] for place in rng.permutation(len(every))[:pairs]]
    order: list[tuple[int, int]] = []
    while len(order) < templates * rounds:
        order += [known[place] for place in rng.permutation(len(known))]
    template, name = [], []
    for place, pair in enumerate(order[: templates * rounds]):
        others = [other for other in range(names) if other not in pair]
        for _ in range(2):
            template.append((f"t{place % templates:03d}",))
            name.append(tuple(f"n{one:03d}" for one in (*pair, *rng.choice(others, said - 2, replace=False))))
    shared = (("template", tuple(template)), ("name", tuple(name)))
    labels = tuple(own for (own,) in template) if clusters else ()
    return with_values(shared if clusters else shared[1:], np.zeros(len(name)), labels)


def with_values(
    factors: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...], values: np.ndarray, clusters: tuple[str, ...] = ()
) -> Measurement:
    """A measurement of units u00000, u00001, ... that share these factors."""
    return Measurement(values, tuple(f"u{row:05d}" for row in range(len(values))), clusters=clusters, factors=factors)


def worlds(made: Design, spreads: Sequence[float], noise: float, count: int, skewed: str = "") -> np.ndarray:
    """Values (units x worlds) of mean 0: an effect of each level of each factor, and noise; one factor's lognormal."""
    rng = np.random.default_rng(1)
    values = noise * rng.standard_normal((len(made.weights), count))
    for (name, levels), spread in zip(made.incidences.items(), spreads, strict=True):
        drawn = rng.standard_normal((levels.shape[1], count))
        if name == skewed:
            drawn = (np.exp(drawn) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)
        values += spread * levels @ drawn
    return values


def wrong(made: Design, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """In which worlds the interval of the mean lies wholly above, or wholly below the truth, 0."""
    middle, reach = made.weights @ values, t_quantile(0.975, made.df) * np.sqrt(made.variance(values))
    return middle - reach > 0, middle + reach < 0
