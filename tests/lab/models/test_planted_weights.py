"""Planted models do what they were written for, by the edges that were written, and by no others."""

import re
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch

from mechlib import checkpoints
from mechlib.checkpoints import files
from mechlib.checkpoints.checkpoint import UnknownModel
from mechlib.checkpoints.planted import KINDS, Plan, plan
from mechlib.checkpoints.resolve import PLANTED, checkpoint
from mechlib.lab.batching import Batch, batches
from mechlib.lab.hooks import run
from mechlib.lab.metrics import correct, logit_diff
from mechlib.lab.models.loading import checkpoint_of, load
from mechlib.lab.models.planted_weights import weights
from mechlib.parts.circuits import circuit
from mechlib.parts.graphs import Graph
from mechlib.prompts.induction import induction
from mechlib.prompts.planted import planted
from mechlib.prompts.promptset import SPLITS
from tests.helpers.edge_by_edge import EdgeByEdge

ABLATIONS = ("counterfactual", "resample", "mean", "zero")
SMALLEST = tuple(f"planted-{kind}-{seed}" for kind, seed in product(KINDS, (0, 1)))
DEEPER = tuple(f"planted-{kind}-7-4x5" for kind in KINDS)


def batch_of(name: str, split: str = "confirmation", n: int = 24) -> Batch:
    (one,) = batches(load(name), planted(name, n=n, split=split))
    return one


class Ablated:
    """Logit differences of a planted model with edges ablated, the slow way."""

    def __init__(self, name: str) -> None:
        self.slow = EdgeByEdge(load(name))
        batch, reference = batch_of(name, n=8), batch_of(name, "reference", n=100)
        self.tokens, self.rows = batch.tokens.numpy(), np.arange(len(batch.rows))
        self.answer, self.distractor = batch.answer.numpy(), batch.distractor.numpy()
        clean, corrupted, means = (
            self.slow.written(tokens.numpy()) for tokens in (batch.tokens, batch.corrupted, reference.tokens)
        )
        self.model = self.difference(clean["logits"])
        self.instead = {
            "counterfactual": corrupted,
            "resample": {node: one[: len(self.rows)] for node, one in means.items()},
            "mean": {node: one.mean(0, keepdims=True) for node, one in means.items()},
            "zero": {node: np.zeros_like(one[:1]) for node, one in means.items()},
        }

    def difference(self, logits: np.ndarray) -> np.ndarray:
        return logits[self.rows, -1, self.answer] - logits[self.rows, -1, self.distractor]

    @cache  # noqa: B019
    def loss(self, how: str, *edges: str) -> np.ndarray:
        """What each prompt loses, as a share of the model's mean logit difference."""
        instead = {edge: np.broadcast_to(self.instead[how][edge.split("->")[0]], self.shape(edge)) for edge in edges}
        return (self.model - self.difference(self.slow.written(self.tokens, instead)["logits"])) / self.model.mean()

    def shape(self, edge: str) -> tuple[int, ...]:
        return (*self.tokens.shape, self.slow.embed.shape[1])


@cache
def ablated(name: str) -> Ablated:
    return Ablated(name)


def known(name: str) -> Plan:
    found = plan(name)
    assert found is not None
    return found


# --- the circuit is exact -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [f"planted-{kind}" for kind in KINDS])
def test_the_slow_forward_pass_is_the_models_own(name):
    batch = batch_of(name)
    logits, _ = run(load(name), batch.tokens)
    np.testing.assert_allclose(EdgeByEdge(load(name)).written(batch.tokens.numpy())["logits"], logits, atol=1e-4)


@pytest.mark.parametrize("name", [f"planted-{kind}-7-4x5" for kind in KINDS])
def test_edges_are_named_as_in_graphs(name):
    graph = Graph(known(name).n_layers, known(name).n_heads)
    assert set(EdgeByEdge(load(name)).edges()) == set(graph.edges)
    graph.check([*known(name).edges, *known(name).constants, *known(name).nodes])
    whole = circuit(", ".join(known(name).edges))
    assert set(whole.connected().parts) == set(whole.parts), "every edge lies on a path from the input to the logits"
    assert whole.nodes == known(name).nodes


