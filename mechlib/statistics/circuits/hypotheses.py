"""Circuits as hypotheses: equivalence, independence, minimality, sufficiency, partial necessity.

Each takes scores by prompt with some of the columns "model" (nothing replaced), "circuit" (everything else replaced)
and "without" (the circuit itself replaced), all in the unit of one metric, and returns what a claim compares:

    assert every(equivalence(scores)) <= 1
    assert every(independence(scores)) <= 0.2
    assert every(minimality(losses, inflated)) > 0
    assert sufficiency(scores, others) >= 0.9
    assert partial_necessity(scores, others) >= 0.9

Source: Shi et al. 2024 (arXiv:2410.13032) for the five questions. The answers differ: "the same" and "independent" are
claimed by an interval within a margin (docs/STATISTICS.md, R13), never by a test that fails to reject, and
equivalence is about the probability that circuit or model is ahead, not about the mean difference alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mechlib.measurement import CIRCUIT, MODEL, WITHOUT, Measurement
from mechlib.statistics.assembly import identity, sources_of, with_sources
from mechlib.statistics.beside import Others, named
from mechlib.statistics.circuits.dependence import distance_correlation
from mechlib.statistics.circuits.nulls import exceeding
from mechlib.statistics.circuits.units import size, times
from mechlib.statistics.correlations import correlation
from mechlib.statistics.differences import difference
from mechlib.statistics.estimate import Estimate, plural
from mechlib.statistics.families import Family
from mechlib.statistics.intervals.sample import sample
from mechlib.statistics.means import mean, proportion, ratio

SAME = 1e-4  # of the model's mean score: what two ways to compute one number may differ by


def equivalence(
    scores: Measurement, ahead: float = 0.1, apart: float = 0.1, across: str | None = None, *, beside: Others = None
) -> Family:
    """How far circuit and model are from being the same, in units of the margins: `every(...) <= 1` claims equivalence.

    scores  columns "model" and "circuit", in the unit of the metric
    ahead   margin of the first member, "which is ahead": |P(D > 0) + P(D = 0) / 2 - 1/2|, D circuit less model
    apart   margin of the second, "how far apart": mean |D| as a share of the model's mean score
    across  as in `mean`
    beside  the same scores of a circuit that must be seen to differ: a smaller one, or one of other heads

    Differences of up to 1e-4 of the model's mean score are ties: arithmetic, not the circuit. Both intervals hold
    together. The first is without its sign, so that it is below 1 exactly if the signed one lies within -1 and 1.

    Raises RatioRefused unless the model's mean score is above zero, TooFew as `mean` does, KeyError without a column.
    """
    model = scores[MODEL]
    apart_by = scores[CIRCUIT].array - model.array
    tie = SAME * abs(_middle(model))
    above, below = (
        replace(model, values=(sign * apart_by > tie).astype(float), columns=("value",), yes_no=True)
        for sign in (1, -1)
    )
    lead = difference(above, below, across)
    distance = ratio(replace(model, values=np.abs(apart_by), columns=("value",)), model, across)
    assert isinstance(lead, Estimate) and isinstance(distance, Estimate)
    of = "distance between circuit and model, in units of its margin"
    members = (
        size(times(lead.widened(2), 1 / (2 * ahead), "which is ahead", of)),
        times(distance.widened(2), 1 / apart, "how far apart", of),
    )
    alone = _family(members, of, scores)
    made = named(alone, scores, lambda other: equivalence(other, ahead, apart, across), beside=beside)
    assert isinstance(made, Family)
    return made


def independence(scores: Measurement, across: str | None = None) -> Family:
    """|Spearman| and distance correlation of what is left without the circuit with the model: `every(...) <= 0.2`.

    scores  columns "model" and "without", in the unit of the metric
    across  as in `mean`

    Both intervals hold together. An output that is the same on all prompts (within 1e-4 of the model's mean score) is
    independent of anything: 0 without width.

    Raises ValueError where the model's own score does not vary, TooFew below twenty prompts or five clusters.
    """
    model, rest = scores[MODEL], scores[WITHOUT]
    of = "dependence of what is left without the circuit on the model"
    names = ("rank correlation, without sign", "distance correlation")
    if np.ptp(model.array) > 0 and np.ptp(rest.array) <= SAME * abs(_middle(model)):
        return _family(tuple(_constant(rest, name, across) for name in names), of, scores)
    ranks = size(correlation(rest, model, "spearman", across).widened(2))
    distances = distance_correlation(rest, model, across, family=2)
    members = tuple(replace(member, name=name) for member, name in zip((ranks, distances), names, strict=True))
    return _family(members, of, scores)


def _constant(rest: Measurement, name: str, across: str | None) -> Estimate:
    said = identity(rest, sample(rest, across), name)
    note = f"{rest.array[0]:.3g} on all {len(rest)} {plural(rest.unit)}: a constant depends on nothing"
    return Estimate(value=0, low=0, high=0, se=0, method="constant", simultaneous=True, notes=(note,), **said)


def minimality(
    lost: Measurement, null: Measurement, percentile: float = 0.9, across: str | None = None, exhaustive: bool = False
) -> Family:
    """By how much each edge's mean loss exceeds the null's 90th percentile: `every(...) > 0` claims that none is idle.

    lost        by prompt, a column for each edge (or node) of the circuit: circuit less circuit without that edge
    null        one row for each inflated circuit, one column: mean loss on the same prompts when one edge of a
                randomly added path is removed again
    percentile  as a share
    across      as in `mean`
    exhaustive  whether the null holds every path that could be added; its percentile has no error then

    Claim `> 0` and not `>= 0`, or better a bound that arithmetic cannot reach: where added paths lose nothing at all,
    an idle edge that loses nothing either is exactly at its null. Intervals over prompts hold for all edges together
    (max-t), each joined with that of the percentile as in `above_null`. Where `every` of them is SUPPORTED, so is
    every edge by Holm's procedure. Losses of up to 1e-4 of the largest mean loss are ties, as in `equivalence`.

    Raises TooFew where the null is too small to bound its percentile or as `mean` does, ValueError on a null of
    several columns.
    """
    tie = SAME * float(np.abs(np.sort(lost.values, axis=0).mean(axis=0)).max())
    own = mean(replace(lost, values=np.where(np.abs(lost.values) > tie, lost.values, 0.0)), across)
    values = np.sort(null.array)
    members = tuple(
        exceeding(edge, values, percentile, exhaustive, null.unit)
        for edge in ([own] if isinstance(own, Estimate) else own)
    )
    return _family(members, lost.of, lost, null)


def sufficiency(scores: Measurement, others: Measurement) -> Estimate:
    """The share of random circuits less faithful than the circuit: their gap |F(model) - F(circuit)| is larger.

    scores  by prompt, columns "model" and "circuit"
    others  one row for each random circuit (of equal size), the same columns: means over the same prompts

    A tie does not count, unless the circuit has no gap (at most 1e-4 of the model's mean score): nothing is more
    faithful than that. The binomial interval is over random circuits; all gaps are those on these prompts.

    Raises ValueError where the random circuits were measured on other prompts, KeyError without a column.
    """
    gap, gaps, tie = _means_apart(scores, others, CIRCUIT)
    beaten = np.abs(gaps) > abs(gap) + tie if abs(gap) > tie else np.ones(len(gaps), dtype=bool)
    return _share(beaten, scores, others, "random circuits that are less faithful")


def partial_necessity(scores: Measurement, others: Measurement, lower_is_better: bool = False) -> Estimate:
    """The share of random circuits whose removal costs less than the circuit's: a smaller F(model) - F(without).

    scores  by prompt, columns "model" and "without"
    others  one row for each random circuit (of equal size), the same columns: means over the same prompts
    lower_is_better  for errors (KL divergence, a loss): the cost is F(without) - F(model)

    A tie does not count. Raises as `sufficiency` does.
    """
    loss, losses, tie = _means_apart(scores, others, WITHOUT)
    if lower_is_better:
        loss, losses = -loss, -losses
    return _share(losses < loss - tie, scores, others, "random circuits whose removal costs less")


def _means_apart(scores: Measurement, others: Measurement, column: str) -> tuple[float, np.ndarray, float]:
    """F(model) - F(column) of the circuit and of each other, and what counts as nothing."""
    model, own = (_middle(scores[name]) for name in (MODEL, column))
    tie = SAME * abs(model)
    theirs = others[MODEL].array
    worst = int(np.abs(theirs - model).argmax())
    if abs(theirs[worst] - model) > tie:
        raise ValueError(
            f"the model's mean score is {model:.4g} beside the circuit and {theirs[worst]:.4g} beside "
            f"{others.unit} {others.units[worst]}: measure both on the same prompts"
        )
    return model - own, theirs - others[column].array, tie


def _middle(measured: Measurement) -> float:
    return float(np.sort(measured.array).mean())  # sorted: a sum does not depend on how rows came


def _share(yes: np.ndarray, scores: Measurement, others: Measurement, of: str) -> Estimate:
    made = proportion(replace(others, values=yes.astype(float), columns=("value",), yes_no=True, of=of))
    assert isinstance(made, Estimate)
    return replace(made, sources=sources_of(scores, others))


def _family(members: tuple[Estimate, ...], of: str, *measured: Measurement) -> Family:
    made = with_sources(Family(members, of), *measured)
    assert isinstance(made, Family)
    return made
