"""Indirect objects: what holds on average over five trainings of the same recipe.

A training is the unit. The claim stands on each training as well, among those of patching. Terms, intervals and limits
of the topic: `measurements.py`.
"""

from claims.ioi.measurements import carriers
from claims.measurements import restored_jointly
from claims.models import MINIS, TRAININGS
from mechlib import across_seeds, no_twin, ratio
from mechlib.prompts import ioi

# Across trainings.


@no_twin(TRAININGS)
def test_three_heads_restore_half_across_trainings():
    """Over five trainings of the same recipe, three heads chosen on discovery prompts restore at least half on average.

    Source: mini-pilot, as in the claim on each training.
    """
    assert across_seeds(ratio(restored_jointly(model, carriers(model), ioi())) for model in MINIS) >= 0.5
