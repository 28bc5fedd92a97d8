"""Interventions: context managers that yield the model as it would be with some activations replaced.

    with mean_ablated(model, heads, reference=ioi(split="reference")) as ablated:
        logits = ablated(batch)

The model itself is never changed: hooks are on it only while `ablated` runs. The changed model can be given to another
intervention, which then comes after the first. Each context checks that its hooks fire, that patching a run with itself
changes nothing, and, on leaving, that it ran and some activation did change: a null result is never an accident.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, TypeAlias
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.batching import Batch
from mechlib.lab.hooks import Edit, HookDidNotFire, NothingChanged, differs, run
from mechlib.lab.interventions.places import Site as Site
from mechlib.lab.interventions.places import Where as Where
from mechlib.lab.interventions.places import places as places
from mechlib.lab.interventions.reference import Align, mean_activations, require_reference, resample_bank
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.prompts.promptset import PromptSet

Positions: TypeAlias = int | tuple[int, ...] | Literal["all"]

ActivationSource: TypeAlias = Callable[[Batch], Mapping[str, Tensor]]


@contextmanager
def zero_ablated(model: Model | Edited, where: Where, positions: Positions = "all") -> Iterator[Edited]:
    """The model with zeros in these places: later layers never see anything like it, so compare other ablations."""
    yield from _checked(Edited(model, where, positions, source=None))


@contextmanager
def mean_ablated(
    model: Model | Edited,
    where: Where,
    reference: PromptSet,
    positions: Positions = "all",
    align: Align = "end",
) -> Iterator[Edited]:
    """The model with each place holding its mean over the reference prompts of the same cluster and position.

    Positions are counted from the end, where prompts of one template align whatever stands before them, or with `align`
    from the "start"; the BOS position has a mean of its own. Prompts without clusters are all averaged together.
    Raises ValueError where `reference` is of another split or has the prompt that is run, and where a prompt is longer
    than all of its cluster.
    """
    require_reference(reference)
    edited = Edited(model, where, positions, source=None)
    edited.source = mean_activations(edited.model, reference, tuple(edited.places), align)
    yield from _checked(edited)


@contextmanager
def resample_ablated(
    model: Model | Edited,
    where: Where,
    reference: PromptSet,
    seed: int = 0,
    positions: Positions = "all",
    align: Align = "end",
) -> Iterator[Edited]:
    """The model with all these places holding their activations in one random reference prompt.

    It is drawn for each prompt among the reference prompts of the same cluster and token length, or else among the
    longer ones of the cluster, aligned at the end, or with `align` at the "start"; the draw depends on the seed and on
    the prompt, not on the batch.
    Raises ValueError as `mean_ablated` does.
    """
    require_reference(reference)
    edited = Edited(model, where, positions, source=None)
    edited.source = resample_bank(edited.model, reference, tuple(edited.places), seed, align)
    yield from _checked(edited)


@contextmanager
def patched(
    model: Model | Edited,
    where: Where,
    source: Int[Tensor, "batch pos"] | Mapping[str, Tensor],
    positions: Positions = -1,
) -> Iterator[Edited]:
    """The model with these places holding their activations in another run, row by row and position by position.

    source     the other run's token ids, or its activations by hook name, from `activations`
    positions  one, negative from the end; a tuple of several; or "all"

    Raises ValueError where the source lacks a place, or has other rows or positions than the run.
    """
    edited = Edited(model, where, positions, source=None)
    cache = run(edited.model, source, keep=edited.places)[1] if isinstance(source, Tensor) else dict(source)
    missing = [name for name in edited.places if name not in cache]
    if missing:
        raise ValueError(f"the source holds no {missing[0]}, only {', '.join(cache)}: cache the same places first")
    edited.source = lambda batch: cache
    yield from _checked(edited)


def activations(model: Model, tokens: Int[Tensor, "batch pos"], where: Where) -> dict[str, Tensor]:
    """The activations of these places in a run, by hook name, for `patched`. Heads: [batch pos head_index d_head].

    Raises ValueError for places that the model lacks.
    """
    return run(model, tokens, keep=places(model, where), last=1)[1]


# --- replacing ----------------------------------------------------------------------------------------------------


class Edited:
    """A model with replacements: call it on a Batch, or on token ids where the replacement needs to know no more."""

    def __init__(
        self, model: Model | Edited, where: Where, positions: Positions, source: ActivationSource | None
    ) -> None:
        self.inner = model if isinstance(model, Edited) else None
        self.model: Model = model.model if isinstance(model, Edited) else model
        self.places = places(self.model, where)
        self.positions = positions
        self.source = source
        self.asked = self.ran = self.changed = False

    def __call__(self, batch: Batch | Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_vocab"]:
        """The logits of the changed model. HookDidNotFire where a hook is not exact."""
        if isinstance(batch, Tensor):
            batch = Batch(tuple(range(len(batch))), (), batch, None, (), ())
        edits = self.edits(batch)
        check_silent(self.model, batch.tokens[:1], edits)
        self.ran = True
        return run(self.model, batch.tokens, edits)[0]

    def edits(self, batch: Batch) -> dict[str, Edit]:
        """The replacements by hook name; replacements of the edited model that this one was made from come first."""
        self.asked = True
        edits = self.inner.edits(batch) if self.inner else {}
        new = self.source(batch) if self.source and self.places else {}
        for name, heads in self.places.items():
            own = self._edit(heads, new.get(name))
            edits[name] = own if name not in edits else _then(edits[name], own)
        return edits

    def _edit(self, heads: tuple[int, ...] | None, new: Tensor | None) -> Edit:
        def edit(old: Tensor) -> Tensor:
            made = replaced(old, torch.zeros_like(old) if new is None else new, self.positions, heads)
            self.changed = self.changed or differs(made, old)
            return made

        return edit

    def check(self) -> None:
        """NothingChanged where nobody ran this, or it replaced every activation by itself; nothing without places."""
        if self.places and not self.asked:
            raise NothingChanged("the changed model was never run, the model itself is as it was: run what `as` names")
        if self.places and self.ran and not self.changed:
            raise NothingChanged(
                f"replacing {', '.join(self.places)} at position {self.positions} of "
                f"{checkpoint_of(self.model).name} changed no activation: source and run agree there; "
                "choose positions at which they differ, or another source"
            )


def _then(first: Edit, second: Edit) -> Edit:
    return lambda activation: second(first(activation))


def _checked(edited: Edited) -> Iterator[Edited]:
    yield edited
    edited.check()


def replaced(
    old: Tensor, new: Tensor, positions: Positions = "all", heads: tuple[int, ...] | None = None
) -> Float[Tensor, "batch pos ..."]:
    """`old` with the entries of `new` at these positions and heads; a copy, `old` stays as it is."""
    if new.shape != old.shape:
        raise ValueError(
            f"the source has shape {tuple(new.shape)}, the run {tuple(old.shape)}: source and run must have the same "
            "rows and positions"
        )
    where = indices(positions, old.shape[1])
    made = old.clone()
    if heads is None:
        made[:, where] = new[:, where]
    else:
        for head in heads:
            made[:, where, head] = new[:, where, head]
    return made


def indices(positions: Positions, length: int) -> list[int]:
    """The positions, counted from the start. ValueError for other values, for none, and for one outside the run."""
    if isinstance(positions, str):
        if positions != "all":
            raise ValueError(f'no positions {positions!r}: give "all", one number, or a tuple of numbers')
        return list(range(length))
    wanted = (positions,) if isinstance(positions, int) and not isinstance(positions, bool) else positions
    if not isinstance(wanted, Iterable) or not (wanted := tuple(wanted)):
        raise ValueError(f'no positions in {positions!r}: give "all", one number, or a tuple of numbers')
    outside = [position for position in wanted if not -length <= position < length]
    if outside:
        raise ValueError(f"no position {outside[0]} in a run of {length} tokens")
    return [position % length for position in wanted]


_SILENT: WeakKeyDictionary[Model, set[str]] = WeakKeyDictionary()


def check_silent(model: Model, tokens: Int[Tensor, "1 pos"], names: Iterable[str]) -> None:
    """That putting each activation back where it was changes nothing; once for each model and hook name.

    Raises HookDidNotFire otherwise: the hook then stands at another place than the one it reads.
    """
    known = _SILENT.setdefault(model, set())
    new = [name for name in names if name not in known]
    if not new:
        return
    before, kept = run(model, tokens, keep=new)
    after, _ = run(model, tokens, {name: _constant(kept[name].clone()) for name in new})
    if not torch.allclose(before, after, rtol=1e-5, atol=1e-5):
        off = float((before - after).abs().max())
        raise HookDidNotFire(f"patching {', '.join(new)} with itself moves logits by {off:.2g}: the hook is not exact")
    known.update(new)


def _constant(value: Tensor) -> Edit:
    return lambda activation: value
