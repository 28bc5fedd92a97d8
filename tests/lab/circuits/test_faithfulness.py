"""F(C): what is left with everything else replaced, against hooks, and against identities between circuits."""

from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
import torch

from mechlib.lab.batching import batches, in_order
from mechlib.lab.circuits import scorer
from mechlib.lab.circuits.faithfulness import circuit_scores
from mechlib.lab.circuits.incremental_run import IncrementalRun
from mechlib.lab.circuits.scorer import Inexact
from mechlib.lab.forward.families import network
from mechlib.lab.interventions.contexts import (
    Site,
    activations,
    mean_ablated,
    patched,
    resample_ablated,
    zero_ablated,
)
from mechlib.lab.metrics import correct, logit_diff
from mechlib.lab.models.loading import load
from mechlib.parts.circuits import Circuit, circuit
from mechlib.parts.random_circuits import random_circuits
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import FAMILIES, REFUSED, directory, pairs, repeats

REPLACEMENTS = ("counterfactual", "mean", "resample", "zero")
METRICS = ("logit difference", "probability", "KL", "correct")
DIRECTIONS = ("noising", "denoising")
PROMPTS = pairs(6, seed=1, clusters=2, longest=7)  # of two lengths
REFERENCE = pairs(20, split="reference", clusters=2, longest=7)
NODES = circuit("0.1, mlp 0, 1.0, 1.2")
PATHS = circuit("input->0.1.v, 0.1->1.2.k, input->1.2.v, input->1.2.q, 0.1->mlp 1, mlp 1->logits, 1.2->logits")
SWAPPED = PromptSet(
    "swapped", PROMPTS.split, tuple(Prompt(p.corrupted, p.distractor, p.clean, p.answer, p.cluster) for p in PROMPTS)
)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("faithfulness") / request.param, request.param)))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("faithfulness") / "one", "gpt2")))


def sites(nodes):
    """The same places as hooks name them."""
    return [
        Site("mlp", int(node[4:])) if node.startswith("mlp") else Site("head", *map(int, node.split(".")))
        for node in nodes
    ]


def others(model, nodes):
    return sites(node for node in network(model).graph.nodes if node not in set(nodes))


def kl(wanted, logits):
    """By PyTorch's own divergence."""
    both = (one[:, -1].double().log_softmax(-1) for one in (logits, wanted))
    return torch.nn.functional.kl_div(*both, reduction="none", log_target=True).sum(-1)


def by_hand(metric, logits, model_logits, batch):
    if metric == "logit difference":
        return logit_diff(logits, batch.answer, batch.distractor)
    if metric == "correct":
        return correct(logits, batch.answer)
    if metric == "KL":
        return kl(model_logits, logits)
    return logits[:, -1].softmax(-1)[torch.arange(len(batch.answer)), batch.answer]


def hooked(stack, model, replacement, where, batch):
    """The clean run with these places replaced, through hooks."""
    if replacement == "counterfactual":
        return stack.enter_context(patched(model, where, batch.corrupted, positions="all"))
    if replacement == "zero":
        return stack.enter_context(zero_ablated(model, where))
    if replacement == "mean":
        return stack.enter_context(mean_ablated(model, where, REFERENCE))
    return stack.enter_context(resample_ablated(model, where, REFERENCE, seed=3))


