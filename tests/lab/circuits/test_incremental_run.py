"""Circuits run by what differs from a known run give what they give when they run from the start."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mechlib.lab.batching import batches
from mechlib.lab.circuits.bases import base_names, base_of_run
from mechlib.lab.circuits.incremental_run import IncrementalRun
from mechlib.lab.circuits.scorer import mask_of
from mechlib.lab.forward.families import forward, network
from mechlib.lab.interventions.reference import mean_activations
from mechlib.lab.models.loading import load
from mechlib.parts.circuits import circuit
from mechlib.parts.random_circuits import random_circuits
from tests.helpers.circuit_runs import run_circuit
from tests.helpers.tiny import FAMILIES, directory, pairs

PROMPTS = pairs(7, seed=3, longest=9)  # of four lengths
PATHS = circuit("input->1.2.k, input->1.2.v, 1.2->logits, input->mlp 1, mlp 1->logits, input->0.1.v, 0.1->1.2.q")
REFERENCE = pairs(40, "reference", longest=9)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("incremental") / request.param, request.param)))


def runs_of(model, replacement):
    net, made = network(model), batches(model, PROMPTS)
    mean = mean_activations(model, REFERENCE, base_names(net)) if replacement == "mean" else None
    bases = {
        "mean": mean,
        "zero": lambda batch: None,
        "counterfactual": lambda batch: base_of_run(net, batch.corrupted),
    }
    return [(batch.tokens, bases[replacement](batch)) for batch in made]


def masks_of(graph):
    """Circuits of every density: random paths, random edges, nodes, none and all."""
    some = torch.Generator().manual_seed(0)
    whole = mask_of(graph, graph.edges)
    loose = [whole & (torch.rand(whole.shape, generator=some) < share) for share in (0.02, 0.1, 0.3, 0.7, 0.95)]
    paths = [mask_of(graph, one) for one in random_circuits(graph, PATHS, 4)]
    return [torch.zeros_like(whole), whole, mask_of(graph, ["0.1", "1.2", "mlp 1"]), *loose, *paths]


def from_the_start(net, runs, masks):
    return [torch.cat([run_circuit(net, tokens, base, mask) for tokens, base in runs]) for mask in masks]


@pytest.mark.parametrize("start", ["all", "none"])
@pytest.mark.parametrize("replacement", ["counterfactual", "mean", "zero"])
def test_every_circuit_gives_what_it_gives_from_the_start(model, replacement, start):
    net = network(model)
    runs, masks = runs_of(model, replacement), masks_of(net.graph)
    incremental = IncrementalRun(net, runs, start)
    for mask, stream in zip(masks, from_the_start(net, runs, masks), strict=True):
        found = incremental.trial(mask.numpy()).stream
        assert torch.allclose(found, stream, rtol=1e-4, atol=1e-4), float((found - stream).abs().max())
        assert [len(own) for own in incremental.split(found)] == [len(tokens) for tokens, _ in runs]


def test_a_reader_of_nearly_all_is_made_from_what_all_moved(model):
    """Of a node that is read at the last position alone, what others do not read of it is taken off as it was added."""
    net, runs = network(model), runs_of(model, "counterfactual")
    whole = mask_of(net.graph, net.graph.edges)
    gone = [mask_of(net.graph, [edge]) for edge in ("0.1->1.2.q", "0.1->1.2.k", "0.0->mlp 1", "mlp 0->1.1.v")]
    # 0.2 is read by queries of the last layer and the logits alone, and of these at the last position.
    elsewhere = [edge for edge in net.graph.edges if edge.startswith("0.2->") and edge[-2:] in (".k", ".v", " 0", " 1")]
    masks = [whole & ~one for one in (*gone, torch.stack(gone).any(0), mask_of(net.graph, elsewhere))]
    incremental = IncrementalRun(net, runs)
    for mask, stream in zip(masks, from_the_start(net, runs, masks), strict=True):
        trial = incremental.trial(mask.numpy())
        assert trial.sums or incremental.normed, "nobody took the short way"
        assert torch.allclose(trial.stream, stream, rtol=1e-4, atol=1e-4), float((trial.stream - stream).abs().max())


def test_a_large_output_that_is_cut_leaves_no_rounding(model):
    net, runs = network(model), runs_of(model, "zero")
    loud = net.blocks[0].W_O * torch.tensor([1e5, *[1.0] * (net.n_heads - 1)])[:, None, None]
    net = replace(net, blocks=(replace(net.blocks[0], W_O=loud), *net.blocks[1:]))
    cut = mask_of(net.graph, [edge for edge in net.graph.edges if not edge.startswith("0.0->")])
    (stream,) = from_the_start(net, runs, [cut])
    found = IncrementalRun(net, runs).trial(cut.numpy()).stream
    assert torch.allclose(found, stream, rtol=1e-4, atol=1e-4), float((found - stream).abs().max())


def test_edges_cut_for_good_stay_cut(model):
    """In random order, some trials kept and some not, against a run from the start after each."""
    net, runs = network(model), runs_of(model, "counterfactual")
    incremental, rng = IncrementalRun(net, runs), np.random.default_rng(0)
    places = np.argwhere(incremental.mask)
    for number, (row, column) in enumerate(rng.permutation(places)[:40]):
        mask = incremental.mask.copy()
        mask[row, column] = False
        trial = incremental.trial(mask)
        if number % 8 == 0:
            (stream,) = from_the_start(net, runs, [torch.from_numpy(mask)])
            assert torch.allclose(trial.stream, stream, rtol=1e-4, atol=1e-4)
        if number % 3:
            incremental.accept(trial)
    assert len(places) - incremental.mask.sum() == 26


def test_what_nothing_reads_is_not_computed(model):
    net, runs = network(model), runs_of(model, "mean")
    nodes = {node: place for place, node in enumerate(net.graph.sources)}
    trial = IncrementalRun(net, runs, "none").trial(
        mask_of(net.graph, ["input->0.1.v", "0.1->1.2.q", "1.2->logits"]).numpy()
    )
    assert set(trial.moved) == {nodes["0.1"], nodes["1.2"]}
    assert {len(moved[0]) for moved in trial.moved.values()} == {1}, "queries and logits are read at the last position"


def test_all_edges_are_the_model_padded_or_not(model):
    net, runs = network(model), runs_of(model, "zero")
    whole = mask_of(net.graph, net.graph.edges).numpy()
    with torch.no_grad():
        for own in [runs, *([run] for run in runs)]:
            wanted = torch.cat([forward(net, tokens)[0][:, -1] for tokens, _ in own])
            assert torch.allclose(IncrementalRun(net, own, "none").trial(whole).stream, wanted, rtol=1e-4, atol=1e-4)
