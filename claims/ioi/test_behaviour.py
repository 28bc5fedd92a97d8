"""Indirect objects: what these networks say next.

Of two names the one that is said once should follow, in either order of the names, and where one of them is said once
more. The metric is logit(IO) - logit(S). Beside it stands the network's answer to another prompt, in which the same
names are said and the other one gives, read as if this one had been asked: what goes by names, by their places or by
how often each was said in front leads as much there. Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.ioi.measurements import logits
from claims.models import MINIS
from mechlib import every, mean
from mechlib.prompts import ioi

ORDERS = ("ABBA", "BABA")

# The behaviour.


@pytest.mark.parametrize("model", MINIS)
def test_neither_order_of_the_names_misleads(model):
    """The indirect object leads by at least 4 logits both where it is named first (ABBA) and second (BABA), and not
    where the other one gives.

    Source: as above; what copies by place is right in one order and wrong in the other. mini-pilot on discovery
    prompts: 8 logits, and -8 where the other gives; another name than IO is 3 logits behind S.
    """
    leads = logits(model, ioi())
    own, other = ({order: leads[text].stratum(order) for order in ORDERS} for text in ("clean", "corrupted"))
    assert every(mean(own[order], control=other[order]) for order in ORDERS) >= 4


@pytest.mark.parametrize("said", ["subject", "object"])
@pytest.mark.parametrize("model", MINIS)
def test_a_name_said_once_more_does_not_mislead(model, said):
    """With a further sentence that says one of the two names once more, the indirect object still leads by 4 logits,
    and not where the other one gives.

    Such sentences are part of the minis' training.
    Source: mini-pilot on discovery prompts: 8.5 and 9.1 logits. GPT-2
    small, which counts names, falls from 3.55 to 1.23 where the indirect object is said again (Wang et al.).
    """
    leads = logits(model, ioi(extra=said))
    assert mean(leads["clean"], control=leads["corrupted"]) >= 4
