"""Numbers: how a model embeds them, and which heads look at the operands of a sum."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.batching import Batch, batches, per_prompt
from mechlib.lab.hooks import run
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.measurement import Measurement
from mechlib.parts.heads import all_heads
from mechlib.prompts.promptset import PromptSet

NUMBERS = 100  # numbers that are looked at: 0 to 99, all operands of training
PERIODS = (2, 5, 10)


def attention_to_operand(model: Model, prompts: PromptSet, operand: Literal["a", "b"], unit: str = "") -> Measurement:
    """Attention probability of every head from the last token to one operand, one column a head; between 0 and 1.

    The operands are the prompts' labels `a` and `b`. `a` is sought at its first mention, solved examples included, and
    `b` at its last, so that they are told apart where both are the same number. They are sought in the text: a number
    that begins it may be another token. Raises ValueError for a number of several tokens, and for one that the prompt
    does not say; KeyError where a prompt lacks the label.
    """
    if operand not in ("a", "b"):
        raise ValueError(f"no operand {operand!r}: choose a or b")
    made = batches(model, prompts)
    names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(model.cfg.n_layers)]
    values = []
    for batch in made:
        kept = run(model, batch.tokens, keep=names)[1]
        pattern = torch.cat([kept[name][:, :, -1] for name in names], dim=1)  # batch heads key
        where = _mentions(model, batch, operand)
        values.append(pattern[torch.arange(len(where), device=where.device), :, where])
    heads = map(str, all_heads(model.cfg.n_layers, model.cfg.n_heads))
    return per_prompt(prompts, made, values, heads, f"attention to the operand {operand}", unit)


def _mentions(model: Model, batch: Batch, operand: str) -> Int[Tensor, " batch"]:
    found = []
    for row, prompt in enumerate(batch.prompts):
        number = str(int(prompt.label(operand)))
        _token(model, int(number))
        places = batch.mentions(row, number)
        if not places:
            raise ValueError(f"{number} does not occur in {prompt.clean!r}: nothing can attend to it")
        found.append(places[0] if operand == "a" else places[-1])
    return torch.tensor(found, device=batch.tokens.device)


def _token(model: Model, number: int) -> int:
    ids: list[int] = model.tokenizer(f" {number}", add_special_tokens=False)["input_ids"]
    if ids == [model.tokenizer.unk_token_id]:
        raise ValueError(f"{checkpoint_of(model).name} does not know the number {number}")
    if len(ids) != 1:
        raise ValueError(
            f"{number} has {len(ids)} tokens {ids} in {checkpoint_of(model).name}: one is needed, "
            "choose a model whose numbers are words"
        )
    return ids[0]


def number_structure(model: Model, permutations: int = 1000, seed: int = 0) -> Measurement:
    """The order in the embeddings of 0 to 99, and in these with the numbers' labels permuted: one row each.

    The first row is the true order, the others are the null. Both columns are shares between 0 and 1 of the embedding
    (all its dimensions together) without its quadratic trend in the number:

    periods         the share of the power, without the mean, at periods 2, 5 and 10 of the discrete Fourier transform
                    over the numbers (a cosine and a sine, or for period 2 one wave: 5 of 97 degrees of freedom, so
                    about .05 by chance)
    units and tens  the share of the variance that tens digit and units digit explain additively (two-way analysis of
                    variance: of their 18 degrees of freedom the trend has taken two, which leaves 16 of 97 degrees of
                    freedom, so about .165 by chance)

    A number from weights alone: exact for this checkpoint. Raises ValueError where a number has several tokens.
    Source: Nanda et al. 2023, arXiv:2301.05217, for periods; the two-way table is Fisher's.
    """
    embedding = _embedding(model)
    stream = np.random.default_rng(seed)
    orders = [np.arange(NUMBERS), *(stream.permutation(NUMBERS) for _ in range(permutations))]
    values = []
    for order in orders:
        left = without_trend(embedding[order])
        values.append([share_of_periods(left), share_of_digits(left)])
    names = ("in order", *(f"permutation {number}" for number in range(1, len(orders))))
    return Measurement(
        np.array(values),
        names,
        unit="order of the numbers",
        columns=("periods", "units and tens"),
        of="share of the number embedding, without its quadratic trend",
    )


def shares_of_each_digit(model: Model) -> Measurement:
    """The shares of tens digit and units digit in the embeddings of 0 to 99, without their quadratic trend.

    One row, columns "tens" and "units", which add up to the column "units and tens" of `number_structure`; by chance
    about .07 (the trend takes two of nine degrees of freedom) and .09.
    """
    left = without_trend(_embedding(model))
    table = (left - left.mean(axis=0)).reshape(10, 10, -1)  # tens units d_model
    tens, units = (10 * (table.mean(axis=axis) ** 2).sum() / (table**2).sum() for axis in (1, 0))
    of = "share of the number embedding, without its quadratic trend"
    values = np.array([[tens, units]])
    return Measurement(values, ("in order",), unit="order of the numbers", columns=("tens", "units"), of=of)


def _embedding(model: Model) -> Float[np.ndarray, "n d_model"]:
    rows = torch.tensor([_token(model, number) for number in range(NUMBERS)], device=model.W_E.device)
    return model.W_E.detach()[rows].cpu().double().numpy()


def without_trend(embedding: Float[np.ndarray, "n d_model"]) -> Float[np.ndarray, "n d_model"]:
    """Each dimension less the quadratic in n that fits it best (least squares)."""
    n = np.arange(len(embedding)) / len(embedding)
    basis, _ = np.linalg.qr(np.stack([np.ones_like(n), n, n**2], axis=1))
    return embedding - basis @ (basis.T @ embedding)


def share_of_periods(left: Float[np.ndarray, "n d_model"], periods: tuple[int, ...] = PERIODS) -> float:
    """Power at these periods as a share of all but the mean's."""
    power = (np.abs(np.fft.rfft(left, axis=0)) ** 2).sum(axis=1)
    power[1 : (len(left) + 1) // 2] *= 2  # these have a mirror image each
    return float(power[[len(left) // period for period in periods]].sum() / power[1:].sum())


def share_of_digits(left: Float[np.ndarray, "n d_model"]) -> float:
    """Variance explained by the tens digit and the units digit, additively, of 100 numbers in order."""
    table = (left - left.mean(axis=0)).reshape(10, 10, -1)  # tens units d_model
    explained = 10 * (table.mean(axis=1) ** 2).sum() + 10 * (table.mean(axis=0) ** 2).sum()
    return float(explained / (table**2).sum())
