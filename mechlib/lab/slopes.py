"""The linear maps of `mechlib.lab.packed` with a backward, which is as fast: for runs in which gradients are taken.

Only the gradient of the input is known; weights have none here. The way back needs each weight a second time,
transposed, in the processor's order; it is made when gradients are first taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from mechlib.lab.network import Edit, Network
from mechlib.lab.packed import Linear, Maps, maps


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, there: Linear, back: Linear) -> Tensor:
        ctx.back = back
        return there(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None]:
        return ctx.back(gradients[0].contiguous()), None, None


class Sloped:
    """x @ weight.T + bias, with a backward."""

    def __init__(self, linear: Linear) -> None:
        self.there = Linear(linear.weight, linear.bias, False, None)
        if linear.packed is not None:
            self.there.packed = linear.packed
            self.back = Linear(linear.weight.T, None, True, None)

    def __call__(self, x: Tensor) -> Tensor:
        if self.there.packed is None:
            return F.linear(x, self.there.weight, self.there.bias)
        return _Product.apply(x, self.there, self.back) if torch.is_grad_enabled() else self.there(x)


@dataclass(frozen=True, eq=False)
class SlopedMaps:
    """The linear maps of one layer."""

    act: Edit
    qkv: Sloped
    written: Sloped
    into: Sloped | None
    gate: Sloped | None
    out: Sloped | None

    def mlp(self, x: Tensor) -> Tensor:
        """What the MLP writes, given its normed input; zeros where the layer has none."""
        if self.into is None or self.out is None:
            return torch.zeros_like(x)
        hidden = self.into(x)
        return self.out(self.act(hidden) if self.gate is None else self.act(self.gate(x)) * hidden)


_KNOWN: WeakKeyDictionary[Network, tuple[SlopedMaps, ...]] = WeakKeyDictionary()


def sloped(net: Network) -> tuple[SlopedMaps, ...]:
    """The linear maps of each layer, made once for each network."""
    if net not in _KNOWN:
        _KNOWN[net] = tuple(_sloped(net, one) for one in maps(net))
    return _KNOWN[net]


def _sloped(net: Network, one: Maps) -> SlopedMaps:
    mlp = (None if linear is None else Sloped(linear) for linear in (one.into, one.gate, one.out))
    return SlopedMaps(net.act, Sloped(one.qkv), Sloped(one.written), *mlp)
