"""Discovery: methods that find circuits are claims too, where the circuit is known.

The models here were written down weight by weight (`mechlib.planted`): an induction head with its previous-token head,
the duplicate-inhibit-copy circuit of indirect objects, an adder modulo ten whose sum an MLP makes; *bias* is the adder
whose MLP needs the constant output of one more head, *backup* has two inhibition heads each of which is enough. Each
stands among heads and MLPs that are as active as the circuit's and that nothing reads which matters. So for every edge
it is known whether it belongs to the circuit.

A unit is an embedding: one seed draws the rotation of the residual stream, the places of the circuit's heads and all
distractors. There are 20, the same for every claim, and what holds in 20 of 20 holds in at least 83 %, what holds in
none in at most 17 % (Clopper-Pearson). Methods choose on discovery prompts; where the circuit is given, it is judged on
confirmation prompts. Bounds were set on embeddings from 100 on, of which none is judged here.

Limits: nothing was trained. Embeddings differ in places and distractors, but what flows through the circuit is the
same in all of them but for the rotation: about distractors 20 embeddings are 20 trials, about sizes of effects they are
one. Other edges matter not at all instead of a little, so that to rank edges is easy here, and which threshold is right
is not asked.
"""

import pytest

from mechlib import Measurement, PromptSet, open_question, proportion, refuted
from mechlib.evidence import evidence
from mechlib.planted import RECIPE
from mechlib.tasks.planted import planted

KINDS = ("induction", "ioi", "adder")
METHODS = ("EAP", "EAP-IG")
CUT = "more than a tenth of random circuits cut an edge that everything passes, and cost as much"  # why one failed


def embeddings(kind: str, recipe: int) -> tuple[str, ...]:
    """Twenty models of one kind; the recipe of their weights is an argument, so that evidence is filed under it."""
    from mechlib import planted as known

    if recipe != known.RECIPE:
        raise ValueError(f"recipe {recipe} of planted models is not at hand: theirs is {known.RECIPE}")
    return tuple(f"planted-{kind}-{seed}" for seed in range(20))


# Evidence: one row for each embedding.


@evidence
def pruned(
    kind: str, part: str, how: str, prompts: PromptSet, reference: PromptSet | None, recipe: int = RECIPE
) -> Measurement:
    """What greedy pruning at 1 % leaves, counted: parts ("edges" or "nodes") of the circuit that it missed, ...

    Parts that say the same on every prompt but are needed (`Plan.constants`) are counted apart, kept and removed; so
    are the groups that stand in for each other, where all parts of a group were kept.
    """
    from mechlib.lab.discovery import prune
    from mechlib.lab.models import load
    from mechlib.planted import plan

    rows = []
    for name in embeddings(kind, recipe):
        known = plan(name)
        scores = prune(load(name), prompts, how, reference, threshold=0.01, kind=part)
        kept = {part for part, score in zip(scores.columns, scores.values[0], strict=True) if score > 0}
        backups = {edge for group in known.redundant for edge in group}
        needed = set(known.edges if part == "edges" else known.nodes)
        head = {known.seats["constant"]} if "constant" in known.seats else set()
        constant = set(known.constants) if part == "edges" else head
        counts = (needed - backups - kept, kept - needed - constant, constant & kept, constant - kept)
        rows.append((*map(len, counts), sum(kept.issuperset(group) for group in known.redundant)))
    columns = ("missed", "extra", "constants kept", "constants removed", "backups kept")
    return Measurement(rows, embeddings(kind, recipe), "embedding", columns, of=f"{part} after pruning")


