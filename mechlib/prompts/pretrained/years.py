"""Greater-than for models that read a year digit by digit: its tens are asked, and behind the start's tens its units.

    tens   The war lasted from the year 1764 to the year 17 -> 8, not 4
    units  The war lasted from the year 1764 to the year 176 -> 7, not 2

A year is above the start where its tens are, or where they are the same and its units are above; so the probability of
all years above follows from both (`mechlib.lab.difference_by_digits`). Tens that are the start's are not wrong: a start
ends in 0 to 8, and a year above it has them. Nouns and centuries belong to one split each, by their digests.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product
from typing import Final, Literal, get_args

from mechlib.prompts import sampling as draws
from mechlib.prompts.pretrained import lexicon
from mechlib.prompts.promptset import Prompt, PromptSet, Split, one_token
from mechlib.prompts.world import Lexicon

Digit = Literal["tens", "units"]

SIZES: Final[dict[Split, int]] = {"discovery": 192, "confirmation": 384, "reference": 192}  # 8 a noun
SENTENCE: Final = "The {noun} lasted from the year {century}{start:02d} to the year {century}"
STARTS: Final = tuple(10 * tens + units for tens, units in product(range(2, 9), range(9)))  # a digit above, one below
LOWEST: Final = 1  # as published


@dataclass(frozen=True)
class _Sentence:
    noun: str
    century: str
    start: int
    digit: Digit
    reach: float  # of answer and distractor from the cutoff, as a share of the furthest that both can have

    def text(self, start: int) -> str:
        """The sentence with this start in the place of its own, up to the digit that is asked."""
        said = SENTENCE.format(noun=self.noun, century=self.century, start=start)
        return said + (str(self.start // 10) if self.digit == "units" else "")

    @property
    def words(self) -> tuple[int, int]:
        """A digit that is right and one that is wrong, equally far from the cutoff."""
        tens, units = divmod(self.start, 10)
        if self.digit == "tens":
            far = 1 + int(self.reach * min(9 - tens, tens - 1))
            return tens + far, tens - far
        far = 1 + int(self.reach * min(9 - units, units + 1))
        return units + far, units + 1 - far

    @property
    def below(self) -> int:
        """All starts below this year have the distractor right behind them."""
        distractor = self.words[1]
        return 10 * distractor if self.digit == "tens" else self.start // 10 * 10 + distractor


def by_digit(n: int | None, split: Split, corrupt: str, seed: int, digit: Digit) -> PromptSet:
    """The set of `greater_than(style="pretrained")`, where arguments and errors are described."""
    if digit not in get_args(Digit):
        raise ValueError(f"no digit {digit!r}: choose one of {', '.join(get_args(Digit))}")
    n = SIZES[split] if n is None else n
    if not draws.whole(n):
        raise ValueError(f"{n!r} prompts of greater_than were asked for: ask for at least one, and for a whole number")
    lower = draws.generator(f"greater_than lower {digit}", split, seed)
    rows = tuple(_prompt(one, split, corrupt, lower) for one in _sentences(n, split, seed, digit))
    cut = (*one_token(rows, "noun"), *dict.fromkeys((f"{row.label('century')}{row.label('year')}", 4) for row in rows))
    said = {"corrupt": corrupt if split != "reference" else "", "style": "pretrained", "digit": digit}
    settings = tuple((key, value) for key, value in said.items() if value)
    return PromptSet("greater_than", split, rows, (*settings, ("seed", seed)), cut=cut)


def _sentences(n: int, split: Split, seed: int, digit: Digit) -> Iterator[_Sentence]:
    """The same for both digits: every noun in turn, with centuries and starts in rounds of their own, none twice.

    Of the discovery lexicon one half of centuries with starts is for discovery, the other for reference.
    """
    own: Lexicon = "confirmation" if split == "confirmation" else "discovery"
    stream = draws.generator("greater_than pretrained", split, seed)
    reach = draws.generator(f"greater_than reach {digit}", split, seed)
    nouns, centuries = draws.rounds(stream, lexicon.NOUNS[own]), draws.rounds(stream, lexicon.CENTURIES[own])
    starts, found = draws.rounds(stream, STARTS), set[tuple[str, str, int]]()
    for noun in islice(nouns, n):
        for _ in range(draws.PATIENCE):
            century, start = next(centuries), next(starts)
            mine = split == "confirmation" or (int(century) + start) % 2 == (split == "reference")
            if mine and (noun, century, start) not in found:
                break
        else:
            raise ValueError(
                f"greater_than has {len(found)} distinct prompts, {n} asked for: repeats would shrink the interval for "
                "free"
            )
        found.add((noun, century, start))
        yield _Sentence(noun, century, start, digit, reach.random())


def _prompt(sentence: _Sentence, split: Split, corrupt: str, lower: random.Random) -> Prompt:
    start = sentence.start
    other = LOWEST if corrupt == "lowest" else LOWEST + draws.below(lower, sentence.below - LOWEST)
    answer, distractor = sentence.words
    return Prompt(
        clean=sentence.text(start),
        answer=str(answer),
        corrupted="" if split == "reference" else sentence.text(other),
        distractor=str(distractor),
        cluster="" if split == "reference" else sentence.noun,
        labels=(
            ("start", f"{start // 10 * 10} to {start // 10 * 10 + 8}"),
            ("year", str(start)),
            ("century", sentence.century),
            ("digit", sentence.digit),
        ),
        glue="",
        factors=(("noun", (sentence.noun,)), ("century", (sentence.century,))),
    )
