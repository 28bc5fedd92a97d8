"""What is left without a circuit says nothing of which edges it has: random ones on paths leave as little."""

import random

import numpy as np
import pytest

from mechlib.lab.attribution.gradients import edge_scores
from mechlib.lab.circuits.faithfulness import circuit_scores
from mechlib.lab.models.loading import load
from mechlib.parts.circuits import Circuit
from mechlib.parts.graphs import Graph
from mechlib.parts.random_circuits import random_circuits
from mechlib.prompts.ioi import ioi

GRAPH = Graph(4, 8)


@pytest.fixture(scope="module")
def left():
    """Shares of what there is to keep that are left without the strongest 200 edges, 8 circuits as large on random
    paths, and 8 of 200 edges drawn one by one."""
    model, prompts = load("mini-pilot"), ioi(12, split="discovery")
    scores = edge_scores(model, prompts, "EAP")
    own = Circuit(tuple(sorted(scores.columns, key=lambda edge: -abs(scores[edge].array[0]))[:200])).connected()
    circuits = {"own": Circuit(own.parts)}
    circuits |= {f"path {n}": one for n, one in enumerate(random_circuits(GRAPH, own, 8))}
    circuits |= {f"edge {n}": Circuit(tuple(random.Random(n).sample(GRAPH.edges, 200))) for n in range(8)}
    found = circuit_scores(model, prompts, circuits, "counterfactual", without=True)
    empty, whole = found["empty"].array.mean(), found["model"].array.mean()
    return {name: (found[f"without {name}"].array.mean() - empty) / (whole - empty) for name in circuits}


def test_without_two_hundred_edges_on_whatever_paths_the_corrupted_run_is_left(left):
    assert abs(left["own"]) < 0.1
    assert max(abs(share) for name, share in left.items() if name.startswith("path")) < 0.1


def test_without_as_many_edges_drawn_one_by_one_much_is_left(left):
    """So that it is the paths that cut the network in two, and not their number."""
    assert np.median([share for name, share in left.items() if name.startswith("edge")]) > 0.2
