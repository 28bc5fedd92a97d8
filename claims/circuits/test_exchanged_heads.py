"""Circuits: whether the chosen heads matter, or any others on the same paths would do.

Beside a circuit stands the same circuit with the heads of each layer exchanged at random for others of that layer: as
many edges between the same layers, MLPs and embeddings, and as well connected. What is kept and lost is counted from
the corrupted run, as shares of what tells the clean from the corrupted prompt, on prompts drawn anew. They restate a
claim that did not stand, against random circuits of equal size, of which untrained networks beat nine of ten as well.
What a circuit leaves out is not asked: without two hundred edges on whatever paths the corrupted run is left
(tests/lab/circuits/test_random_circuits.py). Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.addition.measurements import unasked
from claims.circuits.measurements import TASKS, edges
from claims.models import MINIS
from claims.tasks import CONFIRMATION, right
from mechlib import Circuit, Measurement, PromptSet, above_null, open_question, proportion, ratio, requires
from mechlib.evidence import evidence
from mechlib.prompts import induction, ioi

ANEW = {"ioi": ioi(160, seed=1), "addition": unasked(), "induction": induction(200, seed=1)}
# On fewer there is no interval: 20 names show too little of how they differ, sums and sequences are skewed.
FEW = {"ioi": ANEW["ioi"].take(64), "addition": ANEW["addition"].take(50), "induction": ANEW["induction"].take(50)}


# Evidence: one value for each prompt, or one row for each draw of other heads.


@evidence
def kept_and_lost(model: str, circuit: Circuit, prompts: PromptSet) -> Measurement:
    """Logits that the circuit "kept" and that all but the circuit ("rest") keeps, above the empty circuit; that are
    "lost" without the circuit; and the "total" that there is to keep or lose."""
    from mechlib.lab import circuit_scores, load

    found = circuit_scores(load(model), prompts, circuit, "counterfactual", without=True, unit="prompt")
    whole, empty, own, without = (found[name].array for name in ("model", "empty", "circuit", "without"))
    return found.with_columns(
        {"kept": own - empty, "rest": without - empty, "lost": whole - without, "total": whole - empty}
    )


@evidence
def kept_and_lost_with_other_heads(model: str, circuit: Circuit, prompts: PromptSet) -> Measurement:
    """The same of 200 draws of the circuit with its heads exchanged within layers: one row each, means."""
    from mechlib.lab import exchanged_circuit_scores, load

    found = exchanged_circuit_scores(load(model), prompts, circuit, "counterfactual", n=200)
    whole, empty, own, without = (found[name].array for name in ("model", "empty", "circuit", "without"))
    return found.with_columns(
        {"kept": own - empty, "rest": without - empty, "lost": whole - without, "total": whole - empty}
    )


# What a circuit keeps and costs, beside other heads.


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MINIS)
@open_question(
    {
        "mini-0-ioi": "kept: 0.0814, from 0.0137 to 0.157; too skewed for so few to say",
        "mini-0-addition": "kept: 0.00926, from -0.0436 to 0.061",
        "mini-1-ioi": "kept: 0.0319, from -0.0279 to 0.0921",
        "mini-2-ioi": "kept: 0.0226, from -0.00774 to 0.049",
        "mini-2-addition": "kept: 0.0131, from -0.0301 to 0.0562",
    }
)
def test_a_hundred_edges_keep_more_than_with_other_heads_on_the_same_paths(model, task):
    """The circuit of 100 edges keeps more of what there is to keep than 95 % of 200 circuits with other heads of the
    same layers in place of its own.

    Restated from "beats nine of ten random circuits", which circuits of untrained networks do as well.
    Source: docs/STATISTICS.md, R31; mini-pilot on discovery prompts keeps 94, 68 and 100 % of indirect objects,
    addition and induction, 95 % of 60 others at most 89, 62 and 71 %.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    chosen, prompts = edges(model, task).connected(), FEW[task]
    own, others = kept_and_lost(model, chosen, prompts), kept_and_lost_with_other_heads(model, chosen, prompts)
    assert above_null(own[["kept", "total"]], others[["kept", "total"]], exhaustive=False) > 0


@pytest.mark.parametrize("model", MINIS)
def test_two_hundred_edges_do_three_fifths_of_addition(model):
    """The 200 strongest of 1,519 edges keep at least 60 % of what tells one sum from another.

    Restated from "less than 90 %", a bound from above beside which nothing stood.
    Source: mini-pilot on discovery prompts keeps 73 %: every head of the first layer and every MLP has a share.
    """
    requires(proportion(right(model, CONFIRMATION["addition"])) >= 0.8)
    found = kept_and_lost(model, edges(model, "addition", 200).connected(), unasked())
    assert ratio(found[["kept", "total"]]) >= 0.6
