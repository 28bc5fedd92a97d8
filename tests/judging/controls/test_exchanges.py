"""What a part is exchanged for."""

from mechlib.judging.controls.exchanges import first_sets, matched
from mechlib.judging.controls.named import Part
from mechlib.parts.circuits import Circuit, circuit
from mechlib.parts.graphs import Graph

GRAPH = Graph(4, 8)
NONE: frozenset[str] = frozenset()


def test_a_circuit_and_its_complement_are_exchanged_for_a_random_one_and_its_complement():
    own = circuit("input->0.3.v, 0.3->1.2.q, 1.2->logits")
    rest = own.complement(GRAPH)
    found = matched(Part("circuit", (), (own, rest)), (), GRAPH, 20, NONE)
    assert len(found.exchanges) == 20
    for _, exchange in found.exchanges:
        other, others = exchange.argument(own), exchange.argument(rest)
        assert set(other) != set(own) and len(other) == 3
        assert set(others) == set(other.complement(GRAPH))
        assert other.connected() == other


def test_longer_lists_of_random_circuits_begin_with_the_shorter_one():
    own = Part("circuit", (), (circuit("0.3, 1.2, mlp 0"),))
    few, more = (matched(own, (), GRAPH, n, NONE).exchanges for n in (20, 39))
    assert [exchange.circuits for _, exchange in few] == [exchange.circuits for _, exchange in more[:20]]


def test_a_layer_of_heads_is_exchanged_head_by_head_for_the_nearest():
    layer = Part("layer", tuple(f"2.{head}" for head in range(8)))
    found = matched(layer, (), GRAPH, 39, NONE)
    assert [name for name, _ in found.exchanges] == ["layer 1", "layer 3", "layer 0"]
    assert found.exchanges[0][1].names["2.5"] == "1.5"


def test_two_layers_together_and_all_of_a_kind_have_no_other():
    assert not matched(Part("numbered", ("mlp 0", "mlp 1")), (), GRAPH, 39, NONE).exchanges
    assert not matched(Part("whole", ("mlps",)), (), GRAPH, 39, NONE).exchanges


def test_circuits_and_models_that_do_not_ship_are_asked_of_twenty():
    heads, edges = Part("heads", ("1.2",)), Part("circuit", (), (Circuit(("0.3",)),))
    assert [first_sets(heads, True), first_sets(heads, False), first_sets(edges, True)] == [39, 20, 20]
