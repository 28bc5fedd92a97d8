"""Where the parts of a figure of curves stand: bands, ticks and labels, before any ink."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from mechlib.pictured import Series, SizePoint


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
    for rank, place in enumerate(order):
        groups.append([wanted[place] - rank * apart])
        while len(groups) > 1 and np.mean(groups[-2]) > np.mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    starts = [float(np.mean(group)) for group in groups for _ in group]
    found = dict(zip(order, (start + rank * apart for rank, start in enumerate(starts)), strict=True))
    return [found[place] for place in range(len(wanted))]
