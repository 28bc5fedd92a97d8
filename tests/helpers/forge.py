"""What a forge shows of a record: the pages of artifacts/record, one behind the other."""

from pathlib import Path

from mechlib.report.content.record_book import RecordBook
from mechlib.report.outputs.markdown import RECORD
from mechlib.report.paper.committed import Committed


def forge(book: RecordBook) -> str:
    """As they would be written."""
    return "\n".join(text for _, text in sorted(Committed(book).record.items()))


def filed(root: Path) -> str:
    """As they stand in a folder."""
    return "\n".join(page.read_text(encoding="utf-8") for page in sorted((root / RECORD).glob("*.md")))
