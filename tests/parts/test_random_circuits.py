"""Random circuits are as large as the given one, on paths where it is, and never it; draws repeat with their seed."""

import pytest

from mechlib.parts.circuits import Circuit, circuit
from mechlib.parts.graphs import Graph
from mechlib.parts.heads import EmptySelection
from mechlib.parts.random_circuits import inflated_circuits, random_circuits, random_knockouts

GRAPH = Graph(3, 4)
PATHS = circuit("input->0.1.v, 0.1->1.2.k, input->1.2.v, 1.2->mlp 1, mlp 1->logits, 1.2->logits, input->logits")
LOOSE = circuit("0.1->1.2.k, 0.1->mlp 2, input->2.0.q")
NODES = circuit("0.1, 1.2, mlp 1")


@pytest.mark.parametrize("graph", [GRAPH, Graph(3, 4, parallel=True)])
@pytest.mark.parametrize("size", [2, 3, 8, 60, 150])
def test_random_circuits_of_edges_have_the_size_and_lie_on_paths(graph, size):
    like = Circuit(("input->logits",))
    for _, path, _ in inflated_circuits(graph, like, 1000):  # a circuit of this size, path by path
        like = like | Circuit(path) if len(set(path) - set(like)) <= size - len(like) else like
    like = like if size > 2 else circuit("input->mlp 0, mlp 0->logits")
    assert len(like) == len(like.connected()) == size
    drawn = random_circuits(graph, like, 20)
    for one in drawn:
        graph.check(one)
        assert len(one) == size == len(one.connected())
        assert set(one) != set(like)
    assert len({frozenset(one) for one in drawn}) == len(drawn) == 20


def test_there_is_one_circuit_of_one_edge():
    with pytest.raises(ValueError, match="no other circuit of 1 edges"):
        random_circuits(GRAPH, circuit("input->logits"))


def test_a_circuit_with_loose_ends_is_compared_with_any_edges():
    drawn = random_circuits(GRAPH, LOOSE, 50)
    assert {len(one) for one in drawn} == {3}
    assert any(len(one.connected()) < 3 for one in drawn)


def test_random_nodes_are_as_many_heads_and_as_many_mlps():
    drawn = random_circuits(GRAPH, NODES, 50)
    assert all(len(one) == 3 and len(one.heads) == 2 for one in drawn)
    assert NODES.nodes not in {one.nodes for one in drawn}
    assert {node for one in drawn for node in one} == set(GRAPH.nodes), "some node is never drawn"


def test_where_fewer_circuits_exist_there_are_fewer():
    # Of a model with one layer of one head, circuits of two edges are those of a path through head or MLP with two
    # edges, of which the head has three ports.
    small = Graph(1, 1)
    drawn = random_circuits(small, circuit("input->mlp 0, mlp 0->logits"), 50)
    assert {frozenset(one) for one in drawn} == {frozenset((f"input->0.0.{port}", "0.0->logits")) for port in "qkv"}


@pytest.mark.parametrize("like", [PATHS, NODES])
def test_inflated_circuits_are_the_circuit_and_a_path_more(like):
    drawn = inflated_circuits(GRAPH, like, 100)
    assert len(drawn) == 100
    for made, added, removed in drawn:
        assert set(made) == set(like) | set(added)
        assert removed in added
        assert not set(added) & set(like)
        assert len(made.connected()) == len(made)
    assert len({removed for *_, removed in drawn}) > 10 or like is NODES


def test_every_edge_can_be_on_an_added_path():
    small = Graph(2, 1)
    drawn = inflated_circuits(small, circuit("input->logits"), 500)
    assert {edge for one in drawn for edge in one.added} == set(small.edges) - {"input->logits"}
    assert {one.removed for one in drawn} == set(small.edges) - {"input->logits"}


def test_random_knockouts_are_parts_of_the_circuit():
    drawn = random_knockouts(PATHS, 40)
    assert list(drawn)[:2] == ["random 1", "random 2"]
    assert all(0 < len(one) and set(one) <= set(PATHS) for one in drawn.values())
    assert {part for one in drawn.values() for part in one} == set(PATHS)
    assert len({one.parts for one in drawn.values()}) > 20


@pytest.mark.parametrize("like", [PATHS, LOOSE, NODES])
def test_a_seed_gives_the_same_draw_and_another_seed_another(like):
    assert random_circuits(GRAPH, like, 10) == random_circuits(GRAPH, Circuit(like.parts[::-1]), 10)
    assert random_circuits(GRAPH, like, 10, seed=1) != random_circuits(GRAPH, like, 10)
    assert inflated_circuits(GRAPH, like, 10) == inflated_circuits(GRAPH, like, 10)
    assert inflated_circuits(GRAPH, like, 10, seed=1) != inflated_circuits(GRAPH, like, 10)
    assert random_knockouts(like, 10, seed=1) != random_knockouts(like, 10)


@pytest.mark.parametrize("draw", [random_circuits, inflated_circuits])
def test_what_is_empty_or_of_another_model_is_refused(draw):
    with pytest.raises(EmptySelection):
        draw(GRAPH, Circuit(()))
    with pytest.raises(ValueError, match=r"'3.0' is no node or edge of a model of 3 layers"):
        draw(GRAPH, circuit("3.0"))


@pytest.mark.parametrize("parts", [GRAPH.nodes, GRAPH.edges])
def test_the_whole_model_has_no_other_of_its_size_and_nothing_to_add(parts):
    with pytest.raises(ValueError, match="no other circuit"):
        random_circuits(GRAPH, Circuit(parts), 1)
    for draw in (random_circuits, inflated_circuits):
        with pytest.raises(ValueError, match="0 circuits were asked for: ask for at least one"):
            draw(GRAPH, NODES, 0)
    with pytest.raises(ValueError, match="whole model"):
        inflated_circuits(GRAPH, Circuit(parts))


def test_nothing_can_be_knocked_out_of_nothing():
    with pytest.raises(EmptySelection):
        random_knockouts(Circuit(()))
