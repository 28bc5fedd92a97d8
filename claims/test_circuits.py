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
equivalent to the network, is what it leaves out independent of the task, is every edge needed, does it beat random
circuits of equal size (Shi et al. 2024, arXiv:2410.13032), is nothing outside a backup for what is inside (Wang et al.
2022, arXiv:2211.00593). Edges that lie on no path from input to logits are dropped before anything runs, and random
circuits are as large as what is left: of a hundred edges 86 to 96, of two hundred 182 to 199, of fifty 34 to 50.

Limits: corruption, replacement, direction and metric are choices, and a circuit is one of these choices, as the grid
below shows. Which edges matter is asked at all positions at once.
"""

import pytest

from mechlib import (
    Circuit,
    Measurement,
    PromptSet,
    agreement_of_halves,
    circuit_above,
    cmd,
    difference,
    equivalence,
    every,
    exact,
    faithfulness,
    heads,
    independence,
    mean,
    minimality,
    no_twin,
    open_question,
    overlap,
    partial_necessity,
    proportion,
    published,
    ratio,
    refuted,
    requires,
    share_kept,
    show,
    strongest_circuit,
    sufficiency,
)
from mechlib.evidence import evidence
from mechlib.graphs import circuit_of
from mechlib.grids import cells, kept
from mechlib.plots import by_column, circuit_graph, curve, matrix
from mechlib.tasks.addition import addition
from mechlib.tasks.induction import induction
from mechlib.tasks.ioi import ioi

MINIS = ("mini-0", "mini-1", "mini-2", "mini-3", "mini-4")
TASKS = ("ioi", "addition", "induction")
DISCOVERY = {
    "ioi": ioi(80, split="discovery"),
    "addition": addition(100, split="discovery"),
    "induction": induction(100, split="discovery"),
}
CONFIRMATION = {"ioi": ioi(160), "addition": addition(200), "induction": induction(200)}
MORE = {"ioi": ioi(), "addition": addition(400), "induction": induction()}  # independence is seldom decided on fewer
SIZES = (1, 2, 5, 10, 20, 50, 100, 200)
FEW_SIZES = (5, 20, 100, 200)
EDGES = 1519

# Wang et al. 2022, figure 2: all classes of heads, backups among them. Their MLPs are never replaced.
PUBLISHED = {
    "gpt2-small": heads(
        "9.9 9.6 10.0 10.7 11.10 7.3 7.9 8.6 8.10 5.5 6.9 5.8 5.9 0.1 3.0 0.10 2.2 4.11 9.0 9.7 10.1 10.2 10.6 10.10 "
        "11.2 11.9"
    )
}

METHOD = "about how edges are chosen and not about the network: they are chosen as well where there is little to choose"
ONE = "no twin has a difference between the two prompts to keep a share of; the companion in logits has twins"


# Why predictions failed, where several failed for one reason.
AHEAD = "the network is ahead of the circuit on 78 to 92 % of prompts"
FAR = "the network is ahead on 93 to 96 % of pairs, by two fifths of its logit difference or more"
LEFT = "rank correlations of .62 to .69: what is left of a sum still follows it"
STILL = "rank and distance correlations of .8 to .9: what is left is far on the other side, and follows the network"
WIDE = "a rank correlation between 0 and .5 is left open by 16 templates"
THIRTY = "the edge that costs least may cost no more than an added one: 32 prompts leave both sides open"
BOTTLENECKS = "other circuits of this size cut what everything goes through, and cost as much"
ZEROS = "with zeros outside a tenth or less is kept, with another prompt .4 to .6: it was chosen against one corruption"


# Evidence. Scores to choose by are one row; what circuits keep is one value for each prompt.


@evidence
def right(model: str, prompts: PromptSet) -> Measurement:
    """1 where the answer is what comes next, else 0."""
    from mechlib.lab.behaviour import answers_correctly
    from mechlib.lab.models import load

    return answers_correctly(load(model), prompts)


@evidence
def effect_of_edges(model: str, method: str, prompts: PromptSet) -> Measurement:
    """What an edge adds to the logit difference, to first order ("EAP" or "EAP-IG"): means, to choose by.

    The 300 edges of 1,519 with the largest scores; no circuit here is larger.
    """
    from mechlib.lab.gradients import edge_scores
    from mechlib.lab.models import load

    found = edge_scores(load(model), prompts, method)
    ranked = sorted(found.columns, key=lambda edge: -abs(found[edge].array[0]))
    return found[ranked[:300]]


@evidence
def effect_of_nodes(model: str, prompts: PromptSet) -> Measurement:
    """The same (EAP-IG) for every head and MLP."""
    from mechlib.lab.gradients import node_scores
    from mechlib.lab.models import load

    return node_scores(load(model), prompts)


@evidence
def effect_of_nodes_by_prompt(model: str, prompts: PromptSet) -> Measurement:
    """The same, prompt by prompt."""
    from mechlib.lab.gradients import node_scores
    from mechlib.lab.models import load

    return node_scores(load(model), prompts, by_prompt=True)


@evidence
def pruned_nodes(model: str, prompts: PromptSet) -> Measurement:
    """What each head and MLP changed when it was tried, 0 where it was removed: greedy pruning at 1 %."""
    from mechlib.lab.discovery import prune
    from mechlib.lab.models import load

    return prune(load(model), prompts, kind="nodes")


@evidence
def by_size(model: str, circuits: tuple[Circuit, ...], sizes: tuple[int, ...], prompts: PromptSet) -> Measurement:
    """Logit difference with everything outside replaced, for circuits of several sizes; "model" and "empty"."""
    from mechlib.lab.faithfulness import circuit_scores
    from mechlib.lab.models import load

    named = {str(size): one.connected() for size, one in zip(sizes, circuits, strict=True)}
    return circuit_scores(load(model), prompts, named, "counterfactual")


@evidence
def judged(model: str, circuit: Circuit, how: str, prompts: PromptSet, reference: PromptSet | None) -> Measurement:
    """The same for one circuit ("circuit"), and with the circuit itself replaced ("without")."""
    from mechlib.lab.faithfulness import circuit_scores
    from mechlib.lab.models import load

    return circuit_scores(load(model), prompts, circuit.connected(), how, reference, without=True)


@evidence
def of_random_circuits(model: str, circuit: Circuit, prompts: PromptSet) -> Measurement:
    """The same for 200 random circuits with as many edges on paths from input to logits: one row each, means."""
    from mechlib.lab.knockouts import random_circuit_scores
    from mechlib.lab.models import load

    return random_circuit_scores(load(model), prompts, circuit.connected(), "counterfactual", n=200)


@evidence
def lost_by_edge(model: str, circuit: Circuit, prompts: PromptSet) -> Measurement:
    """Logits that the circuit loses with each of its edges."""
    from mechlib.lab.knockouts import lost_by_part
    from mechlib.lab.models import load

    return lost_by_part(load(model), prompts, circuit.connected(), "counterfactual")


@evidence
def lost_by_added_edge(model: str, circuit: Circuit, prompts: PromptSet) -> Measurement:
    """Logits lost with one edge of a path that was added to the circuit at random: 200 paths, one row each."""
    from mechlib.lab.knockouts import lost_by_added_part
    from mechlib.lab.models import load

    return lost_by_added_part(load(model), prompts, circuit.connected(), "counterfactual", n=200)


@evidence
def without_parts(model: str, circuit: Circuit, prompts: PromptSet) -> Measurement:
    """Logit difference of circuit and network without the same edges: six random halves of the circuit's."""
    from mechlib.lab.knockouts import under_knockouts
    from mechlib.lab.models import load
    from mechlib.random_circuits import random_knockouts

    whole = circuit.connected()
    return under_knockouts(load(model), prompts, whole, random_knockouts(whole, n=6), "counterfactual")


