"""Path patching is what hooks give when every other component is frozen, and what circuits lacking those edges give."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mechlib.lab.attribution import path_patching
from mechlib.lab.attribution.attention import attention_to
from mechlib.lab.attribution.path_patching import (
    attention_after_path_patching,
    lost_by_path_patching,
    restored_by_path_patching,
)
from mechlib.lab.batching import batches
from mechlib.lab.behaviour import logit_differences
from mechlib.lab.circuits.bases import base_of_run
from mechlib.lab.circuits.scorer import mask_of
from mechlib.lab.forward.families import network
from mechlib.lab.hooks import NothingChanged, run
from mechlib.lab.interventions.contexts import Site
from mechlib.lab.interventions.patching import lost_by_patching, restored_by_patching
from mechlib.lab.models.loading import load
from mechlib.parts.heads import Head, all_heads, heads
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.circuit_runs import run_circuit
from tests.helpers.tiny import FAMILIES, REFUSED, directory, pairs, repeats

EMBEDDINGS, MLP = Site("resid_pre", 0), Site("mlp", 0)
EARLY = {"0.1": Head(0, 1), "mlp 0": MLP, "embeddings": EMBEDDINGS, "several": (Head(0, 0), Head(0, 3), MLP)}
SENDERS = {**EARLY, "1.2": Head(1, 2), "mlp 1": Site("mlp", 1)}
BOTH = [(lost_by_path_patching, "clean"), (restored_by_path_patching, "corrupted")]
LAYERS = range(2)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("paths") / request.param, request.param)))


@pytest.fixture(scope="module", params=("gpt2", "neox"))
def ungrouped(request, tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("paths") / request.param, request.param)))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("paths") / "one", "gpt2")))


def members(where) -> tuple:
    return (where,) if isinstance(where, (Head, Site)) else tuple(where)


def outputs(model, tokens) -> dict[str, torch.Tensor]:
    """What every component holds in a hooked run."""
    parts = [f"blocks.{n}.{part}" for n in LAYERS for part in ("attn.hook_z", "hook_mlp_out")]
    return run(model, tokens, keep=["blocks.0.hook_resid_pre", *parts])[1]


def frozen(model, held, others, where, through_mlps: bool, keep=()):
    """A hooked run in which every component is held at its own run's output, the senders at the other's."""
    put = {name: one.clone() for name, one in held.items() if not (through_mlps and name.endswith("mlp_out"))}
    tokens = torch.zeros(held["blocks.0.hook_resid_pre"].shape[:2], dtype=torch.long)  # what is embedded is held too
    for member in members(where):
        if isinstance(member, Head):
            name = f"blocks.{member.layer}.attn.hook_z"
            put[name][:, :, member.head] = others[name][:, :, member.head]
        else:
            put[member.hook] = others[member.hook]
    return run(model, tokens, {name: lambda _, value=value: value for name, value in put.items()}, keep)


def difference(batch, logits) -> torch.Tensor:
    rows = torch.arange(len(logits))
    return logits[rows, -1, batch.answer] - logits[rows, -1, batch.distractor]


def sides(batch, into: str):
    return (batch.tokens, batch.corrupted) if into == "clean" else (batch.corrupted, batch.tokens)


@pytest.mark.parametrize("through_mlps", [False, True])
@pytest.mark.parametrize(
    ("patch", "into"), [(lost_by_path_patching, "clean"), (restored_by_path_patching, "corrupted")]
)
def test_the_path_to_the_logits_is_a_run_with_all_else_frozen(model, patch, into, through_mlps):
    prompts = pairs(4, longest=7)
    patched = patch(model, prompts, SENDERS, through_mlps=through_mlps)
    assert patched.columns == (*SENDERS, "total")
    for batch in batches(model, prompts):
        tokens, other = sides(batch, into)
        held, others = outputs(model, tokens), outputs(model, other)
        before = difference(batch, run(model, tokens)[0])
        for name, where in SENDERS.items():
            after = difference(batch, frozen(model, held, others, where, through_mlps)[0])
            wanted = (before - after) * (1 if into == "clean" else -1)
            np.testing.assert_allclose(patched[name].array[list(batch.rows)], wanted, atol=3e-5, err_msg=name)
    wholly = {"clean": lost_by_patching, "corrupted": restored_by_patching}[into](model, prompts, heads("0.1"))
    np.testing.assert_allclose(patched["total"].array, wholly["total"].array, atol=3e-5)


def receive(model, batch, into, where, receiver: str, through_mlps: bool, keep=()):
    """A run in which one head's query, key or value is what it is in the frozen run."""
    tokens, other = sides(batch, into)
    layer, head, port = receiver.split(".")
    name = f"blocks.{layer}.attn.hook_{port}"
    held, others = outputs(model, tokens), outputs(model, other)
    seen = frozen(model, held, others, where, through_mlps, [name])[1][name][:, :, int(head)]

    def put(old: torch.Tensor) -> torch.Tensor:
        made = old.clone()
        made[:, :, int(head)] = seen
        return made

    return run(model, tokens, {name: put}, keep)


