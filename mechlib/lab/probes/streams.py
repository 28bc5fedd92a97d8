"""The residual stream of prompts at one place each, at every depth; and the bags of tokens that a place can see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.attribution.logit_lens import depths
from mechlib.lab.batching import Batch, in_order, per_prompt, require_finite
from mechlib.lab.hooks import run
from mechlib.lab.interventions.contexts import indices
from mechlib.lab.interventions.patching import CLEAN, Side
from mechlib.lab.interventions.places import Site
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.lab.models.tokens import is_causal
from mechlib.lab.probes.targets import value_of
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet

At: TypeAlias = str | int
END: Final = "end"
Depths: TypeAlias = Sequence[str] | None
Array: TypeAlias = Float[np.ndarray, "prompts features"]


def positions(batch: Batch, at: At) -> Int[Tensor, " batch"]:
    """Where each row of a batch is read, BOS counted.

    "end"          the last position, behind which the answer is decided
    a number       a position, negative from the end
    "+"            where the clean text says this word, its last token; the word is said once
    "{a}"          where it says the value of a label, or with "{answer}", "{distractor}" of a word
    "first +"      the first of several mentions; "last {b}" the last one

    Raises ValueError, naming the text, for what it does not say, or says several times where neither is asked for.
    """
    length = batch.tokens.shape[1]
    if at == END:
        found = [length - 1] * len(batch.rows)
    elif isinstance(at, str):
        found = [_said(batch, row, at) for row in range(len(batch.rows))]
    else:
        found = indices(at, length) * len(batch.rows)
    return torch.tensor(found, device=batch.tokens.device)


def _said(batch: Batch, row: int, at: str) -> int:
    prompt = batch.prompts[row]
    which, _, rest = at.partition(" ")
    which, word = (which, rest) if which in ("first", "last") and rest else ("", at)
    if word.startswith("{") and word.endswith("}"):
        (word,) = value_of(prompt, word[1:-1])
    places = batch.mentions(row, word)
    if not places:
        raise ValueError(f"{word!r} is not said in {prompt.clean!r}: nothing can be read at {at!r}")
    if len(places) > 1 and not which:
        raise ValueError(f"{word!r} is said {len(places)} times in {prompt.clean!r}: ask for 'first {at}', 'last {at}'")
    return places[-1 if which == "last" else 0]


def chosen_depths(model: Model, layers: Depths) -> tuple[str, ...]:
    """The names of these depths, by default all: "embeddings", "after layer 0", ... ValueError for another one."""
    known = depths(model)
    wanted = known if layers is None else (layers,) if isinstance(layers, str) else tuple(layers)
    strange = next((one for one in wanted if one not in known), None)
    if strange is not None or not wanted:
        raise ValueError(
            f"{checkpoint_of(model).name} has no depth {strange!r}: choose among {known[0]}, {known[1]} to {known[-1]}"
        )
    return wanted


def depth_of(model: Model, name: str) -> int:
    """How many layers have written to the stream at this depth: 0 for "embeddings"."""
    return depths(model).index(name)


def hook_of(depth: int) -> str:
    """The hook name of the stream behind so many layers."""
    return (Site("resid_post", depth - 1) if depth else Site("resid_pre", 0)).hook


def streams(
    model: Model, made: Sequence[Batch], at: At = END, layers: Depths = None, text: Side = CLEAN
) -> dict[str, Array]:
    """The residual stream of each prompt at one place, by depth: float64, [prompts d_model], in the prompts' order.

    Raises ValueError as `positions` does, where a prompt has no corrupted text and it is asked for, and where an
    activation is NaN or infinite, naming the prompt.
    """
    wanted = chosen_depths(model, layers)
    names = [hook_of(depth_of(model, one)) for one in wanted]
    found = []
    for batch in made:
        tokens = batch.tokens if text == CLEAN else batch.corrupted
        if tokens is None:
            raise ValueError(f"{batch.prompts[0].clean!r} has no corrupted text: there is no second run to read")
        kept = run(model, tokens, keep=names, last=1)[1]
        rows, where = torch.arange(len(tokens), device=tokens.device), positions(batch, at)
        own = torch.stack([kept[name][rows, where] for name in names], dim=1)
        require_finite(batch, own, checkpoint_of(model).name)
        found.append(own)
    whole = in_order(made, found)
    return {name: whole[:, number] for number, name in enumerate(wanted)}


def bags(model: Model, made: Sequence[Batch], at: At = END) -> dict[Literal["embeddings", "tokens"], Array]:
    """What a place's tokens give without their order: the sum of their embeddings, and how often there is each token.

    The tokens are those that the place sees: up to it in a causal model, all in a bidirectional one. Embeddings are
    without positions, as the model stores them. Columns of "tokens" are the tokens that occur anywhere.
    """
    used = torch.cat([batch.tokens.flatten() for batch in made]).unique()
    counts = []
    for batch in made:
        inside = torch.arange(batch.tokens.shape[1], device=used.device) <= positions(batch, at)[:, None]
        if not is_causal(model):
            inside = torch.ones_like(inside)
        own = torch.zeros(len(batch.rows), len(used), device=used.device)
        counts.append(own.scatter_add_(1, torch.searchsorted(used, batch.tokens), inside.float()))
    embedded = in_order(made, [own @ model.W_E.detach()[used].float() for own in counts])
    whole = in_order(made, counts)
    return {"embeddings": embedded, "tokens": whole[:, whole.any(axis=0)]}


def tokens_at(made: Sequence[Batch], at: At) -> tuple[str, ...]:
    """The id of the token at each prompt's place, in the prompts' order: its word type."""
    found = in_order(made, [batch.tokens.gather(1, positions(batch, at)[:, None]) for batch in made])
    return tuple(str(int(one)) for one in found[:, 0])


def measured(
    prompts: PromptSet,
    made: Sequence[Batch],
    columns: dict[str, np.ndarray],
    of: str,
    unit: str = "",
    yes_no: bool = False,
) -> Measurement:
    """Columns of one value a prompt, in the prompts' order, as a Measurement."""
    values = torch.from_numpy(np.stack(list(columns.values()), axis=1))
    return per_prompt(prompts, made, [values[list(batch.rows)] for batch in made], tuple(columns), of, unit, yes_no)
