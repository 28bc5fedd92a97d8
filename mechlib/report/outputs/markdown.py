"""artifacts/record/: every verdict for the forge, a page a topic, the same bytes wherever it is written.

No dates and no machines: `make check` compares the committed files with what the evidence says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

from mechlib.figures.data import clipped
from mechlib.report.content.claim_rows import ClaimRow, slug
from mechlib.report.content.claim_views import (
    claimed_bound,
    control_text,
    model_name,
    numbers,
    told_controls,
    twin_texts,
)
from mechlib.report.content.record_book import RecordBook
from mechlib.report.content.summary import SIGNS
from mechlib.report.outputs.escaping import escaped as escaped
from mechlib.report.outputs.figure_files import FOLDER, forest_name, forest_panels, named_figures
from mechlib.verdicts.controlled import UNCONTROLLED
from mechlib.verdicts.record import Record
from mechlib.verdicts.words import AFTER_LOOKING

RECORD = Path("artifacts/record")
LARGEST = 96_000  # bytes of a page: a forge shows one of 100 KB at once
FIGURES, EVIDENCE = f"../{FOLDER.name}", "../evidence"


@dataclass(frozen=True)
class Claim:
    """One claim: a function with its cases, which are rows of their own elsewhere."""

    topic: str
    function: str
    rows: tuple[ClaimRow, ...]

    @property
    def records(self) -> list[Record]:
        """Its verdicts, case by case."""
        return [record for row in self.rows for record in row.records]

    @property
    def anchor(self) -> str:
        """The link to the claim, whichever case."""
        return slug(f"{self.topic}.{self.function.removeprefix('test_')}")

    @property
    def sentence(self) -> str:
        """What is claimed."""
        return self.rows[0].first.sentence or self.function.removeprefix("test_")


def claims(rows: Sequence[ClaimRow]) -> list[Claim]:
    """The claims of a topic, in the order in which they are read."""
    groups = groupby(rows, key=lambda row: (row.topic, row.function))
    return [Claim(topic, function, tuple(members)) for (topic, function), members in groups]


class Pages:
    """The pages of all topics: which claims each holds, where an anchor stands, and what each says.

    A topic that would be too large is cut into several pages between two claims.
    """

    def __init__(self, book: RecordBook) -> None:
        self.book = book

    @cached_property
    def texts(self) -> dict[str, str]:
        """The pages by their file's name."""
        return {name: text for name, text, _ in self._made}

    @cached_property
    def names(self) -> dict[str, list[str]]:
        """The files of each topic."""
        found: dict[str, list[str]] = {}
        for name, _, members in self._made:
            found.setdefault(members[0].topic, []).append(name)
        return found

    def place(self, anchor: str) -> str:
        """The link from the root of the repository to a claim, one of its cases, or a topic."""
        return f"{RECORD.as_posix()}/{self.file(anchor)}#{anchor}"

    def file(self, anchor: str) -> str:
        """The file that a claim, one of its cases or a topic stands in."""
        return self._files[anchor]

    @cached_property
    def _files(self) -> dict[str, str]:
        found = {topic: names[0] for topic, names in self.names.items()}
        for name, _, members in self._made:
            for claim in members:
                found |= dict.fromkeys((claim.anchor, *(row.anchor for row in claim.rows)), name)
        return found

    @cached_property
    def _made(self) -> list[tuple[str, str, list[Claim]]]:
        made = []
        for topic, rows in self.book.topics.items():
            head = "\n".join(_head(self.book, topic, rows))
            parts: list[list[tuple[Claim, str]]] = [[]]
            size = len(head.encode())
            for claim in claims(rows):
                text = "\n".join([*_claim(claim, self.book), ""])
                size += len(text.encode()) + 1
                if size > LARGEST and parts[-1]:
                    parts.append([])
                    size = len(text.encode())
                parts[-1].append((claim, text))
            names = [f"{slug(topic)}{f'-{n}' if n else ''}.md" for n in (0, *range(2, len(parts) + 1))]
            for place, (name, part) in enumerate(zip(names, parts, strict=True)):
                title = f"# {escaped(self.book.titles[topic])}" + (f", continued ({place + 1})" if place else "")
                others = [other for other in names if other != name]
                links = ["", "See " + ", ".join(f"[{other}]({other})" for other in ["README.md", *others]) + ".", ""]
                begun = [head] if not place else []
                text = "\n".join([title, *links, *begun, *(text for _, text in part)]).rstrip() + "\n"
                made.append((name, text, [claim for claim, _ in part]))
        return made