@evidence
def over_grid(model: str, circuit: Circuit, prompts: tuple[PromptSet, ...], reference: PromptSet) -> Measurement:
    """The circuit of indirect objects under four replacements, two directions, four metrics, two corruptions."""
    from mechlib.lab.grid import grid
    from mechlib.lab.models import load

    return grid(load(model), dict(zip(("giver", "names"), prompts, strict=True)), circuit.connected(), reference)


@evidence
def attribution_missed(model: str, prompts: PromptSet) -> Measurement:
    """Attribution patching less exact patching of each layer's heads and MLP at the last position, in logits."""
    from mechlib.lab.gradients import attribution_error
    from mechlib.lab.models import load
    from mechlib.lab.sweeps import layers, restored_by_patching

    network = load(model)
    missed = attribution_error(network, prompts, layers(network))
    total = restored_by_patching(network, prompts, {"mlp 0": layers(network)["mlp 0"]})["total"]
    return missed.with_columns({**{name: missed[name].array for name in missed.columns}, "total": total.array})


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


# How small a circuit does the task.


@pytest.mark.parametrize("task", ("ioi", "induction"))
@pytest.mark.parametrize("model", MINIS)
@no_twin(ONE)
@refuted({"mini-3-ioi": "88 %, from 87 to 89"})
@open_question({"mini-0-ioi": "92 %, from 89 to 95", "mini-1-ioi": "90 %, from 87 to 92"})
def test_a_hundred_edges_do_nine_tenths_of_the_task(model, task):
    """The 100 strongest of 1,519 edges keep at least 90 % of what tells the clean from the corrupted prompt.

    Source: mini-pilot on discovery prompts keeps 94 % of indirect objects and all of induction.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    found = sizes_kept(model, task)
    show(curve, {("EAP-IG", size): as_shares(found)[size] for size in map(str, SIZES)}, "Faithfulness by size")
    scores = effect_of_edges(model, "EAP-IG", DISCOVERY[task])
    show(circuit_graph, scores[edges(model, task, 50).connected().parts], "The 50 strongest edges, as they were chosen")
    assert faithfulness(found[["model", "empty", "100"]]) >= 0.9


@pytest.mark.parametrize("model", MINIS)
@no_twin(ONE)
def test_addition_is_not_done_by_two_hundred_edges(model):
    """The 200 strongest of 1,519 edges keep less than 90 % of what tells one sum from another.

    Source: mini-pilot on discovery prompts keeps 73 %: every head of the first layer and every MLP has a share.
    """
    requires(proportion(right(model, CONFIRMATION["addition"])) >= 0.8)
    found = sizes_kept(model, "addition")
    show(curve, {("EAP-IG", size): as_shares(found)[size] for size in map(str, SIZES)}, "Faithfulness by size")
    scores = effect_of_edges(model, "EAP-IG", DISCOVERY["addition"])
    chosen = edges(model, "addition", 50).connected().parts
    show(circuit_graph, scores[chosen], "The 50 strongest edges, as they were chosen")
    assert faithfulness(found[["model", "empty", "200"]]) < 0.9


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MINIS)
def test_ten_heads_and_mlps_carry_five_logits(model, task):
    """The ten strongest of 36 heads and MLPs keep at least 5 logits more than none of them.

    Source: mini-pilot on discovery prompts: 13 logits of indirect objects, 15 of addition, 35 of induction.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    found = judged(model, nodes(model, task), "counterfactual", CONFIRMATION[task], None)
    assert mean(found.less("circuit", "empty")) >= 5


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MINIS)
@no_twin(ONE)
@open_question({"mini-0-ioi": "90 %, from 87 to 93", "mini-1-ioi": "91 %, from 89 to 93"})
def test_what_greedy_pruning_leaves_does_nine_tenths_of_the_task(model, task):
    """The heads and MLPs that greedy pruning leaves keep at least 90 %.

    Pruning removes what changes a prompt by less than 1 %, on average.
    Source: mini-pilot on discovery prompts keeps 98, 99 and 100 %.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    tried = pruned_nodes(model, DISCOVERY[task])
    show(by_column, tried[pruned(model, task).parts], "What each node changed when it was tried, as a share")
    found = judged(model, pruned(model, task), "counterfactual", CONFIRMATION[task], None)
    assert faithfulness(found) >= 0.9


@pytest.mark.parametrize("model", MINIS)
@no_twin("a bound from above: where nothing matters, pruning leaves nothing")
@refuted({"mini-0": "13", "mini-3": "15: its induction is spread over two layers"})
def test_a_third_of_the_nodes_is_enough_for_induction(model):
    """On the 100 discovery prompts greedy pruning leaves at most 12 of 36 heads and MLPs for induction.

    A count on these prompts, without an interval: others might leave others.

    Source: mini-pilot on discovery prompts: 8, three of them heads of the second layer.
    """
    requires(proportion(right(model, CONFIRMATION["induction"])) >= 0.8)
    assert exact(len(pruned(model, "induction")), of="heads and MLPs") <= 12


@pytest.mark.parametrize("model", MINIS)
@no_twin("that pruning leaves much says nothing of a network that does not do the task")
def test_addition_takes_more_nodes_than_induction(model):
    """On 100 discovery prompts each greedy pruning leaves at least 10 heads and MLPs more for addition than for
    induction.

    Counts on these prompts, without an interval.

    Source: mini-pilot on discovery prompts: 31 and 8.
    """
    requires(proportion(right(model, CONFIRMATION["addition"])) >= 0.8)
    more = len(pruned(model, "addition")) - len(pruned(model, "induction"))
    assert exact(more, of="heads and MLPs") >= 10


# Circuits as hypotheses: the hundred strongest edges.


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MINIS)
@no_twin("an equivalence: in a network that does not do the task any circuit passes for the whole")
@refuted(
    {
        "mini-0-addition": FAR,
        "mini-1-addition": FAR,
        "mini-2-addition": FAR,
        "mini-3-addition": FAR,
        "mini-4-addition": FAR,
        "mini-0-ioi": AHEAD,
        "mini-1-ioi": AHEAD,
        "mini-2-ioi": AHEAD,
        "mini-3-ioi": AHEAD,
    }
)
@open_question(
    {
        "mini-4-ioi": "neither is ahead on more than 63 % of prompts",
        "mini-0-induction": "the circuit is ahead on 65 % of sequences, from 60 to 70",
        "mini-1-induction": "neither is ahead on more than 60.1 % of sequences",
        "mini-2-induction": "the circuit is ahead on 62 % of sequences, from 57 to 68",
    }
)
def test_two_hundred_edges_pass_for_the_network(model, task):
    """The circuit of 200 edges and the network are equivalent: neither is ahead on more than 60 % of the prompts, and
    they differ by at most 10 % of the network's mean logit difference.

    Source: Shi et al. 2024, arXiv:2410.13032, with margins instead of a test; there the circuit of indirect objects in
    GPT-2 fails. On mini-pilot's discovery prompts addition fails by far (5 times the margin), indirect objects by a
    little (1.2).
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    found = judged(model, edges(model, task, 200), "counterfactual", MORE[task], None)
    assert every(equivalence(found)) <= 1


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MINIS)
@no_twin("an independence: what depends on nothing in a random network is nothing")
@refuted(
    {
        "mini-0-addition": LEFT,
        "mini-1-addition": LEFT,
        "mini-2-addition": LEFT,
        "mini-3-addition": LEFT,
        "mini-4-addition": LEFT,
        "mini-0-induction": STILL,
        "mini-1-induction": STILL,
        "mini-2-induction": STILL,
        "mini-3-induction": STILL,
        "mini-4-induction": STILL,
        "mini-1-ioi": "a distance correlation of .42, from .23 to .61, in what is left",
    }
)
@open_question({"mini-0-ioi": WIDE, "mini-2-ioi": WIDE, "mini-3-ioi": WIDE, "mini-4-ioi": WIDE})
def test_what_two_hundred_edges_leave_out_does_not_depend_on_the_task(model, task):
    """Without the circuit of 200 edges what is left of the logit difference does not follow the network's: rank and
    distance correlation are at most 0.2.

    Source: Shi et al. 2024, arXiv:2410.13032, whose test asks for the absence of a significant correlation; this one
    asks for a small one. On mini-pilot's discovery prompts induction fails (.9), addition too (.5).
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    found = judged(model, edges(model, task, 200), "counterfactual", MORE[task], None)
    assert every(independence(found)) <= 0.2


@pytest.mark.parametrize("model", MINIS)
@no_twin(METHOD)
@refuted(
    {
        "mini-0": "mlp 0->2.6.v costs the circuit less than an edge added at random",
        "mini-2": "mlp 0->3.3.v costs the circuit less than an edge added at random",
    }
)
@open_question({"mini-1": THIRTY, "mini-3": THIRTY, "mini-4": THIRTY})
def test_every_one_of_fifty_edges_is_needed(model):
    """Each of the 50 strongest edges for indirect objects costs the circuit more than 90 % of edges that a random path
    adds.

    Source: Shi et al. 2024, arXiv:2410.13032: minimality. Expected to fail: on mini-pilot's discovery prompts a tenth
    of 100 edges costs nothing or less.
    """
    requires(proportion(right(model, CONFIRMATION["ioi"])) >= 0.8)
    prompts = CONFIRMATION["ioi"].take(32)
    lost = lost_by_edge(model, edges(model, "ioi", 50), prompts)
    show(circuit_graph, lost, "Logits lost with each edge of the circuit")
    assert every(minimality(lost, lost_by_added_edge(model, edges(model, "ioi", 50), prompts))) > 0


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MINIS)
@no_twin(METHOD)
def test_a_hundred_edges_beat_nine_of_ten_random_circuits(model, task):
    """The circuit of 100 edges misses the network's logit difference by less than 90 % of 200 random circuits of equal
    size.

    Source: Shi et al. 2024, arXiv:2410.13032: sufficiency; mini-pilot beats 40 of 40 on discovery prompts.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    chosen, prompts = edges(model, task), CONFIRMATION[task].take(32)
    found = judged(model, chosen, "counterfactual", prompts, None)
    assert sufficiency(found, of_random_circuits(model, chosen, prompts)) >= 0.9


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MINIS)
@no_twin(METHOD)
@refuted(
    {
        "mini-0-induction": BOTTLENECKS,
        "mini-1-ioi": BOTTLENECKS,
        "mini-1-induction": BOTTLENECKS,
        "mini-2-ioi": BOTTLENECKS,
        "mini-3-ioi": BOTTLENECKS,
        "mini-3-induction": BOTTLENECKS,
        "mini-4-ioi": BOTTLENECKS,
    }
)
@open_question(
    {
        "mini-0-ioi": "86 %, from 80 to 90.1",
        "mini-2-induction": "88 %, from 83 to 92",
        "mini-4-induction": "92.5 %, from 88 to 95",
    }
)
def test_the_network_misses_a_hundred_edges_more_than_nine_of_ten_random_circuits(model, task):
    """Replacing the circuit of 100 edges costs more than replacing 90 % of 200 random circuits of equal size.

    Source: Shi et al. 2024, arXiv:2410.13032: partial necessity. Expected to be close: on mini-pilot's discovery
    prompts the circuit costs more than 34 of 40 (indirect objects, induction) and 38 of 40 (addition), for a random
    circuit that cuts one bottleneck costs everything too.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    chosen, prompts = edges(model, task), CONFIRMATION[task].take(32)
    found = judged(model, chosen, "counterfactual", prompts, None)
    assert partial_necessity(found, of_random_circuits(model, chosen, prompts)) >= 0.9


@pytest.mark.parametrize("task", ("ioi", "induction"))
@pytest.mark.parametrize("model", MINIS)
@no_twin(ONE)
@open_question({"mini-0-ioi": "10.5 % for one of the halves, from 4 to 17"})
def test_nothing_outside_a_hundred_edges_stands_in_for_half_of_them(model, task):
    """Without the same random half of the circuit, circuit and network differ by at most 10 % of what there is to
    lose, for each of six halves.

    Source: Wang et al. 2022, arXiv:2211.00593, section 4: completeness; on mini-pilot's discovery prompts by 2 % at the
    most.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    prompts = CONFIRMATION[task].take(100 if task == "ioi" else 200)
    found = without_parts(model, edges(model, task), prompts)
    whole = judged(model, edges(model, task), "counterfactual", prompts, None)
    names = [name.removeprefix("circuit without ") for name in found.columns if name.startswith("circuit without ")]
    apart = {n: found[f"circuit without {n}"].array - found[f"model without {n}"].array for n in names}
    assert -0.1 <= every(ratio(found.with_columns(apart), whole.less("model", "empty"))) <= 0.1


