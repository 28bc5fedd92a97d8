"""Nodes, edges and circuits: their names, which there are, and that no circuit is judged where it was found."""

import pytest

from mechlib import Circuit, Measurement, PromptSet, circuit_above, strongest_circuit
from mechlib.evidence.question import accepted, refuse_double_dipping
from mechlib.parts.circuits import circuit, circuit_of
from mechlib.parts.graphs import Edge, Graph
from mechlib.parts.heads import DoubleDipping, EmptySelection, heads
from mechlib.prompts.promptset import Prompt

DISCOVERY = PromptSet("task", "discovery", tuple(Prompt(f"w{n}", "a") for n in range(3)))
CONFIRMATION = PromptSet("task", "confirmation", tuple(Prompt(f"v{n}", "a") for n in range(3)))


def scores(prompts: PromptSet = DISCOVERY, **means: float) -> Measurement:
    columns = tuple(means)
    rows = [[value - 1 for value in means.values()], [value + 1 for value in means.values()]]
    return Measurement(rows, ("a", "b"), columns=columns, prompts=(prompts,))


@pytest.mark.parametrize("name", ["0.3->1.2.q", "input->mlp 0", "mlp 11->logits", "input->0.0.v", "10.11->11.0.k"])
def test_an_edge_is_read_and_written_alike(name):
    assert str(Edge.parse(name)) == name


@pytest.mark.parametrize("name", ["0.3->1.2", "logits->1.2.q", "0.3->mlp 1.q", "0.3", "mlp->logits", "1.2.q->mlp 1"])
def test_what_is_no_edge_is_refused(name):
    with pytest.raises(ValueError, match="no edge"):
        Edge.parse(name)


def test_gpt2_small_has_the_32491_edges_that_are_published():
    assert len(Graph(12, 12).edges) == 32_491  # as MIB and EAP count them


def test_edges_run_forward_only_and_each_once():
    graph = Graph(3, 4)
    order = {name: place for place, name in enumerate([*graph.sources, "logits"])}
    edges = [Edge.parse(name) for name in graph.edges]
    assert len(set(edges)) == len(edges)
    assert all(order[edge.source] < order[edge.target] for edge in edges)
    assert not [edge for edge in edges if edge.source[:2] == edge.target[:2] and "." in edge.source + edge.target[1:]
                and not edge.target.startswith("mlp")]  # fmt: skip


def test_heads_write_for_the_mlp_of_their_layer_unless_blocks_are_parallel():
    assert "0.1->mlp 0" in Graph(2, 2).edges
    assert "0.1->mlp 0" not in Graph(2, 2, parallel=True).edges
    assert "mlp 0->mlp 1" in Graph(2, 2, parallel=True).edges
    assert len(Graph(2, 2).edges) - len(Graph(2, 2, parallel=True).edges) == 4


def test_a_name_that_a_model_lacks_comes_with_the_nearest_one():
    with pytest.raises(ValueError, match=r"'2.0' is no node or edge of a model of 2 layers with 2 heads: did you mean"):
        Graph(2, 2).check(["0.1", "2.0"])


def test_a_circuit_is_of_nodes_or_of_edges():
    with pytest.raises(ValueError, match="not of both"):
        circuit("0.1, input->mlp 0")
    with pytest.raises(ValueError, match="no part of a circuit"):
        circuit("L0H1")
    with pytest.raises(ValueError, match="no part"):
        circuit("input")


def test_only_edges_on_a_path_from_input_to_logits_are_connected():
    found = circuit("input->0.0.v, 0.0->1.1.k, 1.1->logits, 0.1->logits, input->1.0.q")
    assert found.connected().parts == ("input->0.0.v", "0.0->1.1.k", "1.1->logits")
    assert len(circuit("0.0->1.1.k, 1.1->logits").connected()) == 0


def test_circuit_and_complement_are_the_whole_model():
    graph = Graph(2, 3)
    for found in (circuit("0.1, mlp 1"), circuit("input->mlp 0, 0.2->1.1.v")):
        whole = graph.nodes if found.kind == "nodes" else graph.edges
        assert set(found | found.complement(graph)) == set(whole)
        assert len(found) + len(found.complement(graph)) == len(whole)


def test_nodes_of_edges_are_those_they_touch_by_layer():
    found = circuit("mlp 0->logits, 0.10->mlp 0, input->0.2.q")
    assert found.nodes == ("0.2", "0.10", "mlp 0")
    assert found.heads == heads("0.2 0.10")
    assert circuit_of(heads("1.0 0.2")).nodes == ("0.2", "1.0")


def test_the_strongest_parts_are_chosen_by_size_and_by_sign_if_asked():
    measured = scores(**{"0.0": 1.0, "0.1": -3.0, "mlp 0": 2.0, "total": 9.0})
    assert strongest_circuit(measured, 2).parts == ("0.1", "mlp 0")
    assert strongest_circuit(measured, 2, signed=True).parts == ("mlp 0", "0.0")
    assert circuit_above(measured, 0.5).parts == ("mlp 0", "0.0")
    with pytest.raises(ValueError, match=r"1\.5 nodes or edges asked for, 3 to choose from|Type-check error"):
        strongest_circuit(measured, 1.5)
    with pytest.raises(ValueError, match="4 nodes or edges asked for, 3 to choose from"):
        strongest_circuit(measured, 4)


def test_a_circuit_is_chosen_on_discovery_prompts_and_not_judged_on_them():
    with pytest.raises(DoubleDipping, match="confirmation"):
        strongest_circuit(scores(CONFIRMATION, **{"0.0": 1.0}), 1)
    found = strongest_circuit(scores(**{"0.0": 1.0, "0.1": 2.0}), 2)
    refuse_double_dipping("f", {"circuit": found, "prompts": CONFIRMATION})
    for kept in (found, found[:1], found - ["0.1"], found | circuit("1.0"), found.connected()):
        with pytest.raises(DoubleDipping, match="3 of the prompts"):
            refuse_double_dipping("f", {"circuit": kept, "prompts": DISCOVERY})


def test_evidence_receives_parts_in_one_order_and_no_history():
    one, other = circuit("1.0, 0.1"), Circuit(("0.1", "1.0"), frozenset({"x"}))
    assert accepted(one, "circuit") == accepted(other, "circuit") == Circuit(("0.1", "1.0"))
    assert repr(one) == repr(other) != repr(circuit("0.1, 1.1"))
    with pytest.raises(EmptySelection):
        accepted(Circuit(()), "circuit")
