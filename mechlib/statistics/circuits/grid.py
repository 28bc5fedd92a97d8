"""The grid of choices that a circuit's faithfulness depends on, as columns of one measurement.

What stands outside the circuit, the direction, the metric and the corruption are choices, and a circuit that is
faithful under some of them need not be under others (docs/STATISTICS.md, R21). `mechlib.lab.circuits.grid` measures
them; here the cells are taken out again, for a claim and for `show(matrix, ...)`, without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from mechlib.measurement import CIRCUIT, EMPTY, MODEL, Measurement

Cells: TypeAlias = dict[tuple[str, str], Measurement]
PARTS = (MODEL, EMPTY, CIRCUIT)


def cells(grid: Measurement) -> Cells:
    """Each cell as a measurement with columns "model", "empty" and "circuit", under its row and column.

    Rows are named by what is replaced and direction ("mean, noising"), columns by metric and corruption ("KL, other
    name"). `faithfulness` of a cell has the interval. ValueError for columns that are no cells of a grid.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for name in grid.columns:
        row, across, part = [*name.split(" | "), "", ""][:3]
        if part not in PARTS:
            raise ValueError(f"{name!r} is no cell of a grid: give what `grid` measured, with all its columns")
        found.setdefault((row, across), []).append(name)
    return {
        key: grid.with_columns({name.split(" | ")[2]: grid[name].array for name in names})
        for key, names in found.items()
    }


def kept(cells: Mapping[tuple[str, str], Measurement]) -> Cells:
    """(circuit - empty) / (model - empty) of each cell: for `show(matrix, kept(cells(...)))`.

    Each row's numerator is divided by the mean denominator, so that the mean over rows is the ratio of means and no
    template with a small denominator decides. ValueError where model and empty circuit are the same on average.
    """
    made: Cells = {}
    for key, cell in cells.items():
        model, empty, circuit = (cell[part].array for part in PARTS)
        whole = float((model - empty).mean())
        if whole == 0:
            raise ValueError(f"{', '.join(key)}: model and empty circuit score the same, there is nothing to keep")
        made[key] = replace(cell.with_columns({"faithfulness": (circuit - empty) / whole}), of="faithfulness")
    return made
