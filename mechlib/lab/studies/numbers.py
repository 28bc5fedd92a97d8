"""Numbers: how a model embeds them, and which heads look at the operands of a sum."""

from __future__ import annotations

from collections.abc import Sequence
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
        kept = run(model, batch.tokens, keep=names, last=1)[1]
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


def number_structure(
    model: Model, permutations: int = 1000, seed: int = 0, n: int = NUMBERS, periods: tuple[float, ...] = PERIODS
) -> Measurement:
    """The order in the embeddings of 0 to n - 1, and in these with the numbers' labels permuted: one row each.

    The first row is the true order, the others are the null. Both columns are shares between 0 and 1 of the embedding
    (all its dimensions together) without its quadratic trend in the number:

    periods         the share of the power, without the mean, at these periods: of a cosine and a sine of each (or for
                    period 2 one wave: 5 of 97 degrees of freedom, so about .05 by chance). Of numbers that go round
                    these periods as often as 100 does, that is the power of the discrete Fourier transform. It leaks: a
                    wave of another period less than 1 / n away in frequency has a share too (period 4.913 .65 at 5);
                    `periods_of_numbers` tells such waves apart
    units and tens  the share of the variance that tens digit and units digit explain additively (two-way analysis of
                    variance: of their 18 degrees of freedom the trend has taken two, which leaves 16 of 97 degrees of
                    freedom, so about .165 by chance)

    Chances are those of 100 numbers. From weights alone: exact for this checkpoint. Raises ValueError where a number
    has several tokens, for periods below 2 or above n, and below 20 numbers, which two digits would explain whole.
    Source: Nanda et al. 2023, arXiv:2301.05217, for periods; the two-way table is Fisher's.
    """
    check_periods(periods, n)
    if n < 20:
        raise ValueError(f"{n} numbers: tens digit and units digit would explain all; give at least 20")
    embedding = embedding_of_numbers(model, n)
    names, orders = orders_of(n, permutations, seed)
    waves, digits = wave_basis(n, periods), digit_basis(n)
    values = []
    for order in orders:
        left = without_trend(embedding[order])
        values.append([share_in(left, waves), share_in(left, digits)])
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
    left = without_trend(embedding_of_numbers(model, NUMBERS))
    table = (left - left.mean(axis=0)).reshape(10, 10, -1)  # tens units d_model
    tens, units = (10 * (table.mean(axis=axis) ** 2).sum() / (table**2).sum() for axis in (1, 0))
    of = "share of the number embedding, without its quadratic trend"
    values = np.array([[tens, units]])
    return Measurement(values, ("in order",), unit="order of the numbers", columns=("tens", "units"), of=of)


def embedding_of_numbers(model: Model, n: int) -> Float[np.ndarray, "n d_model"]:
    """The embeddings of 0 to n - 1. ValueError where one of these numbers is not one token."""
    rows = torch.tensor([_token(model, number) for number in range(n)], device=model.W_E.device)
    found: np.ndarray = model.W_E.detach()[rows].cpu().double().numpy()
    return found


def orders_of(n: int, permutations: int, seed: int) -> tuple[tuple[str, ...], list[Int[np.ndarray, " n"]]]:
    """The true order and random ones, with their names."""
    stream = np.random.default_rng(seed)
    orders = [np.arange(n), *(stream.permutation(n) for _ in range(permutations))]
    return ("in order", *(f"permutation {number}" for number in range(1, len(orders)))), orders


def check_periods(periods: Sequence[float], n: int) -> None:
    """ValueError for periods of which n numbers say nothing."""
    for period in periods:
        if not 2 <= period <= n:
            raise ValueError(
                f"period {period:g} in {n} numbers: two numbers at least make a wave, and all of them at most"
            )
    if not periods:
        raise ValueError("no periods: name at least one, as in (2, 5, 10)")


def without_trend(embedding: Float[np.ndarray, "n d_model"]) -> Float[np.ndarray, "n d_model"]:
    """Each dimension less the quadratic in n that fits it best (least squares)."""
    basis = trend(len(embedding))
    return embedding - basis @ (basis.T @ embedding)


def trend(n: int) -> Float[np.ndarray, "n 3"]:
    """Orthonormal columns that span all quadratics in the number."""
    x = np.arange(n) / n
    basis: np.ndarray = np.linalg.qr(np.stack([np.ones_like(x), x, x**2], axis=1))[0]
    return basis


def share_of_periods(left: Float[np.ndarray, "n d_model"], periods: Sequence[float] = PERIODS) -> float:
    """Power at these periods as a share of all but the mean's, of any n and any periods."""
    return share_in(left, wave_basis(len(left), periods))


def share_of_digits(left: Float[np.ndarray, "n d_model"]) -> float:
    """Variance explained by the tens digit (tens and hundreds together) and the units digit, additively."""
    return share_in(left, digit_basis(len(left)))


def share_in(left: Float[np.ndarray, "n d_model"], basis: Float[np.ndarray, "n k"]) -> float:
    """The share of the variance that these orthonormal columns without mean explain, all dimensions together."""
    return float(((basis.T @ left) ** 2).sum() / ((left - left.mean(axis=0)) ** 2).sum())


def wave_basis(n: int, periods: Sequence[float]) -> Float[np.ndarray, "n k"]:
    """Orthonormal columns without mean that span a cosine and a sine of each period."""
    angles = [2 * np.pi * np.arange(n) / period for period in periods]
    return orthonormal(_centred(np.stack([wave(angle) for angle in angles for wave in (np.cos, np.sin)], axis=1)))


def digit_basis(n: int) -> Float[np.ndarray, "n k"]:
    """Orthonormal columns without mean that span all sums of a function of the tens and one of the units."""
    tens, units = np.divmod(np.arange(n), 10)
    table = np.concatenate([np.eye(tens.max() + 1)[tens], np.eye(10)[units]], axis=1)
    return orthonormal(_centred(table))


def orthonormal(columns: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n rank"]:
    """Orthonormal columns with the span of these, which may depend on each other."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    found: np.ndarray = left[:, sizes > 1e-9 * sizes[0]]
    return found


def _centred(columns: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    return columns - columns.mean(axis=0)
