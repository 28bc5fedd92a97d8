"""SAEs: what a dictionary of features does that frozen twins, baselines and another seed do as well, or do not.

A *dictionary* is a TopK sparse autoencoder of the residual stream behind layer 2 of a mini: 512 features for 128
numbers, of which 16 are kept on a token, trained on 100,000 tokens that the model wrote itself. It is asked about other
texts of the model. That no more than 16 features are active holds by construction (tests/lab/features/training/), and
so it is no claim. *Frozen twins* are made by the same recipe with the decoder or the encoder kept as it was drawn, or
with each decoder direction kept within a cosine of .8 of its draw (*soft*). *Baselines* keep as many numbers: the 16
largest coefficients of principal components, the 16 largest coordinates (neurons), or as many random directions with
the same encoder. All stand at an L0 of 16.

The *unexplained share* is the squared error over the squared deviation from the mean; the cross-entropy *recovered* is
what the reconstruction brings back of what the mean in the activation's place costs. On a model's own texts, drawn at
temperature 1, the cross-entropy that is lost and the KL divergence are the same in expectation, so that these two are
one metric, though both are counted. Reconstruction is described, and what is claimed is the difference to frozen
twins. How many of six usual metrics a frozen twin matches is a claim of its own (test_reconstruction), and stands in
its figure. Dead features are counted on the card, on the 100,000 tokens of training: nothing is drawn, so that there
is no interval.

Intervals are across texts, which are drawn one by one; what is counted completely (features that two dictionaries
share) has none. Mini-0 has dictionaries of three seeds, the others of one. The untrained twin has dictionaries of its
own, trained as long on the same texts, with their frozen twins; the permuted twin has none and is silent.
Limits: one recipe, one size and one layer; a mini's texts are of a made-up world of a few hundred words; "pure" is a
proxy of how readable a feature is and no reading. The rows on SmolLM2 have one dictionary (8x, 32 kept on a token),
those on GPT-2 small published ones.

To be read in this order: test_reconstruction, test_sharing, test_superposition, test_published.
"""

from mechlib import Measurement, PromptSet
from mechlib.checkpoints import dictionary
from mechlib.evidence import evidence
from mechlib.prompts import texts

FROZEN = ("decoder", "encoder", "soft")
BASELINES = ("components", "neurons", "random")


@evidence
def scores(
    model: str, sae: str, prompts: PromptSet, instead: str = "", fitted_to: PromptSet | None = None
) -> Measurement:
    """How a dictionary reconstructs, by text; or `instead` of it a baseline of its L0, fitted to other texts.

    "squared error", "squared deviation"; "recovered" of the cross-entropy that there is "to recover" when the mean
    stands in the activation's place; "KL", in nats a token; "L0".
    """
    from mechlib.lab import baseline_of, dictionary_of, dictionary_scores_on_prompts, load

    network = load(model)
    own = dictionary_of(network, sae)
    other = baseline_of(network, own, instead, fitted_to) if instead else own
    found = dictionary_scores_on_prompts(network, other, prompts, own.hook, own.mean)
    return found[("L0", "squared error", "squared deviation", "KL", "recovered", "to recover")]


# What is asked, of which dictionaries.


def asked(model: str) -> PromptSet:
    """A hundred of the model's own texts."""
    return texts(model, 100)


def seen(model: str) -> PromptSet:
    """As many others, which baselines are fitted to and matches chosen on."""
    return texts(model, 100, split="discovery")


def seeds(model: str) -> tuple[int, ...]:
    """The seeds of which a model, or its untrained twin, has dictionaries."""
    return (0, 1, 2) if model.split("@")[0] == "mini-0" else (0,)


def of(model: str, seed: int = 0, frozen: str = "") -> Measurement:
    """How the dictionary of one seed does, or a frozen twin of it."""
    return scores(model, dictionary(model, seed=seed, frozen=frozen), asked(model))


def instead(model: str, kind: str, seed: int = 0) -> Measurement:
    """How a baseline does in its place."""
    return scores(model, dictionary(model, seed=seed), asked(model), kind, seen(model))


def more_explained(own: Measurement, other: Measurement) -> Measurement:
    """The squared error that one dictionary saves against another, beside the squared deviation."""
    saved = other["squared error"].array - own["squared error"].array
    return own.with_columns({"explained more": saved, "squared deviation": own["squared deviation"].array})


def more_recovered(own: Measurement, other: Measurement) -> Measurement:
    """The cross-entropy that one dictionary recovers more than another, beside what there is to recover."""
    more = own["recovered"].array - other["recovered"].array
    return own.with_columns({"recovered more": more, "to recover": own["to recover"].array})
