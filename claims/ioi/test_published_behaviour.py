"""Indirect objects, as published of GPT-2 small: what the model says next.

Wang et al. 2022 (arXiv:2211.00593) asked one model; here three others are asked, and two minis beside them. The control
of a lead is the answer to the same sentence in which the other person gives, read as if this one had been asked: what
goes by names, by their places or by the template leads as much there. Terms and prompts: `published.py`.
"""

import pytest

from claims.ioi.measurements import logits
from claims.ioi.published import asked
from claims.models import AUDITED
from mechlib import difference, mean, open_question, proportion, refuted, reported

TABLE = "Wang et al. 2022, arXiv:2211.00593, appendix, table of adversarial prompts"


@pytest.mark.parametrize("model", AUDITED)
@reported(0.993, "Wang et al. 2022, arXiv:2211.00593, section 2", primary=True)
@open_question({"smollm2-135m": "clean: 0.943, from 0.895 to 0.973"})
def test_the_indirect_object_is_preferred_to_the_subject(model):
    """Across templates and names the indirect object has a higher logit than the subject in at least 90 % of prompts,
    and not where the other person gives.

    The paper's share is of prompts on its own templates; ours is held against nine tenths across templates.
    Source: Wang et al. 2022, section 2.
    """
    leads = logits(model, asked(model))
    assert proportion(leads["clean"].at_least(0), control=leads["corrupted"].at_least(0)) >= 0.9


@pytest.mark.parametrize("model", AUDITED)
@reported(3.56, "Wang et al. 2022, arXiv:2211.00593, section 2", unit="logits")
def test_the_indirect_object_leads_on_average(model):
    """Across templates and names logit(IO) - logit(S) is above 0 on average, and not where the other person gives.

    The bound is the paper's sign: a logit is not the same distance in another model.
    Source: Wang et al. 2022, section 2.
    """
    leads = logits(model, asked(model))
    assert mean(leads["clean"], control=leads["corrupted"]) > 0


@pytest.mark.parametrize("model", AUDITED)
@reported(0.996, TABLE)
@open_question({"smollm2-135m": "clean: 0.904, from 0.847 to 0.945"})
def test_a_third_mention_of_the_subject_does_not_mislead(model):
    """Where another sentence in front says the subject once more, the indirect object has the higher logit in at least
    90 % of prompts across templates and names, and not where the other person gives.

    There each name is said twice, so that only who gives tells them apart.
    Source: Wang et al. 2022: the subject is preferred in .4 %.
    """
    leads = logits(model, asked(model, "subject"))
    assert proportion(leads["clean"].at_least(0), control=leads["corrupted"].at_least(0)) >= 0.9


@pytest.mark.parametrize("model", AUDITED)
@refuted(
    {
        "smollm2-135m": "clean: -0.721, from -1.08 to -0.361",
        "gemma3-270m": "clean: -1.44, from -1.71 to -1.17",
        "qwen2.5-coder-0.5b": "clean: 0.486, from 0.123 to 0.849",
        "mini-0": "clean: -1.19, from -1.65 to -0.72",
        "mini-1": "clean: -1.34, from -1.79 to -0.88",
    }
)
def test_a_second_mention_of_the_indirect_object_costs_a_logit(model):
    """Where another sentence in front says the indirect object once more, its lead is at least 1 logit smaller than
    where that sentence says the subject.

    Either sentence is as long and of the same words, so that what a sentence in front costs by itself is in both.
    Source: Wang et al. 2022: 1.23 logits, and 3.64.
    """
    subject, object = (logits(model, asked(model, extra))["clean"] for extra in ("subject", "object"))
    assert difference(subject, object) >= 1


@pytest.mark.parametrize("model", AUDITED)
@reported(1.23, TABLE, unit="logits")
def test_the_indirect_object_leads_though_it_is_said_as_often_as_the_subject(model):
    """Where another sentence in front says the indirect object once more, it leads on average all the same, and not
    where the other person gives.

    What prefers the name that is said less often has nothing to go by there.
    Source: Wang et al. 2022: 1.23 logits.
    """
    leads = logits(model, asked(model, "object"))
    assert mean(leads["clean"], control=leads["corrupted"]) > 0
