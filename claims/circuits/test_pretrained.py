"""Circuits: the circuit of indirect objects that is published for GPT-2 small.

Its heads are named from Wang et al. 2022 (arXiv:2211.00593) and keep their names on twins; all other heads are at their
mean over three-name sentences, MLPs are kept. Rows run where the weights are. Terms, intervals and limits of the topic:
`measurements.py`.
"""

import pytest

from claims.circuits.measurements import judged
from claims.tasks import right
from mechlib import Circuit, circuit_of, heads, proportion, published, requires, share_kept
from mechlib.prompts import ioi

# Wang et al. 2022, figure 2: all classes of heads, backups among them. Their MLPs are never replaced.
PUBLISHED = {
    "gpt2-small": heads(
        "9.9 9.6 10.0 10.7 11.10 7.3 7.9 8.6 8.10 5.5 6.9 5.8 5.9 0.1 3.0 0.10 2.2 4.11 9.0 9.7 10.1 10.2 10.6 10.10 "
        "11.2 11.9"
    )
}


# GPT-2 small: the circuit that is published.


@pytest.mark.parametrize("model", ("gpt2-small",))
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
