"""What is kept of a judged claim: one row of the report, as plain data that travels as JSON.

The plugin writes records, the report and the command line read them; neither knows the other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any

# The words that a claim can end with, in the order in which a reader wants them counted.
WORDS = ("SUPPORTED", "REFUTED", "INCONCLUSIVE", "VOID", "GATED", "NOT RUN", "ERROR")
# What became of the twins of a claim.
TWIN_WORDS = ("controlled", "silent", "void", "opted out", "none")


@dataclass
class Record:
    """One claim on one model.

    id          "topic.function[case]": "induction.test_...[mini-0]"
    topic       the folder of the claim's file (of a file by itself its name without `test_`); `file` and `line` say
                where it stands, `place` where among the claims of its topic it is to be read
    sentence    the docstring's first line; `source` is what follows "Source:", `details` the rest
    code        the claim's source text
    verdict     one of WORDS; `ok` says whether the exit status may be 0 (SUPPORTED, marked so, GATED, NOT RUN)
    expected    the word that a mark expects ("REFUTED", ...), with its reason in `why`; empty without a mark
    message     the line that the terminal shows: numbers of the comparison, or what went wrong
    comparison  `Verdict.to_dict()` of the asserted comparison; None where none was reached
    gates       `Verdict.to_dict()` of each comparison given to `requires`
    others      `Verdict.to_dict()` of every further comparison, so that no number can be hidden
    twin        one of TWIN_WORDS; `twin_reason` says why a claim opted out
    twins       one {"model", "word", "reason", "comparison"} for each twin; word may be "silent" or "ERROR"
    evidence    paths below artifacts/evidence of what was read for the model itself, twins' files in `twin_evidence`
    shown       figures asked for by `show`: {"plot": function in mechlib.figures.plots, "evidence": path,
                "columns": [...] or null, "caption": text}, with "changed" where the claim computed it from that
                file; a matrix has "cells" of these, each with its "row" and "column"
    flags       words of caution: "OLDER INSTRUMENTS", "no variation seen", ...
    history     lines about a bound, metric, split or n that changed after evidence, shown for good
    models      checkpoints that were read: {"name", "weights", "dtype", "processing", "bos"}
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
    verdict: str = "ERROR"
    ok: bool = False
    expected: str = ""
    why: str = ""
    message: str = ""
    comparison: dict[str, Any] | None = None
    gates: list[dict[str, Any]] = field(default_factory=list)
    others: list[dict[str, Any]] = field(default_factory=list)
    twin: str = "none"
    twin_reason: str = ""
    twins: list[dict[str, Any]] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    twin_evidence: list[str] = field(default_factory=list)
    shown: list[dict[str, Any]] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    measured: int = 0

    def to_json(self) -> str:
        """One line of JSON; NaN is refused, for bare NaN is not JSON."""
        return json.dumps(vars(self), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Record:
        """The record that `to_json` wrote; unknown fields of a newer version are ignored."""
        known = {entry.name for entry in fields(cls)}
        return cls(**{key: value for key, value in json.loads(text).items() if key in known})
