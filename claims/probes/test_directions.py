"""Probes: what directions and subspaces of class means do in the run.

They are made from discovery prompts, which have other names and other pairs, and put into, or taken out of, the stream
at the last word of confirmation prompts. Beside each stands a change as long in a random direction of the activations'
span, another for each prompt. Terms, intervals and limits of the topic: `measurements.py`.
"""

from dataclasses import replace

import pytest

from claims.models import MINIS
from claims.probes.measurements import SUMS
from mechlib import Measurement, PromptSet, mean, open_question, refuted, void
from mechlib.evidence import evidence
from mechlib.prompts import addition, ioi

WOMEN = frozenset({"Fiona", "Karen", "Ruth", "Paula", "Nora", "Vera", "Susan", "Lucy", "Irene", "Olivia"})


def by_a_man_to_a_woman(prompts: PromptSet) -> PromptSet:
    """Those in which the direction from women's to men's names leads from the answer to the distractor."""
    rows = tuple(row for row in prompts if row.answer in WOMEN and row.distractor not in WOMEN)
    return replace(prompts, rows=rows, settings=(*prompts.settings, ("given by a man to", "a woman")))


TO_A_WOMAN, AGAIN = by_a_man_to_a_woman(ioi(640)), by_a_man_to_a_woman(ioi(640, seed=2))  # for what was restated
NAMES, PAIRS = ioi(320, split="discovery"), addition(split="discovery")
# Why predictions failed, where several failed for one reason.
AS_LONG = "random directions of its length take .3 to .4 logits: the bound was below what they take in mini-pilot too"
OTHER_NAMES = "it takes nothing from names that it was not made of, where mini-pilot was asked of those that it was"
PARTS = {"row-space": "row space", "null-space": "null space"}


@evidence
def lost_to_the_direction(model: str, prompts: PromptSet, made_from: PromptSet, depth: str) -> Measurement:
    """Logit difference that is lost where the difference of means of women's and men's names is added: "whole", its
    part in the "row space" of a probe of the same prompts, and the rest, in the "null space"; and "PART, random"."""
    from dataclasses import replace

    from mechlib.lab import load, mean_differences, probe_subspaces, under_addition

    network = load(model)
    whole = mean_differences(network, made_from, "gender of the answer", toward="man", layers=(depth,))[depth]
    rows = probe_subspaces(network, made_from, "gender of the answer", group="name", layers=(depth,))[depth]
    row = whole.within(rows)
    parts = {"whole": whole, "row space": row, "null space": replace(row, vector=whole.vector - row.vector)}
    found = under_addition(network, prompts, parts)
    return found.with_columns({name: found.less("intact", name).array for name in found.columns if name != "intact"})


@evidence
def lost_without_the_subspace(
    model: str, prompts: PromptSet, made_from: PromptSet, target: str, k: int, depth: str
) -> Measurement:
    """Right without any change less right with the class means' k first dimensions at the mean of all: "subspace"; and
    as much changed in random directions: "random"."""
    from mechlib.lab import class_mean_subspaces, load, under_removal

    network = load(model)
    made = class_mean_subspaces(network, made_from, target, k, layers=(depth,))
    found = under_removal(network, prompts, {"it": made[depth]}, "answered")
    lost = {"subspace": found.less("intact", "it").array, "random": found.less("intact", "it, random").array}
    return found.with_columns(lost)


@pytest.mark.parametrize("model", MINIS)
@open_question(
    {
        "mini-0": "1.28, from 0.902 to 1.66",
        "mini-1": "0.745, from 0.158 to 1.33",
        "mini-2": "1.16, from 0.664 to 1.66",
        "mini-3": "0.793, from 0.511 to 1.07",
        "mini-4": "1.12, from 0.699 to 1.54",
    }
)
def test_the_gender_direction_costs_the_woman_a_logit(model):
    """Added to the stream behind three layers, the difference of means from women's to men's names takes at least one
    logit from a woman who is given something by a man; a random direction of its length does not.

    Source: mini-pilot on discovery prompts: 2.5 of 7.7 logits, random directions .4.
    """
    found = lost_to_the_direction(model, TO_A_WOMAN, NAMES, "after layer 2")
    assert mean(found["whole"], control=found["whole, random"]) >= 1


@pytest.mark.parametrize("part", list(PARTS))
@pytest.mark.parametrize("model", MINIS)
@void({f"mini-{n}-row-space": AS_LONG for n in (0, 2, 3, 4)})
@refuted({"mini-1-null-space": OTHER_NAMES, "mini-3-null-space": OTHER_NAMES})
@open_question(
    {
        "mini-0-null-space": "0.25, from -0.018 to 0.517",
        "mini-2-null-space": "0.023, from -0.387 to 0.433",
        "mini-4-null-space": "-0.107, from -0.678 to 0.464",
    }
)
def test_so_do_the_part_that_a_probe_reads_and_the_part_that_none_reads(model, part):
    """Of this direction the part in the row space of a probe of gender, and the part in its null space, take at least a
    quarter of a logit each; random directions of their lengths do not.

    Source: mini-pilot on discovery prompts: 1.8 and .64 logits, random directions .3 and .16.
    """
    found = lost_to_the_direction(model, TO_A_WOMAN, NAMES, "after layer 2")
    name = PARTS[part]
    assert mean(found[name], control=found[f"{name}, random"]) >= 0.25


@pytest.mark.parametrize("model", MINIS)
@open_question(
    {
        "mini-0": "0.738, from 0.24 to 1.24",
        "mini-1": "0.604, from 0.127 to 1.08",
        "mini-2": "0.743, from 0.489 to 0.997",
        "mini-3": "0.33, from 0.113 to 0.547",
    }
)
def test_the_part_that_a_probe_reads_costs_more_than_chance_and_the_other_does_not(model):
    """The part in the row space takes at least a quarter of a logit more than random directions of its length do; the
    part in the null space does not.

    Restated, on another draw of prompts: a random direction as long as the first takes more than a quarter of a logit
    by itself, and the second took little from names that it was not made of.
    Source: the claim above, on its prompts: .3 to .8 logits more in five networks, the other part -.3 to .15.
    """
    found = lost_to_the_direction(model, AGAIN, NAMES, "after layer 2")
    beyond = found.with_columns({name: found.less(name, f"{name}, random").array for name in PARTS.values()})
    assert mean(beyond["row space"], control=beyond["null space"]) >= 0.25


@pytest.mark.parametrize("model", MINIS)
def test_without_eight_dimensions_of_the_tens_sums_are_wrong(model):
    """With the stream behind two layers at its mean in the eight dimensions of the tens' class means, at least 60 of
    100 sums are lost; with as much changed in random directions they are not.

    Source: mini-pilot on discovery prompts: 94 of 100, random directions 39.
    """
    found = lost_without_the_subspace(model, SUMS, PAIRS, "tens of the sum", 8, "after layer 1")
    assert mean(found["subspace"], control=found["random"]) >= 0.6
