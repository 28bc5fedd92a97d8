"""Knock-outs: circuits tested from inside and beside random ones, for minimality, completeness and equal size.

Minimality asks whether each part is needed, completeness whether anything outside stands in for parts: circuit and
model should lose alike when the same parts K are taken from both. Source: Wang et al. 2022 (arXiv:2211.00593, section
4); Shi et al. 2024 (arXiv:2410.13032) for random and inflated circuits; docs/STATISTICS.md, R16 and R23.

Everywhere `replacement`, `reference`, `metric`, `seed`, errors and unit are as in `circuit_scores`, noising. `seed`
also draws random circuits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from mechlib.lab.batching import per_prompt
from mechlib.lab.circuits.bases import Replacement
from mechlib.lab.circuits.scorer import OF, CircuitMetric, CircuitScorer, kind_of
from mechlib.lab.models.loading import Model
from mechlib.measurement import CIRCUIT, EMPTY, MODEL, WITHOUT, Measurement
from mechlib.parts.circuits import Circuit
from mechlib.parts.exchanged_heads import exchanged_heads
from mechlib.parts.heads import EmptySelection
from mechlib.parts.random_circuits import inflated_circuits, random_circuits
from mechlib.prompts.promptset import PromptSet


def lost_by_part(
    model: Model,
    prompts: PromptSet,
    circuit: Circuit,
    replacement: Replacement,
    reference: PromptSet | None = None,
    metric: CircuitMetric = "logit difference",
    seed: int = 0,
    unit: str = "",
) -> Measurement:
    """F(C) - F(C without a part) on every prompt, a column for each part: minimality is judged on these.

    Raises EmptySelection for a circuit without parts, and as `circuit_scores` does.
    """
    scorer, kind = CircuitScorer(model, prompts, replacement, reference, seed=seed), _filled(circuit).kind
    masks = [scorer.mask(circuit, kind), *(scorer.mask(circuit - (part,), kind) for part in circuit)]
    lost = [one[:, 1:2] - one[:, 2:] for one in scorer.values(masks, metric)]
    of = f"lost from the circuit: {OF[metric]}; {scorer.described}"
    return per_prompt(prompts, scorer.batches, lost, circuit.parts, of, unit)


def lost_by_added_part(
    model: Model,
    prompts: PromptSet,
    circuit: Circuit,
    replacement: Replacement,
    reference: PromptSet | None = None,
    metric: CircuitMetric = "logit difference",
    n: int = 200,
    seed: int = 0,
) -> Measurement:
    """The null of minimality: the mean loss when one edge of a randomly added path is removed again.

    One row for each of `n` inflated circuits (`mechlib.parts.random_circuits.inflated_circuits`; of nodes one node is
    added), column "lost": F(C with a path) - F(C with the path, without one of its edges), its mean over the prompts.
    """
    scorer, kind = CircuitScorer(model, prompts, replacement, reference, seed=seed), _filled(circuit).kind
    sample = inflated_circuits(scorer.graph, circuit, n, seed)
    wholes = scorer.means([scorer.mask(one.circuit, kind) for one in sample], metric)
    parts = scorer.means([scorer.mask(one.circuit - (one.removed,), kind) for one in sample], metric)
    units = tuple(f"{number}: {one.removed}" for number, one in enumerate(sample, 1))
    of = f"lost from an inflated circuit: {OF[metric]}; {scorer.described}"
    return Measurement((wholes - parts)[1:].cpu().numpy(), units, "inflated circuit", ("lost",), of=of)


def random_circuit_scores(
    model: Model,
    prompts: PromptSet,
    circuit: Circuit,
    replacement: Replacement,
    reference: PromptSet | None = None,
    metric: CircuitMetric = "logit difference",
    n: int = 200,
    without: bool = True,
    seed: int = 0,
) -> Measurement:
    """The scores of random circuits of equal size, one row each: means over the prompts.

    Columns "model", "empty" and "circuit" as in `circuit_scores`, and "without", the random circuit's complement.
    `mechlib.parts.random_circuits.random_circuits` says how they are drawn, and that it may find fewer than `n`.
    """
    scorer = CircuitScorer(model, prompts, replacement, reference, seed=seed)
    return _scores_of(
        scorer, random_circuits(scorer.graph, _filled(circuit), n, seed), metric, without, "random circuit"
    )


def exchanged_circuit_scores(
    model: Model,
    prompts: PromptSet,
    circuit: Circuit,
    replacement: Replacement,
    reference: PromptSet | None = None,
    metric: CircuitMetric = "logit difference",
    n: int = 200,
    without: bool = True,
    seed: int = 0,
) -> Measurement:
    """The same of `n` draws of the circuit with its heads exchanged for others of their layers, on the same paths.

    `mechlib.parts.exchanged_heads.exchanged_heads` says how they are drawn: a null of these is drawn, not exhaustive.
    """
    scorer = CircuitScorer(model, prompts, replacement, reference, seed=seed)
    sample = exchanged_heads(scorer.graph, _filled(circuit), n, seed)
    return _scores_of(scorer, sample, metric, without, "circuit with exchanged heads")


def _scores_of(
    scorer: CircuitScorer, sample: Sequence[Circuit], metric: CircuitMetric, without: bool, unit: str
) -> Measurement:
    """Means over the prompts for each circuit of a sample, which may hold one more than once; it is run once."""
    kind = sample[0].kind
    runs = {frozenset(one): one for one in sample}
    model_score, empty, *means = scorer.means(
        [scorer.mask((), kind), *(scorer.mask(one, kind) for one in runs.values())], metric
    ).tolist()
    scores = dict(zip(runs, means, strict=True))
    columns = {MODEL: [model_score] * len(sample), EMPTY: [empty] * len(sample)}
    columns[CIRCUIT] = [scores[frozenset(one)] for one in sample]
    if without:
        rest = [scorer.mask(scorer.rest(one, kind), kind) for one in runs.values()]
        scores = dict(zip(runs, scorer.means(rest, metric)[1:].tolist(), strict=True))
        columns[WITHOUT] = [scores[frozenset(one)] for one in sample]
    values = torch.tensor(list(columns.values()), dtype=torch.float64).T.numpy()
    units = tuple(
        f"{'random' if unit == 'random circuit' else 'draw'} {number}" for number in range(1, len(sample) + 1)
    )
    return Measurement(values, units, unit, tuple(columns), of=f"mean of {OF[metric]}; {scorer.described}")


def under_knockouts(
    model: Model,
    prompts: PromptSet,
    circuit: Circuit,
    knockouts: Mapping[str, Circuit],
    replacement: Replacement,
    reference: PromptSet | None = None,
    metric: CircuitMetric = "logit difference",
    seed: int = 0,
    unit: str = "",
) -> Measurement:
    """F of circuit and model without the same parts K, on every prompt: completeness is judged on these.

    knockouts  by name, parts of the circuit: random ones (`mechlib.parts.random_circuits.random_knockouts`), classes
               ("name movers"), or those that a greedy search found on discovery prompts (`greedy_knockout`)

    Two columns for each, "circuit without NAME" F(C \\ K) and "model without NAME" F(M \\ K); before them "model" and
    "circuit", with nothing knocked out. Raises ValueError for knock-outs that the circuit lacks.
    """
    scorer, kind = (
        CircuitScorer(model, prompts, replacement, reference, seed=seed),
        kind_of((_filled(circuit), *knockouts.values())),
    )
    masks = {CIRCUIT: scorer.mask(circuit, kind)}
    for name, gone in knockouts.items():
        strangers = [part for part in gone if part not in circuit]
        if strangers:
            raise ValueError(f"{strangers[0]!r} of {name!r} is not in the circuit: only what is in it can be taken out")
        masks[f"{CIRCUIT} {WITHOUT} {name}"] = scorer.mask(circuit - gone, kind)
        masks[f"{MODEL} {WITHOUT} {name}"] = scorer.mask(scorer.rest(gone, kind), kind)
    return scorer.measured(scorer.values(tuple(masks.values()), metric), (MODEL, *masks), metric, unit)


def greedy_knockout(
    model: Model,
    prompts: PromptSet,
    circuit: Circuit,
    replacement: Replacement,
    reference: PromptSet | None = None,
    metric: CircuitMetric = "logit difference",
    largest: int = 10,
    seed: int = 0,
) -> Measurement:
    """Parts whose joint knock-out drives circuit and model furthest apart: choose with `circuit_above` on discovery.

    One part after another is knocked out, always that with which |F(C \\ K) - F(M \\ K)| of the means becomes largest,
    up to `largest`. One row, "all", a column for each part of the circuit: that distance when the part was added to K,
    for the parts up to the largest distance on the way; 0 for all others.
    """
    scorer, kind = CircuitScorer(model, prompts, replacement, reference, seed=seed), _filled(circuit).kind
    chosen: list[str] = []
    distances: list[float] = []
    while len(chosen) < min(largest, len(circuit)):
        candidates = [part for part in circuit if part not in chosen]
        inside = [scorer.mask(circuit - (*chosen, part), kind) for part in candidates]
        outside = [scorer.mask(scorer.rest((*chosen, part), kind), kind) for part in candidates]
        both = scorer.means([*inside, *outside], metric)[1:]
        apart = (both[: len(candidates)] - both[len(candidates) :]).abs()
        best = int(apart.argmax())
        chosen.append(candidates[best])
        distances.append(float(apart[best]))
    stop = 1 + max(range(len(distances)), key=distances.__getitem__)
    found = dict(zip(chosen[:stop], distances[:stop], strict=True))
    of = f"distance of circuit and model without these parts: {OF[metric]}; {scorer.described}"
    return Measurement(
        np.array([[found.get(part, 0.0) for part in circuit]]), ("all",), "set of prompts", circuit.parts, of=of
    )


def _filled(circuit: Circuit) -> Circuit:
    if not circuit:
        raise EmptySelection("a circuit without parts: there is nothing to take out of it or to match")
    return circuit
