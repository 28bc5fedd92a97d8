"""What the README says today, in ten lines, is what the claims say that it rests on: every decimal, and the counts."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mechlib.report.paper.citing import NUMBER_WORDS
from tests.docs.pages import ROOT

pytestmark = pytest.mark.xdist_group("record")  # which judges the record once
RESTS = re.compile(r"<!-- rests on:(.*?)-->", re.DOTALL)
DECIMAL = re.compile(r"(?<![\w.])-?\d*\.\d+(?![\w.]*\w)")  # no version, and no name such as Qwen2.5
LINES = 10


@pytest.fixture
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def today(readme: str) -> tuple[str, list[str]]:
    """The paragraph of published sentences, and the points behind it."""
    said = readme.partition("## What it says today")[2].partition("\n## ")[0]
    first, *points = re.split(r"(?m)^\* ", said)
    points[-1] = points[-1].partition("\n\n")[0]
    return first, points


def not_said(points: list[str], records: list[dict[str, Any]]) -> list[str]:
    """Decimals of a point that no claim which it names came to, rounded as they are."""
    found = []
    for point in points:
        names = [name for rests in RESTS.findall(point) for name in rests.split()]
        own = [record["comparison"] for record in records if record["id"].partition("[")[0] in names]
        values = [one["estimate"]["value"] for one in own if one]
        text = " ".join(RESTS.sub("", point).split())
        for number in DECIMAL.findall(text):
            half = 0.5001 * 10.0 ** -len(number.partition(".")[2])
            if not any(abs(value - float(number)) <= half for value in values):
                found.append(f"{text[:40]}: {number}")
    return found


def test_what_it_says_today_are_ten_points_of_three_lines_at_most(readme):
    first, points = today(readme)
    assert 1 + len(points) == LINES and "published sentences" in first
    assert all(len(RESTS.sub("", point).strip().splitlines()) <= 3 for point in points)


def test_every_decimal_is_what_a_claim_came_to_that_it_rests_on(readme, whole_record):
    _, points = today(readme)
    assert sum(len(DECIMAL.findall(RESTS.sub("", point))) for point in points) >= 8
    assert not_said(points, whole_record.records) == []


def test_a_decimal_that_no_claim_came_to_is_found():
    records = [
        {"id": "a.test_one[mini-0]", "comparison": {"estimate": {"value": 0.585}}},
        {"id": "b.test_two", "comparison": {"estimate": {"value": -0.7}}},
        {"id": "a.test_one[mini-1]", "comparison": None},
    ]
    point = "**One.** It is {} in Qwen2.5.\n<!-- rests on: a.test_one -->"
    for number in (".58", ".59", "0.585"):
        assert not_said([point.format(number)], records) == []
    for number in (".57", "0.586", "-.58", "-.7"):
        assert not_said([point.format(number)], records) == [f"**One.** It is {number} in Qwen2.5.: {number}"]


def test_claims_are_functions_wherever_they_are_counted(readme, whole_record):
    claims = {record["id"].partition("[")[0] for record in whole_record.records}
    said = re.findall(r"([\d,]+) verdicts on (\d+) claims", readme)
    assert said == [(f"{len(whole_record.records):,}", str(len(claims)))]


def test_points_that_rest_on_claims_from_before_the_register_are_counted(readme, whole_record):
    old = {r["id"].partition("[")[0] for r in whole_record.records if r["registration"] == "CLAIM FIRST"}
    if any(record["registration"] == "ORDER UNKNOWN" for record in whole_record.records):
        pytest.skip("git's history is not at hand")
    points = [point for point in today(readme)[1] if old & set(RESTS.findall(point)[0].split())]
    (said,) = re.findall(r"(\w+) of the points\s+above rest on claims that are older than the register", readme)
    assert said.lower() == NUMBER_WORDS[len(points)]


def test_the_picture_of_the_report_shows_todays_verdicts(readme, whole_record):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    assert "](docs/report.png)" in readme
    with image.open(ROOT / "docs" / "report.png") as picture:
        shown = picture.text["shows"].replace(",", "")
    counts = Counter(record["verdict"] for record in whole_record.records)
    stale = [f"{n} {word}" for word, n in counts.items() if f"{n} {word}" not in shown]
    assert stale == [], "run `make record`, then `python tools/picture.py`"


def test_the_version_is_that_of_the_newest_changes():
    newest = re.findall(r"^## (\d+\.\d+\.\d+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[0]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = re.findall(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert [project["version"], *cited] == [newest, newest]


def test_the_words_are_six_and_defined_once(readme):
    table = readme.partition("## Six words")[2].partition("\n## ")[0]
    words = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)[1:]
    assert words == ["claim", "verdict", "evidence", "control", "registered", "discovery, confirmation"]
    glossary = Path(ROOT / "docs" / "GLOSSARY.md").read_text(encoding="utf-8")
    assert [word for word in " ".join(words).replace(",", "").split() if word not in glossary] == []
