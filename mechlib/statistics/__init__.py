"""Statistics: measurements to estimates.

`mean`, `proportion`, `ratio`, `difference`, `correlation`, `across_seeds` and `exact` each return an Estimate,
or a Family where a measurement has several columns. Rows are put into an order of their own first, so
that an estimate is a function of what was measured on which unit and of nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from mechlib.estimate import Estimate, Family, plural
from mechlib.measurement import TOTAL, Measurement
from mechlib.statistics.assembly import (
    aligned,
    assembled,
    columns_of_difference,
    distributions_of,
    identity,
    strips_of,
    with_sources,
)
from mechlib.statistics.correlations import correlation
from mechlib.statistics.intervals import (
    Interval,
    Sample,
    interval,
    interval_of_paired_shares,
    interval_of_share,
    interval_of_unpaired_shares,
    sample,
)
from mechlib.statistics.nulls import above_null, permutation_p, sign_flip_p
from mechlib.statistics.resampling import TooFew, set_seed_offset
from mechlib.statistics.selecting import above, circuit_above, strongest, strongest_circuit
from mechlib.tails import LEVEL, t_quantile

__all__ = [
    "RatioRefused", "TooFew", "above", "above_null", "across_seeds", "circuit_above", "correlation", "difference", "exact",
    "mean", "permutation_p", "proportion", "ratio", "set_seed_offset", "sign_flip_p", "strongest", "strongest_circuit",
]  # fmt: skip


class RatioRefused(ValueError):
    """The denominator's interval does not lie wholly above zero, so a share of it means nothing."""


def mean(measured: Measurement, across: str | None = None) -> Estimate | Family:
    """The mean over units; where units share clusters, the mean of the cluster means.

    across  what it generalises over: by default the units ("prompts") or, where they share clusters, "templates";
            say "names" where clusters are names, "these templates" where they are held fixed

    Raises TypeError for yes/no values (a proportion is meant), TooFew where no interval is honest.
    """
    if measured.yes_no:
        raise TypeError("a mean of yes/no values: did you mean proportion(measurement)?")
    drawn = sample(measured, across)
    return assembled(measured, drawn, interval(drawn, measured.columns), measured.values, measured.columns)


def proportion(measured: Measurement, across: str | None = None) -> Estimate | Family:
    """The share of units with a yes; `across` as in `mean`.

    Raises TypeError where values are no yes/no, TooFew below five clusters.
    """
    if not measured.yes_no:
        raise TypeError("a proportion of values that are no yes/no: did you mean mean(measurement)?")
    drawn = sample(measured, across)
    family = len(measured.columns)
    found = [interval_of_share(drawn, column, LEVEL / family) for column in range(family)]
    strips = strips_of(measured, measured.values)
    made = [
        Estimate(
            value=share.value,
            low=share.low,
            high=share.high,
            se=share.se,
            df=share.df,
            trials=share.trials,
            method=share.method,
            notes=share.notes,
            strip=strips[column],
            simultaneous=family > 1,
            **identity(measured, drawn, measured.columns[column]),
        )
        for column, share in enumerate(found)
    ]
    return made[0] if family == 1 else Family(tuple(made), measured.of)


def ratio(
    measured: Measurement, denominator: Measurement | None = None, across: str | None = None
) -> Estimate | Family:
    """Mean over mean, numerator and denominator of the same units: a share of a whole, never a mean of shares.

    `ratio(shares["5.1"], shares["total"])`; with one argument the denominator is the column "total", or else the
    second of two columns. Several numerators make a Family. `across` as in `mean`.

    Raises RatioRefused unless the denominator's interval lies wholly above zero, TooFew as `mean` does.
    Source: docs/STATISTICS.md, R3; intervals after Cochran 1977, section 6, studentised by the bootstrap.
    """
    if denominator is None:
        measured, denominator = _split(measured)
    denominator = aligned(denominator, measured)
    _check_denominator(denominator, across)
    drawn = sample(measured, across, denominator)
    below = float(drawn.combined(drawn.base[:, None])[0]) if drawn.base is not None else 1.0
    found = interval(drawn, measured.columns)
    made = assembled(measured, drawn, found, measured.values / below, measured.columns)
    return with_sources(made, measured, denominator)