@pytest.mark.parametrize("through_mlps", [False, True])
@pytest.mark.parametrize("receiver", ["1.0.q", "1.1.k", "1.2.v"])
def test_a_head_receives_through_one_input_what_it_receives_in_the_frozen_run(ungrouped, receiver, through_mlps):
    prompts = pairs(3, longest=7)
    for patch, into in BOTH:
        patched = patch(ungrouped, prompts, EARLY, (receiver,), through_mlps)
        for batch in batches(ungrouped, prompts):
            before = difference(batch, run(ungrouped, sides(batch, into)[0])[0])
            for name, where in EARLY.items():
                after = difference(batch, receive(ungrouped, batch, into, where, receiver, through_mlps)[0])
                wanted = (before - after) * (1 if into == "clean" else -1)
                np.testing.assert_allclose(patched[name].array[list(batch.rows)], wanted, atol=3e-5, err_msg=name)


@pytest.mark.parametrize(
    "receivers", [("1.3.q",), ("1.0.k",), ("1.1.v",), ("mlp 1",), ("0.1.k", "mlp 0", "logits"), ("1.3.q", "logits")]
)
def test_a_direct_path_is_an_edge_and_patching_it_is_a_circuit_that_lacks_it(model, receivers):
    prompts, net = pairs(3, longest=7), network(model)
    senders = {"embeddings": EMBEDDINGS} if "0.1.k" in receivers else EARLY
    nodes = {"embeddings": ["input"], "several": ["0.0", "0.3", "mlp 0"]}
    for patch, into in BOTH:
        patched = patch(model, prompts, senders, receivers)
        for batch in batches(model, prompts):
            tokens, other = sides(batch, into)
            gone = [{f"{node}->{to}" for node in nodes.get(name, [name]) for to in receivers} for name in senders]
            masks = [
                mask_of(net.graph, [edge for edge in net.graph.edges if edge not in own]) for own in (set(), *gone)
            ]
            ends = (run_circuit(net, tokens, base_of_run(net, other), mask) for mask in masks)
            before, *after = (difference(batch, net.unembed(end).unsqueeze(1)) for end in ends)
            for name, one in zip(senders, after, strict=True):
                wanted = (before - one) * (1 if into == "clean" else -1)
                np.testing.assert_allclose(patched[name].array[list(batch.rows)], wanted, atol=5e-5, err_msg=name)
    assert np.abs(patched.values[:, :-1]).max() > 1e-3


def test_all_senders_together_carry_everything(model):
    prompts = pairs(4)
    everything = (*all_heads(2, 4), MLP, Site("mlp", 1), EMBEDDINGS)
    for patch in (lost_by_path_patching, restored_by_path_patching):
        patched = patch(model, prompts, {"everything": everything})
        np.testing.assert_allclose(patched["everything"].array, patched["total"].array, atol=3e-5)
    differences = logit_differences(model, prompts)
    assert (differences.units, differences.strata) == (patched.units, patched.strata)


