"""SAEs: reconstruction, described, and then against frozen twins and baselines at equal L0.

Terms, intervals and limits of the topic: `measurements.py`.
"""

from itertools import product

import pytest

from claims.models import MINIS
from claims.sae.measurements import (
    BASELINES,
    FROZEN,
    asked,
    instead,
    more_explained,
    more_recovered,
    of,
    scores,
    seeds,
)
from mechlib import Measurement, PromptSet, every, exact, open_question, ratio, refuted, show, void
from mechlib.checkpoints import dictionary
from mechlib.evidence import evidence
from mechlib.figures import by_column, matrix
from mechlib.prompts import texts

# Why predictions failed, where several failed for one reason.
UNTRAINED = "a dictionary of the untrained network explains .067 to .073 more than its softly frozen twin"
SOFT = "the softly frozen twin recovers as much within .002"
COMPONENTS = "as many principal components recover as much, or up to .004 more"

# Evidence: a row a metric.


@evidence
def metrics(model: str, sae: str, frozen: tuple[str, ...], prompts: PromptSet) -> Measurement:
    """Six usual metrics, each a share of what could be: of the dictionary ("trained") and of its frozen twins; and what
    it is "ahead" of the best of these."""
    from mechlib.lab import dictionary_of, load, usual_metrics

    network = load(model)
    twins = {name.split()[0].split("-")[-1]: dictionary_of(network, name) for name in frozen}
    return usual_metrics(network, {"trained": dictionary_of(network, sae), **twins}, prompts)


def unexplained_by(model: str, names: tuple[str, ...]) -> Measurement:
    """The unexplained share of the dictionary, its frozen twins and its baselines, by text, for a figure."""
    own = of(model)
    whole = own["squared deviation"].array.mean()
    others = {name: of(model, frozen=name) if name in FROZEN else instead(model, name) for name in names}
    return own.with_columns(
        {name: one["squared error"].array / whole for name, one in {"trained": own, **others}.items()}
    )


# Described.


@pytest.mark.parametrize("model", MINIS)
@refuted(
    {
        "mini-0": "0.072, from 0.069 to 0.0789",
        "mini-3": "0.203, from 0.199 to 0.208: of all trainings the most",
        "mini-2": "0.0749, from 0.0713 to 0.0798",
    }
)
@open_question({"mini-1": "0.0509, from 0.0473 to 0.0623", "mini-4": "0.0607, from 0.0576 to 0.0653"})
def test_a_dictionary_leaves_six_hundredths_unexplained(model):
    """A dictionary that keeps 16 of 512 features on a token leaves at most .06 of the variance unexplained.

    The design card's sentence, an SAE of L0 below 50 with an MSE below x: the L0 holds by construction.
    Source: mini-pilot on discovery texts: .044; its frozen twins .068 (soft), .27 and .62, principal components .059.
    """
    found, neurons = of(model), instead(model, "neurons")
    show(by_column, unexplained_by(model, FROZEN + BASELINES), "Unexplained share of the variance, all at an L0 of 16")
    assert ratio(found["squared error"], found["squared deviation"], beside=neurons["squared error"]) <= 0.06


@pytest.mark.parametrize("model", ["smollm2-135m"])
@refuted({"smollm2-135m": "0.308, from 0.303 to 0.313"})
def test_smollm2s_dictionary_leaves_three_tenths_unexplained(model):
    """The dictionary of SmolLM2 that keeps 32 of 4,608 features on a token leaves at most .3 of the variance
    unexplained.

    Source: predicted; published dictionaries of GPT-2 small leave .1 to .23 with 31 to 70 features (SAELens's list of
    gpt2-small-res-jb), after 3,000 times as many tokens.
    """
    found = scores(model, dictionary(model), texts(model))
    neurons = scores(model, dictionary(model), texts(model), "neurons", texts(model, split="discovery"))
    assert ratio(found["squared error"], found["squared deviation"], beside=neurons["squared error"]) <= 0.3


# Against frozen twins.


