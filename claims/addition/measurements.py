"""Two-digit addition: which parts of a network carry the operands, and which make the sum of them.

The numbers 0 to 198 are single words, operands go up to 99, and a fifth of all unordered pairs was never trained, in
any order, wording or operation; every prompt here asks for such a pair. The baseline is what the network writes when
left to write, and its most likely next word. For patching, a corrupted prompt has one operand replaced, so that
clean and corrupted are questions of the same kind; the metric is the logit of the clean sum minus that of the
corrupted, or whether the clean sum comes out on top. *Carriers* are the heads that restore most of the logit difference
on discovery pairs when their output at the last position is patched from the clean into the corrupted run; they are
chosen again on every network and on its twins, and judged on confirmation pairs. Ablation puts zeros, means or another
prompt's activation in a component's place, at every position.

A patch *flips* an answer where it brings the clean sum on top. A competence gate stands before every claim of patching,
ablation and attribution on one training. Operands are shared between pairs and are in the error term. Families of
heads have simultaneous intervals. Right against
wrong is asked of mini-half, a checkpoint of mini-0 that answers about three of five. Figures cited from mini-pilot, and
from mini-half on discovery pairs, are those of the discovery sets as they are; the bounds were set on an earlier draw
of the same kind. Limits: patching at the last position sees what is read or made there; networks of four layers whose
numbers are words need no carry between tokens; ablation at every position also removes what a component does before the
last word.

What was asked first was asked of the first 400 of 700 confirmation pairs where it is about the inside. Claims that
were restated are asked of the other 300, with other fillers and replacements (`unasked`), or with fillers and
replacements of another draw, and name what they are held against: heads of the same layer, trained pairs, a linear
read-out, another pair's sum.

To be read in this order: test_behaviour, test_wrong_answers, test_patching, test_ablation, test_attribution,
test_embeddings, test_pretrained; of pretrained models `published.py`, test_published, test_published_parts.
"""

from dataclasses import replace
from typing import Literal

from claims.measurements import restored
from mechlib import Heads, Measurement, PromptSet, Selection, strongest
from mechlib.evidence import evidence
from mechlib.prompts import addition

WORDINGS = ("plain", "sum", "add")


# Why predictions failed, where several failed for one reason.
SMOOTH = "under 1 %, less than by chance: embeddings follow the number smoothly"


# Prompts of restated claims.


def unasked(corrupt: Literal["first", "second"] = "first") -> PromptSet:
    """The 300 confirmation pairs that no claim about the inside had asked for when its sentence was restated."""
    every_pair = addition(corrupt=corrupt, seed=1)
    return replace(every_pair, rows=every_pair.rows[400:], settings=(*every_pair.settings, ("without the first", 400)))


# Evidence of several files: one value for each pair of operands, one row for each order of the numbers.


@evidence
def written_out(model: str, prompts: PromptSet) -> Measurement:
    """1 where the first integer among four generated words is the answer ("right"), or the next word is ("argmax")."""
    from mechlib.lab import load, numbers_generated

    return numbers_generated(load(model), prompts)


def others_of_their_layers(heads: Heads, n_heads: int) -> dict[str, Heads]:
    """All other sets with as many heads in each layer as `heads`, by their names; they may share heads with it."""
    from itertools import chain, combinations, product

    from mechlib import Head

    layers = tuple(dict.fromkeys(head.layer for head in heads))
    pools = [[Head(layer, head) for head in range(n_heads)] for layer in layers]
    sizes = [len(heads.in_layer(layer)) for layer in layers]
    parts = product(*(combinations(pool, size) for pool, size in zip(pools, sizes, strict=True)))
    sets = [Heads(tuple(chain(*part))) for part in parts]
    return {" ".join(map(str, one)): one for one in sets if set(one) != set(heads)}


@evidence
def right_without_the_first(
    model: str, heads: tuple[str, ...], prompts: PromptSet, reference: PromptSet
) -> Measurement:
    """1 where the answer is right with the first 1, 2, 3, ... of these heads mean-ablated, else 0."""
    from mechlib import heads as read
    from mechlib.lab import load, under_ablation

    sets = {str(n): read(" ".join(heads[:n])) for n in range(1, len(heads) + 1)}
    return under_ablation(load(model), prompts, sets, "mean", reference)


@evidence
def structure(model: str) -> Measurement:
    """Order in the embeddings of 0 to 99, and the same under 1,000 permutations of their labels: one row each."""
    from mechlib.lab import load, number_structure

    return number_structure(load(model))


# Choosing, on discovery pairs only. A twin's heads are chosen again, on the twin.


def carriers(model: str, n: int = 6) -> Selection:
    """The heads that restore most of the logit difference on discovery pairs."""
    return strongest(restored(model, addition(100, split="discovery")), n)


def names(selection: Selection) -> tuple[str, ...]:
    """The chosen heads, best first."""
    return tuple(str(head) for head in selection.ranked)
