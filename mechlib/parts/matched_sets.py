"""Sets of heads matched to a claimed one by layer, size and kind: what a control run exchanges it for (R16 and R31)."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mechlib.parts.heads import EmptySelection, Group, Head, Heads, all_heads

LISTED = 20_000  # sets of one kind that are listed and shuffled; of more some are drawn


@dataclass(frozen=True)
class MatchedSets:
    """Sets matched to one, nearest first: of the same layers, then of the nearest by turns.

    in_layer  how many of them, the first ones, are disjoint heads of the one layer in question; 0 for several heads
    matched   how they are matched, in words
    """

    sets: tuple[Heads, ...]
    in_layer: int
    matched: str

    def __iter__(self) -> Iterator[Heads]:
        return iter(self.sets)

    def __len__(self) -> int:
        return len(self.sets)


def matched_sets(
    like: Iterable[Head], among: Heads, n: int = 39, but_not: Iterable[Head] = (), seed: int = 0
) -> MatchedSets:
    """Up to `n` sets with as many heads in each layer as `like`, none of them in `like` or `but_not`.

    One head: the others of its layer, then those of the nearest layers by turns, so many until there are `n`.
    Several: sets of the same layers; where fewer than `n` exist all are taken, and then sets of layers that are all one
    lower or one higher, by turns, then two. The first of a longer list are a shorter one.

    among  all heads that there are

    Raises EmptySelection where `like` is empty, ValueError where it is not among the heads that there are.
    Source: docs/STATISTICS.md, R16 and R31.
    """
    chosen = Heads(tuple(like))
    if not chosen:
        raise EmptySelection("no heads to match: an empty set has no counterpart")
    if chosen - among:
        raise ValueError(f"{chosen - among} are none of the {len(among)} heads there are: name heads of this model")
    rest = among - chosen - Heads(tuple(but_not))
    layers = [head.layer for head in chosen]
    found: dict[Heads, None] = {}
    depth = max(head.layer for head in among) + 1
    for distance in range(depth):
        shifts = (-distance, distance) if distance else (0,)
        ways = [
            _sets(rest, Counter(layer + shift for layer in layers), n, seed)
            for shift in shifts
            if min(layers) + shift >= 0 and max(layers) + shift < depth
        ]
        for others in itertools.zip_longest(*ways):
            found.update(dict.fromkeys(other for other in others if other is not None))
        if len(found) >= n:
            break
    sets = tuple(found)[:n]
    in_layer = sum(other.members[0].layer == layers[0] for other in sets) if len(chosen) == 1 else 0
    what = "heads of its layer, then of the nearest" if len(chosen) == 1 else "sets of its layers, then of the nearest"
    return MatchedSets(sets, in_layer, what)


def matched_groups(
    like: Iterable[Group], n_layers: int, n_groups: int, n: int = 39, but_not: Iterable[Group] = ()
) -> tuple[tuple[Group, ...], ...]:
    """Up to `n` sets of other key/value groups, matched by layer as `matched_sets` matches heads, nearest first.

    n_groups  how many groups each layer has

    Raises ValueError, naming the layer, where a layer has too few groups for any other set of its own: what other
    layers' groups do would only tell the layer. Raises EmptySelection where `like` is empty.
    """
    own, held = (Heads(tuple(Head(*group) for group in some)) for some in (tuple(like), tuple(but_not)))
    for layer in sorted({head.layer for head in own}):
        size, left = len(own.in_layer(layer)), n_groups - len((own | held).in_layer(layer))
        if left < size:
            have = "1 key/value group" if n_groups == 1 else f"{n_groups} key/value groups"
            raise ValueError(
                f"layer {layer} has {have}, {size} of them claimed: no other of its layer to exchange; name its heads"
            )
    found = matched_sets(own, all_heads(n_layers, n_groups), n, held)
    return tuple(tuple(Group(*head) for head in other) for other in found)


def _sets(rest: Heads, per_layer: Counter[int], n: int, seed: int) -> list[Heads]:
    """Up to `n` sets with so many heads in each layer, in an order that no `n` changes."""
    pools = [(rest.in_layer(layer).members, size) for layer, size in sorted(per_layer.items())]
    count = math.prod(math.comb(len(pool), size) for pool, size in pools)
    rng = random.Random(f"matched sets {seed} {sorted(per_layer.items())}")
    if count <= LISTED:
        ways = itertools.product(*(itertools.combinations(pool, size) for pool, size in pools))
        listed = [Heads(tuple(itertools.chain(*way))) for way in ways]
        if sum(per_layer.values()) > 1:
            rng.shuffle(listed)
        return listed[:n]
    drawn: dict[Heads, None] = {}
    while len(drawn) < n:
        drawn[Heads(tuple(itertools.chain(*(rng.sample(pool, size) for pool, size in pools))))] = None
    return list(drawn)


def rank_among(own: float, others: Sequence[float]) -> int:
    """The place of a value among others, 1 where none is as large: ties count against it."""
    return 1 + sum(other >= own for other in others)
