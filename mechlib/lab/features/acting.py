"""Acting on features: ablated, scaled, steered, in a model that keeps what the dictionary does not reconstruct.

The error term stays as it is, so that an effect is the feature's and not that of a bad reconstruction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.batching import Batch, batches, per_prompt
from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.features.loading import require_of
from mechlib.lab.features.splicing import at, replaced_by, require_device, with_features
from mechlib.lab.hooks import Edit, NothingChanged, differs, run
from mechlib.lab.interventions.contexts import Positions
from mechlib.lab.interventions.directions import random_direction
from mechlib.lab.interventions.readout import LOGIT_DIFFERENCE, Readout
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.measurement import Measurement
from mechlib.parts.heads import EmptySelection
from mechlib.prompts.promptset import PromptSet

Doing = Literal["ablate", "scale", "add", "set"]
INTACT = "intact"


@dataclass(frozen=True)
class Action:
    """What is done to features of a dictionary.

    features  their numbers
    doing     "ablate": set to zero. "scale": multiplied by `amount`. "add": `amount` more, active or not (steering).
              "set": as active as `amount`
    amount    in units of the feature's activation, or a factor
    random    None: along the features' own directions. A seed: along random directions as long as these, by as much:
              what a feature's effect is compared with

    Raises ValueError for what cannot be done, EmptySelection without features.
    """

    features: tuple[int, ...]
    doing: Doing = "ablate"
    amount: float = 0.0
    random: int | None = None

    def __post_init__(self) -> None:
        if self.doing not in get_args(Doing):
            raise ValueError(f"nothing {self.doing!r} to do to a feature: choose one of {', '.join(get_args(Doing))}")
        if not self.features:
            raise EmptySelection("no feature is named: there is nothing to act on")

    def __call__(self, active: Float[Tensor, "... features"]) -> Float[Tensor, "... features"]:
        """How active the features shall be, of how active all are."""
        made, which = active.clone(), list(dict.fromkeys(self.features))
        if self.doing == "ablate":
            made[..., which] = 0
        elif self.doing == "scale":
            made[..., which] *= self.amount
        elif self.doing == "add":
            made[..., which] += self.amount
        else:
            made[..., which] = self.amount
        return made

    def edit(self, dictionary: Dictionary, positions: Positions = "all") -> Edit:
        """The action as an edit of the activation, for `run`."""
        which = [dictionary.require(feature) for feature in dict.fromkeys(self.features)]
        if self.random is None:
            return with_features(dictionary, self, positions)
        directions = random_direction(dictionary.directions[which], self.random)

        def edit(old: Tensor) -> Tensor:
            own = at(old, positions)
            active = dictionary.active(own)
            return replaced_by(old, own + (self(active) - active)[..., which] @ directions, positions)

        return edit


def ablated(*features: int) -> Action:
    """Features set to zero."""
    return Action(features)


def scaled(*features: int, by: float) -> Action:
    """Features multiplied by a factor."""
    return Action(features, "scale", by)


def steered(*features: int, by: float, random: int | None = None) -> Action:
    """Features that are active by so much more, on every token, active or not."""
    return Action(features, "add", by, random)


def under_actions(
    model: Model,
    prompts: PromptSet,
    dictionary: Dictionary,
    actions: Mapping[str, Action],
    positions: Positions = "all",
    hook: str = "",
    readout: Readout = LOGIT_DIFFERENCE,
    unit: str = "",
) -> Measurement:
    """A metric on each prompt of the model under each action, and of the model as it is, in the last column, "intact".

    actions    by name, each a column
    positions  where it is done
    hook       the activation; by default the dictionary's
    readout    the metric, by default the logit of the answer minus the distractor's at the last position

    A note stands at a column whose action changed no activation: the features are active nowhere there. Raises
    NothingChanged where none did, EmptySelection without actions, OtherActivation for a dictionary of another model,
    hook or width, ValueError for a feature that there is not.
    """
    if not actions:
        raise EmptySelection("no action is named: there is nothing to do")
    hook = ready(model, dictionary, hook)
    made, changed, values = batches(model, prompts), dict.fromkeys(actions, False), []
    edits = {name: action.edit(dictionary, positions) for name, action in actions.items()}
    for batch in made:
        columns = []
        for name, edit in edits.items():
            after, moved = _read(model, batch, hook, edit, readout)
            changed[name] |= moved
            columns.append(after)
        columns.append(metric_of(model, batch.tokens, batch, readout))
        values.append(torch.stack(columns, dim=1))
    if not any(changed.values()):
        raise NothingChanged(
            f"no action on {dictionary.name} changed {hook} of {checkpoint_of(model).name} at position {positions}: "
            "its features are active on none of these prompts"
        )
    found = per_prompt(prompts, made, values, (*actions, INTACT), "metric under an action on features", unit)
    idle = [(name, "it changed no activation on these prompts: no effect") for name in actions if not changed[name]]
    return found._with(notes=tuple(idle))


def dose_response(
    model: Model,
    prompts: PromptSet,
    dictionary: Dictionary,
    feature: int,
    doses: Sequence[float],
    positions: Positions = "all",
    hook: str = "",
    readout: Readout = LOGIT_DIFFERENCE,
    unit: str = "",
    random: int | None = None,
) -> Measurement:
    """A metric on each prompt with a feature steered by each dose, in units of its activation: a column for each, by
    its number, and "intact".

    random  a seed: along a random direction as long as the feature's, by as much

    Raises what `under_actions` raises, ValueError for a dose that is named twice.
    """
    if len(set(doses)) < len(doses):
        raise ValueError(f"doses {', '.join(f'{dose:g}' for dose in doses)}: name each once")
    actions = {f"{dose:g}": steered(feature, by=dose, random=random) for dose in doses}
    return under_actions(model, prompts, dictionary, actions, positions, hook, readout, unit)


def ready(model: Model, dictionary: Dictionary, hook: str) -> str:
    """The activation that a dictionary is asked about. Raises what `require_of` does, and ValueError for none."""
    hook = hook or dictionary.hook
    if not hook:
        raise ValueError(f"{dictionary.name} does not say of which activation it is: name its hook")
    require_of(dictionary, model, hook)
    require_device(dictionary, model.cfg.device)
    return hook


def _read(model: Model, batch: Batch, hook: str, edit: Edit, readout: Readout) -> tuple[Tensor, bool]:
    moved = []

    def watched(old: Tensor) -> Tensor:
        made = edit(old)
        moved.append(differs(made, old))
        return made

    return metric_of(model, batch.tokens, batch, readout, {hook: watched}), moved[0]


def metric_of(
    model: Model,
    tokens: Int[Tensor, "batch pos"],
    batch: Batch,
    readout: Readout,
    edits: Mapping[str, Edit] | None = None,
) -> Float[Tensor, " batch"]:
    """The metric of each row of a run, of which no more logits are computed than it reads."""
    last = None if readout.whole or batch.read is not None else 1
    return readout.value(readout.of(run(model, tokens, edits, last=last)[0], batch), batch)
