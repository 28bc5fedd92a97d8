"""What is kept of a judged claim: one row of the report, typed, and one line of JSON where it travels.

The plugin writes records, the report and the command line read them; neither knows the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from mechlib.verdicts.controlled import UNCONTROLLED, Controlled, TwinWord
from mechlib.verdicts.controls import Control
from mechlib.verdicts.reported import Reported
from mechlib.verdicts.verdict import Kind, Outcome, Sign, Word
from mechlib.verdicts.words import WORDINGS

# The words that a claim can end with, in the order in which a reader wants them counted.
WORDS: tuple[Outcome, ...] = tuple(WORDINGS)


class Spread(Struct, frozen=True):
    """How the units lie around their mean: quartiles, ends, and the share of units of the other sign."""

    minimum: float
    lower_quartile: float
    median: float
    upper_quartile: float
    maximum: float
    wrong_sign: float


class EstimateEntry(Struct, frozen=True):
    """A number with its interval: the fields of `mechlib.statistics.Estimate`. ValueError where one is not finite."""

    value: float
    low: float
    high: float
    n: int
    unit: str
    across: str
    method: str
    se: float
    clusters: int | None = None
    name: str = ""
    of: str = ""
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    monte_carlo: float = 0.0
    simultaneous: bool = False
    distribution: Spread | None = None
    strip: tuple[tuple[str, int, float], ...] = ()
    df: float | None = None
    trials: float | None = None
    whole: float | None = None
    levels: tuple[tuple[str, int], ...] = ()
    variance: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        _refuse_nan(self, "value", "low", "high", "se", "monte_carlo", "df", "trials")


class Member(Struct, frozen=True):
    """One estimate of a family under `every` or `some`, and how it alone came out."""

    name: str
    word: Word
    estimate: EstimateEntry


class Comparison(Struct, frozen=True):
    """A verdict as it is filed: `Verdict.to_dict()`, field by field.

    text         numbers and remarks in one line
    estimate     what was compared; of a family the member that decides
    n_to_decide  of an INCONCLUSIVE comparison, the sample that would decide it
    p_supported, p_refuted  the levels at which the interval's end reaches the bound
    """

    word: Word
    text: str
    numbers: str
    remarks: tuple[str, ...]
    kind: Kind
    bound: str
    bounds: tuple[tuple[Sign, float], ...]
    estimate: EstimateEntry
    members: tuple[Member, ...] = ()
    detectable: float = 0.0
    n_to_decide: int | None = None
    p_supported: float = 1.0
    p_refuted: float = 1.0
    controls: tuple[Control, ...] = ()

    def __post_init__(self) -> None:
        _refuse_nan(self, "detectable", "p_supported", "p_refuted")

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Comparison:
        """The comparison whose `Verdict.to_dict()` this is; numpy's numbers become Python's."""
        return msgspec.convert(msgspec.to_builtins(plain, enc_hook=_number), cls)


NOT_MEASURED = "not measured"


class TwinOutcome(Struct, frozen=True):
    """What a claim came to on a twin, or with noise of the model's rounding.

    `word` may be "silent" besides the words of a claim; NOT_MEASURED with noise, where nothing is filed.
    """

    model: str
    word: str
    reason: str = ""
    comparison: Comparison | None = None


class ModelRead(Struct, frozen=True):
    """A checkpoint that evidence of a claim was measured on, and how it was run."""

    name: str
    weights: str | None = None
    config: str | None = None
    tokenizer: str | None = None
    dtype: str | None = None
    processing: str | None = None
    bos: bool | str | None = None


Numbered = tuple[tuple[str, ...], tuple[int, ...]]  # labels as distinct ones, and the number of each


class Changed(Struct, frozen=True):
    """Where a measurement that a claim shows differs from its evidence file; UNSET where it does not."""

    unit: str | UnsetType = UNSET
    of: str | UnsetType = UNSET
    yes_no: bool | UnsetType = UNSET
    units: Numbered | UnsetType = UNSET
    strata: Numbered | UnsetType = UNSET
    clusters: Numbered | UnsetType = UNSET
    order: Numbered | UnsetType = UNSET
    values: tuple[tuple[float, ...], ...] | UnsetType = UNSET


class ShownPart(Struct, frozen=True):
    """Columns of an evidence file, all where `columns` is None; a cell of a grid has its row and column."""

    evidence: str
    columns: tuple[str, ...] | None = None
    changed: Changed | UnsetType = UNSET
    row: str | UnsetType = UNSET
    column: str | UnsetType = UNSET


class ShownFigure(Struct, frozen=True):
    """A figure that a claim asked for by `show`: a function of `mechlib.figures`, and what it draws.

    That is one file's columns, or `cells`, each named by its row and its column.
    """

    plot: str
    caption: str = ""
    evidence: str | UnsetType = UNSET
    columns: tuple[str, ...] | UnsetType | None = UNSET
    changed: Changed | UnsetType = UNSET
    cells: tuple[ShownPart, ...] | UnsetType = UNSET

    @property
    def parts(self) -> tuple[ShownPart, ...]:
        """The cells, or what is drawn as the only one."""
        if self.cells is not UNSET:
            return self.cells
        columns = None if self.columns is UNSET else self.columns
        return (ShownPart("" if self.evidence is UNSET else self.evidence, columns, self.changed),)

    @property
    def paths(self) -> list[str]:
        """The evidence files behind the figure, each once."""
        return list(dict.fromkeys(part.evidence for part in self.parts))


class Record(Struct):
    """One claim on one model.

    id          "topic.function[case]": "induction.test_...[mini-0]"
    topic       the folder of the claim's file (of a file by itself its name without `test_`); `file` and `line` say
                where it stands, `place` where among the claims of its topic it is to be read
    sentence    the docstring's first line; `source` is what follows "Source:", `details` the rest
    code        the claim's source text
    verdict     one of WORDS; `ok` says whether the exit status may be 0 (SUPPORTED, marked so, GATED, NOT RUN)
    expected    the word that a mark expects ("REFUTED", ...), with its reason in `why`; empty without a mark
    message     the line that the terminal shows: numbers of the comparison, or what went wrong
    comparison  the asserted comparison; None where none was reached
    gates       the comparisons given to `requires`
    others      every further comparison, so that no number can be hidden
    twin        one of TWIN_WORDS (mechlib.verdicts.controlled)
    dithered    of a primary published sentence, what it came to with noise of its quantised model's rounding; it
                decides nothing, and its files are among `twin_evidence`
    controls    what the claim names beside its estimate, or came to with other parts in the place of its own
    controlled  what all this amounts to
    evidence    paths below artifacts/evidence of what was read for the model itself, twins' files in `twin_evidence`,
                those of exchanged parts in `control_evidence`
    flags       words of caution: "OLDER INSTRUMENTS", "no variation seen", ...
    named       what was chosen where no reader sees it: parts named by hand, picks inside evidence functions
    history     lines about a bound, metric, split or n that changed after evidence, shown for good
    models      checkpoints that were read
    measured    how many evidence files were measured for it in this run, `reproduced` how many came out as filed
    prompts     the sets of confirmation prompts that it was judged on; `tried` what became of other draws
    registered  the line of the register that says what the claim says; `registration` is the word that the order of
                commits gives it (mechlib.judging.registration.words), `registration_why` the reason
    reported    what a paper gives for the sentence; None of one that is no published one
    """

    id: str
    topic: str
    function: str
    sentence: str
    model: str = ""
    source: str = ""
    details: str = ""
    code: str = ""
    file: str = ""
    line: int = 0
    place: int = 0
    verdict: Outcome = "ERROR"
    ok: bool = False
    expected: str = ""
    why: str = ""
    message: str = ""
    comparison: Comparison | None = None
    gates: list[Comparison] = field(default_factory=list)
    others: list[Comparison] = field(default_factory=list)
    twin: TwinWord = "none"
    twins: list[TwinOutcome] = field(default_factory=list)
    dithered: TwinOutcome | None = None
    evidence: list[str] = field(default_factory=list)
    twin_evidence: list[str] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)
    controlled: Controlled = Controlled()
    control_evidence: list[str] = field(default_factory=list)
    shown: list[ShownFigure] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    models: list[ModelRead] = field(default_factory=list)
    seconds: float = 0.0
    measured: int = 0
    reproduced: int = 0
    prompts: list[str] = field(default_factory=list)
    registered: str = ""
    registration: str = ""
    registration_why: str = ""
    tried: str = ""
    reported: Reported | None = None

    @property
    def uncontrolled(self) -> bool:
        """Whether it is supported and nothing that could have failed stands beside it: no headline rests on it."""
        return self.controlled.by == UNCONTROLLED

    def to_json(self) -> str:
        """One line of JSON."""
        return _ENCODER.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Record:
        """The record that `to_json` wrote; fields of a newer version are ignored. ValueError where it is none."""
        try:
            return _DECODER.decode(text)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from None


_ENCODER, _DECODER = msgspec.json.Encoder(), msgspec.json.Decoder(Record)


def _refuse_nan(entry: Struct, *names: str) -> None:
    """JSON has no NaN, and msgspec would write null in its place."""
    for name in names:
        number = getattr(entry, name)
        if number is not None and not math.isfinite(number):
            raise ValueError(f"{type(entry).__name__.lower()} has {name} {number}: neither NaN nor infinity is JSON")


def _number(value: Any) -> Any:
    """A numpy scalar as a number of Python."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"a record holds plain data, not {type(value).__name__}")
