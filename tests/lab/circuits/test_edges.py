"""Circuits of edges: each is the run that it describes, from whichever run it starts; against runs of the model."""

import random

import pytest
import torch

from mechlib.lab.attribution.path_patching import node_of
from mechlib.lab.batching import batches
from mechlib.lab.circuits.bases import base_names, base_of_run, written_in_base
from mechlib.lab.circuits.incremental_run import IncrementalRun
from mechlib.lab.circuits.scorer import mask_of
from mechlib.lab.forward.families import forward, network
from mechlib.lab.hooks import run
from mechlib.lab.models.loading import load
from tests.helpers.circuit_runs import added_up, run_circuit
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


def ends(net, tokens, base, circuits, start="all") -> list[torch.Tensor]:
    incremental = IncrementalRun(net, [(tokens, base)], start)
    return [incremental.trial(mask_of(net.graph, circuit).numpy()).stream for circuit in circuits]


def last(net, tokens, shifts=None, edits=None) -> torch.Tensor:
    return forward(net, tokens, shifts, edits)[0][:, -1]


def other_run(net, batch, base: str):
    """The base of this name."""
    if base == "zero":
        return None
    return base_of_run(net, batch.corrupted if base == "corrupted" else batch.tokens.flip(1))


def test_all_edges_are_the_model_and_no_edge_is_the_base(model):
    batch, net = some(model), network(model)
    base = base_of_run(net, batch.corrupted)
    for tokens, circuit, start in ((batch.tokens, net.graph.edges, "none"), (batch.corrupted, (), "all")):
        (end,) = ends(net, batch.tokens, base, [circuit], start)
        torch.testing.assert_close(net.unembed(end), run(model, tokens)[0][:, -1], atol=ATOL, rtol=0)


@pytest.mark.parametrize("base", ["corrupted", "another run", "zero"])
def test_without_one_edge_its_target_alone_sees_the_base(model, base):
    batch, net, exact = some(model), network(model), wide(network(model))
    before, whole = other_run(exact, batch, base), base_of_run(exact, batch.tokens)
    base_writes, own = (written_in_base(exact, batch.tokens, one) for one in (before, whole))
    edges_, other = net.graph.edges, other_run(net, batch, base)
    found = ends(net, batch.tokens, other, [[edge for edge in edges_ if edge != gone] for gone in edges_])
    for gone, end in zip(edges_, found, strict=True):
        source, target = gone.split("->")
        place, n = net.graph.sources.index(source), net.graph.before(node_of(target))
        changed = own[:n].clone()
        changed[place] = base_writes[place]
        wanted = last(exact, batch.tokens, {target: added_up(exact, changed) - added_up(exact, own[:n])}).float()
        torch.testing.assert_close(end, wanted, atol=ATOL, rtol=0, msg=lambda text, gone=gone: f"{gone}: {text}")


@pytest.mark.parametrize("base", ["corrupted", "zero"])
def test_a_circuit_of_nodes_is_the_hooked_run_with_all_others_replaced(model, base):
    batch, net, draw = some(model), network(model), random.Random(0)
    names = [name for name in base_names(net) if "resid" not in name]
    corrupted = run(model, batch.corrupted, keep=names)[1]
    circuits = [draw.sample(net.graph.nodes, n) for n in (1, 2, 3, 5, 7, 9)]
    other = base_of_run(net, batch.corrupted) if base == "corrupted" else None
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
    written = written_in_base(net, tokens, base_of_run(net, tokens))
    before, made = written_in_base(net, tokens, base).double(), written.clone()
    sources = net.graph.sources

    def shift(target: str) -> torch.Tensor:
        """What this reader sees less what it would see in the plain run."""
        node = target if target.startswith(("mlp", "logits")) else target[:-2]
        n = net.graph.before(node)
        seen = [
            (made if f"{source}->{target}" in circuit else before)[place] for place, source in enumerate(sources[:n])
        ]
        return added_up(net, torch.stack(seen)) - added_up(net, written[:n])

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
def test_a_circuit_of_edges_is_that_of_whole_runs_reader_by_reader(model, base):
    batch, net, draw = some(model), network(model), random.Random(1)
    every = draw.sample(net.graph.edges, len(net.graph.edges))
    circuits = [set(every[:n]) for n in (15, 40, 70, 95)]
    circuits += [set(draw.sample(every, n)) for n in (30, 60, 85)]
    circuits += [one - {draw.choice(sorted(one))} for one in circuits]
    exact, other = wide(net), other_run(net, batch, base)
    wanted = [one_by_one(exact, batch.tokens, other_run(exact, batch, base), circuit).float() for circuit in circuits]
    for start in ("all", "none"):
        for end, whole in zip(ends(net, batch.tokens, other, circuits, start), wanted, strict=True):
            torch.testing.assert_close(end, whole, atol=ATOL, rtol=0)
    for circuit, whole in zip(circuits, wanted, strict=True):  # and so are the plain runs that other tests rest on
        end = run_circuit(net, batch.tokens, other, mask_of(net.graph, circuit))
        torch.testing.assert_close(end, whole, atol=ATOL, rtol=0)


def test_parts_that_the_model_lacks_are_named(llama):
    graph = network(llama).graph
    with pytest.raises(ValueError, match=r"'2\.0' is no node or edge of a model of 2 layers with 4 heads"):
        mask_of(graph, ["2.0"])
    with pytest.raises(ValueError, match=r"did you mean '0\.1->1\.1\.[qkv]'"):
        mask_of(graph, ["0.1->1.1.x"])
