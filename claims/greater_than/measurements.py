"""Greater-than: what lasted from 1273 ended in a year of that century after 73.

After `The battle lasted from the year 12 73 to the year 12` every year above 73 is right and every other wrong. The
metric is the *difference*: the probability of the years above the start less that of all others, from -1 to 1. In the
corrupted prompt the start is the lowest year, 10, after which every other year is right (*lowest*), or some year below
the clean one (*lower*). What a part restores is how much of the difference, by the clean start, comes back when its
output at the last position is patched from the clean into the corrupted run. *Carriers* are the three heads that
restore most on discovery prompts, which have other nouns and centuries; to choose them the logit of one year above the
cutoff less that of one below it is used, both equally far from it.

Intervals are across 16 nouns: behaviour on 320 prompts in which every start from 11 to 98 stands three or four times,
or on 640 of another draw, the inside on the first 160 of the 320, or on 160 of another draw where a claim was
restated, filed as means of nouns. The difference asks for no cutoff: what always says 99 scores 1, more than any of
these networks. So behaviour is claimed of the years next to the start, and beside the network's own answers to other
starts. A gate stands before every claim about the inside of one network. That all heads together restore everything is
no claim: whatever reaches the last position comes through them.
Limits: nouns, centuries and years are all words of training, which draws years evenly, so that nothing here is about
pairs never seen; the metric saturates, as years above a start are nearly certain, so that shares restored and shares
lost need not agree; starts fall on nouns by chance, so that where high starts decide an interval across nouns is wide
for that alone; and the sentence is one template. The rows on GPT-2 small hold its published heads and figures and run
where its weights are.

To be read in this order: test_behaviour, test_mlps, test_heads, test_published, test_pretrained.
"""

from dataclasses import replace
from typing import Literal

from mechlib import Heads, Measurement, Prompt, PromptSet, Selection, strongest
from mechlib.evidence import evidence
from mechlib.prompts import greater_than

ASKED = greater_than()
INSIDE = greater_than(160)
AGAIN = greater_than(160, seed=2)  # another draw, for what was restated


# The same sentences with another start, where each is still read by its own: what is right there needs no start.


def begun(prompts: PromptSet, when: Literal["late", "otherwise"]) -> PromptSet:
    """The same sentences begun in 98, the last year that leaves one, or in the year of the next prompt.

    Where there is such a sentence already, it is the year before, or the next prompt's but one.
    """
    starts = [int(row.label("year")) for row in prompts]
    rows: dict[str, Prompt] = {}
    for number, row in enumerate(prompts):
        words, following = row.clean.split(), [*starts[number + 1 :], *starts[:number]]
        years = range(98, 9, -1) if when == "late" else [year for year in following if year != starts[number]]
        texts = (" ".join([*words[:-5], str(year), *words[-4:]]) for year in years)
        text = next(text for text in texts if text not in rows)
        rows[text] = replace(row, clean=text)
    return replace(prompts, rows=tuple(rows.values()), settings=(*prompts.settings, ("begun", when)))


# Evidence of several files: behaviour for each prompt, the inside for each noun.


@evidence
def scores(model: str, prompts: PromptSet) -> Measurement:
    """The difference; the sharpness of the cutoff; and 1 where the most likely next word is a year above the start."""
    from mechlib.lab import load, year_scores

    return year_scores(load(model), prompts)


@evidence
def restored_on_average(model: str, prompts: PromptSet) -> Measurement:
    """Logit difference that each head and MLP restores, patched at the last position: a mean, to choose heads by."""
    from mechlib.lab import components, load, restored_by_patching

    network = load(model)
    found = restored_by_patching(network, prompts, components(network))
    means = found.values.mean(axis=0, keepdims=True)
    return Measurement(means, ("all",), unit="set of prompts", columns=found.columns, of=found.of)


@evidence
def restored_jointly(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Difference restored by `heads` patched together; and "total"."""
    from mechlib.lab import by_noun, difference_restored, load

    return by_noun(difference_restored(load(model), prompts, {"together": heads}))


@evidence
def written_by_kind(model: str, prompts: PromptSet) -> Measurement:
    """Direct logit attribution: what all heads, and each MLP, write towards the year above the cutoff rather than the
    one below it; "total" is the logit difference."""
    from mechlib.lab import by_noun, direct_logit_attribution, load

    found = direct_logit_attribution(load(model), prompts)
    kept = {name: found[name].array for name in (*found.mlp_columns, "embeddings", "biases", "total")}
    return by_noun(found.with_columns({"heads": found[found.head_columns].values.sum(axis=1), **kept}))


# Choosing, on discovery prompts only. A twin's heads are chosen again, on the twin.


def carriers(model: str, n: int = 3) -> Selection:
    """The heads that restore most of the logit difference that the start makes."""
    return strongest(restored_on_average(model, greater_than(split="discovery")), n)