@evidence
def ranked(kind: str, prompts: PromptSet, recipe: int = RECIPE) -> Measurement:
    """How the sizes of EAP's and EAP-IG's scores tell planted edges from others.

    "AUROC": probability that a planted edge scores more than another (ties are half). "recall": share of planted edges
    among the highest, as many as there are. "seen": share of planted edges that score at least 5 % of the clean less
    the corrupted logit difference. "smallest" and, in the kind with backups, "largest of backups": scores as such
    shares.
    """
    import numpy as np
    from scipy.stats import rankdata

    from mechlib.graphs import Circuit
    from mechlib.lab.faithfulness import circuit_scores
    from mechlib.lab.gradients import edge_scores
    from mechlib.lab.models import load
    from mechlib.planted import plan

    rows = []
    for name in embeddings(kind, recipe):
        known, model = plan(name), load(name)
        ends = circuit_scores(model, prompts, Circuit(known.edges), "counterfactual")
        whole = (ends["model"].array - ends["empty"].array).mean()
        found = {}
        for method in ("EAP", "EAP-IG"):
            scores = edge_scores(model, prompts, method)
            sizes = np.abs(scores.values[0]) / whole
            true = np.isin(scores.columns, known.edges)
            n, others = true.sum(), (~true).sum()
            backups = np.isin(scores.columns, [edge for group in known.redundant for edge in group])
            found |= {
                f"AUROC {method}": (rankdata(sizes)[true].sum() - n * (n + 1) / 2) / (n * others),
                f"recall {method}": true[np.argsort(-sizes)[:n]].mean(),
                f"seen {method}": (sizes[true] >= 0.05).mean(),
                f"smallest {method}": sizes[true].min(),
                f"largest of backups {method}": sizes[backups].max(initial=0),
            }
        rows.append(tuple(found.values()))
    return Measurement(rows, embeddings(kind, recipe), "embedding", tuple(found), of="scores of planted edges")


@evidence
def missed_by_gradients(kind: str, prompts: PromptSet, recipe: int = RECIPE) -> Measurement:
    """Largest distance of EAP's and EAP-IG's scores from what removing that edge alone loses, over all edges.

    As a share of the clean less the corrupted logit difference. "exact" is the least that any planted edge loses.
    """
    import numpy as np

    from mechlib.graphs import Circuit, Graph
    from mechlib.lab.faithfulness import circuit_scores
    from mechlib.lab.gradients import edge_scores
    from mechlib.lab.knockouts import lost_by_part
    from mechlib.lab.models import load
    from mechlib.planted import plan

    rows = []
    for name in embeddings(kind, recipe):
        known, model = plan(name), load(name)
        every = Circuit(Graph(known.n_layers, known.n_heads).edges)
        ends = circuit_scores(model, prompts, every, "counterfactual")
        whole = (ends["model"].array - ends["empty"].array).mean()
        exact = lost_by_part(model, prompts, every, "counterfactual").values.mean(axis=0)
        far = [np.abs(edge_scores(model, prompts, method).values[0] - exact).max() for method in ("EAP", "EAP-IG")]
        rows.append((*(distance / whole for distance in far), exact[np.isin(every.parts, known.edges)].min() / whole))
    columns = ("EAP", "EAP-IG", "exact")
    return Measurement(rows, embeddings(kind, recipe), "embedding", columns, of="share of the logit difference")


@evidence
def without_backups(prompts: PromptSet, recipe: int = RECIPE) -> Measurement:
    """What the kind with backups loses without either group of edges, and without both; and what a circuit that lacks
    one group keeps, and how far it comes from the model when the other group is taken from both.

    As shares of the clean less the corrupted logit difference. "greedy" is the distance under the one knock-out that
    drives the two furthest apart.
    """
    from mechlib.graphs import Circuit, Graph
    from mechlib.lab.faithfulness import circuit_scores
    from mechlib.lab.knockouts import greedy_knockout, under_knockouts
    from mechlib.lab.models import load
    from mechlib.planted import plan

    rows = []
    for name in embeddings("backup", recipe):
        known, model = plan(name), load(name)
        (one, other), every = known.redundant, Circuit(Graph(known.n_layers, known.n_heads).edges)
        gone = {"one": every - one, "other": every - other, "both": every - (*one, *other)}
        scores = circuit_scores(model, prompts, gone, "counterfactual")
        at = {column: scores[column].array.mean() for column in scores.columns}
        whole = at["model"] - at["empty"]
        found = {column: (at["model"] - at[column]) / whole for column in gone}
        knockout, circuits = (
            {"K": Circuit(one)},
            {"lacking": Circuit(known.edges) - other, "full": Circuit(known.edges)},
        )
        for what, circuit in circuits.items():
            under = under_knockouts(model, prompts, circuit, knockout, "counterfactual")
            found[f"{what} keeps"] = (under["circuit"].array.mean() - at["empty"]) / whole
            found[f"{what} apart"] = abs(under.less("circuit without K", "model without K").array.mean()) / whole
            greedy = greedy_knockout(model, prompts, circuit, "counterfactual", largest=1)
            found[f"{what} greedy"] = greedy.values.max() / whole
        rows.append(tuple(found.values()))
    names = embeddings("backup", recipe)
    return Measurement(rows, names, "embedding", tuple(found), of="share of the logit difference")


