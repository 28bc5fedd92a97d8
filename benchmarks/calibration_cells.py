"""The cells of benchmarks/calibration.py: ways to draw units, each with what is promised of it.

A world is an estimate of units drawn so, and the truth. Source: docs/STATISTICS.md, R19 and R30.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import stats

from mechlib.measurement import Measurement
from mechlib.statistics import above_null, across_seeds, difference, mean, proportion, ratio
from mechlib.statistics.estimate import Estimate
from mechlib.statistics.families import some

World = Callable[[np.random.Generator], tuple[Estimate, float]]
Effects = Callable[[np.random.Generator, int], np.ndarray]


@dataclass(frozen=True)
class Promise:
    """Between which shares the truth is covered, where that is promised, and the most false support on either side."""

    said: str
    covers: tuple[float, float] | None
    false: float

    def broken(self, coverage: list[float] | None, at_least: list[float], at_most: list[float]) -> list[str]:
        """What exact limits (share, low, high) place outside of the promise: nothing that chance could do."""
        found = []
        if self.covers and coverage:
            found += ["covers less"] if coverage[2] < self.covers[0] else []
            found += ["covers more"] if coverage[1] > self.covers[1] else []
        found += ["false “at least”"] if at_least[1] > self.false else []
        return found + (["false “at most”"] if at_most[1] > self.false else [])


SYMMETRIC = Promise("93.5 to 97 %, false 2.97 % a side", (0.935, 0.97), 0.0297)
CROSSED = Promise("94 to 98 %, false 2.97 % a side", (0.94, 0.98), 0.0297)
SKEWED = Promise("false 6 % a side", None, 0.06)
SHARE = Promise("at least 93 %, false 5 % a side", (0.93, 1.0), 0.05)
FAMILY = Promise("false 2.97 % a side", None, 0.0297)
NOTHING = Promise("nothing", None, 1.0)
POWER = (0.75, 0.85)  # how often a planned sample is to support what is there

UNSEEN = "clusters that agree by chance look like answers that do not correlate; no rule sees it"
FEW = "of fewer than 12 levels nothing near a bound is supported (R30)"
SHORT = "the plan takes the spread of the share that was seen; on a bound nearer to a half answers spread more"
TRAININGS = "t takes trainings for normal; k of 5 and the five values are the claim (R10)"


@dataclass(frozen=True)
class Cell:
    """One way to draw units: the branch that judges it, how its worlds are, what is promised, and one world.

    distance  how far below the truth the bound of "at least" lies: 0, or what a planned sample is to tell apart
    why       what stands beside the cell where it does not hold what is promised
    """

    branch: str
    name: str
    promise: Promise
    world: World
    distance: float = 0.0
    why: str = ""


def measured(values: np.ndarray, sizes: tuple[int, ...] = (), **more: Any) -> Measurement:
    """Values with clusters of these sizes."""
    clusters = tuple(f"t{cluster:03d}" for cluster, size in enumerate(sizes) for _ in range(size))
    return Measurement(values, tuple(f"u{row:05d}" for row in range(len(values))), clusters=clusters, **more)


# --- worlds -------------------------------------------------------------------------------------------------------

DRAWS: dict[str, tuple[Effects, float]] = {
    "normal": (lambda rng, size: rng.normal(size=size), 0.0),
    "t with 3 df": (lambda rng, size: rng.standard_t(3, size), 0.0),
    "exponential": (lambda rng, size: rng.exponential(size=size), 1.0),
    "lognormal": (lambda rng, size: rng.lognormal(size=size), math.exp(0.5)),
}


def units(kind: str, n: int) -> World:
    draw, truth = DRAWS[kind]
    return lambda rng: (mean(measured(draw(rng, n))), truth)


def clusters(kind: str, sizes: tuple[int, ...], across: str | None = None) -> World:
    """Effects of clusters drawn so, and as much variance within."""
    draw, truth = DRAWS[kind]

    def world(rng: np.random.Generator) -> tuple[Estimate, float]:
        effects = np.linspace(-2, 2, len(sizes)) + truth if across else draw(rng, len(sizes))
        return mean(measured(np.repeat(effects, sizes) + rng.normal(size=sum(sizes)), sizes), across), truth

    return world


def ratios(n: int, whole: float) -> World:
    """A share of .87 of a whole whose mean is `whole` standard deviations from zero."""

    def world(rng: np.random.Generator) -> tuple[Estimate, float]:
        below = rng.normal(whole, 1, n)
        return ratio(measured(0.87 * below + rng.normal(0, 0.7, n)), measured(below)), 0.87

    return world


def independent(p: float, n: int) -> World:
    return lambda rng: (proportion(measured((rng.random(n) < p).astype(float), yes_no=True)), p)


def shares(p: float, sizes: tuple[int, ...], correlation: float) -> World:
    """Clustered answers of which `p` are right, correlated so within clusters."""

    def world(rng: np.random.Generator) -> tuple[Estimate, float]:
        odds = 1 / correlation - 1 if correlation else np.inf
        own = rng.beta(p * odds, (1 - p) * odds, len(sizes)) if correlation else np.full(len(sizes), p)
        right = rng.random(sum(sizes)) < np.repeat(own, sizes)
        return proportion(measured(right.astype(float), sizes, yes_no=True)), p

    return world


def paired_shares(n: int) -> World:
    def world(rng: np.random.Generator) -> tuple[Estimate, float]:
        first, second = (rng.random(n) < p for p in (0.9, 0.9))
        yes = (measured(one.astype(float), yes_no=True) for one in (first, second))
        return difference(*yes), 0.0

    return world


def null_sets(m: int) -> World:
    """A selection exactly at the 95th percentile of the sets from which `m` are drawn."""

    def world(rng: np.random.Generator) -> tuple[Estimate, float]:
        null = Measurement(rng.normal(size=m), tuple(map(str, range(m))), unit="set of heads")
        return above_null(measured(rng.normal(stats.norm.ppf(0.95), 0.01, 100), (5,) * 20), null), 0.0

    return world


@lru_cache(maxsize=1)
def drawn_pairs(nodes: int, n: int, uneven: bool) -> list[tuple[np.ndarray, np.ndarray, tuple[tuple[str, str], ...]]]:
    """Twenty draws of n pairs of two of these names: numbers of the first and of the second, and both as levels."""
    rng, often = np.random.default_rng([nodes, n, 19]), 1 / np.linspace(1, 10, nodes) if uneven else np.ones(nodes)
    draws = []
    for _ in range(20):
        scores = rng.gumbel(size=(n, nodes)) + np.log(often)  # the two largest: drawn without putting back
        first, second = np.argpartition(-scores, 1, axis=1)[:, :2].T
        draws.append((first, second, tuple((f"n{a:03d}", f"n{b:03d}") for a, b in zip(first, second, strict=True))))
    return draws


def pairs(kind: str, nodes: int, n: int, own: float, templates: int = 0, uneven: bool = False) -> World:
    """Pairs of `nodes` names, each name with an effect drawn so, the pair's noise `own` times as large.

    templates  how many the pairs stand in, in equal numbers, each with a normal effect half as large; 0 for none
    uneven     whether the last name is said a tenth as often as the first
    """
    draw, middle = DRAWS[kind]
    sizes = (n // templates,) * templates if templates else ()

    def world(rng: np.random.Generator) -> tuple[Estimate, float]:
        first, second, levels = drawn_pairs(nodes, n, uneven)[rng.integers(20)]
        effects = draw(rng, nodes)
        values = effects[first] + effects[second] + own * rng.normal(size=n)
        if templates:
            values += np.repeat(0.5 * rng.normal(size=templates), sizes)
        return mean(measured(values, sizes, factors=(("name", levels),))), 2 * middle

    return world


def columns(n: int, k: int) -> World:
    """The largest of several columns under `some`: false support of a family."""

    def world(rng: np.random.Generator) -> tuple[Estimate, float]:
        return some(mean(measured(rng.normal(size=(n, k)), columns=tuple(f"0.{head}" for head in range(k))))), 0.0

    return world


def trainings(count: int, often: float | None) -> World:
    """As many trainings, normal, or of two kinds of which the one that has the effect comes this often."""

    def world(rng: np.random.Generator) -> tuple[Estimate, float]:
        kinds = np.zeros(count) if often is None else (rng.random(count) < often).astype(float)
        return across_seeds((kinds + rng.normal(scale=0.1, size=count)).tolist()), often or 0.0

    return world


# --- cells --------------------------------------------------------------------------------------------------------

EQUAL, MANY, UNEQUAL = (20,) * 16, (4,) * 35, (2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 24, 28, 40, 60, 80)


def cells() -> Iterator[Cell]:
    """All cells: on the bound, then those of planned samples."""
    yield from _means()
    yield from _shares()
    yield from _crossed()
    for m in (20, 50, 100, 150, 199):
        yield Cell("above a drawn null", f"{m} sets, at the percentile", SHARE, null_sets(m))
    yield Cell("some of several columns", "8 normal columns, n = 60", FAMILY, columns(60, 8))
    yield Cell("mean over trainings, t", "5, normal", SYMMETRIC, trainings(5, None))
    yield Cell("mean over trainings, t", "5, of which 4 in 5 have it", NOTHING, trainings(5, 0.8), why=TRAININGS)
    yield from _planned()


def _means() -> Iterator[Cell]:
    promises = {"normal": SYMMETRIC, "t with 3 df": SYMMETRIC, "exponential": SKEWED, "lognormal": SKEWED}
    for kind, promise in promises.items():
        for n in (20, 50, 200, 400) if kind in ("normal", "lognormal") else (50,):
            yield Cell("mean: units, bootstrap-t", f"{kind}, n = {n}", promise, units(kind, n))
        for count in (12, 16, 29):
            yield Cell("mean: clusters, t", f"{kind} effects of {count} x 20", promise, clusters(kind, (20,) * count))
        yield Cell("mean: clusters, bootstrap-t", f"{kind} effects of 35 x 4", promise, clusters(kind, MANY))
        yield Cell("mean: clusters, t", f"{kind} effects of 16, 2 to 80 units", promise, clusters(kind, UNEQUAL))
    yield Cell("mean: these clusters", "16 x 20", SYMMETRIC, clusters("normal", EQUAL, "these templates"))
    for whole, promise in ((2.0, SYMMETRIC), (0.5, SKEWED), (0.2, SKEWED)):
        yield Cell("ratio: units", f"n = 60, whole {whole:g} sd from zero", promise, ratios(60, whole))


def _shares() -> Iterator[Cell]:
    for p in (0.5, 0.9, 0.97):
        for n in (20, 50, 320):
            yield Cell("share: units", f"{p:g}, n = {n}", SHARE, independent(p, n))
    for p in (0.9, 0.97):
        for correlation in (0.0, 0.05, 0.2, 0.5):
            name = f"{p:g}, correlated by {correlation:g}, 16 x 20"
            yield Cell("share: clusters", name, SHARE, shares(p, EQUAL, correlation), why=UNSEEN)
    yield Cell("share: clusters", "0.97, correlated by 0.2, 2 to 80 units", SHARE, shares(0.97, UNEQUAL, 0.2))
    yield Cell("difference of shares, same units", "0.9 and 0.9, n = 50", SHARE, paired_shares(50))


def _crossed() -> Iterator[Cell]:
    branch = "mean: crossed factors"
    for nodes, n in ((8, 100), (12, 160), (20, 200), (40, 320), (100, 320)):
        for own in (0.5, 2.0):
            name = f"{n} pairs of {nodes} names, own noise {own:g}"
            yield Cell(branch, name, CROSSED, pairs("normal", nodes, n, own), why=FEW if nodes < 12 else "")
    for nodes, n in ((20, 200), (40, 320), (100, 320)):
        yield Cell(branch, f"{n} pairs of {nodes} lognormal names", SKEWED, pairs("lognormal", nodes, n, 0.5))
    yield Cell(branch, "320 pairs of 40 names, some rare", CROSSED, pairs("normal", 40, 320, 0.5, uneven=True))
    yield Cell(branch, "16 templates x 20 pairs of 20 names", CROSSED, pairs("normal", 20, 320, 0.5, templates=16))
    name = "16 templates x 20 pairs of 20 lognormal names"
    yield Cell(branch, name, SKEWED, pairs("lognormal", 20, 320, 0.5, templates=16))


def _planned() -> Iterator[Cell]:
    """A bound that a sample of this n is planned to tell from the truth: by (t + .84) standard errors, as R14 says."""
    for n in (32, 88):
        distance = planned(n - 1) / math.sqrt(n)
        yield Cell("mean: units", f"normal, n = {n}", NOTHING, units("normal", n), distance)
    for sizes in (EQUAL, MANY):
        distance = planned(len(sizes) - 1) * math.sqrt((1 + 1 / sizes[0]) / len(sizes))
        name, world = f"normal effects of {len(sizes)} x {sizes[0]}", clusters("normal", sizes)
        yield Cell("mean: clusters", name, NOTHING, world, distance)
    for nodes, n in ((20, 200), (40, 320)):
        variance = 4 / nodes + 2 / n * (1 - 2 / nodes) + 0.25 / n  # of names that are drawn anew, and of noise
        distance, world = planned(nodes - 1) * math.sqrt(variance), pairs("normal", nodes, n, 0.5)
        yield Cell("mean: crossed factors", f"{n} pairs of {nodes} names", NOTHING, world, distance)
    for p, n in ((0.5, 200), (0.9, 71)):
        distance = planned(math.inf) * math.sqrt(p * (1 - p) / n)
        yield Cell("share: units", f"{p:g}, n = {n}", NOTHING, independent(p, n), distance, SHORT)


def planned(df: float) -> float:
    """How many standard errors a planned sample is to tell apart."""
    return float(stats.t.ppf(0.975, df) + stats.norm.ppf(0.8))
