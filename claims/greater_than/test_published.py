"""Greater-than: published sentences, asked of pretrained models digit by digit and of two minis by the same code.

Claims about the inside stand behind a gate: that the digits, or years, that may follow have at least half of the
probability more than all others. Terms and prompts: `published.py`. Intervals are across nouns, on these centuries.
Minis are asked for years.
"""

from itertools import product

import pytest

from claims.greater_than.measurements import scores, written_by_kind
from claims.greater_than.published import (
    asked,
    asked_anew,
    attention_from_the_end,
    begun_otherwise,
    beside_another_start,
    carriers,
    rather_than_a_word,
    restored_beside_random,
    whole_years,
)
from claims.models import AUDITED, PRETRAINED
from mechlib import Measurement, mean, open_question, ratio, reported, requires, show, void
from mechlib.figures import by_column, heads_by_layer, rates_by_stratum
from mechlib.prompts import style_of

HANNA = "Hanna et al. 2023, arXiv:2305.00586"
DIGITS = ("tens", "units")
HERE = "these centuries"  # six, too few to generalise over


def late(found: Measurement) -> Measurement:
    """What the MLPs of the second half of the layers write together, and the "total"."""
    layers = len(found.mlp_columns)
    names = [name for name in found.mlp_columns if 2 * int(name.split()[1]) >= layers]
    return found.with_columns({"late MLPs": found.added_up(names).array, "total": found["total"].array})


def mlps_less_heads(found: Measurement) -> Measurement:
    """What all MLPs write less what all heads do, and the "total"."""
    less = found.added_up(found.mlp_columns).array - found["heads"].array
    return found.with_columns({"MLPs less heads": less, "total": found["total"].array})


def by_digit(model: str, digit: str = "tens") -> Measurement:
    """What is given to the digits, or years, beside the answer to another start."""
    prompts = asked(model, digit="units" if digit == "units" else "tens")
    return beside_another_start(model, prompts, begun_otherwise(prompts))


# The behaviour.


@pytest.mark.parametrize("model", AUDITED)
@reported(0.817, f"{HANNA}, behaviour of GPT-2 small", unit="probability")
def test_years_above_the_start_are_more_probable_by_seven_tenths(model):
    """The probability of the years above the start exceeds that of all others by at least 0.7, and does not in the
    answer to the same sentence with another start.

    Of models that write digits by both digits, the units read behind the start's own tens. Late years are likelier
    whatever the start, which is about half of it.
    """
    prompts = asked(model, 96)
    found = whole_years(model, prompts, begun_otherwise(prompts))
    show(rates_by_stratum, found["own"], "Probability of the years above the start less all others, by the start")
    assert mean(found["own"], across=HERE, control=found["other start"]) >= 0.7


@pytest.mark.parametrize(("model", "digit"), [*product(PRETRAINED, DIGITS), ("mini-0", "year"), ("mini-1", "year")])
def test_each_digit_depends_on_the_start(model, digit):
    """The probability of the digits that may follow less that of all others is at least 0.2 higher than in the answer
    to the same sentence with another start; of the tens, and of the units behind the start's own tens.

    What always says a high digit gains nothing. Minis are asked for the year.
    Source: SmolLM2 on discovery prompts, .6 for either digit; Hanna et al. have whole years.
    """
    found = by_digit(model, digit)
    assert mean(found.less("difference", "difference, other start"), across=HERE) >= 0.2


@pytest.mark.parametrize(("model", "digit"), [*product(PRETRAINED, DIGITS), ("mini-0", "year"), ("mini-1", "year")])
@open_question(
    {
        "mini-0-year": "sharpness less sharpness, other start: 0.0418, from 0.0159 to 0.0677",
        "mini-1-year": "sharpness less sharpness, other start: 0.0389, from 0.0151 to 0.0628",
    }
)
def test_the_next_digit_leads_more_than_after_another_start(model, digit):
    """The digit after the start's leads the one before it by at least .02 more than in the answer to the same sentence
    with another start; of the tens, and of the units behind the start's own tens.

    The paper has whole years, with no other start beside them; minis are asked for these, and have the bound.
    SmolLM2 has .2 and .4 on discovery prompts.
    Source: Hanna et al. 2023, .06 of whole years; for digits the bound says that the cutoff follows the start.
    """
    found = by_digit(model, digit)
    show(rates_by_stratum, found["sharpness"], "Probability of the digit after the start's less the one before it")
    assert mean(found.less("sharpness", "sharpness, other start"), across=HERE) >= 0.02


