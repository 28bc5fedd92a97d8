"""What a command says: its lines as they come, and what cannot be done as one line on stderr."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable

DONE, REFUSED = 0, 2


def wrapped(text: str, width: int, first: str = "", rest: int = 0) -> list[str]:
    """Text in lines of at most `width`, a long name broken after underscores; `first` stands before it."""
    made = textwrap.wrap(text.replace("_", "_ "), width, initial_indent=first, subsequent_indent=" " * rest)
    return [line.replace("_ ", "_") for line in made]


def printed(lines: Iterable[str], refusals: tuple[type[BaseException], ...]) -> int:
    """Prints the lines; the exit status. One of `refusals` ends them, in one line on stderr."""
    try:
        for line in lines:
            print(line)
    except refusals as error:
        print(f"mechlib: {' '.join(str(error).split())}", file=sys.stderr)
        return REFUSED
    return DONE
