"""The page that says how often the record's statistics are wrong, and the simulation that it reads."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mechlib.measurement import Measurement
from mechlib.report.content.calibration import FILE, calibration, statistics_version
from mechlib.report.content.record_book import RecordBook
from mechlib.statistics import TooFew, mean
from tests.helpers.pages import whole
from tests.helpers.sample_record import sample

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
from calibration import counted  # type: ignore[import-not-found]  # noqa: E402
from calibration_cells import NOTHING, SYMMETRIC, Cell, cells, units  # type: ignore[import-not-found]  # noqa: E402
from nulls_chosen import SELECTIONS, chosen_and_judged  # type: ignore[import-not-found]  # noqa: E402

ROW = {
    "branch": "mean: units", "name": "normal & n = 20", "promise": "93.5 to 97 %", "worlds": 4000, "refused": 0.0,
    "coverage": [0.951, 0.944, 0.9575], "false_at_least": [0.024, 0.0195, 0.0292], "refused_at_least": 0.0,
    "false_at_most": [0.025, 0.0204, 0.0303], "refused_at_most": 0.25, "outside": "", "why": "",
}  # fmt: skip
OUTSIDE = ROW | {"worlds": 1000, "name": "normal & n = 8", "outside": "covers less", "why": "too few"}
PLANNED = {
    "branch": "mean: units", "name": "normal, n = 88", "worlds": 4000, "supported": [0.801, 0.7883, 0.8133],
    "refused": 0.0, "outside": "", "why": "only where it is outside",
}  # fmt: skip
CHOSEN = [
    {"on": "the same prompts", "worlds": 200, "refused": 200, "supported": 0, "covered": 0, "limits": None},
    {"on": "other prompts", "worlds": 200, "refused": 0, "supported": 4, "covered": 190, "limits": [0.00547, 0.05041]},
]


def filed(root: Path, **changed: object) -> Path:
    path = root / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    made = {
        "statistics": statistics_version(),
        "worlds": 4000,
        "cells": [ROW, OUTSIDE],
        "power": [PLANNED],
        "chosen": CHOSEN,
    }
    path.write_text(json.dumps(made | changed), encoding="utf-8")
    return path


def page(root: Path) -> str:
    return whole(RecordBook(sample(root), root))


def test_the_page_shows_each_cell_with_its_limits_and_what_was_refused(tmp_path: Path) -> None:
    assert "How often is this record wrong?" not in page(tmp_path)
    filed(tmp_path)
    text = page(tmp_path)
    for wanted in (
        "How often is this record wrong?", "4,000 in each row that does not say otherwise",
        "normal &amp; n = 8 (of 1,000 worlds)", "normal &amp; n = 20", "95.1 [94.4, 95.8]",
        "2.5 [2.0, 3.0]", "0 / 25", "the same prompts: refused as double dipping in 200 of 200 worlds",
        "other prompts: SUPPORTED in 2.0 [0.5, 5.0] % of 200 worlds", "1 row lies outside of what is promised",
        '<span class="flag">OUTSIDE</span> covers less: too few', "80.1 [78.8, 81.3]",
    ):  # fmt: skip
        assert wanted in text
    assert "STALE" not in text
    assert "only where it is outside" not in text


def test_worlds_of_other_statistics_are_said_to_be_stale(tmp_path: Path) -> None:
    filed(tmp_path, statistics="0" * 16)
    assert "STALE: the statistics have changed" in page(tmp_path)


def test_a_file_of_another_form_is_said_and_ends_nothing(tmp_path: Path) -> None:
    filed(tmp_path, cells=[{"branch": "mean"}])
    found = calibration(tmp_path)
    assert found is not None
    assert found.problem == "artifacts/calibration.json is of another form (KeyError): run `make calibrate`"
    assert "is of another form" in page(tmp_path)


def test_the_committed_table_is_read_and_has_every_cell() -> None:
    found = calibration(ROOT)
    assert found is not None
    assert not found.problem
    assert found.worlds >= 4000
    every = [(row["branch"], row["name"]) for row in (*found.cells, *found.power)]
    assert every == [(cell.branch, cell.name) for cell in cells()]
    assert [row["name"] for row in (*found.cells, *found.power) if row["outside"] and not row["why"]] == []
    assert [entry["on"] for entry in found.chosen] == list(SELECTIONS)


def test_every_cell_makes_a_world_that_is_judged_or_refused() -> None:
    for cell in cells():
        row = counted(cell, 2)
        assert row["worlds"] == 2
        assert row["refused"] < 1 or "drawn null" in cell.branch or "0.2 sd" in cell.name, row


def test_what_is_counted_is_what_happened() -> None:
    """Means that are right, then a half too high: no interval covers, and "at least" is always supported falsely."""
    values = np.linspace(-1, 1, 50)
    units = [str(row) for row in range(50)]
    right = Cell("", "", SYMMETRIC, lambda rng: (mean(Measurement(values, units)), 0.0))
    wrong = replace(right, world=lambda rng: (mean(Measurement(values + 0.5, units)), 0.0))
    few = replace(right, world=lambda rng: (mean(Measurement(values[:3], units[:3])), 0.0))
    assert counted(right, 3)["coverage"][0] == 1
    assert (counted(right, 3)["false_at_least"][0], counted(right, 3)["false_at_most"][0]) == (0, 0)
    assert (counted(wrong, 3)["coverage"][0], counted(wrong, 3)["false_at_least"][0]) == (0, 1)
    assert (counted(few, 3)["refused"], counted(few, 3)["coverage"]) == (1, None)
    with pytest.raises(TooFew):
        few.world(np.random.default_rng())


def test_what_is_outside_of_a_promise_is_told_from_what_chance_does() -> None:
    values, unit = np.linspace(-1, 1, 50), [str(row) for row in range(50)]
    wrong = Cell("", "", SYMMETRIC, lambda rng: (mean(Measurement(values + rng.choice([-0.5, 0, 0], 1), unit)), 0.0))
    assert counted(wrong, 6)["outside"] == ""  # four of six cover, which one in twenty might be
    assert counted(wrong, 60)["outside"] == "covers less, false “at most”"
    assert counted(replace(wrong, promise=NOTHING), 60)["outside"] == ""


def test_a_planned_sample_is_held_against_a_bound_as_far_off_as_it_is_planned_for() -> None:
    """(1.96 + .84) standard errors are supported in four of five worlds, one in one of five."""
    cell = Cell("", "", NOTHING, units("normal", 50), distance=2.8 / np.sqrt(50))
    assert counted(cell, 300)["supported"][1] < 0.8 < counted(cell, 300)["supported"][2]
    assert counted(cell, 300)["outside"] == ""
    assert counted(replace(cell, distance=1 / np.sqrt(50)), 300)["outside"] == "fewer"
    assert counted(replace(cell, distance=6 / np.sqrt(50)), 300)["outside"] == "more"


@pytest.mark.parametrize("how", SELECTIONS)
def test_the_strongest_of_heads_without_effect_is_refused_where_it_was_chosen(how: str, tmp_path: Path) -> None:
    found = chosen_and_judged(how, tmp_path, worlds=3)
    assert found["refused"] == (0 if how == "other prompts" else 3)