def _split(measured: Measurement) -> tuple[Measurement, Measurement]:
    columns = measured.columns
    if TOTAL in columns and len(columns) > 1:
        return measured.without([TOTAL]), measured[TOTAL]
    if len(columns) != 2:
        raise ValueError(f"a ratio of {len(columns)} columns: give numerator and denominator, as in ratio(a, b)")
    return measured[columns[0]], measured[columns[1]]


def _check_denominator(denominator: Measurement, across: str | None) -> None:
    if len(denominator.columns) != 1:
        raise ValueError(f"a denominator of {len(denominator.columns)} columns: choose one")
    drawn = sample(denominator, across)
    found = interval(drawn, denominator.columns)
    value, low, high = (float(ends[0]) for ends in (found.value, found.low, found.high))
    if low - 2 * float(found.monte_carlo[0]) <= 0:
        raise RatioRefused(
            f"the denominator is {value:.3g} [{low:.3g}, {high:.3g}], not wholly above zero: "
            "a share of it means nothing; claim the numerator itself, in its own unit"
        )


def difference(first: Measurement, second: Measurement, across: str | None = None) -> Estimate | Family:
    """First less second: paired where both were measured on the same units, between two samples where they share none.

    Either may have a single column while the other has several; that makes a Family. `across` as in `mean`.

    Raises ValueError where only some units are shared, TooFew as `mean` does.
    """
    shared = set(first.units) & set(second.units)
    if not shared:
        return with_sources(_unpaired(first, second, across), first, second)
    if len(shared) < max(len(first), len(second)):
        raise ValueError(
            f"{len(shared)} of {len(first)} and {len(second)} units are the same: measure both on the same "
            f"{plural(first.unit)} (paired), or on none in common"
        )
    second = aligned(second, first)
    columns = columns_of_difference(first, second)
    paired = replace(first, values=first.values - second.values, columns=columns, yes_no=False)
    drawn = sample(paired, across)
    both = first.yes_no and second.yes_no
    found = _of_paired_shares(paired, drawn, columns) if both else interval(drawn, columns)
    return with_sources(assembled(paired, drawn, found, paired.values, columns), first, second)


def _of_paired_shares(paired: Measurement, drawn: Sample, columns: tuple[str, ...]) -> Interval:
    """Differences of yes/no values on the same units: never without width, though no unit or cluster disagrees."""
    units = drawn
    if drawn.drawn == "clusters":
        units = replace(drawn, rows=paired.values, sizes=(len(paired),), drawn="units")
    up, down = units.combined(units.rows == 1), units.combined(units.rows == -1)
    level = LEVEL / len(columns)
    ends = [interval_of_paired_shares(*shares, units.trials, level) for shares in zip(up, down, strict=True)]
    found = _interval_of_shares(up - down, ends, "paired shares")
    if drawn.drawn != "clusters":
        return found
    between = interval(drawn, columns)
    low, high, se = (
        np.where(between.constant, own, other)
        for own, other in ((found.low, between.low), (found.high, between.high), (found.se, between.se))
    )
    method = "paired shares, no cluster differs" if between.constant.all() else between.method
    return replace(between, low=low, high=high, se=se, constant=found.constant, method=method)


def _interval_of_shares(value: np.ndarray, ends: list[tuple[float, float, float]], method: str) -> Interval:
    low, high, se = (np.array(part) for part in zip(*ends, strict=True))
    return Interval(value, low, high, se, np.zeros(len(se)), np.zeros(len(se), dtype=bool), None, method)