# The inside.


@pytest.mark.parametrize("model", AUDITED)
@reported(
    None,
    f"{HANNA}, abstract, on the final MLPs; figure 5, MLPs 8 to 11 of 12",
    sentence="The final MLPs write which years are greater.",
    primary=True,
)
@void(
    {
        "gemma3-270m": "1 of 1 others in its place do as well",
        "qwen2.5-coder-0.5b": "1 of 1 others in its place do as well",
        "mini-1": "1 of 1 others in its place do as well",
    }
)
def test_late_mlps_write_half_of_what_the_start_decides_and_not_of_any_difference(model):
    """MLPs of the second half of the layers write at least half of the logit difference between a digit above the
    start's and one below it directly into the output, and less than half of that between a digit and another word.

    Each is a share of its own whole, and the other whole is at least half as large. Of minis, between years. "MLPs 8 to
    11" of GPT-2 small are the last third; the bound is ours.
    """
    prompts = asked_anew(model)
    requires(mean(scores(model, prompts)["difference"], across=HERE) >= 0.5)
    found, other = (written_by_kind(model, one) for one in (prompts, rather_than_a_word(prompts)))
    requires(ratio(other["total"], found["total"], across="nouns") >= 0.5)
    show(by_column, found, "What all heads and each MLP write towards the digit above the start, in logits")
    assert ratio(late(found), across="nouns", control=late(other)) >= 0.5


@pytest.mark.parametrize("model", AUDITED)
@reported(None, f"{HANNA}, figure 5", sentence="MLPs write the answer; heads bring them the start.")
@void(
    {
        "gemma3-270m": "1 of 1 others in its place do as well",
        "qwen2.5-coder-0.5b": "1 of 1 others in its place do as well",
        "mini-0": "1 of 1 others in its place do as well",
        "mini-1": "1 of 1 others in its place do as well",
    }
)
def test_mlps_write_more_than_heads_of_what_the_start_decides_and_not_of_any_difference(model):
    """All MLPs write more of the logit difference between a digit above the start's and one below it directly into the
    output than all heads do, by at least a fifth of it, and not so of that between a digit and another word.

    Each is a share of its own whole, and the other whole is at least half as large. Of minis, between years.
    """
    prompts = asked_anew(model)
    requires(mean(scores(model, prompts)["difference"], across=HERE) >= 0.5)
    found, other = (written_by_kind(model, one) for one in (prompts, rather_than_a_word(prompts)))
    requires(ratio(other["total"], found["total"], across="nouns") >= 0.5)
    assert ratio(mlps_less_heads(found), across="nouns", control=mlps_less_heads(other)) >= 0.2


@pytest.mark.parametrize("model", AUDITED)
@reported(None, f"{HANNA}, figure 5", sentence="A few attention heads bring the start to the last position.")
def test_three_heads_bring_a_fifth_of_the_difference(model):
    """The three heads that restore most on discovery prompts, patched together at the last position, restore at least a
    fifth of the difference more than as many random other heads of their layers do on average.

    The corrupted start is the lowest year. The difference is one of probabilities, of the tens where digits are asked.
    """
    requires(mean(by_digit(model)["difference"], across=HERE) >= 0.5)
    found = restored_beside_random(model, carriers(model), asked(model, 96))
    assert ratio(found.less("together", "random"), found["total"], across="nouns") >= 0.2


@pytest.mark.parametrize("model", AUDITED)
@reported(None, f"{HANNA}, figure 5", sentence="The heads that bring the start attend to it from the last token.")
@void(
    {
        "qwen2.5-coder-0.5b": "12 of 20 others in its place do as well",
        "mini-1": "11 of 39 others in its place do as well",
    }
)
def test_the_heads_that_bring_the_start_look_at_it(model):
    """The three heads that restore most on discovery prompts attend from the last token to the start, or its tens, by
    at least 0.2 on average."""
    requires(mean(by_digit(model)["difference"], across=HERE) >= 0.5)
    back = 7 if style_of(model) == "pretrained" else 4
    looks = attention_from_the_end(model, back, asked(model, 96))
    show(heads_by_layer, looks, "Attention from the last token to the start")
    assert mean(looks.averaged(carriers(model)), across="nouns") >= 0.2
