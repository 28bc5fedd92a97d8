"""Gradients instead of patches: the effect of patching to first order, for all nodes or edges in one backward pass.

*Attribution patching*: the effect of patching a place is the difference of its two activations times the metric's
gradient at the place. *Edge attribution patching* (EAP): the same for an edge, with the gradient of the stream that one
reader alone sees. *EAP-IG*, inputs variant: the gradient averaged over runs whose embeddings lie between the corrupted
and the clean ones.

All three are approximate, for norms and attention are not straight; `attribution_error` measures by how much.

Sources: Nanda 2023, "Attribution patching"; Syed et al. 2023, arXiv:2310.10348; Hanna et al. 2024, arXiv:2403.17806.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import numpy as np
import torch

from mechlib.lab.attribution.gradient_runs import BadGradient as BadGradient
from mechlib.lab.attribution.gradient_runs import LogitMetric, Method, RunPair, first_of, portions
from mechlib.lab.batching import batches, per_prompt
from mechlib.lab.forward.families import network
from mechlib.lab.interventions.contexts import Positions, places
from mechlib.lab.interventions.patching import CLEAN, CORRUPTED, Side, lost_by_patching, restored_by_patching
from mechlib.lab.interventions.sites import Places, Sites, components, named
from mechlib.lab.models.loading import Model
from mechlib.measurement import TOTAL, Measurement
from mechlib.prompts.promptset import PromptSet
from mechlib.prompts.sampling import whole

# --- nodes --------------------------------------------------------------------------------------------------------


def attribution_patching(
    model: Model,
    prompts: PromptSet,
    sites: Sites,
    positions: Positions = -1,
    patched_run: Side = CORRUPTED,
    unit: str = "",
) -> Measurement:
    """The effect of patching to first order, prompt by prompt, in logits.

    sites        sets of places, a column for each, and
    positions    the positions that are patched, both as in `mechlib.lab.interventions.patching.restored_by_patching`
    patched_run  the run that is patched, in which the gradient is taken: "corrupted" approximates
                 `restored_by_patching`, "clean" `lost_by_patching`

    A set's effect is the sum of the effects of its places, whatever they do together. The last column, "total", is
    exact: metric(clean) - metric(corrupted). Raises BadGradient where a gradient is NaN or infinite, UnsupportedModel,
    ValueError for prompts without corrupted text and for places that the model lacks.
    """
    net, every, made = network(model), named(sites), batches(model, prompts)
    if patched_run not in get_args(Side):
        raise ValueError(f"no run {patched_run!r} to patch into: choose {' or '.join(get_args(Side))}")
    wanted = [places(model, where) for where in every.values()]
    values = []
    for batch in made:
        least, found = first_of(positions, batch.tokens.shape[1]), []
        for part in portions(net, batch):
            pair = RunPair(net, part, patched_run, least, _of_groups(wanted))
            effects = pair.products(pair.recording(), wanted, positions=positions)
            found.append(torch.cat([effects, pair.total().unsqueeze(1)], dim=1))
        values.append(torch.cat(found))
    of = f"logit difference {'restored' if patched_run == CORRUPTED else 'lost'} by patching, to first order, in logits"
    return per_prompt(prompts, made, values, (*every, TOTAL), of, unit)


def attribution_error(
    model: Model,
    prompts: PromptSet,
    sites: Sites,
    positions: Positions = -1,
    patched_run: Side = CORRUPTED,
    unit: str = "",
) -> Measurement:
    """The effect of patching to first order less its exact effect, prompt by prompt, in logits: a column for each set.

    Arguments and errors as in `attribution_patching`.
    """
    exact = (restored_by_patching if patched_run == CORRUPTED else lost_by_patching)(
        model, prompts, sites, positions, unit
    )
    rough = attribution_patching(model, prompts, sites, positions, patched_run, unit)
    columns = {name: rough[name].array - exact[name].array for name in exact.columns if name != TOTAL}
    return replace(rough.with_columns(columns), of="attribution patching less exact patching, in logits")


def node_scores(
    model: Model,
    prompts: PromptSet,
    method: Method = "EAP-IG",
    steps: int = 5,
    metric: LogitMetric | None = None,
    by_prompt: bool = False,
    sites: Sites | None = None,
) -> Measurement:
    """How much of the metric is lost when one head or MLP is corrupted at every position, to first order.

    Arguments, unit and errors as in `edge_scores`; columns as in `components`. One row, "all", the mean over prompts,
    to choose a circuit from; with `by_prompt` a row for each prompt.

    sites   other sets of places, a column for each: `groups(model)` scores the keys and values of each group, the
            `heads_of` a group what its heads write. A set's score is the sum of its places'
    """
    _check_method(method, steps)
    net, every, made = network(model), components(model) if sites is None else named(sites), batches(model, prompts)
    wanted, values = [places(model, where) for where in every.values()], []
    for batch in made:
        found = []
        for part in portions(net, batch):
            pair = RunPair(net, part, CLEAN, groups=_of_groups(wanted))
            shares = [pair.products(one, wanted, metric) * share for one, share in pair.recordings(method, steps)]
            found.append(torch.stack(shares).sum(0))
        values.append(torch.cat(found))
    of = f"metric lost when a node is corrupted, to first order ({method})"
    measured = per_prompt(prompts, made, values, every, of, unit="prompt")
    return measured if by_prompt else _row_of_all(measured.values.mean(0), measured.columns, measured.of)


# --- edges --------------------------------------------------------------------------------------------------------


def edge_scores(
    model: Model,
    prompts: PromptSet,
    method: Method = "EAP-IG",
    steps: int = 5,
    metric: LogitMetric | None = None,
) -> Measurement:
    """How much of the metric is lost when one edge is corrupted, to first order: the mean over prompts, for every edge.

    method   "EAP": gradients of the clean run. "EAP-IG": their mean over `steps` runs whose embeddings stand at the
             middles of as many equal parts of the way from corrupted to clean (Hanna et al. take their ends)
    metric   a function of the logits at the last position, [batch d_vocab], and the batch, that gives one number a
             prompt; default: logit of answer minus distractor, in logits

    One row, "all", and a column for each of `Graph.edges`. With EAP-IG the edges that leave the input add up to
    metric(clean) - metric(corrupted), as steps grow. Raises BadGradient where a gradient is NaN, UnsupportedModel,
    ValueError for prompts without corrupted text.
    """
    _check_method(method, steps)
    net, made = network(model), batches(model, prompts)
    edges = net.graph.edges
    total = torch.zeros(len(edges), dtype=torch.float64)
    for part in (part for batch in made for part in portions(net, batch)):
        pair = RunPair(net, part, CLEAN)
        for recording, share in pair.recordings(method, steps):
            total += share * pair.along_edges(recording, metric).cpu().double() / len(prompts)
    of = f"metric lost when an edge is corrupted, to first order ({method})"
    return _row_of_all(total.numpy(), edges, of)


def _of_groups(sites: Sequence[Places]) -> bool:
    return any(name.endswith(("hook_k", "hook_v")) for own in sites for name in own)


def _row_of_all(values: np.ndarray, columns: Sequence[str], of: str) -> Measurement:
    return Measurement(values[None], ("all",), "set of prompts", tuple(columns), of=of)


def _check_method(method: str, steps: int) -> None:
    if method not in get_args(Method):
        raise ValueError(f"no method {method!r}: choose {' or '.join(get_args(Method))}")
    if not whole(steps):
        raise ValueError(f"{steps!r} steps between corrupted and clean: ask for at least one, and for a whole number")
