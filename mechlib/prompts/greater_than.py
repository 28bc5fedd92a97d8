"""Greater-than: what lasted from one year to another ends after it began.

Nouns and centuries of the confirmation set are not those of discovery. All are words of training, which draws every
year by itself, so that no single pair of years is held out: what is asked of the minis is what they were trained on,
with other fillers. The reference set, for means and resampling only, has the discovery lexicon and no cluster: a mean
over it is one over nouns, centuries and years. Before the sentence stand 0 to 8 fillers, every number as often.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Literal, get_args

from mechlib.prompts import sampling as draws
from mechlib.prompts import world
from mechlib.prompts.pretrained.style import Style
from mechlib.prompts.pretrained.years import Digit, by_digit
from mechlib.prompts.promptset import SPLITS, Prompt, PromptSet, Split

Corruption = Literal["lowest", "lower"]

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
    digit: Digit = "tens",
) -> PromptSet:
    """Sentences that end where a year of two digits follows, of which those above the start are right.

        clean   oh well The battle lasted from the year 12 73 to the year 12 -> 82, not 65
        lowest  oh well The battle lasted from the year 12 10 to the year 12
        lower   oh well The battle lasted from the year 12 31 to the year 12

    Every year above the start is right and every other wrong, so the metric is over all of them
    (`mechlib.lab.studies.greater_than`).
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
    likewise. cluster is the noun, but in the reference, which has none; factors: noun and century; labels: `start` in
    tens ("20 to 29", ...), `year` (the start) and `century`. The reference has no corrupted text. The clean texts are
    the same for every corruption, and fewer prompts are the first of more. Years are no factor: prompts have all that
    there are, as often as each other, and so no sample of them. Default n: 20 a noun, 10 a noun for
    discovery and reference.

    style    "natural": ordinary spacing, no fillers, no space before the answer, for models that read a year as two
             tokens. Years are those of which this is true in GPT-2, and the lowest is 01, as published.
             "pretrained": for models that read digits, one digit asked at a time (mechlib.prompts.pretrained.years):
             48 nouns and 6 centuries, 24 and 4 of discovery, 8 prompts a noun; other models are refused where it is
             run. `style_of(model)` chooses.
    digit    of "pretrained": the "tens", or the "units" behind the start's own tens; of the same sentences

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
    if style == "pretrained":
        return by_digit(n, split, corrupt, seed, digit)
    n = SIZES[split] if n is None else n
    lower = draws.generator("greater_than lower", split, seed)
    rows = []
    for sentence in _sentences(n, split, style, draws.generator("greater_than", split, seed)):
        other = _lowest(style) if corrupt == "lowest" else _lower(sentence, lower)
        rows.append(_prompt(sentence, split, "" if split == "reference" else sentence.text(other)))
    chosen = {"corrupt": corrupt if split != "reference" else "", "style": style}
    said = tuple((key, value) for key, value in chosen.items() if value not in ("", "world"))
    return PromptSet("greater_than", split, tuple(rows), (*said, ("seed", seed)))


def on_one_side(prompts: PromptSet) -> PromptSet:
    """The same texts, each with answer and distractor of another row, both above its own start or neither.

        oh well The battle lasted from the year 12 73 to the year 12 -> 41, not 22

    What tells years above the start from others says nothing of such a pair; what prefers late years to early ones says
    as much of it as of the row's own. So a claim about the start is held against these (docs/STATISTICS.md, R31).

    Raises ValueError where no other row has such a pair.
    """
    rows = prompts.rows
    moved = tuple(_moved(row, (*rows[number + 1 :], *rows[:number])) for number, row in enumerate(rows))
    return replace(prompts, rows=moved, settings=(*prompts.settings, ("pairs", "on one side")))


