"""Probes: subspaces exchanged between two runs.

A subspace is trained on discovery prompts so that, taken from the clean run into the corrupted one, it changes the
answer as the one variable does that it is to hold (distributed alignment search, a fixed number of dimensions). On
confirmation prompts it is judged by how often the answer is that, beside three controls: as many random dimensions of
the activations' span, a subspace trained likewise to arbitrary answers, and a random change as long as the exchange.
For operands the two questions share neither: 61 + 12 into 23 + 54 must make 61 + 54, which neither asks for.
Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.models import MINIS
from mechlib import Measurement, PromptSet, proportion
from mechlib.evidence import evidence
from mechlib.prompts import crossed, ioi

PLACES = {"first": "first {a}", "second": "last {b}"}
CONTROLS = ("random", "arbitrary answers", "norm matched")


@evidence
def exchanged(
    model: str, prompts: PromptSet, trained_on: PromptSet, at: str, depth: str, k: int, steps: int = 100
) -> Measurement:
    """1 where the answer is the counterfactual's with the trained "subspace" exchanged, with each control, and with all
    of the stream there ("whole")."""
    from mechlib import shuffled_answers
    from mechlib.lab import das_subspaces, interchange, load, random_subspaces, whole_spaces

    network = load(model)
    own = das_subspaces(network, trained_on, k, at, (depth,), steps)
    other = das_subspaces(network, shuffled_answers(trained_on), k, at, (depth,), steps)
    found = interchange(network, prompts, {"subspace": own[depth]}, matched=True)
    beside = {"random": random_subspaces(own)[depth], "arbitrary answers": other[depth]}
    beside["whole"] = whole_spaces(network, at, (depth,))[depth]
    controls = interchange(network, prompts, beside)
    columns = {name: controls[name].array for name in beside}
    columns["norm matched"] = found["subspace, norm matched"].array
    made = found.with_columns({"subspace": found["subspace"].array, **columns})
    return Measurement(made.values, made.units, columns=made.columns, yes_no=True, of=found.of)


@evidence
def all_exchanged(model: str, prompts: PromptSet, at: str, depths: tuple[str, ...]) -> Measurement:
    """The same with all of the stream at a place exchanged: a column a depth."""
    from mechlib.lab import interchange, load, whole_spaces

    network = load(model)
    found = interchange(network, prompts, whole_spaces(network, at, depths))
    return found[depths]


@pytest.mark.parametrize("operand", list(PLACES))
@pytest.mark.parametrize("model", MINIS)
def test_sixteen_dimensions_of_the_embeddings_hold_an_operand(model, operand):
    """Sixteen of 128 dimensions of the embeddings at an operand's word, exchanged, make the sum that of the other
    operand in at least half of the prompts.

    Source: mini-pilot on discovery prompts, of other pairs of the same numbers: 96 %, random dimensions none; eight
    dimensions, trained on half of them, 8 %.
    """
    found = exchanged(model, crossed(200, take=operand), crossed(split="discovery", take=operand), PLACES[operand],
                      "embeddings", 16)  # fmt: skip
    controls = tuple(found[name] for name in CONTROLS)
    assert proportion(found["subspace"], control=controls) >= 0.5


@pytest.mark.parametrize("operand", list(PLACES))
@pytest.mark.parametrize("model", MINIS)
def test_an_operand_is_read_from_its_word_in_the_first_layer_alone(model, operand):
    """All of the stream at an operand's word, exchanged behind the first layer, makes the sum that of the other operand
    in at most 5 of 100 prompts.

    Source: mini-pilot on discovery prompts, for the first operand: none, and 99 % in the embeddings.
    """
    found = all_exchanged(model, crossed(200, take=operand), PLACES[operand], ("embeddings", "after layer 0"))
    assert proportion(found["after layer 0"], beside=found["embeddings"]) <= 0.05


@pytest.mark.parametrize("model", MINIS)
def test_eight_dimensions_trained_on_some_names_hold_nothing_of_others(model):
    """Eight dimensions of the stream at the last word behind two layers, trained on the names of discovery, exchanged
    in prompts of other names make the answer the other indirect object in at most 5 of 100 prompts.

    Source: mini-pilot on discovery prompts: 90 % of prompts with the names that it was trained on, none of those with
    others; all of the stream there 100 %.
    """
    found = exchanged(model, ioi(320), ioi(split="discovery"), "end", "after layer 1", 8)
    assert proportion(found["subspace"], beside=found["whole"]) <= 0.05
