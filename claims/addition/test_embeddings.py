"""Two-digit addition: how the numbers 0 to 99 are embedded.

Read off the weights, so that numbers are exact and have no interval. Embeddings follow the number smoothly; periods are
asked for behind a quadratic trend. Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.addition.measurements import SMOOTH, structure
from claims.models import MINIS
from mechlib import exact, permutation_p, refuted

# How numbers are embedded: exact, from weights.


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-*": SMOOTH})
def test_number_embeddings_have_the_periods_of_decimal_digits(model):
    """Periods 2, 5 and 10 hold at least 30 % of the power of the embeddings of 0 to 99, behind a quadratic trend.

    Source: after Nanda et al. 2023, where few frequencies do; the periods are those of decimal digits. mini-pilot has
    1 %, so it is expected to be refuted.
    """
    assert exact(structure(model)["periods"].array[0], of="share of power at periods 2, 5 and 10") >= 0.3


@pytest.mark.parametrize("model", MINIS)
def test_number_embeddings_follow_the_order_of_the_numbers(model):
    """Two digits explain more of the embeddings than under 99 % of 1,000 permutations of the numbers' labels.

    Restated from "p <= .01", a bound from above: as something that is there it must fail untrained, where the words for
    numbers are as any others.
    Source: docs/STATISTICS.md, R11.
    """
    shares = structure(model)["units and tens"].array
    assert exact(1 - permutation_p(shares[0], shares[1:]), of="share of permutations below the true order") >= 0.99
