"""Features that were chosen by looking: on discovery prompts, and they remember which.

A feature, or any other detector, is a column of a measurement, and chosen as its name: text with `chosen_on`, so that
evidence which is asked about it on the prompts that chose it raises DoubleDipping (docs/STATISTICS.md, R34).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mechlib.parts.blinding import for_looking
from mechlib.parts.chosen import ChosenName, DoubleDipping
from mechlib.parts.heads import EmptySelection

if TYPE_CHECKING:
    from mechlib.measurement import Measurement


def leading(measured: Measurement, n: int = 1, among: str | Sequence[str] = "") -> tuple[ChosenName, ...]:
    """The names of the `n` columns with the highest mean, best first; of equal ones the earlier.

    among  what the names begin with, one or several; by default all are candidates but "error" and "total"

    Raises DoubleDipping unless all prompts are for discovery, EmptySelection where fewer than `n` columns are among
    them, ValueError for n < 1.
    """
    if not measured.prompts:
        raise DoubleDipping(
            "nothing says on which prompts this was measured: choose from what an evidence function returns"
        )
    if not for_looking(measured.prompts):
        raise DoubleDipping(
            f"chosen on {measured.prompts[0]!r}, which are for judging: choose on the split 'discovery'"
        )
    if n < 1:
        raise ValueError(f"{n} columns asked for: ask for at least one")
    beginnings = (among,) if isinstance(among, str) else tuple(among)
    means = dict(zip(measured.columns, measured.values.mean(axis=0).tolist(), strict=True))
    wanted = [name for name in means if name not in ("error", "total") and name.startswith(beginnings)]
    if len(wanted) < n:
        raise EmptySelection(f"{len(wanted)} columns begin with {', '.join(beginnings)!r}, and {n} are wanted")
    seen = frozenset().union(*(prompts.members for prompts in measured.prompts))
    ranked = sorted(wanted, key=lambda name: -round(means[name], 9))  # stable: the earlier of equal ones
    return tuple(ChosenName(name, seen) for name in ranked[:n])
