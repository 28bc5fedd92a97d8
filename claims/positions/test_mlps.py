"""Positions: what MLPs lose when they see other ones, and how much of what they read is position.

The direct path alone, from the position embedding to the input of all MLPs or of one. Terms, intervals and limits of
the topic: `measurements.py`.
"""

import pytest

from claims.models import MINIS
from claims.positions.measurements import ACROSS, EQUIVALENCE, PROMPTS, TASKS, answered, logits_by_kind, lost
from mechlib import Measurement, PromptSet, every, mean, no_twin, proportion, ratio, requires, show
from mechlib.evidence import evidence
from mechlib.figures import by_column
from mechlib.prompts import induction

# Evidence: the logit difference of each prompt, or a share of an input.


@evidence
def logits_by_mlp(model: str, prompts: PromptSet) -> Measurement:
    """Logit difference where one MLP alone sees random other positions; and "intact"."""
    from mechlib.lab import load, readers, under_other_positions

    network = load(model)
    mlps = {name: own for name, own in readers(network).items() if name.startswith("mlp ")}
    return under_other_positions(network, prompts, mlps, unit="prompt")


@evidence
def share_that_is_position(model: str, prompts: PromptSet) -> Measurement:
    """How much of the normed input of each MLP, and of the first attention layer, changes with its positions."""
    from mechlib.lab import input_changed, load

    found = input_changed(load(model), prompts)
    return found[("attention 0", *found.mlp_columns)]


# What is lost.


def lost_by_each(model: str, task: str) -> Measurement:
    """Logits lost where one MLP alone sees other positions, a column each, and those that there are to lose."""
    found = logits_by_mlp(model, PROMPTS[task])
    each = {name: found.less("intact", name).array for name in found.mlp_columns}
    return found.with_columns({**each, "total": found["intact"].array})


# The MLPs.


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MINIS)
@no_twin(EQUIVALENCE)
def test_the_mlps_do_not_use_positions_directly(model, task):
    """With random other positions at the inputs of all MLPs, between -5 and 5 % of the logit difference is lost.

    Source: mini-pilot on discovery prompts: less than .1 % in each of the four tasks.
    """
    requires(proportion(answered(model, task), across=ACROSS.get(task)) >= 0.8)
    before_and_after = logits_by_kind(model, "resample", PROMPTS[task])
    show(by_column, before_and_after, "Logit difference where readers see other positions, and intact")
    assert -0.05 <= ratio(lost(model, "mlps", task), across=ACROSS.get(task)) <= 0.05


@pytest.mark.parametrize("model", MINIS)
@no_twin(EQUIVALENCE)
def test_no_single_mlp_uses_positions_directly(model):
    """With random other positions at one MLP's input, between -5 and 5 % is lost, for each MLP in each of four tasks.

    One MLP might undo what another does.
    Source: mini-pilot on discovery prompts: .06 % at the most.
    """
    requires(every(proportion(answered(model, task), across=ACROSS.get(task)) for task in TASKS) >= 0.8)
    shares = [share for task in TASKS for share in ratio(lost_by_each(model, task), across=ACROSS.get(task))]
    assert -0.05 <= every(shares) <= 0.05


@pytest.mark.parametrize("model", MINIS)
@no_twin(EQUIVALENCE)
def test_nor_do_the_mlps_use_that_there_is_a_position(model):
    """With the mean over positions at the inputs of all MLPs, between -5 and 5 % is lost in each of four tasks.

    Source: mini-pilot on discovery prompts: less than .1 %.
    """
    requires(every(proportion(answered(model, task), across=ACROSS.get(task)) for task in TASKS) >= 0.8)
    assert -0.05 <= every(ratio(lost(model, "mlps", task, "mean"), across=ACROSS.get(task)) for task in TASKS) <= 0.05


@pytest.mark.parametrize("model", MINIS)
@no_twin("a bound from above, and one about lengths: the permuted twin keeps the lengths that training made")
def test_hardly_anything_that_an_mlp_reads_is_position(model):
    """With random other positions each MLP's normed input changes by 5 % of its length at most.

    Source: mini-pilot on discovery prompts: 1.6, 1.3, .8 and .4 %, where the first attention's input changes by 81 %.
    """
    changed = share_that_is_position(model, induction(60))
    show(by_column, changed, "Share of each reader's normed input that changes with positions")
    assert every(mean(changed[changed.mlp_columns])) <= 0.05
