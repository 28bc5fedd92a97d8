"""Circuits: how small a part of each network does a task, and whether that part passes for the whole.

A network is taken as a graph. Its nodes are the embeddings, heads, MLPs and the logits; an edge goes from what one node
writes to one input of a later one (a head's query, key or value, an MLP, the logits), which makes 1,519 edges here. A
circuit is a set of edges. To judge it the clean prompt runs with every *other* edge holding what its source wrote on
the corrupted prompt ("counterfactual", unless a claim names another replacement), and F(C) is the mean logit difference
that is left. F(M) is the whole network's, F(0) that of the empty circuit, which
answers the corrupted prompt (that of nodes still has the clean words).
*Faithfulness* is (F(C) - F(0)) / (F(M) - F(0)): 0 for nothing, 1 for all of it.

Circuits are chosen on discovery prompts of indirect objects, two-digit addition and induction: edges by EAP-IG
(Hanna et al. 2024, arXiv:2403.17806; corrupted to clean in five steps), or by EAP where that is said, nodes by the same
scores or by greedy pruning with exact effects. They are judged on confirmation prompts, as hypotheses: is the circuit
equivalent to the network (Shi et al. 2024, arXiv:2410.13032), and does it do more than the same circuit with its heads
exchanged for others of their layers, which keeps size, layers and paths.
Edges that lie on no path from input to logits are dropped before anything runs: of a hundred edges 86 to 96 are left,
of two hundred 182 to 199, of fifty 34 to 50.

Limits: corruption, replacement, direction and metric are choices, and a circuit is one of these choices, as the grid
in `test_choices.py` shows. Which edges matter is asked at all positions at once.

To be read in this order: test_size, test_hypotheses, test_exchanged_heads, test_choices, test_methods,
test_pretrained; of pretrained models `published.py`, test_published_circuits, test_published_methods.
"""

from claims import tasks
from claims.tasks import CONFIRMATION
from mechlib import Circuit, Measurement, PromptSet, circuit_above, strongest_circuit
from mechlib.evidence import evidence
from mechlib.prompts import induction

TASKS = ("ioi", "addition", "induction")
DISCOVERY = {**tasks.DISCOVERY, "induction": induction(100, split="discovery")}
SIZES = (1, 2, 5, 10, 20, 50, 100, 200)


# Evidence of several files. Scores to choose by are one row; what circuits keep is one value for each prompt.


@evidence
def effect_of_edges(model: str, method: str, prompts: PromptSet) -> Measurement:
    """What an edge adds to the logit difference, to first order ("EAP" or "EAP-IG"): means, to choose by.

    The 300 edges of 1,519 with the largest scores; no circuit here is larger.
    """
    from mechlib.lab import edge_scores, load

    found = edge_scores(load(model), prompts, method)
    ranked = sorted(found.columns, key=lambda edge: -abs(found[edge].array[0]))
    return found[ranked[:300]]


@evidence
def effect_of_nodes(model: str, prompts: PromptSet) -> Measurement:
    """The same (EAP-IG) for every head and MLP."""
    from mechlib.lab import load, node_scores

    return node_scores(load(model), prompts)


@evidence
def pruned_nodes(model: str, prompts: PromptSet) -> Measurement:
    """What each head and MLP changed when it was tried, 0 where it was removed: greedy pruning at 1 %."""
    from mechlib.lab import load, prune

    return prune(load(model), prompts, kind="nodes")


@evidence
def by_size(model: str, circuits: tuple[Circuit, ...], sizes: tuple[int, ...], prompts: PromptSet) -> Measurement:
    """Logit difference with everything outside replaced, for circuits of several sizes; "model" and "empty"."""
    from mechlib.lab import circuit_scores, load

    named = {str(size): one.connected() for size, one in zip(sizes, circuits, strict=True)}
    return circuit_scores(load(model), prompts, named, "counterfactual", unit="prompt")


@evidence
def judged(model: str, circuit: Circuit, how: str, prompts: PromptSet, reference: PromptSet | None) -> Measurement:
    """The same for one circuit ("circuit"), and with the circuit itself replaced ("without")."""
    from mechlib.lab import circuit_scores, load

    return circuit_scores(load(model), prompts, circuit.connected(), how, reference, without=True, unit="prompt")


# Choosing, on discovery prompts only. A twin's circuit is chosen again, on the twin.


def edges(model: str, task: str, k: int = 100, method: str = "EAP-IG") -> Circuit:
    """The k edges with the largest scores, of either sign."""
    return strongest_circuit(effect_of_edges(model, method, DISCOVERY[task]), k)


def nodes(model: str, task: str, k: int = 10) -> Circuit:
    """The k heads and MLPs with the largest scores."""
    return strongest_circuit(effect_of_nodes(model, DISCOVERY[task]), k)


def pruned(model: str, task: str) -> Circuit:
    """The heads and MLPs that greedy pruning leaves."""
    return circuit_above(pruned_nodes(model, DISCOVERY[task]))


def sizes_kept(model: str, task: str, method: str = "EAP-IG", sizes: tuple[int, ...] = SIZES) -> Measurement:
    """What the 1, 2, 5, ... strongest edges keep."""
    circuits = tuple(edges(model, task, k, method) for k in sizes)
    return by_size(model, circuits, sizes, CONFIRMATION[task])


def as_shares(found: Measurement) -> Measurement:
    """The same for a curve: above the empty circuit, as a share of the network's mean."""
    empty, sizes = found["empty"].array, [name for name in found.columns if name.isdecimal()]
    whole = (found["model"].array - empty).mean()
    return found.with_columns({size: (found[size].array - empty) / whole for size in sizes})
