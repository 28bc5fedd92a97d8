"""The record and measurements as frames of pandas; what a notebook shows; and nothing of either to a claim."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import mechlib
from mechlib import Estimate, Measurement, PromptSet, mean, results
from mechlib.parts.blinding import blinded
from mechlib.parts.chosen import DoubleDipping
from mechlib.prompts.promptset import Prompt
from mechlib.report.content.record_book import RecordBook
from mechlib.report.data.frames import to_frame
from mechlib.report.outputs.results import write_results
from tests.helpers.sample_record import sample

pandas = pytest.importorskip("pandas")

ROWS = tuple(Prompt(f"{name} met Bob and gave {name} to", "Bob", f"{name} ran", "Sue") for name in "ABCDEF")
PROMPTS = PromptSet("toy", "confirmation", ROWS)


@pytest.fixture
def measured() -> Measurement:
    return Measurement(
        np.arange(12.0).reshape(6, 2), tuple(row.fingerprint for row in ROWS), columns=("0.3", "cluster"),
        clusters=tuple("aabbcc"), strata=tuple("xyxyxy"), of="logits <b>restored</b>", prompts=(PROMPTS,),
        factors=(("name", tuple(("Ann", "Bob") if n % 2 else ("Ann",) for n in range(6))),), source="t/x.jsonl",
    )  # fmt: skip


def test_a_frame_has_a_row_a_unit_its_columns_and_what_units_share(measured: Measurement) -> None:
    frame = to_frame(measured)
    assert list(frame.columns) == ["0.3", "cluster", "cluster_label", "name", "stratum", "text", "answer"]
    assert frame.index.name == "prompt" and tuple(frame.index) == measured.units
    assert np.array_equal(frame[["0.3", "cluster"]].to_numpy(), measured.values)
    assert list(frame["cluster_label"]) == list("aabbcc") and list(frame["stratum"]) == list("xyxyxy")
    assert list(frame["name"][:2]) == ["Ann", "Ann + Bob"]
    assert frame["text"].iloc[2] == ROWS[2].clean and set(frame["answer"]) == {"Bob"}
    assert frame.attrs == {"unit": "prompt", "of": measured.of, "source": "t/x.jsonl"}
    assert getattr(measured, "to_frame")().equals(frame)  # noqa: B009 - type checkers do not know of it


def test_a_measurement_without_labels_is_its_values_alone() -> None:
    assert list(to_frame(Measurement(np.ones(3), ("a", "b", "c"), unit="pair")).columns) == ["value"]


def test_results_are_a_row_a_verdict_with_objects_as_columns(tmp_path: Path) -> None:
    records = sample(tmp_path)
    write_results(RecordBook(records, tmp_path), tmp_path / "results.json")
    frame = results(tmp_path / "results.json")
    assert dict(zip(frame["id"], frame["verdict"], strict=True)) == {one.id: one.verdict for one in records}
    known = {record.id: record.comparison.estimate.value for record in records if record.comparison}
    judged = frame[frame["estimate"].notna()]
    assert dict(zip(judged["id"], judged["estimate"], strict=True)) == known
    assert {"control_word", "reported_value", "dithered_low", "split", "registered"} <= set(frame.columns)
    assert "control" not in frame.columns


def test_results_of_schema_1_are_read_and_those_of_a_newer_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"schema": 1, "claims": [{"id": "t.test_a[m]", "verdict": "VOID", "estimate": None}]}))
    assert list(results(path).columns) == ["id", "verdict", "estimate"]
    path.write_text(json.dumps({"schema": 3, "claims": []}))
    with pytest.raises(ValueError, match=r"^\S+ has schema 3, and this mechlib reads up to 2: update mechlib$"):
        results(path)


@pytest.mark.parametrize("text", ["", "nul", "[]", '{"claims": []}', '{"schema": 2}', '{"schema": 2, "claims": [3]}'])
def test_what_is_no_results_json_is_refused_in_a_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"results\.json") as raised:
        results(path)
    assert "\n" not in str(raised.value)
    with pytest.raises(FileNotFoundError, match="--report` writes it"):
        results(tmp_path / "none.json")


@pytest.mark.parametrize("schema", [1, 2])
def test_results_without_a_verdict_say_so_and_are_no_empty_frame(schema: int, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"schema": schema, "claims": []}))
    with pytest.raises(ValueError, match=r"^\S+results\.json has no verdict, so there is nothing to show: `[^\n]+$"):
        results(path)


def test_without_pandas_one_line_says_what_brings_it(
    measured: Measurement, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    for asked in (lambda: to_frame(measured), lambda: results(tmp_path)):
        with pytest.raises(ImportError, match=r"needs pandas: run `pip install -e '\.\[analysis\]'`"):
            asked()


def test_a_notebook_shows_short_texts_in_which_markup_is_inert(measured: Measurement) -> None:
    many = Measurement(np.zeros((400, 60)), tuple(map(str, range(400))), columns=tuple(f"0.{n}" for n in range(60)))
    assert len(repr(many)) < 120 and repr(many).startswith("<Measurement 400 x 60: a row a prompt; columns 0.0, 0.1")
    estimate = mean(Measurement(np.arange(40.0), tuple(map(str, range(40))), of="<b>"))
    assert isinstance(estimate, Estimate)
    assert repr(estimate) == f"<Estimate {estimate}; across prompts, {estimate.method}>"
    assert repr(estimate >= 2.0) == f"<Verdict {(estimate >= 2.0).word}: {(estimate >= 2.0).numbers}>"
    for one in (measured, many, estimate, estimate >= 2.0):
        shown = getattr(one, "_repr_html_")()  # noqa: B009
        assert "<b>restored" not in shown and "<p><b></p>" not in shown and "NaN" not in shown
        assert len(shown) < 3000


@pytest.mark.parametrize("look", ["to_frame", "__repr__", "__str__", "_repr_html_"])
def test_a_claim_sees_none_of_it(measured: Measurement, look: str) -> None:
    with blinded(), pytest.raises(DoubleDipping, match="a claim"):
        getattr(measured, look)()
    with blinded(), pytest.raises(DoubleDipping, match="a claim"):
        results()
    getattr(measured, look)()


def test_what_evidence_is_stamped_with_knows_nothing_of_notebooks() -> None:
    package = Path(mechlib.__file__).parent
    stamped = ("measurement.py", "statistics/estimate.py", "verdicts/verdict.py")
    assert not [name for name in stamped if "_repr_html_" in (package / name).read_text(encoding="utf-8")]
