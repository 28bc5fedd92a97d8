"""A plan in words: what claims would measure, a line each, or of one model, topic by topic with a forecast."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from mechlib.checkpoints.checkpoint import twin_of
from mechlib.checkpoints.described.details import in_bytes
from mechlib.checkpoints.described.memory import memory
from mechlib.checkpoints.resolve import checkpoint
from mechlib.evidence.question import prompts_in
from mechlib.evidence.run_log import LOG
from mechlib.judging.commands.forecasting import FACTORS, Basis, Forecast, Runs, added
from mechlib.judging.commands.planning import Asked, Plan, State
from mechlib.judging.controls.exchanges import FEW

_FETCH = re.compile(r"`(mechlib fetch [^`]+)`")


def told(found: Plan, root: Path, folder: Path) -> Iterator[str]:
    """The plan in lines: counts, each measurement, sums, what cannot be measured here."""
    filed, missing = len(found.of("filed")), found.of("missing", "changed")
    yield (
        f"{_of(found.claims, 'verdict')}: {found.measuring} would measure; {_of(filed, 'evidence file')} "
        f"{'is' if filed == 1 else 'are'} filed, {len(missing)} would be measured"
    )
    runs = Runs(root / "artifacts" / LOG)
    rows = [_row(asked, folder, runs) for asked in missing]
    if rows:
        room = max(40, shutil.get_terminal_size((120, 24)).columns - 45)
        yield from _table([("to be measured", "rows", "seconds", "kB", "why"), *(_cells(row, room) for row in rows)])
        yield _sum(rows)
        yield "seconds and kB: the median of the same function's, as logged and filed; forward passes are not known"
    if found.controls:
        exchanged = f"{_of(found.controls, 'part')} exchanged for up to {found.sets} sets"
        yield f"control runs: {exchanged}, each of which costs the claim's evidence again"
    if found.open_ended:
        elsewhere = f": up to {_of(found.further, 'file')} of the model, as elsewhere" if found.further else ""
        yield f"{_of(found.open_ended, 'verdict')} may ask for more, once what is missing is there{elsewhere}"
    for why, models in _absent(found.of("not here")).items():
        yield f"not here: {', '.join(models)}: {why}"


@dataclass(frozen=True)
class _Expected:
    name: str
    rows: int | None
    seconds: float | None
    size: float | None
    why: str


def _row(asked: Asked, folder: Path, runs: Runs) -> _Expected:
    question = asked.question
    alike = list((folder / question.topic).glob(f"{question.function}--*.jsonl"))
    given = sum(len(prompts) for prompts in prompts_in(question.arguments))
    lines = [file.read_bytes().count(b"\n") - 1 for file in alike]
    rows = given or (round(median(lines)) if lines else None)
    size = median(file.stat().st_size for file in alike) / 1000 if alike else None
    took = [run.seconds for run in runs.of(question)]
    why = f"{asked.why} changed".replace("changed changed", "changed") if asked.why else "nothing is filed"
    return _Expected(f"{question.topic}.{question.text}", rows, median(took) if took else None, size, why)


def _cells(row: _Expected, room: int) -> tuple[str, ...]:
    unknown = "unknown"
    return (
        row.name if len(row.name) <= room else f"{row.name[: room - 1]}…",
        unknown if row.rows is None else str(row.rows),
        unknown if row.seconds is None else f"{row.seconds:.1f}",
        unknown if row.size is None else f"{row.size:.0f}",
        row.why,
    )


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for name, *numbers, why in rows:
        cells = (number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True))
        yield f"  {name:<{widths[0]}}  {'  '.join(cells)}  {why}"


def _sum(rows: list[_Expected]) -> str:
    said = []
    for name, unit in (("rows", "rows"), ("seconds", "seconds"), ("size", "kB")):
        known = [value for row in rows if (value := getattr(row, name)) is not None]
        rest = len(rows) - len(known)
        counted = f"{sum(known):.0f} {unit}" if known else f"{unit} unknown"
        said.append(f"{counted} and {rest} unknown" if known and rest else counted)
    return f"together: {', '.join(said)}"


def _absent(asked: Iterable[Asked]) -> dict[str, list[str]]:
    """What to do about models whose files are not here, and which they are."""
    found: dict[str, list[str]] = {}
    for one in asked:
        fetch = _FETCH.search(one.why)
        models = found.setdefault(f"`{fetch[1]}` brings it" if fetch else one.why, [])
        if one.question.model not in models:
            models.append(one.question.model)
    return found


def _of(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# --- of one model -------------------------------------------------------------------------------------------------

MISSING: tuple[State, ...] = ("missing", "changed", "not here")
_BASES: dict[Basis, str] = {
    "logged": "as the same function took on this model",
    "scaled": "as it took on another large model, by parameters and prompts",
    "small": "as it took on a small model, by parameters and prompts",
    "unknown": "unknown, for no run of the function is logged here, and in no sum",
}
_PARTS = {2: "half", 4: "quarter", 10: "tenth"}
_KINDS = ("own", "discovery", "twins")


def told_of_models(found: Plan, models: Sequence[str], root: Path, folder: Path) -> Iterator[str]:
    """What claims would measure on these models, topic by topic, and how long that may take on this machine.

    Files of a model that is not here are counted as well: one asks before it is fetched.
    """
    runs, missing = Runs(root / "artifacts" / LOG), found.of(*MISSING)
    filed = len(found.of("filed"))
    yield (
        f"{_of(found.claims, 'verdict')} on {', '.join(models)}: {_of(filed, 'evidence file')} "
        f"{'is' if filed == 1 else 'are'} filed, {len(missing)} would be measured"
    )
    topics = [one for one in found.topics if found.topics[one]]
    lines: list[tuple[str, ...]] = [("topic", "verdicts", "filed", *_KINDS, "controls", "minutes", "MB")]
    lines += [_topic(topic, found, runs, folder, root) for topic in topics]
    if len(topics) > 1:
        lines.append(_topic("", found, runs, folder, root))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for name, *cells in lines:
        numbers = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        yield f"  {name:<{widths[0]}}  {'  '.join(numbers)}".rstrip()
    yield from _bases([runs.forecast(one.question, root) for one in missing])
    if found.open_ended:
        elsewhere = f", up to {_of(found.further, 'file')} of the model itself, as elsewhere" if found.further else ""
        yield f"at least: {_of(found.open_ended, 'verdict')} may ask for more, once what is missing is there{elsewhere}"
    if found.controls or found.unjudged:
        yield _controls(found)
    for why, absent in _absent(found.of("not here")).items():
        yield f"not here: {', '.join(absent)}: {why}"
    yield from (_memory(model, root) for model in models)


def _topic(topic: str, found: Plan, runs: Runs, folder: Path, root: Path) -> tuple[str, ...]:
    """A line of the table: files by what they are of, sets of control runs, minutes, megabytes; "" for all topics."""
    asked = [one for one in found.asked.values() if one.topic == topic or not topic]
    missing = [one for one in asked if one.state in MISSING]
    kinds = Counter(map(_kind, missing))
    sets = found.sets_of[topic] if topic else found.sets
    times = [runs.forecast(one.question, root) for one in missing]
    if seconds := (found.seconds_of[topic] if topic else sum(found.seconds_of.values())):
        times.append(Forecast(seconds / 2, seconds * 2, "logged"))
    sizes = [size for one in missing if (size := _size(one, folder)) is not None]
    return (
        topic or "together",
        str(found.topics[topic] if topic else found.claims),
        str(sum(one.state == "filed" for one in asked)),
        *(str(kinds[kind]) for kind in _KINDS),
        str(sets),
        _minutes(times),
        f"{sum(sizes) / 1e6:.2f}" if sizes else ("unknown" if missing else "0"),
    )


def _kind(one: Asked) -> str:
    """Whose evidence a file is: of twins or the dithered model, of prompts for choosing alone, or the model's own."""
    if twin_of(one.question.model):
        return "twins"
    splits = {prompts.split for prompts in prompts_in(one.question.arguments)}
    return "discovery" if splits == {"discovery"} else "own"


