"""Evidence of the published sentences: what pretrained models, and two minis beside them, do with indirect objects.

Sentences of Wang et al. 2022 (arXiv:2211.00593) on GPT-2 small, asked by function and not by the paper's heads: which
heads play a part is chosen on discovery prompts of the model at hand, and twins choose again. `style_of` words the
task for each model, so that one claim asks all of them with one bound. Behaviour is asked on 384 prompts (48 templates
of 8; 320 of the minis), the inside on 96 (48 templates, each order once; 192 of the minis), copying on 24 of these:
templates carry the interval, and "across templates" is across these 48 written ones, or the 16 of the minis, and their
names. Heads are chosen on 48 discovery prompts, early ones on 16.

    movers         the three heads that write most towards IO rather than S, directly into the output
    suppressor     the head that writes most against it
    receiver       of the six heads in the upper half of the layers that write most towards IO, the one whose attention
                   to IO exceeds that to S by most: what writes most may look elsewhere
    inhibitors     of the layers below the receiver's, and no movers, the two heads that restore most when patched at
                   the last position, where the giver is exchanged
    carriers       the three heads that restore most, wherever they are

`planted-ioi` has one mover, whose weights were written by hand: where a sentence about movers fails in a real model and
holds there, the claim's code is not the reason. A column "random" is the mean over up to twenty sets with as many other
heads in each layer, or in the nearest ones. Nothing is said of models before they were quantised.

Behind it stand test_published_behaviour, test_published_movers, test_published_paths, test_published_positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from claims.ioi.measurements import logits
from claims.measurements import restored, written
from mechlib import Heads, Measurement, PromptSet, Selection, all_heads, matched_sets, strongest
from mechlib.evidence import evidence
from mechlib.prompts import ioi, planted, style_of

WANG = "Wang et al. 2022, arXiv:2211.00593"

# What is known to move names: a sentence that holds there can be seen by the claim's code. Its prompts are its own,
# with three other names for corruption: an inhibitor alone restores nothing there, and is not asked for.
PLANTED = ("planted-ioi-0-4x8",)
Corruption = Literal["subject", "names", "order", "tokens"]
Extra = Literal["", "subject", "object"]

# Prompts, worded for the model.


def asked(model: str, extra: Extra = "") -> PromptSet:
    """Of its behaviour."""
    return planted(model) if model in PLANTED else ioi(extra=extra, style=style_of(model))


def inside(model: str, corrupt: Corruption = "subject", n: int = 96) -> PromptSet:
    """Of its inside: two prompts a template, one in each order of the names; of a mini twelve, or `n` of others."""
    if model in PLANTED:
        return planted(model)
    style = style_of(model)
    return ioi(n if style == "pretrained" else 192, corrupt=corrupt, style=style)


def looked_at(model: str, n: int = 48, corrupt: Corruption = "subject") -> PromptSet:
    """For looking and choosing."""
    if model in PLANTED:
        return planted(model, split="discovery")
    return ioi(n, split="discovery", corrupt=corrupt, style=style_of(model))


def elsewhere(model: str) -> PromptSet:
    """Sentences with three names, for means; of a planted model its own."""
    if model in PLANTED:
        return planted(model, split="reference")
    return ioi(192, split="reference", style=style_of(model))


def preferred(model: str) -> Measurement:
    """1 where IO has a higher logit than S, else 0. The gate of all that is claimed of the inside is a share of .8."""
    return logits(model, asked(model))["clean"].at_least(0)


# Choosing, on discovery prompts only.


def movers(model: str, n: int = 3) -> Selection:
    """The heads that write most towards IO rather than S; of a planted model as many as were planted."""
    return strongest(written(model, looked_at(model)), 1 if model in PLANTED else n)


def suppressor(model: str) -> Selection:
    """The head that writes most towards S rather than IO."""
    found = written(model, looked_at(model))
    return strongest(found.with_columns({head: -found[head].array for head in found.head_columns}))


def receiver(model: str) -> Selection:
    """Of the six heads in the upper half of the layers that write most towards IO, the one that leans most to it."""
    found = written(model, looked_at(model))
    half = (layer_of(found.head_columns[-1]) + 1) // 2
    writers = strongest(found[[head for head in found.head_columns if layer_of(head) >= half]], 6)
    return strongest(leaning(model, looked_at(model, 16))[writers.heads])


def inhibitors(model: str) -> Selection:
    """The two heads that restore most, of the layers below the receiver's, movers left out."""
    found, end = restored(model, looked_at(model)), receiver(model).ranked[0].layer
    return strongest(found[[head for head in found.head_columns if layer_of(head) < end]], 2, but_not=movers(model))


def carriers(model: str, n: int = 3) -> Selection:
    """The heads that restore most of the logit difference that the giver makes."""
    return strongest(restored(model, looked_at(model)), n)


def layer_of(head: str) -> int:
    """The layer of a head's name."""
    return int(head.split(".")[0])


# Evidence: one value, or a few, for each prompt.


@evidence
def leaning(model: str, prompts: PromptSet) -> Measurement:
    """Attention of every head from the last word to IO, less that to both mentions of S."""
    return attention_between(model, "leaning", prompts)