def passes(test, sign: str, bound: float, *measured) -> int:
    """1 where a test's estimate is on the side that passes, -1 on the other, 0 where it is undecided or none is given.

    None is where the numbers allow no honest interval: a few prompts out of many carry all that varies.
    """
    from mechlib import Estimate, every
    from mechlib.statistics import TooFew

    try:
        found = test(*measured)
    except TooFew:
        return 0
    judged = found if isinstance(found, Estimate) else every(found)
    return {"SUPPORTED": 1, "INCONCLUSIVE": 0, "REFUTED": -1}[judged.held_against(((sign, bound),)).word]


@evidence
def answers(kind: str, prompts: PromptSet, recipe: int = RECIPE) -> Measurement:
    """What three tests say of circuits whose answers are known: 1 it passes, -1 it fails, 0 neither.

    The circuits: "whole", all edges; "nothing", no edge; "planted"; "less", planted without one of its edges, drawn at
    random. Sufficiency and partial necessity are measured on the first 20 prompts, against 200 random circuits as
    large as the planted one.
    """
    import random

    from mechlib import equivalence, partial_necessity, sufficiency
    from mechlib.graphs import Circuit, Graph
    from mechlib.lab.faithfulness import circuit_scores
    from mechlib.lab.knockouts import random_circuit_scores
    from mechlib.lab.models import load
    from mechlib.planted import plan

    rows = []
    for name in embeddings(kind, recipe):
        known, model, found = plan(name), load(name), {}
        planted = Circuit(known.edges)
        gone = random.Random(name).choice(known.edges)
        circuits = {"whole": Circuit(Graph(known.n_layers, known.n_heads).edges), "nothing": Circuit(())}
        circuits |= {"planted": planted, "less": planted - (gone,)}
        few = prompts.take(20)
        many = circuit_scores(model, prompts, circuits, "counterfactual")
        both = circuit_scores(model, few, circuits, "counterfactual", without=True)
        others = random_circuit_scores(model, few, planted, "counterfactual", n=200)
        for what in circuits:
            same = many.with_columns({"model": many["model"].array, "circuit": many[what].array})
            names = {"model": "model", "circuit": what, "without": f"without {what}"}
            scores = both.with_columns({column: both[own].array for column, own in names.items()})
            found[f"{what}-equivalence"] = passes(equivalence, "<=", 1, same)
            found[f"{what}-sufficiency"] = passes(sufficiency, ">=", 0.9, scores, others)
            found[f"{what}-necessity"] = passes(partial_necessity, ">=", 0.9, scores, others)
        rows.append(tuple(found.values()))
    return Measurement(rows, embeddings(kind, recipe), "embedding", tuple(found), of="passes (1), fails (-1)")


@evidence
def minimal(kind: str, prompts: PromptSet, recipe: int = RECIPE) -> Measurement:
    """The same of minimality, by more than a hundredth of a logit: "planted", and "more", with one idle edge more.

    The null is 100 circuits with one random path more. The idle edge is drawn from all that are not planted.
    """
    import random

    from mechlib import minimality
    from mechlib.graphs import Circuit, Graph
    from mechlib.lab.knockouts import lost_by_added_part, lost_by_part
    from mechlib.lab.models import load
    from mechlib.planted import plan

    rows = []
    for name in embeddings(kind, recipe):
        known, model, row = plan(name), load(name), []
        taken = {*known.edges, *known.constants}
        idle = [edge for edge in Graph(known.n_layers, known.n_heads).edges if edge not in taken]
        planted = Circuit(known.edges)
        for circuit in (planted, planted | Circuit((random.Random(name).choice(idle),))):
            lost = lost_by_part(model, prompts, circuit, "counterfactual")
            null = lost_by_added_part(model, prompts, circuit, "counterfactual", n=100)
            row.append(passes(minimality, ">", 0.01, lost, null))
        rows.append(tuple(row))
    columns = ("planted", "more")
    return Measurement(rows, embeddings(kind, recipe), "embedding", columns, of="passes (1), fails (-1)")


