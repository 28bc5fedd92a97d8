"""Directions and row spaces of probes: projections on them, and the run with them removed from the stream, or added."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mechlib.lab.batching import batches
from mechlib.lab.interventions.patching import CLEAN
from mechlib.lab.models.loading import Model
from mechlib.lab.probes.changes import Change, Make, Metric, under_changes
from mechlib.lab.probes.linear import fitted, labelled
from mechlib.lab.probes.streams import END, At, Depths, depth_of, measured, streams
from mechlib.lab.probes.subspaces import Direction as Direction
from mechlib.lab.probes.subspaces import Subspace, as_tensor, leading, spanned
from mechlib.lab.probes.targets import Groups, classes_of
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet

RANDOM = "random"  # a change as long, in a random direction
INTACT = "intact"


def mean_differences(
    model: Model, prompts: PromptSet, target: str, at: At = END, toward: str = "", layers: Depths = None
) -> dict[str, Direction]:
    """By depth, the mean activation of one of two classes less that of the other.

    toward  the class that it leads to; by default the last by name. target, at and layers as of `probe`

    Raises ValueError where there are not two classes, or none of this name.
    """
    classes = np.array(classes_of(prompts, target))
    known = sorted(set(classes.tolist()))
    toward = toward or known[-1]
    if len(known) != 2 or toward not in known:
        raise ValueError(
            f"no difference of means of {target!r} towards {toward!r}: it has {len(known)} classes, "
            f"{', '.join(known[:4])}; take a target of two, or class_mean_subspaces"
        )
    found = {}
    for name, x in streams(model, batches(model, prompts), at, layers).items():
        vector = x[classes == toward].mean(axis=0) - x[classes != toward].mean(axis=0)
        centre, span = as_tensor(model, x.mean(axis=0)), spanned(model, x)
        found[name] = Direction(depth_of(model, name), at, as_tensor(model, vector), centre, span, prompts.members)
    return found


def probe_subspaces(
    model: Model,
    prompts: PromptSet,
    target: str,
    at: At = END,
    group: Groups = "prompt",
    layers: Depths = None,
    seed: int = 0,
) -> dict[str, Subspace]:
    """By depth, the row space of a probe that is fitted to all of these prompts: what it tells classes by.

    Of n classes n - 1 dimensions (of two, the probe's own direction), in the stream's own units, and within the span of
    the activations: a direction in which none of them differs is none that the probe read. What lies orthogonal to it,
    the null space, moves no probe. Arguments and errors as of `mechlib.lab.probes.linear.probe`.

    Source: docs/STATISTICS.md, R24.
    """
    task, found = labelled(prompts, target, group, 3, seed), {}
    inner = [(train, test) for train, test, _ in task.folds]
    for name, x in streams(model, batches(model, prompts), at, layers).items():
        scaler, fit = fitted(x, task.labels, inner)
        rows = (fit.coef_ - fit.coef_.mean(axis=0) if len(fit.coef_) > 1 else fit.coef_) / scaler.scale_
        span = spanned(model, x)
        if span is not None:
            inside = span.double().cpu().numpy()
            rows = rows @ inside @ inside.T
        basis = leading(rows, len(fit.classes_) - 1, f"the rows of a probe of {target!r}")
        made = as_tensor(model, basis), as_tensor(model, x.mean(axis=0))
        found[name] = Subspace(depth_of(model, name), at, *made, span, prompts.members)
    return found


def projections(model: Model, prompts: PromptSet, directions: Mapping[str, Direction], unit: str = "") -> Measurement:
    """How far each prompt's stream lies along each direction from its centre, in lengths of the direction.

    Of the prompts that made it, the two classes are 1 apart on average. Raises ValueError for no directions.
    """
    if not directions:
        raise ValueError("no directions: give at least one")
    made, columns = batches(model, prompts), {}
    for name, one in directions.items():
        (x,) = streams(model, made, one.at, _depth_name(one.depth)).values()
        vector, centre = (own.double().cpu().numpy() for own in (one.vector, one.centre))
        columns[name] = (x - centre) @ vector / (vector @ vector)
    return measured(prompts, made, columns, "projection on the direction, in its lengths", unit)


def under_removal(
    model: Model,
    prompts: PromptSet,
    subspaces: Mapping[str, Subspace],
    what: Metric = "logit difference",
    seed: int = 0,
    hooked: bool = False,
    unit: str = "",
) -> Measurement:
    """The clean run with each subspace's part of the stream replaced by that of its centre: a column a subspace.

    Beside each stands "NAME, random", the stream moved as far in a random direction of the activations' span, drawn for
    each prompt by `seed`; the last column is "intact". Errors as of `under_changes`; ValueError for a subspace that has
    no centre, as it was made from no prompts.
    """
    makes: dict[str, tuple[Subspace, Make]] = {name: (one, _removal(name, one)) for name, one in subspaces.items()}
    changes = {name: Change(one, make) for name, (one, make) in makes.items()}
    changes |= {f"{name}, {RANDOM}": Change(one, make, seed) for name, (one, make) in makes.items()}
    of = "a subspace removed"
    return under_changes(model, prompts, changes, CLEAN, what, of, {INTACT: CLEAN}, hooked, unit)


def under_addition(
    model: Model,
    prompts: PromptSet,
    directions: Mapping[str, Direction],
    dose: float = 1.0,
    what: Metric = "logit difference",
    seed: int = 0,
    hooked: bool = False,
    unit: str = "",
) -> Measurement:
    """The clean run with each direction added to the stream, `dose` times: a column a direction.

    Columns beside, and errors, as of `under_removal`. To act in the row space of a probe alone give
    `direction.within(subspace)`.
    """
    makes: dict[str, tuple[Direction, Make]] = {name: (one, _addition(one, dose)) for name, one in directions.items()}
    changes = {name: Change(one, make) for name, (one, make) in makes.items()}
    changes |= {f"{name}, {RANDOM}": Change(one, make, seed) for name, (one, make) in makes.items()}
    of = f"a direction added {dose:g} times"
    return under_changes(model, prompts, changes, CLEAN, what, of, {INTACT: CLEAN}, hooked, unit)


def _removal(name: str, subspace: Subspace) -> Make:
    if subspace.centre is None:
        raise ValueError(f"{name} was made from no prompts and has no centre to put in: take one that was")
    centre = subspace.centre
    return lambda own, other: own - subspace.part(own - centre)


def _addition(direction: Direction, dose: float) -> Make:
    return lambda own, other: own + dose * direction.vector


def _depth_name(depth: int) -> str:
    return f"after layer {depth - 1}" if depth else "embeddings"
