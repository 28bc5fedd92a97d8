"""Bases: the activations that stand outside a circuit, by the replacement that is asked for.

A base holds, for every node, the activation that it has where no edge of the circuit carries its output: in the run of
the corrupted prompt ("counterfactual"), in the mean over reference prompts ("mean"), in the run of one of them
("resample"), or zeros ("zero").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.batching import Batch
from mechlib.lab.forward.families import Network, forward
from mechlib.lab.interventions.reference import Align, mean_activations, require_reference, resample_bank
from mechlib.lab.models.loading import Model
from mechlib.prompts.promptset import PromptSet

Replacement = Literal["counterfactual", "mean", "resample", "zero"]
Base: TypeAlias = Mapping[str, Tensor] | None  # activations by hook name, of `base_names`; None for zeros


def bases(
    model: Model,
    net: Network,
    prompts: PromptSet,
    replacement: Replacement,
    reference: PromptSet | None,
    seed: int,
    align: Align = "end",
) -> Callable[[Batch], Base]:
    """The base of each batch of the prompts, for this replacement; "resample" is drawn with `seed`.

    Raises ValueError for an unknown replacement, for "mean" and "resample" without prompts of the reference split or
    with one that is tested, and, of a batch without corrupted texts, for "counterfactual".
    """
    if replacement == "counterfactual":
        return lambda batch: base_of_run(net, corrupted_tokens(batch))
    if replacement == "zero":
        return lambda batch: None
    if replacement not in ("mean", "resample"):
        raise ValueError(f"no replacement {replacement!r}: choose one of {', '.join(get_args(Replacement))}")
    if reference is None:
        raise ValueError(f"{replacement} needs reference prompts: pass the task's split='reference'")
    require_reference(reference, prompts)
    names = base_names(net)
    if replacement == "mean":
        return mean_activations(model, reference, names, align)
    return resample_bank(model, reference, names, seed, align)


def base_names(net: Network) -> tuple[str, ...]:
    """The hook names of a base's activations: embeddings, then each layer's heads, then each MLP (if any)."""
    layers = range(net.n_layers)
    return (
        "blocks.0.hook_resid_pre",
        *(f"blocks.{layer}.attn.hook_z" for layer in layers),
        *(f"blocks.{layer}.hook_mlp_out" for layer in layers if net.has_mlps),
    )


def base_of_run(net: Network, tokens: Int[Tensor, "batch pos"]) -> dict[str, Tensor]:
    """The activations of an unpatched run, as a base."""
    return forward(net, tokens, keep=base_names(net))[1]


def written_in_base(
    net: Network, tokens: Int[Tensor, "batch pos"], base: Base
) -> Float[Tensor, "source batch pos d_model"]:
    """The output of every node in the base, in the order of `net.graph.sources`; zeros where the base is None.

    An MLP's bias is part of its output; the bias of an attention layer belongs to no node.
    """
    if base is None:
        return torch.zeros(len(net.graph.sources), *tokens.shape, net.W_E.shape[1], device=tokens.device)
    parts = [base["blocks.0.hook_resid_pre"].unsqueeze(0)]
    for layer, block in enumerate(net.blocks):
        z = base[f"blocks.{layer}.attn.hook_z"]
        parts.append(torch.einsum("bphd,hdm->hbpm", z, block.W_O))
        if net.has_mlps:
            parts.append(base[f"blocks.{layer}.hook_mlp_out"].unsqueeze(0))
    return torch.cat(parts)


def corrupted_tokens(batch: Batch) -> Int[Tensor, "batch pos"]:
    """The corrupted tokens of a batch. ValueError, naming the prompt, where there are none."""
    if batch.corrupted is None:
        raise ValueError(
            f"{batch.prompts[0].clean!r} has no corrupted text: there is no counterfactual run; use mean, resample "
            "or zero, or give the task a corruption"
        )
    return batch.corrupted
