"""Spectra: how the embeddings of tokens that stand in an order vary along it, by frequency and by period.

Tokens of a cycle (residues, days, hours) have whole frequencies, and the discrete Fourier transform tells these apart
exactly: `spectrum`. Numbers have no cycle, and a wave may have any period: `periods_of_numbers` looks for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.lab.studies.numbers import PERIODS, check_periods, embedding_of_numbers, orders_of, orthonormal, trend
from mechlib.measurement import Measurement

FINE = 16  # frequencies that are tried to one part in n of the whole range
NEAR = 1 / 8  # of 1 / n: frequencies that are taken for the same
SMALLEST = 0.01  # share of what there is: a wave that explains less is not told from noise


def spectrum(model: Model, tokens: Sequence[str | int], permutations: int = 0, seed: int = 0) -> Measurement:
    """The share of the variance of tokens' embeddings at each frequency of their cycle: exact, they add up to 1.

    tokens        in the order of the cycle, the first follows the last: words of one token each, or token ids
    permutations  how many random orders are measured beside it, as in `number_structure`

    Columns "frequency 1" to "frequency n // 2": waves in one turn, all dimensions together, without the mean. Each has
    a cosine and a sine, so 2 / (n - 1) by chance; the last one, where n is even, has one wave. One row, "in order", and
    one for each permutation. A network that adds modulo n by rotations has a few high ones.

    Raises ValueError for fewer than three tokens, repeated ones, a word that is not one token, and where all embeddings
    are the same.
    Source: Nanda et al. 2023, arXiv:2301.05217, section 4.1; Parseval's theorem for the sum.
    """
    ids = [_token(model, token) for token in tokens]
    if len(ids) < 3 or len(set(ids)) < len(ids):
        raise ValueError(f"{len(ids)} tokens, {len(set(ids))} of them distinct: a cycle has at least 3, each once")
    rows = torch.tensor(ids, device=model.W_E.device)
    embedding = model.W_E.detach()[rows].cpu().double().numpy()
    if not np.ptp(embedding, axis=0).any():
        raise ValueError(f"all {len(ids)} tokens have one embedding in {checkpoint_of(model).name}: nothing varies")
    names, orders = orders_of(len(ids), permutations, seed)
    values = np.array([shares_of_frequencies(embedding[order]) for order in orders])
    columns = tuple(f"frequency {number}" for number in range(1, values.shape[1] + 1))
    return Measurement(
        values, names, unit="order of the tokens", columns=columns, of="share of the embedding's variance"
    )


def shares_of_frequencies(embedding: Float[np.ndarray, "n d_model"]) -> Float[np.ndarray, " frequency"]:
    """Power at each whole frequency from 1 to n // 2, as a share of all but the mean's."""
    power = (np.abs(np.fft.rfft(embedding, axis=0)) ** 2).sum(axis=1)
    power[1 : (len(embedding) + 1) // 2] *= 2  # these have a mirror image each
    found: np.ndarray = power[1:] / power[1:].sum()
    return found


def periods_of_numbers(
    model: Model, periods: tuple[float, ...] = PERIODS, n: int = 100, permutations: int = 100, seed: int = 0
) -> Measurement:
    """The share of the embeddings of 0 to n - 1, without their quadratic trend, in waves of each of these periods.

    Waves are sought one after another, each with the frequency that explains most of what the ones before have left
    (least squares on the trend and on all waves together), until one explains less than 1 %. A wave counts for a period
    if its frequency is that of the period to an eighth of 1 / n, the width of a peak: one of period 4.913 counts
    nothing for 5, where the power at period 5 alone, as in `number_structure`, would have .65 of it.

    Columns "period 2" and so on, between 0 and 1; rows "in order" and permutations, as in `number_structure`. Raises
    ValueError for periods below 2 or above n, and where a number has several tokens.
    Source: Mallat and Zhang 1993 and Pati et al. 1993 for orthogonal matching pursuit.
    """
    check_periods(periods, n)
    embedding = embedding_of_numbers(model, n)
    names, orders = orders_of(n, permutations, seed)
    values = np.array([shares_in_waves(embedding[order], periods) for order in orders])
    columns = tuple(f"period {period:g}" for period in periods)
    of = "share of the number embedding, without its quadratic trend"
    return Measurement(values, names, unit="order of the numbers", columns=columns, of=of)


def shares_in_waves(
    embedding: Float[np.ndarray, "n d_model"], periods: Sequence[float]
) -> Float[np.ndarray, " periods"]:
    """What waves of each period explain of an embedding beyond its trend, where no wave of another period does."""
    n, free_of = len(embedding), trend(len(embedding))
    frequencies = np.unique([*np.arange(FINE, FINE * n // 2 + 1) / (FINE * n), *(1 / period for period in periods)])
    angles = 2 * np.pi * np.arange(n)[:, None] * frequencies
    waves, left, shares = np.stack([np.cos(angles), np.sin(angles)], axis=2), embedding, np.zeros(len(periods))
    whole = float((_without(free_of, left) ** 2).sum())
    while True:
        waves, left = _without(free_of, waves), _without(free_of, left)
        explained = _explained(waves, left)
        best = int(explained.argmax())
        if not explained[best] > SMALLEST * whole:
            return shares
        shares[np.abs(frequencies[best] - 1 / np.array(periods)) <= NEAR / n] += explained[best] / whole
        free_of = orthonormal(waves[:, best])


def _without(basis: Float[np.ndarray, "n k"], columns: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "n ..."]:
    """Columns less their projections onto an orthonormal basis."""
    flat = columns.reshape(len(columns), -1)
    found: np.ndarray = (flat - basis @ (basis.T @ flat)).reshape(columns.shape)
    return found


def _explained(
    waves: Float[np.ndarray, "n frequency two"], left: Float[np.ndarray, "n d_model"]
) -> Float[np.ndarray, " frequency"]:
    """The sum of squares that each pair of waves explains: of two, of one where they are one, of none."""
    cosine, sine = waves[:, :, 0], waves[:, :, 1]
    a, b, c = ((one * other).sum(0) for one, other in ((cosine, cosine), (cosine, sine), (sine, sine)))
    x, y = cosine.T @ left, sine.T @ left
    p, r, q = ((one * other).sum(1) for one, other in ((x, x), (x, y), (y, y)))
    size, volume = a + c, a * c - b**2
    one = np.divide(p + q, size, out=np.zeros_like(size), where=size > 1e-9 * len(left))
    both = (volume > 1e-9 * size**2) & (size > 1e-9 * len(left))
    found: np.ndarray = np.divide(c * p - 2 * b * r + a * q, volume, out=one, where=both)
    return found


def _token(model: Model, token: str | int) -> int:
    """The id of a word, as it stands in a text or alone. ValueError where it is not one token of the vocabulary."""
    if isinstance(token, str):
        for text in (f" {token}", token):
            ids: list[int] = model.tokenizer(text, add_special_tokens=False)["input_ids"]
            if len(ids) == 1 and ids[0] != model.tokenizer.unk_token_id:
                return ids[0]
        raise ValueError(
            f"{token!r} is not one token of {checkpoint_of(model).name}: ids {ids}; give words or ids it has"
        )
    if not 0 <= token < len(model.W_E):
        raise ValueError(f"no token {token} in {checkpoint_of(model).name}: it has 0 to {len(model.W_E) - 1}")
    return int(token)
