"""Induction: what several published sentences are asked with, on minis and on pretrained models alike.

Pretrained models hardly continue `A B ... A` after one pair, so that they are asked behind a whole repeat: random
words, one token each, are said again up to A (`induction(style="pretrained")`); minis are asked as everywhere. Losses
are on twelve words said twice behind two fillers. Heads are chosen on 32 discovery sequences, whose words are others:
*those that look* by their attention from the last word to the word after its previous occurrence, the prefix-matching
score, and *those that carry* by what they restore, patched at the last position. Three are taken, whatever they
score, and of one layer no more than half of its heads, so that others are left there to hold them against.
"""

from claims.induction.measurements import TARGET, attention, restored
from mechlib import Heads, Measurement, PromptSet, Selection, all_heads, random_sets, strongest
from mechlib.evidence import evidence
from mechlib.prompts import Split, induction, repeats, style_of

OLSSON = "Olsson et al. 2022, arXiv:2209.11895"

HALF = 12  # words said twice


def sequences(model: str, n: int = 96) -> PromptSet:
    """Confirmation sequences in the model's style."""
    return induction(n, style=style_of(model))


def sequences_anew(model: str, n: int = 96) -> PromptSet:
    """Another draw, for what was restated."""
    return induction(n, seed=2, style=style_of(model))


def chosen_on(model: str) -> PromptSet:
    """Discovery sequences in the model's style, on which heads are chosen."""
    return induction(32, "discovery", style=style_of(model))


def said_twice(model: str, n: int = 96, split: Split = "confirmation") -> PromptSet:
    """Random words, all said twice, in the model's style."""
    return repeats(n, split, half=HALF, fillers=2, style=style_of(model))


def said_twice_anew(model: str, n: int = 48) -> PromptSet:
    """Another draw of them, for what was restated."""
    return repeats(n, seed=2, half=HALF, fillers=2, style=style_of(model))


# Evidence: one value, or one for each set of heads, for each sequence.


@evidence
def losses(model: str, prompts: PromptSet) -> Measurement:
    """Loss on the "repeat", from its second word on, and on the "first half", in nats a token."""
    from mechlib.lab import load, repeat_loss

    return repeat_loss(load(model), prompts)


@evidence
def restored_by_each(model: str, looking: Heads, carrying: Heads, prompts: PromptSet) -> Measurement:
    """Logit difference restored by `looking` patched together, by `carrying`, and by as many random others of the
    layers of the former, averaged over at most 10 sets ("random"); "total"."""
    from mechlib.lab import load, restored_by_patching

    network = load(model)
    sets = random_sets(looking, all_heads(network.cfg.n_layers, network.cfg.n_heads), n=10)
    drawn = {f"random {number}": one for number, one in enumerate(sets)}
    found = restored_by_patching(network, prompts, {"looking": looking, "carrying": carrying, **drawn})
    kept = {name: found[name].array for name in ("looking", "carrying", "total")}
    return found.with_columns({**kept, "random": found[list(drawn)].values.mean(axis=1)})


# Choosing, on discovery sequences only. A twin's heads are chosen again, on the twin.


def scores(model: str, split: Split = "confirmation") -> Measurement:
    """Prefix-matching score of every head: attention from the last word to the word after its previous occurrence."""
    return attention(model, TARGET, sequences(model) if split == "confirmation" else chosen_on(model))


def strongest_apart(measured: Measurement, n: int) -> Selection:
    """The `n` strongest heads, of each layer no more than half, so that as many others are left there to compare."""
    ranked, most = strongest(measured, len(measured.head_columns)), len(measured.in_layer(0).columns) // 2
    chosen = ranked[:1]
    for number, head in enumerate(ranked.ranked):
        if len(chosen.ranked) < n and sum(head.layer == other.layer for other in chosen.ranked) < most:
            chosen = chosen | ranked[number : number + 1]
    return chosen


def looking(model: str, n: int = 3) -> Selection:
    """The heads with the highest score on discovery sequences, whatever it is; of each layer no more than half."""
    return strongest_apart(scores(model, "discovery"), n)


def carrying(model: str, n: int = 3) -> Selection:
    """The heads that restore most of the logit difference on discovery sequences."""
    return strongest(restored(model, chosen_on(model)), n)


def carrying_apart(model: str, n: int = 3) -> Selection:
    """The heads that restore most of the logit difference on discovery sequences; of each layer no more than half."""
    return strongest_apart(restored(model, chosen_on(model)), n)
