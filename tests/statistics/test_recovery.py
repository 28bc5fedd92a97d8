"""Precision and recall of a circuit found against one known, counted by hand."""

import pytest

from mechlib.parts.circuits import Circuit, circuit
from mechlib.parts.graphs import Graph
from mechlib.parts.heads import EmptySelection
from mechlib.statistics import precision, recall

KNOWN = circuit("input->0.1.v, 0.1->1.0.k, input->1.0.v, 1.0->logits")


def test_shares_are_counted_part_by_part():
    found = circuit("1.0->logits, input->1.0.v, 0.1->1.0.q, 0.1->logits, input->logits")  # two of five, of four known
    assert (precision(found, KNOWN).value, recall(found, KNOWN).value) == (2 / 5, 2 / 4)
    assert (recall(found, KNOWN).low, recall(found, KNOWN).high, recall(found, KNOWN).method) == (0.5, 0.5, "exact")
    assert precision(found, KNOWN).of == "share of 5 edges found that are known"


def test_the_one_is_the_other_with_the_circuits_exchanged():
    found = circuit("0.0, 0.1, mlp 0")
    known = circuit("0.1, 1.1")
    assert precision(found, known).value == recall(known, found).value == 1 / 3
    assert (precision(known, known).value, recall(known, known).value) == (1, 1)


def test_the_whole_model_has_every_edge_and_few_of_them_are_right():
    whole = Circuit(Graph(2, 2).edges)
    assert recall(whole, KNOWN).value == 1
    assert precision(whole, KNOWN).value == len(KNOWN) / len(whole)


def test_an_input_is_part_of_an_edges_name():
    assert recall(circuit("0.1->1.0.q"), circuit("0.1->1.0.k")).value == 0


def test_nothing_found_recalls_nothing_and_has_no_precision():
    assert recall(Circuit(()), KNOWN).value == 0
    with pytest.raises(EmptySelection, match="nothing was found"):
        precision(Circuit(()), KNOWN)
    for share in (precision, recall):
        with pytest.raises(EmptySelection, match="no part is known"):
            share(KNOWN, Circuit(()))


def test_edges_beside_nodes_are_refused_with_the_cure():
    for share in (precision, recall):
        with pytest.raises(ValueError, match=r"nodes found beside edges known.*Circuit\(known.nodes\)"):
            share(circuit("0.1, 1.0"), KNOWN)
        assert share(circuit("0.1, 1.0"), Circuit(KNOWN.nodes)).value == 1
        with pytest.raises(ValueError, match="is no circuit"):
            share(KNOWN.parts, KNOWN)