# Which choices a circuit depends on.


def grid_of_choices(model: str) -> dict[tuple[str, str], Measurement]:
    """The circuit of 100 edges for indirect objects in every cell."""
    prompts = (ioi(160), ioi(160, corrupt="names"))
    return cells(over_grid(model, edges(model, "ioi"), prompts, ioi(split="reference")))


@pytest.mark.parametrize("model", MINIS)
@no_twin(ONE)
def test_the_circuit_holds_where_it_was_chosen_in_either_direction(model):
    """The circuit of 100 edges keeps at least 80 % with the giver as it is in the corrupted prompt, whether the rest
    is corrupted or the circuit alone is clean, of the logit difference and of the answer's probability.

    Source: mini-pilot on discovery prompts: .94 to 1.00 in these four cells, which were listed before.
    """
    requires(proportion(right(model, CONFIRMATION["ioi"])) >= 0.8)
    found = grid_of_choices(model)
    show(matrix, kept(found), "Faithfulness by replacement and direction (down), metric and corruption (across)")
    held = [
        found[f"counterfactual, {direction}", f"{metric}, giver"]
        for direction in ("noising", "denoising")
        for metric in ("logit difference", "probability")
    ]
    assert every(faithfulness(cell) for cell in held) >= 0.8


@pytest.mark.parametrize("model", MINIS)
@no_twin(ONE)
@refuted({"mini-0": ZEROS, "mini-1": ZEROS, "mini-2": ZEROS, "mini-3": ZEROS, "mini-4": ZEROS})
def test_the_circuit_holds_under_every_replacement(model):
    """The circuit of 100 edges keeps at least 80 % of the logit difference whatever stands outside it, the corrupted
    prompt's, a mean, another prompt's or zeros, for either corruption, in either direction.

    Ten different cells: which corruption makes no difference where nothing of the corrupted prompt stands outside.

    Source: what one would like to hear of a circuit (Miller et al. 2024 found it untrue of published ones). Expected to
    fail: chosen against one corruption, mini-pilot's keeps .41 against another, and .03 against zeros.
    """
    requires(proportion(right(model, CONFIRMATION["ioi"])) >= 0.8)
    found = grid_of_choices(model)
    held = [cell for (_, what), cell in found.items() if what.startswith("logit difference")]
    assert every(faithfulness(cell) for cell in held) >= 0.8


