"""Random sets of heads, matched to the ones that are claimed: the controls of docs/STATISTICS.md, R16."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from mechlib.parts.heads import EmptySelection, Heads

ALL_THERE_ARE = "all there are"  # said of sets where it is so; what a null is of, ends with it


@dataclass(frozen=True)
class RandomSets:
    """Sets of heads drawn as controls, how they were matched, and whether they are all that match."""

    sets: tuple[Heads, ...]
    matched: str
    exhaustive: bool

    def __iter__(self) -> Iterator[Heads]:
        return iter(self.sets)

    def __len__(self) -> int:
        return len(self.sets)


def random_sets(like: Heads, among: Heads, n: int = 200, seed: int = 0) -> RandomSets:
    """Up to `n` distinct sets of the size of `like`, drawn from `among` without any head of `like`.

    Matched by layer: as many heads in each layer as `like` has, however few sets that leaves. Where at most `n` exist
    all of them are listed. `matched` says which of both it is, and so does a null that names it: "layer, kind and size;
    200 drawn of 2,925", or "...; 10, all there are".

    Raises EmptySelection where `like` is empty, and where a layer has too few other heads for any set.
    Source: docs/STATISTICS.md, R16.
    """
    if not like:
        raise EmptySelection("no heads to match: an empty set has no random counterpart")
    rest = among - like
    per_layer = Counter(head.layer for head in like)
    pools = [(rest.in_layer(layer).members, size) for layer, size in sorted(per_layer.items())]
    for (layer, size), (pool, _) in zip(sorted(per_layer.items()), pools, strict=True):
        if len(pool) < size:
            raise EmptySelection(
                f"{size} heads of layer {layer} leave {len(pool)} others there: no set matches layer by layer; "
                "claim fewer heads, or hold them against another control"
            )
    count = math.prod(math.comb(len(pool), size) for pool, size in pools)
    matched = "layer, kind and size; "
    if count <= n:
        parts = itertools.product(*(itertools.combinations(pool, size) for pool, size in pools))
        sets = tuple(Heads(tuple(itertools.chain(*part))) for part in parts)
        return RandomSets(sets, f"{matched}{count:,}, {ALL_THERE_ARE}", exhaustive=True)
    rng = random.Random(seed)
    drawn: dict[Heads, None] = {}
    while len(drawn) < n:
        drawn[Heads(tuple(itertools.chain(*(rng.sample(pool, size) for pool, size in pools))))] = None
    return RandomSets(tuple(drawn), f"{matched}{n:,} drawn of {count:,}", exhaustive=False)
