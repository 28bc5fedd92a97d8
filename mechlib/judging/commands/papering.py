"""`mechlib paper`: docs/paper.md held against the record, and REPORT.md built of it, without the rest of a report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

DONE, WRONG = 0, 1


def add_command(commands: Any) -> argparse.ArgumentParser:
    """The subparser of `mechlib paper`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "paper", help="what is wrong with docs/paper.md, line by line; else REPORT.md and the paper in artifacts/report"
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--text", type=Path, metavar="FILE", help="another text; what is built goes to --out alone")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the paper goes; default artifacts/report")
    parser.add_argument("--records", type=Path, metavar="FILE", help="of a full run; default: judge now, a minute")
    return parser


def run(root: Path, options: argparse.Namespace) -> int:
    """Builds or checks; the exit status, 1 where the text is wrong. Raises NotJudged, and OSError of the text."""
    from mechlib.judging.commands.verify import judge_frozen, read_records
    from mechlib.judging.registration.words import registrations
    from mechlib.report.content.record_book import RecordBook
    from mechlib.report.outputs.figure_files import write_figures
    from mechlib.report.outputs.results import save
    from mechlib.report.paper.committed import Committed, write_paper

    if options.text and not options.text.is_file():
        raise FileNotFoundError(f"there is no text {options.text}")
    records = read_records(options.records) if options.records else judge_frozen(root)
    registrations(root, records)
    made = Committed(RecordBook(records, root), options.text and options.text.resolve())
    if made.paper is None:
        print("there is no docs/paper.md: REPORT.md is the index of the record", file=sys.stderr)
    for line in made.problems:
        print(line)
    if made.problems or options.check:
        print(f"{len(made.problems) or 'no'} problem{'s' * (len(made.problems) != 1)}")
        return WRONG if made.problems else DONE
    out = options.out or root / "artifacts" / "report"
    if options.text:
        save(out / "REPORT.md", made.report)
    else:
        write_figures(made.book)
        made.write()
    for line in write_paper(made, out):
        print(line)
    return DONE
