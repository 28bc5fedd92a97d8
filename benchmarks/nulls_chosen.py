"""144 heads without any effect, the strongest of them chosen and judged: as a claim does it, by evidence functions."""

from __future__ import annotations

from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from mechlib.evidence import evidence, exploring
from mechlib.measurement import Measurement
from mechlib.parts.heads import DoubleDipping, Heads, all_heads
from mechlib.prompts.promptset import Prompt, PromptSet
from mechlib.statistics import mean, strongest
from mechlib.statistics.intervals.tails import clopper_pearson

PROMPTS, WORLDS = 50, 200
SELECTIONS = ("the same prompts", "prompts of which half are the same", "other prompts")


@evidence
def effects(prompts: PromptSet) -> Measurement:
    """The effect of each of 144 heads on each prompt: noise."""
    return noise(all_heads(12, 12), prompts)


@evidence
def effect(heads: Heads, prompts: PromptSet) -> Measurement:
    """The effect of these heads on each prompt."""
    return noise(heads, prompts)


def noise(heads: Heads, prompts: PromptSet) -> Measurement:
    """A number for each head and prompt that depends on nothing else."""
    rows = [np.random.default_rng(int(row.fingerprint, 16)).normal(size=(12, 12)) for row in prompts]
    values = np.array([[row[head.layer, head.head] for head in heads] for row in rows])
    return Measurement(values, [row.fingerprint for row in prompts], columns=tuple(map(str, heads)))


def asked(world: int, how: str) -> tuple[PromptSet, PromptSet]:
    """Prompts to choose on and prompts to judge on."""
    rows = [Prompt(f"world {world} prompt {row}", "yes") for row in range(2 * PROMPTS)]
    start = {SELECTIONS[0]: 0, SELECTIONS[1]: PROMPTS // 2, SELECTIONS[2]: PROMPTS}[how]
    on, judged = rows[:PROMPTS], rows[start : start + PROMPTS]
    return PromptSet("null", "discovery", tuple(on)), PromptSet("null", "confirmation", tuple(judged))


def chosen_and_judged(how: str, folder: Path, worlds: int = WORLDS) -> dict[str, Any]:
    """How often the strongest head is SUPPORTED to have an effect, and how often that is refused as double dipping."""
    refused = supported = covered = 0
    with redirect_stderr(StringIO()), exploring(folder):  # it says what is filed, a line a world
        for world in range(worlds):
            choose_on, judge_on = asked(world, how)
            chosen = strongest(effects(choose_on))
            try:
                found = mean(effect(chosen, judge_on))
            except DoubleDipping:
                refused += 1
                continue
            supported += (found > 0).word == "SUPPORTED"
            covered += found.low <= 0 <= found.high
    judged = worlds - refused
    limits = clopper_pearson(supported / judged, judged) if judged else None
    return {
        "on": how, "worlds": worlds, "refused": refused, "supported": supported, "covered": covered,
        "limits": None if limits is None else [round(end, 5) for end in limits],
    }  # fmt: skip
