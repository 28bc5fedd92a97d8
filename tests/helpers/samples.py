"""Measurements to estimate from: prompts, templates, shares and their denominators."""

from __future__ import annotations

import numpy as np

from mechlib.measurement import Measurement
from mechlib.statistics.estimate import Estimate

TEMPLATES = tuple(f"t{template:02d}" for template in range(16) for _ in range(20))


def measured(values: object, clusters: tuple[str, ...] = (), unit: str = "prompt", **fields: object) -> Measurement:
    values = np.asarray(values, dtype=float)
    units = tuple(f"u{row:05d}" for row in range(len(values)))
    return Measurement(values, units, unit=unit, clusters=clusters, **fields)


def yes_no(values: object, clusters: tuple[str, ...] = ()) -> Measurement:
    return measured(values, clusters, yes_no=True)


def shuffled(m: Measurement, seed: int = 0) -> Measurement:
    order = np.random.default_rng(seed).permutation(len(m))
    labels = {
        name: tuple(getattr(m, name)[row] for row in order)
        for name in ("units", "clusters", "strata")
        if getattr(m, name)
    }
    fields = {"unit": m.unit, "columns": m.columns, "yes_no": m.yes_no} | labels
    return Measurement(m.values[order], **fields)


def ends(e: Estimate) -> tuple[float, float]:
    return e.low, e.high


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def nested(seed: int, between: float = 0.5, sizes: int = 20) -> np.ndarray:
    rng = draws(seed)
    return (rng.normal(0, between, 16)[:, None] + rng.normal(0.3, 1, (16, sizes))).ravel()


def halves(seed: int, n: int = 400, clusters: tuple[str, ...] = ()) -> tuple[Measurement, Measurement]:
    rng = draws(seed)
    whole = rng.normal(2, 0.8, n)
    part = 0.5 * whole + rng.normal(0, 0.4, n)
    return measured(part, clusters), measured(whole, clusters)
