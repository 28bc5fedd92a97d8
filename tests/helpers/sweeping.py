"""What the tests of sweeps share: prompts that a random model answers, and the metric from whole logits."""

from __future__ import annotations

import torch
from torch import Tensor

from mechlib.lab.models.loading import Model
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import BOS_ID, WORDS


def ids(model: Model, text: str) -> Tensor:
    """BOS and the ids of a text, as one row."""
    return torch.tensor([[BOS_ID, *model.tokenizer.convert_tokens_to_ids(text.split())]])


def answered(model: Model, prompts: PromptSet) -> PromptSet:
    """Those prompts whose clean and corrupted text the model continues with two words; they become the answers."""
    rows = []
    for one in prompts:
        clean, corrupted = (int(model(ids(model, text))[0, -1].argmax()) for text in (one.clean, one.corrupted))
        if clean != corrupted and min(clean, corrupted) > 2:  # the first three are no words
            rows.append(Prompt(one.clean, WORDS[clean], one.corrupted, WORDS[corrupted], one.cluster, one.labels))
    return PromptSet("answered", prompts.split, tuple(rows))


def difference(model: Model, prompts: PromptSet, logits: Tensor) -> Tensor:
    """logit(answer) - logit(distractor) for logits by prompt, anything, word."""
    chosen = [model.tokenizer.convert_tokens_to_ids([one.answer, one.distractor]) for one in prompts]
    return torch.stack([own[..., a] - own[..., d] for own, (a, d) in zip(logits, chosen, strict=True)])