@evidence
def independent(
    kind: str, how: str, prompts: PromptSet, reference: PromptSet | None, recipe: int = RECIPE
) -> Measurement:
    """The same of independence, for the planted circuit; and by how many logits the model's own score varies."""
    import numpy as np

    from mechlib import independence
    from mechlib.graphs import Circuit
    from mechlib.lab.faithfulness import circuit_scores
    from mechlib.lab.models import load
    from mechlib.planted import plan

    rows = []
    for name in embeddings(kind, recipe):
        scores = circuit_scores(load(name), prompts, Circuit(plan(name).edges), how, reference, without=True)
        rows.append((passes(independence, "<=", 0.2, scores), np.ptp(scores["model"].array)))
    columns = ("planted", "range")
    return Measurement(rows, embeddings(kind, recipe), "embedding", columns, of="passes (1), fails (-1)")


# What is looked at.


def after_pruning(kind: str, part: str = "edges", how: str = "counterfactual") -> Measurement:
    """The counts, on 20 discovery prompts; replacements from 50 reference prompts where there are any."""
    reference = planted(f"planted-{kind}", 50, "reference") if how in ("mean", "resample") else None
    return pruned(kind, part, how, planted(f"planted-{kind}", 20, "discovery"), reference)


def by_gradients(kind: str) -> Measurement:
    """How scores rank edges, on 20 discovery prompts."""
    return ranked(kind, planted(f"planted-{kind}", 20, "discovery"))


# Pruning with exact effects.


@pytest.mark.parametrize("how", ("counterfactual", "mean", "resample"))
@pytest.mark.parametrize("kind", KINDS)
def test_pruning_leaves_exactly_the_planted_edges(kind, how):
    """Greedy pruning at 1 % leaves the planted edges and no other in at least 83 % of embeddings.

    Source: Conmy et al. 2023, arXiv:2304.14997, for the search; asked for before it was run. Exact in three of three
    other embeddings.
    """
    found = after_pruning(kind, "edges", how)
    assert proportion(found.added_up(("missed", "extra", "constants kept"), "wrong").equal_to(0)) >= 0.83


@pytest.mark.parametrize("kind", KINDS)
def test_pruning_leaves_exactly_the_planted_nodes(kind):
    """Greedy pruning of heads and MLPs at 1 % leaves those of the circuit and no other in at least 83 % of embeddings.

    Source: asked for before it was run; exact in three of three other embeddings.
    """
    found = after_pruning(kind, "nodes")
    assert proportion(found.added_up(("missed", "extra", "constants kept"), "wrong").equal_to(0)) >= 0.83


# Which replacement misleads which method.


@pytest.mark.parametrize("kind", ("induction", "adder", "bias"))
def test_zeros_add_every_edge_that_says_the_same_on_all_prompts(kind):
    """With zeros outside the circuit pruning leaves, beside the planted edges, all that are needed and constant, in at
    least 83 % of embeddings.

    Positions, and the constant head of the kind *bias*: nothing about the answer passes through them.
    Source: Wang et al. 2022, arXiv:2211.00593, on why means and not zeros; so in three of three other embeddings.
    """
    found = after_pruning(kind, "edges", "zero")
    assert proportion(found.added_up(("missed", "extra", "constants removed"), "wrong").equal_to(0)) >= 0.83


def test_zeros_report_a_head_that_says_the_same_on_every_prompt():
    """With zeros outside the circuit pruning keeps the constant head in at least 83 % of embeddings.

    Source: by construction the MLP's threshold is that head's output; so in three of three other embeddings.
    """
    assert proportion(after_pruning("bias", "nodes", "zero")["constants kept"].equal_to(1)) >= 0.83


@pytest.mark.parametrize("how", ("counterfactual", "mean", "resample"))
def test_other_replacements_do_not_report_the_constant_head(how):
    """With the corrupted prompt's, mean or another prompt's activations pruning keeps the constant head in at most 17 %
    of embeddings.

    Source: what it says is the same in all of these; in none of three other embeddings.
    """
    assert proportion(after_pruning("bias", "nodes", how)["constants kept"].equal_to(1)) <= 0.17


