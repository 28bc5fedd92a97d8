"""Sweeps: one intervention on many sets of places, every effect on every prompt.

Here is patching, between the clean run and the corrupted; ablation is in `mechlib.lab.interventions.ablation`, and
both can be imported from here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.batching import Batch, batches, per_prompt
from mechlib.lab.hooks import NothingChanged
from mechlib.lab.interventions.ablation import INTACT as INTACT
from mechlib.lab.interventions.ablation import Ablation as Ablation
from mechlib.lab.interventions.ablation import loss_under_ablation as loss_under_ablation
from mechlib.lab.interventions.ablation import under_ablation as under_ablation
from mechlib.lab.interventions.contexts import Positions
from mechlib.lab.interventions.readout import ANSWERED, LOGIT_DIFFERENCE, Readout
from mechlib.lab.interventions.sites import Sets, Swept, drawn_sets, named, one_row_each
from mechlib.lab.interventions.sites import components as components
from mechlib.lab.interventions.sites import layers as layers
from mechlib.lab.interventions.sites import residual as residual
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
    sets: Sets,
    positions: Positions = -1,
    unit: str = "",
    hooked: bool = False,
    reading: Readout = LOGIT_DIFFERENCE,
) -> Measurement:
    """How much of the logit difference comes back when places in the corrupted run hold what they hold in the clean.

    sets       heads: a column for each of them; sets of heads: a column for each set, patched together; a mapping
               from names to places (heads, MLPs, the residual stream: `components`, `layers`, `residual`)
    positions  where: the last position (-1) is fast, as nothing before it has to be computed again
    hooked     through hooks, at the library's own speed: for architectures that exact sweeps do not know
    reading    another metric than the logit of the answer minus the distractor's at the last position

    Each column is metric(patched) - metric(corrupted), in logits; the last column, "total", is metric(clean) -
    metric(corrupted), the whole that there is to restore. Raises NothingChanged where no place differs between the two
    runs.
    """
    made, columns, found = _sweep(model, prompts, sets, positions, reading, CORRUPTED, hooked)
    values = [torch.cat([one.after, _source(one)], dim=1) - one.intact.unsqueeze(1) for one in found]
    of = "logit difference restored by patching, in logits"
    return per_prompt(prompts, made, values, (*columns, TOTAL), of, unit)


def lost_by_patching(
    model: Model,
    prompts: PromptSet,
    sets: Sets,
    positions: Positions = -1,
    unit: str = "",
    hooked: bool = False,
    reading: Readout = LOGIT_DIFFERENCE,
) -> Measurement:
    """How much of the logit difference goes when places in the clean run hold what they hold in the corrupted.

    The other direction of `restored_by_patching`, with the same arguments: metric(clean) - metric(patched), in logits;
    the last column, "total", is metric(clean) - metric(corrupted), the whole that there is to lose.
    """
    made, columns, found = _sweep(model, prompts, sets, positions, reading, CLEAN, hooked)
    values = [one.intact.unsqueeze(1) - torch.cat([one.after, _source(one)], dim=1) for one in found]
    of = "logit difference lost by patching, in logits"
    return per_prompt(prompts, made, values, (*columns, TOTAL), of, unit)


def flipped_by_patching(
    model: Model,
    prompts: PromptSet,
    sets: Sets,
    positions: Positions = -1,
    unit: str = "",
    hooked: bool = False,
) -> Measurement:
    """1 where the clean answer is the most likely token of the corrupted run with places as in the clean run, else 0.

    Of an answer of several tokens only one is judged: that by which it first differs from its distractor, behind those
    that both share. A 1 does not say that the rest would follow.

    Arguments as in `restored_by_patching`. The last two columns are the runs themselves: "corrupted", with nothing
    patched, and "clean".
    """
    made, columns, found = _sweep(model, prompts, sets, positions, ANSWERED, CORRUPTED, hooked)
    values = [torch.cat([one.after, one.intact.unsqueeze(1), _source(one)], dim=1) for one in found]
    of = "most likely token is the clean answer, after patching"
    return per_prompt(prompts, made, values, (*columns, CORRUPTED, CLEAN), of, unit, yes_no=True)


def _sweep(
    model: Model, prompts: PromptSet, sets: Sets, positions: Positions, reading: Readout, into: Side, hooked: bool
) -> tuple[tuple[Batch, ...], tuple[str, ...], list[Swept]]:
    """Patched into one run of each pair, from the other; the sets' names come with it."""
    every, made = named(sets), batches(model, prompts)
    patched = [batch if into == CLEAN else _exchanged(batch) for batch in made]
    found = sweep_each(model, patched, tuple(every.values()), _corrupted, positions, reading, hooked)
    if not any(bool(one.changed.any()) for one in found):
        raise NothingChanged(
            f"nothing in {', '.join(every)} differs between clean and corrupted at position {positions}"
        )
    return made, tuple(every), found


def _source(swept: Swept) -> Float[Tensor, "batch one"]:
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
    """What up to `n` random sets of as many other heads restore by patching, each the mean over the prompts, in logits.

    Columns "restored" and "total", as numerator and denominator of the share; the total is the same for every set.
    Sets are matched as in `mechlib.parts.heads.random_sets`; `of` says how. Errors: that function's, and those of
    `restored_by_patching`.
    """
    drawn = drawn_sets(model, heads, n)
    found = restored_by_patching(model, prompts, drawn.sets, positions)
    means = found.values.mean(axis=0)
    return one_row_each(drawn, {"restored": means[:-1], TOTAL: np.full(len(drawn), means[-1])}, found.of)
