"""What a notebook shows of a measurement, an estimate and a verdict: short texts and small tables.

These classes are what evidence is stamped with: a line in one of their files, and everything filed was measured by
OLDER INSTRUMENTS. How they look in a notebook is no part of how they measure, so it is put on them from here, once,
when a face hands out its first name (mechlib.faces). Type checkers do not know of it: what is typed calls
`mechlib.report.data.frames.to_frame(measurement)`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from html import escape
from typing import Any

from mechlib.parts.blinding import read_by_a_claim, seal
from mechlib.parts.chosen import DoubleDipping

FEW_ROWS, FEW_COLUMNS = 5, 8
# Where the classes stand, and what their text is called where a claim may not read it.
_SHOWN = {
    "mechlib.measurement": ("Measurement", "a measurement"),
    "mechlib.statistics.estimate": ("Estimate", "an estimate"),
    "mechlib.verdicts.verdict": ("Verdict", "a verdict"),
}
_dressed: set[type] = set()


def dress() -> None:
    """Puts short texts on the classes that are loaded, each once."""
    for module, (name, what) in _SHOWN.items():
        cls = getattr(sys.modules.get(module), name, None)
        if cls is not None and cls not in _dressed:
            _dressed.add(cls)
            _put_on(cls, name, what)


def _put_on(cls: Any, name: str, what: str) -> None:
    said, shown = {
        "Measurement": (_measurement, _measurement_table),
        "Estimate": (_estimate, _estimate_row),
        "Verdict": (_verdict, _verdict_lines),
    }[name]
    cls.__repr__ = said
    if name == "Measurement":  # the others have a text of their own, which outputs write
        cls.__str__ = said
        cls.to_frame = _to_frame
    seal(cls, what)
    cls._repr_html_ = _unless_judged(shown)


def _unless_judged(shown: Callable[[Any], str]) -> Callable[[Any], str]:
    """The same, refused to a claim that is being judged."""

    def _repr_html_(self: Any) -> str:
        if read_by_a_claim():
            raise DoubleDipping("a claim looks at its numbers by _repr_html_(): numbers are for notebooks")
        return shown(self)

    return _repr_html_


def _to_frame(self: Any) -> Any:
    from mechlib.report.data.frames import to_frame

    if read_by_a_claim():
        raise DoubleDipping("a claim looks at its numbers by to_frame(): numbers are for notebooks")
    return to_frame(self)


def _measurement(self: Any) -> str:
    names = ", ".join(self.columns[:FEW_COLUMNS]) + ", ..." * (len(self.columns) > FEW_COLUMNS)
    size = f"{len(self)} x {len(self.columns)}"
    about = [f"a row a {self.unit}", f"columns {names}", self.of, f"in {len(set(self.clusters))} clusters"]
    said = "; ".join(part for part in about[: 4 if any(self.clusters) else 3] if part)
    return f"<Measurement {size}: {said}{f'; {self.source}' if self.source else ''}>"


def _measurement_table(self: Any) -> str:
    columns = self.columns[:FEW_COLUMNS]
    head = [self.unit, *columns, *(["..."] if len(self.columns) > FEW_COLUMNS else [])]
    rows = [
        [unit[:12], *(f"{value:.4g}" for value in values[:FEW_COLUMNS])]
        for unit, values in zip(self.units[:FEW_ROWS], self.values, strict=False)
    ]
    rows += [["mean", *(f"{value:.4g}" for value in self.values.mean(axis=0)[:FEW_COLUMNS])]]
    more = f"<p>{len(self) - FEW_ROWS} rows more</p>" if len(self) > FEW_ROWS else ""
    return f"<p>{escape(_measurement(self))}</p>{_table(head, rows)}{more}"


def _estimate(self: Any) -> str:
    name = f"{self.name}: " if self.name else ""
    return f"<Estimate {name}{self.shown()}; across {self.across}, {self.method}>"


def _estimate_row(self: Any) -> str:
    cells = [self.name or "estimate", f"{self.value:.4g}", f"[{self.low:.4g}, {self.high:.4g}]", str(self.n)]
    head = ["", "value", "95 % interval", "n", "across", "method"]
    notes = "".join(f"<p>{escape(note)}</p>" for note in (self.of, *self.notes) if note)
    return _table(head, [[*cells, self.across, self.method]]) + notes


def _verdict(self: Any) -> str:
    return f"<Verdict {self.word}: {self.numbers}>"


def _verdict_lines(self: Any) -> str:
    remarks = "".join(f"<li>{escape(remark)}</li>" for remark in self.remarks)
    return f"<p><b>{escape(self.word)}</b> {escape(self.numbers)}</p>" + (f"<ul>{remarks}</ul>" if remarks else "")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>"
