"""Pruning: the search written out edge by edge, circuits known by hand or planted, and what no search may keep."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from mechlib.checkpoints.planted import plan
from mechlib.lab.batching import batches
from mechlib.lab.circuits import pruning, scorer
from mechlib.lab.circuits.faithfulness import circuit_scores
from mechlib.lab.circuits.incremental_run import IncrementalRun
from mechlib.lab.circuits.pruning import prune
from mechlib.lab.circuits.scorer import CircuitScorer, Inexact, measured_by
from mechlib.lab.forward.families import forward, network
from mechlib.lab.models.loading import checkpoint_of, load
from mechlib.parts.circuits import Circuit
from mechlib.prompts.planted import planted
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.circuit_runs import run_circuit
from tests.helpers.tiny import FAMILIES, REFUSED, directory, pairs, repeats, word_tokenizer

PROMPTS = pairs(5, "discovery", longest=7, clusters=2)  # of two lengths
REFERENCE = pairs(20, "reference", longest=7, clusters=2)
SEARCHES = {  # in each family another: replacement, metric, threshold, parts
    "gpt2": ("counterfactual", "logit difference", 0.05, "edges"),
    "neox": ("mean", "KL", 0.01, "edges"),
    "llama": ("zero", "logit difference", 0.4, "nodes"),
    "qwen2": ("resample", "probability", 0.2, "edges"),
    "gemma3": ("counterfactual", "KL", 0.02, "edges"),
}


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("pruning") / request.param, request.param)))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("pruning") / "one", "gpt2")))


@pytest.fixture(scope="module")
def two_heads(tmp_path_factory):
    """GPT-2 in which heads 0.1 and 1.2 alone write, and no MLP does."""
    path = directory(tmp_path_factory.mktemp("pruning") / "two", "gpt2")
    made = AutoModelForCausalLM.from_pretrained(path)
    with torch.no_grad():
        for layer, head in enumerate((1, 2)):
            block = made.transformer.h[layer]
            block.mlp.c_proj.weight.zero_()
            others = [row for row in range(32) if row // 8 != head]
            block.attn.c_proj.weight[others] = 0
    made.save_pretrained(path)
    word_tokenizer().save_pretrained(path)
    return load(str(path))


def left(scores):
    return {name for name, value in zip(scores.columns, scores.values[0], strict=True) if value > 0}


def searched(model, replacement, metric, threshold, kind):
    """ACDC's search, every circuit run from the start."""
    scorer = CircuitScorer(model, PROMPTS, replacement, REFERENCE)
    graph = scorer.graph

    runs = [(batch, scorer.base(batch), forward(scorer.net, batch.tokens)[0][:, -1]) for batch in scorer.batches]

    def scores(parts):
        values = []
        for batch, base, whole in runs:
            stream = run_circuit(scorer.net, batch.tokens, base, scorer.mask(parts, kind))
            values.append(measured_by(scorer.net, batch, metric, whole)(stream).double())
        return torch.cat(values)

    if kind == "nodes":
        order = graph.nodes[::-1]
    else:
        by_reader = {}
        for edge in graph.edges:
            by_reader.setdefault(edge.split("->")[1], []).append(edge)
        order = [edge for reader in reversed(by_reader) for edge in reversed(by_reader[reader])]
    kept, found = list(getattr(graph, kind)), {}
    now = scores(kept)
    whole = abs(now - scores(())).mean()
    for part in order:
        rest = [one for one in kept if one != part]
        then = scores(rest)
        effect = ((then - now).mean() if metric == "KL" else (then - now).abs().mean()) / whole
        if effect > threshold:
            found[part] = float(effect)
        else:
            kept, now = rest, then
    return found


def test_pruning_is_the_search_with_every_circuit_run_from_the_start(model):
    replacement, metric, threshold, kind = SEARCHES[checkpoint_of(model).name.split("/")[-1]]
    wanted = searched(model, replacement, metric, threshold, kind)
    found = prune(model, PROMPTS, replacement, REFERENCE, metric, threshold, kind)
    assert found.columns == getattr(network(model).graph, kind)
    assert (found.units, found.unit) == (("all",), "set of prompts")
    assert 0 < len(wanted) < len(found.columns)
    np.testing.assert_allclose(found.values[0], [wanted.get(name, 0.0) for name in found.columns], atol=1e-4)