def _size(one: Asked, folder: Path) -> float | None:
    """Bytes of what the same function filed, on this model where it did, else on any."""
    question = one.question
    alike = list((folder / question.topic).glob(f"{question.stem}*.jsonl"))
    alike = alike or list((folder / question.topic).glob(f"{question.function}--*.jsonl"))
    return median(file.stat().st_size for file in alike) if alike else None


def _minutes(times: Sequence[Forecast]) -> str:
    """ "3 to 40", without what is unknown."""
    low, high = added(times)
    if not times:
        return "0"
    return "unknown" if not high else f"{low / 60:.0f} to {high / 60:.0f}" if high >= 90 else "1 or 2"


def _bases(times: Sequence[Forecast]) -> Iterator[str]:
    """What the minutes rest on, and of how many files nothing is known."""
    counted = Counter(time.basis for time in times)
    parts = []
    for basis, words in _BASES.items():
        wide = f" (a {_PARTS[factor]} to {factor} times)" if (factor := FACTORS.get(basis)) else ""
        parts += [f"{counted[basis]} {words}{wide}"] * bool(counted[basis])
    if parts:
        yield f"minutes of files on this machine: {'; '.join(parts)}"


def _controls(found: Plan) -> str:
    known = f"{_of(found.controls, 'part')} exchanged for {found.sets} sets (`pytest --controls`)"
    if not found.unjudged:
        return f"control runs: {known}"
    unknown = (
        f"{_of(found.unjudged, 'verdict')} may need some, known once they are judged: some {FEW} sets a part, each "
        "at the cost of the claim's evidence, in no sum here"
    )
    return f"control runs: {known}; {unknown}" if found.controls else f"control runs: {unknown}"


def _memory(model: str, root: Path) -> str:
    need = memory(checkpoint(model, root)).total
    return f"{model} takes about {in_bytes(need)} of memory in each worker: its weights, and activations of 32 prompts"