# How circuits are found.


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MINIS)
@no_twin(METHOD)
@refuted({"mini-3-ioi": "both choose the same twenty edges"})
@open_question(
    {"mini-2-ioi": "alike, within a tenth of a logit", "mini-3-induction": "alike, within a twentieth of a logit"}
)
def test_integrated_gradients_choose_better_edges(model, task):
    """Twenty edges chosen by EAP-IG keep more of the logit difference than twenty chosen by EAP.

    In addition the twenty of EAP have mostly no path from input to logits: there this is about being connected at all.

    Source: Hanna et al. 2024, arXiv:2403.17806; mini-pilot on discovery prompts keeps .53 and .34 of indirect objects,
    .45 and nothing of addition, .83 and .70 of induction.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    better, plain = sizes_kept(model, task), sizes_kept(model, task, "EAP", FEW_SIZES)
    both = {"EAP-IG": as_shares(better), "EAP": as_shares(plain)}
    show(curve, {(name, size): both[name][size] for name in both for size in map(str, FEW_SIZES)}, "Two methods")
    assert difference(better["20"], plain["20"]) > 0


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MINIS)
@no_twin(METHOD)
@open_question(
    {
        "mini-0-addition": ".146, from .136 to .155",
        "mini-3-addition": ".145, from .135 to .155",
        "mini-4-addition": ".156, from .146 to .166",
    }
)
def test_the_curve_of_sizes_stays_near_one(model, task):
    """The area between faithfulness and 1, over sizes from 1 edge to all 1,519, is at most 0.15.

    Source: CMD of Mueller et al. 2025 (MIB) on an axis of our own, so that values are not theirs; a curve that is at .9
    from 100 edges on has about .1.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    assert cmd(sizes_kept(model, task), whole=EDGES) <= 0.15


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MINIS)
@no_twin(METHOD)
@open_question(
    {
        "mini-1-ioi": "seven or eight of ten stay in nearly all samples, and the bound is between the two",
        "mini-2-ioi": "seven or eight of ten stay in nearly all samples, and the bound is between the two",
        "mini-1-induction": "the interval of a hundred samples ends well above, their error reaches the bound",
        "mini-2-induction": "the interval of a hundred samples ends well above, their error reaches the bound",
    }
)
def test_other_prompts_would_choose_the_same_ten_nodes(model, task):
    """Of the ten strongest heads and MLPs at least eight stay in nearly all bootstrap samples of the prompts.

    That is a Jaccard index of at least .66, for eight shared of twelve in either choice.

    Source: mini-pilot on discovery prompts: the lower ends are .82, .82 and .67 (Jaccard).
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    assert overlap(effect_of_nodes_by_prompt(model, DISCOVERY[task]), k=10) >= 0.66


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MINIS)
@no_twin(METHOD)
@open_question(
    {
        "mini-0-addition": ".87, from .79; the error of a hundred halvings reaches the bound",
        "mini-2-addition": ".86, from .70",
    }
)
def test_halves_of_the_prompts_rank_the_nodes_alike(model, task):
    """The scores of heads and MLPs correlate by .75 or more between halves of the prompts.

    Source: mini-pilot on discovery prompts: from .79 (addition) to .98 (Spearman, the lower ends .79, .89 and .92).
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    assert agreement_of_halves(effect_of_nodes_by_prompt(model, DISCOVERY[task])) >= 0.75


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MINIS)
@no_twin("about an approximation, and a small error where nothing is restored says nothing")
@refuted(
    {
        "mini-0-ioi": "the heads of layer 0 together: 55 % of the logit difference too little",
        "mini-1-ioi": "the heads of layer 0 together: 54 % of the logit difference too little",
        "mini-2-ioi": "the heads of layer 0 together: 49 % of the logit difference too little",
        "mini-3-ioi": "the heads of layer 0 together: 38 % of the logit difference too little",
        "mini-4-ioi": "the heads of layer 0 together: 46 % of the logit difference too little",
        "mini-0-addition": "the heads of layer 0 together: 85 % of the logit difference too little",
        "mini-1-addition": "the heads of layer 0 together: 82 % of the logit difference too little",
        "mini-2-addition": "the heads of layer 0 together: 92 % of the logit difference too little",
        "mini-3-addition": "the heads of layer 0 together: 79 % of the logit difference too little",
        "mini-4-addition": "the heads of layer 0 together: 79 % of the logit difference too little",
        "mini-0-induction": "the heads of layer 1 together: 46 % of the logit difference too little",
        "mini-1-induction": "the heads of layer 1 together: 55 % of the logit difference too little",
        "mini-2-induction": "the heads of layer 1 together: 49 % of the logit difference too little",
        "mini-3-induction": "the heads of layer 2 together: 26 % of the logit difference too little",
        "mini-4-induction": "the heads of layer 1 together: 58 % of the logit difference too little",
    }
)
def test_attribution_patching_comes_near_exact_patching(model, task):
    """For the heads and for the MLP of every layer, attribution patching misses what exact patching restores by at most
    10 % of the logit difference, on average over prompts.

    Source: what its use supposes (Nanda 2023). Expected to fail at MLPs: on mini-pilot's discovery prompts it misses
    the first MLP by 17 % for indirect objects, the last by 44 % for addition, the second by 37 % for induction.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    found = attribution_missed(model, CONFIRMATION[task])
    show(by_column, found.without(["total"]), "Attribution patching less exact patching, in logits")
    assert -0.1 <= every(ratio(found.without(["total"]), found["total"])) <= 0.1


# GPT-2 small: the circuit that is published.


@pytest.mark.parametrize("model", ("gpt2-small",))
@no_twin(ONE)
def test_the_published_heads_keep_four_fifths_of_the_logit_difference(model):
    """With all other heads at their mean over three-name sentences, the 26 published heads keep at least 80 % of the
    logit difference.

    Source: Wang et al. 2022, arXiv:2211.00593: 87 %, with means by position over their own templates; MLPs are kept in
    both, and here heads are kept at every position.
    """
    prompts = ioi(style="natural")
    requires(proportion(right(model, prompts)) >= 0.9)
    mlps = Circuit(tuple(f"mlp {layer}" for layer in range(12)))
    whole = circuit_of(published(PUBLISHED, model)) | mlps
    assert share_kept(judged(model, whole, "mean", prompts, ioi(split="reference", style="natural"))) >= 0.8


@pytest.mark.parametrize("model", ("gpt2-small",))
@no_twin("a bound from above: a network without the circuit has no gap either")
def test_the_published_heads_miss_at_most_one_logit(model):
    """The gap between network and circuit is at most one logit.

    Source: Wang et al. 2022, arXiv:2211.00593: |F(M) - F(C)| = .46, means as above.
    """
    prompts = ioi(style="natural")
    requires(proportion(right(model, prompts)) >= 0.9)
    mlps = Circuit(tuple(f"mlp {layer}" for layer in range(12)))
    whole = circuit_of(published(PUBLISHED, model)) | mlps
    found = judged(model, whole, "mean", prompts, ioi(split="reference", style="natural"))
    assert -1 <= mean(found.less("model", "circuit")) <= 1
