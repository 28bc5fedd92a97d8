"""Transformers that other people's compilers made from programs: what they compute is known, and which edges do it.

Nobody here wrote these weights. `firebrand` and `torchwright`, both on the package index, write Phi-3 checkpoints;
where one is not installed, its tests are skipped. Both keep one enormous column in the residual stream, so that norms
divide by a constant.
"""

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from mechlib.lab.attribution.gradients import edge_scores
from mechlib.lab.attribution.path_patching import lost_by_path_patching
from mechlib.lab.batching import batches
from mechlib.lab.behaviour import answers_correctly
from mechlib.lab.circuits.faithfulness import circuit_scores
from mechlib.lab.circuits.pruning import prune
from mechlib.lab.forward.families import forward, network
from mechlib.lab.models.loading import Model, load
from mechlib.parts.circuits import Circuit, circuit
from mechlib.parts.graphs import Edge, layer_of
from mechlib.parts.heads import Head
from mechlib.prompts.promptset import Prompt, PromptSet
from mechlib.statistics import precision, recall

pytestmark = pytest.mark.external
DIGITS = [str(digit) for digit in range(10)]


def tasks(program, length: int, between: str, n: int = 16) -> PromptSet:
    """Random digits, the corrupted ones others, and what the program makes of each: the answers are distinct."""
    rng, rows = random.Random(0), dict[str, Prompt]()  # each text once: asked without corruption, two would be one
    while len(rows) < n:
        clean, corrupted = (tuple(rng.randrange(10) for _ in range(length)) for _ in range(2))
        if program(*clean) != program(*corrupted):
            text, other = (between.join(map(str, digits)) for digits in (clean, corrupted))
            rows.setdefault(text, Prompt(text, str(program(*clean)), other, str(program(*corrupted)), glue=between))
    return PromptSet("program", "discovery", tuple(rows.values()))


def found_by_pruning(model: Model, prompts: PromptSet) -> Circuit:
    changes = prune(model, prompts, threshold=0)
    parts = (part for part, change in zip(changes.columns, changes.values[0], strict=True) if change > 0)
    return Circuit(tuple(parts)).connected()


def computes(model: Model, prompts: PromptSet) -> None:
    """The plain forward pass and the hooked model both compute the program."""
    net = network(model)
    assert answers_correctly(model, prompts).values.all()
    for batch in batches(model, prompts):
        own, hooked = net.unembed(forward(net, batch.tokens)[0][:, -1]), model(batch.tokens)[:, -1]
        assert torch.equal(own.argmax(-1), batch.answer) and torch.equal(own, hooked)


def is_recovered(model: Model, prompts: PromptSet, known: Circuit) -> None:
    """Edge by edge: by pruning, by what each edge costs alone, and by its path."""
    found = found_by_pruning(model, prompts)
    assert (precision(found, known).value, recall(found, known).value) == (1, 1), set(found) ^ set(known)
    scores = circuit_scores(model, prompts, known, "counterfactual")
    np.testing.assert_array_equal(scores["circuit"].array, scores["model"].array)
    whole = Circuit(network(model).graph.edges)
    alone = {edge: whole - (edge,) for edge in known}
    lost = circuit_scores(model, prompts, alone, "counterfactual")
    for name in known:
        moved = lost["model"].array - lost[name].array
        assert np.abs(moved).max() > 0.5, f"{name} carries nothing"
        edge = Edge.parse(name)
        if "." in edge.source and edge.source[0] != "i":
            reader = f"{edge.target}.{edge.port}" if edge.port else edge.target
            sender = {"it": Head(*map(int, edge.source.split(".")))}
            path = lost_by_path_patching(model, prompts, sender, (reader,))["it"].array
            np.testing.assert_allclose(path, moved, rtol=1e-6, atol=1e-6)


# --- firebrand: integer programs over the tokens so far -----------------------------------------------------------


def arithmetic(a: int, b: int, c: int, d: int) -> int:
    return min(max(a - c, 0), 9) + min(b + d, 9)


@pytest.fixture(scope="module")
def firebrand(tmp_path_factory):
    """The model, and firebrand's own weights of the program: layer 0 counts positions, heads stand in layer 1."""
    package = pytest.importorskip("firebrand", reason="no firebrand here: pip install firebrand")
    export = pytest.importorskip("firebrand.hf_export", reason="this firebrand exports no Phi-3")
    last, before, third, first = map(package.history, range(4))
    next_value = (first - before).clip(0, 9) + (third + last).clip(0, 9)
    compiled = package.compile_machine(package.Machine(next_value, lower=0, upper=18))
    path = tmp_path_factory.mktemp("firebrand") / "arithmetic"
    export.to_huggingface(compiled, path, max_context=8)
    return load(str(path)), compiled


