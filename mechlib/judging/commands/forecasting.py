"""How long measurements may take on this machine, from its own log of runs: as a range, with what it rests on.

The same function on the same model or on a twin of it costs what it cost, by the number of prompts. On another model it
is scaled by parameters as well, prompts being taken for as long. That says little of a small one: there fixed costs
prevail, and a sweep asks more heads of a larger model. So the range is wide where the ground is poor, and there is none
where nothing is logged.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, Literal

from mechlib.checkpoints.checkpoint import IncompleteModel, UnknownModel, parent
from mechlib.checkpoints.described.memory import memory
from mechlib.checkpoints.resolve import checkpoint
from mechlib.evidence.question import Question, prompts_in

Basis = Literal["logged", "scaled", "small", "unknown"]
FACTORS: dict[Basis, int] = {"logged": 2, "scaled": 4, "small": 10}  # from the middle of a range to either end
LARGE = 20_000_000  # parameters from which on products of matrices are what takes time
_MODEL = re.compile(r"model=([^,)]+)")
_PROMPTS = re.compile(r"\bn=(\d+)")


@dataclass(frozen=True)
class Run:
    """One line of the log: a function that was measured on a model, with so many prompts, and how long it took."""

    topic: str
    function: str
    model: str
    prompts: int
    seconds: float


@dataclass(frozen=True)
class Forecast:
    """Seconds that a measurement may take, from `low` to `high`, and what that rests on."""

    low: float = 0.0
    high: float = 0.0
    basis: Basis = "unknown"


class Runs:
    """The log of runs of this machine, on the device at hand; empty where there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _known(self) -> dict[tuple[str, str], list[Run]]:
        found: dict[tuple[str, str], list[Run]] = {}
        for run in _read(self.path):
            found.setdefault((run.topic, run.function), []).append(run)
        return found

    def of(self, question: Question) -> list[Run]:
        """The runs of a question's function, on any model."""
        return self._known.get((question.topic, question.function), [])

    def forecast(self, question: Question, root: Path) -> Forecast:
        """How long answering a question may take; `root` holds the models that ship."""
        model = parent(question.model)
        runs, prompts = self.of(question), sum(map(len, prompts_in(question.arguments)))
        own = [_by_prompts(run, prompts) for run in runs if parent(run.model) == model]
        if own:
            return _about(median(own), "logged")
        size = _parameters(model, root)
        others = [(of, run) for run in runs if size and run.model and (of := _parameters(parent(run.model), root))]
        nearest = [one for one in others if one[0] >= LARGE] or others
        if not size or not nearest:
            return Forecast()
        scaled = [_by_prompts(run, prompts) * size / of for of, run in nearest]
        return _about(median(scaled), "scaled" if nearest[0][0] >= LARGE else "small")


def added(times: Iterable[Forecast]) -> tuple[float, float]:
    """The least and the most seconds together, without what is unknown."""
    known = list(times)
    return sum(one.low for one in known), sum(one.high for one in known)


def _about(seconds: float, basis: Basis) -> Forecast:
    return Forecast(seconds / FACTORS[basis], seconds * FACTORS[basis], basis)


def _by_prompts(run: Run, prompts: int) -> float:
    return run.seconds * prompts / run.prompts if prompts and run.prompts else run.seconds


@functools.cache
def _parameters(model: str, root: Path) -> int:
    """How many a model has; 0 where nobody knows."""
    try:
        return memory(checkpoint(model, root)).parameters
    except (UnknownModel, IncompleteModel, OSError, ValueError):
        return 0


def _read(path: Path) -> Iterator[Run]:
    device = os.environ.get("MECHLIB_DEVICE") or "cpu"
    with contextlib.suppress(OSError):
        for line in path.read_text(encoding="utf-8").split("\n"):
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                entry = json.loads(line)
                if entry.get("device", "cpu") == device:
                    yield _run(entry)


def _run(entry: dict[str, Any]) -> Run:
    question = str(entry["question"])
    model = _MODEL.search(question)
    prompts = sum(map(int, _PROMPTS.findall(question)))
    topic = Path(entry["file"]).parent.name
    return Run(topic, question.partition("(")[0], model[1] if model else "", prompts, float(entry["seconds"]))