def _moved(row: Prompt, others: Sequence[Prompt]) -> Prompt:
    start = int(row.label("year"))
    for other in others:
        if (int(other.answer) > start) == (int(other.distractor) > start):
            return replace(row, answer=other.answer, distractor=other.distractor)
    raise ValueError(f"no other row has two years on one side of {start}: ask for more prompts")


@dataclass(frozen=True)
class _Sentence:
    style: Style
    noun: str
    century: str
    start: int
    reach: int  # of answer and distractor, from the cutoff
    fillers: tuple[str, ...]

    @property
    def answer(self) -> int:
        return self.start + self.reach

    @property
    def distractor(self) -> int:
        return self.start + 1 - self.reach

    def text(self, start: str) -> str:
        """The sentence with this start in the place of its own."""
        if self.style == "natural":
            return NATURAL.format(noun=self.noun, century=self.century, start=start)
        sentence = world.GREATER_THAN.removesuffix(" {end}")
        return " ".join([*self.fillers, sentence.format(noun=self.noun, century=self.century, start=start)])

    @property
    def reads_as_two_tokens(self) -> bool:
        return not ONE_TOKEN & {f"{self.century}{year}" for year in (self.start, self.answer, self.distractor)}


def _sentences(n: int, split: Split, style: Style, stream: random.Random) -> list[_Sentence]:
    """`n` of different text. One that was there before gets another century and front: nouns and starts stay even."""
    if not draws.whole(n):
        raise ValueError(f"{n!r} prompts of greater_than were asked for: ask for at least one, and for a whole number")
    own: world.Lexicon = "confirmation" if split == "confirmation" else "discovery"
    lexicon = (world.CENTURIES if style == "world" else NATURAL_CENTURIES)[own]
    nouns, starts = draws.rounds(stream, world.NOUNS[own]), draws.rounds(stream, STARTS)
    centuries, fronts = draws.rounds(stream, lexicon), draws.rounds(stream, FRONT if style == "world" else (0,))
    found: dict[str, _Sentence] = {}
    misses = 0
    while len(found) < n:
        noun, start = next(nouns), next(starts)
        reach = 1 + draws.below(stream, min(world.LAST_YEAR - start, start - world.FIRST_YEAR))
        for century in islice(centuries, 2 * len(lexicon)):
            fillers = tuple(draws.several(stream, world.FILLERS, next(fronts)))
            sentence = _Sentence(style, noun, century, start, reach, fillers)
            text = sentence.text(str(start))
            if text not in found and (style == "world" or sentence.reads_as_two_tokens):
                found[text], misses = sentence, 0
                break
        else:
            misses += 1
        if misses == draws.PATIENCE:
            raise ValueError(
                f"greater_than has {len(found)} distinct prompts, {n} asked for: repeats would shrink the interval for "
                "free"
            )
    return list(found.values())


def _prompt(sentence: _Sentence, split: Split, corrupted: str) -> Prompt:
    start = sentence.start
    return Prompt(
        clean=sentence.text(str(start)),
        answer=str(sentence.answer),
        corrupted=corrupted,
        distractor=str(sentence.distractor),
        cluster="" if split == "reference" else sentence.noun,
        labels=(("start", _tens(start)), ("year", str(start)), ("century", sentence.century)),
        glue=" " if sentence.style == "world" else "",
        factors=(("noun", (sentence.noun,)), ("century", (sentence.century,))),
    )


def _lowest(style: Style) -> str:
    return str(world.FIRST_YEAR) if style == "world" else "01"


def _lower(sentence: _Sentence, stream: random.Random) -> str:
    """A start below the distractor, which then is right."""
    years = [str(year) for year in range(world.FIRST_YEAR, sentence.distractor)]
    years = [year for year in years if f"{sentence.century}{year}" not in ONE_TOKEN]
    return years[draws.below(stream, len(years))]


def _tens(start: int) -> str:
    low, high = max(STARTS[0], start // 10 * 10), min(STARTS[-1], start // 10 * 10 + 9)
    return f"{low} to {high}"
