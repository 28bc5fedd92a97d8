"""Scores by gradients are slopes: of the metric, along what patching a place or corrupting an edge would change."""

from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np
import pytest
import torch

from mechlib.lab.attribution import gradient_runs
from mechlib.lab.attribution.gradients import (
    BadGradient,
    attribution_error,
    attribution_patching,
    edge_scores,
    node_scores,
)
from mechlib.lab.batching import batches
from mechlib.lab.circuits.bases import base_names, written_in_base
from mechlib.lab.forward import linear
from mechlib.lab.forward.families import forward, network
from mechlib.lab.hooks import run
from mechlib.lab.interventions.contexts import Site
from mechlib.lab.interventions.patching import lost_by_patching, restored_by_patching
from mechlib.lab.interventions.sites import components
from mechlib.lab.models.loading import load
from mechlib.parts.heads import Head, all_heads, heads
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.circuit_runs import added_up
from tests.helpers.tiny import FAMILIES, REFUSED, directory, pairs, random_model, repeats, word_tokenizer
from tests.helpers.wide import metric, slope, wide

SETS = {
    "head": Head(0, 1),
    "last head": Head(1, 2),
    "layer": all_heads(2, 4).in_layer(0),
    "mlp": Site("mlp", 0),
    "both": (Head(1, 3), Site("mlp", 1)),
    "stream": Site("resid_post", 0),
    "end": Site("resid_post", 1),
    "embeddings": Site("resid_pre", 0),
}


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("gradients") / request.param, request.param)))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("gradients") / "one", "gpt2")))


def difference(model, batch, name: str) -> torch.Tensor:
    """Clean less corrupted activation, from whole hooked runs."""
    clean, corrupted = (run(model, tokens, keep=[name])[1][name] for tokens in (batch.tokens, batch.corrupted))
    return (clean - corrupted).double()


def written(model, batch) -> dict[str, torch.Tensor]:
    """What each node writes, clean less corrupted."""
    found = {"input": difference(model, batch, "blocks.0.hook_resid_pre")}
    for layer, block in enumerate(model.blocks):
        z = difference(model, batch, f"blocks.{layer}.attn.hook_z")
        found |= {f"{layer}.{head}": z[:, :, head] @ block.attn.W_O[head].double() for head in range(z.shape[2])}
        found[f"mlp {layer}"] = difference(model, batch, f"blocks.{layer}.hook_mlp_out")
    return found


def by_slopes(model, prompts: PromptSet, share: float = 1.0) -> dict[str, float]:
    """Every edge's score, one prompt after the other, in the run that is so far from corrupted to clean."""
    net = wide(network(model))
    found = dict.fromkeys(net.graph.edges, 0.0)
    for batch in batches(model, prompts, size=1):
        sources = torch.cat(list(written(model, batch).values()))
        for node, port in net.graph.targets:
            target = f"{node}.{port}" if port else node
            slopes = slopes_into(net, batch, target, sources[: net.graph.before(node)], share)
            for source, value in zip(net.graph.sources, slopes.tolist(), strict=False):
                found[f"{source}->{target}"] += value / len(prompts)
    return found


def slopes_into(net, batch, target: str, sources: torch.Tensor, share: float) -> torch.Tensor:
    """The scores of the edges from all sources into one target, side by side as rows of one run."""
    n = len(sources)
    embeddings = torch.lerp(net.embed(batch.corrupted), net.embed(batch.tokens), share).expand_as(sources)
    several = replace(batch, prompts=batch.prompts * n, answers=batch.answers * n, distractors=batch.distractors * n)
    edits, tokens = {"blocks.0.hook_resid_pre": lambda _: embeddings}, batch.tokens.expand(n, -1)
    kept = forward(net, tokens, edits=edits, keep=base_names(net))[1]
    own, each = written_in_base(net, tokens, kept)[:n], torch.arange(n)

    def moved(step: float) -> torch.Tensor:
        """In row i what the target sees where source i writes so much more."""
        more = own.clone()
        more[each, each] += step * sources
        return added_up(net, more) - added_up(net, own)

    return slope(lambda step: metric(net, several, tokens, {target: moved(step)}, edits))


def totals(model, prompts: PromptSet, measure) -> float:
    """The mean of the metric over clean less that over corrupted texts, from whole hooked runs."""
    found = []
    for batch in batches(model, prompts):
        clean, corrupted = (measure(run(model, tokens)[0][:, -1], batch) for tokens in (batch.tokens, batch.corrupted))
        found += (clean - corrupted).tolist()
    return float(np.mean(found))


def logit_difference(logits, batch):
    rows = torch.arange(len(logits))
    return logits[rows, batch.answer] - logits[rows, batch.distractor]


def chance(logits, batch):
    return logits.softmax(-1).gather(1, batch.answer.unsqueeze(1)).squeeze(1)


# --- edges --------------------------------------------------------------------------------------------------------


