"""Features that were chosen by looking: on discovery prompts, and they remember which.

A feature, or any other detector, is a column of a measurement, and chosen as its name: text with `chosen_on`, so that
evidence which is asked about it on the prompts that chose it raises DoubleDipping (docs/STATISTICS.md, R34).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mechlib.parts.blinding import for_looking
from mechlib.parts.chosen import ChosenName, DoubleDipping, chosen_on, plain
from mechlib.parts.heads import EmptySelection

if TYPE_CHECKING:
    from mechlib.measurement import Measurement


def leading(measured: Measurement, n: int = 1, among: str | Sequence[str] = "") -> tuple[ChosenName, ...]:
    """The names of the `n` columns with the highest mean, best first; of equal ones the earlier.

    among  what the names begin with, one or several; by default all are candidates but "error" and "total"

    Raises DoubleDipping unless all prompts are for discovery, EmptySelection where fewer than `n` columns are among
    them, ValueError for n < 1.
    """
    beginnings = (among,) if isinstance(among, str) else tuple(among)
    means = {name: mean for name, mean in _means(measured).items() if name.startswith(beginnings)}
    return _first(sorted(means, key=lambda name: -round(means[name], 9)), n, measured)  # stable: the earlier of equals


def alike(measured: Measurement, to: str, n: int = 1) -> tuple[ChosenName, ...]:
    """The names of the `n` other columns whose mean is nearest to that of the column `to`, as features that are as
    active as one; none that is zero. KeyError where there is no column `to`, else raises what `leading` does."""
    means = _means(measured)
    own = means[plain(to)]
    others = [name for name, mean in means.items() if mean != 0 and name != plain(to)]
    return _first(sorted(others, key=lambda name: abs(means[name] - own)), n, measured)


def drawn(measured: Measurement, n: int, seed: int = 0, but_not: Sequence[str] = ()) -> tuple[ChosenName, ...]:
    """The names of `n` columns drawn at random among those that are not zero, nor among `but_not`.

    Raises what `leading` does.
    """
    left_out = {plain(name) for name in but_not}
    others = [name for name, mean in _means(measured).items() if mean != 0 and name not in left_out]
    random.Random(seed).shuffle(others)
    return _first(others, n, measured)


def feature_of(detector: str) -> tuple[str, str]:
    """The dictionary, and the number as text, of a detector "after-2-seed-0 1a2b3c4d: 17 > 0.5": both remember what
    chose it. ValueError for what is no detector."""
    pool, colon, rest = plain(detector).rpartition(": ")
    if not colon or len(rest.split()) != 3:
        raise ValueError(f"{detector!r} is no detector: write it as 'after-2-seed-0 1a2b3c4d: 17 > 0.5'")
    return ChosenName(pool, chosen_on(detector)), ChosenName(rest.split()[0], chosen_on(detector))


def _means(measured: Measurement) -> dict[str, float]:
    """The mean of every column but "error" and "total"."""
    if not measured.prompts:
        raise DoubleDipping(
            "nothing says on which prompts this was measured: choose from what an evidence function returns"
        )
    if not for_looking(measured.prompts):
        raise DoubleDipping(f"chosen on {measured.prompts[0]!r}, which are for judging: choose on discovery")
    found = zip(measured.columns, measured.values.mean(axis=0).tolist(), strict=True)
    return {name: mean for name, mean in found if name not in ("error", "total")}


def _first(ranked: Sequence[str], n: int, measured: Measurement) -> tuple[ChosenName, ...]:
    """The first `n` names, which remember the prompts."""
    if n < 1:
        raise ValueError(f"{n} columns asked for: ask for at least one")
    if len(ranked) < n:
        raise EmptySelection(f"{len(ranked)} columns to choose from, and {n} are wanted")
    seen: frozenset[str] = frozenset().union(*(prompts.members for prompts in measured.prompts))
    return tuple(ChosenName(name, seen) for name in ranked[:n])
