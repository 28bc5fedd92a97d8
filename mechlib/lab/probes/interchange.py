"""Interchange interventions: a subspace of the stream exchanged between two runs, the rest kept."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from mechlib.lab.interventions.patching import CLEAN, CORRUPTED, Side
from mechlib.lab.models.loading import Model
from mechlib.lab.probes.changes import Change, Make, Metric, under_changes
from mechlib.lab.probes.subspaces import Subspace
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet

MATCHED = "norm matched"


def interchange(
    model: Model,
    prompts: PromptSet,
    subspaces: Mapping[str, Subspace],
    what: Metric = "answered",
    matched: bool = False,
    seed: int = 0,
    hooked: bool = False,
    unit: str = "",
) -> Measurement:
    """The corrupted run with the clean run's part of each subspace in the place of its own: a column a subspace.

    what     "answered", 1 where the counterfactual's answer is the most likely token, whose mean is the interchange
             accuracy; "logit difference" of answer minus distractor; "log probability" of the answer, in nats
    matched  beside each column another, "NAME, norm matched": the stream moved as far, in a random direction

    The counterfactual is the corrupted text with the one thing changed that the subspace should hold, and its answer
    must be the prompt's `answer`: where clean and corrupted differ in that thing alone, as in the tasks of this record,
    it is the clean text's. Places are those of the clean text. The last columns are the runs as they are, "corrupted"
    and "clean". All of the stream at a place (`whole_spaces`) is activation patching.

    Controls: `random_subspaces` of as many dimensions; a subspace trained to arbitrary labels, `das_subspaces` on
    `shuffled_answers`; `matched`; and all of it again on the untrained twin.

    Raises what `mechlib.lab.probes.changes.under_changes` does, ValueError for prompts without corrupted text.
    Source: Geiger et al. 2021, arXiv:2106.02997; Geiger et al. 2023, arXiv:2303.02536.
    """
    changes = {name: Change(one, _swap(one)) for name, one in subspaces.items()}
    if matched:
        changes |= {f"{name}, {MATCHED}": Change(one, _swap(one), seed) for name, one in subspaces.items()}
    beside: dict[str, Side] = {CORRUPTED: CORRUPTED, CLEAN: CLEAN}
    return under_changes(
        model, prompts, changes, CORRUPTED, what, "after a subspace is exchanged", beside, hooked, unit
    )


def exchanged(
    own: Float[Tensor, "batch d_model"], other: Float[Tensor, "batch d_model"], subspace: Subspace
) -> Float[Tensor, "batch d_model"]:
    """`own` with `other`'s projection on the subspace in the place of its own; `other` itself where that is all."""
    return other if subspace.k == len(subspace.basis) else own + subspace.part(other - own)


def _swap(subspace: Subspace) -> Make:
    return lambda own, other: exchanged(own, other, subspace)
