"""How often the record's statistics are wrong: intervals and verdicts in simulated worlds whose truth is known.

    python benchmarks/calibration.py [--worlds 10000] [--only WORD] [--jobs 2]

Every world is judged as a claim is, by `mean`, `ratio`, `proportion`, `difference`, `above_null` on a Measurement,
and its truth is the bound: then each SUPPORTED is false. A cell is one way in which units are drawn
(benchmarks/calibration_cells.py). What is refused is counted beside, as no support and in no interval. Planned samples
are held against a bound as far off as they are planned for. Then 144 heads without any effect are chosen from and
judged on the same, overlapping and other prompts.

Writes artifacts/calibration.json, with the version of the statistics that it is about; the page shows it.
Source: docs/STATISTICS.md, R19.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from calibration_cells import POWER, Cell, cells
from nulls_chosen import SELECTIONS, chosen_and_judged

from mechlib.report.content.calibration import FILE, statistics_version
from mechlib.statistics import TooFew
from mechlib.statistics.estimate import Estimate
from mechlib.statistics.intervals.tails import clopper_pearson

ROOT = Path(__file__).parents[1]
TABLES = (("cells", False), ("power", True))  # as the file calls them; whether samples are planned ones


def counted(cell: Cell, worlds: int) -> dict[str, Any]:
    """What came of the worlds of a cell, each from a seed of its own name and number."""
    rng = np.random.default_rng([zlib.crc32(f"{cell.branch}: {cell.name}".encode()), 19 + bool(cell.distance)])
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
        for side, verdict in (("at_least", made >= truth - cell.distance), ("at_most", made <= truth)):
            found[side] += verdict.word == "SUPPORTED"
            found[f"no_{side}"] += verdict.word == "INCONCLUSIVE" and not family and beyond(made, side, truth)
    return planned(cell, worlds, found) if cell.distance else on_the_bound(cell, worlds, found, family)


def beyond(made: Estimate, side: str, bound: float) -> bool:
    """Whether an interval lies on the claimed side, so that something else than its width left the verdict open."""
    return made.low > bound if side == "at_least" else made.high < bound


def on_the_bound(cell: Cell, worlds: int, found: dict[str, int], family: bool) -> dict[str, Any]:
    """A row of the table: coverage, false support and refusals, and what of that is outside of the promise."""
    judged = worlds - found["refused"]
    row = {"branch": cell.branch, "name": cell.name, "promise": cell.promise.said, "worlds": worlds}
    row["refused"] = found["refused"] / worlds
    row["coverage"] = None if family or not judged else share(found["covered"], judged)
    for side in ("at_least", "at_most"):
        row[f"false_{side}"] = share(found[side], worlds)
        row[f"refused_{side}"] = (found["refused"] + found[f"no_{side}"]) / worlds
    broken = cell.promise.broken(row["coverage"], row["false_at_least"], row["false_at_most"])
    row["outside"], row["why"] = ", ".join(broken), cell.why
    return row


def planned(cell: Cell, worlds: int, found: dict[str, int]) -> dict[str, Any]:
    """A row of planned samples: how often what is there is supported."""
    supported = share(found["at_least"], worlds)
    outside = "fewer" if supported[2] < POWER[0] else "more" if supported[1] > POWER[1] else ""
    row = {"branch": cell.branch, "name": cell.name, "worlds": worlds, "supported": supported, "outside": outside}
    return row | {"why": cell.why, "refused": (found["refused"] + found["no_at_least"]) / worlds}


def share(k: int, n: int) -> list[float]:
    """A share with its exact limits."""
    return [round(float(number), 5) for number in (k / n, *clopper_pearson(k / n, n))]


def run(number: int, worlds: int) -> tuple[int, dict[str, Any], float]:
    start = time.perf_counter()
    return number, counted(list(cells())[number], worlds), time.perf_counter() - start


def shown(row: dict[str, Any]) -> str:
    """A cell in a line."""
    name, outside = f"{row['branch']}: {row['name']}", f" OUTSIDE: {row['outside']}" if row["outside"] else ""
    if "supported" in row:
        return f"planned, {name}: supported {row['supported'][0]:.3f}, refused {row['refused']:.2f}{outside}"
    cover = "" if row["coverage"] is None else f"covers {row['coverage'][0]:.3f}, "
    false, refused = ([row[f"{what}_{side}"] for side in ("at_least", "at_most")] for what in ("false", "refused"))
    numbers = f"{cover}false {false[0][0]:.3f} {false[1][0]:.3f}, refused {refused[0]:.2f} {refused[1]:.2f}"
    return f"{name}: {numbers}{outside}"


def table(name: str, rows: list[dict[str, Any]]) -> str:
    """Rows as JSON, one a line, under a name."""
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f'"{name}": [\n{lines}\n]'


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--worlds", type=int, default=4000)
    asked.add_argument("--only", default="", help="cells whose branch or name holds this; nothing is written then")
    asked.add_argument("--jobs", type=int, default=2)
    given = asked.parse_args()
    wanted = [number for number, cell in enumerate(cells()) if given.only in f"{cell.branch}: {cell.name}"]
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(given.jobs) as pool:
        for _, row, seconds in pool.map(run, wanted, [given.worlds] * len(wanted)):
            rows.append(row)
            print(f"{shown(row)} ({seconds:.1f} s)", flush=True)
    if given.only:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        chosen = [chosen_and_judged(how, Path(folder)) for how in SELECTIONS]
    for line in chosen:
        print(line)
    head = json.dumps({"statistics": statistics_version(), "worlds": given.worlds, "chosen": chosen})
    tables = [table(name, [row for row in rows if ("supported" in row) == power]) for name, power in TABLES]
    (ROOT / FILE).write_text(f"{head[:-1]}, {', '.join(tables)}}}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
