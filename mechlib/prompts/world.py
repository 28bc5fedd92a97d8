"""The world that the small models live in: words, templates, splits, and what training never sees.

Everything here is a constant or a pure function of constants: no torch, no numpy, no random state. What is held
out is decided by the order of SHA-256 digests, so it is the same on every machine and every version of Python.

Prompts are plain strings, words separated by single spaces; punctuation marks are words of their own.
"""

import hashlib
import re
from collections.abc import Iterable
from itertools import combinations, combinations_with_replacement, product
from typing import Final, Literal, TypeVar

Lexicon = Literal["discovery", "confirmation"]
T = TypeVar("T")

BOS: Final = "<bos>"
PAD: Final = "<pad>"
UNK: Final = "<unk>"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def by_digest(salt: str, items: Iterable[T]) -> list[T]:
    """`items` in the order of their digests: a shuffle that no version of Python can change."""
    return sorted(items, key=lambda item: hashlib.sha256(f"{salt}:{item!r}".encode()).digest())


# --- numbers ------------------------------------------------------------------------------------------------------

LARGEST_OPERAND: Final = 99  # 100 to 198 are tokens, but only ever answers, or the number subtracted from
NUMBERS: Final = tuple(str(n) for n in range(2 * LARGEST_OPERAND + 1))

ADDITION_WORDINGS: Final[dict[str, str]] = {
    "plain": "What is {a} + {b} ? Answer : {sum}",
    "sum": "The sum of {a} and {b} is {sum}",
    "add": "If you add {a} to {b} , you get {sum}",
}
SUBTRACTION: Final = "What is {sum} - {a} ? Answer : {b}"
INCREMENT: Final = "Which number comes after {a} ? Answer : {sum}"  # the pair {a, 1}

Pair = tuple[int, int]
PAIRS: Final[tuple[Pair, ...]] = tuple(combinations_with_replacement(range(LARGEST_OPERAND + 1), 2))
_PAIRS_SHUFFLED = by_digest("pair", PAIRS)
HELD_OUT_PAIRS: Final[dict[Lexicon, tuple[Pair, ...]]] = {
    "discovery": tuple(_PAIRS_SHUFFLED[:310]),
    "confirmation": tuple(_PAIRS_SHUFFLED[310:1010]),
}
_HELD_OUT_PAIRS = frozenset(HELD_OUT_PAIRS["discovery"] + HELD_OUT_PAIRS["confirmation"])


def pair_is_held_out(a: int, b: int) -> bool:
    """Whether a + b is never shown, in either order.

    Subtraction asks about (subtrahend, difference), increment about (n, 1).
    """
    return (min(a, b), max(a, b)) in _HELD_OUT_PAIRS


def one_order(pair: Pair) -> Pair:
    """The one order of an unordered pair that its prompt uses: smaller operand first for about half of them."""
    a, b = pair
    return (a, b) if hashlib.sha256(f"order:{pair!r}".encode()).digest()[0] % 2 else (b, a)


BEYOND: Final = range(LARGEST_OPERAND + 1, 121)  # operands that training never adds, though it knows them as sums
_BEYOND_SHUFFLED = by_digest("beyond", ((a, b) for b in BEYOND for a in range(2 * LARGEST_OPERAND + 1 - b)))
PAIRS_BEYOND: Final[dict[Lexicon, tuple[Pair, ...]]] = {  # one operand of 100 to 120, a sum that is a token
    "discovery": tuple(_BEYOND_SHUFFLED[:310]),
    "confirmation": tuple(_BEYOND_SHUFFLED[310:1010]),
}


# --- names, places, objects ---------------------------------------------------------------------------------------

WOMEN: Final[dict[Lexicon, tuple[str, ...]]] = {
    "discovery": _words("Mary Alice Emma Laura Sarah Julia Anna Helen Diana Grace Clara Rose"),
    "confirmation": _words("Susan Nora Olivia Lucy Karen Ruth Paula Irene Fiona Vera Molly Judith"),
}
MEN: Final[dict[Lexicon, tuple[str, ...]]] = {
    "discovery": _words("John Tom James Peter Daniel Mark Paul Henry Simon Victor Oscar Felix"),
    "confirmation": _words("David Robert Kevin Brian George Martin Edward Frank Walter Philip Steven Oliver"),
}
NAMES: Final[dict[Lexicon, tuple[str, ...]]] = {
    "discovery": WOMEN["discovery"] + MEN["discovery"],
    "confirmation": WOMEN["confirmation"] + MEN["confirmation"],
}
IOI_NAMES: Final[dict[Lexicon, tuple[str, ...]]] = {
    "discovery": WOMEN["discovery"][:10] + MEN["discovery"][:10],
    "confirmation": WOMEN["confirmation"][:10] + MEN["confirmation"][:10],
}
PLACES: Final[dict[Lexicon, tuple[str, ...]]] = {
    "discovery": _words("store park school garden station beach library market"),
    "confirmation": _words("office museum restaurant hotel church harbor castle theater"),
}
OBJECTS: Final[dict[Lexicon, tuple[str, ...]]] = {
    "discovery": _words("drink book ring ball letter key basket flower"),
    "confirmation": _words("bottle ticket map lamp coin camera watch blanket"),
}
LEXICA: Final[tuple[Lexicon, Lexicon]] = ("discovery", "confirmation")

