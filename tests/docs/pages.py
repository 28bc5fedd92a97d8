"""The pages that a reader is sent to, and what they say in code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "fixtures" / "README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
]
_FENCED = re.compile(r"^```.*?^```\n", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def spans(text: str) -> list[str]:
    """What stands between backticks in running text, also where it goes over a line's end."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", _FENCED.sub("", text))]
