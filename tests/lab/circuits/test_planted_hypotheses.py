"""What tests of circuits as hypotheses say where the answer is known: of the model, of nothing, of a planted circuit.

By the margins and levels of the topic of circuits. The tests are those of mechlib.statistics.circuits.hypotheses.
"""

from __future__ import annotations

import random
from functools import cache

import pytest

from mechlib.checkpoints.planted import Plan, plan
from mechlib.lab.circuits.faithfulness import circuit_scores
from mechlib.lab.circuits.knockouts import lost_by_added_part, lost_by_part, random_circuit_scores
from mechlib.lab.models.loading import load
from mechlib.measurement import Measurement
from mechlib.parts.circuits import Circuit
from mechlib.parts.graphs import Graph
from mechlib.prompts.planted import planted
from mechlib.statistics.circuits.hypotheses import equivalence, independence, minimality, sufficiency
from mechlib.statistics.families import every

KINDS = ("induction", "ioi", "adder")


def known(kind: str) -> Plan:
    found = plan(f"planted-{kind}")
    assert found is not None
    return found


def circuits(kind: str) -> dict[str, Circuit]:
    """All edges; none; the planted ones; these without one, drawn at random."""
    found = known(kind)
    own = Circuit(found.edges)
    gone = random.Random(kind).choice(found.edges)
    whole = Circuit(Graph(found.n_layers, found.n_heads).edges)
    return {"whole": whole, "nothing": Circuit(()), "planted": own, "less": own - (gone,)}


@cache
def scores(kind: str, n: int, what: str) -> Measurement:
    """Columns "model" and "circuit" of one of these circuits."""
    model, prompts = load(f"planted-{kind}"), planted(f"planted-{kind}", n)
    found = circuit_scores(model, prompts, {"one": circuits(kind)[what]}, "counterfactual")
    return found.with_columns({"model": found["model"].array, "circuit": found["one"].array})


@cache
def others(kind: str) -> Measurement:
    """200 random circuits as large as the planted one, on twenty prompts."""
    model, prompts = load(f"planted-{kind}"), planted(f"planted-{kind}", 20)
    return random_circuit_scores(model, prompts, circuits(kind)["planted"], "counterfactual", n=200, without=False)


@pytest.mark.parametrize(
    ("what", "word"),
    [("whole", "SUPPORTED"), ("nothing", "REFUTED"), ("planted", "SUPPORTED")],
)
@pytest.mark.parametrize("kind", KINDS)
def test_the_model_and_its_circuit_are_equivalent_to_the_model_and_nothing_is_not(kind, what, word):
    assert every(equivalence(scores(kind, 200, what))).held_against((("<=", 1),)).word == word


@pytest.mark.parametrize("kind", ["induction", "ioi"])
def test_one_edge_less_is_not_equivalent(kind):
    assert every(equivalence(scores(kind, 200, "less"))).held_against((("<=", 1),)).word == "REFUTED"


@pytest.mark.parametrize(
    ("what", "word"),
    [("whole", "SUPPORTED"), ("nothing", "REFUTED"), ("planted", "SUPPORTED")],
)
@pytest.mark.parametrize("kind", KINDS)
def test_the_model_and_its_circuit_beat_random_circuits_and_nothing_does_not(kind, what, word):
    assert sufficiency(scores(kind, 20, what), others(kind)).held_against(((">=", 0.9),)).word == word


@pytest.mark.parametrize("kind", ["induction", "ioi"])
def test_a_planted_circuit_is_minimal_and_with_one_idle_edge_it_is_not(kind):
    found, model, prompts = known(kind), load(f"planted-{kind}"), planted(f"planted-{kind}", 24)
    taken = {*found.edges, *found.constants}
    idle = [edge for edge in Graph(found.n_layers, found.n_heads).edges if edge not in taken]
    own = Circuit(found.edges)
    for circuit, word in {own: "SUPPORTED", own | Circuit((random.Random(kind).choice(idle),)): "REFUTED"}.items():
        lost = lost_by_part(model, prompts, circuit, "counterfactual")
        null = lost_by_added_part(model, prompts, circuit, "counterfactual", n=100)
        assert every(minimality(lost, null)).held_against(((">", 0.01),)).word == word


@pytest.mark.parametrize(
    ("kind", "how", "word"),
    [
        ("ioi", "counterfactual", "SUPPORTED"),
        ("ioi", "mean", "SUPPORTED"),
        ("induction", "mean", "SUPPORTED"),
        # Heads look alike sharply in both, which moves both scores by .003 logits.
        ("induction", "counterfactual", "REFUTED"),
        ("adder", "counterfactual", "INCONCLUSIVE"),
        ("adder", "mean", "INCONCLUSIVE"),
    ],
)
def test_what_a_planted_circuit_leaves_out_is_independent_but_where_rounding_is_all_that_varies(kind, how, word):
    model, prompts = load(f"planted-{kind}"), planted(f"planted-{kind}", 400)
    reference = planted(f"planted-{kind}", 50, "reference") if how == "mean" else None
    found = circuit_scores(model, prompts, Circuit(known(kind).edges), how, reference, without=True)
    assert every(independence(found)).held_against((("<=", 0.2),)).word == word
