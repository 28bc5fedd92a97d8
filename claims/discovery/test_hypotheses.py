"""Discovery: what tests of circuits as hypotheses say where the answer is known.

The tests and margins are those of the topic of circuits (Shi et al. 2024, arXiv:2410.13032). Circuits with known
answers are put to them: the whole model, the empty circuit, the planted one, the planted one with an edge less or an
idle edge more. Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.discovery.measurements import KINDS, embeddings
from mechlib import (
    Circuit,
    Estimate,
    Graph,
    Measurement,
    PromptSet,
    TooFew,
    equivalence,
    every,
    independence,
    minimality,
    open_question,
    partial_necessity,
    proportion,
    refuted,
    sufficiency,
)
from mechlib.checkpoints import PLANTED_RECIPE, plan
from mechlib.evidence import evidence
from mechlib.prompts import planted

CUT = "more than a tenth of random circuits cut an edge that everything passes, and cost as much"  # why one failed


# Evidence: what each test says, one row for each embedding.


def passes(test, sign: str, bound: float, *measured) -> int:
    """1 where a test's estimate is on the side that passes, -1 on the other, 0 where it is undecided or none is given.

    None is where the numbers allow no honest interval: a few prompts out of many carry all that varies.
    """
    try:
        found = test(*measured)
    except TooFew:
        return 0
    judged = found if isinstance(found, Estimate) else every(found)
    return {"SUPPORTED": 1, "INCONCLUSIVE": 0, "REFUTED": -1}[judged.held_against(((sign, bound),)).word]


@evidence
def answers(kind: str, prompts: PromptSet, recipe: int = PLANTED_RECIPE) -> Measurement:
    """What three tests say of circuits whose answers are known: 1 it passes, -1 it fails, 0 neither.

    The circuits: "whole", all edges; "nothing", no edge; "planted"; "less", planted without one of its edges, drawn at
    random. Sufficiency and partial necessity are measured on the first 20 prompts, against 200 random circuits as
    large as the planted one.
    """
    import random

    from mechlib.lab import circuit_scores, load, random_circuit_scores

    rows = []
    for name in embeddings(kind, recipe):
        known, model, found = plan(name), load(name), {}
        planted = Circuit(known.edges)
        gone = random.Random(name).choice(known.edges)
        circuits = {"whole": Circuit(Graph(known.n_layers, known.n_heads).edges), "nothing": Circuit(())}
        circuits |= {"planted": planted, "less": planted - (gone,)}
        few = prompts.take(20)
        many = circuit_scores(model, prompts, circuits, "counterfactual")
        both = circuit_scores(model, few, circuits, "counterfactual", without=True)
        others = random_circuit_scores(model, few, planted, "counterfactual", n=200)
        for what in circuits:
            same = many.with_columns({"model": many["model"].array, "circuit": many[what].array})
            names = {"model": "model", "circuit": what, "without": f"without {what}"}
            scores = both.with_columns({column: both[own].array for column, own in names.items()})
            found[f"{what}-equivalence"] = passes(equivalence, "<=", 1, same)
            found[f"{what}-sufficiency"] = passes(sufficiency, ">=", 0.9, scores, others)
            found[f"{what}-necessity"] = passes(partial_necessity, ">=", 0.9, scores, others)
        rows.append(tuple(found.values()))
    return Measurement(rows, embeddings(kind, recipe), "embedding", tuple(found), of="passes (1), fails (-1)")


@evidence
def minimal(kind: str, prompts: PromptSet, recipe: int = PLANTED_RECIPE) -> Measurement:
    """The same of minimality, by more than a hundredth of a logit: "planted", and "more", with one idle edge more.

    The null is 100 circuits with one random path more. The idle edge is drawn from all that are not planted.
    """
    import random

    from mechlib.lab import load, lost_by_added_part, lost_by_part

    rows = []
    for name in embeddings(kind, recipe):
        known, model, row = plan(name), load(name), []
        taken = {*known.edges, *known.constants}
        idle = [edge for edge in Graph(known.n_layers, known.n_heads).edges if edge not in taken]
        planted = Circuit(known.edges)
        for circuit in (planted, planted | Circuit((random.Random(name).choice(idle),))):
            lost = lost_by_part(model, prompts, circuit, "counterfactual")
            null = lost_by_added_part(model, prompts, circuit, "counterfactual", n=100)
            row.append(passes(minimality, ">", 0.01, lost, null))
        rows.append(tuple(row))
    columns = ("planted", "more")
    return Measurement(rows, embeddings(kind, recipe), "embedding", columns, of="passes (1), fails (-1)")


@evidence
def independent(
    kind: str, how: str, prompts: PromptSet, reference: PromptSet | None, recipe: int = PLANTED_RECIPE
) -> Measurement:
    """The same of independence, for the planted circuit; and by how many logits the model's own score varies."""
    import numpy as np

    from mechlib.lab import circuit_scores, load

    rows = []
    for name in embeddings(kind, recipe):
        scores = circuit_scores(load(name), prompts, Circuit(plan(name).edges), how, reference, without=True)
        rows.append((passes(independence, "<=", 0.2, scores), np.ptp(scores["model"].array)))
    columns = ("planted", "range")
    return Measurement(rows, embeddings(kind, recipe), "embedding", columns, of="passes (1), fails (-1)")


