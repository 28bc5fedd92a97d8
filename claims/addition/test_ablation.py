"""Two-digit addition: which heads and MLPs are needed.

Ablation puts zeros, means or another prompt's activation in a component's place, at every position; means and other
prompts come from reference pairs. It also removes what a component does before the last word, so that what is needed
here is more than what patching at the last position sees. Terms, intervals and limits of the topic: `measurements.py`.
"""

import pytest

from claims.addition.measurements import FROM_ABOVE, carriers, names, right_without_the_first
from claims.measurements import logits_without, right
from claims.models import MINIS
from mechlib import (
    Heads,
    Measurement,
    PromptSet,
    above_null,
    difference,
    every,
    mean,
    no_twin,
    open_question,
    proportion,
    requires,
    show,
    singly_and_jointly,
)
from mechlib.evidence import evidence
from mechlib.figures import by_column, rates_by_column
from mechlib.prompts import addition

REFERENCE = addition(split="reference")


# Evidence: 1 or 0 for each pair of operands with something ablated, or one row for each random set.


@evidence
def right_without(model: str, heads: Heads, how: str, prompts: PromptSet, reference: PromptSet) -> Measurement:
    """1 where the answer is right with each of `heads` ablated, with all of them ("together"), and "intact"."""
    from mechlib.lab import load, under_ablation

    return under_ablation(load(model), prompts, singly_and_jointly(heads), how, reference)


@evidence
def right_without_each(model: str, prompts: PromptSet, reference: PromptSet) -> Measurement:
    """1 where the answer is right with one head or MLP mean-ablated, else 0."""
    from mechlib.lab import components, load, under_ablation

    network = load(model)
    return under_ablation(network, prompts, components(network), "mean", reference)


@evidence
def right_without_layers(model: str, prompts: PromptSet, reference: PromptSet) -> Measurement:
    """1 where the answer is right with all heads of a layer mean-ablated, or one MLP, else 0."""
    from mechlib.lab import layers, load, under_ablation

    network = load(model)
    return under_ablation(network, prompts, layers(network), "mean", reference)


@evidence
def right_without_mlps(model: str, how: str, prompts: PromptSet, reference: PromptSet) -> Measurement:
    """1 where the answer is right with one MLP ablated, else 0."""
    from mechlib.lab import components, load, under_ablation

    network = load(model)
    mlps = {name: where for name, where in components(network).items() if name.startswith("mlp")}
    return under_ablation(network, prompts, mlps, how, reference)


@evidence
def logits_lost_without_others(model: str, heads: Heads, prompts: PromptSet, reference: PromptSet) -> Measurement:
    """Logit difference lost when 200 random sets of as many other heads are mean-ablated: one row a set."""
    from mechlib.lab import load, under_ablation_of_random_sets

    return under_ablation_of_random_sets(load(model), prompts, heads, "mean", reference, metric="logit difference")


# Ablation: what is needed.


@pytest.mark.parametrize("how", ["zero", "mean", "resample"])
@pytest.mark.parametrize("model", MINIS)
def test_without_three_heads_half_of_the_answers_are_lost(model, how):
    """Ablating the three strongest carriers costs at least 50 points of accuracy.

    Source: mini-pilot on discovery pairs: 90, 94 and 98 points under zero, mean and resample ablation.
    """
    requires(proportion(right(model, addition())) >= 0.9)
    answers = right_without(model, carriers(model, 3), how, addition(200), REFERENCE)
    assert difference(answers["intact"], answers["together"]) >= 0.5


@pytest.mark.parametrize("model", MINIS)
def test_three_heads_cost_four_fifths_of_the_answers(model):
    """Three heads are enough: mean-ablating the three strongest carriers costs at least 80 points of accuracy.

    Source: mini-pilot on discovery pairs: 94 points; two heads cost 80, one 60.
    """
    requires(proportion(right(model, addition())) >= 0.9)
    answers = right_without_the_first(model, names(carriers(model, 8)), addition(200), REFERENCE)
    show(by_column, answers, "Accuracy without the strongest heads, by their number")
    assert difference(answers["intact"], answers["3"]) >= 0.8


