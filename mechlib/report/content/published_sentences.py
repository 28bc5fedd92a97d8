"""The page "Published sentences": the paper's number, the small networks and each pretrained model side by side."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
from markupsafe import Markup
from msgspec import Struct

from mechlib.checkpoints.hub import HUB
from mechlib.figures.data import clipped
from mechlib.figures.svg.elements import number, scale_for
from mechlib.figures.svg.intervals import REPORTED, Mark, interval_panel
from mechlib.report.content.claim_rows import ClaimRow, models_of, slug
from mechlib.report.content.claim_views import bounds_of, own_marks
from mechlib.report.content.replications import (
    STAGE_NAMES,
    STAGES,
    Cell,
    cell,
    code_of,
    holds,
    stands_in,
)
from mechlib.statistics import multiplicity
from mechlib.verdicts.record import Record
from mechlib.verdicts.reported import REPLICATIONS, Replication, Reported

NOT_ASKABLE = Path("claims") / "not_askable.toml"
NOTE = (
    '"As asked here" marks a sentence in the words of its claim, with our threshold; the others say what the paper '
    "does. Rows of one sweep are not independent: one layer that brings an operand answers several of them. An "
    'interval that is left open, for the skewness of its units too, is UNDECIDED, which is no "no"; a sentence of '
    "several claims is UNDECIDED where one of them is, however clear the others."
)
# How outcomes are written: a sign, and the verdict whose colour they have.
LOOKS: dict[Replication, tuple[str, str]] = {
    "REPLICATED": ("✓", "supported"),
    "CONTRADICTED": ("✗", "refuted"),
    "UNDECIDED": ("?", "inconclusive"),
    "NOT ASKABLE": ("⊘", "gated"),
    "NOT RUN": ("–", "not-run"),
}


class Unasked(Struct, frozen=True, forbid_unknown_fields=True):
    """A published sentence that no claim asks, of these models or of any, and why: an entry of NOT_ASKABLE."""

    sentence: str
    where: str
    why: str
    value: float | None = None
    unit: str = ""
    primary: bool = False
    models: tuple[str, ...] = ()


class _Table(Struct, frozen=True, forbid_unknown_fields=True):
    sentence: tuple[Unasked, ...]


@dataclass(frozen=True)
class Sentence:
    """One row: what was published, the claims that ask it, its outcome on each model.

    small  the records on small and planted models
    cells  by model, without those of which nobody asks it
    """

    text: str
    reported: Reported
    rows: tuple[ClaimRow, ...]
    cells: Mapping[str, Cell]
    small: tuple[Record, ...] = ()

    @cached_property
    def anchor(self) -> str:
        """The link to the row."""
        return f"published-{slug(self.rows[0].anchor if self.rows else self.text)[:80]}"

    @property
    def as_asked(self) -> bool:
        """Whether the text is a claim's own first line, with its threshold, and not what the paper says."""
        return bool(self.rows) and not self.reported.sentence

    @property
    def held(self) -> str:
        """ "4 of 5": in how many of the small models that answered it is supported and controlled."""
        answered = [record for record in self.small if record.verdict not in ("NOT RUN", "GATED", "ERROR")]
        return f"{sum(map(holds, answered))} of {len(answered)}" if answered else ""

    @property
    def between(self) -> str:
        """ "0.412 to 0.871": the estimates of the small models."""
        values = sorted(record.comparison.estimate.value for record in self.small if record.comparison)
        return "" if not values else " to ".join(dict.fromkeys(number(value) for value in (values[0], values[-1])))

    @cached_property
    def drawn(self) -> Markup | None:
        """The paper's number as a triangle above the intervals of all models, on one axis; None without any number."""
        records = [*self.small, *(record for found in self.cells.values() for record in found.records)]
        bounds, value = bounds_of(records), self.reported.value
        if not bounds:
            return None
        marks = [(record, mark) for record in records for mark in own_marks(record)]
        reach = [end for _, mark in marks for end in (mark.low, mark.value, mark.high)]
        scale = scale_for([*reach, value, *(bound for _, bound in bounds)], 206)
        paper = Mark(value, value, value, REPORTED, title=f"{self.reported.where}: {self.reported.number}")
        return interval_panel(
            scale,
            [
                *([("paper", [paper])] if value is not None else []),
                *((clipped(record.model or "planted", 19), [mark]) for record, mark in marks),
            ],
            bounds,
        )


