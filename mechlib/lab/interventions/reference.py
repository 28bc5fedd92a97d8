"""Reference activations: the means and resamples that ablation puts in a component's place.

They come from the reference split only, never from a tested prompt, by cluster (template) and by position: counted from
the end, so that prompts of one template align whatever filler words they begin with, or from the start, where prompts
begin alike. The BOS position is apart: it is never averaged with words.
Where answer and distractor share tokens, which then stand behind the text, prompts that share as many align.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

import torch
from jaxtyping import Int
from torch import Tensor

from mechlib.lab.batching import Batch, batches
from mechlib.lab.hooks import run
from mechlib.lab.models.loading import Model
from mechlib.lab.models.tokens import bos_ids
from mechlib.prompts.promptset import PromptSet

Align: TypeAlias = Literal["end", "start"]
Row: TypeAlias = tuple[int, ...]  # the ids of a prompt as it is run


def require_reference(reference: PromptSet, tested: PromptSet | None = None) -> None:
    """ValueError unless these prompts are of the reference split, and none of them is tested."""
    if reference.split != "reference":
        raise ValueError(
            f"{reference!r} is no reference set: means and resamples over tested prompts leak what is tested; "
            'use the same task with split="reference"'
        )
    shared = reference.members & tested.members if tested else ()
    if tested and shared:
        raise ValueError(
            f"{len(shared)} of the reference prompts {reference!r} are tested in {tested!r}: a prompt would stand in "
            "for itself; take other prompts for reference"
        )


def aligned_positions(length: int, n_bos: int, align: Align = "end") -> Int[Tensor, " pos"]:
    """The number by which each position of a prompt of this length aligns: BOS 0, the last word 1, the one before 2.

    align  "start": the first word 1, the one behind it 2
    """
    if align not in get_args(Align):
        raise ValueError(f"no alignment {align!r}: choose one of {', '.join(get_args(Align))}")
    numbers = (length - place if align == "end" else place + 1 - n_bos for place in range(n_bos, length))
    return torch.tensor([*[0] * n_bos, *numbers], dtype=torch.long)


class AlignedGroup(NamedTuple):
    """Prompts that align: of one cluster, with equally many tokens of the answer behind the text (`Batch.shared`)."""

    cluster: str
    shared: int

    def __str__(self) -> str:
        return f"cluster {self.cluster!r}" + (f" with {self.shared} shared tokens" if self.shared else "")


@dataclass(frozen=True)
class MeanActivations:
    """Mean activations of reference prompts, by aligned group, hook name and aligned position.

    counts  by group, the number of prompts that have each aligned position
    means   by group and hook name: [aligned position ...]
    rows    the prompts, as token ids: none of them is tested with these means
    """

    n_bos: int
    counts: dict[AlignedGroup, Tensor]
    means: dict[tuple[AlignedGroup, str], Tensor]
    rows: frozenset[Row]
    align: Align = "end"

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """The mean activations for each prompt of a batch, by hook name: [batch pos ...].

        ValueError where the reference has no such group, or no prompt as long, or where it has this prompt.
        """
        _refuse_tested(batch, self.rows)
        where = aligned_positions(batch.tokens.shape[1], self.n_bos, self.align)
        groups = _groups_of(batch, self.counts)
        for group in dict.fromkeys(groups):
            if len(self.counts[group]) <= where.max() or not self.counts[group][where].all():
                raise ValueError(
                    f"no reference prompt of {group} is as long as {len(where)} tokens: "
                    f"its {'first' if self.align == 'end' else 'last'} positions have no mean; ask for more reference "
                    "prompts"
                )
        names = dict.fromkeys(name for _, name in self.means)
        return {name: torch.stack([self.means[group, name][where] for group in groups]) for name in names}


def mean_activations(model: Model, reference: PromptSet, names: Sequence[str], align: Align = "end") -> MeanActivations:
    """Mean activations over the reference prompts, of these hook names."""
    n_bos, made = len(bos_ids(model)), batches(model, reference)
    room = 1 + max(batch.tokens.shape[1] for batch in made)
    counts: dict[AlignedGroup, Tensor] = defaultdict(lambda: torch.zeros(room, device=model.cfg.device))
    sums: dict[tuple[AlignedGroup, str], Tensor] = {}
    for batch in made:
        kept = run(model, batch.tokens, keep=names, last=1)[1]
        where = aligned_positions(batch.tokens.shape[1], n_bos, align).to(batch.tokens.device)
        for cluster in {prompt.cluster for prompt in batch.prompts}:
            own = [row for row, prompt in enumerate(batch.prompts) if prompt.cluster == cluster]
            group = AlignedGroup(cluster, batch.shared)
            counts[group].index_add_(0, where, torch.full((len(where),), float(len(own)), device=where.device))
            for name, activation in kept.items():
                total = sums.setdefault((group, name), activation.new_zeros(room, *activation.shape[2:]))
                total.index_add_(0, where, activation[own].sum(0))
    divided = {
        (group, name): total / counts[group].clamp(min=1).view(-1, *[1] * (total.ndim - 1))
        for (group, name), total in sums.items()
    }
    return MeanActivations(n_bos, dict(counts), divided, _rows_of(made), align)


@dataclass(frozen=True)
class ResampleBank:
    """Activations of single reference prompts, one of which stands in for each prompt.

    rows    by aligned group, the length and the activations by hook name, [pos ...], of each reference prompt
    tokens  the prompts, as token ids: none of them is tested with these activations
    """

    n_bos: int
    seed: int
    rows: dict[AlignedGroup, list[tuple[int, dict[str, Tensor]]]]
    tokens: frozenset[Row]
    align: Align = "end"

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """For each prompt of a batch the activations of one reference prompt, by hook name: [batch pos ...].

        The draw depends on the seed and the prompt's tokens. ValueError where the reference has no such group, or no
        prompt as long, or where it has this prompt.
        """
        _refuse_tested(batch, self.tokens)
        length = batch.tokens.shape[1]
        groups = _groups_of(batch, self.rows)
        sample = [self._draw(group, ids.tolist()) for group, ids in zip(groups, batch.tokens, strict=True)]
        return {
            name: torch.stack([_aligned(kept[name], length, self.n_bos, self.align) for _, kept in sample])
            for name in (sample[0][1] if sample else ())
        }

    def _draw(self, group: AlignedGroup, tokens: list[int]) -> tuple[int, dict[str, Tensor]]:
        exact = [row for row in self.rows[group] if row[0] == len(tokens)]
        candidates = exact or [row for row in self.rows[group] if row[0] > len(tokens)]
        if not candidates:
            raise ValueError(f"no reference prompt of {group} has {len(tokens)} tokens or more")
        return random.Random(f"{self.seed} {tokens}").choice(candidates)


def resample_bank(
    model: Model, reference: PromptSet, names: Sequence[str], seed: int, align: Align = "end"
) -> ResampleBank:
    """The activations of each reference prompt, of these hook names, to be drawn from with `seed`."""
    found: dict[int, tuple[AlignedGroup, int, dict[str, Tensor]]] = {}
    for batch in (made := batches(model, reference)):
        kept = run(model, batch.tokens, keep=names, last=1)[1]
        for index, row in enumerate(batch.rows):
            own = {name: activation[index] for name, activation in kept.items()}
            found[row] = (AlignedGroup(batch.prompts[index].cluster, batch.shared), batch.tokens.shape[1], own)
    rows: dict[AlignedGroup, list[tuple[int, dict[str, Tensor]]]] = defaultdict(list)
    for _, (group, length, own) in sorted(found.items()):
        rows[group].append((length, own))
    aligned_positions(0, 0, align)  # refuses what is no alignment
    return ResampleBank(len(bos_ids(model)), seed, dict(rows), _rows_of(made), align)


def _rows_of(made: Iterable[Batch]) -> frozenset[Row]:
    return frozenset(tuple(ids) for batch in made for ids in batch.tokens.tolist())


def _refuse_tested(batch: Batch, rows: frozenset[Row]) -> None:
    """ValueError, naming the prompt, where one that is run is a reference prompt, token by token."""
    for number, ids in enumerate(batch.tokens.tolist()):
        if tuple(ids) in rows:
            said = repr(batch.prompts[number].clean) if batch.prompts else f"of tokens {ids}"
            raise ValueError(
                f"prompt {said} is a reference prompt too, token by token: it would stand in for itself; take other "
                "prompts for reference"
            )


def _aligned(activation: Tensor, length: int, n_bos: int, align: Align) -> Tensor:
    """The activations of a longer prompt at its BOS and its last positions (or its first), `length` in all."""
    if align == "start":
        return activation[:length]
    return torch.cat([activation[:n_bos], activation[len(activation) - length + n_bos :]])


def _groups_of(batch: Batch, known: Iterable[AlignedGroup]) -> list[AlignedGroup]:
    """The group of each row. Where the reference has no clusters, prompts need none, and bare tokens will do.

    ValueError for a group that the reference lacks.
    """
    known = set(known)
    without = {group.cluster for group in known} == {""}
    if not batch.prompts and not without:
        raise ValueError("the reference prompts have clusters: call the ablated model on a Batch, not on bare tokens")
    clusters = [""] * len(batch.tokens) if without else [prompt.cluster for prompt in batch.prompts]
    groups = [AlignedGroup(cluster, batch.shared) for cluster in clusters]
    missing = [group for group in groups if group not in known]
    if missing:
        there = f"{', '.join(map(str, sorted(known)[:3]))}{', ...' if len(known) > 3 else ''}"
        raise ValueError(f"no reference prompts of {missing[0]}, only of {len(known)} others: {there}")
    return groups