# Gradients.


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", (*KINDS, "backup"))
def test_gradients_rank_planted_edges_first(kind, method):
    """The probability that a planted edge has a larger score than another is at least 0.9 in at least 83 % of
    embeddings.

    Source: Hanna et al. 2024, arXiv:2403.17806, and Syed et al. 2023, arXiv:2310.10348, for the methods; it is 1 in
    three of three other embeddings, for edges that are read by nothing have no gradient but rounding.
    """
    assert proportion(by_gradients(kind)[f"AUROC {method}"].at_least(0.9)) >= 0.83


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", (*KINDS, "backup"))
def test_the_strongest_edges_are_the_planted_ones(kind, method):
    """Of the k edges with the largest scores, k as many as were planted, all were planted in at least 83 % of
    embeddings.

    Source: as for the ranking; so in three of three other embeddings.
    """
    assert proportion(by_gradients(kind)[f"recall {method}"].equal_to(1)) >= 0.83


@pytest.mark.parametrize("kind", (*KINDS, "backup"))
def test_integrated_gradients_rank_no_worse(kind):
    """The AUROC of EAP-IG is at least that of EAP in at least 83 % of embeddings.

    A ceiling: where both are 1 this can only fail if the better method were worse.
    Source: Hanna et al. 2024, arXiv:2403.17806; both are 1 in three of three other embeddings.
    """
    assert proportion(by_gradients(kind).less("AUROC EAP-IG", "AUROC EAP").at_least(0)) >= 0.83


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
@refuted(
    {
        "induction-EAP": "in all embeddings two of five: three, by which the induction head finds its place, score 3 %",
        "ioi-EAP": "in all embeddings two of nine, those from the name mover on; the others score 4 % at the most",
        "adder-EAP": "in all embeddings six of eight: both edges by which operands are found score 4 %",
        "ioi-EAP-IG": "in all embeddings eight of nine: what the name mover reads as values scores 1 %",
    }
)
def test_gradients_see_all_that_matters(kind, method):
    """Every planted edge scores at least 5 % of the logit difference in at least 83 % of embeddings.

    Each loses more than that when it is removed alone: 45 % and more. Heads that look at one place only are nearly
    flat at the clean prompt.
    Source: what a threshold on scores supposes. Expected to fail for EAP (in six other embeddings it sees .40 of
    induction's edges, .22 of those for indirect objects, .75 of the adder's), and for EAP-IG on indirect objects (.89).
    """
    assert proportion(by_gradients(kind)[f"seen {method}"].equal_to(1)) >= 0.83


@pytest.mark.parametrize("kind", (*KINDS, "backup"))
def test_integrated_gradients_see_more(kind):
    """EAP-IG gives 5 % of the logit difference to more of the planted edges than EAP, by at least a tenth of them, in
    at least 83 % of embeddings.

    Source: Hanna et al. 2024, arXiv:2403.17806; in six other embeddings by .60, .67, .25 and .83 of them.
    """
    assert proportion(by_gradients(kind).less("seen EAP-IG", "seen EAP").at_least(0.1)) >= 0.83


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_no_sizes(kind, method):
    """At some edge the score misses what removing that edge loses by a quarter of the logit difference, in at least
    83 % of embeddings.

    Source: a sum of scores is the logit difference at most once, but three edges in a row each lose all of it alone.
    In six other embeddings EAP misses by .42, 1.30 and .46, EAP-IG by .40, 1.24 and .32.
    """
    found = missed_by_gradients(kind, planted(f"planted-{kind}", 20, "discovery"))
    assert proportion(found[method].at_least(0.25)) >= 0.83


@pytest.mark.parametrize("kind", KINDS)
def test_every_planted_edge_loses_much_when_removed_alone(kind):
    """Removing any one planted edge loses at least 5 % of the logit difference, in at least 83 % of embeddings.

    Source: what was asked of planted models before there were any; by construction, as the edges lie in a row.
    """
    found = missed_by_gradients(kind, planted(f"planted-{kind}", 20, "discovery"))
    assert proportion(found["exact"].at_least(0.05)) >= 0.83


# Backups.


def backups() -> Measurement:
    """What they lose and keep, on 20 confirmation prompts."""
    return without_backups(planted("planted-backup", 20))


@pytest.mark.parametrize("group", ("one", "other"))
def test_a_head_with_a_backup_loses_nothing_alone(group):
    """Without all edges of one inhibition head the model loses 1 % of the logit difference or more in at most 17 % of
    embeddings.

    Source: Wang et al. 2022, arXiv:2211.00593, on backups; .5 % in each of six other embeddings.
    """
    assert proportion(backups()[group].at_least(0.01)) <= 0.17