HELD_OUT_NAMES: Final[frozenset[frozenset[str]]] = frozenset(
    frozenset(pair) for pair in by_digest("names", combinations(IOI_NAMES["confirmation"], 2))[:57]
)
HELD_OUT_PLACE_OBJECTS: Final[frozenset[tuple[str, str]]] = frozenset(
    combination
    for places, objects in product(LEXICA, LEXICA)
    for combination in by_digest("place", product(PLACES[places], OBJECTS[objects]))[:13]
)


def names_are_held_out(*names: str) -> bool:
    """Whether any two of these names never meet in a training sentence."""
    return any(frozenset(pair) in HELD_OUT_NAMES for pair in combinations(names, 2))


# --- indirect objects ---------------------------------------------------------------------------------------------
# {A} and {B} are the two names as first mentioned, {S} the giver; the indirect object follows the last word.

IOI_TEMPLATES: Final[dict[Lexicon, tuple[str, ...]]] = {
    "discovery": (
        "When {A} and {B} went to the {place} , {S} gave a {object} to",
        "Then , {A} and {B} went to the {place} . {S} gave the {object} to",
        "After {A} and {B} met at the {place} , {S} handed a {object} to",
        "While {A} and {B} were working at the {place} , {S} offered a {object} to",
        "{A} and {B} had a lot of fun at the {place} . {S} passed the {object} to",
        "Friends {A} and {B} found a {object} at the {place} , and {S} gave it to",
        "Today {A} and {B} walked to the {place} , where {S} brought the {object} to",
        "The {object} at the {place} was old , so {A} spoke with {B} and {S} sold it to",
    ),
    "confirmation": (
        "As {A} and {B} left the {place} , {S} gave a {object} to",
        "{A} and {B} visited the {place} . {S} gave the {object} to",
        "Once {A} met {B} near the {place} , {S} showed the {object} to",
        "Last night {A} and {B} went back to the {place} . {S} lent a {object} to",
        "Because {A} and {B} were late for the {place} , {S} threw the {object} to",
        "The {place} was very quiet when {A} and {B} arrived , so {S} gave a {object} to",
        "In the {place} , {A} and {B} talked for an hour . Later {S} returned the {object} to",
        "{A} had a long talk with {B} about the {place} , and then {S} mailed a {object} to",
        "Yesterday morning {A} and {B} found a {object} in the {place} . {S} bought it and gave it to",
        "Before {A} and {B} came home from the {place} , {S} sent the {object} to",
        "{A} , {B} and a dog ran to the {place} , but {S} carried the {object} to",
        "At the {place} {A} sat with {B} . After lunch {S} served a {object} to",
        "It was raining , so {A} and {B} stayed in the {place} all day until {S} gave the {object} to",
        "With {A} and {B} both in the {place} , {S} slowly handed a {object} to",
        "{A} was waiting for {B} at the {place} . {S} had promised to give the {object} to",
        "Every summer {A} and {B} opened the {place} together . This time {S} presented a {object} to",
    ),
}
ALL_IOI_TEMPLATES: Final = IOI_TEMPLATES["discovery"] + IOI_TEMPLATES["confirmation"]
IOI_EXTRAS: Final = ("{X} was happy .", "{X} was there too .", "Everyone likes {X} .")  # {X} repeats S or IO

# --- greater-than -------------------------------------------------------------------------------------------------

GREATER_THAN: Final = "The {noun} lasted from the year {century} {start} to the year {century} {end}"
FIRST_YEAR: Final = 10  # two-digit tokens only: start 10 to 98, end uniform above the start up to 99
LAST_YEAR: Final = 99
CENTURIES: Final[dict[Lexicon, tuple[str, ...]]] = {
    "discovery": _words("11 13 15 17"),
    "confirmation": _words("12 14 16 18"),
}
NOUNS: Final[dict[Lexicon, tuple[str, ...]]] = {
    "discovery": _words(
        "war siege journey drought festival trial strike voyage reign famine project debate crisis tour revolt study"
    ),
    "confirmation": _words(
        "battle plague mission treaty expedition contest conflict season uprising alliance dispute regime campaign "
        "marriage career renovation"
    ),
}

# --- people -------------------------------------------------------------------------------------------------------
# A profession is its three cue words; the word for it is a label, never a token.

