"""Minimality, completeness and random circuits: against the scores of each circuit asked for by itself."""

import numpy as np
import pytest

from mechlib.lab.circuits.faithfulness import circuit_scores
from mechlib.lab.circuits.knockouts import (
    exchanged_circuit_scores,
    greedy_knockout,
    lost_by_added_part,
    lost_by_part,
    random_circuit_scores,
    under_knockouts,
)
from mechlib.lab.forward.families import network
from mechlib.lab.models.loading import load
from mechlib.parts.circuits import Circuit, circuit
from mechlib.parts.exchanged_heads import exchanged_heads
from mechlib.parts.heads import EmptySelection
from mechlib.parts.random_circuits import inflated_circuits, random_circuits
from mechlib.statistics.circuits.hypotheses import partial_necessity, sufficiency
from tests.helpers.tiny import directory, pairs

PROMPTS = pairs(6, longest=7, clusters=2)
REFERENCE = pairs(20, split="reference", longest=7, clusters=2)
EDGES = circuit("input->0.1.v, 0.1->1.2.k, input->1.2.v, 0.1->mlp 1, mlp 1->logits, 1.2->logits")
NODES = circuit("0.1, mlp 0, 1.2, mlp 1")
BOTH = pytest.mark.parametrize("like", [EDGES, NODES], ids=["edges", "nodes"])


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("knockouts") / "gpt2", "gpt2")))


@pytest.fixture(scope="module")
def graph(gpt2):
    return network(gpt2).graph


def score(model, parts, metric="logit difference"):
    """F of one circuit by prompt; of none, where it has no parts, that of the base that belongs to nodes or edges."""
    found = circuit_scores(model, PROMPTS, Circuit(tuple(parts)), "counterfactual", metric=metric)
    return found["circuit"].array


@BOTH
@pytest.mark.parametrize("metric", ["logit difference", "KL"])
def test_what_a_part_loses_is_the_circuit_less_the_circuit_without_it(gpt2, like, metric):
    found = lost_by_part(gpt2, PROMPTS, like, "counterfactual", metric=metric)
    assert found.columns == like.parts
    assert found.clusters == tuple(row.cluster for row in PROMPTS)
    for part in like:
        lost = score(gpt2, like, metric=metric) - score(gpt2, like - (part,), metric=metric)
        np.testing.assert_allclose(found[part].array, lost, atol=1e-4)
    assert np.abs(found.values).max() > 0.01


@BOTH
def test_the_null_of_minimality_adds_a_path_and_removes_one_of_its_parts(gpt2, graph, like):
    found = lost_by_added_part(gpt2, PROMPTS, like, "counterfactual", n=3, seed=2)
    drawn = inflated_circuits(graph, like, 3, seed=2)
    lost = [
        score(gpt2, one.circuit).mean() - score(gpt2, [part for part in one.circuit if part != one.removed]).mean()
        for one in drawn
    ]
    assert (len(found), found.columns, found.unit) == (3, ("lost",), "inflated circuit")
    np.testing.assert_allclose(found.array, lost, atol=1e-4)
    other = lost_by_added_part(gpt2, PROMPTS, like, "counterfactual", n=3, seed=3)
    assert other.units != found.units


@BOTH
def test_random_circuits_are_scored_as_each_by_itself(gpt2, graph, like):
    found = random_circuit_scores(gpt2, PROMPTS, like, "counterfactual", n=3, seed=4)
    for row, one in enumerate(random_circuits(graph, like, 3, seed=4)):
        alone = circuit_scores(gpt2, PROMPTS, one, "counterfactual", without=True)
        assert found.columns == alone.columns == ("model", "empty", "circuit", "without")
        np.testing.assert_allclose(found.values[row], alone.values.mean(axis=0), atol=1e-4)


@BOTH
def test_circuits_with_exchanged_heads_are_scored_as_each_by_itself(gpt2, graph, like):
    found = exchanged_circuit_scores(gpt2, PROMPTS, like, "counterfactual", n=6, seed=4)
    drawn = exchanged_heads(graph, like, 6, seed=4)
    assert found.units == tuple(f"draw {number}" for number in range(1, 7))
    for row, one in enumerate(drawn):
        alone = circuit_scores(gpt2, PROMPTS, one, "counterfactual", without=True)
        assert found.columns == alone.columns
        np.testing.assert_allclose(found.values[row], alone.values.mean(axis=0), atol=1e-4)
    assert np.ptp(found["circuit"].array) > 0.01


