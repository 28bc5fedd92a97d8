"""What circuits keep of a model's score, by size: share kept, faithfulness, gap, and the areas CPR and CMD.

A measurement has by prompt the metric of the "model", of the "empty" circuit (everything replaced), and of one or more
circuits; a column "without" (a circuit itself replaced) is passed over. For a curve the circuits' columns are their
sizes: numbers of edges ("1", "2", "5", ... and "all"), or shares of all edges ("0.001", ... "1"). F is the mean over
prompts, as in `mean`.

Of an error (KL divergence, a loss) the model has least, often 0, and the empty circuit most. With `lower_is_better`
faithfulness and areas take what is *saved* of the empty circuit's error: 1 for the model, whose error divides nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mechlib.measurement import ALL, EMPTY, MODEL, WITHOUT, Measurement
from mechlib.statistics.circuits.units import size
from mechlib.statistics.estimate import Estimate
from mechlib.statistics.families import Family
from mechlib.statistics.means import RatioRefused, mean, ratio

ARITHMETIC = 1e-9  # of the largest score: a circuit that is nearer to the model is the model, and its gap is 0


def share_kept(measured: Measurement, across: str | None = None) -> Estimate | Family:
    """F(C) / F(M) of every circuit: 0.87 for the circuit of Wang et al. 2023.

    Raises RatioRefused unless F(M) lies wholly above zero (of an error take `faithfulness` or `gap`), else as `ratio`.
    """
    if not measured[MODEL].array.any():
        raise RatioRefused(
            "the model scores 0 on every row: a share of that means nothing; for an error, of which 0 is perfect, take "
            "faithfulness(..., lower_is_better=True), or gap"
        )
    return _named(ratio(_circuits(measured), measured[MODEL], across), "share of the model's score kept")


def faithfulness(measured: Measurement, across: str | None = None, lower_is_better: bool = False) -> Estimate | Family:
    """(F(C) - F(0)) / (F(M) - F(0)) of every circuit, intervals simultaneous: 0 for the empty circuit, 1 for the model.

    lower_is_better  for errors: (F(0) - F(C)) / (F(0) - F(M)), which is the same number

    Raises RatioRefused unless F(M) - F(0), of an error F(0) - F(M), lies wholly above zero, TooFew as `mean` does,
    KeyError without a column.
    """
    measured = _rising(measured, lower_is_better)
    circuits = _circuits(measured)
    kept = replace(circuits, values=circuits.values - measured[EMPTY].values)
    return _named(ratio(kept, measured.less(MODEL, EMPTY), across), "faithfulness")


def gap(measured: Measurement, across: str | None = None) -> Estimate | Family:
    """|F(M) - F(C)| of every circuit, in the unit of the metric. Raises as `mean` does, KeyError without a column."""
    circuits = _circuits(measured)
    apart = measured[MODEL].values - circuits.values
    apart[np.abs(apart) <= ARITHMETIC * np.abs(measured.values).max()] = 0
    made = mean(replace(circuits, values=apart), across)
    of = f"gap between model and circuit: {measured.of}" if measured.of else "gap between model and circuit"
    if isinstance(made, Estimate):
        return _named(size(made), of)
    return _named(Family(tuple(size(member) for member in made)), of)


def cpr(measured: Measurement, whole: float = 1, across: str | None = None, lower_is_better: bool = False) -> Estimate:
    """Area under faithfulness over the share of edges (CPR of Mueller et al. 2025, MIB): trapezoids on a linear axis.

    measured  columns "model", "empty" and at least two sizes
    whole     how many edges the model has where sizes are numbers of edges; 1 where they are shares
    across    as in `mean`
    lower_is_better  as in `faithfulness`

    The curve runs from the smallest size to the whole model, whose faithfulness is 1 where it was not measured. As
    trapezoids are linear this is one ratio of means, with its interval. Areas over different sizes are not comparable.

    Raises ValueError on columns that are no sizes, else as `faithfulness` does.
    """
    measured = _rising(measured, lower_is_better)
    curve, weights = _curve(measured, whole)
    kept = replace(curve, values=curve.values - measured[EMPTY].values)
    made = ratio(_weighted(kept, weights), measured.less(MODEL, EMPTY), across)
    assert isinstance(made, Estimate)
    return replace(made, of="area under faithfulness (CPR)")


def cmd(measured: Measurement, whole: float = 1, across: str | None = None, lower_is_better: bool = False) -> Estimate:
    """Area between faithfulness and 1 (CMD of Mueller et al. 2025, MIB): trapezoids of |1 - faithfulness|; 0 is best.

    Arguments, axis and errors as for `cpr`. |1 - faithfulness| is taken at each size, as there. On the side of 1 where
    each circuit was seen the area is a ratio of means, with its interval. The lower end leaves out every size at which
    the side is open (the simultaneous interval of faithfulness holds 1), so that noise on either side of 1, which
    adds up in the value, does not pass for distance; the upper end keeps it.
    """
    measured = _rising(measured, lower_is_better)
    curve, weights = _curve(measured, whole)
    short = replace(curve, values=measured[MODEL].values - curve.values)
    base = measured.less(MODEL, EMPTY)
    shares = ratio(short, base, across)
    assert isinstance(shares, Family)
    signs = np.array([np.sign(share.value) for share in shares])
    known = [not share.low - 2 * share.monte_carlo <= 0 <= share.high + 2 * share.monte_carlo for share in shares]
    made = ratio(_weighted(short, signs * weights), base, across)
    assert isinstance(made, Estimate)
    low = 0.0
    if any(known):
        least = ratio(_weighted(short, signs * known * weights), base, across)
        assert isinstance(least, Estimate)
        low = max(0.0, min(made.low, least.low))
    return replace(made, low=low, of="area between faithfulness and 1 (CMD)")


def _weighted(curve: Measurement, weights: np.ndarray) -> Measurement:
    """The sum over columns, each with its weight, unit by unit."""
    return replace(curve, values=(curve.values * weights).sum(axis=1), columns=("value",))


def sizes_of(measured: Measurement, whole: float = 1) -> dict[str, float]:
    """The columns, smallest size first, each with its share of the `whole`. ValueError on any that is no size."""
    found = {name: whole if name == ALL else _number(name) for name in _circuits(measured).columns}
    for name, number in found.items():
        if not 0 < number <= whole:
            raise ValueError(
                f"a circuit of size {name!r} of {whole:g} edges: name columns by number of edges and give "
                "`whole`, or by share of the edges"
            )
    if len(set(found.values())) < len(found):
        raise ValueError(f"two circuits of one size among {', '.join(found)}: a curve has one for each")
    return {name: found[name] / whole for name in sorted(found, key=found.__getitem__)}


def _number(name: str) -> float:
    try:
        return float(name)
    except ValueError:
        return float("nan")


def _curve(measured: Measurement, whole: float) -> tuple[Measurement, np.ndarray]:
    """The circuits by size up to the whole model, and what the trapezoid rule weighs each with."""
    shares = sizes_of(measured, whole)
    curve = measured[list(shares)]
    places = list(shares.values())
    if places[-1] < 1:
        curve = replace(
            curve, values=np.concatenate([curve.values, measured[MODEL].values], axis=1), columns=(*curve.columns, ALL)
        )
        places.append(1.0)
    if len(places) < 3:
        raise ValueError(f"{len(shares)} sizes make no curve: measure at least two besides the whole model")
    steps = np.diff(places)
    return curve, (np.append(steps, 0) + np.append(0, steps)) / 2


def _rising(measured: Measurement, lower_is_better: bool) -> Measurement:
    """Scores that are the higher the better: an error with its sign changed. RatioRefused where it plainly is none."""
    sign = -1 if lower_is_better else 1
    gained = sign * measured.less(MODEL, EMPTY).array
    if (gained <= 0).all() and gained.any():
        raise RatioRefused(
            "the model never scores lower than the empty circuit: this is no error, leave lower_is_better out"
            if lower_is_better
            else "the model never scores higher than the empty circuit: of an error say lower_is_better=True"
        )
    return replace(measured, values=-measured.values) if lower_is_better else measured


def _circuits(measured: Measurement) -> Measurement:
    return measured.without([MODEL, EMPTY, WITHOUT])


def _named(made: Estimate | Family, of: str) -> Estimate | Family:
    if isinstance(made, Estimate):
        return replace(made, of=of)
    return Family(tuple(replace(member, of=of) for member in made), of)
