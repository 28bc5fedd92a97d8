"""A forward pass that stops at the last hook that is needed, and gives each hook's activation as one vector a token."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.hooks import HookDidNotFire, NoSuchHook, run
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.lab.models.tokens import is_causal

_NEAR = 4  # names that are listed for one that is not there


class _Enough(Exception):
    """Every hook has fired: nothing behind it is needed."""


def stopped_run(model: Model, tokens: Int[Tensor, "batch pos"], hooks: Sequence[str]) -> dict[str, Tensor]:
    """The activations of these hooks, as `run(model, tokens, keep=hooks)` gives them, and no more of the run.

    Raises HookDidNotFire where one does not fire. Names, and that each fires once, are for `shapes` to check.
    """
    kept: dict[str, Tensor] = {}

    def read(name: str) -> Callable[..., None]:
        def hook(activation: Tensor, hook: object) -> None:
            kept[name] = activation
            if len(kept) == len(hooks):
                raise _Enough

        return hook

    try:
        with torch.no_grad(), model.hooks(fwd_hooks=[(name, read(name)) for name in hooks]):
            model(tokens)
    except _Enough:
        return kept
    missing = [name for name in hooks if name not in kept]
    raise HookDidNotFire(f"{', '.join(missing)} of {checkpoint_of(model).name} did not fire in a run, wanted once")


def row_activations(
    model: Model, rows: Sequence[Sequence[int]], hooks: Sequence[str]
) -> Iterator[tuple[list[Sequence[int]], dict[str, Float[Tensor, "batch pos width"]]]]:
    """The activations of rows of token ids, in their order, with the rows that they are of; positions side by side.

    Rows of a causal model run together, shorter ones filled up behind their end, which no position before sees: what
    stands there is to be left out. Of a bidirectional model only neighbours of one length do.
    """
    causal = is_causal(model)
    for _, several in groupby(rows, key=lambda row: 0 if causal else len(row)):
        together = list(several)
        longest = max(map(len, together))
        filled = [[*row, *[row[-1]] * (longest - len(row))] for row in together]
        kept = stopped_run(model, torch.tensor(filled, device=model.cfg.device), hooks)
        yield together, {name: activation.flatten(2).float() for name, activation in kept.items()}


def shapes(model: Model, hooks: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The shape of each hook's activation at one position of one text, from a run on a few tokens.

    Raises NoSuchHook, with near names; ValueError for an activation that is not of one position, as a pattern of
    attention is not; and as `run` does.
    """
    _require_hooks(model, hooks)
    counts = {model.cfg.n_heads, getattr(model.cfg, "n_key_value_heads", None), model.cfg.d_head}
    length = next(n for n in (5, 6, 7, 8) if n not in counts)  # so that no other axis is taken for positions
    length = min(length, model.cfg.n_ctx)
    _, kept = run(model, torch.zeros(2, length, dtype=torch.long, device=model.cfg.device), keep=hooks)
    for name, activation in kept.items():
        if activation.shape[:2] != (2, length) or activation.ndim < 3:
            raise ValueError(
                f"{name} of {checkpoint_of(model).name} is {list(activation.shape)} for 2 texts of {length} tokens, "
                "and has no vector for each token: choose a hook of the stream, an MLP or z"
            )
    return {name: tuple(kept[name].shape[2:]) for name in hooks}


def _require_hooks(model: Model, hooks: Sequence[str]) -> None:
    there = list(model.hook_dict)
    for name in hooks:
        if name not in there:
            near = difflib.get_close_matches(name, there, n=_NEAR, cutoff=0.4)
            hint = f"near are {', '.join(near)}" if near else f"it has {', '.join(there[:_NEAR])} and others"
            raise NoSuchHook(
                f"{checkpoint_of(model).name}, of {model.cfg.n_layers} layers, has no activation {name!r}: {hint}"
            )
