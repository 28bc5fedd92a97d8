"""The table that an audit prints: what each claim came to on the audited model, and on its own models beside it."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mechlib.verdicts.record import WORDS, Record

NOT_ASKED = "mechlib_not_asked"  # of a test report's properties the one that says why a claim was not asked
MOST_REASONS = 12
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_IDS = re.compile(r" ?\[\d+(?:, \d+)*\]")
_LONGEST_QUOTE = 30


@dataclass(frozen=True)
class AuditRow:
    """A claim on an audited model: its record, its own models, and what the register says of it on those."""

    record: Record
    own: tuple[str, ...]
    beside: str


def audit_table(rows: Sequence[AuditRow], not_asked: Mapping[str, Counter[str]], width: int | None = None) -> str:
    """Topic by topic each claim's sentence, a line for each audited model, and what its own models came to.

    Behind it the counts, and of claims that were not asked how many, and why. `not_asked` has reasons by model. Plain
    text, no line wider than the terminal.
    """
    width = max(width or shutil.get_terminal_size((100, 24)).columns, 40)
    wide = max((len(row.record.model) for row in rows), default=0)
    lines = []
    topics: dict[str, dict[str, list[AuditRow]]] = {}
    for row in rows:
        topics.setdefault(row.record.topic, {}).setdefault(_claim(row.record), []).append(row)
    for topic, claims in topics.items():
        lines += ["", topic]
        for same in claims.values():
            lines += _wrapped(_headed(same[0].record), width, 2, 2)
            for row in same:
                lines += _wrapped(f"{row.record.model:<{wide}}  {_outcome(row.record)}", width, 4, 6 + wide)
            lines += _wrapped(_beside(same[0]), width, 4, 6 + wide)
    for model, reasons in not_asked.items():
        lines += ["", *_counts(model, [row for row in rows if row.record.model == model], width)]
        lines += _reasons(reasons, width)
    return "\n".join(line.rstrip() for line in lines).lstrip("\n")


def _claim(record: Record) -> str:
    """What records of one claim on several audited models share: the function, and the case without the model."""
    case = record.id.partition("[")[2].removesuffix("]")
    return f"{record.function} {case.replace(record.model, '')}"


def _headed(record: Record) -> str:
    """The sentence, with what tells this case from the others."""
    case = record.id.partition("[")[2].removesuffix("]").replace(record.model, "").strip("-")
    return record.sentence + (f" [{case}]" if case else "")


def _outcome(record: Record) -> str:
    if record.verdict in ("SUPPORTED", "REFUTED", "INCONCLUSIVE") and record.comparison is not None:
        return f"{record.verdict}  {record.comparison.numbers}"
    return f"{record.verdict}  {record.message}"


def _beside(row: AuditRow) -> str:
    return f"{_spoken(row.own)}: {row.beside}"


def _spoken(names: Sequence[str]) -> str:
    """Names in one phrase; more than two of a numbered series by its ends."""
    ends = [name.rpartition("-") for name in names]
    numbered = all(end.isdecimal() for _, _, end in ends) and len({start for start, _, _ in ends}) == 1
    return f"{names[0]} to {names[-1]}" if numbered and len(names) > 2 else ", ".join(names)


def _counts(model: str, rows: Sequence[AuditRow], width: int) -> list[str]:
    words = Counter(row.record.verdict for row in rows)
    counted = ", ".join(f"{words[word]} {word}" for word in WORDS if words[word])
    like = sum(row.record.verdict in row.beside and "," not in row.beside for row in rows)
    alike = f"; {like} as on all of the claims' own models" if rows else ""
    return _wrapped(f"{model}: {_verdicts(len(rows))} asked" + (f": {counted}{alike}" if rows else ""), width, 0, 2)


def _verdicts(count: int) -> str:
    return f"{count} verdict{'' if count == 1 else 's'}"


def _reasons(reasons: Counter[str], width: int) -> list[str]:
    """How many claims were not asked, and why: refusals that differ only in texts and numbers are one reason."""
    if not reasons:
        return []
    alike: dict[str, list[str]] = {}
    for reason in reasons:
        alike.setdefault(re.sub(r"\d+", "0", _QUOTED.sub("''", _IDS.sub("", reason))), []).append(reason)
    grouped = Counter({same[0]: sum(reasons[reason] for reason in same) for same in alike.values()})
    lines = [f"NOT ASKED: {_verdicts(sum(grouped.values()))}"]
    for reason, count in grouped.most_common(MOST_REASONS):
        lines += _wrapped(f"{count:>4}  {_short(reason)}", width, 0, 6)
    if len(grouped) > MOST_REASONS:
        lines.append(f"      and {len(grouped) - MOST_REASONS} reasons more: `-rs` prints each")
    return lines


def _short(reason: str) -> str:
    """A refusal without token ids, and with the beginnings of the texts that it quotes."""
    return _QUOTED.sub(lambda found: _clipped(found[0]), _IDS.sub("", reason))


def _clipped(quote: str) -> str:
    return quote if len(quote) <= _LONGEST_QUOTE + 2 else f"{quote[: _LONGEST_QUOTE - 2]} ...{quote[-1]}"


def _wrapped(text: str, width: int, first: int, rest: int) -> list[str]:
    indent, further = " " * first, " " * min(rest, width // 3)
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=further) or [""]