def _head(book: RecordBook, topic: str, rows: Sequence[ClaimRow]) -> Iterator[str]:
    for paragraph in book.introductions[topic]:
        yield from (escaped(paragraph), "")
    if forest_panels(book, rows):
        yield from (f"All claims on one sheet: [forest plot]({FIGURES}/{forest_name(topic)}).", "")


def _claim(claim: Claim, book: RecordBook) -> Iterator[str]:
    """A section: the sentence, what is true of all its verdicts, a row a verdict, remarks, figures."""
    records, first = claim.records, claim.rows[0].first
    anchors = dict.fromkeys([claim.anchor, *(row.anchor for row in claim.rows if len(claim.rows) == 1)])
    yield from ("".join(f'<a id="{anchor}"></a>' for anchor in anchors), "", f"### {escaped(claim.sentence)}", "")
    bounds = _distinct(claimed_bound(record.comparison) for record in records)
    sizes = _distinct(numbers(record.comparison).n for record in records)
    name = f"`{first.function}`"
    about = [f"[{name}](../../{first.file}#L{first.line})" if first.file else name]
    about += [f"Claimed: {escaped(bound)}" for bound in bounds if len(bounds) == 1]
    about += [f"n = {escaped(size)}" for size in sizes if len(sizes) == 1]
    about += [f"Source: {escaped(first.source.rstrip('.'))}"] * bool(first.source)
    reported = _distinct(f"{r.reported.number or 'no number'} ({r.reported.where})" for r in records if r.reported)
    about += [f"Reported: {escaped('; '.join(reported))}"] * bool(reported)
    about += [f"Evidence: {', '.join(found)}" for found in [list(_evidence(records))] if found]
    yield from (". ".join(about), "")
    yield from _table(claim, with_bound=len(bounds) > 1, with_n=len(sizes) > 1)
    if remarks := list(_remarks(claim, book.corrected)):
        yield ""
        yield from (f"- {remark}" for remark in remarks)
    shown = [(name, figure) for row in claim.rows for name, figure in named_figures(book, row)]
    if shown:
        links = (f"[{escaped(clipped(figure.caption, 90))}]({FIGURES}/{name})" for name, figure in shown)
        yield from ("", f"Figures: {'; '.join(links)}")


def _evidence(records: Sequence[Record]) -> Iterator[str]:
    """The functions that measured it, each with a link to the folder in which its files lie."""
    measured = dict.fromkeys(path.rsplit("--", 2)[0] for record in records for path in record.evidence)
    yield from (f"[`{name}`]({EVIDENCE}/{name.rpartition('/')[0]})" for name in measured)


def _distinct(texts: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, texts)))


