"""How often the record's statistics are wrong: intervals and verdicts in simulated worlds whose truth is known.

    python benchmarks/calibration.py [--worlds 10000] [--only WORD] [--jobs 2]

Every world is judged as a claim is, by `mean`, `ratio`, `proportion`, `difference`, `above_null` on a Measurement,
and its truth is the bound: then each SUPPORTED is false. A cell is one way in which units are drawn. What is refused is
counted beside, as no support and in no interval. Then 144 heads without any effect are chosen from and judged on the
same, overlapping and other prompts.

Writes artifacts/calibration.json, with the version of the statistics that it is about; the appendix shows it.
Source: docs/STATISTICS.md, R19.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from nulls_chosen import SELECTIONS, chosen_and_judged
from scipy import stats

from mechlib.measurement import Measurement
from mechlib.report.content.calibration import FILE, statistics_version
from mechlib.statistics import TooFew, above_null, difference, mean, proportion, ratio
from mechlib.statistics.estimate import Estimate
from mechlib.statistics.families import some
from mechlib.statistics.intervals.tails import clopper_pearson

ROOT = Path(__file__).parents[1]
SYMMETRIC, SKEWED, SHARE = "93.5 to 97 %", "false support 6 % a side", "at least 93 %"
World = Callable[[np.random.Generator], tuple[Estimate, float]]


@dataclass(frozen=True)
class Cell:
    """One way to draw units: the branch that judges it, how its worlds are, what is promised, and one world."""

    branch: str
    name: str
    promise: str
    world: World


def measured(values: np.ndarray, sizes: tuple[int, ...] = (), **more: Any) -> Measurement:
    """Values with clusters of these sizes."""
    clusters = tuple(f"t{cluster:03d}" for cluster, size in enumerate(sizes) for _ in range(size))
    return Measurement(values, tuple(f"u{row:05d}" for row in range(len(values))), clusters=clusters, **more)


# --- worlds -------------------------------------------------------------------------------------------------------

DRAWS: dict[str, tuple[Callable[..., np.ndarray], float]] = {
    "normal": (lambda rng, size: rng.normal(size=size), 0.0),
    "t with 3 df": (lambda rng, size: rng.standard_t(3, size), 0.0),
    "exponential": (lambda rng, size: rng.exponential(size=size), 1.0),
    "lognormal": (lambda rng, size: rng.lognormal(size=size), float(np.exp(0.5))),
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


def pairs(nodes: int, n: int, own: float) -> World:
    """Pairs of `nodes` names, each name with an effect, the pair's noise `own` times as large."""

    def world(rng: np.random.Generator) -> tuple[Estimate, float]:
        first = rng.integers(0, nodes, n)
        second = (first + rng.integers(1, nodes, n)) % nodes
        effects = rng.normal(size=nodes)
        levels = tuple((f"n{a:03d}", f"n{b:03d}") for a, b in zip(first, second, strict=True))
        values = effects[first] + effects[second] + own * rng.normal(size=n)
        return mean(measured(values, factors=(("name", levels),))), 0.0

    return world


def columns(n: int, k: int) -> World:
    """The largest of several columns under `some`: false support of a family."""

    def world(rng: np.random.Generator) -> tuple[Estimate, float]:
        return some(mean(measured(rng.normal(size=(n, k)), columns=tuple(f"0.{head}" for head in range(k))))), 0.0

    return world


EQUAL, MANY, UNEQUAL = (20,) * 16, (4,) * 35, (2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 24, 28, 40, 60, 80)


def cells() -> Iterator[Cell]:
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
    for p in (0.5, 0.9, 0.97):
        for n in (20, 50, 320):
            yield Cell("share: units", f"{p:g}, n = {n}", SHARE, independent(p, n))
    for p in (0.9, 0.97):
        for correlation in (0.0, 0.05, 0.2, 0.5):
            name = f"{p:g}, correlated by {correlation:g}, 16 x 20"
            yield Cell("share: clusters", name, SHARE, shares(p, EQUAL, correlation))
    yield Cell("share: clusters", "0.97, correlated by 0.2, 2 to 80 units", SHARE, shares(0.97, UNEQUAL, 0.2))
    yield Cell("difference of shares, same units", "0.9 and 0.9, n = 50", SHARE, paired_shares(50))
    for m in (20, 50, 100, 150, 199):
        yield Cell("above a drawn null", f"{m} sets, at the percentile", SHARE, null_sets(m))
    yield Cell("some of several columns", "8 normal columns, n = 60", "false support 2.97 % a side", columns(60, 8))
    if any(field.name == "factors" for field in fields(Measurement)):
        for nodes, n in ((8, 100), (12, 160), (20, 200), (40, 320), (100, 320)):
            for own in (0.5, 2.0):
                name = f"{n} pairs of {nodes} names, own noise {own:g}"
                yield Cell("mean: crossed factors", name, SYMMETRIC, pairs(nodes, n, own))


