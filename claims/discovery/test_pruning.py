"""Discovery: pruning with exact effects, and which replacement misleads it.

Greedy pruning at 1 % removes what changes a prompt by less; it is asked whether exactly the planted edges or nodes are
left, and what is left beside them when zeros, means or another prompt stand outside the circuit. Terms, intervals and
limits of the topic: `measurements.py`.
"""

import pytest

from claims.discovery.measurements import KINDS, after_pruning
from mechlib import proportion

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
