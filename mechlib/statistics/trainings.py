"""Several trainings of one recipe, and numbers that one checkpoint has exactly."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mechlib.parts.blinding import unblinded
from mechlib.statistics.assembly import distributions_of
from mechlib.statistics.estimate import Estimate
from mechlib.statistics.intervals.resampling import TooFew
from mechlib.statistics.intervals.tails import LEVEL, t_quantile


def across_seeds(values: Iterable[Estimate | float]) -> Estimate:
    """The mean over several trainings of one recipe, t on their number less one; never "models".

    Takes one estimate, or one exact number, for each training. A comparison of the result also says in how
    many trainings it holds, and in what share at least. Raises TooFew below three.
    """
    given = [unblinded(value) for value in values]
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
    value, se = (
        float(np.clip(ordered.mean(), ordered[0], ordered[-1])),
        float(ordered.std(ddof=1) / np.sqrt(len(ordered))),
    )
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
    """A number computed from weights alone, or counted completely: without an interval, for this checkpoint only.

    A claim hands over what it calculated from evidence, which it may not see (mechlib.parts.blinding).
    """
    number = float(unblinded(value))
    return Estimate(
        value=number, low=number, high=number, n=1, unit="checkpoint", across="this checkpoint", method="exact", se=0.0,
        of=of, name=name,
    )  # fmt: skip
