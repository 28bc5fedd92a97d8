"""Exchanging parts: both names in each other's place, all others where they are."""

import numpy as np
import pytest

from mechlib.measurement import Measurement
from mechlib.parts.circuits import Circuit, circuit
from mechlib.parts.exchange import Exchange, NoCounterpart, note_columns, noting
from mechlib.parts.heads import Group, Head, heads

SWAP = Exchange({"0.1": "2.3", "2.3": "0.1"})


def measured(*columns):
    return Measurement(np.arange(2.0 * len(columns)).reshape(2, -1), ("a", "b"), columns=columns, source="topic/file")


def test_names_are_exchanged_wherever_an_argument_has_them():
    assert SWAP.argument(Head(0, 1)) == Head(2, 3)
    assert SWAP.argument(heads("0.1 1.1")) == heads("1.1 2.3")
    assert SWAP.argument(("0.1", ("2.3", "mean"), 7, None)) == ("2.3", ("0.1", "mean"), 7, None)
    assert SWAP.argument(Circuit(("0.1", "mlp 0"))) == Circuit(("2.3", "mlp 0"))


def test_edges_of_a_circuit_go_by_both_of_their_ends():
    exchange = Exchange({"0.1": "0.3", "0.3": "0.1", "1.2": "1.0", "1.0": "1.2"})
    own = circuit("input->0.1.v, 0.1->1.2.k, 0.3->1.1.q, 0.1->mlp 0, mlp 0->logits, 1.2->logits")
    other = circuit("input->0.3.v, 0.3->1.0.k, 0.1->1.1.q, 0.3->mlp 0, mlp 0->logits, 1.0->logits")
    assert set(exchange.argument(own)) == set(other)
    assert exchange.used == {"0.1", "0.3", "1.2"}


@pytest.mark.parametrize("edge", ["0.1->1.0.q", "0.1->2.0.k", "0.1->mlp 1", "mlp 1->2.3.v"])
def test_an_edge_that_would_run_backwards_has_no_counterpart(edge):
    with pytest.raises(NoCounterpart, match=f"in the place of {edge}"):
        SWAP.argument(Circuit((edge,)))
    assert SWAP.argument(Circuit(("0.1->mlp 2",))) == Circuit(("2.3->mlp 2",))


def test_an_exchange_done_twice_is_none():
    edges = Circuit(("0.1->logits", "0.1->mlp 2", "input->2.3.q"))
    for value in (heads("0.1 1.1"), heads("0.1 2.3"), Circuit(("0.1", "mlp 1")), ("2.3", "x"), edges):
        assert SWAP.argument(SWAP.argument(value)) == value


def test_groups_are_exchanged_as_arguments_and_by_name():
    exchange = Exchange({"1.kv0": "1.kv2", "1.kv2": "1.kv0"})
    assert exchange.argument((Group(1, 0), "1.kv2", Group(2, 0))) == (Group(1, 2), "1.kv0", Group(2, 0))
    assert exchange.used == {"1.kv0", "1.kv2"}
    before = measured("1.kv0", "1.kv2", "1.0")
    assert before[Group(1, 0)].array.tolist() == before.exchanged(exchange)["1.kv2"].array.tolist()


def test_an_integer_is_a_layer_only_where_the_parameter_says_so():
    layers = Exchange({"layer 1": "layer 3", "layer 3": "layer 1"})
    assert layers.argument(1, "layer") == 3
    assert layers.argument((1, 2), "layers") == (3, 2)
    assert layers.argument(1, "n") == 1
    assert layers.argument(True, "layer") is True


def test_a_circuit_is_exchanged_for_another_and_the_rest_stays():
    own, other = Circuit(("input->0.1.v", "0.1->logits")), Circuit(("input->logits", "mlp 0->logits"))
    exchange = Exchange(circuits={frozenset(own.parts): other})
    assert set(exchange.argument((own, 3))[0]) == set(other)
    assert exchange.argument(Circuit(("input->logits",))) == Circuit(("input->logits",))
    assert exchange.used == {repr(own)}


def test_a_column_holds_what_was_measured_on_the_other_part():
    before = measured("0.1", "1.1", "2.3", "total")
    after = before.exchanged(SWAP)
    assert after.columns == before.columns
    assert after["0.1"].array.tolist() == before["2.3"].array.tolist()
    assert after["2.3"].array.tolist() == before["0.1"].array.tolist()
    assert after[("1.1", "total")].values.tolist() == before[("1.1", "total")].values.tolist()


def test_what_was_asked_of_the_other_part_comes_back_under_the_claimed_name():
    asked = measured("2.3", "together", "intact")
    after = asked.exchanged(SWAP)
    assert after.columns == ("0.1", "together", "intact")
    assert after.values.tolist() == asked.values.tolist()


def test_columns_that_a_claim_takes_are_noted_and_those_that_statistics_take_are_not():
    effects = measured("0.1", "1.1", "total")
    with noting() as notes:
        _ = effects[heads("0.1")]
        _ = effects.less("1.1", "total")
        exec("_ = effects['total']", {"effects": effects, "__name__": "mechlib.statistics.means"})
        effects["1.1"].exchanged(SWAP)
    assert [taken for _, _, taken in notes.taken] == [("0.1",), ("1.1", "total"), ("1.1",), ("total",), ("1.1",)]


@pytest.mark.parametrize("source", ["", "topic/file"])
def test_outside_nothing_is_noted(source):
    note_columns(source, ("0.1",), ("0.1",))
    with noting() as notes:
        pass
    assert not notes.taken
