"""Verdicts for machines: results.json, results.csv, a LaTeX table, and the difference between two runs.

The types of results.json are its JSON Schema, docs/results.schema.json: `python -m mechlib.report.outputs.results`
prints it.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta, Struct

from mechlib.figures.svg.elements import number
from mechlib.report.content.record_book import RecordBook
from mechlib.verdicts.controlled import By, TwinWord
from mechlib.verdicts.controls import ControlWord
from mechlib.verdicts.record import Record
from mechlib.verdicts.reported import Replication, Reported
from mechlib.verdicts.verdict import Kind, Outcome, Sign, Word

SCHEMA: Literal[2] = 2
_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "−": "-", "–": "--", "—": "---", "…": r"\ldots{}", "≥": r"$\geq$",
    "≤": r"$\leq$", "\n": " ",
}  # fmt: skip


class ControlResult(Struct, frozen=True):
    """What a claim was held against besides its bound."""

    kind: Annotated[str, Meta(description="twins, what a part was exchanged for, control=, beside=; empty for none")]
    sets: Annotated[int, Meta(description="how many there were")]
    on_the_side: Annotated[int, Meta(description="how many are as claimed; of beside=: how many exceed the bound")]
    word: Annotated[
        ControlWord | Literal["UNCONTROLLED"], Meta(description="what that says; UNCONTROLLED where there was none")
    ]


class DitheredResult(Struct, frozen=True):
    """What a claim came to on its quantised model with noise of half a quantisation step either way."""

    model: str
    word: Annotated[str, Meta(description="the claim's word there, silent, or not measured; it decides nothing")]
    estimate: float | None
    low: Annotated[float | None, Meta(description="lower end of the 95 % interval")]
    high: Annotated[float | None, Meta(description="upper end of the 95 % interval")]


class ClaimResult(Struct, frozen=True):
    """One claim on one model; null where there is no number. Fields up to `flags` are those of schema 1."""

    id: Annotated[str, Meta(description="topic.function[case]")]
    topic: Annotated[str, Meta(description="the folder of the claim's file")]
    function: str
    sentence: Annotated[str, Meta(description="the proposition, as the claim's docstring begins")]
    model: Annotated[str, Meta(description="empty for claims about no one model")]
    verdict: Outcome
    twin: Annotated[TwinWord, Meta(description="what became of the untrained and the permuted twin of the model")]
    estimate: float | None
    low: Annotated[float | None, Meta(description="lower end of the 95 % interval")]
    high: Annotated[float | None, Meta(description="upper end of the 95 % interval")]
    n: Annotated[int | None, Meta(description="how many units were measured")]
    clusters: Annotated[
        int | None,
        Meta(description="how many clusters, or levels of what limits the interval, they have; null where independent"),
    ]
    method: Annotated[str | None, Meta(description="how the interval was made")]
    bound: Annotated[str | None, Meta(description="the bound as text")]
    flags: Annotated[tuple[str, ...], Meta(description="words of caution")]
    case: Annotated[str, Meta(description="the claim's arguments besides its model")]
    source: Annotated[str, Meta(description="where the claim or its bound comes from")]
    kind: Annotated[Kind | None, Meta(description="whether one number is compared, or every or some of a family")]
    bounds: Annotated[tuple[tuple[Sign, float], ...], Meta(description="the bound as numbers; two of a margin")]
    unit: Annotated[str | None, Meta(description="what a unit is")]
    across: Annotated[str | None, Meta(description="what the interval generalises over")]
    quantity: Annotated[str | None, Meta(description="what the estimate is, with its unit")]
    se: Annotated[float | None, Meta(description="standard error of the estimate")]
    p_supported: Annotated[float | None, Meta(description="level at which the interval's end reaches the bound")]
    p_refuted: Annotated[float | None, Meta(description="the same from the other side")]
    holm: Annotated[Word | None, Meta(description="the word after Holm's correction over the model's claims")]
    benjamini_hochberg: Annotated[Word | None, Meta(description="the word after Benjamini and Hochberg's")]
    n_to_decide: Annotated[int | None, Meta(description="the sample that would decide an INCONCLUSIVE comparison")]
    ok: Annotated[bool, Meta(description="as claimed, as marked, gated or not run")]
    expected: Annotated[str, Meta(description="the word that a mark expects; empty without a mark")]
    why: Annotated[str, Meta(description="the reason of the mark")]
    message: Annotated[str, Meta(description="the numbers of the comparison, or what went wrong")]
    remarks: Annotated[tuple[str, ...], Meta(description="what must stand beside the numbers")]
    named: Annotated[tuple[str, ...], Meta(description="parts named by hand, picks inside evidence functions")]
    history: Annotated[tuple[str, ...], Meta(description="what changed of the question after evidence was seen")]
    registration: Annotated[str, Meta(description="what the order of commits shows: registered before its evidence?")]
    registration_why: Annotated[str, Meta(description="what that word rests on")]
    tried: Annotated[str, Meta(description="what other draws of prompts came to; empty without any")]
    evidence: Annotated[tuple[str, ...], Meta(description="files below artifacts/evidence")]
    file: Annotated[str, Meta(description="the claim's file")]
    line: int
    control: Annotated[ControlResult | None, Meta(description="the control that decides; null where none is needed")]
    controlled_by: Annotated[By, Meta(description="of a supported claim what controls it, or UNCONTROLLED")]
    variance: Annotated[
        dict[str, float], Meta(description="share of the units' variance that goes with each thing they share, alone")
    ]
    reported: Annotated[
        Reported | None, Meta(description="what a paper gives for the sentence; null where it is no published one")
    ]
    replication: Annotated[
        Replication | None, Meta(description="the published sentence's outcome on a pretrained model; null elsewhere")
    ]
    dithered: Annotated[
        DitheredResult | None, Meta(description="a primary sentence after noise of a quantisation step; null elsewhere")
    ]


class Results(Struct, frozen=True):
    """results.json: one entry a claim and model, in the order in which the record is read."""

    schema: Literal[2]
    claims: tuple[ClaimResult, ...]


def results(book: RecordBook) -> Results:
    """results.json as data."""
    judged = [(record, row.variant) for row in book.rows for record in row.records]
    return Results(SCHEMA, tuple(_result(record, case, book) for record, case in judged))


_OF_RECORD = (
    "id", "topic", "function", "sentence", "model", "verdict", "twin", "source", "ok", "expected", "why", "message",
    "file", "line", "registration", "registration_why", "tried", "reported",
)  # fmt: skip
_OF_COMPARISON = ("bound", "kind", "p_supported", "p_refuted", "n_to_decide")
_OF_ESTIMATE = ("low", "high", "n", "clusters", "method", "unit", "across", "se")


def _result(record: Record, case: str, book: RecordBook) -> ClaimResult:
    compared, corrected = record.comparison, book.corrected.get(record.id, {})
    estimate = compared.estimate if compared else None
    plain: dict[str, Any] = {
        name: getattr(source, name, None)
        for source, names in ((record, _OF_RECORD), (compared, _OF_COMPARISON), (estimate, _OF_ESTIMATE))
        for name in names
    }
    return ClaimResult(
        **plain,
        estimate=estimate.value if estimate else None,
        quantity=estimate.of if estimate else None,
        bounds=compared.bounds if compared else (),
        remarks=compared.remarks if compared else (),
        holm=cast("Word | None", corrected.get("Holm")),
        benjamini_hochberg=cast("Word | None", corrected.get("BH")),
        case=case,
        flags=tuple(record.flags),
        named=tuple(record.named),
        history=tuple(record.history),
        evidence=tuple(record.evidence),
        control=_control(record),
        controlled_by=record.controlled.by,
        variance=dict(estimate.variance) if estimate else {},
        replication=book.published.word_on(record) if book.published else None,
        dithered=_dithered(record),
    )


def _dithered(record: Record) -> DitheredResult | None:
    found = record.dithered
    if found is None:
        return None
    estimate = found.comparison.estimate if found.comparison else None
    numbers = (estimate.value, estimate.low, estimate.high) if estimate else (None, None, None)
    return DitheredResult(found.model, found.word, *numbers)


def _control(record: Record) -> ControlResult | None:
    found = record.controlled
    if not (found.by or found.kind):
        return None
    return ControlResult(found.kind, found.sets, found.on_the_side, found.word)


def schema() -> str:
    """The JSON Schema of results.json, from its types."""
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Results)}
    return _pretty(found)


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n"


def write_results(book: RecordBook, path: Path) -> None:
    """Writes results.json."""
    save(path, _pretty(results(book)))


# --- tables -------------------------------------------------------------------------------------------------------

_IN_CSV = tuple(name for name in ClaimResult.__struct_fields__ if name != "bounds")


def as_csv(book: RecordBook) -> str:
    """The entries of results.json as CSV: empty where there is no number, lists joined by "; "."""
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(_IN_CSV)
    for entry in results(book).claims:
        writer.writerow([_for_a_sheet(getattr(entry, name)) for name in _IN_CSV])
    return page.getvalue()


def _for_a_sheet(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula is quoted."""
    if isinstance(value, dict):
        value = tuple(f"{name} {share:g}" for name, share in value.items())
    value = "; ".join(value) if isinstance(value, tuple) else value
    if isinstance(value, ControlResult):
        value = f"{value.kind}: {value.on_the_side} of {value.sets}, {value.word}"
    if isinstance(value, DitheredResult):
        shown = "" if value.estimate is None else f"{value.estimate:g} [{value.low:g}, {value.high:g}] "
        value = f"{shown}{value.word}"
    if isinstance(value, Reported):
        value = f"{value.number or 'no number'} ({value.where})"
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def as_latex(book: RecordBook) -> str:
    """A longtable (packages longtable, booktabs) of every claim and model, one line each, text escaped."""
    head = r"Claim & Model & Estimate & 95\,\% interval & Bound & Verdict \\"
    lines = [r"\begin{longtable}{p{0.38\linewidth}lrlll}", r"\toprule", head, r"\midrule", r"\endhead"]
    for row in book.rows:
        for place, record in enumerate(row.records):
            compared = record.comparison
            value, low, high = (getattr(compared.estimate, n) if compared else None for n in ("value", "low", "high"))
            sentence = (
                tex(row.first.sentence + (f" ({row.variant_label})" if row.variant else "")) if place == 0 else ""
            )
            interval = f"[{_tex_number(low)}, {_tex_number(high)}]" if compared else "--"
            bound = tex(compared.bound if compared else "–")
            cells = (sentence, tex(record.model), _tex_number(value), interval, bound, tex(record.verdict))
            lines.append(" & ".join(cells) + r" \\")
        lines.append(r"\addlinespace")
    return "\n".join([*lines, r"\bottomrule", r"\end{longtable}", ""])


