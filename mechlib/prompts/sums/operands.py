"""Pairs of operands by split, and by which other pair one may be replaced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, get_args

from mechlib.prompts import world
from mechlib.prompts.pretrained.style import Style
from mechlib.prompts.promptset import SPLITS, Split
from mechlib.prompts.world import Pair

Operand = Literal["first", "second"]
Operands = Literal["trained", "100 to 120"]
Others = Callable[[Pair], list[Pair]]  # the pairs by which a pair may be replaced

OPERANDS: Final[dict[Operands, dict[world.Lexicon, tuple[Pair, ...]]]] = {
    "trained": world.HELD_OUT_PAIRS,
    "100 to 120": world.PAIRS_BEYOND,
}

_TWO_DIGITS: Final = tuple(pair for pair in world.PAIRS if min(pair) >= 10 and sum(pair) <= world.LARGEST_OPERAND)
_FREE: Final = [pair for pair in world.by_digest("pair", _TWO_DIGITS) if not world.pair_is_held_out(*pair)]
# For pretrained models: pairs of two digits whose sum has two. Those that the small models' splits have stay in theirs.
OF_TWO_DIGITS: Final[dict[world.Lexicon, tuple[Pair, ...]]] = {
    "discovery": (*(pair for pair in world.HELD_OUT_PAIRS["discovery"] if pair in set(_TWO_DIGITS)), *_FREE[::3]),
    "confirmation": (
        *(pair for pair in world.HELD_OUT_PAIRS["confirmation"] if pair in set(_TWO_DIGITS)),
        *(pair for place, pair in enumerate(_FREE) if place % 3),
    ),
}


def known(split: Split) -> Split:
    """The split. ValueError where there is none of this name."""
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}: choose one of {', '.join(SPLITS)}")
    return split


def choice(name: str, operand: Operand) -> Operand:
    """The operand that is replaced. ValueError, with the argument's name, where it is neither."""
    if operand not in get_args(Operand):
        raise ValueError(f"{name} is {operand!r}: choose first or second, the operand that is replaced")
    return operand


def pairs_of(split: Split, operands: Operands = "trained", style: Style = "world") -> list[Pair]:
    """The pairs of a split, each in its one order, shuffled; for reference those of discovery in the other order."""
    if operands not in OPERANDS:
        raise ValueError(f"no operands {operands!r}: choose one of {', '.join(OPERANDS)}")
    if style not in ("world", "pretrained"):
        raise ValueError(f"no style {style!r}: choose world or pretrained")
    lists = OPERANDS[operands] if style == "world" else OF_TWO_DIGITS
    ordered = [
        world.one_order(pair) for pair in lists["confirmation" if known(split) == "confirmation" else "discovery"]
    ]
    return [(b, a) for a, b in ordered if a != b] if split == "reference" else ordered


def sharing(pairs: Sequence[Pair], replaced: Operand) -> Others:
    """Other pairs with one number kept: for "first" the second of the pair, for "second" the first."""
    with_it: dict[int, set[int]] = {}
    for a, b in pairs:
        with_it.setdefault(a, set()).add(b)
        with_it.setdefault(b, set()).add(a)

    def others(pair: Pair) -> list[Pair]:
        a, b = pair
        if replaced == "first":
            return [(other, b) for other in sorted(with_it[b] - {a})]
        return [(a, other) for other in sorted(with_it[a] - {b})]

    return others


def same_sum(pairs: Sequence[Pair]) -> Others:
    """Other unordered pairs with the same sum, in both orders."""
    with_it: dict[int, set[Pair]] = {}
    for a, b in pairs:
        with_it.setdefault(a + b, set()).update({(a, b), (b, a)})
    return lambda pair: sorted(with_it[sum(pair)] - {pair, pair[::-1]})


def other_tens(others: Others) -> Others:
    """Of these replacements those whose sum has other tens, so that the first digit of the answer decides."""
    return lambda pair: [other for other in others(pair) if sum(other) // 10 != sum(pair) // 10]
