"""Words for pretrained models: each one token, with the space before it, in every tokenizer that it was made for.

Those are the tokenizers of SmolLM2, Gemma 3, Qwen2.5 and GPT-2. A set that is made of these words says so
(`PromptSet.cut`), and where it is run the model's own tokenizer is held against that.

A word belongs to one split, by its digest. Confirmation names stand in pairs, also by digest, and meet nobody else: two
prompts then share both names or none, which leaves an interval less to allow for (docs/STATISTICS.md, R29).
"""

from __future__ import annotations

from typing import Final

from mechlib.prompts.world import LEXICA, Lexicon, by_digest

Lists = dict[Lexicon, tuple[str, ...]]


def _split(salt: str, words: str, discovery: int) -> Lists:
    """So many words for discovery, the others for confirmation, each in the order of its digests."""
    ordered = by_digest(f"pretrained {salt}", words.split())
    return {"discovery": tuple(ordered[:discovery]), "confirmation": tuple(ordered[discovery:])}


NAMES: Final = _split(
    "name",
    """
    Mary Alice Emma Laura Sarah Julia Anna Helen Diana Clara Susan Olivia Lucy Karen Ruth Vera Molly Judith John Tom
    James Peter Daniel Paul Henry Simon Victor Oscar Felix David Robert Kevin Brian George Martin Edward Frank Walter
    Philip Steven Oliver Michael William Richard Joseph Thomas Charles Christopher Matthew Anthony Donald Andrew
    Kenneth Joshua Timothy Ronald Jason Jeffrey Ryan Jacob Gary Nicholas Eric Jonathan Stephen Larry Justin Scott
    Benjamin Samuel Gregory Alexander Patrick Jack Dennis Jerry Tyler Aaron Jose Adam Nathan Douglas Noah Ethan Jeremy
    Keith Roger Terry Sean Gerald Carl Harold Arthur Lawrence Bryan Billy Bruce Gabriel Joe Logan Alan Juan Albert
    Elijah Wayne Vincent Roy Ralph Bobby Russell Bradley Louis Eugene Patricia Jennifer Linda Elizabeth Barbara
    Jessica Lisa Nancy Betty Sandra Margaret Ashley Emily Michelle Carol Amanda Melissa Deborah Stephanie Rebecca
    Sharon Dorothy Amy Kathleen Angela Shirley Nicole Katherine Samantha Christine Catherine Rachel Janet Maria
    Heather Diane Julie Joyce Joan Christina Kelly Victoria Lauren Martha Andrea Ann Jean Hannah Teresa Sara Marie
    Judy Jane Anne Sophie Sophia Charlotte Claire Ellen Jill Kate Katie Lily Louise Lynn Nina Sally Sam Ben Bill Bob
    Chris Dan Dave Ed Fred Greg Ian Jeff Jim Jimmy Johnny Josh Ken Leo Luke Matt Max Mike Neil Nick Pete Phil Ron
    Steve Ted Tim Tony Alex Andy Barry Brad Colin Craig Doug Gordon Graham Howard Hugh Hugo Ivan Jay Jake Joel Karl
    Kurt Lee Leon Lewis Marcus Mario Marshall Maurice Nelson Norman Owen Ross Stanley Stuart Todd Wesley Seth Duncan
    Edgar Edwin Ernest Floyd Francis Fernando Carlos Antonio Miguel Pedro Pablo Diego Luis Jorge Francisco Ali Ahmed
    Omar Hassan Ibrahim Abraham Isaac Levi Lucas Blake Cameron Taylor Casey Robin Leslie Dana Wendy Ruby Rosa Naomi
    Monica Mia Maya Kim Jenny Isabel Frances Eva Erin Eleanor Caroline Bella Beth Bernard Annie Alma Alison Allison
    Alexandra Ada Amelia Julian Theodore Adrian Ezra Elias Eli Otto Hans Fritz Werner Stefan Marco Claude Henri
    Jacques Erik Lars Boris Vladimir Anton Ahmad Manuel Arnold Alfred Allan Allen Bert Brent Brett Calvin Clark Dwight
    Elliott Frederick Geoffrey Gilbert Glenn Harry Harvey Herbert Herman Irving Jerome Julius Kirk Leonard Luther
    Malcolm Raymond Roland Sammy Sebastian Tommy Zach
    """,
    discovery=68,
)
PAIRS: Final[dict[Lexicon, tuple[tuple[str, str], ...]]] = {
    own: tuple(zip(NAMES[own][::2], NAMES[own][1::2], strict=True)) for own in LEXICA
}

# What one person hands to another; none begins with a vowel, for "a" stands before some.
OBJECTS: Final = _split(
    "object",
    """
    book ring ball letter key basket flower bottle ticket map lamp coin camera watch blanket phone cup box card pen
    hat coat knife bag gift photo pencil wallet package parcel folder notebook magazine newspaper towel jacket guitar
    toy rope bucket candle mirror brush spoon plate bowl sandwich pillow necklace medal trophy poster painting picture
    diary report menu recipe radio charger battery glove belt helmet flag stone tray clock puzzle note message novel
    record lighter stamp badge bell sword tent purse backpack kettle token
    """,
    discovery=27,
)

