"""A circuit with its heads exchanged keeps size, layers and paths; every other head of a layer is as likely."""

from collections import Counter

import pytest

from mechlib.parts.circuits import Circuit, circuit
from mechlib.parts.exchanged_heads import exchanged_heads
from mechlib.parts.graphs import Edge, Graph, layer_of
from mechlib.parts.heads import EmptySelection

GRAPH = Graph(3, 4)
PATHS = circuit("input->0.1.v, 0.1->1.2.k, input->1.2.v, 1.2->mlp 1, mlp 1->logits, 1.2->logits, input->logits")
NODES = circuit("0.1, 0.3, 1.2, mlp 1")


def shape(one: Circuit) -> Counter:
    """Its edges without the numbers of heads: layers, MLPs and ports."""

    def place(node: str) -> str:
        return f"head of {layer_of(node)}" if "." in node else node

    return Counter((place(edge.source), place(edge.target), edge.port) for edge in map(Edge.parse, one))


def test_edges_keep_their_layers_their_ports_and_their_paths():
    for one in exchanged_heads(GRAPH, PATHS, 50):
        GRAPH.check(one)
        assert set(one) != set(PATHS)
        assert len(one.connected()) == len(one) == len(PATHS)
        assert shape(one) == shape(PATHS)
        assert {"mlp 1->logits", "input->logits"} <= set(one)


def test_a_head_that_is_read_as_it_was_is_one_head_everywhere():
    """What 0.1 writes is what 1.2 reads: the exchange is of nodes, not of ends of edges."""
    for one in exchanged_heads(GRAPH, PATHS, 50):
        (first,) = {edge.target for edge in map(Edge.parse, one) if edge.source == "input" and edge.target[:2] == "0."}
        (second,) = {edge.source for edge in map(Edge.parse, one) if edge.target == "mlp 1"}
        assert f"{first}->{second}.k" in one and f"{second}->logits" in one


def test_nodes_keep_as_many_heads_in_each_layer():
    for one in exchanged_heads(GRAPH, NODES, 50):
        assert Counter(map(layer_of, one.nodes)) == Counter(map(layer_of, NODES.nodes)) and "mlp 1" in one


def test_every_other_set_of_heads_is_as_likely():
    """One head in each of two layers of four: fifteen other circuits."""
    like = circuit("input->0.1.v, 0.1->1.2.k, 1.2->logits")
    drawn = Counter(one.parts for one in exchanged_heads(GRAPH, like, 3000))
    assert len(drawn) == 15
    assert all(abs(count - 200) < 70 for count in drawn.values())  # five standard errors


def test_draws_repeat_with_their_seed_and_carry_no_choice():
    chosen = Circuit(PATHS.parts, frozenset({"a prompt"}))
    drawn = exchanged_heads(GRAPH, chosen, 5, seed=3)
    assert drawn == exchanged_heads(GRAPH, PATHS, 5, seed=3) != exchanged_heads(GRAPH, PATHS, 5, seed=4)
    assert not any(one.chosen_on for one in drawn)


@pytest.mark.parametrize("like", [Circuit(()), circuit("mlp 0, mlp 1"), circuit("input->mlp 0, mlp 0->logits")])
def test_without_heads_there_is_nothing_to_exchange(like):
    with pytest.raises(EmptySelection, match="no heads to exchange"):
        exchanged_heads(GRAPH, like)


def test_where_all_heads_do_the_same_no_other_circuit_exists():
    like = Circuit(tuple(f"input->0.{head}.v" for head in range(4)))
    with pytest.raises(ValueError, match="100 exchanges of heads within layers gave this circuit again"):
        exchanged_heads(GRAPH, like)


@pytest.mark.parametrize("n", [0, True, 2.0])
def test_a_number_of_draws_is_a_whole_number(n):
    with pytest.raises(ValueError, match="ask for at least one"):
        exchanged_heads(GRAPH, PATHS, n)


def test_a_part_of_another_model_is_named():
    with pytest.raises(ValueError, match=r"'7\.0' is no node or edge"):
        exchanged_heads(GRAPH, circuit("7.0"))
