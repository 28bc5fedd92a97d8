"""Known circuits found again, counted part by part; scores of circuits by an error, and at several positions."""

import numpy as np
import pytest
import torch

from mechlib.checkpoints.planted import plan
from mechlib.lab.circuits.faithfulness import circuit_scores
from mechlib.lab.circuits.pruning import prune
from mechlib.lab.interventions.contexts import Site, patched
from mechlib.lab.models.loading import load
from mechlib.parts.circuits import Circuit, circuit
from mechlib.parts.heads import Head
from mechlib.prompts.planted import planted
from mechlib.prompts.promptset import Prompt, PromptSet
from mechlib.statistics import faithfulness, gap, precision, recall
from tests.helpers.tiny import BOS_ID, FAMILIES, WORDS, directory


@pytest.mark.parametrize("name", ["planted-induction", "planted-induction-3"])
def test_the_edges_of_a_planted_circuit_are_found_and_no_others(name):
    known, found = Circuit(plan(name).edges), prune(load(name), planted(name, 8, "discovery"))
    chosen = Circuit(tuple(part for part, change in zip(found.columns, found.values[0], strict=True) if change > 0))
    assert (precision(chosen, known).value, recall(chosen, known).value) == (1, 1)
    more = chosen | circuit("0.0->logits")
    assert "0.0->logits" not in known
    assert precision(more, known).value == len(known) / (len(known) + 1)
    assert recall(chosen - (chosen.parts[0],), known).value == 1 - 1 / len(known)


def test_a_planted_circuit_is_faithful_by_an_error_of_which_nothing_is_perfect():
    name = "planted-induction"
    known = Circuit(plan(name).edges)
    circuits = {"known": known, "less": known - (known.parts[-1],)}
    scores = circuit_scores(load(name), planted(name, 40), circuits, "counterfactual", metric="KL")
    assert not scores["model"].array.any()
    kept = {estimate.name: estimate.value for estimate in faithfulness(scores, lower_is_better=True)}
    _, empty, whole, less = scores.values.mean(axis=0)
    assert kept == pytest.approx({"known": 1 - whole / empty, "less": 1 - less / empty})
    assert kept["known"] == pytest.approx(1, abs=1e-3) and kept["less"] < 0.5
    assert gap(scores)["known"].value == pytest.approx(whole, abs=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_circuit_read_at_several_positions_is_that_of_the_whole_text_read_there(tmp_path, family):
    """A causal model holds at a position what the text up to there says: each position is a row, a text a cluster."""
    model = load(str(directory(tmp_path, family)))
    clean, corrupted = "w3 w9 w4 w12 w20 w7 w1".split(), "w3 w8 w4 w12 w21 w7 w1".split()
    ends = (2, 4, 5, 7)
    rows = [Prompt(" ".join(clean[:n]), f"w{n}", " ".join(corrupted[:n]), f"w{n + 10}", "one text") for n in ends]
    prompts = PromptSet("read", "confirmation", tuple(rows))
    scores = circuit_scores(model, prompts, circuit("0.1, mlp 0, 1.2"), "counterfactual")
    ids, others = (torch.tensor([[BOS_ID, *map(WORDS.index, words)]]) for words in (clean, corrupted))
    outside = [Head(0, 0), Head(0, 2), Head(0, 3), Head(1, 0), Head(1, 1), Head(1, 3), Site("mlp", 1)]
    with patched(model, outside, others, "all") as changed:
        logits = changed(ids)[0]
    wanted = [float(logits[n, WORDS.index(f"w{n}")] - logits[n, WORDS.index(f"w{n + 10}")]) for n in ends]
    np.testing.assert_allclose(scores["circuit"].array, wanted, atol=3e-5)
    assert scores.clusters == ("one text",) * 4
