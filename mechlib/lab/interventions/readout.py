"""Readouts: metrics with the logits that they read, so that no other logits are computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.batching import Batch
from mechlib.lab.behaviour import loss_on_repeat
from mechlib.lab.metrics import correct

Read: TypeAlias = Float[Tensor, "batch read words"]


@dataclass(frozen=True, eq=False)
class Readout:
    """A metric, one number for each prompt, and the logits that it reads.

    value   a function of the logits that are read, [batch read words], and the batch, that gives one number a prompt
    words   a function of the batch that gives the words whose logits are read, [batch words]; None for all words
    whole   whether logits of every position are read, not of the last alone (bidirectional: of the prompt's own)
    """

    value: Callable[[Read, Batch], Float[Tensor, " batch"]]
    words: Callable[[Batch], Int[Tensor, "batch words"]] | None = None
    whole: bool = False

    def of(self, logits: Float[Tensor, "batch pos d_vocab"], batch: Batch) -> Read:
        """The logits that this readout reads, of all logits of a run."""
        logits = logits if self.whole else batch.at_read(logits)
        return logits if self.words is None else logits.gather(-1, self.words(batch).unsqueeze(1))


LOGIT_DIFFERENCE = Readout(
    value=lambda read, batch: read[:, -1, 0] - read[:, -1, 1],
    words=lambda batch: torch.stack([batch.answer, batch.distractor], dim=1),
)
ANSWERED = Readout(value=lambda read, batch: correct(read, batch.answer))
REPEAT_LOSS = Readout(value=loss_on_repeat, whole=True)
