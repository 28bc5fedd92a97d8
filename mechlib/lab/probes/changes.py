"""Changes of the stream, one depth and place each, and a metric of every prompt under each of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.batching import Batch, batches, per_prompt, require_finite
from mechlib.lab.hooks import NothingChanged, differs
from mechlib.lab.interventions.directions import random_direction
from mechlib.lab.interventions.patching import CLEAN, CORRUPTED, Side
from mechlib.lab.metrics import answer_log_prob, correct, logit_diff
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.lab.probes.edited_stream import EditedStream, check_one, tokens_of
from mechlib.lab.probes.streams import At, positions
from mechlib.lab.probes.subspaces import Direction, Subspace
from mechlib.measurement import Measurement
from mechlib.parts.chosen import DoubleDipping, chosen_on
from mechlib.prompts.promptset import Prompt, PromptSet

Metric = Literal["answered", "logit difference", "log probability"]
Make: TypeAlias = Callable[[Tensor, Tensor], Tensor]  # the edited run's stream and the other run's, to what replaces it

METRICS: Mapping[Metric, str] = {
    "answered": "most likely token is the answer",
    "logit difference": "logit of answer minus distractor",
    "log probability": "log-probability of the answer's token, in nats",
}


@dataclass(frozen=True, eq=False)
class Change:
    """What replaces the stream at the depth and place of a subspace or a direction.

    make     the edited run's stream and the other run's there, [batch d_model] each, to what is put in
    matched  the seed of a random change of the same length, drawn for each prompt in the span of the activations and
             put there instead; None for the change itself
    """

    where: Subspace | Direction
    make: Make
    matched: int | None = None

    def new(self, own: Tensor, other: Tensor, prompts: Sequence[Prompt]) -> Float[Tensor, "batch d_model"]:
        """The replacement of each row of `own`."""
        made = self.make(own, other)
        if self.matched is None:
            return made
        return own + torch.stack([self._random(by, row) for by, row in zip(made - own, prompts, strict=True)])

    def _random(self, by: Float[Tensor, " d_model"], prompt: Prompt) -> Float[Tensor, " d_model"]:
        """As long as `by`; it depends on the seed and the prompt, not on the batch."""
        seed = int.from_bytes(hashlib.sha256(f"{self.matched} {prompt.fingerprint}".encode()).digest()[:6], "big")
        span = self.where.span
        if span is None:
            return random_direction(by, seed)
        drawn = span @ random_direction(torch.ones(span.shape[1], device=by.device), seed)
        return drawn / drawn.norm() * by.norm()


def under_changes(
    model: Model,
    prompts: PromptSet,
    changes: Mapping[str, Change],
    edited: Side,
    what: Metric,
    of: str,
    beside: Mapping[str, Side],
    hooked: bool = False,
    unit: str = "",
) -> Measurement:
    """A metric of each prompt's run under each change in turn: a column for each, and for the runs as they are.

    edited   the run that is changed: CORRUPTED, and `Change.make` may take from the clean one; or CLEAN, by itself
    beside   the last columns: names of runs without any change
    hooked   whole runs through hooks, for architectures that the plain forward pass does not know

    Beside a column is noted that it moves the stream of no prompt, and where its random changes lie in fewer
    dimensions than the stream has. Raises NothingChanged where none moves any,
    DoubleDipping where something was made from prompts that are judged here and not for discovery, HookDidNotFire where
    a run is not that through hooks, UnsupportedModel unless `hooked`.
    """
    if what not in get_args(Metric):
        raise ValueError(f"no metric {what!r}: choose one of {', '.join(get_args(Metric))}")
    if not changes:
        raise ValueError("nothing to change: give at least one subspace or direction")
    _refuse_dipping(prompts, changes)
    made, values, moved = batches(model, prompts), list[Tensor](), set[str]()
    for batch in made:
        columns = _columns(model, batch, changes, edited, what, hooked, moved, check=not values)
        columns |= {
            name: _value(model, _as_it_is(model, batch, side, hooked), batch, what) for name, side in beside.items()
        }
        values.append(torch.stack(list(columns.values()), dim=1))
    if not moved:
        raise NothingChanged(
            f"none of {', '.join(changes)} changes the stream of {checkpoint_of(model).name} in any of {len(prompts)} "
            "prompts: choose a place at which the runs differ"
        )
    found = per_prompt(prompts, made, values, (*changes, *beside), f"{METRICS[what]}, {of}", unit, what == "answered")
    return replace(found, notes=tuple(_notes(changes, moved)))


def _notes(changes: Mapping[str, Change], moved: set[str]) -> Iterator[tuple[str, str]]:
    """What must stand beside a column: that it changed nothing, or in how few dimensions its random change lies."""
    for name, change in changes.items():
        span = change.where.span
        if name not in moved:
            yield name, "it changed no activation: no effect"
        elif change.matched is not None and span is not None:
            yield name, f"drawn in the {span.shape[1]} dimensions that the activations span"


def _columns(
    model: Model,
    batch: Batch,
    changes: Mapping[str, Change],
    edited: Side,
    what: Metric,
    hooked: bool,
    moved: set[str],
    check: bool,
) -> dict[str, Float[Tensor, " batch"]]:
    runs = [tokens_of(batch, side) for side in ((CORRUPTED, CLEAN) if edited == CORRUPTED else (CLEAN,))]
    places: dict[At, list[EditedStream]] = {}
    columns = {}
    for number, (name, change) in enumerate(changes.items()):
        depth, at = change.where.depth, change.where.at
        if at not in places:
            where = positions(batch, at)
            places[at] = [EditedStream(model, tokens, where, hooked) for tokens in runs]
        own, other = places[at][0], places[at][-1]
        with torch.no_grad():
            new = change.new(own.at(depth), other.at(depth), batch.prompts)
            if check and number == 0:
                check_one(own, depth, new)
            columns[name] = _value(model, own.logits(depth, new), batch, what)
        if differs(new.unsqueeze(1), own.at(depth).unsqueeze(1)):
            moved.add(name)
    return columns


def _as_it_is(model: Model, batch: Batch, side: Side, hooked: bool) -> Float[Tensor, "batch one d_vocab"]:
    tokens = tokens_of(batch, side)
    last = EditedStream(model, tokens, torch.full((len(tokens),), tokens.shape[1] - 1, device=tokens.device), hooked)
    with torch.no_grad():
        return last.logits(model.cfg.n_layers, last.at(model.cfg.n_layers))


def _value(
    model: Model, logits: Float[Tensor, "batch one d_vocab"], batch: Batch, what: Metric
) -> Float[Tensor, " batch"]:
    require_finite(batch, logits, checkpoint_of(model).name)
    if what == "answered":
        return correct(logits, batch.answer)
    if what == "logit difference":
        return logit_diff(logits, batch.answer, batch.distractor)
    return answer_log_prob(logits, batch.answer.unsqueeze(1))


def _refuse_dipping(prompts: PromptSet, changes: Mapping[str, Change]) -> None:
    shared = chosen_on(*(change.where for change in changes.values())) & prompts.members
    if shared and prompts.split != "discovery":
        raise DoubleDipping(
            f"{len(shared)} of {len(prompts)} prompts of {prompts.name} made what is judged on them: make subspaces "
            "and directions from discovery prompts"
        )