# What lasts from one year to another.
NOUNS: Final = _split(
    "noun",
    """
    war siege journey drought festival trial strike voyage reign famine project debate crisis tour revolt study battle
    plague mission treaty expedition contest conflict season uprising alliance dispute regime campaign marriage career
    renovation rebellion revolution struggle peace experiment empire era boom recession ban exile occupation monarchy
    invasion epidemic partnership friendship engagement investigation rivalry construction restoration excavation
    program tournament boycott blockade quest contract agreement trade tradition practice dynasty operation search
    hunt survey research inquiry
    """,
    discovery=24,
)
CENTURIES: Final = _split("century", "10 11 12 13 14 15 16 17 18 19", discovery=4)

# Sequences are drawn of these at random.
WORDS: Final = _split(
    "word",
    """
    actor air album alley almond amber anchor angel ankle ant apartment apple arm armor army arrow art baby back bacon
    bag bait ball ballet bamboo banana band bank bar barrel base basket bat bath beach bean bear beard beast bed bee
    beer bell belt bench bike bird blade blanket blood board boat body bolt bomb bone book boot border bottle bow bowl
    box boy brain branch bread breeze brick bride bridge bronze brother brush bubble bucket buffalo bull bullet bus
    butter butterfly button cab cabin cable cage cake calf camel camera camp can canal candle cannon canoe canvas
    captain carbon card carpet cart castle cat cattle cave ceiling cement chain chair chalk cheese chef cherry chest
    chicken child chin chocolate church cigar cinema circus city clay clerk cliff clock cloth cloud clown coach coal
    coast coat coffee coin collar comb cook copper coral corn corner cottage cotton couch cousin cow crab crane cream
    crew cricket crop cross crow crown crystal cup curtain dad dance date daughter dawn deck deer desert desk diamond
    diary dice dinner dish ditch dock doctor dog doll dolphin dome door dragon drawer dream dress drink driver drum
    duck dust eagle ear earth editor egg elbow elephant empire engine engineer envelope eye fabric face factory fairy
    family fan farm farmer father feather fence ferry fever field film filter finger fire fish flag flame floor flour
    flower fly foam fog folder foot forest fork fossil fountain fox frame frog frost fruit game garage garden garlic
    gas gate gear gem ghost giant gift ginger girl glass globe glove glue goat gold goose grain grandmother granite
    grape graph grass grave grill ground guard guest guitar gum gun hair hall ham hammer hand harbor hat hawk head
    heart heaven hedge heel helmet hen herb hero hill hip hole honey hood hook horn horse hospital hotel house hunter
    hut ice idol ink inn insect iron island ivory jacket jail jar jeans jelly jet jewel judge jug juice jungle jury
    kernel kettle key king kitchen kitten knee knife knight lace ladder lady lake lamb lamp land lantern lawn lawyer
    leaf leather leg lemon lens letter library light lion lip liver lizard lobby lock log machine magnet maid mail man
    mango map maple marble march mask mayor meat medal medicine metal milk mill mine mint mirror mist money monk
    monkey moon mosaic mosquito moss moth mother motor mountain mouse mouth mud museum mushroom music nail neck needle
    nerve nest net nickel night nose novel nun nurse nut oak ocean office oil olive onion orange ore organ oven owl
    paint palace palm pan panel paper parade park party pasta patch path peach peak pear pearl pen pencil pepper
    perfume pet phone piano picture pie pig pigeon pillow pilot pin pine pipe pirate pizza plane planet plant plaster
    plate plum pocket poem poet pole police pond pony pool port poster pot potato powder priest prince prism prison
    prize pump puppet puppy pyramid quarry quartz queen rabbit rail rain ramp rat razor reef ribbon rice rifle ring
    river road robe robot rock rocket rod roof room root rope rose rug ruler saddle sail sailor salad salmon salt sand
    sauce sausage saw scale school screw sea seal seat seed shadow shark sheep sheet shelf shell shield ship shirt
    shoe shop shore shoulder shrimp silk silver singer sink sister skin skirt sky sled sleeve slice smoke snake snow
    soap sock soil soldier son song soup spark spear spider sponge spoon spring squad square squirrel stable stage
    stair star station statue steak steam steel stem step stew stick stomach stone stool store storm stove straw
    stream street string student sugar suit summer sun sunset swamp sword syrup table tail tailor tank tape tavern tea
    teacher teeth temple tent thief thread throat throne thumb thunder ticket tie tiger tile timber tin toast tobacco
    toe tomato tomb tongue tool tooth torch towel tower town toy track trail train tram trap tray tree triangle tribe
    trophy truck trumpet trunk tube tunnel turkey turtle umbrella uncle union urban valley valve van vapor vault veil
    velvet vessel vest village vine vinegar violet violin voice volcano wagon wall wallet watch water wave wax weapon
    weed whale wheat wheel whistle widow wind window wine wing winter wire witch wolf woman wood wool worm wrist
    writer yard yarn yellow yogurt zinc zone
    """,
    discovery=315,
)

# Before a sequence: the first of a text has no space before it, and is one token there too.
FILLERS: Final = ("well", "yes", "right", "really", "maybe", "perhaps", "look", "hey", "so", "now", "then", "here")
