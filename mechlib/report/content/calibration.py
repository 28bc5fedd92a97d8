"""How often the record's statistics are wrong: what was simulated (benchmarks/calibration.py), read for a page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mechlib.statistics
from mechlib.evidence.modules import digest, module_hash

FILE = "artifacts/calibration.json"


@dataclass(frozen=True)
class Calibration:
    """Rows of the table, as texts.

    stale    whether the statistics are others by now than those that were simulated
    cells    ways to draw units, the truth on the bound; `outside` what of it exact limits place outside of the promise
    power    planned samples: how often they support what is there
    problem  why the file could not be read; "" where it could
    """

    worlds: int = 0
    stale: bool = False
    cells: tuple[dict[str, str], ...] = ()
    power: tuple[dict[str, str], ...] = ()
    chosen: tuple[dict[str, str], ...] = ()
    problem: str = ""

    @property
    def outside(self) -> int:
        """How many cells lie outside of what is promised of them."""
        return sum(bool(cell["outside"]) for cell in self.cells)


def statistics_version() -> str:
    """Sixteen digits for the meaning of all source in mechlib/statistics."""
    folder = Path(str(mechlib.statistics.__file__)).parent
    found = sorted(
        (file.relative_to(folder).as_posix(), module_hash(file, file.stem)[0]) for file in folder.rglob("*.py")
    )
    return digest(found)[:16]


def calibration(root: Path) -> Calibration | None:
    """What is filed in artifacts/calibration.json; None where nothing is."""
    path = root / FILE
    if not path.is_file():
        return None
    try:
        filed = json.loads(path.read_text(encoding="utf-8"))
        worlds = int(filed["worlds"])
        cells = tuple(_cell(cell) | _fewer(cell, worlds) for cell in filed["cells"])
        power = tuple(_planned(cell) | _fewer(cell, worlds) for cell in filed["power"])
        chosen = tuple(_chosen(entry) for entry in filed["chosen"])
        return Calibration(worlds, filed["statistics"] != statistics_version(), cells, power, chosen)
    except (KeyError, TypeError, ValueError) as error:
        return Calibration(problem=f"{FILE} is of another form ({type(error).__name__}): run `make calibrate`")


def _cell(cell: dict[str, Any]) -> dict[str, str]:
    return {
        "branch": cell["branch"],
        "name": cell["name"],
        "promise": cell["promise"],
        "coverage": "–" if cell["coverage"] is None else _percent(cell["coverage"]),
        "at_least": _percent(cell["false_at_least"]),
        "at_most": _percent(cell["false_at_most"]),
        "refused": f"{100 * cell['refused_at_least']:.0f} / {100 * cell['refused_at_most']:.0f}",
        "outside": cell["outside"],
        "why": cell["why"],
    }


def _planned(cell: dict[str, Any]) -> dict[str, str]:
    said = {name: cell[name] for name in ("branch", "name", "outside", "why")}
    return said | {"supported": _percent(cell["supported"])}


def _fewer(cell: dict[str, Any], worlds: int) -> dict[str, str]:
    """How many worlds a row is of, where they are not as many as in the others."""
    return {"worlds": "" if cell["worlds"] == worlds else f"of {cell['worlds']:,} worlds"}


def _chosen(entry: dict[str, Any]) -> dict[str, str]:
    judged = entry["worlds"] - entry["refused"]
    said = f"refused as double dipping in {entry['refused']} of {entry['worlds']} worlds"
    if judged:
        shown = _percent([entry["supported"] / judged, *entry["limits"]])
        said = f"SUPPORTED in {shown} % of {judged} worlds"
    return {"on": entry["on"], "said": said}


def _percent(numbers: list[float]) -> str:
    value, low, high = (100 * number for number in numbers)
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"
