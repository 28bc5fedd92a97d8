"""A shortcut: what repairs a classifier that tells a profession by gender, and what does not.

The published sentence comes first: without the features that carry gender the worst group is told better. It is held
against frozen twins of the dictionary, against random features that write as much, and beside neurons, a single
direction, and a classifier with a stronger penalty. Terms, gates, intervals and limits of the topic: `measurements.py`.
Behind layer 2 of the minis, behind layer 15 of SmolLM2.
"""

import pytest

from claims.models import MINIS
from claims.shortcut.measurements import (
    AGAINST,
    DIRECTION,
    FEATURES,
    FROZEN,
    GROUPS,
    NEURONS,
    NOTHING,
    PENALTY,
    PROFESSION,
    PROJECTION,
    RANDOM,
    WORST,
    accuracies,
    gated,
    leanings,
    table,
)
from mechlib import difference, every, mean, open_question, ratio, refuted, show
from mechlib.figures import by_column, matrix

ASKED = (*MINIS, "smollm2-135m")

# What features repair.


@pytest.mark.parametrize("model", ASKED)
@refuted({"mini-2": "-0.225 for one group, from -0.516 to 0.066: without them it is told worse"})
def test_every_group_is_told_better_without_the_features_of_gender_and_not_without_a_frozen_twins(model):
    """Without the 16 features that carry gender every group is told better, by .10 at least, than men who are
    scientists were with them, and without those of a frozen twin it is not.

    Source: Marks et al. 2024, arXiv:2403.19647, section 4, for the sentence; the bound is ours. mini-pilot on names of
    discovery: 0 points, and 10 to 18 with two of three frozen twins.
    """
    found = gated(accuracies(model))
    show(matrix, table(found), "Profession told, by what is taken out (down) and group (across)")
    before = found[NOTHING].stratum(WORST)
    assert (
        every(
            difference(
                found[FEATURES].stratum(group),
                before,
                across="names",
                control=tuple(found[twin].stratum(group) for twin in FROZEN),
            )
            for group in GROUPS
        )
        >= 0.1
    )


@pytest.mark.parametrize("model", ASKED)
@open_question({"mini-2": "0.021, from -0.025 to 0.067"})
def test_taking_the_features_of_gender_out_costs_the_average_five_points_at_most(model):
    """Without the 16 features that carry gender the average falls by .05 at most; without the direction of the
    profession it falls by more.

    Source: mini-pilot on names of discovery: .02, and .27.
    """
    found = gated(accuracies(model))
    beside = found.less(NOTHING, PROFESSION)
    assert mean(found.less(NOTHING, FEATURES), across="names", beside=beside) <= 0.05


@pytest.mark.parametrize("model", ASKED)
@open_question({"mini-2": "-0.048, from -0.239 to 0.143"})
def test_features_of_gender_repair_more_than_random_ones_that_write_as_much(model):
    """In both groups against training the profession is told better without the 16 features that carry gender than
    without as many random features that write as much, by .05 at least.

    Source: Marks et al. 2024, section 4, where random features repair nothing; the bound is ours.
    """
    found = gated(accuracies(model)).less(FEATURES, RANDOM)
    assert every(mean(found.stratum(group), across="names") for group in AGAINST) >= 0.05


@pytest.mark.parametrize("model", ASKED)
@open_question({"mini-2": "against the frozen encoder 0.125, from -0.010 to 0.260"})
def test_trained_features_of_gender_repair_at_most_five_points_more_than_each_frozen_twins(model):
    """Men who are scientists are told better without the trained dictionary's features of gender than without those of
    each frozen twin by .05 at most; without as many neurons by more.

    Source: mini-pilot on names of discovery: .01, -.19 and -.10; with neurons .28, .08 and .17.
    """
    found = gated(accuracies(model))
    assert (
        every(
            mean(
                found.less(FEATURES, twin).stratum(WORST),
                across="names",
                beside=found.less(NEURONS, twin).stratum(WORST),
            )
            for twin in FROZEN
        )
        <= 0.05
    )


# What repairs it without a dictionary.


@pytest.mark.parametrize("model", MINIS)
@open_question({"mini-2": "0.117, from -0.046 to 0.279"})
def test_neurons_of_gender_repair_more_than_as_many_features(model):
    """In both groups against training the profession is told better without the 16 neurons that carry gender than
    without as many features, by .10 at least.

    Source: mini-pilot on names of discovery: .27 and .35. Marks et al. 2024, section 4, have it the other way round.
    """
    found = gated(accuracies(model)).less(NEURONS, FEATURES)
    assert every(mean(found.stratum(group), across="names") for group in AGAINST) >= 0.1


@pytest.mark.parametrize("model", MINIS)
@open_question({"mini-2": "0.108 for one group, from -0.099 to 0.316"})
def test_every_group_is_told_better_without_the_direction_of_gender(model):
    """With the direction between women's and men's texts held at its mean every group is told better, by .20 at least,
    than men who are scientists were, and with a random direction so held it is not.

    Source: mini-pilot on names of discovery: .34. What is measured here repairs at this pair of professions; turned
    round it ruins the classifier (`measurements.py`).
    """
    found = gated(accuracies(model))
    before = found[NOTHING].stratum(WORST)
    assert (
        every(
            difference(
                found[PROJECTION].stratum(group), before, across="names", control=found[DIRECTION].stratum(group)
            )
            for group in GROUPS
        )
        >= 0.2
    )


@pytest.mark.parametrize("model", MINIS)
@open_question({"mini-2": "0.192 for one group, from 0.007 to 0.377"})
def test_every_group_is_told_better_by_a_stronger_penalty_on_the_same_texts(model):
    """Fitted on the same texts with a hundred times the penalty, every group is told better, by .20 at least, than men
    who are scientists were.

    Nothing is taken out: it is the classifier that goes by gender.
    Source: mini-pilot on names of discovery: .40.
    """
    found = gated(accuracies(model))
    before = found[NOTHING].stratum(WORST)
    assert every(difference(found[PENALTY].stratum(group), before, across="names") for group in GROUPS) >= 0.2


# Where gender stands in the classifier.


@pytest.mark.parametrize("model", MINIS)
@open_question({"mini-2": "0.515, from 0.439 to 0.591"})
def test_half_of_gender_in_the_log_odds_is_in_what_the_dictionary_leaves_out(model):
    """Of the log-odds between women and men at least half comes of what the dictionary does not reconstruct, and not of
    its features.

    So removing all of them could not repair it. The rest is 5 % of the variance on mini-pilot's own texts.
    Source: mini-pilot on names of discovery: .78.
    """
    gated(accuracies(model))
    found = leanings(model)
    show(by_column, found, "Log-odds towards the profession of the own gender: in all, and what comes of features")
    assert ratio(found["rest"], found["total"], across="names") >= 0.5


# The same of other seeds.


@pytest.mark.parametrize("model", ["mini-0"])
def test_neurons_of_gender_repair_more_than_features_of_each_of_three_seeds(model):
    """Men who are scientists are told better without the 16 neurons that carry gender than without as many features of
    each of three dictionaries, which differ in their seed, by .10 at least.

    Source: mini-pilot on names of discovery, one seed: .27.
    """
    seeds = [gated(accuracies(model, seed)).less(NEURONS, FEATURES).stratum(WORST) for seed in range(3)]
    assert every(mean(one, across="names") for one in seeds) >= 0.1
