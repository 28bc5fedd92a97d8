"""Where the parts of a circuit graph stand: boxes by layer, lines between them, before any ink.

Pixels, x to the right and y down, for `mechlib.figures.plots` and the pages alike. The input is a bar below and the
logits one above all; between them the heads of a layer stand in a row, its MLP beside it and half a step higher,
because it reads them. Heads stand in columns by number, those that no layer has left out. Lines are straight where
they can be and go around boxes that they do not enter.

Below: where the lines and ticks of curves go.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

import numpy as np

from mechlib.figures.data import Series, SizePoint, effects, rank
from mechlib.measurement import Measurement
from mechlib.parts.graphs import INPUT, LOGITS, Edge, layer_of

Place = tuple[float, float]
MOST_EDGES, WIDEST, HAIRLINE = 60, 7.0, 0.8
TALL, BESIDE, AIR = 22.0, 9.0, 2.0  # a box, the space between two, and between a box and a line that passes it
STEP, HALF, EDGE, PASS = 58.0, 27.0, 1.0, 8.0  # rows, an MLP above its heads, the border, lines beside MLPs
_PORTS = {"q": -0.31, "k": 0.0, "v": 0.31}


@dataclass(frozen=True)
class Box:
    """A node: its centre, its size, and the inputs (q, k, v) of it that some line enters, with their x."""

    name: str
    x: float
    y: float
    wide: float
    tall: float = TALL
    ports: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """An edge, its mean effect, and the points that it leads through, from its source up to its target."""

    name: str
    effect: float
    way: tuple[Place, ...]

    def width(self, limit: float) -> float:
        """Proportional to the effect: `WIDEST` at the limit, and a hairline at least."""
        return max(HAIRLINE, WIDEST * min(1.0, abs(self.effect) / limit))


@dataclass(frozen=True)
class Layout:
    """Boxes, lines from the strongest on, the size of the whole, and what is not drawn: "17 more, 0.01 at most"."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: float
    height: float
    rest: str = ""


def layout(measurement: Measurement) -> Layout:
    """The graph of the edges with an effect, the strongest 60 where there are more."""
    found = {name: effect for name, effect in effects(measurement).items() if effect}
    ordered = sorted(found, key=lambda name: (-abs(found[name]), name))
    names, others = ordered[:MOST_EDGES], ordered[MOST_EDGES:]
    edges = [Edge.parse(name) for name in names]
    boxes, width, height = _boxes(edges)
    lines = tuple(
        Line(name, found[name], _way(edge, boxes, jitter=1.4 * (place % 5 - 2)))
        for place, (name, edge) in enumerate(zip(names, edges, strict=True))
    )
    rest = f"{len(others)} more, {abs(found[others[0]]):.2g} at most" if others else ""
    return Layout(tuple(boxes.values()), lines, width, height, rest if found else "no edge has an effect")


def bends(way: Sequence[Place]) -> list[tuple[Place, Place, Place]]:
    """A smooth curve through the points as cubic Béziers: (control, control, end) each; x is monotone between points.

    Source: Fritsch and Butland 1984, harmonic means of the slopes on both sides.
    """
    slopes = [(x1 - x0) / (y1 - y0) for (x0, y0), (x1, y1) in pairwise(way)]
    inner = [2 * a * b / (a + b) if a * b > 0 else 0.0 for a, b in pairwise(slopes)]
    tangents = [slopes[0], *inner, slopes[-1]]
    pieces = []
    for place, ((x0, y0), (x1, y1)) in enumerate(pairwise(way)):
        third = (y1 - y0) / 3
        first = (x0 + tangents[place] * third, y0 + third)
        pieces.append((first, (x1 - tangents[place + 1] * third, y1 - third), (x1, y1)))
    return pieces


def _boxes(edges: Sequence[Edge]) -> tuple[dict[str, Box], float, float]:
    """Boxes of all nodes that an edge touches, with the width and the height of the whole."""
    nodes = sorted({INPUT, LOGITS}.union(*({edge.source, edge.target} for edge in edges)))
    heads = [node for node in nodes if "." in node]
    mlps = [node for node in nodes if node.startswith("mlp")]
    columns = {head: place for place, head in enumerate(sorted({int(node.split(".")[1]) for node in heads}))}
    wide = 8 + 5.2 * max(map(len, heads), default=3)
    slot = wide + BESIDE
    beside = 8 + 5.2 * max(map(len, mlps), default=0) if mlps else 0.0
    middle = slot * (len(columns) + 0.5 * (len(heads) > 0))
    width = max(middle + beside + PASS * bool(mlps), 90.0) + 2 * EDGE
    ys, height = _heights(nodes)
    shifted = {layer: place % 2 for place, layer in enumerate(sorted({layer_of(node) for node in heads}))}
    boxes = {}
    for node in nodes:
        ports = {edge.port for edge in edges if edge.target == node and edge.port}
        if node in (INPUT, LOGITS):
            boxes[node] = Box(node, width / 2, ys[rank(node)], width - 2 * EDGE, 15.0)
        elif node in mlps:
            boxes[node] = Box(node, width - EDGE - PASS - beside / 2, ys[rank(node)], beside, 16.0)
        else:  # every second row by half a step, so that lines up pass between heads and not behind them
            x = EDGE + slot * (columns[int(node.split(".")[1])] + 0.5 + 0.5 * shifted[layer_of(node)])
            entered = {port: x + _PORTS[port] * wide for port in "qkv" if port in ports}
            boxes[node] = Box(node, x, ys[rank(node)], wide, TALL, entered)
    return boxes, width, height


