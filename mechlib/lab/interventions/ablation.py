"""Ablations: the metric on every prompt with each of many sets of places taken out in turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.batching import Batch, batches, per_prompt, require_causal
from mechlib.lab.hooks import NothingChanged
from mechlib.lab.interventions.contexts import ActivationSource, Positions, places
from mechlib.lab.interventions.readout import ANSWERED, LOGIT_DIFFERENCE, REPEAT_LOSS, Readout
from mechlib.lab.interventions.reference import Align, mean_activations, require_reference, resample_bank
from mechlib.lab.interventions.sites import Sites, idle, matched_sample, named, one_row_each, union
from mechlib.lab.interventions.sweep import sweep_each
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.lab.models.outputs import require_words_in_logits
from mechlib.measurement import Measurement
from mechlib.parts.heads import Heads
from mechlib.prompts.promptset import PromptSet

Ablation = Literal["zero", "mean", "resample"]
AblationMetric = Literal["correct", "logit difference"]
INTACT = "intact"


def under_ablation(
    model: Model,
    prompts: PromptSet,
    sites: Sites,
    replacement: Ablation,
    reference: PromptSet | None = None,
    metric: AblationMetric | Readout = "correct",
    positions: Positions = "all",
    seed: int = 0,
    unit: str = "",
    hooked: bool = False,
    align: Align = "end",
) -> Measurement:
    """The metric on every prompt with each set ablated: a column for each set, and a last one, "intact".

    sites        sets of places, as in `restored_by_patching`
    replacement  "zero"; "mean" over the reference prompts of the same cluster by position from the end; "resample":
                 from a random reference prompt, drawn with `seed`, the same for every set
    metric       "correct": 1 where the most likely next token is the answer's, else 0; "logit difference": the logit of
                 the answer minus the distractor's, in logits. Of an answer of several tokens only one is judged: the
                 token by which it first differs from its distractor, behind the tokens that both share; without a
                 distractor, its first. Or a readout of one's own
    positions    the positions that are ablated: "all", one, or a tuple of several, negative from the end
    hooked       through hooks, at the library's own speed: for architectures that exact sweeps do not know
    align        where positions of prompts and reference prompts are counted from: "end", or "start" (behind BOS)

    A set that changes no activation, a dead head say, is its "intact" with a note; NothingChanged where none does.

    Raises ValueError where a reference is needed and missing, or has a tested prompt, EmptySelection where there is no
    set or a set is empty, UnsupportedModel unless `hooked`.
    """
    readings = {"correct": ANSWERED, "logit difference": LOGIT_DIFFERENCE}
    what = {"correct": "most likely token is the answer", "logit difference": "logit of answer minus distractor"}
    if not isinstance(metric, Readout) and metric not in readings:
        raise ValueError(f"no metric {metric!r}: choose one of {', '.join(readings)}")
    readout, said = (metric, "metric") if isinstance(metric, Readout) else (readings[metric], what[metric])
    made, columns, values, notes = _swept_ablation(
        model, prompts, sites, replacement, reference, readout, positions, seed, hooked, align
    )
    of = f"{said}, under {replacement} ablation"
    found = per_prompt(prompts, made, values, columns, of, unit, yes_no=metric == "correct")
    return replace(found, notes=notes)


def loss_under_ablation(
    model: Model,
    prompts: PromptSet,
    sites: Sites,
    replacement: Ablation,
    reference: PromptSet | None = None,
    seed: int = 0,
    unit: str = "",
    hooked: bool = False,
    align: Align = "end",
) -> Measurement:
    """Loss on the repeat of repeated sequences while sets of places are ablated at every position, in nats per token.

    Each prompt ends in a sequence and its repeat (the answer, where there is one, is its last token); the loss is
    averaged from the *second* token of the repeat on, as the first cannot be predicted. Otherwise as `under_ablation`.

    Raises ValueError for prompts without a repeat of two tokens or more, and where a reference is needed and missing.
    """
    require_words_in_logits(model, "the loss")
    require_causal(model, "loss on what comes next")
    made, columns, values, notes = _swept_ablation(
        model, prompts, sites, replacement, reference, REPEAT_LOSS, "all", seed, hooked, align
    )
    of = f"loss on the repeat under {replacement} ablation, in nats per token"
    return replace(per_prompt(prompts, made, values, columns, of, unit), notes=notes)


def _swept_ablation(
    model: Model,
    prompts: PromptSet,
    sites: Sites,
    replacement: Ablation,
    reference: PromptSet | None,
    readout: Readout,
    positions: Positions,
    seed: int,
    hooked: bool,
    align: Align,
) -> tuple[tuple[Batch, ...], tuple[str, ...], list[Float[Tensor, "batch columns"]], tuple[tuple[str, str], ...]]:
    """The batches, the columns, their values by batch, and the notes on sets that change nothing."""
    every = named(sites)
    names = tuple(places(model, union(every)))
    source = _ablation_source(model, prompts, replacement, reference, names, seed, align)
    made = batches(model, prompts, anywhere=hooked)
    found = sweep_each(model, made, tuple(every.values()), source or (lambda batch: None), positions, readout, hooked)
    if not any(bool(one.changed.any()) for one in found):
        raise NothingChanged(
            f"{replacement} ablation of {', '.join(every)} at position {positions} of {checkpoint_of(model).name} "
            "changed no activation: source and run agree; choose positions at which they differ, or another source"
        )
    values = [torch.cat([one.after, one.intact.unsqueeze(1)], dim=1) for one in found]
    return made, (*every, INTACT), values, idle(model, every, found)


def _ablation_source(
    model: Model,
    prompts: PromptSet,
    replacement: Ablation,
    reference: PromptSet | None,
    names: tuple[str, ...],
    seed: int,
    align: Align,
) -> ActivationSource | None:
    if replacement == "zero":
        return None
    if replacement not in ("mean", "resample"):
        raise ValueError(f"no ablation {replacement!r}: choose zero, mean or resample")
    if reference is None:
        raise ValueError(f"{replacement} ablation needs reference prompts: pass the task's split='reference'")
    require_reference(reference, prompts)
    if replacement == "mean":
        return mean_activations(model, reference, names, align)
    return resample_bank(model, reference, names, seed, align)


def under_ablation_of_random_sets(
    model: Model,
    prompts: PromptSet,
    heads: Heads,
    replacement: Ablation,
    reference: PromptSet | None = None,
    metric: AblationMetric = "correct",
    n: int = 200,
    positions: Positions = "all",
    seed: int = 0,
    align: Align = "end",
) -> Measurement:
    """The loss, on average over the prompts, by ablating each of up to `n` random sets of as many other heads.

    One column, "lost", intact less ablated: a share of answers for the metric "correct", logits for "logit difference".
    Sets are matched as in `mechlib.parts.random_sets.random_sets`; `of` says how.
    Raises what `random_sets` and `under_ablation` raise.
    """
    sample = matched_sample(model, heads, n)
    found = under_ablation(model, prompts, sample.sets, replacement, reference, metric, positions, seed, align=align)
    mean_activations = found.values.mean(axis=0)
    return one_row_each(
        sample, {"lost": mean_activations[-1] - mean_activations[:-1]}, f"{found.of}, intact less ablated"
    )
