"""Features: what single features of a sparse autoencoder stand for, what they do, and whether they are nodes.

A dictionary takes the residual stream behind the third layer apart into 512 features, of which 16 are active on a
token. A *named feature* is the one that fires for a concept best on discovery prompts, by F1, above a threshold that is
chosen with it. Concepts are no single tokens, and prompts that judge have other names, nouns, words and pairs than
prompts that choose; before the sentence the same fillers stand in both:

before-the-sentence   in texts of four tasks: the fillers that they begin with
said-before           in a sequence that is said twice: all of the second time
late-start            before the end of what lasted from a year: whether that was 80 or more
woman                 before the pronoun of who was named: whether a woman was

What else tells it is chosen in the same way on the same prompts: a single coordinate of the stream or a single neuron
of that layer's MLP, above or below a threshold; the best feature of three *frozen* dictionaries, of which the decoder,
the encoder or both were never trained, or but softly. A sentence about a feature that holds of one of them is VOID: the
training of the dictionary found nothing then that was not there without it. The untrained network's dictionary is the
twin; the permuted network has none and is silent.

Intervals are across texts, sequences, nouns or names, whichever a concept's prompts are drawn by.
Limits: one layer; dictionaries of 100,000 tokens, which are small; a concept that several features share is told by
none of them alone.

To be read in this order: test_named, test_acting, test_nodes, test_pretrained.
"""

import re
from dataclasses import replace
from typing import Literal

from mechlib import Measurement, Prompt, PromptSet, leading
from mechlib.checkpoints import dictionary
from mechlib.evidence import evidence
from mechlib.prompts import Split, addition, greater_than, ioi, people, repeats, style_of

CONCEPTS = (
    "before-the-sentence",
    "said-before",
    "late-start",
    "woman",
)
FROZEN = ("decoder", "encoder", "soft")

# Prompts.


def asked_of(model: str, concept: str, split: Split) -> PromptSet:
    """The prompts on which a concept is told to a model."""
    judging, style = split == "confirmation", style_of(model)
    if concept == "said-before":
        return repeats(100, split=split)
    if concept == "late-start":
        return greater_than(320 if judging else 160, split=split)
    if concept == "woman":
        return before_the_pronoun(split, style=style)
    if concept == "year-it-began":
        return greater_than(96, split=split, style="natural")
    if concept == "pronoun-of-a-woman":
        return people(96, split=split, style="pretrained")
    if concept == "name-said-before":
        twice, once = (ioi(64, split=split, corrupt=corrupt, style=style) for corrupt in ("subject", "names"))
        other = [replace(row, clean=row.corrupted, corrupted="") for row in once]
        bare = [replace(row, corrupted="", answer="", distractor="") for row in (*twice, *other)]
        return PromptSet("names once and twice", split, tuple(bare), cut=twice.cut)
    sums = [addition(16, split=split, wording=wording) for wording in ("plain", "sum", "add")]
    tasks = (ioi(48, split=split), people(48, split=split), *sums, greater_than(48, split=split))
    bare = [replace(row, corrupted="", cluster="", factors=(), labels=()) for prompts in tasks for row in prompts]
    return PromptSet("texts of four tasks", split, tuple(bare))


def before_the_pronoun(
    split: Split, gender: str = "", n: int = 240, style: Literal["world", "pretrained"] = "world"
) -> PromptSet:
    """Biographies up to their pronoun: `oh well Susan smiled when` -> she, not he. Of both genders, or of one."""
    rows: dict[str, Prompt] = {}
    for row in people(n, split=split, style=style):
        found = re.search(r" ([Ss]|)[Hh]e\b", row.clean)
        if found and gender in ("", row.label("gender")):
            said, text = found[0].strip(), row.clean[: found.start()]
            other = {"she": "he", "he": "she", "She": "He", "He": "She"}[said]
            kept = tuple((factor, levels) for factor, levels in row.factors if factor in ("name", "sentence"))
            labels = (("gender", row.label("gender")),)
            rows[text] = replace(row, clean=text, answer=said, distractor=other, factors=kept, labels=labels)
    said_of = (("gender", gender), ("style", style))
    return PromptSet("before the pronoun", split, tuple(rows.values()), said_of, "biography")


def of_a_man_instead(n: int = 96) -> PromptSet:
    """Biographies of women up to their pronoun, on discovery, with a man's name and "his" in the corrupted text."""
    women, men = (before_the_pronoun("discovery", gender, n, style="pretrained") for gender in ("woman", "man"))
    other = dict(zip(*(sorted({row.cluster for row in rows}) for rows in (women, men)), strict=True))
    rows = []
    for row in women:
        text = re.sub(r"\bher\b", "his", row.clean.replace(row.cluster, other[row.cluster]))
        rows.append(replace(row, corrupted=text))
    return PromptSet("of a man instead", women.split, tuple(rows), women.settings, women.unit)


# Evidence that several files read.


@evidence
def detectors(model: str, pools: tuple[str, ...], concept: str, prompts: PromptSet) -> Measurement:
    """F1 of the five best detectors of each pool, to choose from: one row over all tokens."""
    from mechlib.lab import best_detectors, load

    return best_detectors(load(model), prompts, concept, pools)


