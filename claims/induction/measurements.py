"""Induction: what lets a network continue `A B ... A` with `B`.

A random sequence of words holds one pair that recurs, `... A B ... A`, and the next word should be `B`. In the
corrupted sequence the first `B` is another word `C`, and nothing else differs; the metric is logit(B) - logit(C) at the
last position. Offsets are random, so that no head finds `B` by counting positions, and the words of
confirmation prompts occur in no discovery prompt.

Heads are chosen on discovery prompts in two ways and judged on confirmation prompts. *Induction heads* are chosen
by where they look: from the last word to the word after its previous occurrence, with probability of at least 0.4
(the score of Olsson et al. 2022, arXiv:2209.11895). *Carriers* are chosen by what they do: the three heads that restore
most of the logit difference when their output is patched from the clean into the corrupted run. The
textbook says that these are the same heads. Limits: sequences of 12 to 40 words and networks with four layers; patching
at the last position sees no head that works further upstream.

The five trainings differ, and no mean over them is claimed: the highest induction scores on discovery prompts are .10,
.95, .09, .09 and .95, and what three carriers restore of the logit difference runs from a third to nine tenths. That
these networks do the task is a test of theirs (tests/lab/models).

To be read in this order: test_attention, test_weights, test_effects, test_published, test_published_effects,
test_pretrained.
"""

from dataclasses import replace

from mechlib import Heads, Measurement, PromptSet, Selection, above, all_heads, strongest
from mechlib.evidence import evidence
from mechlib.prompts import induction

# Why predictions failed, where several failed for one reason.
LATER = "its carriers look one word later than the textbook says, and it finds the answer all the same"
SPREAD = (
    "no three heads carry it: ten of layers 1 and 2 share the work, and its carriers look one and three words later"
)


# Sequences with another word in the place of the answer.


def behind_the_answer(prompts: PromptSet) -> PromptSet:
    """The same sequences, each with the word behind B as its answer, which is said as often as B."""
    texts = [row.clean.split() for row in prompts]
    words = [text[text.index(text[-1]) + 2] for text in texts]
    rows = tuple(replace(row, answer=word) for row, word in zip(prompts, words, strict=True))
    return replace(prompts, rows=rows, settings=(*prompts.settings, ("answer", "the word behind B")))


# Evidence of several files: one value, or one for each head, for each sequence.


@evidence
def attention(model: str, to: str, prompts: PromptSet) -> Measurement:
    """Attention probability of every head from the last word to the position named by `to`."""
    from mechlib.lab import attention_to, load

    return attention_to(load(model), prompts, to)


@evidence
def around_target(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Attention, averaged over `heads`, at offsets -3 to 3 from the word after the previous occurrence."""
    from mechlib.lab import attention_by_offset, load

    return attention_by_offset(load(model), prompts, heads)


@evidence
def restored(model: str, prompts: PromptSet) -> Measurement:
    """Logit difference that each head restores, patched clean into corrupted; "total" is all that there is to
    restore."""
    from mechlib.lab import load, restored_by_patching

    network = load(model)
    every_head = all_heads(network.cfg.n_layers, network.cfg.n_heads)
    return restored_by_patching(network, prompts, every_head)


# Choosing, on discovery prompts only. A twin's heads are chosen again, on the twin.

TARGET = "after previous occurrence"


def scores(model: str, split: str = "confirmation") -> Measurement:
    """Induction score of every head."""
    return attention(model, TARGET, induction(split=split))


def induction_head(model: str) -> Selection:
    """The head with the highest induction score on discovery prompts, whatever it is."""
    return strongest(scores(model, "discovery"))


def induction_heads(model: str) -> Selection:
    """The heads whose induction score on discovery prompts is at least 0.4. There may be none."""
    return above(scores(model, "discovery"), 0.4)


def carriers(model: str, n: int = 3) -> Selection:
    """The heads that restore most of the logit difference on discovery prompts."""
    return strongest(restored(model, induction(split="discovery")), n)


def previous_token_head(model: str) -> Selection:
    """The head of a layer before the induction head's that attends most to the previous word on discovery prompts."""
    (head,) = induction_head(model)
    looks = attention(model, "previous token", induction(split="discovery").take(50))
    return strongest(looks[[name for name in looks.head_columns if int(name.partition(".")[0]) < head.layer]])
