"""Evidence whose columns are edges, with the heads at their ends exchanged."""

import numpy as np
import pytest

from mechlib.evidence.decorator import NoCounterpart, edge, exchanged
from mechlib.measurement import Measurement
from mechlib.parts.exchange import Exchange

EDGES = ("0.1->1.4.k", "0.2->1.4.k", "0.1->1.5.k", "0.2->1.5.k", "1.4->logits", "1.5->logits", "chance")


def measured():
    return Measurement(np.arange(14.0).reshape(2, 7), ("one", "other"), columns=EDGES)


def swapped(first, second):
    return Exchange({first: second, second: first})


def test_an_edge_goes_by_both_of_its_ends():
    names = swapped("0.2", "0.1").names | swapped("1.4", "1.5").names
    assert edge("0.2->1.4.k", names) == "0.1->1.5.k"
    assert edge("1.4->logits", names) == "1.5->logits"
    assert edge("input->0.2.v", names) == "input->0.1.v"
    assert edge("0.2->mlp 1", names) == "0.1->mlp 1"


def test_columns_of_edges_hold_what_was_measured_of_the_other_source():
    found, own = exchanged(measured(), swapped("0.1", "0.2")), measured()
    assert found.columns == EDGES
    assert found["0.2->1.4.k"].array.tolist() == own["0.1->1.4.k"].array.tolist()
    assert found["0.1->1.5.k"].array.tolist() == own["0.2->1.5.k"].array.tolist()
    assert found["chance"].array.tolist() == own["chance"].array.tolist()


def test_columns_of_edges_hold_what_was_measured_of_the_other_reader():
    exchange = swapped("1.4", "1.5")
    found, own = exchanged(measured(), exchange), measured()
    assert found["0.2->1.4.k"].array.tolist() == own["0.2->1.5.k"].array.tolist()
    assert found["1.4->logits"].array.tolist() == own["1.5->logits"].array.tolist()
    assert "0.2->1.4.k" in exchange.used


def test_an_edge_that_the_model_has_not_got_is_no_counterpart():
    with pytest.raises(NoCounterpart, match=r"^there is no 3\.6->1\.4\.k to stand in the place of 0\.2->1\.4\.k$"):
        exchanged(measured(), swapped("0.2", "3.6"))
