"""Greater-than: whether the years that may follow begin where the start says.

*Sharpness* is the probability of the year after the start less that of the year before it. An answer that is the same
whatever the start has at most one in 88 of it on average, but up to a ninth where starts are 90 and more; and all that
there is of the years above the start, where it is 99. So the network's answers to the same sentences with another start
stand beside its own, read as if this start had been said: begun in 98 (*late*), or in the year of the next prompt
(*other*). By decades of the start, for few years are right where it is high. Terms, intervals and limits of the topic:
`measurements.py`.
"""

import pytest

from claims.greater_than.measurements import ASKED, begun, scores
from claims.models import MINIS
from mechlib import Measurement, PromptSet, every, mean, open_question, show
from mechlib.evidence import evidence
from mechlib.figures import rates_by_stratum
from mechlib.prompts import greater_than

HIGH_STARTS = "more than three quarters of it come from starts of 90 and more, of which a noun has none to six"
FRESH = greater_than(640, seed=1)
OTHER_STARTS = ("late", "other")


# Evidence: one value for each prompt.


@evidence
def around_the_start(model: str, prompts: PromptSet, late: PromptSet, other: PromptSet) -> Measurement:
    """Probability of the one year, and of the five, after the start less that of as many before it: of each prompt
    ("own 1", "own 5"), and of the same sentence in `late` and in `other`, where its label `year` is its own start."""
    import torch

    from mechlib.lab import batches, load, per_prompt, run, tokens

    network = load(model)
    years = torch.arange(100)
    ids = torch.stack([tokens(network, str(year))[-1] for year in years.tolist()])

    def leads(texts: PromptSet) -> Measurement:
        made, values = batches(network, texts, alone=True), []
        for batch in made:
            after = years - torch.tensor([[int(row.label("year"))] for row in batch.prompts])
            chances = run(network, batch.tokens)[0][:, -1].softmax(-1)[:, ids]
            near = [(chances * after.sign() * (after.abs() <= reach)).sum(1) for reach in (1, 5)]
            values.append(torch.stack(near, dim=1))
        return per_prompt(texts, made, values, ("1", "5"), "probability of years after the start less those before it")

    found = {"own": leads(prompts), "late": leads(late), "other": leads(other)}
    columns = {f"{name} {reach}": one[reach].array for name, one in found.items() for reach in ("1", "5")}
    return found["own"].with_columns(columns)


def beside_other_starts(model: str) -> Measurement:
    """The same on sentences of another draw than what was asked first."""
    return around_the_start(model, FRESH, begun(FRESH, "late"), begun(FRESH, "otherwise"))


# The behaviour.


@pytest.mark.parametrize("model", MINIS)
def test_the_cutoff_lies_at_this_start(model):
    """The five years after the start are more probable than the five before it, by at least .05 more than in the
    network's answer to the same sentence with another start, be it 98 or the next prompt's.

    Restated from "the years above the start have nearly all of the probability", of which saying 99 has more.
    Source: mini-pilot on discovery prompts: .19 after its own start, .06 after 98 and .01 after the next prompt's.
    """
    found = beside_other_starts(model)
    show(rates_by_stratum, found["own 5"], "Probability of five years after the start less five before it, by start")
    show(rates_by_stratum, found["late 5"], "The same where the sentence began in 98, by the start it is read by")
    assert every(mean(found.less("own 5", f"{start} 5"), across="nouns") for start in OTHER_STARTS) >= 0.05


@pytest.mark.parametrize("model", MINIS)
@open_question(
    {
        "mini-1": "0.061, from 0.046 to 0.075, and 16 nouns too skewed (-0.8) for the bound",
        "mini-2": "0.0226, from 0.0143 to 0.0310, and 15 nouns too skewed (-1.1) for the bound",
        "mini-3": "0.0156, from 0.0096 to 0.0215",
    }
)
def test_the_cutoff_lies_at_this_start_in_every_decade(model):
    """In each of nine decades of starts, from 11 to 98, the five years after the start lead the five before it by at
    least .01 more than after another start, be it 98 or the next prompt's.

    Restated from "no decade of starts is left out", which saying 99 satisfies in all of them.
    Source: mini-pilot on discovery prompts: .02 more at the least, where the start is below 20.
    """
    found = beside_other_starts(model)
    leads = [found.less("own 5", f"{start} 5") for start in OTHER_STARTS]
    decades = sorted(set(found.strata))
    assert every(mean(lead.stratum(decade), across="nouns") for lead in leads for decade in decades) >= 0.01


@pytest.mark.parametrize("model", MINIS)
@open_question({"mini-2": HIGH_STARTS, "mini-4": HIGH_STARTS})
def test_the_cutoff_is_sharp(model):
    """The year after the start is more probable than the year before it, by at least .02 on average.

    An even distribution over the years that are right, as training has it, would give .058; one that is the same
    whatever the start, .0125 at most.
    Source: mini-pilot on discovery prompts: .039; Hanna et al.: .06 in GPT-2 small.
    """
    found, late = scores(model, ASKED)["sharpness"], scores(model, begun(ASKED, "late"))["sharpness"]
    show(rates_by_stratum, found, "Probability of the year after the start less that of the one before, by the start")
    assert mean(found, across="nouns", control=late) >= 0.02


@pytest.mark.parametrize("model", MINIS)
@open_question({"mini-2": "0.140, from 0.088 to 0.193", "mini-4": "0.154, from 0.086 to 0.221"})
def test_the_cutoff_is_sharper_than_after_another_start_where_few_years_are_left(model):
    """For starts of 90 and more the year after the start leads the year before it by .1 or more beyond what it does
    after another start, be it 98 or the next prompt's.

    Restated from "by .1 or more", which the answer to 98 has as well: a ninth of these starts is followed by 99.
    Source: mini-pilot on discovery prompts: .30, beside .12 and .00.
    """
    found = beside_other_starts(model).stratum("90 to 98")
    assert every(mean(found.less("own 1", f"{start} 1"), across="nouns") for start in OTHER_STARTS) >= 0.1
