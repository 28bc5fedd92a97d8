"""Greater-than: the probability that a model gives to years after a start, and the parts that decide it.

A prompt's label `year` is its start, of two digits; every number of two digits (00 to 09 written so where the answer
follows without a space) is a year, and those above the start are right. Each must be one token behind the prompt.

Where prompts have a label `digit` too, one of the ten digits follows, each one token: of the "tens" the start's and
higher ones may, for the year can still be above the start; of the "units", behind the start's tens, those above its.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.lab.batching import Batch, batches, per_prompt
from mechlib.lab.hooks import run
from mechlib.lab.interventions.ablation import Ablation, under_ablation
from mechlib.lab.interventions.contexts import Positions
from mechlib.lab.interventions.patching import lost_by_patching, restored_by_patching
from mechlib.lab.interventions.readout import Readout
from mechlib.lab.interventions.sites import Sites
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.measurement import Measurement
from mechlib.parts.heads import all_heads
from mechlib.prompts.promptset import Prompt, PromptSet

YEARS = 100  # numbers that count as years of a century: 0 to 99
DIGITS = 10
DIFFERENCE = "probability of years above the start less that of others,"
START = -5  # where the start stands, from the end: "start to the year century"


def year_scores(model: Model, prompts: PromptSet) -> Measurement:
    """Three numbers for each prompt, from the probabilities of the years at its last position.

    difference  probability of the years above the start less the probability of all others: from -1 to 1
    sharpness   probability of the year after the start less the probability of the year before: how steep the cutoff is
    top         1 where the most likely of all tokens is a year above the start, else 0

    Of prompts that ask for a digit: of the digits that may follow less all others, of the digit after the start's less
    the one before it (of which there is none before 0), and 1 where the most likely token is a digit that may follow.

    Raises ValueError for a start outside 1 to 98, and for years, or digits, of several tokens.
    Source: Hanna et al. 2023, arXiv:2305.00586, for the first two.
    """
    made = batches(model, prompts, alone=True)
    values = []
    for batch in made:
        logits = run(model, batch.tokens, last=1)[0]
        chances, right, start = _chances(model, batch, logits), _right(batch), _starts(batch)
        around = torch.nn.functional.pad(chances, (1, 1))
        sharp = (around.gather(1, start + 2) - around.gather(1, start)).squeeze(1)
        top = logits[:, -1].argmax(-1, keepdim=True) == _ends(model, batch)
        values.append(torch.stack([_difference(model, batch, logits), sharp, (top & right).any(1).float()], dim=1))
    columns = ("difference", "sharpness", "top")
    return per_prompt(prompts, made, values, columns, "what is given to the years")


def difference_by_digits(model: Model, prompts: PromptSet) -> Measurement:
    """Probability of the years above the start less that of all others, of a model that writes a year digit by digit.

    Prompts ask for the tens. By the chain rule a year is above the start where its tens are, or where they are the same
    and its units are above; the units are read behind the start's own tens, in a second run. Both digits count as they
    are, so that what goes to other tokens is in neither. Raises ValueError for prompts that ask for something else, and
    where a digit is several tokens.
    """
    made = batches(model, prompts, alone=True)
    values = []
    for batch in made:
        if any(_digit(prompt) != "tens" for prompt in batch.prompts):
            raise ValueError(f'{prompts!r} does not ask for the tens: take greater_than(style="pretrained")')
        ends, tens = _ends(model, batch), _starts(batch)
        units = torch.tensor([[int(prompt.label("year")[1])] for prompt in batch.prompts], device=tens.device)
        behind = torch.cat([batch.tokens, ends[tens]], dim=1)
        first, second = (run(model, tokens, last=1)[0][:, -1].softmax(-1)[:, ends] for tokens in (batch.tokens, behind))
        digits = torch.arange(DIGITS, device=tens.device)
        other = (first * (2.0 * (digits > tens) - 1)).scatter(1, tens, 0.0).sum(1)
        same = first.gather(1, tens).squeeze(1) * (second * (2.0 * (digits > units) - 1)).sum(1)
        values.append((other + same).unsqueeze(1))
    return per_prompt(
        prompts, made, values, ("difference",), "probability of years above the start less that of others"
    )


def difference_restored(model: Model, prompts: PromptSet, sites: Sites, positions: Positions = -1) -> Measurement:
    """How much of the probability difference comes back when places of the corrupted run get their clean activations.

    Arguments and errors as of `mechlib.lab.interventions.patching.restored_by_patching`. Years are right or wrong by
    the clean start throughout. A column for each set, and last "total", the whole that can be restored: clean less
    corrupted.
    """
    found = restored_by_patching(model, prompts, sites, positions, readout=_readout(model))
    return replace(found, of=f"{DIFFERENCE} restored by patching")


def difference_lost(model: Model, prompts: PromptSet, sites: Sites, positions: Positions = -1) -> Measurement:
    """How much of the probability difference is lost when places of the clean run get their corrupted activations.

    The other direction of `difference_restored`, with the same arguments and errors.
    """
    found = lost_by_patching(model, prompts, sites, positions, readout=_readout(model))
    return replace(found, of=f"{DIFFERENCE} lost by patching")


def difference_without(
    model: Model, prompts: PromptSet, sites: Sites, replacement: Ablation, reference: PromptSet, seed: int = 0
) -> Measurement:
    """The probability difference with each set ablated at every position, and last "intact".

    Arguments and errors as of `mechlib.lab.interventions.ablation.under_ablation`.
    """
    found = under_ablation(model, prompts, sites, replacement, reference, metric=_readout(model), seed=seed)
    return replace(found, of=f"{DIFFERENCE} under {replacement} ablation")


def _readout(model: Model) -> Readout:
    return Readout(value=lambda read, batch: _difference(model, batch, read))


def attention_to_start(model: Model, prompts: PromptSet) -> Measurement:
    """Attention probability of every head from the last token to the start; between 0 and 1, one column a head.

    Raises ValueError where the start is not the fifth token from the end.
    """
    made = batches(model, prompts, alone=True)
    names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(model.cfg.n_layers)]
    values = []
    for batch in made:
        _check_place(model, batch)
        kept = run(model, batch.tokens, keep=names, last=1)[1]
        values.append(torch.cat([kept[name][:, :, -1, START] for name in names], dim=1))
    heads = map(str, all_heads(model.cfg.n_layers, model.cfg.n_heads))
    return per_prompt(prompts, made, values, heads, "attention from the last word to the start")


def by_noun(measured: Measurement) -> Measurement:
    """The mean over the prompts of each noun, one row a noun: an interval across nouns uses nothing else.

    Raises ValueError for a measurement without clusters.
    """
    nouns = sorted(set(measured.clusters))
    if not nouns:
        raise ValueError(f"these {measured.unit} data have no clusters: measure prompts that have nouns")
    rows = [[own == noun for own in measured.clusters] for noun in nouns]
    values = np.array([measured.values[own].mean(axis=0) for own in rows])
    return Measurement(values, tuple(nouns), "noun", measured.columns, tuple(nouns), of=measured.of)


def _difference(model: Model, batch: Batch, logits: Float[Tensor, "batch pos d_vocab"]) -> Float[Tensor, " batch"]:
    """Probability of the years above the start less the probability of all others."""
    return (_chances(model, batch, logits) * (2.0 * _right(batch) - 1)).sum(1)


def _chances(model: Model, batch: Batch, logits: Float[Tensor, "batch pos d_vocab"]) -> Float[Tensor, "batch years"]:
    """Probability of each year, from 0 to 99, or digit at the last position, among all words."""
    return logits[:, -1].softmax(-1)[:, _ends(model, batch)]


def _right(batch: Batch) -> Bool[Tensor, "batch years"]:
    digit, start = _digit(batch.prompts[0]), _starts(batch)
    numbers = torch.arange(DIGITS if digit else YEARS, device=start.device)
    return numbers >= start if digit == "tens" else numbers > start


def _digit(prompt: Prompt) -> str:
    """Which digit a prompt asks for; "" where it asks for a year."""
    return dict(prompt.labels).get("digit", "")


def _starts(batch: Batch) -> Int[Tensor, "batch one"]:
    """The start, or the digit of it that is asked for."""
    starts = [int(prompt.label("year")) for prompt in batch.prompts]
    digit = _digit(batch.prompts[0])
    if digit:
        starts = [start // 10 if digit == "tens" else start % 10 for start in starts]
        return torch.tensor(starts, device=batch.tokens.device).unsqueeze(1)
    for start, prompt in zip(starts, batch.prompts, strict=True):
        if not 0 < start < YEARS - 1:
            raise ValueError(f"{prompt.clean!r} starts in the year {start}: choose one of 1 to {YEARS - 2}")
    return torch.tensor(starts, device=batch.tokens.device).unsqueeze(1)


def _ends(model: Model, batch: Batch) -> Int[Tensor, " years"]:
    """The ids of the years 0 to 99, or of the ten digits, as they would follow these prompts."""
    glue = batch.prompts[0].glue
    texts = [f"{glue}{year}" if glue else f"{year:02d}" for year in range(YEARS)]
    texts = [str(digit) for digit in range(DIGITS)] if _digit(batch.prompts[0]) else texts
    ids = model.tokenizer(texts, add_special_tokens=False)["input_ids"]
    for text, own in zip(texts, ids, strict=True):
        if len(own) != 1 or own == [model.tokenizer.unk_token_id]:
            raise ValueError(
                f"{text!r} is {own} in {checkpoint_of(model).name}, not one token: choose a model whose years are, "
                'or ask for one digit at a time, by greater_than(style="pretrained")'
            )
    return torch.tensor([own[0] for own in ids], device=batch.tokens.device)


def _check_place(model: Model, batch: Batch) -> None:
    years = _ends(model, batch)[_starts(batch)[:, 0]]
    for prompt, seen, wanted in zip(batch.prompts, batch.tokens[:, START].tolist(), years.tolist(), strict=True):
        if seen != wanted:
            raise ValueError(
                f"{prompt.clean!r} has no start {prompt.label('year')} at the fifth token from its end: "
                "this reads sentences that end in `start to the year century`"
            )