def _unpaired(first: Measurement, second: Measurement, across: str | None) -> Estimate | Family:
    columns = columns_of_difference(first, second)
    if first.unit != second.unit or bool(first.clusters) != bool(second.clusters):
        raise ValueError(f"a difference between {plural(first.unit)} and {plural(second.unit)}: compare like with like")
    a, b = sample(first, across), sample(second, across)
    shared = set(first.clusters) & set(second.clusters)
    if a.drawn == "units" and first.yes_no and second.yes_no:
        ends = [
            interval_of_unpaired_shares(*_pair_of_columns(a, b, column), LEVEL / len(columns))
            for column in range(len(columns))
        ]
        found = _interval_of_shares(a.rows.mean(axis=0) - b.rows.mean(axis=0), ends, "unpaired shares")
        return assembled(first, replace(a, n=a.n + b.n), found, None, columns)
    if a.drawn == "clusters" and shared:
        if set(first.clusters) != set(second.clusters):
            raise ValueError("some clusters are shared, some are not: compare the same ones, or different ones")
        drawn = replace(a, rows=a.rows - b.rows, n=a.n + b.n)  # other prompts of the same templates: paired by template
    else:
        width = np.ones((1, len(columns)))
        drawn = replace(
            a,
            rows=np.concatenate([a.rows * width, b.rows * width]),
            sizes=a.sizes + b.sizes,
            shares=a.shares + tuple(-share for share in b.shares),
            n=a.n + b.n,
            clusters=None if a.clusters is None or b.clusters is None else a.clusters + b.clusters,
        )
    return assembled(first, drawn, interval(drawn, columns), None, columns)


def _pair_of_columns(a: Sample, b: Sample, column: int) -> tuple[np.ndarray, np.ndarray]:
    first, second = (drawn.rows[:, column if drawn.rows.shape[1] > 1 else 0] for drawn in (a, b))
    return first, second


def across_seeds(values: Iterable[Estimate | float]) -> Estimate:
    """The mean over several trainings of one recipe, t on their number less one; never "models".

    Takes one estimate, or one exact number, for each training. A comparison of the result also says in how
    many trainings it holds, and in what share at least. Raises TooFew below three.
    """
    given = list(values)
    estimates = [value for value in given if isinstance(value, Estimate)]
    numbers = np.array([value.value if isinstance(value, Estimate) else float(value) for value in given])
    if len(numbers) < 3:
        raise TooFew(f"{len(numbers)} trainings are too few for a mean over trainings: at least 3")
    if not np.isfinite(numbers).all():
        raise ValueError(f"training {int(np.argmin(np.isfinite(numbers)))} has {numbers[~np.isfinite(numbers)][0]}")
    labels = [estimate.name for estimate in estimates]
    if len(set(labels)) < len(given):
        labels = [str(index) for index in range(len(given))]
    ordered, df = np.sort(numbers), len(numbers) - 1
    value, se = float(ordered.mean()), float(ordered.std(ddof=1) / np.sqrt(len(ordered)))
    alike = bool(np.ptp(numbers) <= 1e-12 * np.abs(numbers).max())
    reach = 0.0 if alike else t_quantile(1 - LEVEL / 2, df) * se
    return Estimate(
        value=value,
        low=value - reach,
        high=value + reach,
        n=len(numbers),
        unit="training",
        across="trainings",
        method="constant" if alike else "t across trainings",
        se=0.0 if alike else se,
        df=df,
        of=estimates[0].of if estimates else "",
        notes=("no variation seen between trainings",) if alike else (),
        sources=tuple(dict.fromkeys(source for estimate in estimates for source in estimate.sources)),
        distribution=distributions_of(numbers[:, None], [value])[0],
        strip=tuple((label, 1, float(number)) for label, number in zip(labels, numbers, strict=True)),
    )


def exact(value: float, of: str = "", name: str = "") -> Estimate:
    """A number computed from weights alone, or counted completely: without an interval, for this checkpoint only."""
    number = float(value)
    return Estimate(
        value=number, low=number, high=number, n=1, unit="checkpoint", across="this checkpoint", method="exact", se=0.0,
        of=of, name=name,
    )  # fmt: skip
