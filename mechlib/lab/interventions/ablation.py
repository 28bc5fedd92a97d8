"""Ablations: each of many sets of places taken out in turn, and what is left on every prompt."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.batching import Batch, batches, per_prompt
from mechlib.lab.hooks import NothingChanged
from mechlib.lab.interventions.contexts import Positions, Source, places
from mechlib.lab.interventions.readout import ANSWERED, LOGIT_DIFFERENCE, REPEAT_LOSS, Readout
from mechlib.lab.interventions.reference import means, require_reference, stock
from mechlib.lab.interventions.sites import Sets, drawn_sets, named, one_row_each, union
from mechlib.lab.interventions.sweep import sweep_each
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.measurement import Measurement
from mechlib.parts.heads import Heads
from mechlib.prompts.promptset import PromptSet

Ablation = Literal["zero", "mean", "resample"]
Metric = Literal["correct", "logit difference"]
INTACT = "intact"


def under_ablation(
    model: Model,
    prompts: PromptSet,
    sets: Sets,
    how: Ablation,
    reference: PromptSet | None = None,
    metric: Metric | Readout = "correct",
    positions: Positions = "all",
    seed: int = 0,
    unit: str = "",
    hooked: bool = False,
) -> Measurement:
    """What is left of each answer with each set ablated: a column for each, and a last one, "intact".

    sets     as in `restored_by_patching`
    how      "zero"; "mean" over the reference prompts of the same cluster by position from the end; "resample": from
             a random reference prompt, drawn with `seed`, the same for every set
    metric   "correct": 1 where the most likely next token is the answer's, else 0; "logit difference": the logit of the
             answer minus the distractor's, in logits. Of an answer of several tokens only one is judged: that by which
             it first differs from its distractor, behind those that both share; without a distractor, its first.
             Or a reading of one's own
    hooked   through hooks, at the library's own speed: for architectures that exact sweeps do not know

    Raises ValueError where a reference is needed and missing, NothingChanged where a set changes no activation.
    """
    readings = {"correct": ANSWERED, "logit difference": LOGIT_DIFFERENCE}
    what = {"correct": "most likely token is the answer", "logit difference": "logit of answer minus distractor"}
    if not isinstance(metric, Readout) and metric not in readings:
        raise ValueError(f"no metric {metric!r}: choose one of {', '.join(readings)}")
    reading, said = (metric, "metric") if isinstance(metric, Readout) else (readings[metric], what[metric])
    made, columns, values = _sweep(model, prompts, sets, how, reference, reading, positions, seed, hooked)
    of = f"{said}, under {how} ablation"
    return per_prompt(prompts, made, values, columns, of, unit, yes_no=metric == "correct")


def loss_under_ablation(
    model: Model,
    prompts: PromptSet,
    sets: Sets,
    how: Ablation,
    reference: PromptSet | None = None,
    seed: int = 0,
    unit: str = "",
    hooked: bool = False,
) -> Measurement:
    """Loss on the repeat of repeated sequences while heads are ablated at every position, in nats per token.

    Each prompt ends in a sequence and its repeat (the answer, where there is one, is its last token); the loss is
    averaged from the *second* token of the repeat on, as the first cannot be predicted. Otherwise as `under_ablation`.

    Raises ValueError for prompts without a repeat of two tokens or more, and where a reference is needed and missing.
    """
    made, columns, values = _sweep(model, prompts, sets, how, reference, REPEAT_LOSS, "all", seed, hooked)
    return per_prompt(
        prompts, made, values, columns, f"loss on the repeat under {how} ablation, in nats per token", unit
    )


def _sweep(
    model: Model,
    prompts: PromptSet,
    sets: Sets,
    how: Ablation,
    reference: PromptSet | None,
    reading: Readout,
    positions: Positions,
    seed: int,
    hooked: bool,
) -> tuple[tuple[Batch, ...], tuple[str, ...], list[Float[Tensor, "batch columns"]]]:
    every = named(sets)
    source = _source(model, how, reference, tuple(places(model, union(every))), seed)
    made = batches(model, prompts)
    found = sweep_each(model, made, tuple(every.values()), source or (lambda batch: None), positions, reading, hooked)
    changed = torch.stack([one.changed for one in found]).any(0)
    same = [name for name, moved in zip(every, changed.tolist(), strict=True) if not moved]
    if same:
        raise NothingChanged(
            f"{how} ablation of {same[0]} at position {positions} of {checkpoint_of(model).name} changed no "
            "activation: source and run agree there; choose positions at which they differ, or another source"
        )
    return made, (*every, INTACT), [torch.cat([one.after, one.intact.unsqueeze(1)], dim=1) for one in found]


def _source(
    model: Model, how: Ablation, reference: PromptSet | None, names: tuple[str, ...], seed: int
) -> Source | None:
    if how == "zero":
        return None
    if how not in ("mean", "resample"):
        raise ValueError(f"no ablation {how!r}: choose zero, mean or resample")
    if reference is None:
        raise ValueError(f"{how} ablation needs reference prompts: pass the task's split='reference'")
    require_reference(reference)
    return means(model, reference, names) if how == "mean" else stock(model, reference, names, seed)


def under_ablation_of_random_sets(
    model: Model,
    prompts: PromptSet,
    heads: Heads,
    how: Ablation,
    reference: PromptSet | None = None,
    metric: Metric = "correct",
    n: int = 200,
    positions: Positions = "all",
    seed: int = 0,
) -> Measurement:
    """What is lost, on average over the prompts, by ablating each of up to `n` random sets of as many other heads.

    One column, "lost", intact less ablated: a share of answers for the metric "correct", logits for "logit difference".
    Sets are matched as in `mechlib.parts.heads.random_sets`; `of` says how.
    Errors: that function's, and those of `under_ablation`.
    """
    drawn = drawn_sets(model, heads, n)
    found = under_ablation(model, prompts, drawn.sets, how, reference, metric, positions, seed)
    means = found.values.mean(axis=0)
    return one_row_each(drawn, {"lost": means[-1] - means[:-1]}, f"{found.of}, intact less ablated")
