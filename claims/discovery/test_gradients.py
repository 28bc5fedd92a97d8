"""Discovery: what scores by gradients tell of planted edges.

EAP and EAP-IG rank edges by what they add to the logit difference, to first order. They are asked for their ranks, for
their sizes, and how far a score is from what removing the edge loses. Terms, intervals and limits of the topic:
`measurements.py`.
"""

import pytest

from claims.discovery.measurements import KINDS, by_gradients, embeddings
from mechlib import Circuit, Graph, Measurement, PromptSet, proportion, refuted
from mechlib.checkpoints import PLANTED_RECIPE, plan
from mechlib.evidence import evidence
from mechlib.prompts import planted

METHODS = ("EAP", "EAP-IG")


# Evidence: one row for each embedding.


@evidence
def missed_by_gradients(kind: str, prompts: PromptSet, recipe: int = PLANTED_RECIPE) -> Measurement:
    """Largest distance of EAP's and EAP-IG's scores from what removing that edge alone loses, over all edges.

    As a share of the clean less the corrupted logit difference. "exact" is the least that any planted edge loses.
    """
    import numpy as np

    from mechlib.lab import circuit_scores, edge_scores, load, lost_by_part

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