def test_an_edges_score_is_the_slope_along_what_its_source_writes_into_what_its_target_sees(model):
    prompts = pairs(2)
    scores, wanted = edge_scores(model, prompts, "EAP"), by_slopes(model, prompts)
    assert scores.columns == tuple(wanted)
    assert (scores.units, scores.unit) == (("all",), "set of prompts")
    np.testing.assert_allclose(scores.values[0], list(wanted.values()), atol=1e-4, rtol=1e-3)
    assert np.abs(scores.values).max() > 0.05


def test_steps_are_the_middles_of_equal_parts_of_the_way_from_corrupted_to_clean(model):
    prompts = pairs(2)
    several = [by_slopes(model, prompts, share) for share in (1 / 4, 3 / 4)]
    wanted = np.mean([list(one.values()) for one in several], axis=0)
    scores = edge_scores(model, prompts, "EAP-IG", steps=2)
    np.testing.assert_allclose(scores.values[0], wanted, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("measure", [None, chance])
def test_edges_that_leave_the_input_add_up_to_the_metrics_difference(model, measure):
    prompts = pairs(6, longest=6)
    scores = edge_scores(model, prompts, "EAP-IG", steps=64, metric=measure)
    leaving = scores.added_up([edge for edge in scores.columns if edge.startswith("input->")]).array[0]
    assert leaving == pytest.approx(totals(model, prompts, measure or logit_difference), rel=0.01)


def test_scores_of_a_set_are_the_mean_of_its_prompts_scores_whatever_runs_together(model, monkeypatch):
    prompts = pairs(5)
    whole = edge_scores(model, prompts, "EAP").values[0]
    alone = [edge_scores(model, PromptSet("one", "confirmation", (row,)), "EAP").values[0] for row in prompts]
    np.testing.assert_allclose(whole, np.mean(alone, axis=0), atol=2e-5)
    monkeypatch.setattr(gradient_runs, "GRADIENT_BYTES", 1)
    np.testing.assert_allclose(edge_scores(model, prompts, "EAP").values[0], whole, atol=2e-5)


def test_reordered_weights_give_the_same_slopes(model, monkeypatch):
    prompts = pairs(3)
    plain = edge_scores(model, prompts, "EAP").values
    for known in ("_LINEAR_MAPS", "_DIFFERENTIABLE_MAPS"):
        monkeypatch.setattr(linear, known, WeakKeyDictionary())
    monkeypatch.setattr(linear, "WORTH", 0)
    reordered = edge_scores(model, prompts, "EAP").values
    works = linear._works(network(model))  # private operators, which another version of torch may lack
    assert (linear.differentiable_maps(network(model))[0].qkv.there.packed is not None) == works
    np.testing.assert_allclose(reordered, plain, atol=2e-5)
    monkeypatch.setattr(linear, "MOST", linear._bytes(network(model)))  # no room for them a second time
    for known in ("_LINEAR_MAPS", "_DIFFERENTIABLE_MAPS"):
        monkeypatch.setattr(linear, known, WeakKeyDictionary())
    np.testing.assert_allclose(edge_scores(model, prompts, "EAP").values, plain, atol=2e-5)
    once = linear.differentiable_maps(network(model))[0].qkv
    assert (once.there.packed is not None) == works and (not works or once.back.packed is None)
    monkeypatch.setattr(linear, "MOST", 0)
    monkeypatch.setattr(linear, "_LINEAR_MAPS", WeakKeyDictionary())
    assert linear.linear_maps(network(model))[0].qkv.packed is None


# --- nodes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", [-1, (-3, -2), "all"])
@pytest.mark.parametrize("patched_run", ["corrupted", "clean"])
def test_patching_to_first_order_is_the_slope_along_the_difference_of_the_two_runs(model, positions, patched_run):
    prompts, net = pairs(2), wide(network(model))
    rough = attribution_patching(model, prompts, SETS, positions, patched_run)
    for row, batch in enumerate(sorted(batches(model, prompts, size=1), key=lambda batch: batch.rows)):
        tokens = batch.tokens if patched_run == "clean" else batch.corrupted
        for name, where in SETS.items():
            members = (where,) if isinstance(where, (Head, Site)) else tuple(where)
            wanted = sum(float(along(model, net, batch, tokens, member, positions)) for member in members)
            assert rough[name].array[row] == pytest.approx(wanted, abs=1e-4, rel=1e-3), name


def along(model, net, batch, tokens, member, positions) -> torch.Tensor:
    """The slope of the metric as one place moves from the corrupted to the clean activation."""
    site = Site("head", *member) if isinstance(member, Head) else member
    change = difference(model, batch, site.hook)
    kept = torch.zeros_like(change)
    chosen = slice(None) if positions == "all" else [positions] if isinstance(positions, int) else list(positions)
    kept[:, chosen] = change[:, chosen]
    if site.head is not None:
        kept = kept * torch.eye(kept.shape[2], dtype=kept.dtype)[site.head].unsqueeze(-1)
    return slope(lambda step: metric(net, batch, tokens, edits={site.hook: lambda old: old + step * kept}))


def test_columns_are_those_of_exact_patching_and_the_total_is_exact(model):
    prompts = pairs(4)
    for exact, patched_run in ((restored_by_patching, "corrupted"), (lost_by_patching, "clean")):
        whole, rough = exact(model, prompts, SETS), attribution_patching(model, prompts, SETS, patched_run=patched_run)
        assert (rough.columns, rough.units, rough.strata) == (whole.columns, whole.units, whole.strata)
        np.testing.assert_allclose(rough["total"].array, whole["total"].array, atol=3e-5)
        error = attribution_error(model, prompts, SETS, patched_run=patched_run)
        assert error.columns == tuple(SETS)
        np.testing.assert_allclose(error.values, (rough.values - whole.values)[:, :-1], atol=3e-5)


def test_a_place_that_is_named_twice_counts_once(model):
    prompts, site = pairs(4), Site("mlp", 1)
    once, twice = ({"x": (Head(0, 1), site)}, {"x": (Head(0, 1), site, Head(0, 1), site)})
    for measure in (attribution_patching, restored_by_patching, lost_by_patching):
        np.testing.assert_array_equal(measure(model, prompts, twice).values, measure(model, prompts, once).values)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_error_vanishes_with_the_square_of_what_is_changed(family, tmp_path):
    errors = {}
    for size in (1e-2, 1e-3):
        weights = random_model(family)
        table = weights.get_input_embeddings().weight.data
        table[6] = table[5] + size * table[7]  # w3 means nearly what w2 means
        weights.save_pretrained(tmp_path / f"{size}")
        word_tokenizer().save_pretrained(tmp_path / f"{size}")
        prompts = PromptSet("near", "confirmation", (Prompt("w1 w2 w9 w1", "w12", "w1 w3 w9 w1", "w15"),))
        near = load(str(tmp_path / f"{size}"))
        errors[size] = np.abs(attribution_error(near, prompts, components(near), "all").values).max()
        largest = np.abs(attribution_patching(near, prompts, components(near), "all").values).max()
        assert errors[size] < 10 * size * largest + 1e-5
    assert errors[1e-3] < 0.1 * errors[1e-2] + 1e-5


def test_scores_of_nodes_are_attribution_patching_of_the_clean_run_at_every_position(model):
    prompts = pairs(4)
    wanted = attribution_patching(model, prompts, components(model), "all", "clean").without(["total"])
    scores = node_scores(model, prompts, "EAP", by_prompt=True)
    assert scores.columns == tuple(components(model)) == network(model).graph.nodes
    np.testing.assert_allclose(scores.values, wanted.values, atol=2e-5)
    one_row = node_scores(model, prompts, "EAP")
    assert (one_row.units, one_row.columns) == (("all",), scores.columns)
    np.testing.assert_allclose(one_row.values[0], wanted.values.mean(0), atol=2e-5)


def test_a_nodes_score_is_the_sum_of_the_scores_of_the_edges_that_leave_it(model):
    prompts = pairs(4)
    nodes, edges = (scores(model, prompts, "EAP-IG", steps=4) for scores in (node_scores, edge_scores))
    for node in nodes.columns:
        leaving = edges.added_up([edge for edge in edges.columns if edge.startswith(f"{node}->")]).array[0]
        assert nodes[node].array[0] == pytest.approx(leaving, abs=2e-5)


# --- bad input ----------------------------------------------------------------------------------------------------


def test_a_gradient_that_is_no_number_names_layer_and_prompt(tmp_path):
    weights = random_model("llama")  # all it says is finite; the slope at the MLP of layer 1 is not: 1e24 times 1e18
    weights.config.rms_norm_eps, weights.model.norm.weight.data = 1e-38, weights.model.norm.weight.data * 1e24
    first, second = weights.model.layers
    for tiny in weights.model.embed_tokens, first.self_attn.o_proj, first.mlp.down_proj, second.self_attn.o_proj:
        tiny.weight.data *= 1e-18
    weights.save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    prompts = pairs(2)
    with pytest.raises(BadGradient, match=rf"layer 1 .* prompt ({'|'.join(row.fingerprint for row in prompts)}) "):
        edge_scores(load(str(tmp_path)), prompts, "EAP")


def test_what_cannot_be_asked_is_refused(gpt2):
    prompts = pairs(2)
    with pytest.raises(ValueError, match="0 steps between corrupted and clean: ask for at least one"):
        node_scores(gpt2, prompts, steps=0)
    with pytest.raises(ValueError, match="has no layer 2"):
        attribution_patching(gpt2, prompts, heads("2.1"))
    with pytest.raises(ValueError, match="has no corrupted text: there is no second run"):
        edge_scores(gpt2, repeats(2))
    with pytest.raises(REFUSED):
        edge_scores(gpt2, prompts, "IG")
    with pytest.raises(REFUSED):
        attribution_patching(gpt2, prompts, heads("0.1"), patched_run="both")
