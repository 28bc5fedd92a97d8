"""The order of rows: by label, then by unit, so that no sum and no resample depends on how rows came."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=512)
def by_label_and_unit(labels: tuple[str, ...], units: tuple[str, ...], numbers_first: bool = False) -> np.ndarray:
    """Row numbers, sorted by label and then by unit; not to be written to, for the same rows are asked for often.

    numbers_first  labels that are whole numbers by their value, before words ("8" before "12" before "long")
    """
    ordered = sorted(set(labels), key=_by_number if numbers_first else None)
    rank = {label: place for place, label in enumerate(ordered)}
    rows = sorted(zip([rank[label] for label in labels], units, range(len(units)), strict=True))
    order = np.array([row for _, _, row in rows])
    order.flags.writeable = False
    return order


def _by_number(label: str) -> tuple[bool, int, str]:
    return (False, int(label), label) if label.isdecimal() else (True, 0, label)
