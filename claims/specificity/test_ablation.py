"""Specificity: do the heads that carry one task matter for another?

For each of three tasks, two-digit addition, indirect objects and induction, the three heads are chosen that restore
most of its logit difference when they are patched on its discovery prompts (the *carriers* of that topic). Each set is
then mean-ablated, at every position, on confirmation prompts of each task: a matrix of three by three. A set is
specific where its own task loses and the others do not; two sets doubly dissociate two tasks where each costs its own
task more than the other set does. Which heads are chosen is not constrained: sets may share heads, and then they cannot
be specific. That a task loses much without the heads of another does not make them shared: most sets of three heads of
the first layer cost much. So the chosen set is compared with all sets of as many heads of the same layers.

The prompts were 160 pairs and 160 sequences at first and are 200 now, the 160 among them: that was changed after the
evidence had been seen, because five of the differences had no interval.

Costs are shares of the logit difference lost, or points of accuracy; a task may lose much of its logit difference and
still answer rightly. Intervals are over pairs of operands, across templates, or over sequences. Means come from each
task's own reference prompts. Limits: three heads a task are fewer than carry it in some trainings; ablation at every
position also removes what a head does before the last word; and three tasks are not all that a network does.
"""

import pytest

from claims.models import MINIS
from claims.tasks import CONFIRMATION, DISCOVERY, REFERENCE, right
from mechlib import (
    Heads,
    Measurement,
    PromptSet,
    Selection,
    all_heads,
    difference,
    every,
    open_question,
    proportion,
    ratio,
    refuted,
    requires,
    show,
    strongest,
    void,
)
from mechlib.evidence import evidence
from mechlib.figures import matrix
from mechlib.prompts import addition, induction

TASKS = ("addition", "ioi", "induction")
PAIRS = [(heads_of, task) for heads_of in TASKS for task in TASKS if heads_of != task]

# Why predictions failed, where several failed for one reason.
NEEDED = "carriers of indirect objects are in the first layer (in mini-3 two of three), and this task needs them too"
ONE_SHARED = "the two sets share a head of the first layer"
PREVIOUS = "carriers of addition are among the heads that look most at the previous word, which induction needs"
TWO_SHARED = "two of the three heads are the same"


# Evidence: one value for each prompt.


@evidence
def restored_on_average(model: str, prompts: PromptSet) -> Measurement:
    """Logit difference that each head restores, patched at the last position: a mean over prompts, to choose by."""
    from mechlib.lab import load, restored_by_patching

    network = load(model)
    found = restored_by_patching(network, prompts, all_heads(network.cfg.n_layers, network.cfg.n_heads))
    means = found.values.mean(axis=0, keepdims=True)
    return Measurement(means, ("all",), unit="set of prompts", columns=found.columns, of=found.of)


@evidence
def logits_without(model: str, heads: Heads, prompts: PromptSet, reference: PromptSet) -> Measurement:
    """Logit of the answer less the distractor's with `heads` mean-ablated ("without"), and "intact"."""
    from mechlib.lab import load, under_ablation

    return under_ablation(
        load(model), prompts, {"without": heads}, "mean", reference, metric="logit difference", unit="prompt"
    )


@evidence
def right_without(model: str, heads: Heads, prompts: PromptSet, reference: PromptSet) -> Measurement:
    """1 where the answer is right with `heads` mean-ablated, else 0."""
    from mechlib.lab import load, under_ablation

    return under_ablation(load(model), prompts, {"without": heads}, "mean", reference, unit="prompt")["without"]


def sets_of_the_same_layers(heads: Heads, among: Heads) -> list[Heads]:
    """All other sets with as many heads in each layer as `heads` has, those that share some of them included; or 200 of
    them, drawn."""
    from collections import Counter
    from itertools import chain, combinations, product
    from random import Random

    in_layers = sorted(Counter(head.layer for head in heads).items())  # no choice of parts: over layers
    pools = [combinations(among.in_layer(layer), size) for layer, size in in_layers]
    every = [Heads(tuple(chain(*parts))) for parts in product(*pools)]
    others = [one for one in every if set(one) != set(heads)]
    return others if len(others) <= 200 else Random(0).sample(others, 200)


@evidence
def lead_over_sets_of_the_same_layers(
    model: str, heads: Heads, prompts: PromptSet, reference: PromptSet
) -> Measurement:
    """Logits that mean-ablating `heads` costs less those that another set of the same layers costs, as a share of the
    logit difference: one row a set, of means over the prompts."""
    from mechlib.lab import load, under_ablation

    network = load(model)
    others = sets_of_the_same_layers(heads, all_heads(network.cfg.n_layers, network.cfg.n_heads))
    named = {"chosen": heads, **{str(one): one for one in others}}
    found = under_ablation(network, prompts, named, "mean", reference, metric="logit difference", unit="prompt")
    means = dict(zip(found.columns, found.values.mean(axis=0), strict=True))
    leads = [(means[str(one)] - means["chosen"]) / means["intact"] for one in others]
    return Measurement(
        leads, units=tuple(map(str, others)), unit="set of heads", of="lead of the chosen set, as a share"
    )


