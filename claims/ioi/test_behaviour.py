"""Indirect objects: what these networks say next.

Of two names the one that is said once should follow, in either order of the names, and where one of them is said once
more. The metric is logit(IO) - logit(S). Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.ioi.measurements import logits
from claims.measurements import right
from claims.models import MINIS
from mechlib import every, mean, proportion, show
from mechlib.figures import by_stratum, rates_by_stratum
from mechlib.prompts import ioi

# The behaviour.


@pytest.mark.parametrize("model", MINIS)
def test_the_indirect_object_is_what_comes_next(model):
    """After a sentence with two names, one of them said twice, the other follows in at least 95 % of prompts.

    Source: the goal of training was 98 % observed on 1,000 prompts; the bound leaves room for 16 templates as clusters.
    """
    answers = right(model, ioi())
    show(rates_by_stratum, answers, "Accuracy by the order of the names")
    assert proportion(answers) >= 0.95


@pytest.mark.parametrize("model", MINIS)
def test_the_indirect_object_leads_by_four_logits(model):
    """The indirect object's logit is at least 4 above the subject's, on average.

    Source: mini-pilot on discovery prompts: 8.2; GPT-2 small has 3.56 (Wang et al.).
    """
    found = logits(model, ioi())
    show(by_stratum, found["clean"], "logit(IO) - logit(S) by the order of the names")
    show(rates_by_stratum, found["clean"].by_cluster(), "logit(IO) - logit(S) in each template")
    assert mean(found["clean"]) >= 4


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
