"""Linear layers whose weights lie in memory as the processor wants them: a tenth to a half faster, no gradients.

oneDNN reads a reordered weight faster than a plain one, and applies the activation while the result is still in the
cache. torch has both behind private operators; where these are missing, or on another device, plain ones are used.

A `DifferentiableLinear` has a backward, which is as fast: for runs in which gradients are taken. It knows the gradient
of its input alone; weights have none. The backward needs each weight a second time, transposed, in the processor's
order; that copy is made when gradients are first taken, and of large models not at all: the plain weight serves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.forward.families import Activation, Block, Network, Norm

WORTH = 256  # d_model from which reordering pays: smaller weights are in the cache anyway
# Bytes that reordered weights may take, for they stand beside the plain ones that the hooked model runs on. They are a
# tenth to a quarter faster, and for few rows up to twice as fast.
MOST = 2 * 2**30


class Linear:
    """x @ weight.T + bias, then an activation. With `packed` the weight is reordered, and there are no gradients."""

    def __init__(
        self,
        weight: Float[Tensor, "out into"],
        bias: Tensor | None,
        packed: bool,
        act: Activation | None,
    ) -> None:
        self.weight, self.bias, self.act = weight, bias, act
        self.packed, self.fused = None, ("none", "")
        if packed:
            self.packed = _reordered(weight)
            self.fused = _name_in_onednn(act)
        if act is not None and self.fused[0] != "none":
            self.act = None

    def __call__(self, x: Float[Tensor, "... into"]) -> Float[Tensor, "... out"]:
        """The layer's output."""
        if self.packed is None:
            made = F.linear(x, self.weight, self.bias)
        else:
            made = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, self.fused[0], [], self.fused[1])
        return made if self.act is None else self.act(made)


@dataclass(frozen=True, eq=False)
class LayerMaps:
    """The linear maps of one layer. Queries apart from keys and values serve where only the last position is asked."""

    qkv: Linear
    q: Linear
    kv: Linear
    o: Linear
    into: Linear | None
    gate: Linear | None
    out: Linear | None
    ln1_post: Norm
    ln2_post: Norm

    def written(self, z: Float[Tensor, "... heads_d_head"]) -> Float[Tensor, "... d_model"]:
        """The output of attention, from z of all heads in a row."""
        return self.ln1_post(self.o(z))

    def mlp(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """The output of the MLP, from its normed input; zeros where the layer has no MLP."""
        if self.into is None or self.out is None:
            return torch.zeros_like(x)
        hidden = self.into(x) if self.gate is None else self.gate(x).mul_(self.into(x))
        return self.ln2_post(self.out(hidden))


_LINEAR_MAPS: WeakKeyDictionary[Network, tuple[LayerMaps, ...]] = WeakKeyDictionary()


def linear_maps(net: Network) -> tuple[LayerMaps, ...]:
    """The linear maps of each layer, made once for each network; weights are reordered where that pays."""
    if net not in _LINEAR_MAPS:
        packed = net.W_E.shape[1] >= WORTH and _bytes(net) <= MOST and _works(net)
        _LINEAR_MAPS[net] = tuple(_maps_of_layer(net, block, packed) for block in net.blocks)
    return _LINEAR_MAPS[net]


def _bytes(net: Network) -> int:
    """What the matrices of all layers take."""
    several = [(block.qkv, block.W_O, block.into, block.gate, block.out) for block in net.blocks]
    return sum(one.numel() * one.element_size() for matrices in several for one in matrices if one is not None)


def _maps_of_layer(net: Network, block: Block, packed: bool) -> LayerMaps:
    def linear(weight: Tensor, bias: Tensor | None, act: Activation | None = None) -> Linear:
        return Linear(weight, bias, packed, act)

    queries = net.n_heads * net.d_head
    b_q, b_kv = (None, None) if block.b_qkv is None else (block.b_qkv[:queries], block.b_qkv[queries:])
    last = block is net.blocks[-1]
    into, gate, out = block.into, block.gate, block.out
    return LayerMaps(
        qkv=linear(block.qkv, block.b_qkv),
        q=Linear(block.qkv[:queries], b_q, packed and last, None),
        kv=Linear(block.qkv[queries:], b_kv, packed and last, None),
        o=linear(block.W_O.flatten(0, 1).T, block.b_O),
        into=None if into is None else linear(into, block.b_in, net.act if gate is None else None),
        gate=None if gate is None else linear(gate, block.b_gate, net.act),
        out=None if out is None else linear(out, block.b_out),
        ln1_post=block.ln1_post,
        ln2_post=block.ln2_post,
    )


def _reordered(weight: Tensor) -> Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), None)


