"""Two records, or two models of one, side by side: what moved, by how much, and what only one of them has.

Where a claim's estimate is the mean of a column of its evidence, of one less another, or a share of a third, the
difference of two estimates is taken prompt by prompt where both were measured on the same prompts, and its interval is
mechlib.statistics.difference's (of shares to first order). Otherwise it is taken between two samples, from their
standard errors, as if nothing were shared: wider where the same prompts are hard for both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mechlib.measurement import Measurement
from mechlib.report.content.evidence_files import EvidenceFiles
from mechlib.statistics import TooFew, difference
from mechlib.statistics.estimate import Estimate, plural
from mechlib.statistics.intervals.tails import LEVEL, t_quantile

_SAME = 1e-9  # relative: what the filed values give again, and the estimate, are one number


@dataclass(frozen=True)
class Side:
    """One of two that are compared: its entries of results.json by key, and its evidence where that is at hand."""

    name: str
    entries: Mapping[str, Mapping[str, Any]]
    evidence: EvidenceFiles | None = None


@dataclass(frozen=True)
class Pair:
    """One claim in both: the entries of results.json, and the second's number less the first's with its interval.

    how     "paired on 160 prompts", "between two samples", or "" where one has no number
    """

    key: str
    first: Mapping[str, Any]
    second: Mapping[str, Any]
    value: float | None = None
    low: float | None = None
    high: float | None = None
    how: str = ""

    @property
    def moved(self) -> bool:
        """Whether the verdicts differ."""
        return bool(self.first["verdict"] != self.second["verdict"])

    @property
    def apart(self) -> bool:
        """Whether the numbers do: 0 lies outside the interval of the difference."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


@dataclass(frozen=True)
class Compared:
    """What two have in common, and the keys of what only one has."""

    pairs: tuple[Pair, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def compared(first: Side, second: Side) -> Compared:
    """The claims of two sides, joined by key."""
    both = [key for key in first.entries if key in second.entries]
    pairs = tuple(_pair(key, first, second) for key in both)
    return Compared(pairs, _lacking(first, second), _lacking(second, first))


def _lacking(first: Side, second: Side) -> tuple[str, ...]:
    """The keys that the first has and the second has not."""
    return tuple(key for key in first.entries if key not in second.entries)


def _pair(key: str, first: Side, second: Side) -> Pair:
    one, two = first.entries[key], second.entries[key]
    if one.get("estimate") is None or two.get("estimate") is None:
        return Pair(key, one, two)
    made = _of_evidence(first, one, second, two) or _of_numbers(one, two)
    return Pair(key, one, two, *made)


_Made = tuple[float, float | None, float | None, str]


def _of_evidence(first: Side, one: Mapping[str, Any], second: Side, two: Mapping[str, Any]) -> _Made | None:
    """The difference from the values of both, unit by unit; None where they do not give the estimates again."""
    measured = [behind(side, entry) for side, entry in ((first, one), (second, two))]
    if measured[0] is None or measured[1] is None:
        return None
    try:
        made = difference(measured[1], measured[0])
    except (TooFew, ValueError):  # only some units in common, or too few
        return None
    if not isinstance(made, Estimate):
        return None
    shared = len({*measured[0].units} & {*measured[1].units})
    how = f"paired on {shared} {plural(measured[0].unit)}" if shared else "between two samples"
    return made.value, made.low, made.high, how


def behind(side: Side, entry: Mapping[str, Any]) -> Measurement | None:
    """What the estimate is the mean of, by itself, a value a unit; None where it is nothing simple, or not at hand."""
    for path in (entry.get("evidence") or ()) if side.evidence is not None else ():
        filed = side.evidence.read(path) if side.evidence is not None else None
        if filed is not None and len(filed.measurement) == entry.get("n"):
            found = _values(filed.measurement, entry["estimate"])
            if found is not None:
                made = filed.measurement.with_columns({"value": found})
                return replace(made, yes_no=bool(filed.measurement.yes_no and np.isin(found, (0.0, 1.0)).all()))
    return None


def _values(measured: Measurement, estimate: float) -> np.ndarray | None:
    """Values with the estimate for their mean: of a column, of one less another, or of either as a share of a third.

    The values of a share R are R + (a - R b) / mean(b): their mean is R = mean(a) / mean(b), and to first order they
    vary as it does.
    """
    columns = np.column_stack([np.zeros(len(measured)), measured.values])  # less nothing comes first
    means = np.concatenate([[0.0], _means(measured)])
    less = np.where(np.eye(len(means), dtype=bool), np.nan, means[:, None] - means[None, :])
    for whole in (None, *(place for place in range(1, len(means)) if means[place])):
        found = np.argwhere(_same(less / (1.0 if whole is None else means[whole]), estimate))
        if found.size:
            first, second = min(found.tolist(), key=lambda pair: pair[1])
            part = columns[:, first] - columns[:, second]
            return part if whole is None else estimate + (part - estimate * columns[:, whole]) / means[whole]
    return None


def _same(numbers: np.ndarray, estimate: float) -> np.ndarray:
    return np.isclose(numbers, estimate, rtol=_SAME, atol=1e-12)


def _means(measured: Measurement) -> np.ndarray:
    """The mean of each column as statistics take it: clusters count the same."""
    if not any(measured.clusters):
        return measured.values.mean(axis=0)
    labels = np.asarray(measured.clusters)
    return np.mean([measured.values[labels == one].mean(axis=0) for one in dict.fromkeys(measured.clusters)], axis=0)


def _of_numbers(one: Mapping[str, Any], two: Mapping[str, Any]) -> _Made:
    """The difference of two independent estimates, from their standard errors."""
    value, se = two["estimate"] - one["estimate"], (one.get("se"), two.get("se"))
    if se[0] is None or se[1] is None:
        return value, None, None, "no standard errors are filed"
    reach = t_quantile(1 - LEVEL / 2, None) * math.hypot(se[0], se[1])
    return value, value - reach, value + reach, "between two samples"


def by_id(entries: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Entries by id: how two records are joined."""
    return {entry["id"]: entry for entry in entries}


def of_model(entries: Sequence[Mapping[str, Any]], model: str) -> dict[str, Mapping[str, Any]]:
    """The entries of one model by claim and case without it: how two models of a record are joined."""
    return {
        f"{entry['topic']}.{entry['function']}" + (f"[{entry['case']}]" if entry.get("case") else ""): entry
        for entry in entries
        if entry["model"] == model
    }
