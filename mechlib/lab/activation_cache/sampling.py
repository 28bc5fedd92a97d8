"""The model's own texts: drawn token by token at temperature 1 from its BOS, with keys and values kept.

Nothing is cut off the distribution: no top-k, no top-p, unlike the defaults of other generators.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from mechlib.lab.activation_cache.rows import TokenRows, row_length
from mechlib.lab.batching import require_causal
from mechlib.lab.hooks import run
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.lab.models.outputs import require_words_in_logits
from mechlib.lab.models.tokens import bos_ids


def sampled_rows(model: Model, length: int | None = None, seed: int = 0) -> TokenRows:
    """Texts that the model writes behind its BOS, as rows of at most `length` tokens, without an end of their number.

    Each row has random numbers of its own, of (seed, row): which text it is depends on no batch, but for rounding. A
    text ends before an end-of-text token, or a second BOS. Raises ValueError for a model without BOS, for one that is
    bidirectional or whose logits belong to other words, and for a length that the context does not have.
    """
    name, length = checkpoint_of(model).name, row_length(model, length)
    first = bos_ids(model)
    if not first:
        raise ValueError(f"{name} has no BOS to write from: give texts, or a BOS (--bos)")
    require_words_in_logits(model, "writing on")
    require_causal(model, "writing on")

    def read(start: int, stop: int) -> list[list[int]]:
        return sampled(model, [np.random.default_rng([seed, row]).random(length) for row in range(start, stop)])

    said = {"from": "the model's own samples", "temperature": 1, "seed": seed, "length": length}
    return TokenRows(read, len(first), length, None, said)


def sampled(model: Model, draws: list[np.ndarray]) -> list[list[int]]:
    """A text for each list of numbers in [0, 1), which choose a token each; BOS, then up to one token less than these.

    The token is the one in whose share of the distribution, tokens in the order of their ids, the number falls.
    """
    first, ends = bos_ids(model), {*bos_ids(model), model.tokenizer.eos_token_id}
    device = model.cfg.device
    numbers = torch.tensor(np.stack(draws))
    tokens = torch.tensor([first] * len(draws), device=device)
    ended, past = torch.zeros(len(draws), dtype=torch.bool, device=device), None
    closing = torch.tensor(sorted(one for one in ends if one is not None), device=device)
    for at in range(len(first), numbers.shape[1]):
        logits, past = _next(model, tokens, past)
        tokens = torch.cat([tokens, _drawn(logits.cpu(), numbers[:, at : at + 1]).to(device)], dim=1)
        ended |= torch.isin(tokens[:, -1], closing)
        if bool(ended.all()):
            break
    return [_until(row, len(first), ends) for row in tokens.tolist()]


def _drawn(logits: Float[Tensor, "batch d_vocab"], numbers: Float[Tensor, "batch one"]) -> Int[Tensor, "batch one"]:
    shares = logits.double().softmax(-1).cumsum(-1)
    chosen = torch.searchsorted(shares, numbers * shares[:, -1:], right=True)
    return chosen.clamp(max=shares.shape[1] - 1)


def _next(model: Model, tokens: Int[Tensor, "batch pos"], past: Any) -> tuple[Float[Tensor, "batch d_vocab"], Any]:
    """Logits behind the last token, and keys and values of all of them, where the model's class keeps these."""
    if not isinstance(model.original_model, PreTrainedModel):
        return run(model, tokens, last=1)[0][:, -1], None
    with torch.no_grad():
        new = tokens if past is None else tokens[:, -1:]
        made = model.original_model(new, past_key_values=past, use_cache=True)
    return made.logits[:, -1], made.past_key_values


def _until(row: list[int], lead: int, ends: set[int | None]) -> list[int]:
    """The row up to its first token that ends a text."""
    stop = next((at for at, one in enumerate(row) if at >= lead and one in ends), len(row))
    return row[:stop]
