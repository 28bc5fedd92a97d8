"""A model whose numbers are checked in the head: every instrument gives the whole number that is written beside it."""

import pytest

from mechlib.lab.attribution.gradients import attribution_error, attribution_patching, edge_scores, node_scores
from mechlib.lab.attribution.path_patching import lost_by_path_patching, restored_by_path_patching
from mechlib.lab.behaviour import logit_differences
from mechlib.lab.circuits.faithfulness import circuit_scores
from mechlib.lab.circuits.pruning import prune
from mechlib.lab.forward.families import network
from mechlib.lab.interventions.ablation import under_ablation
from mechlib.lab.interventions.contexts import Site
from mechlib.lab.interventions.patching import lost_by_patching, restored_by_patching
from mechlib.parts.circuits import Circuit, circuit
from mechlib.parts.heads import Head
from tests.lab.arithmetic import PROMPTS, REFERENCE, arithmetic

HEADS = {"0.0": Head(0, 0), "0.1": Head(0, 1), "1.0": Head(1, 0), "1.1": Head(1, 1)}
NODES = {**HEADS, "mlp 0": Site("mlp", 0), "mlp 1": Site("mlp", 1)}


@pytest.fixture(scope="module")
def model():
    return arithmetic()


@pytest.fixture(scope="module")
def heads_alone():
    return arithmetic(mlps=False)


def numbers(measured, columns=None) -> dict[str, float]:
    """The one row of a measurement, exactly as it is."""
    return {name: float(measured[name].array[0]) for name in columns or measured.columns}


# --- clean and corrupted ------------------------------------------------------------------------------------------

# In every test: clean "4 6", corrupted "2 6".
#                 s        double     mlp 0   1.0         1.1              total  again
#   clean       8, 10      16, 20       7     8 + 10 = 18  -36 / 2 = -18     7      7
#   corrupted   4,  8       8, 16       5     4 +  8 = 12  -24 / 2 = -12     5      5


def test_the_logits(model, heads_alone):
    # yes - no: 6 + 7 + 7 - 10 = 10, and 6 + 5 + 5 - 8 = 8
    assert numbers(logit_differences(model, PROMPTS)) == {"clean": 10, "corrupted": 8}
    # without MLPs the total is 18 - 18 = 0, and 12 - 12 = 0: 6 + 0 - 10, and 6 + 0 - 8
    assert numbers(logit_differences(heads_alone, PROMPTS)) == {"clean": -4, "corrupted": -2}


# --- patching -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hooked", [False, True])
def test_noising(model, hooked):
    wanted = {
        "0.0": 13,  # s 4, 8: mlp 0 5, 1.0 12, total 5 + 12 - 18 = -1, again 0: 6 - 1 + 0 - 8 = -3, less than 10 by 13
        "0.1": -12,  # 1.1 -12: total 7 + 18 - 12 = 13, again 13: 6 + 13 + 13 - 10 = 22
        "1.0": 12,  # total 7 + 12 - 18 = 1, again 1: 6 + 1 + 1 - 10 = -2
        "1.1": -12,  # as 0.1, of whose output it is made
        "mlp 0": 4,  # total 5 + 18 - 18 = 5, again 5: 6 + 5 + 5 - 10 = 6
        "mlp 1": 2,  # again 5: 6 + 7 + 5 - 10 = 8
        "total": 2,  # 10 - 8
    }
    assert numbers(lost_by_patching(model, PROMPTS, NODES, "all", hooked=hooked)) == wanted


@pytest.mark.parametrize("hooked", [False, True])
def test_denoising(model, hooked):
    wanted = {
        "0.0": 14,  # s 8, 10: mlp 0 7, 1.0 18, total 7 + 18 - 12 = 13, again 13: 6 + 13 + 13 - 10 = 22, above 8 by 14
        "0.1": -11,  # 1.1 -18: total 5 + 12 - 18 = -1, again 0: 6 - 1 + 0 - 8 = -3
        "1.0": 12,  # total 5 + 18 - 12 = 11, again 11: 6 + 11 + 11 - 8 = 20
        "1.1": -11,
        "mlp 0": 4,  # total 7, again 7: 6 + 7 + 7 - 8 = 12
        "mlp 1": 2,  # again 7: 6 + 5 + 7 - 8 = 10
        "total": 2,
    }
    assert numbers(restored_by_patching(model, PROMPTS, NODES, "all", hooked=hooked)) == wanted


def test_noising_at_the_last_position_alone(model):
    # s 8, 8: mlp 0 5, 1.0 16, total 5 + 16 - 18 = 3, again 3: 6 + 3 + 3 - 8 = 4
    assert numbers(lost_by_patching(model, PROMPTS, {"0.0": Head(0, 0)}, -1)) == {"0.0": 6, "total": 2}


