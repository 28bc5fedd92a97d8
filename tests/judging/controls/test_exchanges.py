"""What a part is exchanged for."""

from pathlib import Path

import pytest

from mechlib.judging.controls.exchanges import first_sets, graph_of, matched
from mechlib.judging.controls.named import Part, parts_of
from mechlib.parts.circuits import Circuit, circuit
from mechlib.parts.exchange import Notes
from mechlib.parts.graphs import Graph
from mechlib.parts.heads import Group

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


def six(*names):
    return Part("heads", names)


def test_of_six_in_a_layer_of_eight_other_sixes_of_that_layer_are_asked():
    own = {f"0.{head}" for head in range(6)}
    found = matched(six(*sorted(own)), (), GRAPH, 39, NONE)
    names = [set(name.split()) for name, _ in found.exchanges]
    assert (len(names), found.in_layer) == (27, 27)
    assert all(name.startswith("0.") for one in names for name in one)
    assert own not in names
    assert [len(one & own) for one in names] == [4] * 15 + [5] * 12


def test_sets_that_overlap_change_places_in_the_heads_that_differ():
    own = {f"0.{head}" for head in range(6)}
    for name, exchange in matched(six(*sorted(own)), (), GRAPH, 39, NONE).exchanges:
        other = set(name.split())
        assert {exchange.name(head) for head in own} == other
        assert {exchange.name(head) for head in other} == own


def test_where_disjoint_sets_of_the_same_layers_exist_they_come_first_and_are_counted():
    found = matched(six("0.0", "0.1", "0.2"), (), GRAPH, 39, NONE)
    assert (len(found.exchanges), found.in_layer) == (39, 10)
    assert all(name.count("0.") == 3 for name, _ in found.exchanges[:10])
    assert not any({"0.0", "0.1", "0.2"} & set(name.split()) for name, _ in found.exchanges)


def test_heads_that_the_claim_holds_are_in_no_overlapping_set():
    held = Part("heads", ("0.6",))
    found = matched(six(*(f"0.{head}" for head in range(5))), (held,), GRAPH, 39, NONE)
    assert found.in_layer == len(found.exchanges) == 20
    assert not any("0.6" in name for name, _ in found.exchanges)


@pytest.mark.parametrize(
    "notes",
    [
        Notes(asked=[("a file", "where", (Group(1, 2), 7))]),
        Notes(asked=[("a file", "receivers", ("1.kv2.k", "1.kv2.v"))]),
        Notes(taken=[("a file", ("1.kv0", "1.kv1", "1.kv2", "total"), ("1.kv2",))]),
    ],
)
def test_a_group_that_a_claim_names_is_a_part_and_its_readers_go_with_it(notes):
    graph = Graph(30, 9, groups=3)
    (part,) = parts_of(notes, graph, {"a file"})
    assert part == Part("groups", ("1.kv2",))
    found = matched(part, (), graph, 20, NONE)
    assert ([name for name, _ in found.exchanges[:2]], found.in_layer) == (["1.kv0", "1.kv1"], 2)
    assert len(found.exchanges) == 20
    exchange = found.exchanges[0][1]
    assert exchange.argument((Group(1, 2), "1.kv2.k")) == (Group(1, 0), "1.kv0.k")
    assert exchange.name(exchange.name("1.kv2.v")) == "1.kv2.v"


def test_all_groups_together_are_no_part():
    there = ("1.kv0", "1.kv1", "total")
    assert not parts_of(Notes(taken=[("a file", there, there[:2])]), Graph(30, 9, groups=2), {"a file"})


def test_the_only_group_of_a_layer_has_no_counterpart_and_is_named():
    found = matched(Part("groups", ("7.kv0",)), (), Graph(18, 4, groups=1), 39, NONE)
    assert not found.exchanges and found.kind.startswith("layer 7 has 1 key/value group")


def test_a_model_says_how_many_groups_it_has():
    groups = {name: graph_of(name, Path("models")).groups for name in ("smollm2-135m", "gemma3-270m")}
    assert groups == {"smollm2-135m": 3, "gemma3-270m": 1}
    assert len(matched(Part("groups", ("1.kv2",)), (), GRAPH, 39, NONE).exchanges) == 31