def test_heads_that_stand_in_for_each_other_show_when_both_are_gone():
    """Without both, the model loses at least half of the logit difference more than without each, added up, in at least
    83 % of embeddings.

    Source: docs/STATISTICS.md, R23: necessity singly and jointly; 132 % in each of six other embeddings.
    """
    assert proportion(backups().interaction("both", ("one", "other")).at_least(0.5)) >= 0.83


@pytest.mark.parametrize("how", ("counterfactual", "zero"))
def test_pruning_keeps_one_of_two_backups(how):
    """Greedy pruning leaves all planted edges but those of exactly one inhibition head, and no other edge, in at least
    83 % of embeddings.

    It removes what is not needed given what is there, so that it finds a circuit and not the circuit.
    Source: what a greedy search must do; so in three of three other embeddings.
    """
    found = after_pruning("backup", "edges", how)
    apart = abs(found["backups kept"].array - 1) + found["missed"].array + found["extra"].array
    assert proportion(found.with_columns({"wrong": apart}).equal_to(0)) >= 0.83


def test_gradients_at_the_clean_prompt_do_not_see_backups():
    """EAP gives an edge of either inhibition head 1 % of the logit difference or more in at most 17 % of embeddings.

    Source: a derivative is an ablation of one edge alone, and a small one; .02 % in each of six other embeddings.
    """
    assert proportion(by_gradients("backup")["largest of backups EAP"].at_least(0.01)) <= 0.17


def test_integrated_gradients_see_both_backups():
    """EAP-IG gives every planted edge, those of both inhibition heads among them, at least 5 % of the logit difference
    in at least 83 % of embeddings.

    Source: on its way from corrupted to clean everything moves at once, so that neither head stands in for the other;
    9 % in each of six other embeddings.
    """
    assert proportion(by_gradients("backup")["smallest EAP-IG"].at_least(0.05)) >= 0.83


# Completeness.


def test_a_circuit_without_the_backup_is_faithful():
    """A circuit that lacks one inhibition head keeps at least 98 % of the logit difference in at least 83 % of
    embeddings.

    Source: the other head is enough; 99.5 % in each of six other embeddings.
    """
    assert proportion(backups()["lacking keeps"].at_least(0.98)) >= 0.83


def test_completeness_tells_that_a_backup_is_missing():
    """That circuit and the model come apart by at least half of the logit difference when the other head's edges are
    taken from both, in at least 83 % of embeddings.

    Source: Wang et al. 2022, arXiv:2211.00593, section 4; 133 % in each of six other embeddings.
    """
    assert proportion(backups()["lacking apart"].at_least(0.5)) >= 0.83


def test_a_greedy_knockout_finds_what_is_missing():
    """One knock-out, chosen greedily, drives that circuit and the model apart by at least half of the logit difference
    in at least 83 % of embeddings.

    Source: as before; 133 % in each of six other embeddings.
    """
    assert proportion(backups()["lacking greedy"].at_least(0.5)) >= 0.83


@pytest.mark.parametrize("knockout", ("apart", "greedy"))
def test_a_circuit_with_both_backups_is_complete(knockout):
    """The circuit with both inhibition heads and the model come apart by 1 % or more, under the same knock-out or under
    one chosen greedily, in at most 17 % of embeddings.

    Source: by construction; 0 in other embeddings.
    """
    assert proportion(backups()[f"full {knockout}"].at_least(0.01)) <= 0.17


# Circuits as hypotheses: the answers that are known, by the margins and levels of test_circuits.


def judged(kind: str) -> Measurement:
    """What three tests say, on 200 confirmation prompts."""
    return answers(kind, planted(f"planted-{kind}", 200))


def judged_minimal(kind: str) -> Measurement:
    """What minimality says, on 24 confirmation prompts."""
    return minimal(kind, planted(f"planted-{kind}", 24))


@pytest.mark.parametrize("test", ("equivalence", "sufficiency"))
@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_model_passes(kind, test):
    """The model itself, as a circuit, passes equivalence and sufficiency in at least 83 % of embeddings.

    True by construction, as it should be of the tests; random circuits are as large as the planted one.
    Source: known before any test is run; Shi et al. 2024, arXiv:2410.13032, for the question.
    """
    assert proportion(judged(kind)[f"whole-{test}"].equal_to(1)) >= 0.83


