"""A record with every kind of verdict, and a way to write a paper about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mechlib.report.content.record_book import RecordBook
from mechlib.report.paper.committed import Committed
from mechlib.report.paper.text import Paper
from tests.helpers.published_sample import SMOLLM, Published, about, published_sample
from tests.helpers.sample_record import HOSTILE, estimate

BIB = """% what the paper cites
@article{wang2022,
  author = {Wang, Kevin and Variengien, Alexandre and Conmy, Arthur},
  title = {Interpretability in the Wild},
  year = {2022},
  eprint = {2211.00593}
}
"""
ARABIC = "رأس واحد ينسخ الكلمة التالية"
WORST = f"{HOSTILE} #eval(1) ]; $x$ @ref <label> \u2028 {ARABIC} " + "and so on, " * 40
Written = Callable[..., Paper]


@pytest.fixture
def made(tmp_path: Path) -> Published:
    """Its records by `records`; the root is where the paper is written."""
    record = Published(tmp_path)
    record.records = published_sample(tmp_path)
    record.line = 20
    for seed, word in enumerate(("REGISTERED", "EXPLORATORY", "REGISTERED, PROMPTS SEEN", "AMENDED")):
        verdict = estimate(about(0.8 + seed / 100, 0.1)) >= 0.5
        record.say("it_is_registered", "It is so.", f"mini-{seed}", verdict, registration=word)
    record.line = 21
    record.say("worst", WORST, SMOLLM, estimate(np.linspace(0, 1, 50)) >= 0.2, expected="", source=WORST)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/references.bib").write_text(BIB, encoding="utf-8")
    return record


@pytest.fixture
def committed(made: Published) -> Callable[[str], Committed]:
    """What is committed of the record, with a text."""

    def put(text: str) -> Committed:
        (made.root / "docs/paper.md").write_text(text, encoding="utf-8")
        return Committed(RecordBook(made.records, made.root))

    return put


@pytest.fixture
def written(made: Published, committed: Callable[[str], Committed]) -> Written:
    """The paper of a text. Of `whole` ones also what is wrong with its references counts."""

    def write(text: str, whole: bool = False) -> Paper:
        if not whole:
            (made.root / "docs/references.bib").unlink(missing_ok=True)
        paper = committed(text).paper
        assert paper is not None
        return paper

    return write