def tex(text: str) -> str:
    """Text for LaTeX: every character with a meaning there is escaped."""
    return "".join(_TEX.get(letter, letter) for letter in text)


def _tex_number(value: float | None) -> str:
    return "--" if value is None else f"${number(value).replace('−', '-')}$"


# --- what changed -------------------------------------------------------------------------------------------------


class FormerClaim(Struct, frozen=True):
    """What an earlier run says of a claim, in schema 1 and later."""

    id: str
    verdict: str
    twin: str | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    bound: str | None = None


class FormerResults(Struct, frozen=True):
    """An earlier results.json."""

    schema: int
    claims: tuple[FormerClaim, ...]


def read_results(path: Path) -> FormerResults | None:
    """An earlier results.json; None where there is none that can be read."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=FormerResults)
    except (OSError, msgspec.DecodeError):
        return None
    return found if 1 <= found.schema <= SCHEMA else None


def difference(former: FormerResults, book: RecordBook, whole: bool = True) -> list[str]:
    """What a run says otherwise than an earlier results.json: one line a claim whose verdict, bound or number moved.

    Claims that only one of the two judged are listed unless the run is a selection (`whole` false).
    """
    old = {entry.id: entry for entry in former.claims}
    new = {record.id: _former(record) for row in book.rows for record in row.records}
    lines = []
    for name, entry in new.items():
        before = old.get(name)
        if before is None:
            lines += [f"new: {_short(name)} is {entry.verdict}"] if whole else []
        elif changes := _changes(before, entry):
            lines.append(f"{_short(name)}: {'; '.join(changes)}")
    gone = [f"gone: {_short(name)} was {entry.verdict}" for name, entry in old.items() if name not in new]
    return lines + gone if whole else lines


def _former(record: Record) -> FormerClaim:
    if record.comparison is None:
        return FormerClaim(record.id, record.verdict, record.twin)
    estimate = record.comparison.estimate
    numbers = estimate.value, estimate.low, estimate.high
    return FormerClaim(record.id, record.verdict, record.twin, *numbers, record.comparison.bound)


def _changes(before: FormerClaim, after: FormerClaim) -> list[str]:
    changes = []
    for name, said in (("verdict", "verdict"), ("twin", "twins"), ("bound", "bound")):
        if getattr(before, name) != getattr(after, name):
            changes.append(f"{said} {getattr(before, name)} -> {getattr(after, name)}")
    was, now = (f"{number(one.estimate)} [{number(one.low)}, {number(one.high)}]" for one in (before, after))
    if was != now:  # as shown: another number of threads moves the sixteenth digit
        changes.append(f"{was} -> {now}")
    return changes


def _short(name: str) -> str:
    """The claim without its topic: "the_sum_is_what_comes_next[mini-0]"."""
    claim, bracket, case = name.partition("[")
    return claim.rsplit("::", 1)[-1].rsplit(".", 1)[-1].removeprefix("test_") + bracket + case


def save(path: Path, text: str) -> None:
    """Writes text whole or not at all, with the same line ends on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


if __name__ == "__main__":
    print(schema(), end="")
