"""Means, proportions and ratios of means over the units of a measurement."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from mechlib.measurement import ROUNDING, TOTAL, Measurement
from mechlib.statistics.assembly import aligned, assembled, identity, strips_of, with_sources
from mechlib.statistics.beside import Others, named
from mechlib.statistics.estimate import Estimate
from mechlib.statistics.families import Family
from mechlib.statistics.intervals.interval import interval
from mechlib.statistics.intervals.resampling import TooFew
from mechlib.statistics.intervals.sample import Sample, sample
from mechlib.statistics.intervals.shares import interval_of_share, on_these_clusters, worth
from mechlib.statistics.intervals.tails import LEVEL
from mechlib.statistics.intervals.variance import shares_of_variance


class RatioRefused(ValueError):
    """The denominator's interval does not lie wholly above zero, so a share of it means nothing."""


def mean(
    measured: Measurement,
    across: str | None = None,
    *,
    control: Others = None,
    beside: Others = None,
    whole: Measurement | float | None = None,
) -> Estimate | Family:
    """The mean over units; where units share clusters, the mean of the cluster means.

    across   what it generalises over: by default all that units share ("templates and names"), or the units
             themselves. "these names" holds the names fixed: the estimate is about those, and about all templates.
             Where clusters have no name of their own they are "templates"; say "words" where they are words
    control  the same measured of what the claim must not hold of: another part, a random direction; one or a tuple
    beside   of a claim that something is absent: the same measured of what the instrument is known to see
    whole    what all of the effect comes to, so that claim and control above 95 % of it are not told apart


    Units that share more than clusters (`Prompt.factors`) have the error term of all of it (docs/STATISTICS.md, R29).
    Raises TypeError for yes/no values (a proportion is meant), TooFew where no interval is honest; for what stands
    beside it as `mechlib.statistics.beside.named` does.
    """
    if measured.yes_no:
        raise TypeError("a mean of yes/no values: did you mean proportion(measurement)?")
    drawn = sample(measured, across, factors=True)
    made = assembled(measured, drawn, interval(drawn, measured.columns), measured.values, measured.columns)
    return named(made, measured, lambda other: mean(other, across), control, beside, whole)


def proportion(
    measured: Measurement, across: str | None = None, *, control: Others = None, beside: Others = None
) -> Estimate | Family:
    """The share of units with a yes, of which the whole is 1; arguments as in `mean`.

    Across clusters the notes have the share on these clusters beside it, and the limits if each were a single trial;
    a gate (`requires`) asks for the share on these clusters.

    Raises TypeError where values are no yes/no, TooFew below five clusters.
    """
    if not measured.yes_no:
        raise TypeError("a proportion of values that are no yes/no: did you mean mean(measurement)?")
    drawn = sample(measured, across)
    made = _shares(measured, drawn, _variance_of_all_shared(measured, across))
    if drawn.drawn == "clusters":
        here = _shares(measured, on_these_clusters(measured, drawn.across))
        made = tuple(_beside(one, same) for one, same in zip(made, here, strict=True))
    whole = made[0] if len(made) == 1 else Family(made, measured.of)
    return named(whole, measured, lambda other: proportion(other, across), control, beside, 1.0)


def _variance_of_all_shared(measured: Measurement, across: str | None) -> np.ndarray | None:
    """R29's variance of the share in every column; None where units share nothing but clusters, or too densely."""
    try:
        crossed = sample(measured, across, factors=True).crossed
    except TooFew:
        return None  # R30's correlation within clusters stands for it
    return None if crossed is None else crossed.design.variance(crossed.rows)


