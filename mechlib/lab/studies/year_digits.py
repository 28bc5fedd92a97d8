"""Greater-than, digit by digit: what a model that reads digits gives to those that make a year later than its start.

Prompts are those of `greater_than(style="pretrained")`, whose label `year` is the start and whose label `digit` says
which digit follows, the tens or, behind the start's own tens, the units.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechlib.lab.batching import Batch, batches, per_prompt
from mechlib.lab.hooks import run
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet

DIGITS = tuple("0123456789")


def digit_scores(model: Model, prompts: PromptSet) -> Measurement:
    """Two numbers for each prompt, from the probabilities of the ten digits at its last position.

    difference  of the digits that may follow less that of the other ones: the start's tens and higher ones, or units
                above the start's; from -1 to 1
    top         1 where the most likely of all tokens is a digit that may follow, else 0

    Raises ValueError for a prompt without the labels, and where a digit is not one token.
    """
    made = batches(model, prompts, alone=True)
    values = []
    for batch in made:
        logits, right, ids = run(model, batch.tokens)[0][:, -1], _right(batch), _digits(model, batch)
        chances = logits.softmax(-1)[:, ids]
        top = logits.argmax(-1, keepdim=True) == ids
        values.append(torch.stack([_less(chances, right), (top & right).any(1).float()], dim=1))
    return per_prompt(prompts, made, values, ("difference", "top"), "what is given to the digits")


def year_scores_by_digit(model: Model, prompts: PromptSet) -> Measurement:
    """Probability of the years above the start less that of all others, of prompts that ask for the tens: "difference".

    By the chain rule: a year is above the start where its tens are, or where they are the same and its units are above;
    units are read behind the start's own tens, in a second run. Source: Hanna et al. 2023, arXiv:2305.00586, whose
    metric this is of years that are one token. Raises ValueError as `digit_scores` does.
    """
    made = batches(model, prompts, alone=True)
    values = []
    for batch in made:
        if any(prompt.label("digit") != "tens" for prompt in batch.prompts):
            raise ValueError(f"{prompts!r} asks for units: years are told from prompts that ask for the tens")
        ids = _digits(model, batch)
        tens, units = ([int(prompt.label("year")[place]) for prompt in batch.prompts] for place in (0, 1))
        rows, own = torch.arange(len(tens)), torch.tensor(tens)
        first = run(model, batch.tokens)[0][:, -1].softmax(-1)[:, ids]
        behind = torch.cat([batch.tokens, ids[own].unsqueeze(1)], dim=1)
        second = run(model, behind)[0][:, -1].softmax(-1)[:, ids]
        same = first[rows, own]
        beyond = (2.0 * _above(tens) - 1).to(first.device)
        beyond[rows, own] = 0  # neither is certain yet
        difference = (first * beyond).sum(1) + same * _less(second, _above(units).to(first.device))
        values.append(difference.unsqueeze(1))
    return per_prompt(
        prompts, made, values, ("difference",), "probability of years above the start less that of others"
    )


def _less(chances: Float[Tensor, "batch digits"], right: Bool[Tensor, "batch digits"]) -> Float[Tensor, " batch"]:
    return (chances * (2.0 * right - 1)).sum(1)


def _right(batch: Batch) -> Bool[Tensor, "batch digits"]:
    """Which digits may follow: tens from the start's on, units above the start's."""
    least = []
    for prompt in batch.prompts:
        tens, units = map(int, prompt.label("year"))
        least.append(tens - 1 if prompt.label("digit") == "tens" else units)
    return _above(least).to(batch.tokens.device)


def _above(least: list[int]) -> Bool[Tensor, "batch digits"]:
    return torch.arange(len(DIGITS)) > torch.tensor(least).unsqueeze(1)


def _digits(model: Model, batch: Batch) -> Tensor:
    """The ids of the ten digits, as they would follow a digit."""
    ids = model.tokenizer(list(DIGITS), add_special_tokens=False)["input_ids"]
    for digit, own in zip(DIGITS, ids, strict=True):
        if len(own) != 1 or own == [model.tokenizer.unk_token_id]:
            raise ValueError(
                f"{digit!r} is {own} in {checkpoint_of(model).name}, not one token: choose a model that reads digits"
            )
    return torch.tensor([own[0] for own in ids], device=batch.tokens.device)