@pytest.mark.parametrize("model", MINIS)
@void(
    {
        "mini-0": UNTRAINED,
        "mini-1": UNTRAINED,
        "mini-3": UNTRAINED,
        "mini-4": UNTRAINED,
        "mini-2": "0.0695 in the untrained twin, too",
    }
)
def test_more_is_explained_than_by_any_frozen_twin(model):
    """A dictionary explains at least .01 more of the variance than each of its frozen twins, with every seed.

    Source: mini-pilot on discovery texts: .025 more than the softly frozen one.
    """
    found = [more_explained(of(model, s), of(model, s, twin)) for s, twin in product(seeds(model), FROZEN)]
    assert every(ratio(one["explained more"], one["squared deviation"]) for one in found) >= 0.01


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-0": SOFT, "mini-3": SOFT, "mini-4": SOFT})
@open_question(
    {
        "mini-1": "0.0015 more than the softly frozen twin, from -0.0015 to 0.0098",
        "mini-2": "recovered more: 0.0126, from 0.0070 to 0.0202",
    }
)
def test_more_cross_entropy_is_recovered_than_with_any_frozen_twin(model):
    """A dictionary recovers at least .01 more of the cross-entropy than each of its frozen twins, with every seed.

    Source: what is said of dictionaries; mini-pilot on discovery texts has .002 more than the softly frozen one.
    """
    found = [more_recovered(of(model, s), of(model, s, twin)) for s, twin in product(seeds(model), FROZEN)]
    assert every(ratio(one["recovered more"], one["to recover"]) for one in found) >= 0.01


@pytest.mark.parametrize("model", MINIS)
@refuted(
    {
        "mini-0": "ahead on one; a frozen twin matches five",
        "mini-1": "ahead on none; frozen twins match all six",
        "mini-2": "ahead on none",
        "mini-3": "ahead on one",
        "mini-4": "ahead on none",
    }
)
def test_it_is_ahead_of_its_frozen_twins_on_four_of_six_metrics(model):
    """On at least four of six usual metrics a dictionary is ahead of each of its frozen twins by .03.

    The six: sparse, explained, cross-entropy, KL, alive, pure. The rest is what a frozen twin matches, as counted.
    Source: what is said of dictionaries, and .03 from Korznikov et al. 2026, arXiv:2602.14111, whose frozen ones match
    with .87 for .90 in interpretability and .69 for .72 in probing; mini-pilot on discovery texts is ahead on none.
    """
    twins = tuple(dictionary(model, frozen=name) for name in FROZEN)
    found = metrics(model, dictionary(model), twins, asked(model))
    show(matrix, found, "Six usual metrics of a dictionary and of its frozen twins, and what it is ahead")
    assert exact(found["ahead"].at_least(0.03).array.sum(), of="metrics of six") >= 4


# Against baselines.


@pytest.mark.parametrize("model", MINIS)
@refuted(
    {
        "mini-1": "0.0039 more than principal components, from 0.0016 to 0.0056",
        "mini-0": "explained more: 0.0049, from 0.0023 to 0.0075",
        "mini-2": "explained more: -0.0025, from -0.0046 to 0.0006",
    }
)
@open_question({"mini-3": "0.0071, from 0.0033 to 0.0113", "mini-4": "0.0123, from 0.0096 to 0.015"})
def test_more_is_explained_than_by_baselines_of_the_same_l0(model):
    """A dictionary explains at least .01 more of the variance than as many principal components, neurons and random
    directions, with every seed.

    Source: mini-pilot on discovery texts: .016 more than principal components.
    """
    found = [more_explained(of(model, s), instead(model, kind, s)) for s, kind in product(seeds(model), BASELINES)]
    assert every(ratio(one["explained more"], one["squared deviation"]) for one in found) >= 0.01


@pytest.mark.parametrize("model", MINIS)
@refuted(
    {
        "mini-1": COMPONENTS,
        "mini-3": COMPONENTS,
        "mini-4": COMPONENTS,
        "mini-0": "recovered more: -0.0022, from -0.0068 to 0.0015",
    }
)
@open_question({"mini-2": "recovered more: 0.00352, from -0.00173 to 0.01002"})
def test_more_cross_entropy_is_recovered_than_by_baselines_of_the_same_l0(model):
    """A dictionary recovers at least .01 more of the cross-entropy than as many principal components, neurons and
    random directions, with every seed.

    Source: what is said of dictionaries; on discovery texts of mini-pilot principal components recover .001 more.
    """
    found = [more_recovered(of(model, s), instead(model, kind, s)) for s, kind in product(seeds(model), BASELINES)]
    assert every(ratio(one["recovered more"], one["to recover"]) for one in found) >= 0.01