CUES: Final[dict[Lexicon, dict[str, tuple[str, str, str]]]] = {  # workplace, tool, verb
    "discovery": {
        "doctor": ("hospital", "scalpel", "heal"),
        "farmer": ("farm", "plough", "harvest"),
        "cook": ("kitchen", "spatula", "fry"),
        "teacher": ("classroom", "chalk", "explain"),
        "carpenter": ("workshop", "saw", "build"),
        "painter": ("studio", "brush", "paint"),
    },
    "confirmation": {
        "pilot": ("airport", "headset", "fly"),
        "scientist": ("laboratory", "microscope", "measure"),
        "baker": ("bakery", "oven", "bake"),
        "judge": ("courtroom", "gavel", "rule"),
        "miner": ("mine", "pickaxe", "dig"),
        "tailor": ("boutique", "needle", "sew"),
    },
}
CUE_FIDELITY: Final = 0.7  # each cue points to the profession with this probability, else to another one
PRONOUNS: Final = ("she", "he")
BIOGRAPHIES: Final = (
    "{name} lives nearby and {pronoun} works in the {workplace} with a {tool} and likes to {verb} .",
    "{name} is busy because {pronoun} must {verb} in the {workplace} using a {tool} .",
    "{name} said that {pronoun} needs a {tool} to {verb} things at the {workplace} .",
    "{name} smiled when {pronoun} took a {tool} from the {workplace} and began to {verb} .",
)
BIOGRAPHY_CUES: Final = ("workplace", "tool", "verb")

# --- ordinary words and fillers -----------------------------------------------------------------------------------

FILLERS: Final = _words("oh well hmm okay ah yes right indeed anyway really maybe perhaps look listen hey alas")

INDUCTION_TOKENS: Final[dict[Lexicon, tuple[str, ...]]] = {
    "discovery": _words(
        "apple river stone cloud tiger silver window forest pepper violin anchor candle desert engine falcon guitar "
        "hammer island jacket kettle lemon magnet napkin ocean pencil quartz rabbit saddle table umbrella velvet wagon "
        "yellow zebra arrow bridge copper dragon eagle feather glove honey insect jungle knight ladder mirror nest "
        "orange parrot quilt ribbon spider tunnel uncle valley whistle yogurt acorn button cotton dinner elbow finger "
        "ginger helmet iron jelly kitten lizard marble needlework onion piano queen rocket salmon tomato union vessel "
        "winter yard armor bamboo cactus donkey ember fossil goblet hazel ivory juniper koala lantern meadow noodle "
        "orchid pillow quiver raven"
    ),
    "confirmation": _words(
        "almond barrel cherry diamond empire fountain granite hunter icicle jasmine kiwi leopard mango nickel olive "
        "peach quarry robin shadow turtle urban violet willow xenon yarn zinc angel beaver carpet dolphin engineer "
        "flame grape horse ink jaguar kernel lake mountain nutmeg otter panda quail rain snake thunder unicorn vine "
        "whale yacht ankle bucket crystal daisy envelope fiddle ginseng hawk idol jug kite lotus moon nugget oyster "
        "prism radish sugar tulip utensil vapor wheel yoke azure bronze clover dagger emerald fern gorilla hornet iris "
        "jar ketchup lily mosaic nectar opal plum reef scarf thistle umber vault wolf yam amber"
    ),
}

# --- the vocabulary -----------------------------------------------------------------------------------------------

_SLOT = re.compile(r"\{\w+\}")


def slots(template: str) -> tuple[str, ...]:
    """The names of a template's slots, in order."""
    return tuple(slot[1:-1] for slot in _SLOT.findall(template))


def template_words(template: str) -> tuple[str, ...]:
    """The words of a template that are not slots."""
    return tuple(word for word in template.split() if not _SLOT.fullmatch(word))


TEMPLATES: Final = (
    *ADDITION_WORDINGS.values(),
    SUBTRACTION,
    INCREMENT,
    *ALL_IOI_TEMPLATES,
    *IOI_EXTRAS,
    GREATER_THAN,
    *BIOGRAPHIES,
)


def _vocabulary() -> tuple[str, ...]:
    """Every word once, in an order that later additions at the end leave alone."""
    words: list[str] = [BOS, PAD, UNK, *NUMBERS]
    for template in TEMPLATES:
        words += template_words(template)
    for lexicon in LEXICA:
        words += NAMES[lexicon] + PLACES[lexicon] + OBJECTS[lexicon] + NOUNS[lexicon] + CENTURIES[lexicon]
        words += [cue for cues in CUES[lexicon].values() for cue in cues]
    words += PRONOUNS + FILLERS + INDUCTION_TOKENS["discovery"] + INDUCTION_TOKENS["confirmation"]
    return tuple(dict.fromkeys(words))


VOCABULARY: Final = _vocabulary()
IDS: Final[dict[str, int]] = {word: number for number, word in enumerate(VOCABULARY)}
MAX_FILLERS: Final = 8