@evidence
def attends(model: str, to: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Attention from the last word to IO ("answer") or to the second S ("distractor"), averaged over `heads`
    ("together"), and over other sets ("random")."""
    from mechlib.lab import attention_to, load

    return beside_random(attention_to(load(model), prompts, to), heads)


@evidence
def copies(model: str, negative: bool, prompts: PromptSet) -> Measurement:
    """1 where a head that looked at nothing but IO would put it among the five highest logits (`negative`: lowest)."""
    from mechlib.lab import copy_scores, load

    return copy_scores(load(model), prompts, negative=negative)


@evidence
def restores(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Logit difference that `heads` restore, patched together at the last position; that of other sets; "total"."""
    from mechlib.lab import load, restored_by_patching

    network = load(model)
    return with_random(restored_by_patching(network, prompts, with_others(network, heads)))


@evidence
def loses_to(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Logit difference that the clean run loses when `heads` hold, at the last position, what they hold in the
    corrupted run; the same of other sets, and "intact", the difference of the clean run."""
    from mechlib.lab import load, logit_differences, lost_by_patching

    network = load(model)
    found = with_random(lost_by_patching(network, prompts, with_others(network, heads)))
    intact = logit_differences(network, prompts)["clean"].array
    return found.with_columns({name: found[name].array for name in ("together", "random")} | {"intact": intact})


@evidence
def left_without(model: str, heads: Heads, prompts: PromptSet, reference: PromptSet) -> Measurement:
    """logit(IO) - logit(S) with `heads` mean-ablated at the last position, together and each, and "intact"."""
    from mechlib import singly_and_jointly
    from mechlib.lab import load, under_ablation

    sets = singly_and_jointly(heads)
    return under_ablation(load(model), prompts, sets, "mean", reference, metric="logit difference", positions=-1)


@evidence
def stands_in(model: str, heads: Heads, prompts: PromptSet, reference: PromptSet) -> Measurement:
    """Logits that mean-ablating `heads` at the last position costs together beyond the sum of what each costs alone;
    the same of ten other sets ("random")."""
    from mechlib import singly_and_jointly
    from mechlib.lab import load, under_ablation

    network = load(model)
    sets = with_others(network, heads, 10)
    singly = {str(head): where for own in sets.values() for head, where in singly_and_jointly(own).items()}
    left = under_ablation(
        network, prompts, {**sets, **without_joint(singly)}, "mean", reference, metric="logit difference", positions=-1
    )
    beyond = {name: left.interaction(name, own, "intact").array for name, own in sets.items()}
    return with_random(left.with_columns(beyond))


@evidence
def along_paths(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Logits lost where only the logits see the corrupted output of `heads`, MLPs on the way computed anew: together,
    each, other sets, and "total"."""
    from mechlib import singly_and_jointly
    from mechlib.lab import load, lost_by_path_patching

    network = load(model)
    senders = {**singly_and_jointly(heads), **with_others(network, heads)}
    return with_random(lost_by_path_patching(network, prompts, senders, through_mlps=True))


@evidence
def turned_away(model: str, heads: Heads, reader: Heads, prompts: PromptSet) -> Measurement:
    """Attention to IO that one head loses where its query alone sees the corrupted output of `heads`, MLPs on the way
    computed anew; the same of ten other sets ("random")."""
    from mechlib.lab import attention_after_path_patching, load

    network, (own,) = load(model), reader
    senders = with_others(network, heads, 10)
    found = attention_after_path_patching(network, prompts, senders, own, "q", "answer", through_mlps=True)
    intact = found["intact"].array
    return with_random(found.with_columns({name: intact - found[name].array for name in senders}))


# What they call.


def with_others(network: Any, heads: Heads, n: int = 20) -> dict[str, Heads]:
    """The heads, "together", and up to `n` sets that are matched to them."""
    every = all_heads(network.cfg.n_layers, network.cfg.n_heads)
    return {"together": heads} | {f"set {number}": other for number, other in enumerate(matched_sets(heads, every, n))}


def without_joint(sets: Mapping[str, Heads]) -> dict[str, Heads]:
    """The single heads of `singly_and_jointly`."""
    return {name: own for name, own in sets.items() if name != "together"}


def with_random(found: Measurement) -> Measurement:
    """The columns with "random", the mean of other sets, in the place of these sets."""
    sets = [name for name in found.columns if name.startswith("set ")]
    kept = {name: found[name].array for name in found.columns if name not in sets}
    return found.with_columns({**kept, "random": found[sets].values.mean(axis=1)})


def beside_random(found: Measurement, heads: Heads) -> Measurement:
    """From one column a head: the mean over `heads`, "together", and over those of matched sets, "random"."""
    from mechlib import heads as read

    every = read(" ".join(found.head_columns))
    others = [found.averaged(other).array for other in matched_sets(heads, every, 20)]
    return found.with_columns({"together": found.averaged(heads).array, "random": np.mean(others, axis=0)})


def attention_between(model: str, way: str, prompts: PromptSet) -> Measurement:
    """Attention of every head from and to the places of a way, as `leaning` and `between` have them."""
    import torch

    from mechlib.lab import batches, load, per_prompt, run

    network = load(model)
    made, values = batches(network, prompts), []
    names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(network.cfg.n_layers)]
    for batch in made:
        kept = run(network, batch.tokens, keep=names)[1]
        pattern = torch.stack([kept[name] for name in names], dim=1)
        rows = []
        for row, prompt in enumerate(batch.prompts):
            first, second = batch.mentions(row, prompt.distractor)[:2]
            other = batch.mentions(row, prompt.answer)[0]
            own = pattern[row]
            rows.append(
                {
                    "leaning": own[:, :, -1, other] - own[:, :, -1, first] - own[:, :, -1, second],
                    "duplicate": own[:, :, second, first] - own[:, :, second, other],
                    "induction": own[:, :, second, first + 1],
                    "previous": own[:, :, first + 1, first],
                }[way].flatten()
            )
        values.append(torch.stack(rows))
    columns = map(str, all_heads(network.cfg.n_layers, network.cfg.n_heads))
    return per_prompt(prompts, made, values, columns, f"attention by the way of {way}")
