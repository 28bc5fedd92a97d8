"""The verdicts as tables for LaTeX: a file a topic to \\input, and a document of all of them that compiles as it is.

What pdflatex has no sign for is written as its code point, so that any sentence compiles, in whatever script.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap

from mechlib.figures.svg.elements import number
from mechlib.report.content.claim_rows import ClaimRow
from mechlib.report.content.record_book import RecordBook
from mechlib.report.data.saving import save
from mechlib.verdicts.controlled import UNCONTROLLED
from mechlib.verdicts.record import Record

ALL = "all.tex"
EXPLORED = "EXPLORATORY"
_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "−": "-", "–": "--", "—": "---", "…": r"\ldots{}", "≥": r"$\geq$",
    "≤": r"$\leq$", "×": r"$\times$", "±": r"$\pm$", "→": r"$\to$", "’": "'", "‘": "`", "“": "``", "”": "''",
    "ß": r"\ss{}", "ø": r"\o{}", "æ": r"\ae{}", "ł": r"\l{}", "Ø": r"\O{}", "Æ": r"\AE{}", "Ł": r"\L{}",
}  # fmt: skip
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0308": '"',
    "\u030a": "r",
    "\u0327": "c",
    "\u030c": "v",
}
_LONGEST_WORD, _BREAK = 24, r"\allowbreak{}"
_PREAMBLE = r"""\documentclass[a4paper]{article}
\usepackage[margin=15mm]{geometry}
\usepackage{longtable,booktabs}
\begin{document}
\footnotesize
"""
_NEEDS = "% A table to \\input; it needs \\usepackage{longtable,booktabs} and nothing else.\n"
_COLUMNS = r"{@{}p{0.29\linewidth}p{0.14\linewidth}rp{0.13\linewidth}p{0.09\linewidth}l@{}}"
_HEAD = r"Claim & Model & Estimate & 95\,\% interval & Bound & Verdict \\"


def tables(book: RecordBook) -> Iterator[tuple[str, str]]:
    """(name of the file, its text): a table for each topic, and the document of all of them."""
    for topic, rows in book.topics.items():
        yield f"{topic}.tex", _NEEDS + as_latex(book, rows, book.titles[topic])
    lines = [f"\\section*{{{tex(book.titles[topic])}}}\n\\input{{{topic}.tex}}" for topic in book.topics]
    yield ALL, _PREAMBLE + "\n".join([tex(book.headline), *lines, "\\end{document}", ""])


def as_latex(book: RecordBook, rows: Sequence[ClaimRow] | None = None, title: str = "") -> str:
    """A longtable (packages longtable, booktabs) of these claims, default all: a line a model, text escaped."""
    lines = [rf"\begin{{longtable}}{_COLUMNS}"]
    lines += [rf"\caption{{{tex(title)}. {_LEGEND}}}\\"] if title else []
    lines += [r"\toprule", _HEAD, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"]
    for row in book.rows if rows is None else rows:
        for place, record in enumerate(row.records):
            sentence = row.first.sentence + (f" ({row.variant_label})" if row.variant else "")
            lines.append(" & ".join([tex(sentence) if place == 0 else "", *_cells(record)]) + r" \\")
        lines.append(r"\addlinespace")
    return "\n".join([*lines, r"\end{longtable}", ""])


_LEGEND = (
    rf"$^{{\sim}}$ {UNCONTROLLED}: nothing that could have failed stands beside it; $^{{e}}$ {EXPLORED}: it was not "
    "registered before it was measured"
)


def _cells(record: Record) -> tuple[str, ...]:
    compared = record.comparison
    value, low, high = (getattr(compared.estimate, n) if compared else None for n in ("value", "low", "high"))
    interval = f"[{_number(low)}, {_number(high)}]" if compared else "--"
    marks = r"$^{\sim}$" * record.uncontrolled + "$^{e}$" * (record.registration == EXPLORED)
    bound = tex(compared.bound if compared else "–")
    return tex(record.model), _number(value), interval, bound, tex(record.verdict) + marks


def tex(text: str) -> str:
    """Text for LaTeX, in ASCII: every character with a meaning there is escaped, whatever breaks a line is a space.

    Words longer than a column may be broken.
    """
    return " ".join(_BREAK.join(map(_letters, wrap(word, _LONGEST_WORD))) for word in text.split())


def _letters(word: str) -> str:
    return "".join(_TEX.get(letter) or _letter(letter) for letter in word)


def _letter(letter: str) -> str:
    if letter.isascii():
        return letter if letter.isprintable() else ""
    base, *accents = tuple(unicodedata.normalize("NFD", letter))
    if len(accents) == 1 and accents[0] in _ACCENTS and base.isascii():
        return rf"\{_ACCENTS[accents[0]]}{{{base}}}"
    return rf"\texttt{{U+{ord(letter):04X}}}{_BREAK}"


def _number(value: float | None) -> str:
    return "--" if value is None else f"${number(value).replace('−', '-')}$"


def write_tables(book: RecordBook, folder: Path) -> None:
    """Writes the tables of all topics, and the document that has them."""
    for name, text in tables(book):
        save(folder / name, text)
