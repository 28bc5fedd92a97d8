"""Many comparisons at once: what their number leaves of the verdicts (docs/STATISTICS.md, R12)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mechlib.statistics.intervals.tails import LEVEL


def holm(levels: Sequence[float]) -> list[float]:
    """Adjusted p-values that keep the chance of any false positive. Source: Holm 1979."""
    check_levels(levels)
    count = len(levels)
    adjusted, highest = [0.0] * count, 0.0
    for rank, index in enumerate(sorted(range(count), key=levels.__getitem__)):
        highest = max(highest, min(1.0, (count - rank) * levels[index]))
        adjusted[index] = highest
    return adjusted


def benjamini_hochberg(levels: Sequence[float]) -> list[float]:
    """Adjusted p-values that keep the share of false positives among positives. Source: Benjamini and Hochberg 1995."""
    check_levels(levels)
    count = len(levels)
    adjusted, lowest = [0.0] * count, 1.0
    for rank, index in reversed(list(enumerate(sorted(range(count), key=levels.__getitem__), start=1))):
        lowest = min(lowest, count / rank * levels[index])
        adjusted[index] = lowest
    return adjusted


def check_levels(levels: Sequence[float]) -> None:
    """ValueError for what is no p-value: sorted among others, a NaN would end anywhere."""
    for place, level in enumerate(levels):
        if not 0 <= level <= 1:
            raise ValueError(
                f"p-value {place} is {level}: wanted is a number from 0 to 1; drop the comparison, or mend it"
            )


def adjusted(verdicts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The verdicts beside what Holm and Benjamini-Hochberg leave of them, in the given order.

    verdicts  `Verdict.to_dict()` of all comparisons judged on one model, without controls, gates and calibration

    SUPPORTED and REFUTED are each a family over all comparisons: a word stays where its adjusted p is at most .05, and
    turns into INCONCLUSIVE otherwise. Each row has "word", "holm", "bh" (words), "p", "p_holm" and "p_bh" (numbers for
    the word that it had; for INCONCLUSIVE the smaller of both directions).
    """
    for_it, against = ([verdict[key] for verdict in verdicts] for key in ("p_supported", "p_refuted"))
    corrections: dict[str, Callable[[Sequence[float]], list[float]]] = {"holm": holm, "bh": benjamini_hochberg}
    both = {name: (correct(for_it), correct(against)) for name, correct in corrections.items()}
    rows = []
    for index, verdict in enumerate(verdicts):
        word = verdict["word"]
        side = {"SUPPORTED": 0, "REFUTED": 1}.get(word, int(against[index] < for_it[index]))
        row = {"word": word, "p": (for_it, against)[side][index]}
        for name, sides in both.items():
            row[f"p_{name}"] = sides[side][index]
            row[name] = word if sides[side][index] <= LEVEL else "INCONCLUSIVE"
        rows.append(row)
    return rows
