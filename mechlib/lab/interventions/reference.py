"""Reference activations: what mean and resample ablation put in a component's place.

They come from the reference split only, by cluster (template) and by position counted from the end, where prompts of
one template align whatever filler words stand before them. The BOS position is apart: it is never averaged with words.
Where answer and distractor share tokens, which then stand behind the text, prompts that share as many align.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from mechlib.lab.batching import Batch, batches
from mechlib.lab.hooks import run
from mechlib.lab.models.loading import Model
from mechlib.lab.models.tokens import bos_ids
from mechlib.prompts.promptset import PromptSet


def require_reference(prompts: PromptSet) -> None:
    """ValueError unless these prompts are of the reference split."""
    if prompts.split != "reference":
        raise ValueError(
            f"{prompts!r} is no reference set: means and resamples over tested prompts leak what is tested; "
            'use the same task with split="reference"'
        )


def slots(length: int, n_bos: int) -> Int[Tensor, " pos"]:
    """Where the positions of a prompt of this length stand in a profile: BOS 0, the last word 1, the one before 2."""
    return torch.tensor([0 if position < n_bos else length - position for position in range(length)])


class Kind(NamedTuple):
    """Prompts that align: of one cluster, with as many tokens of the answer behind the text (`Batch.shared`)."""

    cluster: str
    shared: int

    def __str__(self) -> str:
        return f"cluster {self.cluster!r}" + (f" with {self.shared} shared tokens" if self.shared else "")


@dataclass(frozen=True)
class Means:
    """Mean activations of reference prompts, by kind, hook name and slot; and how many prompts have each slot."""

    n_bos: int
    counts: dict[Kind, Tensor]
    means: dict[tuple[Kind, str], Tensor]

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """The means that stand in for this batch's activations, by hook name, as [batch pos ...]."""
        where = slots(batch.tokens.shape[1], self.n_bos)
        kinds = _kinds(batch, self.counts)
        for kind in dict.fromkeys(kinds):
            if len(self.counts[kind]) <= where.max() or not self.counts[kind][where].all():
                raise ValueError(
                    f"no reference prompt of {kind} is as long as {len(where)} tokens: "
                    "its first positions have no mean; ask for more reference prompts"
                )
        names = dict.fromkeys(name for _, name in self.means)
        return {name: torch.stack([self.means[kind, name][where] for kind in kinds]) for name in names}


def means(model: Model, reference: PromptSet, names: Sequence[str]) -> Means:
    """Mean activations over the reference prompts, for `mean_ablated`."""
    n_bos, made = len(bos_ids(model)), batches(model, reference)
    room = 1 + max(batch.tokens.shape[1] for batch in made)
    counts: dict[Kind, Tensor] = defaultdict(lambda: torch.zeros(room, device=model.cfg.device))
    sums: dict[tuple[Kind, str], Tensor] = {}
    for batch in made:
        kept = run(model, batch.tokens, keep=names)[1]
        where = slots(batch.tokens.shape[1], n_bos).to(batch.tokens.device)
        for cluster in {prompt.cluster for prompt in batch.prompts}:
            own = [row for row, prompt in enumerate(batch.prompts) if prompt.cluster == cluster]
            kind = Kind(cluster, batch.shared)
            counts[kind].index_add_(0, where, torch.full((len(where),), float(len(own)), device=where.device))
            for name, activation in kept.items():
                total = sums.setdefault((kind, name), activation.new_zeros(room, *activation.shape[2:]))
                total.index_add_(0, where, activation[own].sum(0))
    divided = {
        (kind, name): total / counts[kind].clamp(min=1).view(-1, *[1] * (total.ndim - 1))
        for (kind, name), total in sums.items()
    }
    return Means(n_bos, dict(counts), divided)


@dataclass(frozen=True)
class Stock:
    """Activations of single reference prompts: by kind a list of (length, activations by hook name)."""

    n_bos: int
    seed: int
    rows: dict[Kind, list[tuple[int, dict[str, Tensor]]]]

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """For each prompt the activations of one reference prompt, by hook name, as [batch pos ...]."""
        length = batch.tokens.shape[1]
        kinds = _kinds(batch, self.rows)
        drawn = [self._draw(kind, ids.tolist()) for kind, ids in zip(kinds, batch.tokens, strict=True)]
        return {
            name: torch.stack([_aligned(kept[name], length, self.n_bos) for _, kept in drawn])
            for name in (drawn[0][1] if drawn else ())
        }

    def _draw(self, kind: Kind, tokens: list[int]) -> tuple[int, dict[str, Tensor]]:
        exact = [row for row in self.rows[kind] if row[0] == len(tokens)]
        candidates = exact or [row for row in self.rows[kind] if row[0] > len(tokens)]
        if not candidates:
            raise ValueError(f"no reference prompt of {kind} has {len(tokens)} tokens or more")
        return random.Random(f"{self.seed} {tokens}").choice(candidates)


def stock(model: Model, reference: PromptSet, names: Sequence[str], seed: int) -> Stock:
    """The reference prompts' activations one by one, for `resample_ablated`."""
    found: dict[int, tuple[Kind, int, dict[str, Tensor]]] = {}
    for batch in batches(model, reference):
        kept = run(model, batch.tokens, keep=names)[1]
        for index, row in enumerate(batch.rows):
            own = {name: activation[index] for name, activation in kept.items()}
            found[row] = (Kind(batch.prompts[index].cluster, batch.shared), batch.tokens.shape[1], own)
    rows: dict[Kind, list[tuple[int, dict[str, Tensor]]]] = defaultdict(list)
    for _, (kind, length, own) in sorted(found.items()):
        rows[kind].append((length, own))
    return Stock(len(bos_ids(model)), seed, dict(rows))


def _aligned(activation: Tensor, length: int, n_bos: int) -> Tensor:
    """The last positions of a longer prompt, and its BOS."""
    return torch.cat([activation[:n_bos], activation[len(activation) - length + n_bos :]])


def _kinds(batch: Batch, known: Iterable[Kind]) -> list[Kind]:
    """The kind of each row. Where the reference has no clusters, prompts need none either, and bare tokens will do."""
    known = set(known)
    without = {kind.cluster for kind in known} == {""}
    if not batch.prompts and not without:
        raise ValueError("the reference prompts have clusters: call the ablated model on a Batch, not on bare tokens")
    clusters = [""] * len(batch.tokens) if without else [prompt.cluster for prompt in batch.prompts]
    kinds = [Kind(cluster, batch.shared) for cluster in clusters]
    missing = [kind for kind in kinds if kind not in known]
    if missing:
        raise ValueError(f"no reference prompts of {missing[0]}: there are {', '.join(map(str, sorted(known)))}")
    return kinds