@pytest.mark.parametrize(
    ("name", "how"),
    [*product(SMALLEST[::2], ABLATIONS), *product((*SMALLEST[1::2], *DEEPER[:2]), ABLATIONS[:1])],
)
def test_each_edge_of_the_circuit_matters_alone_and_no_other_edge_at_all(name, how):
    model = ablated(name)
    truth = {*known(name).edges, *(known(name).constants if how == "zero" else ())}
    alone = truth - {edge for group in known(name).redundant for edge in group}
    weakest = min((model.loss(how, edge).mean(), edge) for edge in alone)
    assert weakest[0] >= 0.05, f"{how} of {weakest[1]} loses {weakest[0]:.3f} of the logit difference"
    others = set(model.slow.edges()) - truth
    strongest = max((np.abs(model.loss(how, edge)).max(), edge) for edge in others)
    assert strongest[0] <= 1e-5, f"{how} of {strongest[1]} changes {strongest[0]:.2g} of the logit difference"


@pytest.mark.parametrize(("how", "most"), [("counterfactual", 0.01), ("mean", 0.02), ("zero", 0.01)])
@pytest.mark.parametrize("name", ["planted-backup", "planted-backup-1"])
def test_backups_are_seen_only_when_both_are_ablated(name, how, most):
    model, (one, other) = ablated(name), known(name).redundant
    for group in (one, other):
        assert np.abs(model.loss(how, *group).mean()) < most
        assert all(np.abs(model.loss(how, edge).mean()) < most for edge in group)
    assert min(model.loss(how, mine, theirs).mean() for mine, theirs in zip(one, other, strict=True)) >= 0.05


def test_a_backup_does_not_help_against_inhibition_of_the_name_that_is_right():
    losses = [
        ablated(f"planted-backup-{seed}").loss("resample", *known(f"planted-backup-{seed}").redundant[0])
        for seed in (0, 1)
    ]
    assert {loss > 0.9 for loss in np.concatenate(losses)} == {True, False}, (
        "names of another prompt hit it now and then"
    )


@pytest.mark.parametrize("name", ["planted-induction-1", "planted-adder-1", "planted-bias-1"])
def test_constant_edges_are_needed_and_carry_nothing(name):
    model = ablated(name)
    for edge in known(name).constants:
        assert model.loss("zero", edge).mean() >= 0.05
        assert max(np.abs(model.loss(how, edge)).max() for how in ABLATIONS[:3]) <= 1e-5


# --- nodes, through the hooks -------------------------------------------------------------------------------------


def without(name: str, nodes: list[str], how: str = "mean") -> tuple[torch.Tensor, Batch]:
    """Logits with the outputs of nodes replaced by zero, or by their mean over reference prompts at each position."""
    model, batch, reference = load(name), batch_of(name), batch_of(name, "reference", n=100)
    hooks = {node: hook(node) for node in nodes}
    _, kept = run(model, reference.tokens, keep=set(hooks.values()))

    def replaced(place: str, activation: torch.Tensor) -> torch.Tensor:
        activation = activation.clone()
        for node in (node for node in nodes if hooks[node] == place):
            at = ... if node.startswith("mlp") else (slice(None), slice(None), int(node.split(".")[1]))
            activation[at] = kept[place].mean(0)[at[1:] if at is not ... else ...] if how == "mean" else 0
        return activation

    edits = {place: (lambda x, place=place: replaced(place, x)) for place in set(hooks.values())}
    return run(model, batch.tokens, edits)[0], batch


def hook(node: str) -> str:
    layer = re.findall(r"\d+", node)[0]
    return f"blocks.{layer}.hook_mlp_out" if node.startswith("mlp") else f"blocks.{layer}.attn.hook_z"


