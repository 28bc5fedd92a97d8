"""Features as nodes: patched from the clean run into the corrupted one, exactly, and to first order.

The corrupted run keeps its own error term; the node "error" is what the dictionary does not reconstruct. Features and
error add up to the activation, so that, to first order, their columns add up to what all of it does.
Source: Marks et al. 2024, "Sparse Feature Circuits", arXiv:2403.19647.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import rankdata
from torch import Tensor

from mechlib.lab.batching import Batch, batches, per_prompt
from mechlib.lab.features.acting import metric_of, ready
from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.features.splicing import at, replaced_by
from mechlib.lab.hooks import SAME, Edit, HookDidNotFire, NothingChanged, check_names, run, sizes
from mechlib.lab.interventions.contexts import Positions
from mechlib.lab.interventions.places import Part, Site
from mechlib.lab.interventions.readout import LOGIT_DIFFERENCE, Readout
from mechlib.lab.interventions.sweep import sweep
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.measurement import TOTAL, Measurement
from mechlib.parts.heads import EmptySelection
from mechlib.prompts.promptset import PromptSet

ERROR, ACTIVATION = "error", "activation"


class BadFeatureGradient(ValueError):
    """A gradient is NaN or infinite: no score follows from it."""


def restored_by_features(
    model: Model,
    prompts: PromptSet,
    dictionary: Dictionary,
    features: Iterable[int],
    positions: Positions = -1,
    hook: str = "",
    readout: Readout = LOGIT_DIFFERENCE,
    hooked: bool = False,
    unit: str = "",
) -> Measurement:
    """How much of the metric comes back when a feature of the corrupted run is as active as in the clean one: exactly.

    A column for each feature, by its number, "error" for the error term, and "total", metric(clean) -
    metric(corrupted), as `restored_by_patching` has it.

    positions  where features are patched, each with what stands at the same position of the clean run
    hooked     through hooks, at the library's own speed; else by the exact sweep, which is checked against these, where
               the activation is the residual stream or an MLP's output

    Raises NothingChanged where no node differs between the two runs, ValueError for prompts without corrupted text and
    for a feature that there is not, OtherActivation, EmptySelection without features.
    """
    hook, which = ready(model, dictionary, hook), _checked(dictionary, features)
    made, values, changed = batches(model, prompts), [], False
    for batch in made:
        pair = _Pair(model, dictionary, batch, hook, positions)
        columns, before = [], pair.metric(pair.corrupted, readout)
        for change in (*(pair.of_feature(feature) for feature in which), pair.error):
            changed |= bool(change.abs().max() > 0)
            columns.append(pair.patched(change, readout, hooked) - before)
        columns.append(pair.metric(batch.tokens, readout) - before)
        values.append(torch.stack(columns, dim=1))
    if not changed:
        raise NothingChanged(
            f"no feature of {dictionary.name} differs between clean and corrupted at position {positions}"
        )
    names = (*map(str, which), ERROR, TOTAL)
    return per_prompt(prompts, made, values, names, "metric restored by patching features", unit)


def restored_by_sets_of_features(
    model: Model,
    prompts: PromptSet,
    dictionary: Dictionary,
    sets: Mapping[str, Iterable[int]],
    positions: Positions = -1,
    hook: str = "",
    readout: Readout = LOGIT_DIFFERENCE,
    unit: str = "",
) -> Measurement:
    """As `restored_by_features`, features of each set patched together: a column for each set by its name, "error" for
    the error term, "activation" for all features and the error, which is the whole activation, and "total".

    Raises what `restored_by_features` raises; ValueError for a set that is called by one of these names.
    """
    hook, made, values = ready(model, dictionary, hook), batches(model, prompts), []
    which = {name: list(_checked(dictionary, features)) for name, features in sets.items()}
    if taken := sorted(which.keys() & {ERROR, ACTIVATION, TOTAL}):
        raise ValueError(f"a set is called {taken[0]!r}, which is the name of another column: rename it")
    for batch in made:
        pair = _Pair(model, dictionary, batch, hook, positions)
        before = pair.metric(pair.corrupted, readout)
        along = [pair.difference[..., own] @ dictionary.directions[own] for own in which.values()]
        whole = pair.difference @ dictionary.directions + pair.error
        columns = [pair.patched(change, readout, False) - before for change in (*along, pair.error, whole)]
        values.append(torch.stack([*columns, pair.metric(batch.tokens, readout) - before], dim=1))
    names = (*which, ERROR, ACTIVATION, TOTAL)
    return per_prompt(prompts, made, values, names, "metric restored by patching features", unit)


def feature_attribution(
    model: Model,
    prompts: PromptSet,
    dictionary: Dictionary,
    features: Iterable[int] | None = None,
    positions: Positions = -1,
    hook: str = "",
    readout: Readout = LOGIT_DIFFERENCE,
    unit: str = "",
) -> Measurement:
    """How much of the metric would come back by each feature, to first order: the gradient of the metric with respect
    to the feature's activation, in the corrupted run, times its difference to the clean run.

    Columns as in `restored_by_features`; `features` is None for all of them. Raises BadFeatureGradient where a gradient
    is NaN or infinite, else what `restored_by_features` raises.
    """
    hook = ready(model, dictionary, hook)
    which = _checked(dictionary, range(dictionary.features) if features is None else features)
    made, values = batches(model, prompts), []
    for batch in made:
        pair = _Pair(model, dictionary, batch, hook, positions)
        gradient, before = _gradient(model, pair.corrupted, batch, hook, positions, readout)
        along = gradient @ dictionary.directions[list(which)].T
        scores = (along * pair.difference[..., list(which)]).sum(1)
        error = (gradient * pair.error).flatten(1).sum(1)
        total = pair.metric(batch.tokens, readout) - before
        values.append(torch.cat([scores, error[:, None], total[:, None]], dim=1))
    names = (*map(str, which), ERROR, TOTAL)
    return per_prompt(prompts, made, values, names, "metric restored by features, to first order", unit)


def attribution_agreement(
    model: Model,
    prompts: PromptSet,
    dictionary: Dictionary,
    features: Iterable[int],
    positions: Positions = -1,
    hook: str = "",
    readout: Readout = LOGIT_DIFFERENCE,
    unit: str = "",
) -> Measurement:
    """Whether attribution orders features as exact patching does: on each prompt Spearman's rank correlation over
    `features`, "own", and that of its attribution with the exact effects on the next prompt, "next prompt's".

    A prompt on which either is the same for all features, as where none differs, has 0. Raises what
    `restored_by_features` does, and ValueError for fewer than three features.
    """
    which = _checked(dictionary, features)
    if len(which) < 3:
        raise ValueError(f"{len(which)} features have no order to agree on: give at least three")
    names = [str(feature) for feature in which]
    exact = restored_by_features(model, prompts, dictionary, which, positions, hook, readout, unit=unit)[names]
    rough = feature_attribution(model, prompts, dictionary, which, positions, hook, readout, unit)[names]
    ours, theirs = _standard_ranks(rough.values), _standard_ranks(exact.values)
    columns = {"own": (ours * theirs).sum(1), "next prompt's": (ours * np.roll(theirs, -1, axis=0)).sum(1)}
    return replace(rough.with_columns(columns), of="rank correlation over features of attribution and exact patching")


def _standard_ranks(values: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    """Ranks in each row, ties averaged, about their mean and of length 1; zeros where all are the same."""
    ranks = rankdata(values, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    lengths = np.sqrt(np.square(ranks).sum(axis=1, keepdims=True))
    return np.divide(ranks, lengths, out=np.zeros_like(ranks), where=lengths > 0)


class _Pair:
    """The clean and the corrupted run of a batch at an activation, in features.

    difference  how much more active each feature is in the clean run: [batch at features]
    error       how much the error terms differ: [batch at width]
    """

    def __init__(self, model: Model, dictionary: Dictionary, batch: Batch, hook: str, positions: Positions) -> None:
        if batch.corrupted is None:
            raise ValueError(f"{batch.prompts[0].clean!r} has no corrupted text: there is no run to patch into")
        self.model, self.dictionary, self.batch = model, dictionary, batch
        self.hook, self.positions, self.corrupted = hook, positions, batch.corrupted
        clean = at(run(model, batch.tokens, keep=(hook,), last=1)[1][hook], positions)
        self.whole = run(model, batch.corrupted, keep=(hook,), last=1)[1][hook]
        self.own = at(self.whole, positions)
        with torch.no_grad():
            self.difference = dictionary.active(clean) - dictionary.active(self.own)
            self.error = clean - self.own - self.difference @ dictionary.directions
            rounded = ((clean - self.own).abs() <= SAME * sizes(self.own)).all(-1)  # the same in both runs
            self.difference[rounded], self.error[rounded] = 0, 0

    def of_feature(self, feature: int) -> Float[Tensor, "batch at width"]:
        """What the activation changes by where a feature is as in the clean run."""
        return self.difference[..., feature, None] * self.dictionary.directions[feature]

    def metric(self, tokens: Int[Tensor, "batch pos"], readout: Readout, edit: Edit | None = None) -> Tensor:
        return metric_of(self.model, tokens, self.batch, readout, {self.hook: edit} if edit else None)

    def patched(self, change: Float[Tensor, "batch at width"], readout: Readout, hooked: bool) -> Tensor:
        """The metric of the corrupted run with the activation changed."""
        site = None if hooked else _site(self.hook)
        if site is None:
            return self.metric(
                self.corrupted, readout, lambda old: replaced_by(old, at(old, self.positions) + change, self.positions)
            )
        new = replaced_by(self.whole, self.own + change, self.positions)
        part = replace(self.batch, tokens=self.corrupted, corrupted=None)
        return sweep(self.model, part, [site], {self.hook: new}, self.positions, readout).after[:, 0]


def _site(hook: str) -> Site | None:
    """The place of an exact sweep that this activation is; None for one that it does not know."""
    _, _, rest = hook.partition("blocks.")
    layer, _, part = rest.partition(".")
    parts: dict[str, Part] = {"hook_resid_pre": "resid_pre", "hook_resid_post": "resid_post", "hook_mlp_out": "mlp"}
    return Site(parts[part], int(layer)) if part in parts else None


def _gradient(
    model: Model, tokens: Int[Tensor, "batch pos"], batch: Batch, hook: str, positions: Positions, readout: Readout
) -> tuple[Float[Tensor, "batch at width"], Float[Tensor, " batch"]]:
    """The gradient of each prompt's metric with respect to the activation, and the metric. `run` takes none."""
    met: list[Tensor] = []

    def root(activation: Tensor, hook: object) -> Tensor:
        met.append(activation.detach().requires_grad_())  # no weight asks for a gradient: nothing else has one
        return met[-1]

    check_names(model, (hook,))
    with torch.enable_grad(), model.hooks(fwd_hooks=[(hook, root)]):
        metric = readout.value(readout.of(model(tokens), batch), batch)
        if len(met) != 1:
            raise HookDidNotFire(f"{hook} of {checkpoint_of(model).name} fired {len(met)} times in a run, wanted 1")
        (found,) = torch.autograd.grad(metric.sum(), met)
    bad = (~found.flatten(1).isfinite()).any(1).nonzero()
    if len(bad):
        prompt = batch.prompts[int(bad[0])]
        raise BadFeatureGradient(
            f"the gradient at {hook} is NaN or infinite for prompt {prompt.fingerprint} ({prompt.clean!r}): no score "
            "follows from it; look for activations too large for float32"
        )
    return at(found, positions), metric.detach()


def _checked(dictionary: Dictionary, features: Iterable[int]) -> tuple[int, ...]:
    which = tuple(dict.fromkeys(dictionary.require(feature) for feature in features))
    if not which:
        raise EmptySelection("no feature is named: there is nothing to patch")
    return which
