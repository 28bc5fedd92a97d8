"""Indirect objects: what these networks say next.

Of two names the one that is said once should follow, in either order of the names, and where one of them is said once
more. The metric is logit(IO) - logit(S). Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.ioi.measurements import logits
from claims.models import MINIS
from mechlib import every, mean
from mechlib.prompts import ioi

# The behaviour.


@pytest.mark.parametrize("model", MINIS)
def test_neither_order_of_the_names_misleads(model):
    """The indirect object leads by at least 4 logits both where it is named first (ABBA) and second (BABA).

    Source: as above; what copies by place is right in one order and wrong in the other.
    """
    leads = logits(model, ioi())["clean"]
    assert every(mean(leads.stratum(order)) for order in ("ABBA", "BABA")) >= 4


@pytest.mark.parametrize("said", ["subject", "object"])
@pytest.mark.parametrize("model", MINIS)
def test_a_name_said_once_more_does_not_mislead(model, said):
    """With a further sentence that says one of the two names once more, the indirect object still leads by 4 logits.

    Such sentences are part of the minis' training.
    Source: mini-pilot on discovery prompts: 8.5 and 9.1 logits. GPT-2
    small, which counts names, falls from 3.55 to 1.23 where the indirect object is said again (Wang et al.).
    """
    assert mean(logits(model, ioi(extra=said))["clean"]) >= 4
