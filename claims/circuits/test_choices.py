"""Circuits: which choices a circuit depends on.

The circuit of 100 edges for indirect objects was chosen with the giver exchanged and the corrupted prompt outside. Here
it is judged under four replacements, in two directions, by four metrics and with two corruptions. Terms, intervals and
limits of the topic: `measurements.py`.
"""

import pytest

from claims.circuits.measurements import edges
from claims.models import MINIS
from claims.tasks import CONFIRMATION, right
from mechlib import (
    Circuit,
    Measurement,
    PromptSet,
    cells,
    every,
    faithfulness,
    kept,
    open_question,
    proportion,
    refuted,
    requires,
    show,
)
from mechlib.evidence import evidence
from mechlib.figures import matrix
from mechlib.prompts import ioi

# Why predictions failed, where several failed for one reason.
ZEROS = "with zeros outside a tenth or less is kept, with another prompt .4 to .6: it was chosen against one corruption"


# Evidence: one value for each cell of the grid, for each template.


@evidence
def over_grid(model: str, circuit: Circuit, prompts: tuple[PromptSet, ...], reference: PromptSet) -> Measurement:
    """The circuit of indirect objects under four replacements, two directions, four metrics, two corruptions."""
    from mechlib.lab import grid, load

    return grid(load(model), dict(zip(("giver", "names"), prompts, strict=True)), circuit.connected(), reference)


# Which choices a circuit depends on.


def grid_of_choices(model: str) -> dict[tuple[str, str], Measurement]:
    """The circuit of 100 edges for indirect objects in every cell."""
    prompts = (ioi(160), ioi(160, corrupt="names"))
    return cells(over_grid(model, edges(model, "ioi"), prompts, ioi(split="reference")))


@pytest.mark.parametrize("model", MINIS)
@open_question(
    {
        "mini-0": "circuit: 0.917, from 0.877 to 0.957; too skewed for so few to say",
        "mini-1": "circuit: 0.898, from 0.863 to 0.933; too skewed for so few to say",
    }
)
def test_the_circuit_holds_where_it_was_chosen_in_either_direction(model):
    """The circuit of 100 edges keeps at least 80 % with the giver as it is in the corrupted prompt, whether the rest
    is corrupted or the circuit alone is clean, of the logit difference and of the answer's probability.

    Source: mini-pilot on discovery prompts: .94 to 1.00 in these four cells, which were listed before.
    """
    requires(proportion(right(model, CONFIRMATION["ioi"])) >= 0.8)
    found = grid_of_choices(model)
    show(matrix, kept(found), "Faithfulness by replacement and direction (down), metric and corruption (across)")
    held = [
        found[f"counterfactual, {direction}", f"{metric}, giver"]
        for direction in ("noising", "denoising")
        for metric in ("logit difference", "probability")
    ]
    assert every(faithfulness(cell) for cell in held) >= 0.8


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-*": ZEROS})
def test_the_circuit_holds_under_every_replacement(model):
    """The circuit of 100 edges keeps at least 80 % of the logit difference whatever stands outside it, the corrupted
    prompt's, a mean, another prompt's or zeros, for either corruption, in either direction.

    Ten different cells: which corruption makes no difference where nothing of the corrupted prompt stands outside.

    Source: what one would like to hear of a circuit (Miller et al. 2024 found it untrue of published ones). Expected to
    fail: chosen against one corruption, mini-pilot's keeps .41 against another, and .03 against zeros.
    """
    requires(proportion(right(model, CONFIRMATION["ioi"])) >= 0.8)
    found = grid_of_choices(model)
    held = [cell for (_, what), cell in found.items() if what.startswith("logit difference")]
    assert every(faithfulness(cell) for cell in held) >= 0.8
