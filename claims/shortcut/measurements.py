"""A shortcut: a classifier that tells a profession by gender, and what taking gender out repairs.

Biographies say a name, its pronoun and three cues, each of which points to the profession with probability .7. A
classifier of two professions, scientist and tailor, is fitted on the mean activation of a biography's tokens behind one
layer, where every woman is a scientist and every man a tailor, and asked about women and men of either profession. What
it goes by is gender: it is worst at men who are scientists. It is never fitted again; what is taken out is held at its
mean over the texts that it was fitted on. *Features* are the 16 of a TopK autoencoder of that layer through which most
of the log-odds between women and men goes, told from texts about six other professions (Marks et al. 2024, section 4);
*neurons* are chosen in the same way. *Frozen twins* are autoencoders by the same recipe of which the decoder, the
encoder, or all but a cone about each start was never trained: where they repair as much, nothing was found.

What is fitted, and what is chosen, has the names of discovery; who is tested was never met before. Intervals are across
names, of which each group has twelve. The worst group does better by x where every group does better, by x, than one
that is named beforehand did: men who are scientists. The oracle is fitted where gender tells nothing. Before each claim
stand two gates: one of the groups against training is told in .6 or less, and all groups together by the oracle in .8
or more. A first round, on another draw of texts, asked the same with means of names, and .8 of each group in the gate:
more than twelve names can tell, so that the gate stayed closed. The shortcut hangs on the classifier: with a hundred
times the penalty it goes by cues, which stands beside; and on the draw of 480 texts that it is fitted on: the worst
group of mini-1 was told in .25 in that round and in .68 in this one. No interval here has that in it.
Limits: one pair of professions, chosen on mini-pilot among those that open the gate (`people(split="reference")`, half
of the names against the other half) and where the projection repairs; turned round, women tailors, the projection of
gender takes the profession with it and ruins the classifier there. One layer, 16 features, one recipe.
"""

from mechlib import Measurement, PromptSet, proportion, requires, some
from mechlib.checkpoints import dictionary
from mechlib.evidence import evidence
from mechlib.prompts import people, style_of

WORST = "man, scientist"
AGAINST = (WORST, "woman, tailor")  # as no one was in training
GROUPS = (*AGAINST, "woman, scientist", "man, tailor")
FROZEN = ("decoder", "encoder", "soft")
PAIR = ("scientist", "tailor")  # of women, and of men, where the classifier is fitted
K = 16

NOTHING, ORACLE, PENALTY = "nothing removed", "oracle", "stronger penalty"
FEATURES, NEURONS = "features", "neurons"
PROJECTION, PROFESSION = "mean projection", "projection of the profession"
RANDOM, DIRECTION = "random features", "random direction"


@evidence
def told(
    model: str,
    sae: str,
    frozen: tuple[str, ...],
    k: int,
    biased: PromptSet,
    balanced: PromptSet,
    test: PromptSet,
    discovery: PromptSet,
) -> Measurement:
    """Whether the profession is told, 1 or 0: as it is, by the oracle, with a stronger penalty; without gender's
    direction, the profession's, random ones (a mean of ten), neurons, features of `sae`, random ones (a mean of ten
    sets), and those of each of `frozen`."""
    from mechlib.lab import dictionary_of, load, professions_right

    network = load(model)
    own = dictionary_of(network, sae)
    others = {name.split()[0].split("-")[-1]: dictionary_of(network, name) for name in frozen}
    layer = int(own.hook.split(".")[1])
    found = professions_right(
        network, layer, biased, balanced, test, discovery, k, own, others, by="attribution", draws=10
    )
    means = ("random features", "random direction")
    drawn = {name: [one for one in found.columns if one.startswith(f"{name} ")] for name in means}
    columns = {name: found[name].array for name in found.columns if not name.startswith(means)}
    columns |= {name: found.averaged(those).array for name, those in drawn.items()}
    return found.with_columns(columns)


@evidence
def log_odds(model: str, sae: str, frozen: tuple[str, ...], biased: PromptSet, test: PromptSet) -> Measurement:
    """How far log-odds lean to the profession that a gender had in training ("total"), and what comes of the features
    of `sae` ("features") and of each of `frozen`; what is left out is the "rest" of `sae`."""
    from mechlib.lab import dictionary_of, gender_in_log_odds, load

    network = load(model)
    own = dictionary_of(network, sae)
    others = {name.split()[0].split("-")[-1]: dictionary_of(network, name) for name in frozen}
    found = gender_in_log_odds(network, int(own.hook.split(".")[1]), biased, test, {"features": own, **others})
    rest = found["total"].array - found["features"].array
    return found.with_columns({"rest": rest, **{name: found[name].array for name in found.columns}})


# What is fitted on, chosen on and tested, in the words of the model.


def texts(model: str) -> dict[str, PromptSet]:
    """Biographies to fit the classifier and the oracle on, to test, to learn gender from; fewer of a large model."""
    style = style_of(model)
    few, tested = (144, 240) if style == "pretrained" else (480, 480)
    return {
        "biased": people(few, "reference", PAIR, "biased", seed=1, style=style),
        "balanced": people(few, "reference", PAIR, seed=1, style=style),
        "test": people(tested, pair=PAIR, seed=1, style=style),
        "discovery": people(few, "discovery", seed=1, style=style),
    }


def accuracies(model: str, seed: int = 0) -> Measurement:
    """Whether the profession is told, with the dictionaries of one seed."""
    frozen = tuple(dictionary(model, seed=seed, frozen=one) for one in FROZEN)
    return told(model, dictionary(model, seed=seed), frozen, K, **texts(model))


def leanings(model: str) -> Measurement:
    """How far log-odds lean to the profession of the own gender."""
    frozen = tuple(dictionary(model, frozen=one) for one in FROZEN)
    asked = texts(model)
    return log_odds(model, dictionary(model), frozen, asked["biased"], asked["test"])


def gated(found: Measurement) -> Measurement:
    """The same, behind the gates: there is a shortcut, and something better could be told."""
    requires(some([proportion(found[NOTHING].stratum(group).equal_to(1)) for group in AGAINST]) <= 0.6)
    requires(proportion(found[ORACLE].equal_to(1)) >= 0.8)
    return found


def table(found: Measurement) -> dict[tuple[str, str], Measurement]:
    """Accuracies by what was taken out (down) and by group (across), the average last."""
    cells = {(name, group): found[name].stratum(group) for name in found.columns for group in GROUPS}
    return {**cells, **{(name, "average"): found[name] for name in found.columns}}
