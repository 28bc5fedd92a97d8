"""Circuits of edges as computed fast, against the slow way that adds everything up edge by edge."""

import random

import numpy as np
import pytest
import torch

from mechlib.lab.batching import batches
from mechlib.lab.circuits.bases import base_of_run
from mechlib.lab.circuits.incremental_run import IncrementalRun
from mechlib.lab.circuits.scorer import mask_of
from mechlib.lab.forward.families import forward, network
from mechlib.lab.models.loading import load
from mechlib.prompts.planted import planted
from tests.helpers.edge_by_edge import EdgeByEdge


@pytest.mark.parametrize("base", ["corrupted", "zero"])
@pytest.mark.parametrize("name", ["planted-induction-5", "planted-backup-5", "planted-bias-5-3x4"])
def test_circuits_of_edges_are_those_of_the_slow_pass(name, base):
    (batch,) = batches(load(name), planted(name, n=4))
    net, slow = network(load(name)), EdgeByEdge(load(name))
    draw = random.Random(name)
    gone = [{edge} for edge in draw.sample(net.graph.edges, 40)]
    gone += [set(draw.sample(net.graph.edges, n)) for n in (5, 30, len(net.graph.edges) // 2)]
    masks = [mask_of(net.graph, [edge for edge in net.graph.edges if edge not in out]) for out in gone]
    other = base_of_run(net, batch.corrupted) if base == "corrupted" else None
    instead = slow.written(batch.corrupted.numpy())
    if base == "zero":
        instead = {node: np.zeros_like(one) for node, one in instead.items()}
    incremental = IncrementalRun(net, [(batch.tokens, other)])
    for out, mask in zip(gone, masks, strict=True):
        stream = incremental.trial(mask.numpy()).stream
        wanted = slow.written(batch.tokens.numpy(), {edge: instead[edge.split("->")[0]] for edge in out})["logits"]
        np.testing.assert_allclose(net.unembed(stream), wanted[:, -1], atol=1e-4)


@pytest.mark.parametrize("name", ["planted-ioi", "planted-adder-7-4x5"])
def test_the_plain_network_of_a_planted_model_gives_its_logits(name):
    (batch,) = batches(load(name), planted(name))
    net = network(load(name))
    torch.testing.assert_close(net.unembed(forward(net, batch.tokens)[0]), load(name)(batch.tokens), atol=1e-4, rtol=0)