def test_a_circuit_that_is_drawn_twice_is_a_row_twice(gpt2, graph):
    """One head of four: three others, so that of eight draws some are the same."""
    like = circuit("0.1")
    found, drawn = exchanged_circuit_scores(gpt2, PROMPTS, like, "counterfactual", n=8), exchanged_heads(graph, like, 8)
    assert len(found) == 8 > len(set(drawn))
    for row, one in enumerate(drawn):
        assert found["circuit"].array[row] == pytest.approx(score(gpt2, one).mean(), abs=1e-4)


def test_what_judges_circuits_takes_these_columns(gpt2):
    others = random_circuit_scores(gpt2, PROMPTS, EDGES, "mean", REFERENCE, n=30)
    whole = Circuit(network(gpt2).graph.edges)
    own = circuit_scores(gpt2, PROMPTS, whole, "mean", REFERENCE, without=True)
    assert sufficiency(own, others).value > 0.9
    lost = others["model"].array[0] - own["without"].array.mean()
    cheaper = (others["model"].array - others["without"].array < lost - 1e-3).mean()
    assert partial_necessity(own, others).value == pytest.approx(cheaper)


@BOTH
def test_knockouts_are_taken_from_circuit_and_model(gpt2, graph, like):
    gone = {"first": like[:1], "two": like[1:3]}
    found = under_knockouts(gpt2, PROMPTS, like, gone, "counterfactual")
    assert found.columns == (
        "model", "circuit", "circuit without first", "model without first", "circuit without two", "model without two"
    )  # fmt: skip
    for name, parts in gone.items():
        np.testing.assert_allclose(found[f"circuit without {name}"].array, score(gpt2, like - parts), atol=1e-4)
        rest = score(gpt2, parts.complement(graph))
        np.testing.assert_allclose(found[f"model without {name}"].array, rest, atol=1e-4)


def test_without_all_its_parts_the_circuit_is_empty(gpt2):
    for like in (EDGES, NODES):
        found = under_knockouts(gpt2, PROMPTS, like, {"all": like}, "counterfactual")
        own = circuit_scores(gpt2, PROMPTS, like, "counterfactual", without=True)
        np.testing.assert_allclose(found["circuit without all"].array, own["empty"].array, atol=1e-5)
        np.testing.assert_allclose(found["model without all"].array, own["without"].array, atol=1e-5)


@BOTH
def test_greedy_knockouts_take_the_worst_part_each_time(gpt2, graph, like):
    found = greedy_knockout(gpt2, PROMPTS, like, "counterfactual", largest=2)
    assert found.columns == like.parts

    def apart(parts):
        both = {"inside": like - parts, "gone": Circuit(parts)}
        found = circuit_scores(gpt2, PROMPTS, both, "counterfactual", without=True)
        return abs(found["inside"].array.mean() - found["without gone"].array.mean())

    chosen, steps = (), []
    for _ in range(2):
        best = max((part for part in like if part not in chosen), key=lambda part: apart((*chosen, part)))
        chosen = (*chosen, best)
        steps.append(apart(chosen))
    kept = 1 + int(np.argmax(steps))
    wanted = dict(zip(chosen[:kept], steps[:kept], strict=True))
    np.testing.assert_allclose(found.values[0], [wanted.get(part, 0.0) for part in like], atol=1e-4)


def test_bad_input_is_one_clear_line(gpt2):
    with pytest.raises(ValueError, match=r"'0.3' of 'movers' is not in the circuit"):
        under_knockouts(gpt2, PROMPTS, NODES, {"movers": circuit("0.1, 0.3")}, "counterfactual")
    with pytest.raises(ValueError, match="circuits of nodes beside circuits of edges"):
        under_knockouts(gpt2, PROMPTS, EDGES, {"movers": circuit("0.1")}, "counterfactual")
    for judge in (lost_by_part, lost_by_added_part, random_circuit_scores, exchanged_circuit_scores, greedy_knockout):
        with pytest.raises(EmptySelection, match="without parts"):
            judge(gpt2, PROMPTS, Circuit(()), "counterfactual")
        with pytest.raises(ValueError, match=r"'7.0' is no node or edge of a model of 2 layers"):
            judge(gpt2, PROMPTS, circuit("7.0"), "counterfactual")
