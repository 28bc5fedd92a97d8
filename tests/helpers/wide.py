"""Networks in float64, for slopes: in float32 a small difference of two logits is mostly rounding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mechlib.lab.batching import Batch
from mechlib.lab.forward.families import Network, forward


def wide(thing: Any) -> Any:
    """The same network, block or norm with every tensor in float64."""
    if isinstance(thing, Tensor):
        return thing.double()
    if isinstance(thing, tuple):
        return tuple(wide(one) for one in thing)
    if is_dataclass(thing) and not isinstance(thing, type):
        return replace(thing, **{one.name: wide(getattr(thing, one.name)) for one in fields(thing)})
    return thing


def metric(
    net: Network, batch: Batch, tokens: Tensor, shifts: Mapping[str, Tensor] | None = None, edits=None
) -> Tensor:
    """logit(answer) - logit(distractor) of a run with shifts and edits, by prompt."""
    logits = net.unembed(forward(net, tokens, shifts, edits)[0][:, -1])
    rows = torch.arange(len(logits))
    return logits[rows, batch.answer] - logits[rows, batch.distractor]


def slope(of: Callable[[float], Tensor], step: float = 1e-4) -> Tensor:
    """The derivative at zero, by central differences."""
    return (of(step) - of(-step)) / (2 * step)
