"""Greater-than: what published sentences are asked with, of models that write a year digit by digit and of minis.

Pretrained models are asked for the tens of the year and, behind the start's own tens, for its units
(`greater_than(style="pretrained")`: 48 nouns, six centuries); minis for the year, which is one word of theirs. What
always says a high digit answers well whatever the start, so that the model's own answer to the same sentence with
*another start* stands beside: begun in the year of another prompt, of its own tens where units are asked, and read by
the start that the prompt has. Intervals are across nouns.
"""

from dataclasses import replace
from typing import Literal

from claims.greater_than.measurements import restored_on_average
from claims.induction.published import strongest_apart
from mechlib import Heads, Measurement, Prompt, PromptSet, Selection, all_heads, random_sets
from mechlib.evidence import evidence
from mechlib.prompts import Split, greater_than, style_of

Digit = Literal["tens", "units"]
END = " to the year"  # what stands behind the start


def asked(model: str, n: int = 192, split: Split = "confirmation", digit: Digit = "tens") -> PromptSet:
    """Sentences in the model's style; minis are asked for the year, whatever the digit."""
    style = style_of(model)
    return greater_than(n, split, style=style, digit=digit if style == "pretrained" else "tens")


def asked_anew(model: str, n: int = 192) -> PromptSet:
    """Another draw, for what was restated; of pretrained models none of its sentences was asked before."""
    return greater_than(n, style=style_of(model), seed=102)


# The same sentences, so that what prefers some years whatever the start says as much of them.


def begun_otherwise(prompts: PromptSet) -> PromptSet:
    """The same sentences begun in the year of another prompt, and no two of them the same; labels keep the own start.

    Where units are asked the other start has the own tens, behind which they stand, and the units of another prompt.
    """
    starts = [int(row.label("year")) for row in prompts]
    found: dict[str, Prompt] = {}
    for number, row in enumerate(prompts):
        own, place = starts[number], row.clean.index(END)
        following = [*starts[number + 1 :], *starts[:number]]
        if dict(row.labels).get("digit") == "units":
            following = [own // 10 * 10 + other % 10 for other in following]
        texts = (f"{row.clean[: place - 2]}{other:02d}{row.clean[place:]}" for other in following if other != own)
        text = next(text for text in texts if text not in found)
        found[text] = replace(row, clean=text, corrupted="")
    return replace(prompts, rows=tuple(found.values()), settings=(*prompts.settings, ("begun", "otherwise")))


def rather_than_a_word(prompts: PromptSet) -> PromptSet:
    """The same texts and answers, each beside a word that is no digit and no year: not what the start decides."""
    rows = tuple(replace(row, distractor="well") for row in prompts)
    return replace(prompts, rows=rows, settings=(*prompts.settings, ("distractor", "a word")))


# Evidence: one value, or one for each part, for each prompt or noun.


@evidence
def beside_another_start(model: str, prompts: PromptSet, others: PromptSet) -> Measurement:
    """Probability of the years, or digits, that may follow less that of all others ("difference"), of the one after the
    start's less the one before it ("sharpness"); and both of the answers to `others`, read by the same starts."""
    from mechlib.lab import load, year_scores

    network = load(model)
    own, theirs = year_scores(network, prompts), year_scores(network, others)
    names = ("difference", "sharpness")
    said = {f"{name}, other start": theirs[name].array for name in names}
    return own.with_columns({**{name: own[name].array for name in names}, **said})


@evidence
def whole_years(model: str, prompts: PromptSet, others: PromptSet) -> Measurement:
    """Probability of all years above the start less that of all others, by both digits where a year is written digit by
    digit ("own"); and of the answers to `others`, read by the same starts ("other start")."""
    from mechlib.lab import difference_by_digits, load, year_scores

    network = load(model)
    by_digits = all("digit" in dict(row.labels) for row in prompts)
    own, theirs = (
        difference_by_digits(network, one) if by_digits else year_scores(network, one)["difference"]
        for one in (prompts, others)
    )
    return own.with_columns({"own": own.array, "other start": theirs.array})


@evidence
def restored_beside_random(model: str, chosen: Heads, prompts: PromptSet) -> Measurement:
    """Difference that `chosen` restore, patched together at the last position ("together"), and as many random others
    of their layers, averaged over at most 10 sets ("random"); "total"."""
    from mechlib.lab import by_noun, difference_restored, load

    network = load(model)
    sets = random_sets(chosen, all_heads(network.cfg.n_layers, network.cfg.n_heads), n=10)
    drawn = {f"random {number}": one for number, one in enumerate(sets)}
    found = difference_restored(network, prompts, {"together": chosen, **drawn})
    kept = {name: found[name].array for name in ("together", "total")}
    return by_noun(found.with_columns({**kept, "random": found[list(drawn)].values.mean(axis=1)}))


@evidence
def attention_from_the_end(model: str, back: int, prompts: PromptSet) -> Measurement:
    """Attention probability of every head from the last token to the one that stands `back` tokens before it, which
    says the start, or its tens."""
    import torch

    from mechlib.lab import batches, by_noun, load, per_prompt, run

    network = load(model)
    made, values = batches(network, prompts, alone=True), []
    names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(network.cfg.n_layers)]
    for batch in made:
        for row, prompt in enumerate(batch.prompts):
            seen, start = network.tokenizer.decode([int(batch.tokens[row, -1 - back])]).strip(), prompt.label("year")
            if seen not in (start, start[0]):
                raise ValueError(f"{seen!r} stands {back} tokens before the end of {prompt.clean!r}, not its start")
        kept = run(network, batch.tokens, keep=names)[1]
        values.append(torch.cat([kept[name][:, :, -1, -1 - back] for name in names], dim=1))
    heads = map(str, all_heads(network.cfg.n_layers, network.cfg.n_heads))
    return by_noun(per_prompt(prompts, made, values, heads, "attention from the last token to the start"))


# Choosing, on discovery prompts only. A twin's heads are chosen again, on the twin.


def carriers(model: str, n: int = 3) -> Selection:
    """The heads that restore most of the logit difference that the start makes, patched at the last position; of each
    layer no more than half."""
    return strongest_apart(restored_on_average(model, asked(model, 48, "discovery")), n)