def _name_in_onednn(act: Activation | None) -> tuple[str, str]:
    """oneDNN's name of an activation, found by what it does."""
    if act is None:
        return "none", ""
    x = torch.linspace(-4, 4, 64)
    for approximate in ("tanh", "none"):
        if torch.equal(act(x), F.gelu(x, approximate=approximate)):
            return "gelu", approximate
    return ("relu", "") if torch.equal(act(x), F.relu(x)) else ("none", "")


def _works(net: Network) -> bool:
    """Whether this build of torch has the private operators, and they give the same numbers as plain ones."""
    if net.W_E.device.type != "cpu" or net.W_E.dtype != torch.float32 or not torch.backends.mkldnn.is_available():
        return False
    x, weight, bias = torch.linspace(-1, 1, 24).view(3, 8), torch.linspace(-1, 1, 40).view(5, 8), torch.ones(5)
    try:
        made = Linear(weight, bias, True, F.gelu)(x)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):  # private: each version may do otherwise
        return False
    return torch.allclose(made, F.gelu(F.linear(x, weight, bias)), atol=1e-5)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, there: Linear, back: Linear) -> Tensor:
        ctx.back = back
        return there(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None]:
        return ctx.back(gradients[0].contiguous()), None, None


class DifferentiableLinear:
    """x @ weight.T + bias, with a backward to x, whose weight is reordered too where `twice` says so."""

    def __init__(self, linear: Linear, twice: bool) -> None:
        self.there = Linear(linear.weight, linear.bias, False, None)
        if linear.packed is not None:
            self.there.packed = linear.packed
            self.back = Linear(linear.weight.T, None, twice, None)

    def __call__(self, x: Tensor) -> Tensor:
        """The layer's output, [... out] of x, [... into]."""
        if self.there.packed is None:
            return F.linear(x, self.there.weight, self.there.bias)
        return _Product.apply(x, self.there, self.back) if torch.is_grad_enabled() else self.there(x)


@dataclass(frozen=True, eq=False)
class DifferentiableMaps:
    """The linear maps of one layer, with a backward, and the MLP's activation function."""

    act: Activation
    ln1_post: Norm
    ln2_post: Norm
    qkv: DifferentiableLinear
    o: DifferentiableLinear
    into: DifferentiableLinear | None
    gate: DifferentiableLinear | None
    out: DifferentiableLinear | None

    def written(self, z: Tensor) -> Tensor:
        """The output of attention, from z of all heads in a row."""
        return self.ln1_post(self.o(z))

    def mlp(self, x: Tensor) -> Tensor:
        """The output of the MLP, from its normed input; zeros where the layer has no MLP."""
        if self.into is None or self.out is None:
            return torch.zeros_like(x)
        hidden = self.into(x)
        return self.ln2_post(self.out(self.act(hidden) if self.gate is None else self.act(self.gate(x)) * hidden))


_DIFFERENTIABLE_MAPS: WeakKeyDictionary[Network, tuple[DifferentiableMaps, ...]] = WeakKeyDictionary()


def differentiable_maps(net: Network) -> tuple[DifferentiableMaps, ...]:
    """The linear maps of each layer with a backward, made once for each network."""
    if net not in _DIFFERENTIABLE_MAPS:
        twice = 2 * _bytes(net) <= MOST
        _DIFFERENTIABLE_MAPS[net] = tuple(_differentiable_maps_of_layer(net, one, twice) for one in linear_maps(net))
    return _DIFFERENTIABLE_MAPS[net]


def _differentiable_maps_of_layer(net: Network, one: LayerMaps, twice: bool) -> DifferentiableMaps:
    mlp = (None if linear is None else DifferentiableLinear(linear, twice) for linear in (one.into, one.gate, one.out))
    qkv, o = DifferentiableLinear(one.qkv, twice), DifferentiableLinear(one.o, twice)
    return DifferentiableMaps(net.act, one.ln1_post, one.ln2_post, qkv, o, *mlp)
