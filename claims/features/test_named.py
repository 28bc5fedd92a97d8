"""Features: what a single one stands for, told by precision and recall on prompts that did not choose it.

Beside each stands what tells the same concept without a trained dictionary: single neurons, and features of frozen
dictionaries, chosen in the same way. What is *wrong* is a token where the detector fires and the concept is not, or the
other way round. Terms, concepts, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.features.measurements import (
    CONCEPTS,
    asked_of,
    best_other,
    fires,
    named,
    neuron,
    of_frozen,
    others,
)
from claims.models import MINIS
from mechlib import Measurement, every, open_question, ratio, refuted, show, void
from mechlib.figures import by_column

# Not of what was said before: one coordinate tells it without an error, and a ratio without variation has no interval.
# Nor before the sentence in mini-4, where so few texts have a word that is missed that resamples often have none.
TELLING = [
    (model, one)
    for model in MINIS
    for one in CONCEPTS
    if one != "said-before" and (model, one) != ("mini-4", "before-the-sentence")
]
ERRING = [(model, one) for model in MINIS for one in CONCEPTS if (model, one) != ("mini-1", "said-before")]


def fewer(own: Measurement, other: Measurement) -> Measurement:
    """Tokens on which the second is wrong less those on which the first is, and those where the concept is."""
    return own.with_columns({"fewer": other["wrong"].array - own["wrong"].array, "there": own["there"].array})


# Precision, hits over fired, and recall, hits over there, are one claim: what always fires has a recall of 1, what
# seldom does a precision near it, so that either alone is nothing.


@pytest.mark.parametrize(("model", "concept"), TELLING)
@open_question(
    {
        "mini-0-before-the-sentence": "hits: 0.799, from 0.761 to 0.832",
        "mini-0-late-start": "hits: 0.765, from 0.674 to 0.855",
        "mini-1-before-the-sentence": "hits: 0.794, from 0.758 to 0.826",
        "mini-1-woman": "hits: 0.720, from 0.463 to 0.977",
        "mini-2-woman": "hits: 0.893, from 0.738 to 1.048",
        "mini-3-late-start": "hits: 0.838, from 0.736 to 0.940",
        "mini-3-woman": "hits: 0.812, from 0.617 to 1.007",
        "mini-4-late-start": "hits: 0.809, from 0.696 to 0.921",
        "mini-4-woman": "hits: 0.560, from 0.265 to 0.854",
    }
)
@refuted(
    {
        "mini-0-woman": "hits: 0.271, from 0.063 to 0.478",
        "mini-3-before-the-sentence": "hits: 0.754, from 0.720 to 0.786",
    }
)
@void(
    {
        "mini-1-late-start": "of its controls some do as well",
        "mini-2-before-the-sentence": "its control does as well",
        "mini-2-late-start": "its control does as well",
    }
)
def test_one_feature_tells_it(model, concept):
    """One feature fires for the concept with a precision and a recall of at least .8, and the best single neuron, or
    feature of a frozen dictionary, does not.

    Source: that features are monosemantic, Bricken et al. 2023, "Towards Monosemanticity", and Cunningham et al. 2023,
    arXiv:2309.08600; the bound is ours. F1 in mini-pilot on discovery prompts, and of the best other:
    .85 and .88 before the sentence, .59 and 1 said before, .86 and 1 late, .80 and .99 woman.
    """
    prompts = asked_of(model, concept, "confirmation")
    show(by_column, others(model, concept), "F1 on discovery prompts of what else tells it")
    own = fires(model, named(model, concept), concept, prompts)
    other = fires(model, best_other(model, concept), concept, prompts)
    precise, complete = ("hits", "fired"), ("hits", "there")
    assert every([ratio(own[precise], control=other[precise]), ratio(own[complete], control=other[complete])]) >= 0.8


@pytest.mark.parametrize(("model", "concept"), ERRING)
@refuted(
    {
        "mini-0-before-the-sentence": "0.028, from -0.007 to 0.064",
        "mini-0-said-before": "-0.542, from -0.571 to -0.510",
        "mini-0-late-start": "-0.206, from -0.303 to -0.109",
        "mini-0-woman": "-0.767, from -0.981 to -0.553",
        "mini-1-before-the-sentence": "0.009, from -0.001 to 0.021",
        "mini-1-late-start": "-0.132, from -0.222 to -0.043",
        "mini-1-woman": "-0.491, from -0.871 to -0.111",
        "mini-2-before-the-sentence": "0.057, from 0.029 to 0.088",
        "mini-2-said-before": "-0.321, from -0.351 to -0.291",
        "mini-2-late-start": "-0.103, from -0.176 to -0.030",
        "mini-3-before-the-sentence": "-0.004, from -0.027 to 0.022",
        "mini-3-said-before": "-0.597, from -0.626 to -0.567",
        "mini-3-late-start": "-0.088, from -0.152 to -0.024",
        "mini-3-woman": "-0.216, from -0.388 to -0.043",
        "mini-4-before-the-sentence": "0.010, from -0.004 to 0.027",
        "mini-4-said-before": "-0.0069, from -0.0121 to -0.0036",
        "mini-4-late-start": "-0.265, from -0.392 to -0.138",
        "mini-4-woman": "-0.723, from -1.199 to -0.247",
    }
)
@open_question(
    {
        "mini-2-woman": "-0.141, from -0.396 to 0.114",
    }
)
def test_it_errs_less_often_than_the_best_neuron(model, concept):
    """The feature is wrong on fewer tokens than the best single neuron, by a tenth of the tokens where the concept is;
    the best feature of a frozen dictionary is not.

    Source: Cunningham et al. 2023, arXiv:2309.08600, who find features easier to interpret than neurons; the bound is
    ours.
    """
    prompts = asked_of(model, concept, "confirmation")
    own = fires(model, named(model, concept), concept, prompts)
    frozen = fires(model, of_frozen(model, concept), concept, prompts)
    single = fires(model, neuron(model, concept), concept, prompts)
    assert ratio(fewer(own, single), control=fewer(frozen, single)) >= 0.1


@pytest.mark.parametrize("concept", CONCEPTS)
@pytest.mark.parametrize("model", MINIS)
@refuted(
    {
        "mini-0-before-the-sentence": "0.025, from -0.006 to 0.055",
        "mini-0-said-before": "-0.507, from -0.534 to -0.475",
        "mini-0-late-start": "-0.191, from -0.275 to -0.108",
        "mini-0-woman": "-0.377, from -0.813 to 0.058",
        "mini-1-before-the-sentence": "-0.021, from -0.038 to -0.005",
        "mini-1-said-before": "0.0063, from 0.0030 to 0.0109",
        "mini-2-before-the-sentence": "0.049, from 0.011 to 0.089",
        "mini-2-said-before": "-0.321, from -0.351 to -0.291",
        "mini-2-late-start": "0.015, from -0.041 to 0.070",
        "mini-3-before-the-sentence": "-0.028, from -0.054 to -0.003",
        "mini-3-said-before": "-0.406, from -0.438 to -0.373",
        "mini-3-late-start": "-0.015, from -0.123 to 0.093",
        "mini-4-before-the-sentence": "0.016, from 0.002 to 0.031",
        "mini-4-said-before": "0.037, from 0.027 to 0.049",
        "mini-4-late-start": "-0.191, from -0.308 to -0.075",
        "mini-4-woman": "-0.376, from -0.648 to -0.105",
    }
)
@open_question(
    {
        "mini-1-late-start": "-0.000, from -0.112 to 0.112",
        "mini-1-woman": "-0.079, from -0.434 to 0.276",
        "mini-2-woman": "0.076, from -0.209 to 0.361",
        "mini-3-woman": "-0.054, from -0.319 to 0.212",
    }
)
def test_it_errs_less_often_than_the_best_feature_that_was_not_trained(model, concept):
    """The feature is wrong on fewer tokens than the best feature of three frozen dictionaries, by a tenth of the tokens
    where the concept is; the best single neuron is not.

    Source: that what is learned is found by training the dictionary; the bound is ours. F1 in mini-pilot on discovery
    prompts, and of the best that was not trained: .85 and .88, .59 and .99, .86 and .92, .80 and .86.
    """
    prompts = asked_of(model, concept, "confirmation")
    own = fires(model, named(model, concept), concept, prompts)
    frozen = fires(model, of_frozen(model, concept), concept, prompts)
    single = fires(model, neuron(model, concept), concept, prompts)
    assert ratio(fewer(own, frozen), control=fewer(single, frozen)) >= 0.1


@pytest.mark.parametrize("concept", ["late-start", "woman"])
@pytest.mark.parametrize("model", ["mini-0"])
@refuted({"mini-0-late-start": "fewer: -0.294, from -0.422 to -0.166"})
@open_question({"mini-0-woman": "fewer: -0.431, from -0.992 to 0.130"})
def test_in_three_trainings_of_the_dictionary_it_errs_less_often_than_the_best_that_was_not_trained(model, concept):
    """In each of three trainings of the dictionary the feature is wrong on fewer tokens than the best feature of that
    training's frozen dictionaries, by a tenth of the tokens where the concept is.

    Source: as for one training.
    """
    prompts = asked_of(model, concept, "confirmation")
    found = [
        fewer(
            fires(model, named(model, concept, seed), concept, prompts),
            fires(model, of_frozen(model, concept, seed), concept, prompts),
        )
        for seed in range(3)
    ]
    assert every([ratio(one) for one in found]) >= 0.1


@pytest.mark.parametrize("concept", ["late-start", "woman"])
@pytest.mark.parametrize("model", MINIS)
@open_question(
    {
        "mini-0-late-start": "hits: 0.958, from 0.901 to 1.014",
        "mini-0-woman": "hits: 0.919, from 0.762 to 1.076",
        "mini-2-woman": "hits: 0.953, from 0.838 to 1.068; too skewed for so few to say",
        "mini-4-woman": "hits: 0.901, from 0.761 to 1.041",
    }
)
@void(
    {
        "mini-1-late-start": "of its controls some do as well",
        "mini-2-late-start": "its control does as well",
        "mini-3-late-start": "its control does as well",
        "mini-3-woman": "its control does as well",
        "mini-4-late-start": "its control does as well",
    }
)
def test_one_neuron_tells_it(model, concept):
    """One coordinate of the stream, or one neuron of the MLP, tells the concept with a precision and a recall of at
    least .8, and the best feature does not.

    Source: mini-pilot on discovery prompts: F1 of .99 and more.
    """
    prompts = asked_of(model, concept, "confirmation")
    own = fires(model, neuron(model, concept), concept, prompts)
    feature = fires(model, named(model, concept), concept, prompts)
    precise, complete = ("hits", "fired"), ("hits", "there")
    assert (
        every([ratio(own[precise], control=feature[precise]), ratio(own[complete], control=feature[complete])]) >= 0.8
    )
