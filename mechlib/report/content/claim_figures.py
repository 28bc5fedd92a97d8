"""Which figures stand beside a claim: those it asked for, and a head map of all evidence whose columns are heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from msgspec import UNSET

from mechlib.figures import plots
from mechlib.figures.data import extent, magnitude
from mechlib.figures.show import Cells
from mechlib.figures.svg import charts
from mechlib.figures.svg.elements import number
from mechlib.measurement import Measurement
from mechlib.report.content.claim_rows import ClaimRow
from mechlib.report.content.claim_views import model_name
from mechlib.report.content.evidence_files import EvidenceFiles, Filed
from mechlib.statistics.circuits.nulls import percentile_of
from mechlib.statistics.estimate import plural
from mechlib.verdicts.record import Record, ShownFigure

LEGENDS = {
    "heads_by_layer": "colour: the mean",
    "by_column": "dots: means; lines: quartiles over units",
    "rates_by_stratum": "lines: 95 % intervals",
    "rates_by_column": "thick lines: 95 % intervals; thin: those that hold together",
    "matrix": "in brackets: 95 % intervals",
    "circuit_graph": "width: the mean effect of an edge; dashed: negative",
    "depth_and_concentration": "shares of the absolute means that are told from zero, simultaneously; hollow: MLPs; "
    "dashed: the heads' mean depth, and how many of equal share would be as concentrated",
    "by_depth": "bands: 95 % intervals of each depth alone; level lines: baselines",
    "curve": "bands: 95 % intervals of each size alone; sizes on a log scale",
}
# Where a drawing has its values; a picture that leaves the page takes what they are along.
AXES = {
    "heads_by_layer": "colour",
    "matrix": "colour",
    "attention_pattern": "colour",
    "circuit_graph": "width",
    "curve": "upwards",
    "by_depth": "upwards",
    "depth_and_concentration": "",
}
ONE_PROMPT = ("attention_pattern", "rates_by_stratum")  # whose n is one, or stands beside each label


@dataclass(frozen=True)
class Figure:
    """A row of drawings on one scale: (model, drawing, its twins' drawings) each, with what they show.

    `axis` says what the values are that all of them draw, and where: "across: attention to the first name".
    """

    caption: str
    panels: tuple[tuple[str, Markup, tuple[tuple[str, Markup], ...]], ...]
    bar: Markup | None = None
    problem: str = ""
    axis: str = ""


@dataclass(frozen=True)
class Shown:
    """What one panel shows: the evidence, the columns of it that are drawn, and the same of the twins."""

    title: str
    record: Record
    filed: Filed
    own: Measurement | Cells
    twins: list[tuple[str, Measurement]]
    computed: bool = False


def asked_figures(records: Sequence[Record], evidence: EvidenceFiles) -> list[Figure]:
    """The figures that a claim asked for, the same one of several models side by side, on a scale that holds twins."""
    asked: dict[tuple[int, str], list[tuple[Record, ShownFigure]]] = {}
    for record in records:
        for place, shown in enumerate(record.shown):
            asked.setdefault((place, shown.plot), []).append((record, shown))
    return [_asked(plot, members, evidence) for (_, plot), members in asked.items()]


def _asked(plot: str, members: list[tuple[Record, ShownFigure]], evidence: EvidenceFiles) -> Figure:
    found, problems = [], []
    captions = list(dict.fromkeys(shown.caption for _, shown in members))
    for record, shown in members:
        read = {path: evidence.read(path) for path in shown.paths}
        filed = [one for one in read.values() if one is not None]
        problems += [f"{path}: {evidence.problems[path]}" for path, one in read.items() if one is None]
        if len(filed) < len(read):
            continue
        try:
            own = evidence.restored(shown, filed)
        except (KeyError, ValueError) as error:
            problems.append(f"{filed[0].path} has changed since the claim was judged: {error.args[0]}")
            continue
        title = model_name(record) + (f": {shown.caption}" if len(captions) > 1 else "")
        of_twins = []
        if plot == "heads_by_layer" and isinstance(own, Measurement) and not shown.changed:
            of_twins = _twins_of(record, filed[0], evidence, own)
        computed = any(part.changed and part.changed.values is not UNSET for part in shown.parts)
        found.append(Shown(title, record, filed[0], own, of_twins, computed))
    caption = captions[0] if len(captions) == 1 else ""
    if plot not in plots.FIGURES:
        problems.append(f"mechlib.figures.plots has no {plot}: a figure is drawn by one of {', '.join(plots.FIGURES)}")
    elif found:
        try:
            return _row_of(plot, caption, found, "; ".join(problems))
        except ValueError as error:
            problems.append(f"{plot} cannot draw this: {error}")
    return Figure("; ".join(captions), (), problem="; ".join(problems))


def _twins_of(
    record: Record, filed: Filed, evidence: EvidenceFiles, like: Measurement
) -> list[tuple[str, Measurement]]:
    """The same question asked of the twins."""
    twins = []
    for path in record.twin_evidence:
        twin = evidence.read(path)
        if (
            twin is not None
            and twin.twin
            and twin.question == filed.question
            and not set(like.columns) - set(twin.measurement.columns)
        ):
            twins.append((twin.twin, twin.columns(like.columns)))
    return twins


def _row_of(plot: str, caption: str, members: Sequence[Shown], problem: str = "") -> Figure:
    nulls = [null for one in members if (null := _null(one.title, one.record, one.filed, one.own)) is not None]
    if plot == "distribution" and len(nulls) == len(members):
        return _null_row(nulls, caption, problem)
    draw = getattr(charts, plot)
    maps = plot == "heads_by_layer"
    ends = extent(plot, [m for one in members for m in (one.own, *(twin for _, twin in one.twins if maps))])
    coloured = maps or plot == "matrix"
    legend = charts.colour_bar if coloured else charts.edge_bar if plot == "circuit_graph" else None
    bar = legend(magnitude(ends), ends[0] < 0) if legend else None
    panels = tuple(
        (
            one.title,
            draw(one.own, ends),
            tuple((kind, draw(twin, ends, small=True)) for kind, twin in one.twins) if maps else (),
        )
        for one in members
    )
    about = _about(plot, members)
    return Figure(f"{caption} ({about})" if caption else about, panels, bar, problem, _axis(plot, caption, members))


def _axis(plot: str, caption: str, members: Sequence[Shown]) -> str:
    """What is drawn and where, in the words of the claim, or of its evidence where it has none that all share."""
    drawn = [m for one in members for m in ([one.own] if isinstance(one.own, Measurement) else one.own.values())]
    of = {m.of for m in drawn}
    said = caption if caption and not caption.startswith("`") else of.pop() if len(of) == 1 else ""
    where = AXES.get(plot, "across")
    return f"{where}: {said[0].lower() if said[1:2].islower() else said[0]}{said[1:]}" if said and where else ""


def _about(plot: str, members: Sequence[Shown]) -> str:
    """The evidence, what its numbers are, of how many units, and what the lines stand for."""
    drawn = [m for one in members for m in ([one.own] if isinstance(one.own, Measurement) else one.own.values())]
    of, units = ({getattr(m, what) for m in drawn} for what in ("of", "unit"))
    sizes = {len(m) for m in drawn}
    computed = any(one.computed for one in members)
    source = "computed from " * computed + f"`{members[0].filed.function}`"
    said = of.pop() if len(of) == 1 else ""
    if said and not (computed and said == members[0].filed.measurement.of):  # a difference is not what was measured
        source += f": {said}"
    n = f"{min(sizes)} to {max(sizes)}" if len(sizes) > 1 else f"{min(sizes)}"
    many = f"n = {n} {' or '.join(sorted(map(plural, units)))}" if plot not in ONE_PROMPT and sizes != {1} else ""
    shares = plot == "by_column" and all(m.yes_no for m in drawn)
    legend = "lines: 95 % intervals" if shares else LEGENDS.get(plot, "")
    return "; ".join(part for part in (source, many, legend) if part)


def head_maps(
    row: ClaimRow, evidence: EvidenceFiles, drawn: dict[str, str]
) -> tuple[list[Figure], list[tuple[str, str]]]:
    """Head maps of all evidence of a claim whose columns are heads, and links to those drawn before.

    `drawn` holds the question and the anchor of what the page shows already, and is added to. Discovery prompts,
    on which heads were chosen, are drawn only where nothing else of the same function is.
    """
    grouped: dict[str, list[tuple[Record, Filed]]] = {}
    for record in row.records:
        for filed in evidence.of(record):
            if filed.measurement.head_columns:
                grouped.setdefault(filed.question, []).append((record, filed))
    confirmed = {members[0][1].function for question, members in grouped.items() if "discovery" not in question}
    figures, links = [], []
    for question, members in grouped.items():
        if "discovery" in question and members[0][1].function in confirmed:
            continue
        if question in drawn:
            links += [(question, drawn[question])] if drawn[question] != row.anchor else []
            continue
        drawn[question] = row.anchor
        heads = [
            (record, filed, filed.columns([*filed.measurement.head_columns, *filed.measurement.mlp_columns]))
            for record, filed in members
        ]
        panels = [
            Shown(model_name(record), record, filed, own, _twins_of(record, filed, evidence, own))
            for record, filed, own in heads
        ]
        figures.append(_row_of("heads_by_layer", f"`{question}`", panels))
    return figures, links


@dataclass(frozen=True)
class Null:
    """A null distribution behind a claim: one value a random set, what a value is and how sets were matched."""

    model: str
    of: str
    sets: Measurement
    effect: float | None

    @property
    def percentile(self) -> float:
        """The 95th percentile of the sets."""
        return percentile_of(self.sets.values[:, 0])

    @property
    def about(self) -> str:
        """How many sets, what a value is, and how sets were matched: `of` ends with that, in brackets."""
        said, _, matched = self.of.removesuffix(")").rpartition(" (")
        sets = f"{len(self.sets)} {plural(self.sets.unit)}"
        share = " as a share" if self.sets.of.endswith(" as a share") else ""
        if not (said and "kind and size" in matched):
            return f"{sets}: {self.of}{share}"
        return f"{sets} matched by {matched}: {said}{share}"

    @property
    def title(self) -> str:
        """The model, the 95th percentile, and where the selection stands among the sets."""
        text = f"{self.model}: 95th percentile {number(self.percentile)}"
        if self.effect is None:
            return text
        below = int((self.sets.values[:, 0] < self.effect).sum())
        return f"{text}; the selection {number(self.effect)}, above {below} of {len(self.sets)}"


def null_figures(row: ClaimRow, evidence: EvidenceFiles) -> list[Figure]:
    """The null distributions behind a claim: histograms over random sets with their 95th percentile, the selection's
    effect where it is known, and how the sets were matched (docs/STATISTICS.md, R16)."""
    asked = {path for record in row.records for shown in record.shown for path in shown.paths}
    read = [(record, filed) for record in row.records for filed in evidence.of(record) if filed.path not in asked]
    found = [_null(model_name(record), record, filed, filed.measurement) for record, filed in read]
    nulls = [null for null in found if null is not None]
    return [_null_row(nulls)] if nulls else []


def _null(title: str, record: Record, filed: Filed, drawn: Measurement | Cells) -> Null | None:
    if not isinstance(drawn, Measurement) or not drawn.unit.startswith("set") or len(drawn) == 1:
        return None
    sets = _as_share(drawn)
    return Null(title, drawn.of or sets.of, sets, _effect(record, filed, sets))


def _null_row(nulls: Sequence[Null], caption: str = "", problem: str = "") -> Figure:
    marks = [null.effect for null in nulls if null.effect is not None]
    reach = [*extent("distribution", [null.sets for null in nulls]), *marks]
    ends = min(reach), max(reach)
    panels = tuple(
        (null.title, charts.distribution(null.sets, ends, mark=null.effect, percentile=null.percentile), ())
        for null in nulls
    )
    legend = "the dashed line is the 95th percentile, " + ("the triangle the selection, " if marks else "")
    of = "; ".join(dict.fromkeys(null.about for null in nulls))
    about = f"Null distribution over {of}; {legend}the line zero"
    axis = f"across: {caption or nulls[0].of}"
    return Figure(f"{caption} ({about})" if caption else about, panels, problem=problem, axis=axis)


def _as_share(null: Measurement) -> Measurement:
    """A null of two columns, numerator and denominator, as their ratio set by set."""
    if len(null.columns) != 2 or (null.values[:, 1] <= 0).any():
        return null
    return Measurement(null.values[:, 0] / null.values[:, 1], null.units, null.unit, of=f"{null.columns[0]} as a share")


def _effect(record: Record, filed: Filed, null: Measurement) -> float | None:
    """The selection's own effect, where the claim is that it exceeds this null's 95th percentile."""
    compared = record.comparison.estimate if record.comparison else None
    if compared is None or not compared.method.endswith("95th percentile") or filed.path not in compared.sources:
        return None
    return compared.value + percentile_of(null.values[:, 0])


def questions_shown(records: Sequence[Record], evidence: EvidenceFiles) -> set[str]:
    """Questions that a claim draws as head maps by itself."""
    files = [shown for record in records for shown in record.shown if shown.plot == "heads_by_layer"]
    return {filed.question for shown in files if (filed := evidence.read(shown.paths[0])) is not None}