@evidence
def fires(model: str, detector: str, concept: str, prompts: PromptSet) -> Measurement:
    """On how many tokens of a prompt a detector fires and the concept is, both, or one alone ("wrong"); where prompts
    have clusters their means."""
    from mechlib.lab import by_noun, fired, load

    found = fired(load(model), prompts, concept, detector)
    return by_noun(found) if found.clusters else found


@evidence
def active(model: str, sae: str, prompts: PromptSet) -> Measurement:
    """How active each feature is at the last position, on average: to draw others that are as active."""
    from mechlib.lab import activity, dictionary_of, load

    network = load(model)
    return activity(network, prompts, dictionary_of(network, sae))


@evidence
def lost_without(
    model: str, sae: str, features: tuple[str, ...], together: bool, position: int | None, prompts: PromptSet
) -> Measurement:
    """Logit difference lost by ablating each feature, or all "together", at one position or, None, at all."""
    from mechlib.lab import ablated, dictionary_of, load, under_actions

    network, numbers = load(model), [int(feature) for feature in features]
    actions = {"together": ablated(*numbers)} if together else {str(one): ablated(one) for one in numbers}
    where = "all" if position is None else position
    found = under_actions(network, prompts, dictionary_of(network, sae), actions, where)
    return found.with_columns({name: found["intact"].array - found[name].array for name in actions})


@evidence
def steered_by(
    model: str, sae: str, feature: str, doses: tuple[float, ...], random: int | None, prompts: PromptSet
) -> Measurement:
    """Logit of the right pronoun less that of the other with so much more of a feature at the last position, or of a
    random direction as long as the feature's: a column for each dose."""
    from mechlib.lab import dictionary_of, dose_response, load

    network = load(model)
    found = dose_response(network, prompts, dictionary_of(network, sae), int(feature), doses, -1, random=random)
    return found.without(["intact"])


@evidence
def scores(model: str, sae: str, prompts: PromptSet) -> Measurement:
    """Logit difference that each feature at the last position would restore, to first order: a mean, to choose by."""
    from mechlib.lab import dictionary_of, feature_attribution, load

    network = load(model)
    found = feature_attribution(network, prompts, dictionary_of(network, sae))
    means = found.values.mean(axis=0, keepdims=True)
    return Measurement(means, ("all",), unit="set of prompts", columns=found.columns, of=found.of)


@evidence
def scores_anywhere(model: str, sae: str, prompts: PromptSet) -> Measurement:
    """As `scores`, of each feature at all positions together."""
    from mechlib.lab import dictionary_of, feature_attribution, load

    network = load(model)
    found = feature_attribution(network, prompts, dictionary_of(network, sae), positions="all")
    means = found.values.mean(axis=0, keepdims=True)
    return Measurement(means, ("all",), unit="set of prompts", columns=found.columns, of=found.of)


@evidence
def steered_anywhere(
    model: str, sae: str, feature: str, dose: float, random: tuple[int, ...], prompts: PromptSet
) -> Measurement:
    """By how much the right pronoun's logit less that of the other falls with a dose of a feature at all
    positions: along the feature ("own"), and along each random direction as long. "intact" is what it falls from."""
    from mechlib.lab import dictionary_of, dose_response, load

    network = load(model)
    sparse, fallen = dictionary_of(network, sae), {}
    for name, seed in (("own", None), *((f"random {seed}", seed) for seed in random)):
        found = dose_response(network, prompts, sparse, int(feature), (dose,), "all", random=seed)
        fallen[name] = found["intact"].array - found[found.columns[0]].array
    return found.with_columns({"intact": found["intact"].array, **fallen})


# Choosing, on discovery prompts only. A twin's are chosen again, of the twin's own dictionaries.


def named(model: str, concept: str, seed: int = 0) -> str:
    """The feature, with its threshold, that tells the concept best."""
    own = (dictionary(model, seed=seed),)
    return leading(detectors(model, own, concept, asked_of(model, concept, "discovery")))[0]


def others(model: str, concept: str, seed: int = 0) -> Measurement:
    """What else tells it: features of frozen dictionaries, coordinates of the stream and neurons of the MLP."""
    sae = dictionary(model, seed=seed)
    frozen = tuple(dictionary(model, seed=seed, frozen=which) for which in FROZEN)
    pools = (*frozen, f"stream of {sae}", f"MLP of {sae}")
    return detectors(model, pools, concept, asked_of(model, concept, "discovery"))


def best_other(model: str, concept: str) -> str:
    """What else tells it best."""
    return leading(others(model, concept))[0]


def neuron(model: str, concept: str) -> str:
    """The coordinate of the stream or the neuron of the MLP that tells it best."""
    return leading(others(model, concept), among=("stream of", "MLP of"))[0]


def of_frozen(model: str, concept: str, seed: int = 0) -> str:
    """The feature of one of three frozen dictionaries that tells it best."""
    return leading(others(model, concept, seed), among="after")[0]


def steered(model: str, frozen: str, random: tuple[int, ...], prompts: PromptSet) -> Measurement:
    """By the feature that attribution says makes she likely, not he, of the dictionary or of a frozen twin of it."""
    sae = dictionary(model, frozen=frozen) if frozen else dictionary(model)
    feature = leading(scores_anywhere(model, sae, of_a_man_instead()))[0]
    return steered_anywhere(model, sae, feature, 64.0, random, prompts)


def of_soft(model: str, concept: str) -> str:
    """The feature of the softly frozen dictionary that tells it best."""
    return leading(others(model, concept), among=dictionary(model, frozen="soft"))[0]