def _table(claim: Claim, with_bound: bool, with_n: bool) -> Iterator[str]:
    """A line a verdict; columns that would say nothing, or the same of every verdict, are left out."""
    judged = [record for record in claim.records if record.verdict != "NOT RUN"]
    with_cases = len(claim.rows) > 1
    with_twins = any(record.twin not in ("by kind", "none") or record.twins for record in judged)
    controlled = any(map(control_text, judged))
    heads = ["case"] * with_cases + ["model", "verdict", "estimate", "95 % interval"]
    heads += ["claimed"] * with_bound + ["n"] * with_n
    heads += ["twins: untrained, permuted"] * with_twins + ["controlled by"] * controlled
    yield f"| {' | '.join(heads)} |"
    yield f"|{'-|' * len(heads)}"
    for row in claim.rows:
        case = [f'<a id="{row.anchor}"></a>{escaped(row.variant_label)}'] if with_cases else []
        for record in (one for one in row.records if one.verdict != "NOT RUN"):
            shown = numbers(record.comparison)
            cells = [model_name(record), f"{SIGNS[record.verdict]} {record.verdict}", shown.value, shown.interval]
            cells += [claimed_bound(record.comparison)] * with_bound + [shown.n] * with_n
            cells += [_twins(record)] * with_twins + [control_text(record)] * controlled
            yield f"| {' | '.join([*case, *map(escaped, cells)])} |"
            case = [""] * with_cases
        if unrun := [model_name(record) for record in row.records if record.verdict == "NOT RUN"]:
            cells = [*case, escaped(", ".join(unrun)), f"{SIGNS['NOT RUN']} NOT RUN"]
            yield f"| {' | '.join(cells)} |{' |' * (len(heads) - len(cells))}"


def _twins(record: Record) -> str:
    """ "controlled: 0.031 ✗, 0.007 ✗": kinds are in the head of the table where both came out."""
    texts = twin_texts(record)
    both = [kind for _, kind, _ in texts] == ["untrained", "permuted"]
    said = ", ".join(outcome if both else f"{kind} {outcome}" for _, kind, outcome in texts)
    return f"{record.twin}: {said}" if said else record.twin


def _remarks(claim: Claim, corrected: dict[str, dict[str, str]]) -> Iterator[str]:
    """What is to be said beside the numbers, each thing once with the cases and models of which it is true."""
    said: dict[str, list[tuple[str, str]]] = {}
    for row in claim.rows:
        for record in row.records:
            for remark in dict.fromkeys(_remarks_on(record, corrected.get(record.id, {}))):
                said.setdefault(remark, []).append((row.variant_label, record.model))
    judged = sum(record.verdict != "NOT RUN" for record in claim.records)
    for remark, where in said.items():
        about = "all" if len(where) == judged > 2 else _about(where, claim)
        yield f"{about}: {escaped(remark)}" if about else escaped(remark)


def _about(where: Sequence[tuple[str, str]], claim: Claim) -> str:
    """ "mini-0, mini-1", of each case; "how zero mini-0, mini-1; how mean mini-0" where it hangs on the case."""
    asked: dict[str, set[str]] = {}
    for row in claim.rows:
        for record in row.records:
            asked.setdefault(record.model, set()).add(row.variant_label)
    models = list(dict.fromkeys(model for _, model in where))
    of_each = all({case for case, one in where if one == model} == asked[model] for model in models)
    if of_each:
        return ", ".join(escaped(model) for model in models if model)
    said = []
    for case, members in groupby(where, key=lambda entry: entry[0]):
        said.append(f"{escaped(case)} {', '.join(escaped(model) for _, model in members)}".strip())
    return "; ".join(said)


def _remarks_on(record: Record, corrected: dict[str, str]) -> Iterator[str]:
    if record.expected:
        yield f"marked {record.expected}: {record.why}"
    if record.uncontrolled:
        yield f"{UNCONTROLLED}: {record.controlled.why}"
    yield from (f"control: {control.message}" for control in told_controls(record))
    if record.verdict in ("GATED", "ERROR", "VOID"):
        yield f"{record.verdict}: {record.message}"
    elif record.comparison and record.verdict != "NOT RUN":
        yield from record.comparison.remarks
    word = record.comparison.word if record.comparison else None
    changed = [(name, after) for name, after in corrected.items() if after != word]
    for after in dict.fromkeys(after for _, after in changed):
        whose = " and ".join(f"{name}'s" for name, other in changed if other == after)
        yield f"{after} after {whose} correction"
    # Flags in capitals depend on this machine (its libraries, its weights) and are said on the pages only.
    yield from (flag for flag in record.flags if not flag.isupper())
    # Nor does this file say what hangs on how much of git's history is at hand.
    yield from (line.replace(f", {AFTER_LOOKING}", "", 1) for line in record.named)
    yield from record.history
