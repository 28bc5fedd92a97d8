"""Patching: many sets of places patched in turn, from the clean run into the corrupted or back, on every prompt."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.batching import Batch, batches, per_prompt
from mechlib.lab.hooks import NothingChanged
from mechlib.lab.interventions.contexts import Positions
from mechlib.lab.interventions.readout import ANSWERED, LOGIT_DIFFERENCE, Readout
from mechlib.lab.interventions.sites import Sites, Swept, matched_sample, named, one_row_each
from mechlib.lab.interventions.sweep import sweep_each
from mechlib.lab.models.loading import Model
from mechlib.measurement import TOTAL, Measurement
from mechlib.parts.heads import Heads
from mechlib.prompts.promptset import PromptSet

Side = Literal["clean", "corrupted"]
CLEAN: Side = "clean"
CORRUPTED: Side = "corrupted"


def restored_by_patching(
    model: Model,
    prompts: PromptSet,
    sites: Sites,
    positions: Positions = -1,
    unit: str = "",
    hooked: bool = False,
    readout: Readout = LOGIT_DIFFERENCE,
) -> Measurement:
    """How much of the logit difference comes back when places in the corrupted run get their clean activations.

    sites      heads: a column for each of them; sets of heads: a column for each set, patched together; a mapping
               from names to places (heads, MLPs, the residual stream: `components`, `layers`, `residual`)
    positions  the positions that are patched: the last one (-1) is fast, as nothing before it has to be computed again
    hooked     through hooks, at the library's own speed: for architectures that exact sweeps do not know
    readout    another metric than the logit of the answer minus the distractor's at the last position

    Each column is metric(patched) - metric(corrupted), in logits; the last column, "total", is metric(clean) -
    metric(corrupted), the whole that can be restored. Raises NothingChanged where no place differs between the two
    runs, ValueError for prompts without corrupted text and for places that the model lacks, EmptySelection where there
    is no set or a set is empty, UnsupportedModel unless `hooked`.
    """
    made, columns, found = _swept_patching(model, prompts, sites, positions, readout, CORRUPTED, hooked)
    values = [torch.cat([one.after, _source_column(one)], dim=1) - one.intact.unsqueeze(1) for one in found]
    of = "logit difference restored by patching, in logits"
    return per_prompt(prompts, made, values, (*columns, TOTAL), of, unit)


def lost_by_patching(
    model: Model,
    prompts: PromptSet,
    sites: Sites,
    positions: Positions = -1,
    unit: str = "",
    hooked: bool = False,
    readout: Readout = LOGIT_DIFFERENCE,
) -> Measurement:
    """How much of the logit difference is lost when places in the clean run get their corrupted activations.

    The other direction of `restored_by_patching`, with the same arguments and errors: metric(clean) - metric(patched),
    in logits; the last column, "total", is metric(clean) - metric(corrupted), the whole that can be lost.
    """
    made, columns, found = _swept_patching(model, prompts, sites, positions, readout, CLEAN, hooked)
    values = [one.intact.unsqueeze(1) - torch.cat([one.after, _source_column(one)], dim=1) for one in found]
    of = "logit difference lost by patching, in logits"
    return per_prompt(prompts, made, values, (*columns, TOTAL), of, unit)


def flipped_by_patching(
    model: Model,
    prompts: PromptSet,
    sites: Sites,
    positions: Positions = -1,
    unit: str = "",
    hooked: bool = False,
) -> Measurement:
    """1 where the clean answer is the most likely token of the corrupted run with places as in the clean run, else 0.

    Of an answer of several tokens only one is judged: the token by which it first differs from its distractor, behind
    the tokens that both share. A 1 does not say that the rest would follow.

    Arguments and errors as in `restored_by_patching`. The last two columns are the runs themselves: "corrupted", with
    nothing patched, and "clean".
    """
    made, columns, found = _swept_patching(model, prompts, sites, positions, ANSWERED, CORRUPTED, hooked)
    values = [torch.cat([one.after, one.intact.unsqueeze(1), _source_column(one)], dim=1) for one in found]
    of = "most likely token is the clean answer, after patching"
    return per_prompt(prompts, made, values, (*columns, CORRUPTED, CLEAN), of, unit, yes_no=True)


def _swept_patching(
    model: Model,
    prompts: PromptSet,
    sites: Sites,
    positions: Positions,
    readout: Readout,
    patched_run: Side,
    hooked: bool,
) -> tuple[tuple[Batch, ...], tuple[str, ...], list[Swept]]:
    """The batches, the names of the sets, and the sweep in which one run of each pair is patched from the other."""
    every, made = named(sites), batches(model, prompts, anywhere=hooked)
    patched = [batch if patched_run == CLEAN else _exchanged(batch) for batch in made]
    found = sweep_each(model, patched, tuple(every.values()), _corrupted, positions, readout, hooked)
    if not any(bool(one.changed.any()) for one in found):
        raise NothingChanged(
            f"nothing in {', '.join(every)} differs between clean and corrupted at position {positions}"
        )
    return made, tuple(every), found


def _source_column(swept: Swept) -> Float[Tensor, "batch one"]:
    assert swept.source is not None
    return swept.source.unsqueeze(1)


def _exchanged(batch: Batch) -> Batch:
    return replace(batch, tokens=_corrupted(batch), corrupted=batch.tokens)


def _corrupted(batch: Batch) -> Int[Tensor, "batch pos"]:
    if batch.corrupted is None:
        raise ValueError(f"{batch.prompts[0].clean!r} has no corrupted text: there is no run to patch into")
    return batch.corrupted


def restored_by_random_sets(
    model: Model, prompts: PromptSet, heads: Heads, n: int = 200, positions: Positions = -1
) -> Measurement:
    """The effect of patching up to `n` random sets of as many other heads, each the mean over the prompts, in logits.

    Columns "restored" and "total", as numerator and denominator of the share; the total is the same for every set.
    Sets are matched as in `mechlib.parts.random_sets.random_sets`; `of` says how. Raises what `random_sets` and
    `restored_by_patching` raise.
    """
    sample = matched_sample(model, heads, n)
    found = restored_by_patching(model, prompts, sample.sets, positions)
    means = found.values.mean(axis=0)
    return one_row_each(sample, {"restored": means[:-1], TOTAL: np.full(len(sample), means[-1])}, found.of)