@pytest.mark.parametrize("test", ("equivalence", "sufficiency"))
@pytest.mark.parametrize("kind", KINDS)
def test_the_empty_circuit_fails(kind, test):
    """The empty circuit fails equivalence and sufficiency in at least 83 % of embeddings.

    Source: known before any test is run; Shi et al. 2024, arXiv:2410.13032, for the question.
    """
    assert proportion(judged(kind)[f"nothing-{test}"].equal_to(-1)) >= 0.83


@pytest.mark.parametrize("test", ("equivalence", "sufficiency", "necessity"))
@pytest.mark.parametrize("kind", KINDS)
@refuted(
    {
        "induction-necessity": f"in no embedding: {CUT}",
        "ioi-necessity": f"in no embedding: {CUT}, or more, for a wrong name is then put forward",
        "adder-necessity": f"in no embedding: {CUT}",
    }
)
def test_a_planted_circuit_passes(kind, test):
    """The planted circuit passes equivalence, sufficiency and partial necessity in at least 83 % of embeddings.

    Source: expected of any circuit that is right; Shi et al. 2024, arXiv:2410.13032, for the question. Partial
    necessity is expected to fail: a random circuit of as many edges often cuts one of the few that everything passes,
    and then costs as much as the whole circuit (in other embeddings the planted one costs more than .84 of random ones
    for induction, .37 for indirect objects, .71 for the adder).
    """
    assert proportion(judged(kind)[f"planted-{test}"].equal_to(1)) >= 0.83


@pytest.mark.parametrize("kind", KINDS)
@open_question(
    {
        "adder": "in 14 embeddings; in six no interval is given: one prompt of 200 loses nothing, or twice as much as "
        "all others, and carries all that varies"
    }
)
def test_one_edge_less_fails_equivalence(kind):
    """The planted circuit without one of its edges, drawn at random, fails equivalence in at least 83 % of embeddings.

    Source: known before any test is run; Shi et al. 2024, arXiv:2410.13032, for the question.
    """
    assert proportion(judged(kind)["less-equivalence"].equal_to(-1)) >= 0.83


@pytest.mark.parametrize("kind", ("induction", "ioi"))
def test_a_planted_circuit_is_minimal(kind):
    """The planted circuit passes minimality in at least 83 % of embeddings.

    Source: known before any test is run; Shi et al. 2024, arXiv:2410.13032, for the question. Added paths lose
    nothing here but rounding, so that the bound is a hundredth of a logit and not zero. The adder's losses are too
    skewed for so few prompts.
    """
    assert proportion(judged_minimal(kind)["planted"].equal_to(1)) >= 0.83


@pytest.mark.parametrize("kind", ("induction", "ioi"))
def test_one_idle_edge_more_fails_minimality(kind):
    """The planted circuit with one idle edge more, drawn at random, fails minimality in at least 83 % of embeddings.

    Source: known before any test is run; Shi et al. 2024, arXiv:2410.13032, for the question.
    """
    assert proportion(judged_minimal(kind)["more"].equal_to(-1)) >= 0.83


@pytest.mark.parametrize("how", ("counterfactual", "mean"))
@pytest.mark.parametrize("kind", KINDS)
@refuted(
    {
        "induction-counterfactual": "fails in all: the .003 logits by which both scores vary go together (.98)",
        "adder-counterfactual": "undecided in all: with the corrupted prompt the intervals reach past .2",
        "adder-mean": "undecided in all: with the mean the intervals reach past .2",
    }
)
def test_what_a_planted_circuit_leaves_out_is_independent(kind, how):
    """The planted circuit passes independence in at least 83 % of embeddings.

    Source: expected of any circuit that is right; Shi et al. 2024, arXiv:2410.13032, for the question. Expected
    to fail for induction with the corrupted prompt's activations: how sharply heads look depends on places, which are
    the same in both, and moves both scores alike by three thousandths of a logit (rank correlation .98); and to stay
    undecided for the adder, with the mean too.
    """
    reference = planted(f"planted-{kind}", 50, "reference") if how == "mean" else None
    found = independent(kind, how, planted(f"planted-{kind}", 400), reference)
    assert proportion(found["planted"].equal_to(1)) >= 0.83