def _shares(measured: Measurement, drawn: Sample, variance: np.ndarray | None = None) -> tuple[Estimate, ...]:
    """The share of every column; `variance` where units share more than clusters."""
    family = len(measured.columns)
    sizes = tuple(Counter(measured.clusters).values())
    found = [interval_of_share(drawn, column, LEVEL / family, sizes) for column in range(family)]
    if variance is not None:
        worths = [_trials(share.value, one) for share, one in zip(found, variance.tolist(), strict=True)]
        found = [worth(share, trials, LEVEL / family) for share, trials in zip(found, worths, strict=True)]
    strips = strips_of(measured, measured.values)
    shares = shares_of_variance(measured, drawn.factors, measured.values)
    return tuple(
        Estimate(
            value=share.value,
            low=share.low,
            high=share.high,
            se=share.se,
            df=share.df,
            trials=share.trials,
            method=share.method,
            notes=(*share.notes, *measured.said_of(measured.columns[column])),
            strip=strips[column],
            variance=shares[column],
            simultaneous=family > 1,
            **identity(measured, drawn, measured.columns[column]),
        )
        for column, share in enumerate(found)
    )


def _trials(share: float, variance: float) -> float:
    """How many independent trials have this variance; without variation any number."""
    spread = share * (1 - share)
    return spread / variance if spread > ROUNDING and variance > ROUNDING**2 else np.inf


def _beside(own: Estimate, here: Estimate) -> Estimate:
    """A share across clusters with the one on these clusters, which stands beside it and which a gate asks about."""
    note = f"on {here.across} {here.value:.3f} [{here.low:.3f}, {here.high:.3f}]"
    return replace(own, at_hand=here, notes=(note, *own.notes))


def ratio(
    measured: Measurement,
    denominator: Measurement | None = None,
    across: str | None = None,
    *,
    control: Others = None,
    beside: Others = None,
) -> Estimate | Family:
    """Mean over mean, numerator and denominator of the same units: a share of a whole, never a mean of shares.

    `ratio(shares["5.1"], shares["total"])`; with one argument the denominator is the column "total", or else the
    second of two columns. Several numerators make a Family. Other arguments as in `mean`; a control or what stands
    beside is a numerator over the denominator that is given, else both as the first argument is. The whole is 1.

    Raises RatioRefused unless the denominator's interval lies wholly above zero, TooFew as `mean` does.
    Source: docs/STATISTICS.md, R3; intervals after Cochran 1977, section 6, studentised by the bootstrap.
    """
    given = denominator
    if denominator is None:
        measured, denominator = _split(measured)
    denominator = aligned(denominator, measured)
    check_denominator(denominator, across)
    drawn = sample(measured, across, denominator, factors=True)
    below = float(drawn.combined(drawn.base[:, None])[0]) if drawn.base is not None else 1.0
    found = interval(drawn, measured.columns)
    measured = replace(measured, notes=(*measured.notes, *denominator.notes))
    residuals = (measured.values - found.value * denominator.values) / below
    made = assembled(measured, drawn, found, measured.values / below, measured.columns, residuals)
    made = with_sources(made, measured, denominator)
    return named(made, measured, lambda other: ratio(other, given, across), control, beside, 1.0)


def _split(measured: Measurement) -> tuple[Measurement, Measurement]:
    columns = measured.columns
    if TOTAL in columns and len(columns) > 1:
        return measured.without([TOTAL]), measured[TOTAL]
    if len(columns) != 2:
        raise ValueError(f"a ratio of {len(columns)} columns: give numerator and denominator, as in ratio(a, b)")
    return measured[columns[0]], measured[columns[1]]


def check_denominator(denominator: Measurement, across: str | None) -> None:
    """Raises RatioRefused where a denominator cannot be told from zero, ValueError where it has several columns."""
    if len(denominator.columns) != 1:
        raise ValueError(f"a denominator of {len(denominator.columns)} columns: choose one")
    drawn = sample(denominator, across, factors=True)
    found = interval(drawn, denominator.columns)
    value, low, high = (float(ends[0]) for ends in (found.value, found.low, found.high))
    if low - 2 * float(found.monte_carlo[0]) <= 0:
        raise RatioRefused(
            f"the denominator is {value:.3g} [{low:.3g}, {high:.3g}], not wholly above zero: "
            "a share of it means nothing; claim the numerator itself, in its own unit"
        )
