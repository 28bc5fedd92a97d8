"""Induction: what holds on average over five trainings of the same recipe.

A training is the unit. Each of these claims stands on each training as well, among those of attention and of effects.
Terms, intervals and limits of the topic: `measurements.py`.
"""

from claims.induction.measurements import carriers, induction_head, scores
from claims.measurements import restored_jointly
from claims.models import MINIS, TRAININGS
from mechlib import across_seeds, mean, no_twin, open_question, ratio
from mechlib.prompts import induction

# Across trainings.


@open_question("two trainings score .95, three below .1: five are too few for a mean of such values")
@no_twin(TRAININGS)
def test_the_highest_induction_score_is_four_tenths_across_trainings():
    """Over five trainings of the same recipe, the score of the head chosen on discovery prompts is at least 0.4 on
    average.

    Source: the threshold of the claim on each training.
    """
    assert across_seeds(mean(scores(model)[induction_head(model)]) for model in MINIS) >= 0.4


@open_question("from 32 % to 90 %: five trainings leave the mean open")
@no_twin(TRAININGS)
def test_three_heads_carry_nine_tenths_across_trainings():
    """Over five trainings of the same recipe, three heads chosen on discovery prompts restore at least 90 % on average.

    Source: mini-pilot, as in the claim on each training.
    """
    assert across_seeds(ratio(restored_jointly(model, carriers(model), induction())) for model in MINIS) >= 0.90