@pytest.mark.parametrize("model", MINIS)
def test_three_heads_matter_more_than_nineteen_of_twenty_random_sets(model):
    """Mean-ablating the three strongest carriers costs at least one logit more than 95 % of 200 random sets of three.

    Sets are matched by size alone where the carriers' layer leaves too few others, and then most hold no head of the
    first layer: that layer matters, rather than these three of it. The null is measured on 50 pairs.
    First asked in points of accuracy, where it held in four trainings and had no interval in the fifth, which loses
    all but a few of 200 answers; asked again in logits, with a bound of one.
    Source: docs/STATISTICS.md, R16, with room: mini-pilot loses 15.1 of 15.9 logits on discovery pairs.
    """
    requires(proportion(right(model, addition())) >= 0.9)
    logits = logits_without(model, carriers(model, 3), "mean", addition(200), REFERENCE)
    others = logits_lost_without_others(model, carriers(model, 3), addition(50), REFERENCE)
    assert above_null(logits.less("intact", "together"), others) >= 1


@pytest.mark.parametrize("model", MINIS)
def test_carriers_are_links_and_not_backups(model):
    """Three carriers ablated together cost less than the sum of what each costs alone, by at least 3 logits.

    Each costs nearly two thirds of the whole, so that the sum must exceed it; backups would show as the other sign.
    Source: mini-pilot on discovery pairs: 15 logits together, 29 as the sum.
    """
    requires(proportion(right(model, addition())) >= 0.9)
    chosen = carriers(model, 3)
    logits = logits_without(model, chosen, "mean", addition(200), REFERENCE)
    show(by_column, logits, "Logit difference with one carrier ablated, with all three, and intact")
    assert mean(logits.interaction("together", chosen, "intact")) <= -3


@pytest.mark.parametrize("how", ["zero", "mean", "resample"])
@pytest.mark.parametrize("model", MINIS)
@open_question(
    {
        "mini-4-mean": "37 points at the least, with the bound inside the simultaneous interval",
        "mini-0-zero": "37 points at the least, with the bound inside the simultaneous interval",
        "mini-4-zero": "37 points at the least, with the bound inside the simultaneous interval",
    }
)
def test_every_mlp_is_needed(model, how):
    """Ablating any one of the four MLPs costs at least 30 points of accuracy.

    Source: mini-pilot on discovery pairs: 53 points at the least.
    """
    requires(proportion(right(model, addition())) >= 0.9)
    answers = right_without_mlps(model, how, addition(200), REFERENCE)
    assert every(difference(answers["intact"], answers[answers.mlp_columns])) >= 0.3


@pytest.mark.parametrize("model", MINIS)
@no_twin(FROM_ABOVE)
@open_question({"mini-4": "14 points for head 1.4, and up to 21 within the interval"})
def test_no_later_head_is_needed(model):
    """Mean-ablating any one head behind the first layer costs at most 15 points of accuracy.

    Source: mini-pilot on discovery pairs: 12 points at the most.
    """
    requires(proportion(right(model, addition())) >= 0.9)
    answers = right_without_each(model, addition(300), REFERENCE)
    show(rates_by_column, answers, "Accuracy with one head or MLP ablated")
    later = [name for name in answers.head_columns if not name.startswith("0.")]
    assert every(difference(answers["intact"], answers[later])) <= 0.15


@pytest.mark.parametrize("model", MINIS)
def test_the_first_layers_heads_are_needed_most(model):
    """Mean-ablating all heads of the first layer costs 30 points more than those of every other layer.

    Source: mini-pilot on discovery pairs: 98 points, and 26, 16 and 7 for the other layers.
    """
    requires(proportion(right(model, addition())) >= 0.9)
    answers = right_without_layers(model, addition(300), REFERENCE)
    show(by_column, answers, "Accuracy with one layer's heads or MLP ablated")
    others = [name for name in answers.columns if name.startswith("attention") and name != "attention 0"]
    assert every(difference(answers[others], answers["attention 0"])) >= 0.3
