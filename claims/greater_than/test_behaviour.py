"""Greater-than: whether what lasted ends after it began, and how sharp the cutoff is.

The *difference* is the probability of the years above the start less that of all others; *sharpness* that of the year
after the start less that of the year before it. By decades of the start, for few years are right where it is high.
Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.greater_than.measurements import ASKED, scores
from claims.models import MINIS
from mechlib import every, mean, open_question, show
from mechlib.figures import rates_by_stratum

HIGH_STARTS = "more than three quarters of it come from starts of 90 and more, of which a noun has none to six"


# The behaviour.


@pytest.mark.parametrize("model", MINIS)
def test_years_above_the_start_have_nearly_all_of_the_probability(model):
    """The probability of the years above the start exceeds that of all others by at least 0.8, on average.

    Source: Hanna et al.: .817 in GPT-2 small; mini-pilot on discovery prompts: .94.
    """
    found = scores(model, ASKED)["difference"]
    show(rates_by_stratum, found, "Probability of years above the start less that of others, by the start")
    show(rates_by_stratum, found.by_cluster(), "Probability of years above the start less that of others, by noun")
    assert mean(found, across="nouns") >= 0.8


@pytest.mark.parametrize("model", MINIS)
def test_no_decade_of_starts_is_left_out(model):
    """The difference is at least 0.7 in each of nine decades of starts, from 11 to 98.

    Where the start is 90 or more, few years are right; where it is below 20, few are wrong.
    Source: mini-pilot on discovery prompts: .93 at the least.
    """
    found = scores(model, ASKED)["difference"]
    decades = sorted(set(found.strata))
    assert every(mean(found.stratum(decade), across="nouns") for decade in decades) >= 0.7


@pytest.mark.parametrize("model", MINIS)
@open_question({"mini-2": HIGH_STARTS, "mini-4": HIGH_STARTS})
def test_the_cutoff_is_sharp(model):
    """The year after the start is more probable than the year before it, by at least .02 on average.

    An even distribution over the years that are right, as training has it, would give .058.
    Source: mini-pilot on discovery prompts: .039; Hanna et al.: .06 in GPT-2 small.
    """
    found = scores(model, ASKED)["sharpness"]
    show(rates_by_stratum, found, "Probability of the year after the start less that of the one before, by the start")
    assert mean(found, across="nouns") >= 0.02


@pytest.mark.parametrize("model", MINIS)
def test_the_cutoff_is_sharp_where_few_years_are_left(model):
    """For starts of 90 and more the year after the start is more probable than the year before it, by .1 or more.

    Even would be .31.
    Source: mini-pilot on discovery prompts: .30.
    """
    assert mean(scores(model, ASKED)["sharpness"].stratum("90 to 98"), across="nouns") >= 0.1
