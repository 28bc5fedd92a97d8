"""How well a dictionary reconstructs an activation, and what the model loses by it: by sequence, or by prompt.

Each column is a mean over a sequence's tokens, so that a claim puts intervals over sequences: a share is a ratio of two
columns, never a mean of shares. BOS is left alone: it is neither reconstructed nor counted, and so are activations of a
size that the dictionary is not for (`Dictionary.limit`), whatever is put in the others' place.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.lab.batching import batches, per_prompt, require_causal
from mechlib.lab.features.dictionaries import DeadDictionary, Dictionary
from mechlib.lab.features.loading import require_of
from mechlib.lab.features.splicing import at, constant, reconstruction, require_device
from mechlib.lab.hooks import Edit, run
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.lab.models.outputs import require_words_in_logits
from mechlib.lab.models.tokens import bos_ids
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet

COLUMNS = (
    "L0", "squared error", "squared deviation", "loss", "loss reconstructed", "loss mean", "loss zero", "KL",
    "recovered", "to recover", "recovered from zero", "to recover from zero",
)  # fmt: skip
OF = "features active on a token, squares of the activation, losses and KL in nats per token"
TOKENS = 2048  # that run side by side


def dictionary_scores(
    model: Model,
    dictionary: Dictionary,
    tokens: Int[Tensor, "sequence pos"],
    hook: str = "",
    mean: Float[Tensor, " width"] | None = None,
    names: tuple[str, ...] = (),
) -> Measurement:
    """How a dictionary does on token rows that it was not made from, a row a sequence, means over its tokens:

    "L0"                   features active on a token
    "squared error"        squared distance of the reconstruction from the activation
    "squared deviation"    squared distance of the activation from the mean: their ratio is the unexplained share
    "loss"                 cross-entropy of the next token, in nats, as the model is
    "loss reconstructed"   with the reconstruction in the activation's place
    "loss mean"            with the mean in its place; "loss zero", with zeros
    "KL"                   from the model as it is to the one with the reconstruction, in nats
    "recovered"            "loss mean" less "loss reconstructed"; "to recover" less "loss": their ratio is the
                           cross-entropy recovered. "recovered from zero" and "to recover from zero" likewise

    tokens  ids, BOS first where the model has one; a run has no padding, so that all rows are equally long
    hook    the activation; by default the dictionary's
    mean    the activation's mean, over other rows than these; by default the dictionary's
    names   of sequences, for the units; by default "sequence 0" and so on

    Raises OtherActivation for a dictionary of another model, hook or width, DeadDictionary where no feature is active,
    ValueError without a mean or a hook, for NaN, and for models whose loss means nothing else.
    """
    hook, mean, first = _ready(model, dictionary, hook, mean, tokens.shape[1])
    step = max(1, TOKENS // tokens.shape[1])
    parts = [
        _values(model, dictionary, tokens[start : start + step], hook, mean, first)
        for start in range(0, len(tokens), step)
    ]
    values = torch.cat(parts).double().cpu().numpy()
    units = names or tuple(f"sequence {number}" for number in range(len(tokens)))
    _require_alive(dictionary, values)
    order = tuple(f"{number:09d}" for number in range(len(tokens)))
    return Measurement(values, units, "sequence", COLUMNS, of=OF, order=() if names else order)


def dictionary_scores_on_prompts(
    model: Model,
    dictionary: Dictionary,
    prompts: PromptSet,
    hook: str = "",
    mean: Float[Tensor, " width"] | None = None,
    unit: str = "",
) -> Measurement:
    """As `dictionary_scores`, on the clean texts of prompts, a row a prompt: losses are of the text's own tokens."""
    hook, mean, first = _ready(model, dictionary, hook, mean)
    made = batches(model, prompts, alone=True)
    values = [_values(model, dictionary, batch.tokens, hook, mean, first) for batch in made]
    found = per_prompt(prompts, made, values, COLUMNS, OF, unit)
    _require_alive(dictionary, found.values)
    return found


