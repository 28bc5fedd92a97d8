"""The page of a record with all that opens on it and all its figures, as one text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mechlib.report.content.record_book import RecordBook
from mechlib.report.pages.page import Pages, pages


def details(script: str) -> dict[str, Any]:
    """What a topic's script holds: {"rows": ..., "claims": ...}."""
    return json.loads(script.partition("] = ")[2].rstrip(";\n"))


def whole(made: RecordBook | Pages, **more: Any) -> str:
    """The page, what opens below each row and each claim, and the figures."""
    if isinstance(made, RecordBook):
        made = pages(made, **more)
    opened = [html for text in made.topics.values() for part in details(text).values() for html in part.values()]
    return "\n".join([made.html, *opened, *made.figures.values()])


def written(folder: Path) -> str:
    """The same of a page that was written to a folder."""
    topics = {file.name: file.read_text(encoding="utf-8") for file in sorted((folder / "topics").glob("*.js"))}
    figures = {file.name: file.read_text(encoding="utf-8") for file in sorted((folder / "figures").glob("*.svg"))}
    return whole(Pages((folder / "report.html").read_text(encoding="utf-8"), topics, figures))


def rows(page: str) -> dict[str, str]:
    """The HTML of each row by its link; of the only row of a claim by a number."""
    found = re.findall(r"<tr class=row.*?</tr>", page, re.DOTALL)
    links = [re.search(r'^<tr class=row id="?claim=([^" >]+)', row) for row in found]
    return {link[1] if link else str(place): row for place, (link, row) in enumerate(zip(links, found, strict=True))}
