"""Circuits of edges: every one is the run that it describes, whatever ran before it and whatever is left out."""

import random

import pytest
import torch

from mechlib.lab.batching import batches
from mechlib.lab.circuits import edges
from mechlib.lab.circuits.edges import base_names, mask_of, run_circuits, run_of, written_by
from mechlib.lab.forward.families import forward, network
from mechlib.lab.hooks import run
from mechlib.lab.models.loading import load
from tests.helpers.tiny import FAMILIES, directory, pairs
from tests.helpers.wide import wide

ATOL = 5e-5


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("edges") / request.param, request.param)))


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("edges") / "one", "llama")))


def some(model, n: int = 3):
    """A batch of prompts of one length that differ from their corrupted texts at several positions."""
    return max(batches(model, pairs(4 * n)), key=lambda batch: len(batch.rows))


def ends(net, tokens, base, circuits) -> list[torch.Tensor]:
    return list(run_circuits(net, tokens, base, [mask_of(net.graph, circuit) for circuit in circuits]))


def last(net, tokens, shifts=None, edits=None) -> torch.Tensor:
    return forward(net, tokens, shifts, edits)[0][:, -1]


def other_run(net, batch, base: str):
    """The base of this name."""
    if base == "zero":
        return None
    return run_of(net, batch.corrupted if base == "corrupted" else batch.tokens.flip(1))


def test_all_edges_are_the_model_and_no_edge_is_the_base(model):
    batch, net = some(model), network(model)
    base = run_of(net, batch.corrupted)
    for tokens, circuit in ((batch.tokens, net.graph.edges), (batch.corrupted, ())):
        (end,) = ends(net, batch.tokens, base, [circuit])
        torch.testing.assert_close(net.unembed(end), run(model, tokens)[0][:, -1], atol=ATOL, rtol=0)


@pytest.mark.parametrize("base", ["corrupted", "another run", "zero"])
def test_without_one_edge_its_target_alone_sees_the_base(model, base):
    batch, net, exact = some(model), network(model), wide(network(model))
    before, whole = other_run(exact, batch, base), run_of(exact, batch.tokens)
    moved = written_by(exact, batch.tokens, before) - written_by(exact, batch.tokens, whole)
    edges_, other = net.graph.edges, other_run(net, batch, base)
    found = ends(net, batch.tokens, other, [[edge for edge in edges_ if edge != gone] for gone in edges_])
    for gone, end in zip(edges_, found, strict=True):
        source, target = gone.split("->")
        wanted = last(exact, batch.tokens, {target: moved[net.graph.sources.index(source)]}).float()
        torch.testing.assert_close(end, wanted, atol=ATOL, rtol=0, msg=lambda text, gone=gone: f"{gone}: {text}")


@pytest.mark.parametrize("base", ["corrupted", "zero"])
def test_a_circuit_of_nodes_is_the_hooked_run_with_all_others_replaced(model, base):
    batch, net, draw = some(model), network(model), random.Random(0)
    names = [name for name in base_names(net) if "resid" not in name]
    corrupted = run(model, batch.corrupted, keep=names)[1]
    circuits = [draw.sample(net.graph.nodes, n) for n in (1, 2, 3, 5, 7, 9)]
    other = run_of(net, batch.corrupted) if base == "corrupted" else None
    for circuit, end in zip(circuits, ends(net, batch.tokens, other, circuits), strict=True):

        def replace(name: str, circuit=circuit):
            def edit(old: torch.Tensor) -> torch.Tensor:
                layer = name.split(".")[1]
                new = corrupted[name] if base == "corrupted" else torch.zeros_like(old)
                if name.endswith("mlp_out"):
                    return old if f"mlp {layer}" in circuit else new
                made = new.clone()
                for head in range(old.shape[2]):
                    if f"{layer}.{head}" in circuit:
                        made[:, :, head] = old[:, :, head]
                return made

            return edit

        wanted = run(model, batch.tokens, {name: replace(name) for name in names})[0][:, -1]
        torch.testing.assert_close(net.unembed(end), wanted, atol=ATOL, rtol=0)


def one_by_one(net, tokens, base, circuit) -> torch.Tensor:
    """A circuit from whole runs: node after node gets a run of its own, in which its readers are shifted.

    In float64: norms blow up the rounding of what is zero in truth.
    """
    written = written_by(net, tokens, run_of(net, tokens))
    before, made = written_by(net, tokens, base), written.clone()
    sources = net.graph.sources

    def shift(target: str) -> torch.Tensor:
        """What this reader sees less what it would see in the plain run."""
        node = target if target.startswith(("mlp", "logits")) else target[:-2]
        seen = sum(
            (made if f"{source}->{target}" in circuit else before)[place] - written[place]
            for place, source in enumerate(sources[: net.graph.before(node)])
        )
        return torch.as_tensor(seen)

    for place, node in list(enumerate(sources))[1:]:
        readers = [node] if node.startswith("mlp") else [f"{node}.{port}" for port in "qkv"]
        layer = int(node[4:] if node.startswith("mlp") else node.split(".")[0])
        kept = forward(net, tokens, {reader: shift(reader) for reader in readers}, keep=base_names(net))[1]
        if node.startswith("mlp"):
            made[place] = kept[f"blocks.{layer}.hook_mlp_out"]
        else:
            head = int(node.split(".")[1])
            made[place] = kept[f"blocks.{layer}.attn.hook_z"][:, :, head] @ net.blocks[layer].W_O[head]
    return last(net, tokens, {"logits": shift("logits")})