@pytest.mark.parametrize("name", [*SMALLEST, *DEEPER])
def test_all_distractors_together_change_nothing_and_each_node_of_the_circuit_much(name):
    model, truth = load(name), known(name)
    own = {*truth.nodes, *truth.seats.values()}
    others = [node for node in Graph(truth.n_layers, truth.n_heads).nodes if node not in own]
    whole, batch = run(model, batch_of(name).tokens)[0], batch_of(name)
    assert torch.allclose(without(name, others, "zero")[0], whole, atol=1e-4)
    backups = {truth.seats[role] for role in ("inhibit", "backup") if truth.redundant}
    reader = {
        node for role, node in truth.seats.items() if role == "reader"
    }  # an eighth of the answer, as is asked below
    for node in set(truth.nodes) - backups - reader:
        logits, _ = without(name, [node])
        assert logit_diff(logits, batch.answer, batch.distractor).mean() < 4, "of nearly 10 in the model"
        assert correct(logits, batch.answer).mean() < 0.6
    if backups:
        logits, _ = without(name, sorted(backups))
        assert correct(logits, batch.answer).mean() < 0.6


def test_zero_ablation_reports_a_head_that_says_nothing_and_mean_ablation_does_not():
    for seed in (0, 1):
        name = f"planted-bias-{seed}"
        constant = known(name).seats["constant"]
        assert constant not in known(name).nodes
        zeroed, batch = without(name, [constant], "zero")
        assert logit_diff(zeroed, batch.answer, batch.distractor).mean() < 1
        assert torch.allclose(without(name, [constant])[0], run(load(name), batch.tokens)[0], atol=1e-4)


@pytest.mark.parametrize("name", [*SMALLEST, *DEEPER])
def test_distractors_are_active_depend_on_the_text_and_are_as_large_as_the_circuits_nodes(name):
    model, truth, batch = load(name), known(name), batch_of(name)
    places = {hook(node) for node in Graph(truth.n_layers, truth.n_heads).nodes}
    _, kept = run(model, batch.tokens, keep=places)
    own = set(truth.seats.values())
    for node in Graph(truth.n_layers, truth.n_heads).nodes:
        written = kept[hook(node)]
        if not node.startswith("mlp"):
            layer, head = map(int, node.split("."))
            written = written[:, :, head] @ model.blocks[layer].attn.W_O[head]
        if node in own:
            continue
        assert 1 / 3 < written.norm(dim=-1).mean() < 3, "a word copied by a head of the circuit has length 1"
        assert written.std(0).norm(dim=-1).max() > 0.3, "what it writes depends on the prompt"


# --- the tasks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", [*SMALLEST, *DEEPER])
def test_every_answer_is_right_by_a_wide_margin(name, split):
    (batch,) = batches(load(name), planted(name, split=split))
    logits, _ = run(load(name), batch.tokens)
    assert correct(logits, batch.answer).min() == 1
    assert logit_diff(logits, batch.answer, batch.distractor).min() > 9
    if any(kind in name for kind in ("induction", "place", "adder", "bias")):
        turned, _ = run(load(name), batch.corrupted)
        assert correct(turned, batch.distractor).min() == 1, "the corrupted text's own answer is the distractor"


@pytest.mark.parametrize("kind", KINDS)
def test_splits_share_no_text_and_each_is_the_same_whenever_it_is_drawn(kind):
    sets = [planted(f"planted-{kind}", split=split) for split in SPLITS]
    assert [len(one) for one in sets] == [50, 100, 100]
    assert sum(map(len, sets)) == len(frozenset().union(*(one.members for one in sets)))
    planted.cache_clear()
    assert planted(f"planted-{kind}", split="discovery").fingerprint == sets[0].fingerprint
    assert planted(f"planted-{kind}-7-6x8", split="discovery").rows == sets[0].rows


def test_prompts_say_what_their_circuit_needs():
    for prompt in planted("planted-induction"):
        *words, last = prompt.clean.split()
        assert words.count(last) == 1 and words[words.index(last) + 1] == prompt.answer
        assert not {prompt.distractor, prompt.corrupted.split()[-1]} & set(words)
    for prompt in planted("planted-ioi"):
        names = re.findall(r"[A-Z]\w+", prompt.clean)
        assert names[2] == prompt.distractor and names.count(prompt.distractor) == 2 and prompt.answer in names[:2]
        others = re.findall(r"[A-Z]\w+", prompt.corrupted)
        assert len({*names, *others}) == 5
    for prompt in planted("planted-adder"):
        for text, answer in ((prompt.clean, prompt.answer), (prompt.corrupted, prompt.distractor)):
            a, b = re.search(r"add (\d) .*?to (\d) ", text).groups()
            assert int(answer) == (int(a) + int(b)) % 10