def independent(p: float, n: int) -> World:
    return lambda rng: (proportion(measured((rng.random(n) < p).astype(float), yes_no=True)), p)


# --- counting -----------------------------------------------------------------------------------------------------


def counted(cell: Cell, worlds: int) -> dict[str, Any]:
    """What came of the worlds of a cell, each from a seed of its own name and number."""
    rng = np.random.default_rng([zlib.crc32(f"{cell.branch}: {cell.name}".encode()), 19])
    found = dict.fromkeys(("refused", "covered", "at_least", "at_most", "no_at_least", "no_at_most"), 0)
    family = False
    for _ in range(worlds):
        try:
            made, truth = cell.world(rng)
        except (TooFew, ValueError) as refusal:
            if not isinstance(refusal, TooFew) and "wholly above zero" not in str(refusal):
                raise
            found["refused"] += 1
            continue
        family = not isinstance(made, Estimate)
        found["covered"] += family or made.low <= truth <= made.high
        for side, compared in (("at_least", made.__ge__), ("at_most", made.__le__)):
            try:
                found[side] += compared(truth).word == "SUPPORTED"
            except TooFew:
                found[f"no_{side}"] += 1
    judged = worlds - found["refused"]
    row = {"branch": cell.branch, "name": cell.name, "promise": cell.promise, "worlds": worlds}
    row["refused"] = found["refused"] / worlds
    row["coverage"] = None if family or not judged else share(found["covered"], judged)
    for side in ("at_least", "at_most"):
        row[f"false_{side}"] = share(found[side], worlds)
        row[f"refused_{side}"] = (found["refused"] + found[f"no_{side}"]) / worlds
    return row


def share(k: int, n: int) -> list[float]:
    """A share with its exact limits."""
    return [round(float(number), 5) for number in (k / n, *clopper_pearson(k / n, n))]


def run(number: int, worlds: int) -> tuple[int, dict[str, Any], float]:
    start = time.perf_counter()
    return number, counted(list(cells())[number], worlds), time.perf_counter() - start


def shown(row: dict[str, Any]) -> str:
    """A cell in a line."""
    cover = "" if row["coverage"] is None else f"covers {row['coverage'][0]:.3f}, "
    false, refused = ([row[f"{what}_{side}"] for side in ("at_least", "at_most")] for what in ("false", "refused"))
    numbers = f"{cover}false {false[0][0]:.3f} {false[1][0]:.3f}, refused {refused[0]:.2f} {refused[1]:.2f}"
    return f"{row['branch']}: {row['name']}: {numbers}"


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--worlds", type=int, default=4000)
    asked.add_argument("--only", default="", help="cells whose branch or name holds this; nothing is written then")
    asked.add_argument("--jobs", type=int, default=2)
    given = asked.parse_args()
    wanted = [number for number, cell in enumerate(cells()) if given.only in f"{cell.branch}: {cell.name}"]
    rows: dict[int, dict[str, Any]] = {}
    with ProcessPoolExecutor(given.jobs) as pool:
        for number, row, seconds in pool.map(run, wanted, [given.worlds] * len(wanted)):
            rows[number] = row
            print(f"{shown(row)} ({seconds:.1f} s)", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        chosen = [chosen_and_judged(how, Path(folder)) for how in SELECTIONS] if not given.only else []
    for line in chosen:
        print(line)
    if not given.only:
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows.values())
        head = json.dumps({"statistics": statistics_version(), "worlds": given.worlds, "chosen": chosen})
        (ROOT / FILE).write_text(f'{head[:-1]}, "cells": [\n{lines}\n]}}\n', encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
