"""Pruning: circuits found by removing edges or nodes that do nothing, greedily, with exact effects.

From the whole model, last readers first, one edge (or node) at a time is replaced by the base. It stays removed where
that changes the metric by no more than a threshold, *given everything that was removed before*; otherwise it is kept,
for good. That is ACDC's search (Conmy et al. 2023, arXiv:2304.14997). Nothing is approximated and no order is given up
for speed: see `mechlib.lab.circuits.incremental_run` for how little has to be computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from mechlib.lab.circuits.bases import Replacement
from mechlib.lab.circuits.incremental_run import IncrementalRun
from mechlib.lab.circuits.scorer import OF, WITHIN, CircuitMetric, CircuitScorer, Inexact, Stream, apart, measured_by
from mechlib.lab.forward.families import forward
from mechlib.lab.models.loading import Model
from mechlib.measurement import Measurement
from mechlib.parts.graphs import Edge, Graph, Kind
from mechlib.prompts.promptset import PromptSet

THRESHOLD = 0.01
ARITHMETIC = 1e-5  # of what all edges together change: what changes less is arithmetic


def prune(
    model: Model,
    prompts: PromptSet,
    replacement: Replacement = "counterfactual",
    reference: PromptSet | None = None,
    metric: CircuitMetric = "logit difference",
    threshold: float = THRESHOLD,
    kind: Kind = "edges",
    seed: int = 0,
) -> Measurement:
    """The change that removing each edge (or node) made when it was tried; 0 for those removed: for `circuit_above`.

    replacement, reference, metric, seed  as in `circuit_scores`, noising
    threshold  the change from which on an edge is kept, as a share of the whole; changes up to 1e-5 are rounding,
               whatever the threshold
    kind       "edges", or "nodes": heads and MLPs

    One row, "all": a column for every edge or node of the model. A change is the mean over prompts of |F without it -
    F with it|, the whole the mean of |F(M) - F(0)|, so that effects of opposite sign on different prompts do not
    cancel; for the metric "KL" a change is the rise of the mean, as in ACDC, and parts that lower it are removed.
    Order: readers from the logits to the first layer (MLP before heads, last head first, v before k before q), for each
    its sources from the last to the input.

    The circuit found may hold edges whose source has lost its inputs since: `Circuit.connected` drops them.

    Raises ValueError where replacing everything does not change the metric, for a negative threshold, and as
    `circuit_scores` does; Inexact where the circuit found, run once more by itself, does not give the same.
    """
    if not threshold >= 0:
        raise ValueError(f"a threshold of {threshold}: give a share of what all edges change, at least 0")
    if kind not in get_args(Kind):
        raise ValueError(f"no kind {kind!r}: choose one of {', '.join(get_args(Kind))}")
    scorer = CircuitScorer(model, prompts, replacement, reference, seed=seed)
    start = torch.cat(scorer.values([scorer.mask((), kind)], metric)).cpu().double()
    whole = float((start[:, 0] - start[:, 1]).abs().mean())
    if not whole > ARITHMETIC * float(start.abs().max()):
        raise ValueError(
            f"replacing everything does not change the {metric}: there is no whole of which to take shares"
        )
    with torch.no_grad():
        found = _searched(scorer, metric, kind, max(threshold, ARITHMETIC) * whole)
    parts = scorer.graph.edges if kind == "edges" else scorer.graph.nodes
    scores = np.array([[found.get(part, 0.0) / whole for part in parts]])
    of = f"change when removed, as a share: {OF[metric]}; {scorer.described}"
    return Measurement(scores, ("all",), "set of prompts", parts, of=of)


def _searched(scorer: CircuitScorer, metric: CircuitMetric, kind: Kind, threshold: float) -> dict[str, float]:
    """The parts that were kept, each with its change, in the unit of the metric, as the threshold."""
    incremental = IncrementalRun(scorer.net, [(batch.tokens, scorer.base(batch)) for batch in scorer.batches])
    measured = _measured(scorer, metric)
    stream = torch.cat([forward(scorer.net, batch.tokens)[0][:, -1] for batch in scorer.batches])
    now, kept = measured(incremental.split(stream)), dict[str, float]()
    for part, rows, source in _order(scorer.graph, kind):
        mask = incremental.mask.copy()
        mask[rows, source] = False
        trial = incremental.trial(mask)
        then = measured(incremental.split(trial.stream))
        change = (then - now).mean() if metric == "KL" else (then - now).abs().mean()
        if change > threshold:
            kept[part] = float(change)
        else:
            incremental.accept(trial)
            now, stream = then, trial.stream
    _check(scorer, incremental, stream)
    return kept


def _order(graph: Graph, kind: Kind) -> Iterator[tuple[str, int | slice, int]]:
    """The parts in the order in which they are tried: name, readers and source of the edges that go with it."""
    places = {source: place for place, source in enumerate(graph.sources)}
    if kind == "nodes":
        for node in reversed(graph.nodes):
            yield node, slice(None), places[node]
        return
    for row, (node, input) in reversed(list(enumerate(graph.targets))):
        for source in reversed(graph.sources[: graph.before(node)]):
            yield str(Edge(source, node, input)), row, places[source]


def _measured(scorer: CircuitScorer, metric: CircuitMetric) -> Callable[[Sequence[Stream]], Tensor]:
    """The metric on all prompts, in float64, as a function of the last streams by batch."""
    own = [
        measured_by(scorer.net, batch, metric, forward(scorer.net, batch.tokens)[0][:, -1]) for batch in scorer.batches
    ]
    return lambda streams: torch.cat([one(stream) for one, stream in zip(own, streams, strict=True)]).cpu().double()


def _check(scorer: CircuitScorer, incremental: IncrementalRun, streams: Stream) -> None:
    """Inexact unless the circuit that is left, run from no edge, gives the streams at which the search arrived."""
    for batch, stream in zip(scorer.batches, incremental.split(streams), strict=True):
        fresh = IncrementalRun(scorer.net, [(batch.tokens, scorer.base(batch))], "none")
        off = apart(stream, fresh.trial(incremental.mask).stream)
        if not off <= WITHIN:
            raise Inexact(f"the circuit found gives another residual stream when it is run by itself, by {off:.2g}")
