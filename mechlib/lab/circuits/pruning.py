"""Finding circuits by removing what does nothing: greedy pruning with exact effects.

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

from mechlib.lab.circuits.edges import run_circuits
from mechlib.lab.circuits.faithfulness import (
    OF,
    WITHIN,
    How,
    Inexact,
    Judge,
    Metric,
    Stream,
    apart,
    measured_by,
)
from mechlib.lab.circuits.incremental_run import Wiring
from mechlib.lab.forward.families import forward
from mechlib.lab.models.loading import Model
from mechlib.measurement import Measurement
from mechlib.parts.graphs import Edge, Graph, Kind
from mechlib.prompts.promptset import PromptSet

THRESHOLD = 0.01
ROUNDING = 1e-5  # of what all edges together change: what changes less is arithmetic


def prune(
    model: Model,
    prompts: PromptSet,
    how: How = "counterfactual",
    reference: PromptSet | None = None,
    metric: Metric = "logit difference",
    threshold: float = THRESHOLD,
    kind: Kind = "edges",
    seed: int = 0,
) -> Measurement:
    """What each edge (or node) that was kept changed when it was tried; 0 for those removed: for `circuit_above`.

    how, reference, metric, seed  as in `circuit_scores`, noising
    threshold                     what an edge must change to be kept, as a share of the whole; changes up to 1e-5
                                  are rounding, whatever the threshold
    kind                          "edges", or "nodes": heads and MLPs

    One row, "all": a column for every edge or node of the model. A change is the mean over prompts of |F without it -
    F with it|, the whole that of |F(M) - F(0)|, so that effects of opposite sign on different prompts do not cancel;
    for the metric "KL" a change is the rise of the mean, as in ACDC, and what lowers it is removed. Order: readers from
    the logits to the first layer (MLP before heads, last head first, v before k before q), for each its sources from
    the last to the input.

    What is left may hold edges that hang in the air, as their source's inputs were removed later: `Circuit.connected`.

    Raises ValueError where replacing everything does not change the metric, for a negative threshold, and as
    `circuit_scores` does; Inexact where the circuit found, run once more by itself, does not give the same.
    """
    if not threshold >= 0:
        raise ValueError(f"a threshold of {threshold}: give a share of what all edges change, at least 0")
    if kind not in get_args(Kind):
        raise ValueError(f"no kind {kind!r}: choose one of {', '.join(get_args(Kind))}")
    judge = Judge(model, prompts, how, reference, seed=seed)
    start = torch.cat(judge.values([judge.mask((), kind)], metric)).cpu().double()
    whole = float((start[:, 0] - start[:, 1]).abs().mean())
    if not whole > ROUNDING * float(start.abs().max()):
        raise ValueError(
            f"replacing everything does not change the {metric}: there is no whole of which to take shares"
        )
    with torch.no_grad():
        found = _searched(judge, metric, kind, max(threshold, ROUNDING) * whole)
    parts = judge.graph.edges if kind == "edges" else judge.graph.nodes
    scores = np.array([[found.get(part, 0.0) / whole for part in parts]])
    of = f"change when removed, as a share: {OF[metric]}; {judge.described}"
    return Measurement(scores, ("all",), "set of prompts", parts, of=of)


def _searched(judge: Judge, metric: Metric, kind: Kind, threshold: float) -> dict[str, float]:
    """What was kept, with what it changed; in the unit of the metric, as the threshold."""
    wiring = Wiring(judge.net, [(batch.tokens, judge.base(batch)) for batch in judge.batches])
    measured = _measured(judge, metric)
    stream = torch.cat([forward(judge.net, batch.tokens)[0][:, -1] for batch in judge.batches])
    now, kept = measured(wiring.split(stream)), dict[str, float]()
    for part, rows, source in _order(judge.graph, kind):
        mask = wiring.kept.copy()
        mask[rows, source] = False
        trial = wiring.trial(mask)
        then = measured(wiring.split(trial.stream))
        change = (then - now).mean() if metric == "KL" else (then - now).abs().mean()
        if change > threshold:
            kept[part] = float(change)
        else:
            wiring.keep(trial)
            now, stream = then, trial.stream
    _check(judge, wiring, stream)
    return kept


def _order(graph: Graph, kind: Kind) -> Iterator[tuple[str, int | slice, int]]:
    """What is tried in turn: its name, and the readers and the source of the edges that go with it."""
    places = {source: place for place, source in enumerate(graph.sources)}
    if kind == "nodes":
        for node in reversed(graph.nodes):
            yield node, slice(None), places[node]
        return
    for row, (node, port) in reversed(list(enumerate(graph.targets))):
        for source in reversed(graph.sources[: graph.before(node)]):
            yield str(Edge(source, node, port)), row, places[source]


def _measured(judge: Judge, metric: Metric) -> Callable[[Sequence[Stream]], Tensor]:
    """The metric on all prompts, in float64, as a function of the last streams by batch."""
    own = [measured_by(judge.net, batch, metric, forward(judge.net, batch.tokens)[0][:, -1]) for batch in judge.batches]
    return lambda streams: torch.cat([one(stream) for one, stream in zip(own, streams, strict=True)]).cpu().double()


def _check(judge: Judge, wiring: Wiring, streams: Stream) -> None:
    """That the circuit which is left, run by itself, gives the streams at which the search arrived."""
    mask = torch.from_numpy(wiring.kept)
    for batch, stream in zip(judge.batches, wiring.split(streams), strict=True):
        (again,) = run_circuits(judge.net, batch.tokens, judge.base(batch), [mask])
        off = apart(stream, again)
        if not off <= WITHIN:
            raise Inexact(f"the circuit found gives another residual stream when it is run by itself, by {off:.2g}")
