"""Features of SmolLM2: what single ones tell in ordinary English.

The dictionary is of the residual stream behind the sixteenth of thirty layers, 4,608 features of which 32 are active on
a token, made from 100,000 tokens that the model wrote; `make saes` makes its weights. Prompts are those written for
pretrained models; names, nouns and sentences that judge are not those that choose.

Three features are named. One fires at the year that something began, without an error; one of a dictionary whose
decoder was never trained errs in three texts of ninety-five. One fires at names that were said before and errs in one
text of forty; the same feature of a softly frozen dictionary errs in one of twenty-four, so that training adds little.
The one that tells she and her best fires as often in texts of men.

Before the pronoun the feature that
tells women best, on discovery prompts, tells them no better than one that always fires, and all features there, to
first order, restore .05 of 7.6 logits between a woman and a man: the model has not brought it there yet. So the feature
that is steered by is the one that attribution names, at all words. Terms and limits of the topic: `measurements.py`.
"""

from dataclasses import replace

import pytest

from claims.features.measurements import (
    asked_of,
    before_the_pronoun,
    best_other,
    fires,
    named,
    neuron,
    of_frozen,
    others,
    steered,
)
from mechlib import Measurement, PromptSet, every, mean, open_question, proportion, ratio, refuted, requires, show
from mechlib.evidence import evidence
from mechlib.figures import by_column
from mechlib.prompts import greater_than, ioi, people

# A name that was said before is not asked for precision and recall: what tells it best errs in no text of many
# templates, and a ratio without variation has no interval. A share of texts without an error has one.
NATURAL = ("year-it-began", "pronoun-of-a-woman")


@pytest.mark.parametrize("concept", NATURAL)
@pytest.mark.parametrize("model", ["smollm2-135m"])
@open_question({"smollm2-135m-year-it-began": "hits: 1.000, from 1.000 to 1.000"})
@refuted({"smollm2-135m-pronoun-of-a-woman": "hits: 0.517, from 0.262 to 0.772"})
def test_one_feature_tells_it_in_english(model, concept):
    """One feature fires for the concept with a precision and a recall of at least .8, and the best single neuron, or
    feature of a frozen dictionary, does not.

    Source: that features are monosemantic, Bricken et al. 2023, "Towards Monosemanticity", and Cunningham et al. 2023,
    arXiv:2309.08600; the bound is ours.
    """
    prompts = asked_of(model, concept, "confirmation")
    show(by_column, others(model, concept), "F1 on discovery prompts of what else tells it")
    own = fires(model, named(model, concept), concept, prompts)
    other = fires(model, best_other(model, concept), concept, prompts)
    precise, complete = ("hits", "fired"), ("hits", "there")
    assert every([ratio(own[precise], control=other[precise]), ratio(own[complete], control=other[complete])]) >= 0.8


def drawn_again(model: str, concept: str, seed: int = 1) -> PromptSet:
    """Prompts for confirmation as `asked_of` has them, of another draw and without a text of that one: it was looked
    at when precision and recall were."""
    if concept == "year-it-began":
        drawn = greater_than(96, style="natural", seed=seed)
    elif concept == "pronoun-of-a-woman":
        drawn = people(96, style="pretrained", seed=seed)
    else:
        twice, once = (ioi(128, corrupt=corrupt, seed=seed, style="pretrained") for corrupt in ("subject", "names"))
        other = [replace(row, clean=row.corrupted, corrupted="") for row in once]
        bare = [replace(row, corrupted="", answer="", distractor="") for row in (*twice, *other)]
        drawn = replace(twice, name="names once and twice", rows=tuple(bare))
    seen = {row.clean for row in asked_of(model, concept, "confirmation")}
    return replace(drawn, rows=tuple(row for row in drawn if row.clean not in seen))


@evidence
def without_an_error(model: str, detector: str, concept: str, prompts: PromptSet) -> Measurement:
    """Whether a detector fires at all words of a text that are the concept, and at none else: yes or no."""
    from mechlib.lab import fired, load

    found = fired(load(model), prompts, concept, detector)["wrong"].equal_to(0)
    return replace(found, of="wrong on no token of the text")


@pytest.mark.parametrize("concept", [*NATURAL, "name-said-before"])
@pytest.mark.parametrize("model", ["smollm2-135m"])
@open_question(
    {
        "smollm2-135m-year-it-began": "1 [0.926, 1]; the best other 0.97: saturated",
        "smollm2-135m-name-said-before": "0.977, from 0.934 to 0.995; the best other 0.96: saturated",
    }
)
@refuted({"smollm2-135m-pronoun-of-a-woman": "0.450, from 0.252 to 0.660"})
def test_in_four_texts_of_five_one_feature_makes_no_error(model, concept):
    """In at least 80 % of the texts one feature fires at every word of the concept and at no other, and the best single
    neuron, or feature of a frozen dictionary, does not.

    Source: Bricken et al. 2023, "Towards Monosemanticity"; the bound is that of precision and recall. On discovery
    prompts the feature makes no error in 100 % of the texts with a year, and neither do neurons: predicted to be VOID.
    With a pronoun in 50 %, in all texts of women and in none of men: predicted to be REFUTED. With names in 100 %, and
    the best feature of a frozen dictionary in 94 %: predicted to be VOID.
    """
    prompts = drawn_again(model, concept)
    show(by_column, others(model, concept), "F1 on discovery prompts of what else tells it")
    own = without_an_error(model, named(model, concept), concept, prompts)
    other = without_an_error(model, best_other(model, concept), concept, prompts)
    assert proportion(own, control=other) >= 0.8


@pytest.mark.parametrize("model", ["smollm2-135m"])
@open_question({"smollm2-135m": "0.977, from 0.934 to 0.995"})
def test_in_nineteen_texts_of_twenty_one_feature_fires_where_a_name_is_said_again_and_nowhere_else(model):
    """In at least 95 % of the texts one feature fires at every name that was said before and at no other word, and the
    best feature of a frozen dictionary, and the best single neuron, do not.

    Source: on discovery prompts 100 % of 128 texts, where the best feature of a frozen dictionary makes no error in
    94 % and the best neuron in 79 %; the bound lies between.
    """
    concept = "name-said-before"
    prompts = drawn_again(model, concept)
    own, frozen, single = (
        without_an_error(model, chosen(model, concept), concept, prompts) for chosen in (named, of_frozen, neuron)
    )
    assert proportion(own, control=(frozen, single)) >= 0.95


@pytest.mark.parametrize("model", ["smollm2-135m"])
@open_question({"smollm2-135m": "1.321, from 0.760 to 1.881"})
def test_steered_by_the_feature_that_attribution_names_he_is_less_likely(model):
    """Where a man was named, a dose of 64, at all words, of the feature that attribution says makes she likely lowers
    he less she by at least 1 logit; along three random directions as long, and with what attribution names of the
    softly frozen dictionary, it does not.

    Source: on discovery prompts 1.6 logits of 3.2, along random directions -.2 to .3, and 2.1 with the softly frozen
    dictionary: predicted to be VOID.
    """
    asked = before_the_pronoun("confirmation", "man", 96, style="pretrained")
    own, soft = steered(model, "", (0, 1, 2), asked), steered(model, "soft", (), asked)
    requires(mean(own["intact"], across="names") >= 2)
    show(by_column, own, "Logit of he less she before, and what of it a dose of 64 takes, along the feature and others")
    others = [own[f"random {seed}"] for seed in range(3)]
    assert mean(own["own"], across="names", control=(*others, soft["own"])) >= 1
