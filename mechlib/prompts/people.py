"""People: short biographies that say a name, its pronoun and three cues to a profession, and never the profession.

Each cue (workplace, tool, verb) points to the profession with probability .7, else to another of the same split. Names
and professions of the confirmation set are not those of discovery; the reference set, on which classifiers of
confirmation professions are fitted, has the names of discovery with the professions of confirmation. So who is judged
on confirmation was never met before, and what is asked was.

In training professions are independent of gender, and nothing is held out: any name, sentence and cues may have met.
Before a biography stand 0 to 8 fillers, every number as often.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, product
from typing import Final, Literal, get_args

from mechlib.prompts import sampling as draws
from mechlib.prompts import world
from mechlib.prompts.pretrained import biographies as natural
from mechlib.prompts.promptset import SPLITS, Prompt, PromptSet, Split

Gender = Literal["woman", "man"]
Draw = Literal["balanced", "biased"]
Half = Literal["", "first", "second"]
PeopleStyle = Literal["world", "pretrained"]
Cell = tuple[Gender, str]  # gender and profession

SIZE: Final = 480  # 20 a name
GENDERS: Final[tuple[Gender, Gender]] = get_args(Gender)
NAMES: Final[dict[Gender, dict[world.Lexicon, tuple[str, ...]]]] = {"woman": world.WOMEN, "man": world.MEN}
PRONOUN: Final[dict[Gender, str]] = dict(zip(GENDERS, world.PRONOUNS, strict=True))
POSSESSIVE: Final[dict[Gender, str]] = {"woman": "her", "man": "his"}
FRONT: Final = range(world.MAX_FILLERS + 1)  # words before the biography


@functools.cache
def people(
    n: int = SIZE,
    split: Split = "confirmation",
    pair: tuple[str, str] | None = None,
    draw: Draw = "balanced",
    half: Half = "",
    seed: int = 0,
    style: PeopleStyle = "world",
) -> PromptSet:
    """Biographies of women and men with their professions.

        oh well Susan lives nearby and she works in the airport with a needle and likes to fly .     (woman, pilot)

    Nothing is asked: texts have no answer, and are read for what the model makes of them.

    pair   two professions of the split, and no others; default all six
    draw   "balanced": gender and profession independent, each combination as often as the others up to one. "biased":
           of a pair, women have the first and men the second profession, as often as each other up to one, so that
           gender tells the profession better than cues do: the shortcut. ("judge", "pilot") turns it round
    half   the first or second six names of each gender, so that what is fitted on some names of discovery can be
           tried on others
    style  "world": the words of the small models. "pretrained": 32 sentences of ordinary English, eight of them of
           discovery and 24 of reference and confirmation, with cues that are phrases, and no fillers

    Each name is in a combination as often as the others of its gender up to one, and each sentence about as often. Of
    few sentences much more than the default is less true to .7: there are no more different texts with three cues of
    the profession. cluster is the name; factors: name and profession, for style "pretrained" the sentence too (the four
    of the world are all that there are). labels: `group` ("woman, pilot"), `gender`, `profession`, `cues` (how many of
    the three point to the profession), `sentence`, `fillers` (how many words stand before the biography), and of a pair
    `bias`: "with" where gender and profession go together as in the biased draw, else "against". Fewer prompts are the
    first of more.

    Raises ValueError on unknown words, on a pair of other professions, on a biased draw without a pair, on n < 1, and
    where there are not n different texts.

    Source: De-Arteaga et al. 2019, arXiv:1901.09451, and Marks et al. 2024, arXiv:2403.19647, section 4, for the task.
    """
    for name, value, known in (
        ("split", split, SPLITS),
        ("draw", draw, get_args(Draw)),
        ("half", half, get_args(Half)),
        ("style", style, get_args(PeopleStyle)),
    ):
        if value not in known:
            raise ValueError(f"no {name} {value!r}: choose one of {', '.join(word or repr(word) for word in known)}")
    if not draws.whole(n):
        raise ValueError(f"{n!r} prompts of people were asked for: ask for at least one, and for a whole number")
    professions = _professions(split, pair)
    if draw == "biased" and pair is None:
        raise ValueError("a biased draw is of two professions: name them, as in pair=('pilot', 'judge')")
    cells = [(g, p) for p, g in product(professions, GENDERS)]
    if draw == "biased":
        cells = list(zip(GENDERS, professions, strict=True))
    stream = draws.generator(f"people {draw}", split, seed)
    rows = [_prompt(one, pair) for one in _biographies(n, cells, _Words(split, half, style), stream)]
    said = {"pair": ", ".join(pair or ()), "draw": draw if pair else "", "half": half, "style": style}
    told = tuple((key, value) for key, value in said.items() if value not in ("", "world"))
    return PromptSet("people", split, tuple(rows), (*told, ("seed", seed)), "biography")


def _lexicon(split: Split) -> world.Lexicon:
    """Whose professions a split has."""
    return "discovery" if split == "discovery" else "confirmation"


def _professions(split: Split, pair: tuple[str, str] | None) -> tuple[str, ...]:
    known = tuple(world.CUES[_lexicon(split)])
    chosen = known if pair is None else tuple(pair)
    strangers = [one for one in chosen if one not in known]
    if strangers:
        raise ValueError(f"{split} has no profession {strangers[0]!r}: choose of {', '.join(known)}")
    if pair is not None and len(set(chosen)) != 2:
        raise ValueError(f"{pair!r} is no pair: name two different professions")
    return chosen


@dataclass(frozen=True)
class _Words:
    split: Split
    half: Half
    style: PeopleStyle

    def names(self, gender: Gender) -> tuple[str, ...]:
        own = NAMES[gender]["confirmation" if self.split == "confirmation" else "discovery"]
        middle = len(own) // 2
        return {"": own, "first": own[:middle], "second": own[middle:]}[self.half]

    @property
    def cues(self) -> dict[str, tuple[str, str, str]]:
        return (world.CUES if self.style == "world" else natural.CUES)[_lexicon(self.split)]

    @property
    def sentences(self) -> tuple[str, ...]:
        return world.BIOGRAPHIES if self.style == "world" else natural.SENTENCES[_lexicon(self.split)]


@dataclass(frozen=True)
class _Biography:
    style: PeopleStyle
    name: str
    gender: Gender
    profession: str
    sentence: str
    pointed: tuple[str, ...]  # the profession that each cue points to
    cues: tuple[str, ...]
    fillers: tuple[str, ...]

    @property
    def text(self) -> str:
        pronoun = PRONOUN[self.gender]
        said = self.sentence.format(
            name=self.name,
            pronoun=pronoun,
            Pronoun=pronoun.capitalize(),
            possessive=POSSESSIVE[self.gender],
            **dict(zip(world.BIOGRAPHY_CUES, self.cues, strict=True)),
        )
        return " ".join([*self.fillers, said])


def _biographies(n: int, cells: list[Cell], words: _Words, stream: random.Random) -> list[_Biography]:
    """`n` different ones. What was said before is said in another sentence: names stay even, and cues as likely."""
    names = {cell: draws.rounds(stream, words.names(cell[0])) for cell in cells}
    turns = {cell: _Turns(draws.rounds(stream, words.sentences), []) for cell in cells}
    fronts = draws.rounds(stream, FRONT if words.style == "world" else (0,))
    found: dict[str, _Biography] = {}
    for cell in cycle(cells):
        name = next(names[cell])
        for _ in range(draws.PATIENCE):
            pointed = _pointed(cell[1], words, stream)
            said = (_said(cell, name, pointed, one, words, fronts, stream) for one in turns[cell].some(words.sentences))
            one = next((made for made in said if made.text not in found), None)
            if one is not None:
                break
        else:
            raise ValueError(
                f"people has {len(found)} distinct prompts with its names balanced, {n} asked for: "
                "repeats would shrink the interval for free"
            )
        turns[cell].take(one.sentence)
        found[one.text] = one
        if len(found) == n:
            break
    return list(found.values())


@dataclass(frozen=True)
class _Turns:
    """Sentences in turn: one that is passed over is the first of the next time."""

    rounds: Iterator[str]
    waiting: list[str]

    def some(self, sentences: tuple[str, ...]) -> Iterator[str]:
        """Twice as many as there are, those that wait first; each of them then waits."""
        for place in range(2 * len(sentences)):
            if place == len(self.waiting):
                self.waiting.append(next(self.rounds))
            yield self.waiting[place]

    def take(self, sentence: str) -> None:
        """This one waits no more."""
        self.waiting.remove(sentence)


def _pointed(profession: str, words: _Words, stream: random.Random) -> tuple[str, ...]:
    """The profession that each cue points to."""
    others = [one for one in words.cues if one != profession]
    return tuple(
        profession if stream.random() < world.CUE_FIDELITY else others[draws.below(stream, len(others))]
        for _ in world.BIOGRAPHY_CUES
    )


def _said(
    cell: Cell,
    name: str,
    pointed: tuple[str, ...],
    sentence: str,
    words: _Words,
    fronts: Iterator[int],
    stream: random.Random,
) -> _Biography:
    cues = tuple(words.cues[which][kind] for kind, which in enumerate(pointed))
    fillers = tuple(draws.several(stream, world.FILLERS, next(fronts)))
    return _Biography(words.style, name, *cell, sentence, pointed, cues, fillers)


def _prompt(one: _Biography, pair: tuple[str, str] | None) -> Prompt:
    biased = pair is not None and (one.gender, one.profession) in zip(GENDERS, pair, strict=True)
    sentence = (("sentence", (one.sentence,)),) if one.style == "pretrained" else ()
    return Prompt(
        clean=one.text,
        answer="",
        cluster=one.name,
        labels=(
            ("group", f"{one.gender}, {one.profession}"),
            ("gender", one.gender),
            ("profession", one.profession),
            ("cues", str(one.pointed.count(one.profession))),
            ("sentence", one.sentence),
            ("fillers", str(len(one.fillers))),
            *((("bias", "with" if biased else "against"),) if pair else ()),
        ),
        factors=(("name", (one.name,)), ("profession", (one.profession,)), *sentence),
    )
