"""`mechlib export`: a task's prompts as plain files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mechlib.judging.commands.saying import printed


def add_command(commands: Any) -> None:
    """The subparser of `mechlib export`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "export", help="a task's prompts as plain files, JSON lines and CSV"
    )
    parser.add_argument("task", help="addition, ioi or greater_than")
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to; it is made where it is missing")
    parser.set_defaults(run=lambda options: printed(_written(options), (ValueError,)))


def _written(options: argparse.Namespace) -> Iterator[str]:
    from mechlib.judging.commands.exporting import export

    try:
        written = export(options.task, options.folder)
    except FileExistsError as error:
        raise ValueError(
            str(error) if error.filename is None else f"{options.folder} is a file: name a folder"
        ) from None
    except OSError as error:
        where = error.filename or options.folder
        raise ValueError(f"{where} cannot be written ({error.strerror}): choose another folder") from None
    yield from (f"{path}: {rows} rows" for path, rows in written.items())
