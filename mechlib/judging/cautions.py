"""The lines below the table of verdicts: what to beware of, and what --fresh and --seed came to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from mechlib.verdicts.record import WORDS, Record
from mechlib.verdicts.register import ANSWERS

_OTHERWISE = re.compile(r"([^ :]+\(.*\)) is not reproduced: ")


def cautions(records: Sequence[Record], config: pytest.Config, unwritten: str) -> Iterator[str]:
    """One line each. `unwritten` says why the register could not be written to; "" where it could."""
    if config.getoption("fresh"):
        yield reproduction(records)
    if config.getoption("seed"):
        yield (
            f"resampling seed shifted by {config.getoption('seed')}: a Monte-Carlo check; no evidence is measured "
            "again, the register is not written"
        )
    unregistered = (
        f"artifacts/register.jsonl cannot be written to ({unwritten}): make it writable"
        if unwritten
        else "artifacts/register.jsonl does not know this judgement: run `pytest` and commit it"
    )
    cures = {
        "OLDER INSTRUMENTS": "measured with an older version of the instruments: `pytest --fresh` settles it",
        "NOT REGISTERED": unregistered,
        "PROMPTS NOT FILED": "artifacts/evidence/prompts is not what their tasks make: run `pytest` and commit it",
    }
    counted = Counter(flag for record in records for flag in record.flags if flag.isupper())
    for flag, count in sorted(counted.items()):
        yield f"{flag}: {count} of {len(records)} claims {cures.get(flag, '')}".rstrip()
    if not any(record.verdict in ANSWERS for record in records):
        words = Counter(record.verdict for record in records)
        yield "no claim was judged: " + ", ".join(f"{words[word]} {word}" for word in WORDS if words[word])


def reproduction(records: Sequence[Record]) -> str:
    """How many evidence files came out again under --fresh, each counted once; and why others did not."""
    read = {path for record in records for path in (*record.evidence, *record.twin_evidence)}
    again, measured = (sum(getattr(record, name) for record in records) for name in ("reproduced", "measured"))
    said = [text for record in records for text in (record.message, *(twin.reason for twin in record.twins))]
    failed = {found[1] for text in said if (found := _OTHERWISE.search(text))}
    lines = [f"--fresh: {again} of {again + len(failed)} evidence files reproduced"]
    lines += [f"not {', '.join(sorted(failed))}"] if failed else []
    lines += [f"{measured - again} measured for the first time"] if measured > again else []
    lines += [f"{len(read) - measured} read only, for the weights are not here"] if len(read) > measured else []
    return "; ".join(lines)
