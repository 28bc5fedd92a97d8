"""The table of verdicts that a run prints, and what must stand below it: changes, what was not asked, counts."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from mechlib.report.content.claim_views import far_beside
from mechlib.report.content.record_book import RecordBook
from mechlib.report.content.summary import claims_of, plural
from mechlib.report.outputs.results import FormerResults, difference
from mechlib.statistics.deciding import NEAR
from mechlib.verdicts.record import WORDS, Record
from mechlib.verdicts.register import ANSWERS
from mechlib.verdicts.words import AFTER_LOOKING, BY_HAND

MOST_CHANGES = 8  # lines below one title: all of them stand on the page
CHANGED = "*"  # behind the word, or the model, of a claim with a history
NO_CONTROL = "~"  # behind the word, or the model, of a supported claim that nothing controls
_FETCH = re.compile(r"`mechlib fetch [^`]+`")
_OTHERWISE = re.compile(r"([^ :]+\(.*\)) is not reproduced: ")


def verdict_table(
    book: RecordBook,
    former: FormerResults | None = None,
    width: int | None = None,
    partial: bool = False,
) -> str:
    """The terminal's table: claims as rows, models as columns, one word a cell; then what changed after evidence, what
    was not asked and why, counts, and what changed since the last report.

    `former` is an earlier results.json; a `partial` run does not report what it left out. Where the terminal is
    too narrow for the table each claim gets lines of its own. Plain text: words, no colours.
    """
    if width is None:
        width = shutil.get_terminal_size((100, 24)).columns
    cells = {model: len(model or "-") + 2 for model in book.models}
    for record in book.records:
        cells[record.model] = max(cells[record.model], len(_word(record)) + 2)
    room = width - sum(cells.values())
    lines = _as_table(book, cells, room) if book.records and room >= 26 else _as_list(book, width)
    lines += _titled("changed after evidence (*):", _histories(book), width)
    lines += _titled(f"supported, UNCONTROLLED ({NO_CONTROL}):", _without_control(book), width)
    lines += _titled(f"supported, beside= is more than {NEAR} bounds away:", _far(book), width)
    lines += _titled("not asked:", list(_unasked(book)), width)
    lines += ["", *textwrap.wrap(book.headline, width)]
    changes = difference(former, book, whole=not partial) if former is not None else []
    return "\n".join([*lines, *_titled("changed since the last report:", changes, width)])


def _titled(title: str, said: Sequence[str], width: int) -> list[str]:
    """Lines below a title, the first of many; nothing where there are none."""
    if not said:
        return []
    more = [f"and {len(said) - MOST_CHANGES} more: `--report` has all"] if len(said) > MOST_CHANGES else []
    wrapper = textwrap.TextWrapper(width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
    return ["", title, *(part for line in [*said[:MOST_CHANGES], *more] for part in wrapper.wrap(line))]


def _word(record: Record) -> str:
    return record.verdict + NO_CONTROL * record.uncontrolled + CHANGED * bool(record.history)


def _without_control(book: RecordBook) -> list[str]:
    """One line for each claim and reason for which nothing controls it, on which models."""
    said: dict[tuple[str, str], list[str]] = {}
    for row in book.rows:
        for record in row.records:
            if record.uncontrolled:
                said.setdefault((row.name, record.controlled.why), []).append(record.model)
    return [f"{name}{_counted(models)}{why}" for (name, why), models in said.items()]


def _far(book: RecordBook) -> list[str]:
    """One line for each absence whose effect beside it is far larger than its bound, on which models, and how far."""
    said = []
    for row in book.rows:
        found = {record.model: far for record in row.records if (far := far_beside(record)) is not None}
        least, most = (f"{end(found.values(), default=0):.0f}" for end in (min, max))
        away = least if least == most else f"{least} to {most}"
        said += [f"{row.name}{_counted([*found])}beside= is {away} bounds away"] * bool(found)
    return said


def _histories(book: RecordBook) -> list[str]:
    """One line for each claim and change: what it was before, on which models."""
    said: dict[tuple[str, str], list[str]] = {}
    for row in book.rows:
        for record in row.records:
            for line in dict.fromkeys(record.history):
                said.setdefault((row.name, line), []).append(record.model)
    return [f"{name}{_counted(models)}{line}" for (name, line), models in said.items()]


def _counted(models: Sequence[str]) -> str:
    """ " (mini-0, mini-1): "; claims without a model have none."""
    named = ", ".join(model for model in models if model)
    return f" ({named}): " if named else ": "


def _unasked(book: RecordBook) -> Iterator[str]:
    """One line a model and reason: what to fetch, or the numbers of the gate."""
    for word in ("NOT RUN", "GATED"):
        for model in book.models:
            asked = [record for record in book.records if (record.verdict, record.model) == (word, model)]
            told: dict[str, list[str]] = {}
            for record in asked:
                told.setdefault(record.message, []).append(record.id)
            fetch = {found[0] if (found := _FETCH.search(message)) else "" for message in told}
            if word == "NOT RUN" and len(told) > 1 and len(fetch) == 1 and "" not in fetch:
                told = {f"no evidence: run {fetch.pop()}, then `pytest -k {model}`": [record.id for record in asked]}
            for message, ids in told.items():
                yield f"{word} {model or 'no one model'}, {plural(claims_of(ids), 'claim')}: {message}"


def _as_table(book: RecordBook, cells: dict[str, int], room: int) -> list[str]:
    room = min(room, 2 + max(*(len(topic) for topic in book.topics), *(2 + len(row.name) for row in book.rows)))
    lines = []
    for topic, rows in book.topics.items():
        heads = (f"{model or '-':<{wide}}" for model, wide in cells.items())
        lines.append(f"{topic[: room - 2]:<{room}}" + "".join(heads))
        for row in rows:
            name, *rest = _folded(row.name, room - 4)
            by_model = {record.model: _word(record) for record in row.records}
            words = (f"{by_model.get(model, ''):<{wide}}" for model, wide in cells.items())
            lines += [f"  {name:<{room - 2}}" + "".join(words), *(f"    {more}" for more in rest)]
    return [line.rstrip() for line in lines]


def _as_list(book: RecordBook, width: int) -> list[str]:
    lines = []
    for topic, rows in book.topics.items():
        lines.append(topic)
        for row in rows:
            lines += [
                f"  {part}" if place == 0 else f"    {part}" for place, part in enumerate(_folded(row.name, width - 4))
            ]
            for word in WORDS:
                named = [record for record in row.records if record.verdict == word]
                models = [(record.model or "-") + _word(record).removeprefix(record.verdict) for record in named]
                if models:
                    lines += textwrap.wrap(
                        f"{word:<13}{' '.join(models)}", width, initial_indent="    ", subsequent_indent=" " * 17
                    )
    return lines


def _folded(name: str, width: int) -> list[str]:
    """A long name in lines, broken after underscores."""
    return [line.replace("_ ", "_") for line in textwrap.wrap(name.replace("_", "_ "), max(width, 8))]


def fitted(line: str, width: int | None = None) -> list[str]:
    """A line in lines no wider than the terminal; a word that is wider, as an id may be, stays whole, to be copied."""
    room = width or shutil.get_terminal_size((100, 24)).columns
    whole = textwrap.wrap(line, room, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return whole or [""]


# --- cautions -----------------------------------------------------------------------------------------------------


def cautions(
    records: Sequence[Record],
    fresh: bool = False,
    seed: int = 0,
    unwritten: str = "",
    audit: bool = False,
    sample: float = 1,
) -> Iterator[str]:
    """What stands below the table, one line each: what --fresh and --seed came to, and what to beware of.

    unwritten  why the register could not be written to; "" where it could
    audit      of a run under --model, which says by itself where nothing could be asked
    sample     of what controls --fresh measured one file in so many, below 1 this share of all files
    """
    if fresh:
        yield reproduction(records, sample)
    if seed:
        yield (
            f"resampling seed shifted by {seed}: a Monte-Carlo check; no evidence is measured "
            "again, the register is not written"
        )
    unregistered = (
        f"artifacts/register.jsonl cannot be written to ({unwritten}): make it writable"
        if unwritten
        else "artifacts/register.jsonl does not know this judgement: run `pytest` and commit it"
    )
    cures = {
        "UNCONTROLLED": "supported by nothing that could have failed: named above, and in no headline",
        "OLDER INSTRUMENTS": "measured with older instruments than today's: `pytest --fresh --sample .1` settles it",
        "NOT REGISTERED": unregistered,
        "PROMPTS NOT FILED": "artifacts/evidence/prompts is not what their tasks make: run `pytest` and commit it",
    }
    counted = Counter(flag for record in records for flag in record.flags if flag.isupper())
    for flag, count in sorted(counted.items()):
        yield f"{flag}: {count} of {plural(len(records), 'verdict')} {cures.get(flag, '')}".rstrip()
    by_hand = [record for record in records if any(line.startswith(BY_HAND) for line in record.named)]
    if by_hand:
        late = sum(AFTER_LOOKING in line for record in by_hand for line in record.named)
        said = f", {late} of them {AFTER_LOOKING}" if late else ""
        of = plural(len(records), "verdict")
        yield f"{BY_HAND}: {len(by_hand)} of {of} name parts that no paper's table gives{said}"
    if not audit and not any(record.verdict in ANSWERS for record in records):
        words = Counter(record.verdict for record in records)
        yield "no claim was judged: " + ", ".join(f"{words[word]} {word}" for word in WORDS if words[word])


def onward(records: Sequence[Record]) -> Iterator[str]:
    """What to type next, in one line, where everything came out as claimed or marked: what failed says so itself."""
    judged = [record for record in records if record.verdict in ANSWERS]
    if judged and all(record.ok for record in records):
        first = (next((record for record in judged if record.history), judged[0])).id
        yield (
            f"next: `pytest '{first}'` judges one claim, `mechlib history '{first}'` says what it came to before, "
            "`pytest --frozen --report` writes the page"
        )


def reproduction(records: Sequence[Record], sample: float = 1) -> str:
    """How many evidence files came out again under --fresh, each counted once; and why others did not."""
    read = {path for record in records for path in (*record.evidence, *record.twin_evidence, *record.control_evidence)}
    again, measured = (sum(getattr(record, name) for record in records) for name in ("reproduced", "measured"))
    said = [text for record in records for text in (record.message, *(twin.reason for twin in record.twins))]
    failed = {found[1] for text in said if (found := _OTHERWISE.search(text))}
    lines = [f"--fresh: {again} of {again + len(failed)} evidence files reproduced"]
    lines += [f"not {', '.join(sorted(failed))}"] if failed else []
    lines += [f"{measured - again} measured for the first time"] if measured > again else []
    drawn = f"of twins and of control files one in {sample:.0f}" if sample > 1 else f"{sample:.0%} of all"
    why = f": {drawn} is measured, others at each commit" if sample != 1 else ", for the weights are not here"
    lines += [f"{len(read) - measured} read only{why}"] if len(read) > measured else []
    return "; ".join(lines)
