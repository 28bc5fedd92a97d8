"""Discovery: heads that stand in for each other, and whether a circuit without one of them is told from a complete one.

The kind *backup* has two inhibition heads each of which is enough: ablating one at a time misleads, and so does what is
faithful without being complete. Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.discovery.measurements import after_pruning, by_gradients, embeddings
from mechlib import Circuit, Graph, Measurement, PromptSet, proportion
from mechlib.checkpoints import PLANTED_RECIPE, plan
from mechlib.evidence import evidence
from mechlib.prompts import planted

# Evidence: one row for each embedding.


@evidence
def without_backups(prompts: PromptSet, recipe: int = PLANTED_RECIPE) -> Measurement:
    """What the kind with backups loses without either group of edges, and without both; and what a circuit that lacks
    one group keeps, and how far it comes from the model when the other group is taken from both.

    As shares of the clean less the corrupted logit difference. "greedy" is the distance under the one knock-out that
    drives the two furthest apart.
    """
    from mechlib.lab import circuit_scores, greedy_knockout, load, under_knockouts

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
            # no choice of parts: over steps of a knock-out that is greedy by definition, in planted models
            found[f"{what} greedy"] = greedy.values.max() / whole
        rows.append(tuple(found.values()))
    names = embeddings("backup", recipe)
    return Measurement(rows, names, "embedding", tuple(found), of="share of the logit difference")


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
