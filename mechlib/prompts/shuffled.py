"""Prompts with the corrupted text of another: what a claim about pairs, not about any two texts, is compared with."""

from __future__ import annotations

from dataclasses import replace

from mechlib.prompts.promptset import Prompt, PromptSet


def shuffled_pairs(prompts: PromptSet, seed: int = 0) -> PromptSet:
    """The same clean texts and answers, each with the corrupted text and the distractor of another row of its cluster.

    Rows of a cluster share a template, so that texts stay aligned. `seed` says by how many rows the texts are shifted.

    Raises ValueError where a row has no corrupted text, or nothing else of its cluster could be right after it.
    """
    rows: dict[int, Prompt] = {}
    for cluster in dict.fromkeys(row.cluster for row in prompts):
        own = [number for number, row in enumerate(prompts) if row.cluster == cluster]
        for place, number in enumerate(own):
            others = [prompts.rows[own[(place + 1 + seed + step) % len(own)]] for step in range(len(own))]
            rows[number] = _paired(prompts.rows[number], others, cluster)
    shuffled = tuple(rows[number] for number in range(len(prompts)))
    return replace(prompts, rows=shuffled, settings=(*prompts.settings, ("shuffled", seed)))


def _paired(row: Prompt, others: list[Prompt], cluster: str) -> Prompt:
    for other in others:
        if not other.corrupted or not other.distractor:
            raise ValueError(f"{other.clean!r} has no corrupted text or no distractor: there is no pair to shuffle")
        if other.corrupted not in (row.corrupted, row.clean) and other.distractor != row.answer:
            return replace(row, corrupted=other.corrupted, distractor=other.distractor)
    where = f"of cluster {cluster!r}" if cluster else "of the set"
    raise ValueError(f"no other corrupted text {where} fits {row.clean!r}: every one is right with the same answer")