@dataclass(frozen=True)
class Published:
    """All published sentences, primary ones first.

    models   those that have a column; `unrun` did nothing but NOT RUN and have none
    problem  why the list of what cannot be asked is not read; "" where it is
    """

    sentences: tuple[Sentence, ...]
    models: tuple[str, ...]
    unrun: tuple[str, ...] = ()
    problem: str = ""

    @property
    def counts(self) -> dict[str, Counter[Replication]]:
        """How many sentences ended with each word, by model."""
        return {m: Counter(one.cells[m].word for one in self.sentences if m in one.cells) for m in self.models}

    @property
    def absent(self) -> tuple[str, ...]:
        """The models of which some sentence was not run, for nothing is filed and their weights are not here."""
        return tuple(m for m in self.models if self.counts[m]["NOT RUN"])

    @property
    def flow(self) -> list[tuple[str, list[int], bool]]:
        """From all sentences to outcomes: (what, how many by model, whether it is a sum) from the top down.

        Sentences less those that cannot be asked and those that nobody asks are those asked; where each of them ended
        adds up to these, and so do the outcomes with what was not run.
        """
        columns = [[one.cells.get(model) for one in self.sentences] for model in self.models]
        asked = [[found for found in cells if found is not None and found.stage] for cells in columns]
        words = [Counter(found.word for found in cells) for cells in asked]
        return [
            ("published sentences", [len(cells) for cells in columns], True),
            ("no claim asks it", [sum(found is None for found in cells) for cells in columns], False),
            ("not askable", [sum(bool(c and not c.stage) for c in cells) for cells in columns], False),
            ("asked", [len(cells) for cells in asked], True),
            *((STAGE_NAMES[s], [sum(c.stage == s for c in cells) for cells in asked], False) for s in STAGES),
            *((word, [count[word] for count in words], True) for word in REPLICATIONS[:3]),
        ]

    @property
    def dithered(self) -> bool:
        """Whether some sentence was to be asked after noise of a quantisation step."""
        return any(r.dithered for one in self.sentences for found in one.cells.values() for r in found.records)

    def word_on(self, record: Record) -> Replication | None:
        """The outcome of the sentence that a record asks, on the record's model; None where it has none."""
        return self._words.get(record.id)

    @cached_property
    def _words(self) -> dict[str, Replication]:
        cells = [found for one in self.sentences for found in one.cells.values()]
        return {record.id: found.word for found in cells for record in found.records}


def published_sentences(rows: Sequence[ClaimRow], root: Path) -> Published | None:
    """The sentences of all claims that are marked `@reported`, and those of NOT_ASKABLE; None where there are none."""
    asked: dict[tuple[str, str], list[ClaimRow]] = {}
    for row in rows:
        if row.first.reported:
            asked.setdefault((_text(row), row.variant_label), []).append(row)
    unaskable, problem = _unaskable(root)
    if not asked and not unaskable and not problem:
        return None
    records = [record for members in asked.values() for row in members for record in row.records]
    models = [model for model in models_of(records) if not stands_in(model)]
    unrun = tuple(m for m in models if m in HUB and all(r.verdict == "NOT RUN" for r in records if r.model == m))
    columns = tuple(model for model in models if model not in unrun)
    holm = {one: word for model in models for one, word in _holm([r for r in records if r.model == model]).items()}
    code: dict[str, list[Record]] = {}
    for record in records:
        code.setdefault(code_of(record), []).append(record)
    found = [_sentence(text, case, members, holm, code) for (text, case), members in asked.items()]
    for entry in unaskable:
        found = _with(entry, found, columns)
    found.sort(key=lambda one: not one.reported.primary)
    return Published(tuple(found), columns, unrun, problem)


def _text(row: ClaimRow) -> str:
    reported = row.first.reported
    return (reported.sentence if reported else "") or row.first.sentence or row.name


def _sentence(
    text: str,
    case: str,
    members: Sequence[ClaimRow],
    holm: Mapping[str, str],
    code: Mapping[str, Sequence[Record]],
) -> Sentence:
    records = [record for row in members for record in row.records]
    reported = next(row.first.reported for row in members if row.first.reported)
    models = dict.fromkeys(record.model for record in records if not stands_in(record.model))
    cells = {model: cell([r for r in records if r.model == model], holm, code) for model in models}
    small = tuple(record for record in records if stands_in(record.model))
    return Sentence(f"{text} ({case})" if case else text, reported, tuple(members), cells, small)


def _holm(records: Sequence[Record]) -> dict[str, str]:
    """The words that Holm's correction leaves of a model's column, by id."""
    compared = [record for record in records if record.comparison]
    left = multiplicity.adjusted([msgspec.structs.asdict(r.comparison) for r in compared if r.comparison])
    return {record.id: row["holm"] for record, row in zip(compared, left, strict=True)}


def _with(entry: Unasked, found: Sequence[Sentence], models: Sequence[str]) -> list[Sentence]:
    """The rows with what cannot be asked: cells of the row that has the sentence, where no claim fills them, or one
    more."""
    cells = {model: Cell("NOT ASKABLE", entry.why) for model in entry.models or models}
    same = next((one for one in found if one.text == entry.sentence), None)
    if same is None:
        reported = Reported(entry.value, entry.where, entry.unit, entry.sentence, entry.primary)
        return [*found, Sentence(entry.sentence, reported, (), cells)]
    merged = Sentence(same.text, same.reported, same.rows, {**cells, **same.cells}, same.small)
    return [merged if one is same else one for one in found]


def _unaskable(root: Path) -> tuple[tuple[Unasked, ...], str]:
    path = root / NOT_ASKABLE
    if not path.is_file():
        return (), ""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _Table).sentence, ""
    except (OSError, ValueError) as error:
        cure = "an entry is [[sentence]] with sentence, where and why, and value, unit, primary, models where known"
        return (), f"{NOT_ASKABLE.as_posix()} cannot be read ({error}): {cure}"