# Circuits as hypotheses: the answers that are known, by the margins and levels of circuits/.


def judged(kind: str) -> Measurement:
    """What three tests say, on 200 confirmation prompts."""
    return answers(kind, planted(f"planted-{kind}", 200))


def judged_minimal(kind: str) -> Measurement:
    """What minimality says, on 24 confirmation prompts."""
    return minimal(kind, planted(f"planted-{kind}", 24))


@pytest.mark.parametrize("test", ("equivalence", "sufficiency"))
@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_model_passes(kind, test):
    """The model itself, as a circuit, passes equivalence and sufficiency in at least 83 % of embeddings.

    True by construction, as it should be of the tests; random circuits are as large as the planted one.
    Source: known before any test is run; Shi et al. 2024, arXiv:2410.13032, for the question.
    """
    assert proportion(judged(kind)[f"whole-{test}"].equal_to(1)) >= 0.83


@pytest.mark.parametrize("test", ("equivalence", "sufficiency"))
@pytest.mark.parametrize("kind", KINDS)
def test_the_empty_circuit_fails(kind, test):
    """The empty circuit fails equivalence and sufficiency in at least 83 % of embeddings.

    Source: known before any test is run; Shi et al. 2024, arXiv:2410.13032, for the question.
    """
    assert proportion(judged(kind)[f"nothing-{test}"].equal_to(-1)) >= 0.83


@pytest.mark.parametrize("test", ("equivalence", "sufficiency", "necessity"))
@pytest.mark.parametrize("kind", KINDS)
@refuted(
    {
        "induction-necessity": f"in no embedding: {CUT}",
        "ioi-necessity": f"in no embedding: {CUT}, or more, for a wrong name is then put forward",
        "adder-necessity": f"in no embedding: {CUT}",
    }
)
def test_a_planted_circuit_passes(kind, test):
    """The planted circuit passes equivalence, sufficiency and partial necessity in at least 83 % of embeddings.

    Source: expected of any circuit that is right; Shi et al. 2024, arXiv:2410.13032, for the question. Partial
    necessity is expected to fail: a random circuit of as many edges often cuts one of the few that everything passes,
    and then costs as much as the whole circuit (in other embeddings the planted one costs more than .84 of random ones
    for induction, .37 for indirect objects, .71 for the adder).
    """
    assert proportion(judged(kind)[f"planted-{test}"].equal_to(1)) >= 0.83


@pytest.mark.parametrize("kind", KINDS)
@open_question(
    {
        "adder": "in 14 embeddings; in six no interval is given: one prompt of 200 loses nothing, or twice as much as "
        "all others, and carries all that varies"
    }
)
def test_one_edge_less_fails_equivalence(kind):
    """The planted circuit without one of its edges, drawn at random, fails equivalence in at least 83 % of embeddings.

    Source: known before any test is run; Shi et al. 2024, arXiv:2410.13032, for the question.
    """
    assert proportion(judged(kind)["less-equivalence"].equal_to(-1)) >= 0.83


@pytest.mark.parametrize("kind", ("induction", "ioi"))
def test_a_planted_circuit_is_minimal(kind):
    """The planted circuit passes minimality in at least 83 % of embeddings.

    Source: known before any test is run; Shi et al. 2024, arXiv:2410.13032, for the question. Added paths lose
    nothing here but rounding, so that the bound is a hundredth of a logit and not zero. The adder's losses are too
    skewed for so few prompts.
    """
    assert proportion(judged_minimal(kind)["planted"].equal_to(1)) >= 0.83


@pytest.mark.parametrize("kind", ("induction", "ioi"))
def test_one_idle_edge_more_fails_minimality(kind):
    """The planted circuit with one idle edge more, drawn at random, fails minimality in at least 83 % of embeddings.

    Source: known before any test is run; Shi et al. 2024, arXiv:2410.13032, for the question.
    """
    assert proportion(judged_minimal(kind)["more"].equal_to(-1)) >= 0.83


@pytest.mark.parametrize("how", ("counterfactual", "mean"))
@pytest.mark.parametrize("kind", KINDS)
@refuted(
    {
        "induction-counterfactual": "fails in all: the .003 logits by which both scores vary go together (.98)",
        "adder-counterfactual": "undecided in all: with the corrupted prompt the intervals reach past .2",
        "adder-mean": "undecided in all: with the mean the intervals reach past .2",
    }
)
def test_what_a_planted_circuit_leaves_out_is_independent(kind, how):
    """The planted circuit passes independence in at least 83 % of embeddings.

    Source: expected of any circuit that is right; Shi et al. 2024, arXiv:2410.13032, for the question. Expected
    to fail for induction with the corrupted prompt's activations: how sharply heads look depends on places, which are
    the same in both, and moves both scores alike by three thousandths of a logit (rank correlation .98); and to stay
    undecided for the adder, with the mean too.
    """
    reference = planted(f"planted-{kind}", 50, "reference") if how == "mean" else None
    found = independent(kind, how, planted(f"planted-{kind}", 400), reference)
    assert proportion(found["planted"].equal_to(1)) >= 0.83
