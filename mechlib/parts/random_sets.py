"""Random sets of heads, matched to the ones that are claimed: the controls of docs/STATISTICS.md, R16."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from mechlib.parts.heads import EmptySelection, Head, Heads


@dataclass(frozen=True)
class RandomSets:
    """Sets of heads drawn as controls, and how closely they could be matched."""

    sets: tuple[Heads, ...]
    matched: str
    exhaustive: bool

    def __iter__(self) -> Iterator[Heads]:
        return iter(self.sets)

    def __len__(self) -> int:
        return len(self.sets)


def random_sets(like: Heads, among: Heads, n: int = 200, seed: int = 0) -> RandomSets:
    """Up to `n` distinct sets of the size of `like`, drawn from `among` without any head of `like`.

    Matched by layer (as many heads in each layer as `like` has). Where fewer than `n` such sets exist all of
    them are listed; below 20 the match is relaxed to size alone, and `matched` says so.

    Raises EmptySelection where `like` is empty, ValueError where the rest has too few heads.
    Source: docs/STATISTICS.md, R16.
    """
    if not like:
        raise EmptySelection("no heads to match: an empty set has no random counterpart")
    rest = among - like
    if len(rest) < len(like):
        raise ValueError(f"{len(like)} heads leave {len(rest)} others: no set of equal size can be drawn from them")
    per_layer = Counter(head.layer for head in like)
    pools = [(rest.in_layer(layer).members, size) for layer, size in sorted(per_layer.items())]
    if math.prod(math.comb(len(pool), size) for pool, size in pools) >= 20:
        return _draw(pools, n, seed, "layer, kind and size")
    return _draw([(rest.members, len(like))], n, seed, "kind and size")


def _draw(pools: list[tuple[tuple[Head, ...], int]], n: int, seed: int, matched: str) -> RandomSets:
    count = math.prod(math.comb(len(pool), size) for pool, size in pools)
    if count <= n:
        parts = itertools.product(*(itertools.combinations(pool, size) for pool, size in pools))
        return RandomSets(tuple(Heads(tuple(itertools.chain(*part))) for part in parts), matched, exhaustive=True)
    rng = random.Random(seed)
    drawn: dict[Heads, None] = {}
    while len(drawn) < n:
        drawn[Heads(tuple(itertools.chain(*(rng.sample(pool, size) for pool, size in pools))))] = None
    return RandomSets(tuple(drawn), matched, exhaustive=False)
