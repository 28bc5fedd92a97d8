"""Right against wrong: pairs of prompts of which a half-trained model answers one, and the activations of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from mechlib.lab.batching import batches, per_prompt
from mechlib.lab.behaviour import answers_correctly
from mechlib.lab.hooks import mlp_layers, run
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.measurement import Measurement
from mechlib.parts.heads import all_heads
from mechlib.prompts.promptset import Prompt, PromptSet


def right_against_wrong(model: Model, prompts: PromptSet) -> PromptSet:
    """The prompts whose clean text this model answers rightly and whose corrupted text, with its own answer, wrongly.

    Of rows with the same label `pair` (see `mechlib.prompts.addition.partners`) the first such one is kept; two rows
    may still have the same corrupted pair. Which prompts these are depends on the model: a claim about them says so,
    and no share of them is a share of all prompts. Raises ValueError where there is none.
    """
    return _against_wrong(model, prompts, clean_is_right=True)


def wrong_against_wrong(model: Model, prompts: PromptSet) -> PromptSet:
    """The prompts whose clean text this model answers wrongly too: patching then patches nothing right in.

    Otherwise as `right_against_wrong`.
    """
    return _against_wrong(model, prompts, clean_is_right=False)


def _against_wrong(model: Model, prompts: PromptSet, clean_is_right: bool) -> PromptSet:
    right, other = _answered(model, prompts, asked_clean), _answered(model, prompts, asked_corrupted)
    kept: dict[str, Prompt] = {}
    for row in prompts:
        if right[asked_clean(row)] == clean_is_right and not other[asked_corrupted(row)]:
            kept.setdefault(row.label("pair"), row)
    here = "right" if clean_is_right else "wrong"
    if not kept:
        raise ValueError(
            f"{checkpoint_of(model).name} answers no pair of {prompts!r} {here}ly here and wrongly there: "
            f"{here} against wrong needs a model that does both"
        )
    return replace(prompts, name=f"{prompts.name}, {here} against wrong", rows=tuple(kept.values()))


def _answered(model: Model, prompts: PromptSet, ask: Callable[[Prompt], Prompt]) -> dict[Prompt, bool]:
    """Whether the model answers each of these questions, of which several rows may ask the same."""
    each = replace(prompts, rows=tuple(dict.fromkeys(map(ask, prompts))), settings=())
    return dict(zip(each, answers_correctly(model, each).array.astype(bool).tolist(), strict=True))


def asked_clean(row: Prompt) -> Prompt:
    """The clean text as a question of its own."""
    return Prompt(row.clean, row.answer, glue=row.glue, read_position=row.read_position)


def asked_corrupted(row: Prompt) -> Prompt:
    """The corrupted text as a question of its own, with its own answer: without a distractor that of the clean text.

    ValueError where a row has none.
    """
    if not row.corrupted:
        raise ValueError(
            f"{row.clean!r} has no corrupted text: right against wrong needs one with an answer of its own"
        )
    return Prompt(row.corrupted, row.distractor or row.answer, glue=row.glue, read_position=row.read_position)


def answers_exchanged(prompts: PromptSet) -> PromptSet:
    """The prompts with answer and distractor exchanged: the corrupted text's answer then counts as right."""
    rows = tuple(replace(row, answer=row.distractor, distractor=row.answer) for row in prompts)
    return replace(prompts, name=f"{prompts.name}, answers exchanged", rows=rows)


def activation_norms(model: Model, prompts: PromptSet, unit: str = "") -> Measurement:
    """Norms at the last position: of the residual stream after each layer, of each MLP's output, of each head's.

    Euclidean; columns "after layer 0", ..., "mlp 0", ..., and heads (their output before W_O). Strata: "right"
    where the model's answer is right, else "wrong".
    """
    layers = range(model.cfg.n_layers)
    stream = [f"blocks.{layer}.hook_resid_post" for layer in layers]
    mlps = [f"blocks.{layer}.hook_mlp_out" for layer in mlp_layers(model)]
    heads = [f"blocks.{layer}.attn.hook_z" for layer in layers]
    made = batches(model, prompts)
    values = []
    for batch in made:
        kept = run(model, batch.tokens, keep=(*stream, *mlps, *heads), last=1)[1]
        whole = torch.stack([kept[name][:, -1].norm(dim=-1) for name in (*stream, *mlps)], dim=1)
        values.append(torch.cat([whole, *(kept[name][:, -1].norm(dim=-1) for name in heads)], dim=1))
    columns = (
        *(f"after layer {layer}" for layer in layers),
        *(f"mlp {layer}" for layer in mlp_layers(model)),
        *map(str, all_heads(model.cfg.n_layers, model.cfg.n_heads)),
    )
    found = per_prompt(prompts, made, values, columns, "norm of the activation at the last position", unit)
    right = answers_correctly(model, prompts, unit).array
    return replace(found, strata=tuple("right" if one else "wrong" for one in right))