def activations_at(model: Model, tokens: Int[Tensor, "sequence pos"], hook: str) -> Float[np.ndarray, "tokens width"]:
    """The activation at every token but BOS, one row each: for a census, or for baselines on few tokens."""
    first, step = len(bos_ids(model)), max(1, TOKENS // tokens.shape[1])
    parts = []
    for start in range(0, len(tokens), step):
        kept = run(model, tokens[start : start + step], keep=(hook,), last=1)[1][hook]
        parts.append(kept[:, first:].flatten(2).flatten(0, 1).float().cpu().numpy())
    return np.concatenate(parts)


def _ready(
    model: Model, dictionary: Dictionary, hook: str, mean: Tensor | None, length: int = 0
) -> tuple[str, Tensor, int]:
    """The activation, its mean, and the first position that counts."""
    require_words_in_logits(model, "the loss")
    require_causal(model, "loss on what comes next")
    hook, mean = hook or dictionary.hook, dictionary.mean if mean is None else mean
    if not hook:
        raise ValueError(f"{dictionary.name} does not say of which activation it is: name its hook")
    if mean is None:
        raise ValueError(f"{dictionary.name} has no mean on record: give the activation's mean over other rows")
    require_of(dictionary, model, hook)
    require_device(dictionary, model.cfg.device)
    first = len(bos_ids(model))
    if length and length < first + 2:
        raise ValueError(f"sequences of {length} tokens, BOS included: no token is predicted behind another one")
    return hook, mean.to(dictionary.directions), first


@torch.no_grad()
def _values(
    model: Model, dictionary: Dictionary, tokens: Int[Tensor, "batch pos"], hook: str, mean: Tensor, first: int
) -> Float[Tensor, "batch columns"]:
    where = tuple(range(first, tokens.shape[1]))
    logits, kept = run(model, tokens, keep=(hook,))
    own = at(kept[hook], where)
    if not bool(own.isfinite().all()):
        raise ValueError(f"{hook} of {checkpoint_of(model).name} is NaN or infinite: look for damaged weights")
    active, usual = dictionary.active(own), dictionary.usual(own)
    error = (dictionary.decode(active) - own).square().sum(-1)
    before = logits.log_softmax(-1)[:, first:-1]
    losses, kl = [_loss(before, tokens, first)], torch.zeros(())
    for number, edit in enumerate(_edits(dictionary, mean, where)):
        after = run(model, tokens, {hook: edit})[0].log_softmax(-1)[:, first:-1]
        losses.append(_loss(after, tokens, first))
        if number == 0:
            kl = (before.exp() * (before - after)).sum(-1).mean(-1)
    intact, reconstructed, of_mean, of_zero = losses
    columns = [
        _over(usual, (active != 0).float().sum(-1)), _over(usual, error),
        _over(usual, (own - mean).square().sum(-1)),
        intact, reconstructed, of_mean, of_zero, kl,
        of_mean - reconstructed, of_mean - intact, of_zero - reconstructed, of_zero - intact,
    ]  # fmt: skip
    return torch.stack(columns, dim=1)


def _over(usual: Bool[Tensor, "batch at"], values: Float[Tensor, "batch at"]) -> Float[Tensor, " batch"]:
    """The mean over the tokens of a size that the dictionary is for."""
    return (values * usual).sum(-1) / usual.sum(-1).clamp(min=1)


def _edits(dictionary: Dictionary, mean: Tensor, where: tuple[int, ...]) -> tuple[Edit, ...]:
    return (
        reconstruction(dictionary, where),
        constant(mean, dictionary, where),
        constant(torch.zeros_like(mean), dictionary, where),
    )


def _loss(
    log_probs: Float[Tensor, "batch pred d_vocab"], tokens: Int[Tensor, "batch pos"], first: int
) -> Float[Tensor, " batch"]:
    """Of tokens behind the first that counts: what stands before them was replaced."""
    targets = tokens[:, first + 1 :]
    return -log_probs.gather(-1, targets.unsqueeze(-1)).squeeze(-1).mean(-1)


def _require_alive(dictionary: Dictionary, values: np.ndarray) -> None:
    if not values[:, 0].any():
        raise DeadDictionary(
            f"no feature of {dictionary.name} is active on any token: every one died, or it is of another activation"
        )