# --- ablation -----------------------------------------------------------------------------------------------------


def test_zero_ablation(model):
    found = under_ablation(model, PROMPTS, NODES, "zero", metric="logit difference")
    assert numbers(found) == {
        "intact": 10,
        "0.0": -12,  # s 0, 0: mlp 0 relu(-3) = 0, 1.0 0, total -18, again 0: 6 - 18 + 0 - 0
        "0.1": 46,  # 1.1 0: total 25, again 25: 6 + 25 + 25 - 10
        "1.0": -15,  # total 7 - 18 = -11, again 0: 6 - 11 - 10
        "1.1": 46,
        "mlp 0": -4,  # total 0, again 0: 6 - 10
        "mlp 1": 3,  # 6 + 7 - 10
    }


def test_mean_ablation(model):
    # Over "2 2" and "6 6": s 4, 4 and 12, 12, so 8, 8; double twice that; mlp 0 1 and 9, so 5;
    # 1.0 8 and 24, so 16; 1.1 -8 and -24, so -16; again 1 and 9, so 5.
    found = under_ablation(model, PROMPTS, NODES, "mean", REFERENCE, "logit difference")
    assert numbers(found) == {
        "intact": 10,
        "0.0": 4,  # s 8, 8: mlp 0 5, 1.0 16, total 5 + 16 - 18 = 3, again 3: 6 + 3 + 3 - 8
        "0.1": 14,  # 1.1 -16: total 9, again 9: 6 + 9 + 9 - 10
        "1.0": 6,  # total 7 + 16 - 18 = 5, again 5: 6 + 5 + 5 - 10
        "1.1": 14,
        "mlp 0": 6,  # total 5, again 5
        "mlp 1": 8,  # 6 + 7 + 5 - 10
    }


# --- paths and edges ----------------------------------------------------------------------------------------------

# To first order every edge moves the logits by what it carries, times 2 where it ends in the total (once as it is,
# once again). Clean less corrupted: s 4, 2; double 8, 4; mlp 0 2; 1.0 6; 1.1 -6; again 2.
EDGES = {
    "input->0.0.v": 14,  # all that leaves 0.0: 4 + 12 - 2
    "input->0.1.v": -12,  # all that leaves 0.1
    "0.0->mlp 0": 4,  # 2, twice
    "0.0->1.0.v": 12,  # 4 + 2 = 6, twice
    "0.0->logits": -2,  # "no" reads s
    "0.1->1.1.v": -12,  # -(8 + 4) / 2 = -6, twice
    "mlp 0->mlp 1": 2,
    "mlp 0->logits": 2,
    "1.0->mlp 1": 6,
    "1.0->logits": 6,
    "1.1->mlp 1": -6,
    "1.1->logits": -6,
    "mlp 1->logits": 2,
}


@pytest.mark.parametrize("method", ["EAP", "EAP-IG"])
def test_edge_attribution_patching(model, method):
    scores = numbers(edge_scores(model, PROMPTS, method))
    assert {edge: score for edge, score in scores.items() if score} == pytest.approx(EDGES, abs=1e-5)
    assert sum(scores[edge] for edge in EDGES if edge.startswith("input")) == pytest.approx(2)  # clean less corrupted


def test_attribution_patching_of_nodes_and_its_error(model):
    wanted = {"0.0": 14, "0.1": -12, "mlp 0": 4, "1.0": 12, "1.1": -12, "mlp 1": 2}
    assert numbers(node_scores(model, PROMPTS, "EAP"), wanted) == wanted
    assert numbers(attribution_patching(model, PROMPTS, NODES, "all", "clean")) == {**wanted, "total": 2}
    # exact noising loses 13 by 0.0, as relu(-1) is 0; into the corrupted run 0.1 and 1.1 meet the same corner
    assert numbers(attribution_error(model, PROMPTS, NODES, "all", "clean")) == {**dict.fromkeys(wanted, 0), "0.0": 1}
    error = attribution_error(model, PROMPTS, NODES, "all", "corrupted")
    assert numbers(error) == {**dict.fromkeys(wanted, 0), "0.1": -1, "1.1": -1}


def test_path_patching(model):
    def lost(sender: str, *receivers: str, through_mlps: bool = False) -> float:
        return numbers(lost_by_path_patching(model, PROMPTS, {"it": NODES[sender]}, receivers, through_mlps))["it"]

    assert lost("0.0", "logits") == -2  # s 8: 6 + 7 + 7 - 8 = 12
    assert lost("0.0", "1.0.v") == 12  # 1.0 12: total 1, again 1: 6 + 1 + 1 - 10 = -2
    assert lost("0.0", "mlp 0") == 4  # mlp 0 5: total 5, again 5: 6 + 5 + 5 - 10 = 6
    assert lost("0.0", "mlp 0", "1.0.v", "logits") == 13  # all of it: as noising 0.0
    assert lost("0.0", "logits", through_mlps=True) == 2  # and mlp 0 5, so total 5, again 5: 6 + 5 + 5 - 8 = 8
    assert lost("1.0", "mlp 1") == 6  # again relu(1) = 1: 6 + 7 + 1 - 10 = 4
    restored = restored_by_path_patching(model, PROMPTS, {"0.1": Head(0, 1)}, ("1.1.v",))
    assert numbers(restored) == {"0.1": -11, "total": 2}  # as denoising 0.1, which writes for 1.1 alone


