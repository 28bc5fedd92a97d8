"""Runs: one forward pass with activations read and replaced, and proof that it happened.

The library ignores a hook whose name is misspelt, so an ablation that never took place looks like a head that does
nothing. Every read and every replacement of this record goes through `run`, which checks names and counts firings.
"""

from __future__ import annotations

import difflib
import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.models.loading import Model, checkpoint_of

Edit: TypeAlias = Callable[[Tensor], Tensor]


class NoSuchHook(LookupError):
    """The model has no activation of this name."""


class HookDidNotFire(RuntimeError):
    """An activation that was to be read or replaced was not met as often as it should be."""


class NothingChanged(RuntimeError):
    """An intervention replaced an activation by itself: no result follows from it."""


def run(
    model: Model,
    tokens: Int[Tensor, "batch pos"],
    edits: Mapping[str, Edit] | None = None,
    keep: Iterable[str] = (),
    past: Any = None,
    last: int | None = None,
) -> tuple[Float[Tensor, "batch logits d_vocab"], dict[str, Tensor]]:
    """Logits, in float32 where the model computes in less, and the activations named in `keep`, after the edits.

    edits  hook name to a function of the activation that returns its replacement, of the same shape
    past   keys and values of earlier positions (`keys_and_values`); `tokens` are then the positions after them
    last   of how many last positions logits are computed; None for all. Of a large vocabulary those of all positions
           cost more than the rest of the run

    Raises NoSuchHook for a name the model lacks, HookDidNotFire where one does not fire exactly once, ValueError for a
    model that drops activations at random.
    """
    _require_no_dropout(model)
    edits, keep = dict(edits or {}), tuple(keep)
    check_names(model, (*edits, *keep))
    kept: dict[str, Tensor] = {}
    fired: Counter[str] = Counter()

    def edit(name: str, make: Edit) -> Callable[..., Tensor]:
        def hook(activation: Tensor, hook: object) -> Tensor:
            fired[f"edit {name}"] += 1
            made = make(activation)
            if made.shape != activation.shape:
                raise ValueError(f"{name} is {tuple(activation.shape)}, its replacement {tuple(made.shape)}")
            return made

        return hook

    def read(name: str) -> Callable[..., None]:
        def hook(activation: Tensor, hook: object) -> None:
            fired[f"keep {name}"] += 1
            kept[name] = activation

        return hook

    hooks = [(name, edit(name, make)) for name, make in edits.items()] + [(name, read(name)) for name in keep]
    extra: dict[str, Any] = {} if past is None else {"past_key_values": past, "use_cache": True}
    if last is not None and "logits_to_keep" in inspect.signature(model.original_model.forward).parameters:
        extra["logits_to_keep"] = last
    with torch.no_grad(), model.hooks(fwd_hooks=hooks):
        logits = model(tokens, **extra)
    logits = logits if last is None else logits[:, -last:]
    if logits.dtype == torch.bfloat16:  # so that a metric loses no further digits
        logits = logits.float()
    for what in [*(f"edit {name}" for name in edits), *(f"keep {name}" for name in keep)]:
        if fired[what] != 1:
            raise HookDidNotFire(f"{what} of {checkpoint_of(model).name} fired {fired[what]} times in a run, wanted 1")
    return logits, kept


SAME = 1e-5  # of an entry's size: the rounding of runs of other shapes stays below, of single positions too
TYPICAL = 2.0  # times the median entry at a position: the size of one that happens to be small
BESIDE = 0.1  # of the largest entry at a position: the least size of all beside it, 8 units of float32's rounding there


def sizes(activation: Float[Tensor, "batch pos *entry"]) -> Float[Tensor, "batch pos *entry"]:
    """By entry, the size by which its rounding is told: the largest value of its coordinate in the batch.

    Each coordinate has its own, so that beside a large one, a constant in a column say, changes of the others are seen.
    But norms and matrices mix coordinates, and what is written to a small one carries the rounding of all that it is
    the sum of: no size is below TYPICAL times the median and BESIDE times the largest entry at its position.
    """
    entries = activation.abs().flatten(2)
    typical, largest = entries.median(-1, keepdim=True).values, entries.amax(-1, keepdim=True)
    least = torch.maximum(TYPICAL * typical, BESIDE * largest)
    return torch.maximum(entries.amax((0, 1), keepdim=True), least).view_as(activation)


def differs(one: Tensor, other: Tensor) -> bool:
    """Whether two activations, [batch pos ...], differ in an entry by more than rounding in runs of other shapes."""
    return bool(((one - other).abs() > SAME * sizes(other)).any())


def mlp_layers(model: Model) -> tuple[int, ...]:
    """The layers that have an MLP, and its output as an activation: none of an attention-only model."""
    return tuple(layer for layer, block in enumerate(model.blocks) if hasattr(block, "mlp"))


def _require_no_dropout(model: Model) -> None:
    if model.training and any(isinstance(part, torch.nn.Dropout) and part.p > 0 for part in model.modules()):
        raise ValueError(
            f"{checkpoint_of(model).name} is in training, where dropout changes every run: call eval() on it first"
        )


def check_names(model: Model, names: Iterable[str]) -> None:
    """Nothing where the model has a hook of each name; NoSuchHook, with the nearest name, otherwise."""
    wanted = tuple(names)
    there = model.hook_dict if wanted else {}
    for name in wanted:
        if name not in there:
            near = difflib.get_close_matches(name, there, n=1)
            hint = f": did you mean {near[0]}?" if near else ""
            raise NoSuchHook(f"{checkpoint_of(model).name} has no activation {name!r}{hint}")


def keys_and_values(model: Model, tokens: Int[Tensor, "batch pos"]) -> Any:
    """The library's key/value cache of these positions, for `run(past=...)`.

    A patch at a later position changes nothing before it, so that only later positions need to be computed again.
    `run` appends its own positions to the cache: take these off with `crop(-n)` before another run.
    """
    with torch.no_grad():
        return model.original_model(tokens, use_cache=True).past_key_values
