"""How often the record's statistics support what is false, as a figure: simulated worlds, by how units are drawn."""

from __future__ import annotations

import json
import re
from pathlib import Path

from markupsafe import Markup

from mechlib.figures.svg.elements import Scale, digits, drawing, path, rect, text, tick_text
from mechlib.report.content.calibration import FILE

LEFT, WIDTH, ROW, TOP, BELOW = 190, 340, 15, 4, 34  # pixels
END = 8.0  # per cent
_PROMISED = re.compile(r"false ([\d.]+) %")

Group = tuple[str, float]  # a branch of the statistics, and the percentage that it promises
Rate = tuple[float, float, float, bool]  # rate and exact limits in per cent, whether it breaks the promise


def false_support(root: Path) -> Markup:
    """A row a branch and promise, a mark a way to draw units and side; "" where no file of this form is there."""
    try:
        filed = json.loads((root / FILE).read_text(encoding="utf-8"))
        groups: dict[Group, list[Rate]] = {}
        for cell in filed["cells"]:
            if promised := _PROMISED.search(cell["promise"]):
                groups.setdefault((cell["branch"], float(promised[1])), []).extend(_rates(cell, float(promised[1])))
        return _drawn(groups) if groups else Markup("")
    except (OSError, KeyError, TypeError, ValueError):
        return Markup("")  # the section says what is wrong with the file


def _rates(cell: dict[str, list[float]], promised: float) -> list[Rate]:
    found = []
    for side in ("false_at_least", "false_at_most"):
        value, low, high = (100 * number for number in cell[side])
        found.append((value, low, high, low > promised))
    return found


def _drawn(groups: dict[Group, list[Rate]]) -> Markup:
    scale, bottom = Scale(0, END, WIDTH), TOP + ROW * len(groups)
    parts = []
    for place, ((branch, promised), rates) in enumerate(groups.items()):
        y, limit = TOP + ROW * (place + 0.5), LEFT + scale(promised)
        parts += [text(LEFT - 4, y + 3.5, branch, "r"), rect("claimed", LEFT, y - 7, limit - LEFT, ROW - 1)]
        parts.append(path("b", f"M{digits(limit)} {digits(y - 7)}v{ROW - 1}"))
        parts += [_mark(scale, rate, y) for rate in rates]
    parts.append(path("x", f"M{LEFT} {bottom}.5h{WIDTH}"))
    for tick in scale.ticks:
        x = LEFT + scale(tick)
        parts += [path("x", f"M{digits(x)} {bottom}v4"), text(x, bottom + 14, f"{tick_text(tick)} %")]
    parts.append(text(LEFT + WIDTH / 2, bottom + 29, "worlds in which a false claim is SUPPORTED", "axis"))
    broken = sum(one[3] for rates in groups.values() for one in rates)
    many = sum(map(len, groups.values()))
    label = f"of {many} rates of false support {broken} exceed what is promised; the table below has each"
    return drawing(LEFT + WIDTH, bottom + BELOW, parts, "wrong", label)


def _mark(scale: Scale, rate: Rate, y: float) -> str:
    value, low, high, outside = rate
    x, left, right = (LEFT + scale(number) for number in (value, low, high))
    mark = path("s", f"M{digits(x)} {digits(y - 4)}v8")
    kind = "refuted" if outside else "supported"
    return f'<g class="{kind}">{path("w", f"M{digits(left)} {digits(y)}H{digits(right)}")}{mark}</g>'