# Choosing, on discovery prompts only. A twin's heads are chosen again, on the twin.


def carriers(model: str, task: str) -> Selection:
    """The three heads that restore most of a task's logit difference on discovery prompts."""
    return strongest(restored_on_average(model, DISCOVERY[task]), 3)


def logits(model: str, heads_of: str, task: str) -> Measurement:
    """The logit difference of one task without the carriers of another."""
    return logits_without(model, carriers(model, heads_of), CONFIRMATION[task], REFERENCE[task])


def lost(model: str, heads_of: str, task: str) -> Measurement:
    """Logits that each prompt loses, as a share of the intact network's mean logit difference: for the matrix."""
    found = logits(model, heads_of, task)
    intact = found["intact"].array
    return found.with_columns({"share lost": (intact - found["without"].array) / intact.mean()})


# Three sets of heads, three tasks.


@pytest.mark.parametrize("model", MINIS)
@open_question({"mini-4": "saturated: all of the answer is lost with other heads of these layers as well"})
@void(
    {
        "mini-0": "13 of 39 others in its place do as well",
        "mini-1": "6 of 39 others in its place do as well",
        "mini-2": "17 of 39 others in its place do as well",
        "mini-3": "6 of 39 others in its place do as well",
    }
)
def test_each_task_needs_its_own_three_heads(model):
    """Mean-ablating the three carriers of a task costs at least 20 % of that task's logit difference, for each of
    three.

    Source: the bound of the claims on indirect objects, for all tasks; mini-pilot loses 92, 78 and all but 0.1 % on
    discovery prompts under zero ablation.
    """
    requires(every(proportion(right(model, CONFIRMATION[task])) for task in TASKS) >= 0.8)
    cells = {(f"{heads_of} heads", task): lost(model, heads_of, task) for heads_of in TASKS for task in TASKS}
    show(matrix, cells, "Share of a task's logit difference lost without the carriers of a task")
    own = [logits(model, task, task) for task in TASKS]
    assert every(ratio(found.less("intact", "without"), found["intact"]) for found in own) >= 0.2