# --- attention ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("through_mlps", [False, True])
@pytest.mark.parametrize("input", ["q", "k"])
def test_attention_is_that_of_the_head_in_the_run_in_which_it_receives(ungrouped, input, through_mlps):
    prompts = pairs(4, longest=7)
    for into in ("clean", "corrupted"):
        after = attention_after_path_patching(
            ungrouped, prompts, EARLY, Head(1, 2), input, "after previous occurrence", through_mlps, into
        )
        assert after.columns == (*EARLY, "intact")
        for batch in batches(ungrouped, prompts):
            at = [words.index(words[-1]) + 2 for words in (prompts.rows[row].clean.split() for row in batch.rows)]
            for name, where in EARLY.items():
                pattern = "blocks.1.attn.hook_pattern"
                seen = receive(ungrouped, batch, into, where, f"1.2.{input}", through_mlps, [pattern])[1][pattern]
                wanted = seen[torch.arange(len(at)), 2, -1, at]
                np.testing.assert_allclose(after[name].array[list(batch.rows)], wanted, atol=1e-5, err_msg=name)


def test_intact_attention_is_what_attention_to_measures(model):
    prompts = pairs(4)
    for target in ("after previous occurrence", "previous occurrence", "first token"):
        whole = attention_to(model, prompts, target)
        for head in (Head(1, 0), Head(1, 3)):
            after = attention_after_path_patching(model, prompts, EARLY, head, "k", target)
            np.testing.assert_allclose(after["intact"].array, whole[head].array, atol=1e-5)
            assert np.abs(after.values - after["intact"].values).max() > 1e-3


# --- bad input ----------------------------------------------------------------------------------------------------


def test_what_cannot_be_asked_is_refused(gpt2):
    prompts = pairs(2)
    for wrong, text in (
        (lambda: lost_by_path_patching(gpt2, prompts, heads("1.1"), ("1.2.q",)), "1.1 writes nothing for 1.2.q"),
        (lambda: lost_by_path_patching(gpt2, prompts, heads("0.1"), ("1.2",)), "has no reader '1.2'"),
        (lambda: lost_by_path_patching(gpt2, prompts, heads("0.1"), ()), "no receivers"),
        (lambda: lost_by_path_patching(gpt2, prompts, {"a": Site("resid_post", 0)}), "hook_resid_post is no sender"),
        (lambda: lost_by_path_patching(gpt2, repeats(2), heads("0.1")), "has no corrupted text"),
        (lambda: lost_by_path_patching(gpt2, prompts, heads("0.7")), "layer 0 has 0 to 3"),
    ):
        with pytest.raises(ValueError, match=text):
            wrong()
    with pytest.raises(REFUSED):
        attention_after_path_patching(gpt2, prompts, heads("0.1"), Head(1, 1), "v", "first token")
    with pytest.raises(REFUSED, match=r"no target 'elsewhere': choose one of|Type-check error"):
        attention_after_path_patching(gpt2, prompts, heads("0.1"), Head(1, 1), "k", "elsewhere")
    with pytest.raises(REFUSED, match=r"receiver '1\.1' is no head|Type-check error"):
        attention_after_path_patching(gpt2, prompts, heads("0.1"), "1.1", "k", "first token")
    with pytest.raises(REFUSED, match=r"give a tuple of names, \('logits',\)|Type-check error"):
        lost_by_path_patching(gpt2, prompts, heads("0.1"), "logits")
    with pytest.raises(ValueError, match="average over all tokens"):
        attention_after_path_patching(gpt2, prompts, heads("0.1"), Head(1, 1), "k", "previous token")


def test_a_path_along_which_nothing_differs_is_refused(gpt2, monkeypatch):
    same = PromptSet("same", "confirmation", (Prompt("w1 w2 w3 w1", "w2", "", "w4"),))
    (alone,) = batches(gpt2, same)
    monkeypatch.setattr(path_patching, "batches", lambda *_: (replace(alone, corrupted=alone.tokens),))
    with pytest.raises(NothingChanged, match=r"clean and corrupted agree on all that 0\.1, mlp 0"):
        restored_by_path_patching(gpt2, same, {"0.1": Head(0, 1), "mlp 0": MLP})
