"""Indirect objects: of two names, the one that is said once follows.

Confirmation prompts stand in the 16 confirmation templates. Their two names never met in training, in any template or
role, nor did place and object. Discovery has 8 other templates and another lexicon, in which all names may meet.
The reference set, for means and resampling only, has the confirmation templates with the discovery lexicon and three
different names, so that nothing in it says who is meant.

Each template in turn has one pair of names in both roles: `A and B ... B` (order "ABBA": IO first), then
`A and B ... A` ("BABA"). So every name is IO exactly as often as S, and IO comes first in exactly half of each
template: a model that prefers names, or places, by themselves scores zero. Before a template stand 0 to 8 fillers,
every number as often as the others.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, permutations, product
from typing import Final, Literal, get_args

from mechlib.prompts import sampling as draws
from mechlib.prompts import world
from mechlib.prompts.pretrained import lexicon as words
from mechlib.prompts.pretrained import sentences
from mechlib.prompts.pretrained.style import Style
from mechlib.prompts.promptset import SPLITS, Prompt, PromptSet, Split, one_token

Corruption = Literal["subject", "names", "order", "tokens"]
Extra = Literal["", "subject", "object"]
Names = tuple[str, str, str, str]  # in the slots A, B and S, and X of an extra sentence
Newcomers = Callable[[str, str, int], list[str]]  # so many names, none of them one of these two

SIZES: Final[dict[Split, int]] = {"discovery": 160, "confirmation": 320, "reference": 320}  # 20 a template
PRETRAINED: Final[dict[Split, int]] = {"discovery": 128, "confirmation": 384, "reference": 384}  # 8 a template
FRONT: Final = range(world.MAX_FILLERS + 1)  # words before the template
FRONT_WITH_EXTRA: Final = range(5, 13)  # an extra sentence has 4 or 5 words: so many with 0 to 8 fillers
SEVERAL_TOKENS: Final = frozenset({"Irene", "Nora", "Fiona"})  # the first in GPT-2, the others in Pythia


@functools.cache
def ioi(
    n: int | None = None,
    split: Split = "confirmation",
    corrupt: Corruption = "subject",
    extra: Extra = "",
    seed: int = 0,
    style: Style = "world",
) -> PromptSet:
    """Sentences with two names, one of which gives something to the other.

        clean    oh well As SUSAN and DAVID left the hotel , DAVID gave a watch to -> SUSAN, not DAVID
        subject  oh well As SUSAN and DAVID left the hotel , SUSAN gave a watch to
        names    oh well As NORA and KEVIN left the hotel , WALTER gave a watch to
        order    oh well As DAVID and SUSAN left the hotel , DAVID gave a watch to
        tokens   oh well As NORA and KEVIN left the hotel , KEVIN gave a watch to

    (capitals only here). The answer is the indirect object, IO, the distractor the subject, S, which is said twice.
    Every corruption replaces names by names, so activations align by position; they take away different things:

    "subject"  One word, the second S, becomes IO: the right answer is now the distractor. Both texts are of the same
               kind, so the difference of their runs comes from who gives; it reverses both signals by which S can be
               told, its name and its place.
    "names"    Three names that the clean text lacks, none twice: no answer is right, and what is restored is all that
               the run knows about these two. It controls for "subject", where half of what is restored may be the
               other answer's loss, which here is not to be had.
    "order"    The two names change places, the giver stays, and so does the answer: only the place of S is reversed.
               Both runs should prefer IO, so there is nothing to restore; what a patch from one to the other takes
               away, in logits, travels as a position and not as a name.
    "tokens"   Two other names in the same places: only the names differ, and the place of S is kept. What a patch
               from one to the other brings travels as a name.

    Names that come in are of the same split: in confirmation the first two never met in training either. The clean
    texts are the same for every corruption, and fewer prompts are the first of more.

    extra    an extra sentence in front that says S ("subject") or IO ("object") once more, so that counting names
             misleads in the second. Training has such sentences; what is published of other models mostly has none.
    style    "natural": ordinary spacing and no fillers, for models of the Hub, with names that are one token in all
             of them. Texts that would begin with a name begin with "Then, ", for there it would be another token.
             "pretrained": 48 sentences written for pretrained models, and 16 of discovery, with 288 and 68 names and
             56 and 27 objects, all of them one token in SmolLM2, Gemma 3, Qwen2.5 and GPT-2 (elsewhere refused where
             they are run). Names of a pair meet nobody else, and a name is in at most 8 prompts of confirmation and
             discovery, with `corrupt="subject"`; the object is a factor too. `style_of(model)` chooses.

    cluster is the template; factors: the template, and the names of clean and corrupted text; labels: `order` ("ABC" in
    the reference), `place`, `object`. The reference has no corrupted text; its first two names stand for answer and
    distractor. Default n: 20 a template. Raises ValueError on unknown words, on n < 1, and where there are not n
    different prompts.

    Source: Wang et al. 2022, arXiv:2211.00593, for the task, for "names" (their ABC) and for the extra sentences; its
    appendix A for positions against tokens.
    """
    for name, value, known in (
        ("split", split, SPLITS),
        ("corruption", corrupt, get_args(Corruption)),
        ("extra", extra, get_args(Extra)),
        ("style", style, get_args(Style)),
    ):
        if value not in known:
            raise ValueError(f"no {name} {value!r}: choose one of {', '.join(word or repr(word) for word in known)}")
    sizes = PRETRAINED if style == "pretrained" else SIZES
    n, lexicon = sizes[split] if n is None else n, _lexicon(split, style)
    stream = draws.generator(f"ioi {corrupt}", split, seed)
    newcomers = _in_turn(lexicon, stream) if style == "pretrained" else _at_random(lexicon, stream)
    rows = [
        _prompt(sentence, None if split == "reference" else _corrupted(sentence, corrupt, newcomers))
        for sentence in _sentences(n, lexicon, extra, draws.generator("ioi", split, seed))
    ]
    chosen = {"corrupt": corrupt if split != "reference" else "", "extra": extra, "style": style}
    said = tuple((key, value) for key, value in chosen.items() if value not in ("", "world"))
    whole = one_token(rows, "name", "object") if style == "pretrained" else ()
    return PromptSet("ioi", split, tuple(rows), (*said, ("seed", seed)), cut=whole)


@dataclass(frozen=True)
class _Lexicon:
    split: Split
    style: Style
    names: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]  # in both orders; in confirmation those that never met in training
    things: tuple[tuple[str, str], ...]  # places and objects that never met in training
    templates: tuple[str, ...]
    extras: tuple[str, ...] = world.IOI_EXTRAS


@functools.cache
def _lexicon(split: Split, style: Style) -> _Lexicon:
    own: world.Lexicon = "confirmation" if split == "confirmation" else "discovery"
    if style == "pretrained":
        both = [order for pair in words.PAIRS[own] for order in (pair, pair[::-1])]
        things = [("", thing) for thing in words.OBJECTS[own]]
        templates = sentences.TEMPLATES["discovery" if split == "discovery" else "confirmation"]
        return _Lexicon(split, style, words.NAMES[own], tuple(both), tuple(things), templates, sentences.EXTRAS)
    names = [name for name in world.IOI_NAMES[own] if style == "world" or name not in SEVERAL_TOKENS]
    pairs = [p for p in permutations(names, 2) if split != "confirmation" or frozenset(p) in world.HELD_OUT_NAMES]
    things = [t for t in product(world.PLACES[own], world.OBJECTS[own]) if t in world.HELD_OUT_PLACE_OBJECTS]
    templates = world.IOI_TEMPLATES["discovery" if split == "discovery" else "confirmation"]
    return _Lexicon(split, style, tuple(names), tuple(pairs), tuple(things), templates)


@dataclass(frozen=True)
class _Sentence:
    style: Style
    template: str
    names: Names
    place: str
    object: str
    extra: str
    fillers: tuple[str, ...]

    def text(self, names: Names) -> str:
        """The sentence with these names in the places of its own."""
        said = f"{self.extra} {self.template}".strip()
        text = said.format(**dict(zip("ABSX", names, strict=True)), place=self.place, object=self.object)
        if self.style == "world":
            return " ".join([*self.fillers, text])
        return ("Then, " if said.startswith("{") else "") + text.replace(" ,", ",").replace(" .", ".")


def _sentences(n: int, lexicon: _Lexicon, extra: Extra, stream: random.Random) -> list[_Sentence]:
    """`n` different ones. One that was there before gets another front, place and object, so names stay balanced."""
    if not draws.whole(n):
        raise ValueError(f"{n!r} prompts of ioi were asked for: ask for at least one, and for a whole number")
    fronts = {template: draws.rounds(stream, FRONT_WITH_EXTRA if extra else FRONT) for template in lexicon.templates}
    extras = {template: draws.rounds(stream, lexicon.extras if extra else ("",)) for template in lexicon.templates}
    things, roles = draws.rounds(stream, lexicon.things), _roles(stream, lexicon, extra)
    found: dict[str, _Sentence] = {}
    for template, names in roles:
        for _ in range(draws.PATIENCE):
            said = next(extras[template])
            front = next(fronts[template]) - len(said.split()) if lexicon.style != "pretrained" else 0
            fillers = draws.several(stream, world.FILLERS, front)
            sentence = _Sentence(lexicon.style, template, names, *next(things), said, tuple(fillers))
            if sentence.text(names) not in found:
                break
        else:
            raise ValueError(
                f"ioi has {len(found)} distinct prompts with its names balanced, {n} asked for: "
                "repeats would shrink the interval for free"
            )
        found[sentence.text(names)] = sentence
        if len(found) == n:
            break
    return list(found.values())


def _roles(stream: random.Random, lexicon: _Lexicon, extra: Extra) -> Iterator[tuple[str, Names]]:
    """Each template in turn with two names, of which each gives once; in the reference a third name gives, twice."""
    pairs = draws.rounds(stream, lexicon.pairs)
    for template, (first, second) in zip(cycle(lexicon.templates), pairs, strict=False):
        for giver, other in ((second, first), (first, second)):
            if lexicon.split == "reference":
                yield template, (first, second, *_others(stream, lexicon, first, second))
            else:
                yield template, (first, second, giver, giver if extra == "subject" else other)


def _others(stream: random.Random, lexicon: _Lexicon, *without: str) -> tuple[str, str]:
    """Two other names, for a third giver and for an extra sentence: then no name is said twice."""
    giver, said = draws.several(stream, [name for name in lexicon.names if name not in without], 2)
    return giver, said


def _prompt(sentence: _Sentence, others: Names | None) -> Prompt:
    """The row of a sentence whose corrupted text has the names of `others`."""
    first, second, giver, _ = sentence.names
    said = len(sentence.names) - (not sentence.extra)  # the last is said in an extra sentence alone
    names = [name for text in (sentence.names, others or ()) for name in text[:said]]
    order = {second: "ABBA", first: "BABA"}.get(giver, "ABC")
    where = (("place", sentence.place),) if sentence.place else ()
    shared = (("object", (sentence.object,)),) if sentence.style == "pretrained" else ()
    return Prompt(
        clean=sentence.text(sentence.names),
        answer=second if giver == first else first,
        corrupted=sentence.text(others) if others else "",
        distractor=first if giver == first else second,
        cluster=sentence.template,
        labels=(("order", order), *where, ("object", sentence.object)),
        factors=(("template", (sentence.template,)), ("name", tuple(dict.fromkeys(names))), *shared),
    )


def _corrupted(sentence: _Sentence, corrupt: Corruption, newcomers: Newcomers) -> Names:
    first, second, giver, said = sentence.names
    if corrupt == "subject":
        return first, second, first if giver == second else second, said
    if corrupt == "order":
        return second, first, giver, said
    if corrupt == "names":
        one, two, three, *four = newcomers(first, second, 4 if sentence.extra else 3)
        return one, two, three, four[0] if four else ""
    one, two = newcomers(first, second, 2)
    instead = {first: one, second: two}
    return one, two, instead[giver], instead[said]


def _at_random(lexicon: _Lexicon, stream: random.Random) -> Newcomers:
    """A pair of the lexicon, and two others where more are asked for."""

    def draw(first: str, second: str, n: int) -> list[str]:
        pairs = [pair for pair in lexicon.pairs if not {first, second} & set(pair)]
        one, two = pairs[draws.below(stream, len(pairs))]
        return [one, two, *(_others(stream, lexicon, first, second, one, two) if n > 2 else ())][:n]

    return draw


def _in_turn(lexicon: _Lexicon, stream: random.Random) -> Newcomers:
    """Every name as often as the others: one that cannot be taken is the next one's."""
    turns, waiting = draws.rounds(stream, lexicon.names), list[str]()

    def draw(first: str, second: str, n: int) -> list[str]:
        found: list[str] = []
        passed: list[str] = []
        while len(found) < n:
            name = waiting.pop(0) if waiting else next(turns)
            (passed if name in (first, second, *found) else found).append(name)
        waiting[:0] = passed
        return found

    return draw