@pytest.mark.parametrize("heads_of, task", PAIRS)
@pytest.mark.parametrize("model", MINIS)
@refuted(
    {
        "mini-0-addition-ioi": ONE_SHARED,
        "mini-1-addition-ioi": ONE_SHARED,
        "mini-4-addition-ioi": ONE_SHARED,
        "mini-3-addition-ioi": TWO_SHARED,
        "mini-0-addition-induction": PREVIOUS,
        "mini-3-addition-induction": PREVIOUS,
        "mini-0-ioi-addition": ONE_SHARED,
        "mini-1-ioi-addition": ONE_SHARED,
        "mini-2-ioi-addition": NEEDED,
        "mini-3-ioi-addition": TWO_SHARED,
        "mini-4-ioi-addition": ONE_SHARED,
        "mini-*-ioi-induction": NEEDED,
    }
)
@open_question(
    {
        "mini-2-addition-ioi": "3 %, and up to 6 within the interval",
        "mini-2-addition-induction": "7 %, from 5 to 10",
        "mini-3-induction-ioi": "6 %, from 4.5 to 7",
        "mini-0-induction-ioi": "3 or 4 % are gained, and the margin lies inside the interval",
        "mini-1-induction-ioi": "3 or 4 % are gained, and the margin lies inside the interval",
        "mini-2-induction-ioi": "3 or 4 % are gained, and the margin lies inside the interval",
        "mini-4-induction-ioi": "3 or 4 % are gained, and the margin lies inside the interval",
    }
)
def test_the_heads_of_one_task_do_not_matter_for_another(model, heads_of, task):
    """Without the carriers of one task (named first) another (named second) loses -5 to 5 % of its logit difference.

    That sets no heads apart: without three other heads of the second layer addition loses as little in five to ten of
    14 sets tried (in three trainings), and without three of the third in all but one of 42.
    Source: written down before training. In mini-pilot, on discovery prompts, only induction's carriers come near (4
    and -16 %, zero ablation): those of the other two are in the first layer, so most of these are expected to be
    refuted.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    found, own = logits(model, heads_of, task), logits(model, task, task)
    seen = own.less("intact", "without")
    assert -0.05 <= ratio(found.less("intact", "without"), found["intact"], beside=seen) <= 0.05


@pytest.mark.parametrize("heads_of, task", PAIRS)
@pytest.mark.parametrize("model", MINIS)
@refuted(
    {
        "mini-0-addition-induction": PREVIOUS,
        "mini-0-ioi-addition": ONE_SHARED,
        "mini-0-ioi-induction": NEEDED,
        "mini-1-ioi-induction": NEEDED,
        "mini-1-ioi-addition": ONE_SHARED,
        "mini-2-ioi-induction": NEEDED,
        "mini-3-addition-ioi": TWO_SHARED,
        "mini-3-addition-induction": PREVIOUS,
        "mini-3-ioi-addition": TWO_SHARED,
        "mini-3-ioi-induction": NEEDED,
        "mini-4-ioi-addition": ONE_SHARED,
        "mini-4-ioi-induction": NEEDED,
    }
)
@open_question(
    {
        "mini-0-addition-ioi": "without: 0.6, from 0.424 to 0.776; too skewed for so few to say",
        "mini-1-addition-ioi": "37 points, from 29 to 46",
        "mini-2-addition-ioi": "without: 0.569, from 0.449 to 0.689; too skewed for so few to say",
    }
)
@void(
    {
        "mini-0-induction-addition": "10 of 39 others in its place do as well",
        "mini-0-induction-ioi": "39 of 39 others in its place do as well",
        "mini-1-addition-induction": "9 of 39 others in its place do as well",
        "mini-1-induction-addition": "9 of 39 others in its place do as well",
        "mini-1-induction-ioi": "39 of 39 others in its place do as well",
        "mini-2-addition-induction": "10 of 39 others in its place do as well",
        "mini-2-induction-addition": "10 of 39 others in its place do as well",
        "mini-2-induction-ioi": "39 of 39 others in its place do as well",
        "mini-3-induction-addition": "9 of 39 others in its place do as well",
        "mini-4-addition-induction": "9 of 39 others in its place do as well",
        "mini-3-induction-ioi": "39 of 39 others in its place do as well",
        "mini-4-addition-ioi": "16 of 39 others in its place do as well",
        "mini-4-induction-addition": "8 of 39 others in its place do as well",
        "mini-4-induction-ioi": "39 of 39 others in its place do as well",
    }
)
def test_a_task_loses_more_answers_without_its_own_heads(model, heads_of, task):
    """A task (named second) loses 30 points of accuracy more without its own carriers than without those of another.

    The other task is named first; either three heads are mean-ablated. Two tasks are doubly dissociated where this
    holds in both directions.
    Source: mini-pilot on discovery prompts under zero ablation: addition and induction dissociate (91 and 0, 99 and 0
    points); indirect objects lose 31 points at most.
    """
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    own = right_without(model, carriers(model, task), CONFIRMATION[task], REFERENCE[task])
    other = right_without(model, carriers(model, heads_of), CONFIRMATION[task], REFERENCE[task])
    assert difference(other, own) >= 0.3


@pytest.mark.parametrize("task", ["induction", "addition"])
@pytest.mark.parametrize("model", MINIS)
@refuted(
    {
        "mini-0-induction": "0.345, from 0.234 to 0.477",
        "mini-1-induction": "0.364, from 0.249 to 0.496",
        "mini-0-addition": "0.218, from 0.129 to 0.344",
        "mini-2-induction": "0.364, from 0.249 to 0.496",
        "mini-1-addition": "0.327, from 0.218 to 0.459",
        "mini-2-addition": "0, from 0 to 0.0649",
        "mini-3-induction": "0.725, from 0.659 to 0.782",
        "mini-4-induction": "0.364, from 0.249 to 0.496",
        "mini-4-addition": "0.491, from 0.364 to 0.619",
    }
)
@open_question({"mini-3-addition": "0.925, from 0.88 to 0.954"})
def test_the_heads_of_indirect_objects_are_shared_more_than_others_of_their_layers(model, task):
    """Another task loses more without the carriers of indirect objects than without nine of ten sets of their layers.

    More by 5 % of its logit difference, that is; on sequences and pairs of a fresh draw. All sets of as many heads of
    the same layers are compared, those that share a head with the carriers included, or 200 of them.
    Source: the sentence "heads are shared" of this record's first page up to 0.5, which had no such control. mini-pilot
    on discovery prompts: .53 of the sets for induction, which nearly all lose nearly all of it, and none for addition.
    """
    fresh = {"induction": induction(32, seed=2), "addition": addition(32, seed=2)}
    requires(proportion(right(model, CONFIRMATION[task])) >= 0.8)
    lead = lead_over_sets_of_the_same_layers(model, carriers(model, "ioi"), fresh[task], REFERENCE[task])
    assert proportion(lead.at_least(0.05)) >= 0.9
