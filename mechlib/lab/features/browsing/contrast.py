"""Search by contrast: which features tell texts with a concept from texts without."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import rankdata

from mechlib.lab.activation_cache.rows import token_rows
from mechlib.lab.activation_cache.running import row_activations
from mechlib.lab.features.browsing.activity import TOGETHER
from mechlib.lab.features.browsing.cards import ready, require_discovery
from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.models.loading import Model
from mechlib.lab.models.tokens import tokens
from mechlib.parts.chosen import ChosenNumber
from mechlib.prompts.promptset import PromptSet

Where = Literal["any", "last"]


def contrasting(
    model: Model, dictionary: Dictionary, with_concept: PromptSet, without: PromptSet, where: Where = "any"
) -> list[dict[str, Any]]:
    """Features by how well they tell two sets of prompts for discovery apart, the best first.

    where  "any": a feature is as active in a text as on its most active token behind BOS; "last": as on its last token

    Of each: "feature", a number that remembers on which prompts it was chosen, so that no claim is judged on these;
    "auroc", the chance that it is more active in a text with the concept than in one without, ties half, so that one
    that fires where the concept is not is near 0; "with" and "without", the shares of texts in which it fires. Ranked
    by distance from .5, of equals by number; features that fire in no text are left out.

    Raises DoubleDipping for prompts that are not for discovery, and as `feature_cards` does.
    """
    if where not in get_args(Where):
        raise ValueError(f"features are not read at {where!r}: choose one of {', '.join(get_args(Where))}")
    ready(model, dictionary)
    one, other = (_by_text(model, dictionary, prompts, where) for prompts in (with_concept, without))
    both = np.concatenate([one, other])
    ranks = rankdata(both, axis=0)[: len(one)].sum(0)
    auroc = (ranks - len(one) * (len(one) + 1) / 2) / (len(one) * len(other))
    seen = with_concept.members | without.members
    order = sorted(np.flatnonzero((both != 0).any(0)).tolist(), key=lambda n: (-abs(auroc[n] - 0.5), n))
    return [
        {
            "feature": ChosenNumber(number, seen),
            "auroc": float(auroc[number]),
            "with": float((one[:, number] != 0).mean()),
            "without": float((other[:, number] != 0).mean()),
        }
        for number in order
    ]


def _by_text(
    model: Model, dictionary: Dictionary, prompts: PromptSet, where: Where
) -> Float[np.ndarray, "texts features"]:
    """How active each feature is in each text."""
    require_discovery(prompts)
    rows = token_rows(model, [tokens(model, prompt.clean).tolist() for prompt in prompts])
    step = max(1, TOGETHER // rows.length)
    found = []
    for start in range(0, len(prompts), step):
        for together, kept in row_activations(model, rows.read(start, start + step), (dictionary.hook,)):
            with torch.no_grad():
                active = dictionary.active(kept[dictionary.hook]).float().cpu()
            for row, own in zip(together, active, strict=True):
                text = own[rows.lead : len(row)]
                found.append((text.amax(0) if where == "any" else text[-1]).numpy())
    return np.stack(found)
