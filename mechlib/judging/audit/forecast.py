"""A forecast of an audit: how many measurements it will make, and about how long they take.

What a claim reads is known from its own models: the register names the evidence of its last judgement. How long it took
is known from this machine's log of runs, else from what they took on a mini, and is scaled by the number of parameters;
for models of a size that is not known nothing is guessed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from mechlib.checkpoints import IncompleteModel, UnknownModel, WeightsMissing, checkpoint, file_name, memory
from mechlib.judging.audit.asking import ids_on_others
from mechlib.verdicts.register import Judgement

Function = tuple[str, str]  # topic and name of an evidence function
TYPICAL = 1.5  # seconds: the mean over 186 measurements on mini-0, on one core
LEAST = 0.2  # of a measurement's time, however small the model


@dataclass(frozen=True)
class Forecast:
    """What an audit will do: lines to print, and the number of measurements that are missing (0 where unknown)."""

    lines: tuple[str, ...]
    missing: int

    @property
    def unit(self) -> str:
        """What the bar counts."""
        return " measurements" if self.missing else " verdicts"


def forecast(root: Path, nodes: Sequence[str], short: Mapping[str, str], latest: Mapping[str, Judgement]) -> Forecast:
    """What these claims will measure of each audited model."""
    files = _files(root / "artifacts" / "evidence")
    lines, total = [], 0
    for model, name in short.items():
        other, wanted = _wanted(nodes, name, latest, files)
        here = _count(_files(root / "artifacts" / "local").values(), file_name(model))
        missing = {key: count - min(count, here.get(key, 0)) for key, count in wanted.items()}
        open_, filed = sum(missing.values()), sum(wanted.values()) - sum(missing.values())
        total += open_
        how_long = _how_long(root, missing, model, other) if open_ else "nothing is to be measured"
        if wanted:
            lines.append(f"audit of {name}: up to {open_} measurements, {filed} filed already; {how_long}")
        else:
            lines.append(f"audit of {name}: the register knows none of these claims, so how long it takes is not known")
    return Forecast(tuple(lines), total)


def _files(folder: Path) -> dict[str, tuple[str, str, str]]:
    """Evidence files by the eight digits of their keys: topic, function, model as file names have it."""
    found = {}
    for path in folder.glob("*/*--*--*.jsonl"):
        function, _, rest = path.stem.partition("--")
        model, _, key = rest.rpartition("--")
        found[key] = (path.parent.name, function, model)
    return found


def _count(files: Iterable[tuple[str, str, str]], model: str) -> dict[Function, int]:
    """How many files each function has on a model and its twins."""
    counts: dict[Function, int] = defaultdict(int)
    for topic, function, of in files:
        if of in (model, f"{model}-untrained", f"{model}-permuted"):
            counts[topic, function] += 1
    return counts


def _wanted(
    nodes: Sequence[str], short: str, latest: Mapping[str, Judgement], files: Mapping[str, tuple[str, str, str]]
) -> tuple[str, dict[Function, int]]:
    """A model that these claims were judged on, and how much was measured of it and of its twins for them."""
    read: dict[str, set[str]] = defaultdict(set)
    for id_ in ids_on_others(nodes, short, latest):
        for key in latest[id_].evidence:
            if key in files:
                read[files[key][2]].add(key)
    if not read:
        return "", {}
    other = max(read, key=lambda model: len(read[model]))
    alone = _count((files[key] for key in read[other]), other)
    everything = _count(files.values(), other)
    # The register names no evidence of twins: as many questions as of the model, where there are as many.
    return other, {function: min(3 * count, everything[function]) for function, count in alone.items()}


def _how_long(root: Path, missing: Mapping[Function, int], model: str, other: str) -> str:
    """In words, how long the missing measurements take."""
    times = seconds_by_function(root / "artifacts" / "runs.jsonl")
    known = [fmean(times[function]) for function in missing if function in times]
    size, theirs = _size(model, root), _size(other, root)
    if not size or not theirs:
        return "how long they take shows after the first few"
    usual = fmean(known) if known else TYPICAL
    each = {function: fmean(times[function]) if function in times else usual for function in missing}
    ratio = max(size / theirs, LEAST)
    seconds = sum(count * each[function] for function, count in missing.items()) * ratio
    by = f"this machine's log of {other}" if known else f"what they took on {other} elsewhere"
    scaled = f", times {ratio:.2g} for its size" if size != theirs else ""
    return f"about {_spoken(seconds)} by {by}{scaled}"


def seconds_by_function(log: Path) -> dict[Function, list[float]]:
    """How long each evidence function took on the record's models, as the log of runs has it."""
    times: dict[Function, list[float]] = defaultdict(list)
    try:
        lines = log.read_text(encoding="utf-8").split("\n")
    except OSError:
        return {}
    for line in filter(None, lines):
        try:
            entry = json.loads(line)
            path = Path(entry["file"])
            if path.parent.parent.name == "evidence":
                times[path.parent.name, path.name.partition("--")[0]].append(float(entry["seconds"]))
        except (ValueError, KeyError, TypeError):
            continue  # a line that was torn, or of an older form
    return dict(times)


def _size(model: str, root: Path) -> float:
    """The number of a model's parameters; 0 where it is not known."""
    try:
        return float(memory(checkpoint(model, root)).parameters)
    except (UnknownModel, IncompleteModel, WeightsMissing, OSError, ValueError):
        return 0.0


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
