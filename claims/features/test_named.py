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
from mechlib import Measurement, every, ratio, show
from mechlib.figures import by_column


def fewer(own: Measurement, other: Measurement) -> Measurement:
    """Tokens on which the second is wrong less those on which the first is, and those where the concept is."""
    return own.with_columns({"fewer": other["wrong"].array - own["wrong"].array, "there": own["there"].array})


# Precision, hits over fired, and recall, hits over there, are one claim: what always fires has a recall of 1, what
# seldom does a precision near it, so that either alone is nothing.


@pytest.mark.parametrize("concept", CONCEPTS)
@pytest.mark.parametrize("model", MINIS)
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


@pytest.mark.parametrize("concept", CONCEPTS)
@pytest.mark.parametrize("model", MINIS)
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


@pytest.mark.parametrize("concept", ["said-before", "late-start", "woman"])
@pytest.mark.parametrize("model", MINIS)
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
