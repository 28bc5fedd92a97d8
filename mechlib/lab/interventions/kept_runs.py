"""Runs that sweeps start from, kept for the next sweep of the same prompts.

Claims ask the same prompts for one set of heads after another, and what their parts are exchanged for is asked of them
once more: forty sweeps of one set each. The run in which nothing is replaced, and the one that replacements come from,
are the same in all of them, and at the last position they cost more than everything else.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import TypeAlias

import torch
from torch import Tensor

from mechlib.lab.forward.cache import CachedRun, run_with_cache
from mechlib.lab.forward.families import Network
from mechlib.lab.interventions.sites import Source

KEPT_BYTES = 2**30  # of all kept runs together; those that were asked for last stay
Pair: TypeAlias = tuple[CachedRun, CachedRun | None]


class KeptRuns:
    """Pairs of cached runs of one network at a time, as many of the last ones as `most` bytes hold."""

    def __init__(self, most: int = KEPT_BYTES) -> None:
        self.most, self.held = most, 0
        self.net: weakref.ref[Network] | None = None
        self.pairs: OrderedDict[tuple[object, ...], tuple[Pair, int]] = OrderedDict()

    def __call__(self, net: Network, tokens: Tensor, source: Source, first: int, began: int, groups: bool) -> Pair:
        """The run of these tokens, and that of the source where it is tokens too, kept from position `first` on.

        began   the position at which the source run begins: the tokens before it are the same in both
        groups  whether keys and values are kept as they are before they are normed and rotated

        The tensors are shared with the next caller: whoever gets them must not write to them.
        """
        if self.net is None or self.net() is not net:
            self.clear()
            self.net = weakref.ref(net, lambda _: self.clear())
        theirs = source if isinstance(source, Tensor) else None
        key = (_exact(tokens), None if theirs is None else _exact(theirs), first, began, groups)
        if key in self.pairs:
            self.pairs.move_to_end(key)
            return self.pairs[key][0]
        base = run_with_cache(net, tokens, first, groups=groups)
        other = None if theirs is None else run_with_cache(net, theirs, first, began, base, groups=groups)
        self._keep(key, (base, other))
        return base, other

    def clear(self) -> None:
        """Forget all runs."""
        self.pairs.clear()
        self.held = 0

    def _keep(self, key: tuple[object, ...], pair: Pair) -> None:
        size = sum(run.size for run in pair if run is not None)
        if size > self.most:
            return
        self.pairs[key] = pair, size
        self.held += size
        while self.held > self.most:
            _, (_, gone) = self.pairs.popitem(last=False)
            self.held -= gone


def _exact(tokens: Tensor) -> tuple[object, ...]:
    return tuple(tokens.shape), str(tokens.device), tokens.cpu().to(torch.int64).numpy().tobytes()
