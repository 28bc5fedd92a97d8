"""Indirect objects: the paths from heads to the logits, with and without the MLPs on the way.

Path patching: the logits alone see all heads' corrupted output, directly. What is lost then goes past the MLPs. All
else goes by way of them, by construction: where MLPs on the way are computed anew as well, that is the corrupted run.
Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.measurements import right
from claims.models import MINIS
from mechlib import Measurement, PromptSet, all_heads, difference, open_question, proportion, requires
from mechlib.evidence import evidence
from mechlib.prompts import ioi

# Evidence: one value for each path, for each prompt.


@evidence
def by_way_of_mlps(model: str, prompts: PromptSet) -> Measurement:
    """Logits lost where only the logits see all heads' corrupted output, directly ("past them"), all else ("by way of
    MLPs"), and "total"."""
    from mechlib.lab import load, lost_by_path_patching

    network = load(model)
    found = lost_by_path_patching(network, prompts, {"heads": all_heads(network.cfg.n_layers, network.cfg.n_heads)})
    past, total = found["heads"].array, found["total"].array
    return found.with_columns({"past them": past, "by way of MLPs": total - past, "total": total})


# Paths to the logits.


@pytest.mark.parametrize("model", MINIS)
@open_question(
    {
        "mini-0": "2.1 logits more, from 0.0 to 4.3: by 20 names",
        "mini-3": "-.6 logits, from -2.6 to 1.4: heads write half of it themselves",
    }
)
def test_at_least_a_logit_more_goes_by_way_of_the_mlps_than_past_them(model):
    """Of what heads say of the giver at least one logit more reaches the logits by way of MLPs than past them.

    Restated from two claims, on a share that goes past them and on logits that do not: either is the total less the
    other.
    Source: mini-pilot on discovery prompts: 10 of 16 logits, and 6.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    found = by_way_of_mlps(model, ioi(160, seed=11))
    assert difference(found["by way of MLPs"], found["past them"]) >= 1