def _heights(nodes: Sequence[str]) -> tuple[dict[tuple[float, bool], float], float]:
    """The middle of each row by rank, logits at the top, and the height of the whole."""
    ranks = sorted({rank(node) for node in nodes}, reverse=True)
    ys, y = {}, 8.5
    for above, here in zip([None, *ranks], ranks, strict=False):
        if above is not None:
            outer = math.inf in above or here[0] < 0
            y += HALF if above[0] == here[0] else 0.75 * STEP if outer else STEP - HALF if here[1] else STEP
        ys[here] = y
    return ys, y + 8.5


def _way(edge: Edge, boxes: Mapping[str, Box], jitter: float) -> tuple[Place, ...]:
    """From the top of the source to the bottom of the target; `jitter` sets apart what would lie on each other."""
    source, target = boxes[edge.source], boxes[edge.target]
    end = target.ports.get(edge.port, target.x)
    start = end if edge.source == INPUT else source.x
    end = start if edge.target == LOGITS else end
    low, high = source.y - source.tall / 2, target.y + target.tall / 2
    way = [(start, low)]
    rows: dict[float, list[Box]] = {}
    for box in boxes.values():
        if target.y < box.y < source.y:
            rows.setdefault(box.y, []).append(box)
    for y in sorted(rows, reverse=True):
        x = start + (end - start) * (low - y) / (low - high) + jitter
        clear, half = _beside(x, rows[y]), rows[y][0].tall / 2
        if abs(clear - x) > 0.1 and y + half < low and y - half > high:
            way += [(clear, y + half), (clear, y - half)]
    return (*way, (end, high))


def _beside(x: float, row: Sequence[Box]) -> float:
    """The x at which a line passes a row of boxes: not behind one, and in the order in which lines come."""
    nearest = min(row, key=lambda box: abs(box.x - x))
    away = x - nearest.x
    clear = nearest.wide / 2 + AIR
    others = [abs(box.x - nearest.x) / 2 for box in row if (box.x - nearest.x) * (1 if away >= 0 else -1) > 0]
    reach = min([2 * clear, *others])
    if abs(away) >= reach:
        return x
    return nearest.x + math.copysign(clear + abs(away) * (reach - clear) / reach, away)


def runs(points: Iterable[SizePoint]) -> list[list[tuple[float, float, float]]]:
    """The bands of a curve as (x, low, high) at each size: a band ends where a size has no interval."""
    stretches = groupby(((point.x, point.interval) for point in points), key=lambda place: place[1] is not None)
    return [[(x, *ends) for x, ends in stretch if ends] for known, stretch in stretches if known]


def size_ticks(series: Iterable[Series], letter: float) -> dict[float, str]:
    """The sizes to write below an axis by their place: the largest, then each that leaves room for the one before.

    A letter is that share of the axis wide.
    """
    places = {point.x: point.label for one in series for point in one.points}
    length = max(places) - min(places)
    kept: dict[float, str] = {}
    for x in sorted(places, reverse=True):
        room = letter * length * ((len(places[x]) + len(places[min(kept)])) / 2 + 1) if kept else 0.0
        if not kept or min(kept) - x >= room:
            kept[x] = places[x]
    return kept


def spread(wanted: Sequence[float], apart: float) -> list[float]:
    """Places as near to those wanted as labels can stand that are `apart` from each other, in the same order."""
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    groups: list[list[float]] = []  # of neighbours that touch: where each would start them
    for nth, place in enumerate(order):
        groups.append([wanted[place] - nth * apart])
        while len(groups) > 1 and np.mean(groups[-2]) > np.mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    starts = [float(np.mean(group)) for group in groups for _ in group]
    found = dict(zip(order, (start + nth * apart for nth, start in enumerate(starts)), strict=True))
    return [found[place] for place in range(len(wanted))]
