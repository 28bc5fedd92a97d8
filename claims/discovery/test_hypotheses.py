"""Discovery: what tests of circuits as hypotheses say where the answer is known.

The tests are those of Shi et al. 2024 (arXiv:2410.13032). What they must say of the whole model, of no edge, of the
planted circuit, with an edge less or an idle edge more is tested in tests/lab/circuits/; here stands the one that a
circuit fails though it is right. Terms, intervals and limits of the topic: `measurements.py`.
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


# Circuits as hypotheses: the answers that are known, by the margins and levels of circuits/.


def judged(kind: str) -> Measurement:
    """What three tests say, on 200 confirmation prompts."""
    return answers(kind, planted(f"planted-{kind}", 200))


@pytest.mark.parametrize("test", ("necessity",))
@pytest.mark.parametrize("kind", KINDS)
@refuted(
    {
        "induction-necessity": f"in no embedding: {CUT}",
        "ioi-necessity": f"in no embedding: {CUT}, or more, for a wrong name is then put forward",
        "adder-necessity": f"in no embedding: {CUT}",
    }
)
def test_a_planted_circuit_passes(kind, test):
    """The planted circuit passes partial necessity in at least 83 % of embeddings: cut, it costs more than nine of ten
    random circuits.

    Source: Shi et al. 2024, arXiv:2410.13032, who ask it of any circuit that is right. Expected to fail: a random
    circuit of as many edges often cuts one of the few that everything passes, and then costs as much as the whole
    circuit (in other embeddings the planted one costs more than .84 of random ones for induction, .37 for indirect
    objects, .71 for the adder).
    """
    assert proportion(judged(kind)[f"planted-{test}"].equal_to(1)) >= 0.83
