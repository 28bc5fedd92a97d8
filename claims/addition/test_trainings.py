"""Two-digit addition: what holds on average over five trainings of the same recipe.

A training is the unit. Each of these claims stands on each training as well, in the files of patching and embeddings.
Terms, intervals and limits of the topic: `measurements.py`.
"""

from claims.addition.measurements import SMOOTH, carriers, structure
from claims.measurements import restored_jointly
from claims.models import MINIS, TRAININGS
from mechlib import across_seeds, exact, no_twin, ratio, refuted
from mechlib.prompts import addition

# Across trainings.


@no_twin(TRAININGS)
def test_six_heads_restore_three_fifths_across_trainings():
    """Over five trainings of the same recipe, six heads chosen on discovery pairs restore at least 60 % on average.

    Source: mini-pilot, as in the claim on each training.
    """
    prompts = addition(300)
    assert across_seeds(ratio(restored_jointly(model, carriers(model), prompts)) for model in MINIS) >= 0.6


@no_twin(TRAININGS)
def test_two_digits_explain_half_of_the_embeddings_across_trainings():
    """Over five trainings, tens and units explain at least half of the variance of the number embeddings on average.

    Source: as in the claim on each training.
    """
    shares = [structure(model)["units and tens"].array[0] for model in MINIS]
    assert across_seeds(exact(share) for share in shares) >= 0.5


@no_twin(TRAININGS)
@refuted(SMOOTH)
def test_the_periods_hold_a_third_of_the_power_across_trainings():
    """Over five trainings, periods 2, 5 and 10 hold at least 30 % of the embeddings' power on average.

    Source: as in the claim on each training.
    """
    shares = [structure(model)["periods"].array[0] for model in MINIS]
    assert across_seeds(exact(share) for share in shares) >= 0.3