def test_prompts_for_another_model_are_refused():
    with pytest.raises(ValueError, match="'mini-0' is no planted model: write planted-KIND"):
        planted("mini-0")
    with pytest.raises(ValueError, match="no split 'test': choose one of"):
        planted("planted-ioi", split="test")


# --- names, seeds and sizes ---------------------------------------------------------------------------------------


def test_a_name_says_kind_seed_and_size():
    assert plan("planted-ioi") == plan("planted-ioi-0") == Plan("ioi", 0, 3, 4)
    assert plan("planted-adder-7-4x8") == Plan("adder", 7, 4, 8)
    assert plan("planted-induction-2x9") == Plan("induction", 0, 2, 9)
    assert plan("mini-0") is None and plan("planted-clock") is None
    with pytest.raises(UnknownModel, match="1x4 is too small for planted-ioi: its circuit needs 3 layers of 1 heads"):
        checkpoint("planted-ioi-1x4")
    with pytest.raises(UnknownModel, match="did you mean planted-ioi"):
        checkpoint("planted-iol")


@pytest.mark.parametrize("kind", KINDS)
def test_which_heads_play_is_drawn_from_the_seed(kind):
    drawn = [known(f"planted-{kind}-{seed}").seats for seed in range(20)]
    for role in drawn[0].keys() - {"sum", "reader"}:
        assert len({seats[role] for seats in drawn}) == 4, f"{role} has had every head of its layer"
    deeper = [known(f"planted-{kind}-{seed}-6x4").seats for seed in range(20)]
    assert len({seats[role].split(".")[0] for seats in deeper for role in seats}) >= 6


def test_weights_follow_from_the_name_and_differ_between_seeds():
    one, again, other = (weights(known(f"planted-induction-{seed}")) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], again[name]) for name in one)
    overlap = one["embed.weight"] @ other["embed.weight"].T
    assert overlap.abs().max() < 0.6, "two embeddings have no direction in common"
    assert torch.allclose(one["embed.weight"] @ one["embed.weight"].T, torch.eye(18), atol=1e-6)


@pytest.mark.parametrize("name", [*PLANTED, "planted-bias-7-4x5"])
def test_a_planted_model_is_known_without_being_made(name):
    described = checkpoint(name)
    assert (described.kind, checkpoints.is_here(described)) == ("planted", True)
    assert checkpoints.weight_hash(described) == f"{name}.1"
    assert checkpoints.file_name(name) == name
    model = load(name)
    assert checkpoints.memory(described).parameters == sum(one.numel() for one in model.parameters())
    assert checkpoint_of(model) == described
    assert load(name) is model
    assert (model.unembed.b_U == 0).all() and model.cfg.normalization_type is None


def test_twins_of_a_planted_model_cannot_do_its_task():
    batch = batch_of("planted-ioi")
    for twin in checkpoints.twins("planted-ioi"):
        assert correct(run(load(twin), batch.tokens)[0], batch.answer).mean() < 0.5
    assert (
        checkpoints.weight_hash(checkpoint("planted-ioi@permuted"))
        == f"planted-ioi.1+permuted.{files.RECIPES['permuted']}"
    )
    assert load("planted-ioi@permuted").W_E.norm() == pytest.approx(load("planted-ioi").W_E.norm().item())


def test_a_planted_model_has_nothing_to_fold():
    with pytest.raises(ValueError, match="planted-ioi has no norms to fold: load it raw"):
        load("planted-ioi", folded=True)


def test_a_text_of_another_world_is_refused_by_word():
    with pytest.raises(ValueError, match="planted-induction does not know"):
        batches(load("planted-induction"), induction(n=2))