def wiring(compiled) -> Circuit:
    """The edges of the program: who reads a column of the stream that another writes, and that a token decides.

    Columns 0 to 2 hold the constant and the position, which no token decides.
    """
    weights = {
        name: np.asarray(getattr(one, "toarray", lambda one=one: one)()) for name, one in compiled.weights.items()
    }

    def columns(name: str, axis: int) -> set[int]:
        return set(np.flatnonzero(weights[name].any(axis=axis)).tolist()) - {0, 1, 2}

    heads, mlps = compiled.config["heads"], compiled.config["layers"]
    writes = {"input": columns("embedding", 0)}
    writes |= {f"1.{head}": columns(f"head_{head}_o", 0) for head in range(heads)}
    writes |= {f"mlp {layer + 1}": columns(f"ff_{layer}_out", 0) for layer in range(mlps)}
    reads = {f"1.{head}.{port}": columns(f"head_{head}_{port}", 1) for head in range(heads) for port in "qkv"}
    reads |= {f"mlp {layer + 1}": columns(f"ff_{layer}_in", 1) for layer in range(mlps)}
    reads |= {"logits": columns("unembedding", 1)}
    edges = [
        f"{source}->{reader}"
        for (source, written), (reader, read) in itertools.product(writes.items(), reads.items())
        if written & read and comes_before(source, reader)
    ]
    return Circuit(tuple(edges)).connected()


def comes_before(source: str, reader: str) -> bool:
    if source == "input" or reader == "logits":
        return True
    node = reader[:-2] if reader[-2] == "." else reader
    return layer_of(source) < layer_of(node) or (
        layer_of(source) == layer_of(node) and "." in source and "." not in node
    )


def test_a_program_compiled_by_firebrand_is_computed(firebrand):
    model, compiled = firebrand
    prompts = tasks(arithmetic, 4, " ")
    computes(model, prompts)
    assert [str(compiled.generate([*map(int, row.clean.split())], 1)[-1]) for row in prompts] == [
        row.answer for row in prompts
    ]


def test_a_program_compiled_by_firebrand_is_recovered_edge_by_edge(firebrand):
    model, compiled = firebrand
    known = wiring(compiled)
    assert len(known) == 13 and {"input->1.0.v", "1.0->mlp 2", "mlp 4->logits"} <= set(known)
    is_recovered(model, tasks(arithmetic, 4, " "), known)
    scores = edge_scores(model, tasks(arithmetic, 4, " "), "EAP")
    seen = {edge for edge, score in zip(scores.columns, scores.values[0], strict=True) if score}
    assert seen == set(known), "the gradient sees an edge that is none, or misses one"


# --- torchwright: graphs of lookups and attention -----------------------------------------------------------------

# Layer 1: head 1.0 fetches the token before; mlp 1 looks up the sum of both. Layer 2: the word stands in the columns of
# the last token's embedding, so head 2.0 takes that embedding away; mlp 2 puts the word there. (torchwright 0.2)
SUM = circuit(
    "input->1.0.v, 1.0->mlp 1, input->mlp 1, mlp 1->mlp 2, mlp 2->logits, input->2.0.v, 2.0->logits, input->logits"
)


def last_digit(a: int, b: int) -> int:
    return (a + b) % 10


@pytest.fixture(scope="module")
def torchwright(tmp_path_factory) -> Model:
    compiler = pytest.importorskip("torchwright.compiler", reason="no torchwright here: pip install torchwright")
    pytest.importorskip("onnx", reason="torchwright needs onnx and ortools: pip install torchwright")
    graph = pytest.importorskip("torchwright.graph.linear")
    inputs, attention = (pytest.importorskip(f"torchwright.ops.{name}") for name in ("inout_nodes", "attention_ops"))
    linear, select = (pytest.importorskip(f"torchwright.ops.{name}") for name in ("linear", "swiglu.map_select"))
    words = inputs.create_embedding([*DIGITS, "<bos>", "<eos>"])
    code = words.get_embedding
    before = attention.attend_to_offset(inputs.create_rope_config(d_head=16), words, -1)
    table = {torch.cat([code(a), code(b)]): code(str(last_digit(int(a), int(b)))) for a in DIGITS for b in DIGITS}
    found = select.map_to_table(linear.concat([words, before]), table, code("0"))
    output = graph.Linear(found, torch.eye(len(found)))
    path: Path = tmp_path_factory.mktemp("torchwright") / "sum"
    compiler.compile_hf_bundle(output, words, path, d=128, d_head=16, max_seq_len=16)
    return load(str(path))


def test_a_graph_compiled_by_torchwright_is_computed(torchwright):
    computes(torchwright, tasks(last_digit, 2, ""))


def test_a_graph_compiled_by_torchwright_is_recovered_edge_by_edge(torchwright):
    is_recovered(torchwright, tasks(last_digit, 2, ""), SUM)