# --- circuits -----------------------------------------------------------------------------------------------------


def test_circuits_of_nodes(model):
    kept = circuit("0.0, mlp 0, 1.0, mlp 1")
    scores = circuit_scores(model, PROMPTS, kept, "counterfactual", without=True)
    assert numbers(scores) == {
        "model": 10,
        "empty": 8,
        "circuit": 22,  # 1.1 -12: total 7 + 18 - 12 = 13, again 13: 6 + 13 + 13 - 10
        "without": 2,  # 1.1 -18, all others corrupted: total 5 + 12 - 18 = -1, again 5: 6 - 1 + 5 - 8
    }
    scores = circuit_scores(model, PROMPTS, circuit("0.0, 1.0"), "zero")
    assert numbers(scores) == {"model": 10, "empty": 6, "circuit": 14}  # 6 + 18 - 10
    scores = circuit_scores(model, PROMPTS, circuit("0.0, 1.0"), "mean", REFERENCE)
    # s 8, 10: 1.0 18, total 5 + 18 - 16 = 7, again 5: 6 + 7 + 5 - 10 = 8; empty: total 5, again 5, s 8
    assert numbers(scores) == {"model": 10, "empty": 8, "circuit": 8}
    scores = circuit_scores(model, PROMPTS, circuit("0.0, 1.0"), "counterfactual", direction="denoising")
    # the corrupted run with s 8, 10 and 1.0 18: mlp 0 7, total 7 + 18 - 12 = 13, again 13: 6 + 13 + 13 - 10
    assert numbers(scores) == {"model": 10, "empty": 8, "circuit": 22}


def test_circuits_that_lack_one_edge(model):
    whole = Circuit(network(model).graph.edges)
    lacking = {edge: whole - (edge,) for edge in EDGES}
    scores = circuit_scores(model, PROMPTS, lacking, "counterfactual")
    wanted = {edge: 10 - score for edge, score in EDGES.items()}
    wanted |= {"input->0.0.v": -3}  # all of 0.0, which meets relu(-1): 13 are lost, not 14
    assert numbers(scores, EDGES) == wanted


def test_pruning_finds_the_edges_that_carry_something_and_no_others(model):
    found = numbers(prune(model, PROMPTS, threshold=0))
    assert {edge for edge, change in found.items() if change} == set(EDGES)


# --- heads alone: all is linear, and to first order is exactly ----------------------------------------------------

LINEAR = {  # yes - no = n + total - s
    "0.0": 4,  # 1.0 loses 6, and s 2: -(-6 + 2)
    "0.1": -6,  # 1.1 is -12 in place of -18
    "1.0": 6,
    "1.1": -6,
}


def test_without_mlps_attribution_is_exact(heads_alone):
    for positions in ("all", -1):
        exact = lost_by_patching(heads_alone, PROMPTS, HEADS, positions)
        assert numbers(attribution_patching(heads_alone, PROMPTS, HEADS, positions, "clean")) == numbers(exact)
    assert numbers(lost_by_patching(heads_alone, PROMPTS, HEADS, "all")) == {**LINEAR, "total": -2}
    assert numbers(restored_by_patching(heads_alone, PROMPTS, HEADS, "all")) == {**LINEAR, "total": -2}


@pytest.mark.parametrize("method", ["EAP", "EAP-IG"])
def test_without_mlps_the_scores_of_edges_are_what_their_circuits_lose(heads_alone, method):
    graph = network(heads_alone).graph
    lacking = {edge: Circuit(graph.edges) - (edge,) for edge in graph.edges}
    scores = circuit_scores(heads_alone, PROMPTS, lacking, "counterfactual")
    lost = {edge: -4 - value for edge, value in numbers(scores, graph.edges).items()}
    assert numbers(edge_scores(heads_alone, PROMPTS, method)) == pytest.approx(lost, abs=1e-5)
    assert {edge: value for edge, value in lost.items() if value} == {
        "input->0.0.v": 4, "input->0.1.v": -6, "0.0->1.0.v": 6, "0.0->logits": -2, "0.1->1.1.v": -6, "1.0->logits": 6,
        "1.1->logits": -6,
    }  # fmt: skip
