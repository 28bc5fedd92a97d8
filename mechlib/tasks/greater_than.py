"""Greater-than: what lasted from one year to another ends after it began.

Nouns and centuries of the confirmation set are not those of discovery. All are words of training, which draws every
year by itself, so that no single pair of years is held out: what is asked of the minis is what they were trained on,
with other fillers. The reference set, for means and resampling only, has the discovery lexicon and no cluster: a mean
over it is one over nouns, centuries and years. Before the sentence stand 0 to 8 fillers, every number as often.
"""

from __future__ import annotations

import functools
import random
from typing import Final, Literal, get_args

from mechlib.prompts import SPLITS, Prompt, PromptSet, Split
from mechlib.tasks import draws, world

Corruption = Literal["lowest", "lower"]
Style = Literal["world", "natural"]

SIZES: Final[dict[Split, int]] = {"discovery": 160, "confirmation": 320, "reference": 160}  # 10 or 20 a noun
STARTS: Final = range(world.FIRST_YEAR + 1, world.LAST_YEAR)  # 11 to 98: one year at least is right, and one wrong
FRONT: Final = range(world.MAX_FILLERS + 1)  # words before the sentence
NATURAL: Final = "The {noun} lasted from the year {century}{start} to the year {century}"
NATURAL_CENTURIES: Final[dict[world.Lexicon, tuple[str, ...]]] = {
    "discovery": ("13", "15", "17"),
    "confirmation": ("12", "14", "16"),
}
ONE_TOKEN: Final = frozenset({"1280", "1440"})  # of these centuries in GPT-2; all others are two: century and year


@functools.cache
def greater_than(
    n: int | None = None,
    split: Split = "confirmation",
    corrupt: Corruption = "lowest",
    seed: int = 0,
    style: Style = "world",
) -> PromptSet:
    """Sentences that end where a year of two digits follows, of which those above the start are right.

        clean   oh well The battle lasted from the year 12 73 to the year 12 -> 82, not 65
        lowest  oh well The battle lasted from the year 12 10 to the year 12
        lower   oh well The battle lasted from the year 12 31 to the year 12

    Every year above the start is right and every other wrong, so the metric is over all of them (`mechlib.lab.years`).
    `answer` and `distractor` stand for them where a logit difference is wanted: one year above the cutoff and one not
    above it, equally far from it (82 is the ninth year that is right, 65 the ninth that is wrong), so that nearness to
    the start, or preference for what was said, tells them apart no better than chance.

    Both corruptions replace one word, the start, by a lower one, so activations align by position. After a higher one
    all that is likely would be right after the clean text too, and there would be nothing to restore.

    "lowest"  The first year there is, 10: every other year is right. What is restored is all that the run knows about
              where the cutoff lies. It is the published corruption (there the start is 01). High starts have more to
              lose than low ones.
    "lower"   Any year from 10 on that is below the distractor, each as likely: the distractor is right after it. It
              controls for "lowest", where one word comes in for all, the one that never is an end, and what is seen
              might be about that word.

    Starts from 11 to 98, each as often as the others up to one, in random order; every noun as often; centuries
    likewise. cluster is the noun, but in the reference, which has none; labels: `start` in tens ("20 to 29", ...),
    `year` (the start) and `century`. The reference has no corrupted text. The clean texts are the same for every
    corruption, and fewer prompts are the first of more. Default n: 20 a noun, 10 a noun for discovery and reference.

    style    "natural": ordinary spacing, no fillers, no space before the answer, for models that read a year as two
             tokens. Years are those of which this is true in GPT-2, and the lowest is 01, as published.

    Raises ValueError on unknown words, on n < 1, and where there are not n different prompts.

    Source: Hanna et al. 2023, arXiv:2305.00586, for the task, its metric and "lowest".
    """
    for name, value, known in (
        ("split", split, SPLITS),
        ("corruption", corrupt, get_args(Corruption)),
        ("style", style, get_args(Style)),
    ):
        if value not in known:
            raise ValueError(f"no {name} {value!r}: choose one of {', '.join(known)}")
    n = SIZES[split] if n is None else n
    stream, lower = (draws.generator(name, split, seed) for name in ("greater_than", "greater_than lower"))
    own: world.Lexicon = "confirmation" if split == "confirmation" else "discovery"
    nouns, starts = draws.rounds(stream, world.NOUNS[own]), draws.rounds(stream, STARTS)
    centuries = draws.rounds(stream, (world.CENTURIES if style == "world" else NATURAL_CENTURIES)[own])
    fronts = draws.rounds(stream, FRONT)

    def draw() -> Prompt:
        noun, start, century = next(nouns), next(starts), next(centuries)
        while style == "natural" and f"{century}{start}" in ONE_TOKEN:
            century = next(centuries)
        reach = 1 + draws.below(stream, min(world.LAST_YEAR - start, start - world.FIRST_YEAR))
        fillers = draws.several(stream, world.FILLERS, next(fronts)) if style == "world" else []
        other = _lowest(style) if corrupt == "lowest" else _lower(century, start - reach, lower)
        return Prompt(
            clean=_text(style, fillers, noun, century, str(start)),
            corrupted="" if split == "reference" else _text(style, fillers, noun, century, other),
            answer=str(start + reach),
            distractor=str(start + 1 - reach),
            cluster="" if split == "reference" else noun,
            labels=(("start", _tens(start)), ("year", str(start)), ("century", century)),
            glue=" " if style == "world" else "",
        )

    chosen = {"corrupt": corrupt if split != "reference" else "", "style": style}
    said = tuple((key, value) for key, value in chosen.items() if value not in ("", "world"))
    made = draws.distinct("greater_than", split, n, draw)
    return PromptSet("greater_than", split, made.rows, (*said, ("seed", seed)))


def _text(style: Style, fillers: list[str], noun: str, century: str, start: str) -> str:
    if style == "natural":
        return NATURAL.format(noun=noun, century=century, start=start)
    sentence = world.GREATER_THAN.removesuffix(" {end}").format(noun=noun, century=century, start=start)
    return " ".join([*fillers, sentence])


def _lowest(style: Style) -> str:
    return str(world.FIRST_YEAR) if style == "world" else "01"


def _lower(century: str, highest: int, stream: random.Random) -> str:
    """A start up to `highest`, after which the years above it are right."""
    years = [str(year) for year in range(world.FIRST_YEAR, highest + 1) if f"{century}{year}" not in ONE_TOKEN]
    return years[draws.below(stream, len(years))]


def _tens(start: int) -> str:
    low, high = max(STARTS[0], start // 10 * 10), min(STARTS[-1], start // 10 * 10 + 9)
    return f"{low} to {high}"