@pytest.mark.parametrize("base", ["corrupted", "another run", "zero"])
def test_a_circuit_of_edges_is_that_of_whole_runs_reader_by_reader_whatever_ran_before(model, base, monkeypatch):
    batch, net, draw = some(model), network(model), random.Random(1)
    every = draw.sample(net.graph.edges, len(net.graph.edges))
    circuits = [set(every[:n]) for n in (15, 40, 70, 95)]
    circuits += [set(draw.sample(every, n)) for n in (30, 60, 85)]
    circuits += [one - {draw.choice(sorted(one))} for one in circuits]
    exact, other = wide(net), other_run(net, batch, base)
    wanted = [one_by_one(exact, batch.tokens, other_run(exact, batch, base), circuit).float() for circuit in circuits]
    for budget in (edges.BUDGET, 2000):  # the second: prompt by prompt, and nothing is remembered for long
        monkeypatch.setattr(edges, "BUDGET", budget)
        for end, whole in zip(ends(net, batch.tokens, other, circuits), wanted, strict=True):
            torch.testing.assert_close(end, whole, atol=ATOL, rtol=0)
    for circuit, whole in zip(circuits[::3], wanted[::3], strict=True):
        torch.testing.assert_close(ends(net, batch.tokens, other, [circuit])[0], whole, atol=ATOL, rtol=0)


def test_what_several_circuits_make_from_the_same_is_computed_once(llama, monkeypatch):
    batch, net = some(llama), network(llama)
    base, computed = run_of(net, batch.corrupted), []
    exact = edges._Runner._heads

    def counted(self, layer, heads, seen):
        computed.extend((layer, head) for head in heads)
        return exact(self, layer, heads, seen)

    monkeypatch.setattr(edges._Runner, "_heads", counted)
    ends(net, batch.tokens, base, [net.graph.edges] * 5)
    assert len(computed) == len(set(computed)) == 8
    computed.clear()
    without = [edge for edge in net.graph.edges if edge not in ("0.1->1.2.k", "0.1->1.2.v")]
    ends(net, batch.tokens, base, [net.graph.edges, without])
    assert sorted(computed) == sorted([*[(layer, head) for layer in range(2) for head in range(4)], (1, 2)])
    computed.clear()
    ends(net, batch.tokens, base, [["input->0.2.v", "0.2->logits", "input->0.1.v", "0.1->mlp 1", "input->1.0.k"]])
    assert computed == [(0, 2)]  # no path leads from 0.1 and 1.0 to the logits


def test_positions_at_which_base_and_run_agree_are_not_computed(llama, monkeypatch):
    batch, net = some(llama), network(llama)
    first = int((batch.tokens != batch.corrupted).any(0).nonzero()[0])
    assert 0 < first < batch.tokens.shape[1] - 1
    runner = edges._Runner(net, batch.tokens, run_of(net, batch.corrupted))
    assert runner.before.shape[2] == batch.tokens.shape[1] - first
    clean = run_of(net, batch.tokens)  # as in denoising: a clean run, but for its input
    mixed = {**clean, "blocks.0.hook_resid_pre": net.embed(batch.corrupted)}
    assert edges._Runner(net, batch.tokens, mixed).before.shape[2] == batch.tokens.shape[1] - first
    early = {**clean, "blocks.1.attn.hook_z": clean["blocks.1.attn.hook_z"].clone()}
    early["blocks.1.attn.hook_z"][:, 1, 0, 0] += 1
    assert edges._Runner(net, batch.tokens, early).before.shape[2] == batch.tokens.shape[1] - 1
    assert edges._Runner(net, batch.tokens, None).before.shape[2] == batch.tokens.shape[1]


def test_parts_that_the_model_lacks_are_named(llama):
    graph = network(llama).graph
    with pytest.raises(ValueError, match=r"'2\.0' is no node or edge of a model of 2 layers with 4 heads"):
        mask_of(graph, ["2.0"])
    with pytest.raises(ValueError, match=r"did you mean '0\.1->1\.1\.[qkv]'"):
        mask_of(graph, ["0.1->1.1.x"])
