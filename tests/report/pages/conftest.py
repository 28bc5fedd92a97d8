"""One browser for all tests of the page; without one on this machine they are skipped by name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mechlib.report.content.record_book import RecordBook
from mechlib.report.outputs.writing import write
from mechlib.verdicts.reported import Reported
from tests.helpers.sample_record import MINIS, Sample, card, estimate, sample, twin_entries

ROOT = Path(__file__).parents[3]
CALIBRATION = Path("artifacts/calibration.json")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chrome() -> str | None:
    """The browser that CHROME names, or one of those that systems bring."""
    return os.environ.get("CHROME") or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium without a window."""
    found = chrome()
    if found is None:
        pytest.skip("no browser on this machine: install chromium, or name one in CHROME")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[dev]'")
    with sync_api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def errors() -> list[str]:
    """What a page's script threw: a test that asks for a page fails where there is anything."""
    return []


@pytest.fixture
def tab(browser: Any, errors: list[str]) -> Iterator[Any]:
    """An empty page in a window of a desk."""
    made = browser.new_page(viewport={"width": 1180, "height": 900})
    made.on("pageerror", lambda error: errors.append(str(error)))
    made.set_default_timeout(60_000)
    yield made
    made.close()
    assert not errors, errors


LONG = "A sentence that says a good deal of what a head does, and then says it once more. " * 6
ARABIC = "يكتب الرأس الأقوى الاسم الذي قيل مرة واحدة."
SEPARATED = "A line separator stands here:\u2028and this is behind it."


def odd_sentences(made: Sample) -> None:
    """Claims whose sentences are long, Arabic, and of two lines to JavaScript."""
    for number, sentence in enumerate((LONG, ARABIC, SEPARATED)):
        made.line = 200 + number
        verdict = estimate(made_values(number)) >= 0.4
        made.add(f"test_odd_{number}", sentence, "mini-0", verdict, topic="odd", twins=twin_entries())
    said = Reported(3.56, "Wang et al. 2022, arXiv:2211.00593", "logits")
    verdict = estimate(made_values(9)) >= 0.4
    made.add("test_of_a_paper", "Of a paper.", "qwen2.5-coder-0.5b", verdict, topic="odd", reported=said)


def made_values(seed: int) -> Any:
    import numpy as np

    return np.random.default_rng(seed).normal(0.6, 0.2, 60)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report of the sample, and of sentences that are odd."""
    root = tmp_path_factory.mktemp("house")
    records = sample(root)
    for name in MINIS:
        card(root, name)
    shutil.copy(ROOT / CALIBRATION, root / CALIBRATION)
    made = Sample(root)
    odd_sentences(made)
    write(RecordBook([*records, *made.records], root), root / "artifacts/report", meta={"device": "cpu"})
    return root / "artifacts/report"


@pytest.fixture
def page(tab: Any, folder: Path) -> Any:
    """The report, opened from its folder."""
    tab.goto((folder / "report.html").as_uri())
    return tab