@pytest.mark.parametrize("threshold", [0.0, 0.01])
def test_a_circuit_known_by_hand_is_found(two_heads, threshold):
    # The last word is the same in both runs: what it alone feeds says nothing. The query of head 0.1 counts where the
    # word that differs stands, as 1.2 reads 0.1 there.
    wanted = {f"input->{head}.{port}" for head in ("0.1", "1.2") for port in "kv"} | {"input->0.1.q"}
    wanted |= {f"0.1->1.2.{port}" for port in "qkv"} | {"0.1->logits", "1.2->logits"}
    found = left(prune(two_heads, PROMPTS, threshold=threshold))
    assert found ^ wanted == set() if threshold == 0 else found <= wanted
    assert left(prune(two_heads, PROMPTS, threshold=threshold, kind="nodes")) == {"0.1", "1.2"}


@pytest.mark.parametrize("name", ["planted-induction-3-3x4", "planted-ioi", "planted-adder-1"])
@pytest.mark.parametrize("kind", ["edges", "nodes"])
def test_planted_circuits_are_found_to_the_edge(name, kind):
    found = prune(load(name), planted(name, 16, split="discovery"), kind=kind)
    assert left(found) == set(getattr(plan(name), kind))


def test_at_threshold_zero_what_is_left_is_the_model(gpt2):
    kept = Circuit(tuple(left(prune(gpt2, PROMPTS, threshold=0.0))))
    assert len(kept) < len(network(gpt2).graph.edges), "edges from the last word to its own logits change nothing"
    scores = circuit_scores(gpt2, PROMPTS, kept, "counterfactual")
    np.testing.assert_allclose(scores["circuit"].array, scores["model"].array, atol=1e-4)


@pytest.mark.parametrize("kind", ["edges", "nodes"])
def test_at_an_infinite_threshold_nothing_is_left(gpt2, kind):
    assert not left(prune(gpt2, PROMPTS, threshold=float("inf"), kind=kind))


def test_scores_are_what_was_measured_at_the_time(gpt2):
    """The first edge tried is the last MLP's to the logits: its effect is that of leaving it alone out."""
    edge = network(gpt2).graph.edges[-1]
    without = Circuit(tuple(name for name in network(gpt2).graph.edges if name != edge))
    scores = circuit_scores(gpt2, PROMPTS, without, "counterfactual")
    effect = np.abs(scores["model"].array - scores["circuit"].array).mean()
    whole = np.abs(scores["model"].array - scores["empty"].array).mean()
    assert edge == "mlp 1->logits"
    np.testing.assert_allclose(prune(gpt2, PROMPTS, threshold=0.0)[edge].array, effect / whole, rtol=1e-3)


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"threshold": -0.1}, "a threshold of -0.1"),
        ({"threshold": float("nan")}, "a threshold of nan"),
        ({"prompts": repeats(3, "discovery")}, "has no corrupted text"),
        ({"replacement": "mean"}, "mean needs reference prompts"),
        ({"kind": "heads"}, "no kind 'heads': choose one of nodes, edges|Type-check error"),
    ],
)
def test_bad_input_is_one_clear_line(gpt2, asked, line):
    with pytest.raises(REFUSED, match=line):
        prune(gpt2, **{"prompts": PROMPTS, **asked})


def test_prompts_on_which_replacing_everything_changes_nothing_are_refused(gpt2, monkeypatch):
    alike = PromptSet("alike", "discovery", (Prompt("w1 w2 w3 w1", "w2", "", "w4"),))
    (alone,) = batches(gpt2, alike)
    monkeypatch.setattr(scorer, "batches", lambda *_: (replace(alone, corrupted=alone.tokens),))
    with pytest.raises(ValueError, match="replacing everything does not change the logit difference"):
        prune(gpt2, alike)


def test_a_search_that_loses_its_way_is_noticed(gpt2, monkeypatch):
    class Stale(IncrementalRun):
        def accept(self, trial):
            trial.moved.popitem()  # what the last node says after the cut is forgotten
            super().accept(trial)

    monkeypatch.setattr(pruning, "IncrementalRun", Stale)
    with pytest.raises((Inexact, KeyError)):
        prune(gpt2, PROMPTS, threshold=0.05)
