"""Position embeddings by path: how much of what an MLP sees is position, directly and by way of heads before it.

`mechlib.lab.input_changed` moves the edge from the position embedding to one reader alone. Here the same other
positions are put in at the embedding as well, where everything sees them: then what earlier heads and MLPs tell a
reader of positions changes too.
"""

from __future__ import annotations

import torch

from mechlib.lab.batching import batches, per_prompt
from mechlib.lab.hooks import mlp_layers, run
from mechlib.lab.models.loading import Model
from mechlib.lab.studies.position_embeddings import _hook, _longest, _normed, _shift, require_learned
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet

PATHS = ("direct", "all paths")


def input_changed_by_path(model: Model, prompts: PromptSet, seed: int = 0, unit: str = "") -> Measurement:
    """How much of each MLP's normed input changes with its positions, as a share of that input's length.

    Columns "mlp 0, direct", where that MLP alone sees the embeddings of other positions, and "mlp 0, all paths", where
    they stand in the place of its own at the embedding; then "mlp 1, direct" and so on. Positions are drawn as in
    `under_other_positions` with "resample", the same for either, averaged over those of a prompt but the first.

    Raises ValueError as `under_other_positions` does.
    """
    require_learned(model)
    made, names = batches(model, prompts), [f"mlp {layer}" for layer in mlp_layers(model)]
    hooks, values = [_hook(model, name) for name in names], []
    for batch in made:
        shift = _shift(model, batch, _longest(made), "resample", seed)
        own = run(model, batch.tokens, keep=hooks, last=1)[1]
        moved = run(
            model,
            batch.tokens,
            {"blocks.0.hook_resid_pre": lambda x, by=shift: x + by},  # type: ignore[misc]  # `by` is of its type
            keep=hooks,
        )[1]
        found = []
        for hook in hooks:
            seen = _normed(own[hook][:, 1:])
            others = (_normed((own[hook] + shift)[:, 1:]), _normed(moved[hook][:, 1:]))
            found += [((other - seen).norm(dim=-1) / seen.norm(dim=-1)).mean(1) for other in others]
        values.append(torch.stack(found, dim=1))
    columns = tuple(f"{name}, {path}" for name in names for path in PATHS)
    return per_prompt(prompts, made, values, columns, "share of the input that changes with positions, by path", unit)