@pytest.mark.parametrize("replacement", REPLACEMENTS)
def test_a_circuit_of_nodes_is_the_ablation_of_all_others(model, replacement):
    made = batches(model, PROMPTS)
    with ExitStack() as stack, torch.no_grad():
        runs = [(model(batch.tokens),) for batch in made]
        for where in (others(model, ()), others(model, NODES)):
            again = [hooked(stack, model, replacement, where, batch)(batch) for batch in made]
            runs = [(*before, run) for before, run in zip(runs, again, strict=True)]
    for metric in METRICS:
        found = circuit_scores(model, PROMPTS, NODES, replacement, REFERENCE, metric, seed=3)
        assert found.columns == ("model", "empty", "circuit")
        columns = [
            torch.stack([by_hand(metric, run, own[0], batch) for run in own], dim=1)
            for batch, own in zip(made, runs, strict=True)
        ]
        np.testing.assert_allclose(found.values, in_order(made, columns), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("replacement", REPLACEMENTS)
def test_denoised_nodes_are_clean_ones_patched_into_the_other_run(model, replacement):
    found = circuit_scores(model, PROMPTS, NODES, replacement, REFERENCE, direction="denoising", seed=3)
    made, columns = batches(model, PROMPTS), []
    for batch in made:
        clean = activations(model, batch.tokens, sites(NODES))
        with ExitStack() as stack:
            other = hooked(stack, model, replacement, Site("resid_pre", 0), batch)
            restored = stack.enter_context(patched(other, sites(NODES), clean, positions="all"))
            runs = [model(batch.tokens), other(batch), restored(batch)]
            columns.append(torch.stack([by_hand("logit difference", run, None, batch) for run in runs], dim=1))
    np.testing.assert_allclose(found.values, in_order(made, columns), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("replacement", REPLACEMENTS)
def test_all_edges_are_the_model_and_no_edge_is_empty(gpt2, replacement, direction, metric):
    every = Circuit(network(gpt2).graph.edges)
    found = circuit_scores(gpt2, PROMPTS, every, replacement, REFERENCE, metric, direction, without=True)
    np.testing.assert_allclose(found["circuit"].array, found["model"].array, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["without"].array, found["empty"].array, rtol=1e-5, atol=1e-5)
    assert np.abs(found["empty"].array - found["model"].array).max() > 1e-3 or metric == "correct"


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_without_an_edge_there_is_the_corrupted_run(model, direction):
    found = circuit_scores(model, PROMPTS, PATHS, "counterfactual", direction=direction)["empty"]
    made = batches(model, PROMPTS)
    with torch.no_grad():
        values = [logit_diff(model(batch.corrupted), batch.answer, batch.distractor) for batch in made]
    np.testing.assert_allclose(found.array, in_order(made, values), rtol=1e-4, atol=1e-4)


def test_denoising_a_circuit_is_noising_all_else_with_the_prompts_exchanged(model):
    denoised = circuit_scores(model, PROMPTS, PATHS, "counterfactual", direction="denoising")
    noised = circuit_scores(model, SWAPPED, PATHS, "counterfactual", without=True)
    np.testing.assert_allclose(denoised["circuit"].array, -noised["without"].array, rtol=1e-4, atol=1e-4)
    assert np.abs(denoised["circuit"].array - denoised["empty"].array).max() > 0.01


@pytest.mark.parametrize("replacement", REPLACEMENTS)
def test_nodes_are_all_edges_that_leave_them(model, replacement):
    graph = network(model).graph
    leaving = Circuit(tuple(e for e in graph.edges if e.split("->")[0] in {"input", *NODES}))
    by_nodes = circuit_scores(model, PROMPTS, NODES, replacement, REFERENCE)
    by_edges = circuit_scores(model, PROMPTS, leaving, replacement, REFERENCE)
    np.testing.assert_allclose(by_nodes["circuit"].array, by_edges["circuit"].array, rtol=1e-5, atol=1e-5)


def test_divergence_is_never_negative_and_none_for_the_model(model):
    some = {str(n): one for n, one in enumerate(random_circuits(network(model).graph, PATHS, 20))}
    found = circuit_scores(model, PROMPTS, some, "counterfactual", metric="KL")
    assert (found.values >= -1e-12).all()
    assert (found["model"].array == 0).all()
    assert (found["empty"].array > 0).all()


def test_several_circuits_in_one_call_are_those_one_by_one(model):
    both = circuit_scores(model, PROMPTS, {"a": PATHS, "b": PATHS[:3]}, "mean", REFERENCE, without=True)
    assert both.columns == ("model", "empty", "a", "b", "without a", "without b")
    alone = circuit_scores(model, PROMPTS, PATHS[:3], "mean", REFERENCE, without=True)
    np.testing.assert_allclose(both["b"].array, alone["circuit"].array, atol=1e-5)
    np.testing.assert_allclose(both["without b"].array, alone["without"].array, atol=1e-5)


def test_prompts_keep_their_order_clusters_and_strata(gpt2):
    found = circuit_scores(gpt2, PROMPTS, PATHS, "zero", metric="correct", unit="sequence")
    assert found.units == tuple(row.fingerprint for row in PROMPTS)
    assert found.clusters == tuple(row.cluster for row in PROMPTS)
    assert found.strata == tuple(row.label("length") for row in PROMPTS)
    assert (found.yes_no, found.unit) == (True, "sequence")


def test_another_seed_draws_other_prompts_for_resampling_only(gpt2):
    def empty(replacement, seed):
        return circuit_scores(gpt2, PROMPTS, PATHS, replacement, REFERENCE, seed=seed)["empty"].array

    assert (empty("resample", 0) == empty("resample", 0)).all()
    assert (empty("resample", 0) != empty("resample", 1)).any()
    assert (empty("mean", 0) == empty("mean", 1)).all()


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"circuits": circuit("2.0->logits")}, "'2.0->logits' is no node or edge of a model of 2 layers with 4 heads"),
        ({"circuits": {"a": PATHS, "b": NODES}}, "circuits of nodes beside circuits of edges"),
        ({"circuits": ["0.1"]}, "['0.1'] is no circuit: write circuit("),
        ({"circuits": {"a": "0.1"}}, "'0.1' is no circuit: write circuit("),
        (
            {"circuits": circuit("9.9")},
            "'9.9' is no node or edge of a model of 2 layers with 4 heads: is it of another",
        ),
        ({"circuits": {"model": PATHS}}, "a column of its own"),
        ({"prompts": repeats(4)}, "has no corrupted text: there is no counterfactual run"),
        ({"replacement": "mean"}, "mean needs reference prompts: pass the task's split='reference'"),
        ({"replacement": "resample", "reference": PROMPTS}, "is no reference set"),
        ({"replacement": "meen"}, "no replacement 'meen'"),
        ({"metric": "loss"}, "no metric 'loss'"),
        ({"direction": "up"}, "no direction 'up'"),
    ],
)
def test_bad_input_is_one_clear_line(gpt2, asked, line):
    arguments = {"prompts": PROMPTS, "circuits": PATHS, "replacement": "counterfactual", **asked}
    with pytest.raises(REFUSED) as raised:
        circuit_scores(gpt2, **arguments)
    if isinstance(raised.value, ValueError):
        assert line in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_pass_that_is_not_the_models_is_refused(gpt2, monkeypatch):
    class Off(IncrementalRun):
        def trial(self, mask):
            made = super().trial(mask)
            return replace(made, stream=made.stream + 0.1)

    monkeypatch.setattr(scorer, "IncrementalRun", Off)
    with pytest.raises(Inexact, match="edge by edge, all edges, differs from its plain run"):
        circuit_scores(gpt2, PROMPTS, PATHS, "counterfactual")
