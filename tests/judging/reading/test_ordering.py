"""No book is made of verdicts of which nobody asked git whether they were registered before their evidence."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mechlib.judging.commands.verify import read_records
from mechlib.judging.registration.words import UNKNOWN, registrations
from mechlib.report.content.record_book import NotOrdered, RecordBook
from mechlib.report.outputs.writing import write
from mechlib.report.pages.files import write_page
from mechlib.verdicts.record import Record
from mechlib.verdicts.register import ANSWERS, REGISTER
from tests.helpers.published_sample import published_sample
from tests.helpers.sample_record import sample


@pytest.fixture
def travelled(tmp_path: Path) -> list[Record]:
    """The records of a run as they lie in records.jsonl: written as verdicts came in, before git was asked."""
    path = tmp_path / "records.jsonl"
    bare = [msgspec.structs.replace(one, registration="") for one in published_sample(tmp_path)]
    path.write_text("".join(one.to_json() + "\n" for one in bare), encoding="utf-8")
    return read_records(path)


def test_records_that_travelled_make_no_book_until_git_was_asked(travelled: list[Record], tmp_path: Path) -> None:
    judged = [one for one in travelled if one.verdict in ANSWERS]
    with pytest.raises(NotOrdered) as refused:
        RecordBook(travelled, tmp_path)
    assert str(refused.value).startswith(
        f"of {len(judged)} of {len(judged)} verdicts it is not known whether they were"
    )
    assert "registrations(root, records)" in str(refused.value) and "\n" not in str(refused.value)
    registrations(tmp_path, travelled)
    assert {one.registration for one in judged} == {UNKNOWN}  # there is no git
    write_page(RecordBook(travelled, tmp_path), tmp_path / "out")
    assert (tmp_path / "out" / "report.html").is_file()


def test_one_verdict_without_its_word_is_one_too_many(travelled: list[Record], tmp_path: Path) -> None:
    registrations(tmp_path, travelled)
    last = next(one for one in reversed(travelled) if one.verdict in ANSWERS)
    last.registration = ""
    with pytest.raises(NotOrdered, match=r"^of 1 of \d+ verdicts"):
        RecordBook(travelled, tmp_path)


def test_below_a_register_what_it_does_not_know_needs_a_word_as_well(tmp_path: Path) -> None:
    records = sample(tmp_path)
    assert not any(one.registered or one.registration for one in records)
    RecordBook(records, tmp_path)  # of no register, and of none that it names
    (tmp_path / REGISTER).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / REGISTER).touch()
    with pytest.raises(NotOrdered):
        RecordBook(records, tmp_path)
    with pytest.raises(NotOrdered):
        RecordBook([one for one in records if one.verdict == "VOID"], tmp_path)
    RecordBook([one for one in records if one.verdict not in ANSWERS], tmp_path)  # which have no answer to be early
    RecordBook(records, tmp_path, audit=True)  # other models: git knows nothing of them


def test_nothing_is_written_of_a_book_that_is_not_made(travelled: list[Record], tmp_path: Path) -> None:
    with pytest.raises(NotOrdered):
        write(RecordBook(travelled, tmp_path), tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (tmp_path / "REPORT.md").exists()
